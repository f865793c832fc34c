"""Stan programs with their data, open in this process, found again by a hash of both."""

import re
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import numpy as np

from ....errors import ModelError
from .calls_to_stan import StanCalls
from .given import refuse_other_names, write_json
from .library import load
from .names import Quantity, gather
from .program_text import ProgramText
from .shapes import refuse_other_shapes

Runner = Literal["stanli", "bridgestan"]
_SYNTAX = re.compile(r"(\w+) error in .*?, line (\d+), column (\d+)")
_SIZES = re.compile(r"variable name=(\w+);.*dims declared=\((.*?)\); dims found=\((.*?)\)", re.S)
_VARIABLE = re.compile(r"variable name=(\w+)|unknown data variable (\w+)|check: (\w+)")


class Source(NamedTuple):
    """What is run; it hashes.

    Attributes:
        text: The program; empty if only its compiled library is known.
        library: Path of a library that BridgeStan compiled; empty to have the program run.
        runner: What runs the program.
        seed: Seed of `_rng` functions in transformed data and generated quantities.
    """

    text: str
    library: str
    runner: Runner
    seed: int


@dataclass(frozen=True)
class Opened:
    """A program with its data.

    Attributes:
        source: The program.
        data: Its data, by name.
        density: Its density, and its quantities.
        jacobian: The program whose density is the log-determinant; None if flags tell them apart.
    """

    source: Source
    data: dict[str, np.ndarray] = field(repr=False)
    density: StanCalls
    jacobian: StanCalls | None

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The parameters, transformed parameters and generated quantities."""
        return gather(self.density.names, self.density.generated_from)

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compute the log density of the constrained values, and of the Jacobian, at points.

        Returns:
            Log densities, their gradients, log-determinants, their gradients.
        """
        whole = self.density.log_densities(points, self.drops_constants, True)
        if self.jacobian is None:
            own = self.density.log_densities(points, self.drops_constants, False)
            return *own, *_minus(whole, own)
        log_det = self.jacobian.log_densities(points, True, True)
        return *_minus(whole, log_det), *log_det

    def constrain(self, points: np.ndarray) -> np.ndarray:
        """Compute all quantities at points; the numbers of a point are the seed of its own."""
        return self.density.constrain(points, np.array([self._seed_at(p) for p in points]))

    @property
    def drops_constants(self) -> bool:
        """Whether constants may be missing in the log density; stanli always drops them."""
        return self.jacobian is not None

    def _seed_at(self, point: np.ndarray) -> int:
        digest = sha256(point.tobytes() + self.source.seed.to_bytes(8, "little", signed=True))
        return int.from_bytes(digest.digest()[:4], "little")


# Folders of compiled programs, which are deleted at the end of the process.
_folders: list[TemporaryDirectory] = []
_opened: dict[tuple[Source, bytes], Opened] = {}


def open_program(source: Source, data: dict[str, np.ndarray]) -> tuple[Opened, np.ndarray]:
    """Open a program with data, unless it is open.

    Returns:
        The open program, and the hash of its data, by which `find_opened` finds it; shape (2,).

    Raises:
        ModelError: The program is wrong, or the data do not fit it.
    """
    text = ProgramText(source.text)
    if source.text:
        refuse_other_names(data, text.data_names)
        refuse_other_shapes(text, data)
    key = sha256(write_json(data).encode()).digest()[:8]
    if (source, key) not in _opened:
        _opened[source, key] = _open(source, text, data)
    return _opened[source, key], np.frombuffer(key, np.uint32)


def find_opened(source: Source, key: np.ndarray) -> Opened:
    """Return the open program with the data of this hash.

    Raises:
        ModelError: It was opened in another process.
    """
    found = _opened.get((source, np.asarray(key, np.uint32).tobytes()))
    if found is None:
        raise ModelError(
            "Stan program",
            "it is not open in this process",
            "Make the model here by infer.from_stan, of the same program and data.",
        )
    return found


def _open(source: Source, text: ProgramText, data: dict[str, np.ndarray]) -> Opened:
    density = StanCalls(_make(source, source.text, data))
    if not density.size:
        raise ModelError(
            "Stan program",
            "it declares no parameters, so there is nothing to infer",
            "Declare some in its parameters block.",
        )
    if source.runner == "bridgestan":
        return Opened(source, data, density, None)
    # The interpreter has the density with the Jacobian alone.
    inner = StanCalls(_make(source, text.jacobian_program(), data))
    return Opened(source, data, density, inner)


def _make(source: Source, text: str, data: dict[str, np.ndarray]) -> Any:
    bridgestan, json = load("bridgestan"), write_json(data)
    try:
        if source.runner == "stanli":
            return load("stanli").bridgestan_model(stan_code=text, data=json, seed=source.seed)
        library = source.library or _compile(bridgestan, text)
        return bridgestan.StanModel(library, json, seed=source.seed, warn=False)
    except ModelError:
        raise
    except (RuntimeError, ValueError) as error:
        raise _explain(str(error).strip(), source.text, data) from error


@cache
def _compile(bridgestan: Any, text: str) -> str:
    """Compile a program for calls from several threads; return the path of its library."""
    folder = TemporaryDirectory(prefix="stan-", ignore_cleanup_errors=True)
    _folders.append(folder)
    path = Path(folder.name) / "model.stan"
    path.write_text(text)
    try:
        return str(bridgestan.compile_model(path, make_args=["STAN_THREADS=true"]))
    except (RuntimeError, ValueError) as error:
        if _SYNTAX.search(str(error)):
            raise
        raise ModelError(
            "BridgeStan",
            f"it cannot compile the program: {str(error).strip().splitlines()[-1].rstrip('.')}",
            "It needs a C++ compiler, and its sources in the folder that the environment variable "
            'BRIDGESTAN names. runner="stanli" needs neither.',
        ) from error


def _explain(message: str, text: str, data: dict[str, np.ndarray]) -> ModelError:
    """Say where a program or its data are wrong, in Stan's words."""
    if found := _SYNTAX.search(message):
        kind, line, column = found[1].lower(), int(found[2]), found[3]
        # What follows the excerpt of the program.
        said = " ".join(message.rpartition("\n\n")[2].split()).rstrip(".?")
        code = text.splitlines()[line - 1].strip() if text else ""
        return ModelError(
            "Stan program",
            f"{kind} error in line {line}, column {column}, {code!r}: {said}",
            "Correct the program.",
        )
    if found := _SIZES.search(message):
        declared, given = (f"({', '.join(s.split(','))})" for s in (found[2], found[3]))
        return ModelError(
            found[1],
            f"the program declares it with shape {declared}, and the data have shape {given}",
            "Make the sizes in the data agree with the arrays.",
        )
    found = _VARIABLE.search(message)
    where = next(filter(None, found.groups())) if found else "Stan program"
    mend = (
        f"Give whole numbers, such as {where}={data[where].flat[0]:.0f}."
        if where in data and "non-int" in message
        else f"Give other data for {where!r}, or change how the program declares it."
        if where in data
        else "Change what the program does there; the interpreter lacks a few parts of Stan."
    )
    return ModelError(where, f"Stan says: {message.rstrip('.')}", mend)


def _minus(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore"):
        return first[0] - second[0], first[1] - second[1]
