"""Commits: each one is a record, written last, of the SHA-256 of every file that belongs to it.

The protocol, for commit n of a store:

1. `run/<n>.intent` announces the record of the commit, with all files that it will replace.
2. New files are renamed into place: draws, the state `run/<n>.npz`, then the metadata that readers
   open.
3. `run/<n>.json`, the record, ends the commit. A store is what its newest record says.

Each step is durable before the next one begins.

A file that later commits replace (a chunk that is being filled, and metadata) may be that of the
record or that of an intent, if a commit was cut short; any other content is damage. The content of
such files follows from the state, so they are written again when a run continues.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import RunError
from .files import Files

FORMAT, VERSION = "pushforward-run", 1
# The folder of records and states.
FOLDER = "run"
# How the name of a file in it begins that is there while a cluster works for a call.
CALL = "call-"
# For each power of two, the states of this many of the newest commits divisible by it are kept.
KEPT = 2


@dataclass(frozen=True)
class Record:
    """What one commit wrote, with the SHA-256 of every file.

    Attributes:
        commit: Number of the commit, from 0.
        about: What the store is of, as plain values.
        draws: Number of draws per chain that readers see.
        blocks: Hash of the list of chunks of each block of draws that is complete.
        files: Hash of each file that later commits may replace, by key.
        state: Hash of the state.
        older: Numbers of the older commits whose states are kept.
    """

    commit: int
    about: dict[str, Any]
    draws: int = 0
    blocks: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    state: str = ""
    older: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Write the record with a hash of its own."""
        body = asdict(self) | {"format": FORMAT, "version": VERSION}
        return _dump({"body": body, "sha256": digest(_dump(body))})


def digest(data: bytes) -> str:
    """Compute the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def read_record(where: str, key: str, data: bytes) -> Record:
    """Read what `Record.encode` wrote.

    Raises:
        ValueError: The record is damaged.
        RunError: It is of another version of the format.
    """
    outer = json.loads(data)
    body = outer["body"]
    if digest(_dump(body)) != outer["sha256"] or data != _dump(outer):
        raise ValueError(f"{key} is damaged")
    kind, version = body.pop("format"), body.pop("version")
    if (kind, version) != (FORMAT, VERSION):
        raise RunError(
            where,
            f"it is a store of format version {version}, and this library reads version {VERSION}",
            "Continue it with the version of the library that wrote it: "
            f"{body.get('about', {}).get('versions', {}).get('pushforward', 'unknown')}.",
        )
    return Record(**body | {name: tuple(body[name]) for name in ("blocks", "older")})


def _dump(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True).encode()


def record_key(commit: int) -> str:
    """Return the key of the record of a commit."""
    return f"{FOLDER}/{commit}.json"


def is_record(name: str) -> bool:
    """Return whether a file in the folder of records and states is the record of a commit."""
    return _number(name) >= 0 and name.endswith(".json")


def intent_key(commit: int) -> str:
    """Return the key of the announcement of a commit."""
    return f"{FOLDER}/{commit}.intent"


def state_key(commit: int) -> str:
    """Return the key of the state of a commit."""
    return f"{FOLDER}/{commit}.npz"


def block_key(index: int) -> str:
    """Return the key of the list of the chunks of a block."""
    return f"{FOLDER}/block-{index}.json"


@dataclass(frozen=True)
class Changes:
    """What a commit adds to the one before.

    Attributes:
        state: The bytes of the state.
        draws: Number of draws per chain that readers will see.
        blocks: The chunks of each block that is now complete, in order; the SHA-256 of a chunk that
            was written before.
        files: The files that later commits may replace.
        metadata: Those of them that readers open first, written after all others.
        about: What the store is of, as plain values.
    """

    state: bytes
    draws: int
    blocks: Sequence[Mapping[str, bytes | str]]
    files: dict[str, bytes]
    metadata: dict[str, bytes]
    about: dict[str, Any]


def commit(files: Files, before: Record | None, changes: Changes) -> Record:
    """Write one commit; until its last step the store is what the record before says.

    Args:
        files: The store.
        before: The commit before, if there is one.
        changes: What to write.

    Raises:
        OSError: A file could not be written.
    """
    number = 0 if before is None else before.commit + 1
    made = () if before is None else before.blocks
    past = () if before is None else (*before.older, before.commit)
    kept = tuple(sorted(kept_commits(number).intersection(past)))
    replaced = changes.files | changes.metadata
    given = {key: data for chunks in changes.blocks for key, data in chunks.items()}
    new = {key: data for key, data in given.items() if isinstance(data, bytes)}
    # A chunk that is now complete replaces the one that was being filled.
    announced = {
        key: data if isinstance(data, str) else digest(data)
        for key, data in (given | replaced).items()
    }
    lists = {
        block_key(len(made) + i): _dump({key: announced[key] for key in chunks})
        for i, chunks in enumerate(changes.blocks)
    }
    record = Record(
        number,
        changes.about,
        changes.draws,
        (*made, *map(digest, lists.values())),
        {key: announced[key] for key in replaced},
        digest(changes.state),
        kept,
    )
    known = {} if before is None else before.files
    changed, metadata = (
        {key: data for key, data in group.items() if known.get(key) != record.files[key]}
        for group in (changes.files, changes.metadata)
    )
    files.write(
        {intent_key(number): replace(record, files=announced).encode()},
        new | lists | changed | {state_key(number): changes.state},
        metadata,
        {record_key(number): record.encode()},
    )
    gone = [key(n) for n in past if n not in kept for key in (record_key, state_key)]
    files.delete([intent_key(number), *gone])
    return record


def kept_commits(newest: int) -> set[int]:
    """Return the commits to keep: about two for each doubling of age, and the first one.

    A run whose older draws are damaged continues from the newest state before them.
    """
    kept, step = set(), 1
    while step <= 2 * max(newest, 1):
        last = newest - newest % step
        kept |= {max(last - i * step, 0) for i in range(KEPT)}
        step *= 2
    return kept


@dataclass(frozen=True)
class Recovered:
    """What of a store is sound.

    Attributes:
        record: The newest commit from which a run can continue.
        state: The bytes of its state.
        damaged: The damaged or missing files, by key.
    """

    record: Record
    state: bytes
    damaged: tuple[str, ...]


def read_records(files: Files) -> tuple[dict[int, Record], dict[int, Record], list[str]]:
    """Read all records and intents, by number, and the keys of those that are damaged.

    Raises:
        RunError: There is no store, or it is of another version of the format.
    """
    records: dict[int, Record] = {}
    intents: dict[int, Record] = {}
    damaged = []
    for name in files.list(FOLDER):
        key, kind = f"{FOLDER}/{name}", name.rpartition(".")[2]
        number = _number(key)
        if number < 0 or kind not in ("json", "intent"):
            continue
        try:
            record = read_record(files.where, key, files.read(key))
            (records if kind == "json" else intents)[number] = record
        except FileNotFoundError:
            # A writer has deleted it since.
            continue
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(key)
    if not records and not damaged:
        raise RunError(files.where, "there is no stored run", "Give the path that was store=.")
    return records, intents, damaged


def recover(files: Files) -> Recovered:
    """Check every file of a store, and find the newest commit from which a run can continue.

    Raises:
        RunError: There is no store, it is of another version of the format, or no commit is sound.
    """
    records, intents, damaged = read_records(files)
    newest = records[max(records)] if records else None
    if newest is not None:
        damaged += [key for n in newest.older if n not in records if (key := record_key(n))]
        # If a newer record is damaged, files may be right that do not fit the older one.
        if all(_number(key) <= newest.commit for key in damaged):
            damaged += _check_files(files, [newest, *intents.values()])
        good, bad = _check_blocks(files, newest)
        states = {n: read_sound(files, state_key(n), [r.state]) for n, r in records.items()}
        damaged += [*bad, *(state_key(n) for n, state in states.items() if state is None)]
        for number in sorted(records, reverse=True):
            state = states[number]
            if state is not None and len(records[number].blocks) <= good:
                return Recovered(records[number], state, tuple(sorted(set(damaged))))
    raise RunError(
        files.where,
        f"no commit is sound: {', '.join(sorted(damaged))} are damaged or missing",
        "Start the run again, with another store.",
    )


def read_sound(files: Files, key: str, hashes: Iterable[str]) -> bytes | None:
    """Return the bytes of a key if they have one of the hashes, else None."""
    try:
        data = files.read(key)
    except FileNotFoundError:
        return None
    return data if digest(data) in hashes else None


def _check_blocks(files: Files, record: Record) -> tuple[int, list[str]]:
    """Return how many blocks are sound from the first on, and the damaged files of all."""
    good, damaged = len(record.blocks), []
    for index, hashed in enumerate(record.blocks):
        listed = read_sound(files, block_key(index), [hashed])
        chunks: Mapping[str, str] = {} if listed is None else json.loads(listed)
        bad = [key for key, own in chunks.items() if read_sound(files, key, [own]) is None]
        bad += [block_key(index)] * (listed is None)
        good = min(good, index) if bad else good
        damaged += bad
    return good, damaged


def _check_files(files: Files, records: list[Record]) -> list[str]:
    """Return the replaceable files that are neither those of the newest record nor of an intent."""
    return [
        key
        for key in records[0].files
        if read_sound(files, key, [r.files[key] for r in records if key in r.files]) is None
    ]


def forget_after(files: Files, record: Record) -> Record:
    """Delete what does not belong to a record or to those before it that are kept.

    Returns:
        The record without files that may be replaced, so that the next commit writes them all.
    """
    kept = {key(n) for n in kept_commits(record.commit) for key in (record_key, state_key)}
    found = (f"{FOLDER}/{name}" for name in files.list(FOLDER))
    files.delete(key for key in found if _number(key) >= 0 and key not in kept)
    older = tuple(n for n in record.older if state_key(n) in kept)
    return replace(record, files={}, older=older)


def _number(key: str) -> int:
    """Return the number of the commit that a record, an intent or a state belongs to, or -1."""
    name = key.rpartition("/")[2].partition(".")[0]
    return int(name) if name.isdigit() else -1
