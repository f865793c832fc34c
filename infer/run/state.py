"""The state of a stopped run; what this version of the library cannot go on with is refused."""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import FunctionType
from typing import Any, NamedTuple

import jax
import numpy as np

from ..density.family import Family
from ..engines.base import Engine, Tuning
from ..errors import RunError
from .chains import make_tuning, outline_points, outline_states
from .devices import Plan
from .fingerprint import Fingerprint, refuse_others
from .tuned import join_tuning, match_form
from .warmup import Warmup

# Packages whose classes any process can import that reads a state.
KNOWN = ("infer", "numpy", "builtins")


@dataclass
class Timing:
    """Seconds of wall time that each part of a run took; `compile` is the time waited for XLA.

    XLA compiles in a thread of its own during the search for starts, which counts as `starts`.
    """

    starts: float = 0.0
    trace: float = 0.0
    compile: float = 0.0
    warmup: float = 0.0
    sampling: float = 0.0


class RunState(NamedTuple):
    """Everything a stopped run needs to go on, bit for bit; every array is on the host.

    It can be pickled; other versions of this library refuse what they cannot read.

    Attributes:
        made_for: Engine, sites, program and data; others are refused.
        plan: How the chains share the machine.
        warmup: What warm-up knows, and the chains with their records in the present window.
        timing: How long each part took.
        why_not_native: Why there is no native form, if there is none.
        key: Key data of the run, shape (2,).
    """

    made_for: Fingerprint
    plan: Plan
    warmup: Warmup
    timing: Timing
    why_not_native: str | None
    key: np.ndarray | None = None

    @property
    def tuning(self) -> Tuning:
        """The tuning in use."""
        return join_tuning(self.warmup.tuning, self.warmup.centering)

    def __reduce__(self) -> tuple[Any, ...]:
        from ..version import __version__  # Takes milliseconds, which few calls need.

        # The fields are pickled on their own, so that errors in reading them are explained.
        data = io.BytesIO()
        pickler = _Pickler(data)
        pickler.dump(tuple(self))
        return read_state, (data.getvalue(), __version__, pickler.left)


class _Pickler(pickle.Pickler):
    """Pickles all but others' classes and functions.

    Those are left to whoever pickles the state: cloudpickle can do it where pickle cannot.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.left: list[Any] = []

    def persistent_id(self, obj: Any) -> int | None:
        is_named = isinstance(obj, type | FunctionType)
        if not is_named or obj.__module__.partition(".")[0] in KNOWN:
            return None
        self.left.append(obj)
        return len(self.left) - 1


class _Unpickler(pickle.Unpickler):
    """Reads what `_Pickler` wrote."""

    def __init__(self, file: io.BytesIO, left: Sequence[Any]) -> None:
        super().__init__(file)
        self.left = left

    def persistent_load(self, pid: int) -> Any:
        return self.left[pid]


def read_state(data: bytes, version: str, left: Sequence[Any] = ()) -> RunState:
    """Read a pickled state.

    Args:
        data: The pickled fields.
        version: The version of this library that pickled them.
        left: Classes and functions in them that are not of this library.

    Raises:
        RunError: This version cannot read them.
    """
    try:
        return RunState(*_Unpickler(io.BytesIO(data), left).load())
    except Exception as error:  # noqa: BLE001 - classes that have changed may raise anything
        from ..version import __version__

        other = f"another version of this library ({version}) made it"
        why = other if version != __version__ else "its parts cannot be read"
        raise _explain(f"{why}: {error!r}") from error


def refuse_incomplete(state: Any) -> None:
    """Raise if a value is no state, or lacks what this version has in a state.

    Raises:
        RunError: It is no state, or lacks something.
    """
    if not isinstance(state, RunState):
        found = f"it is a {type(state).__name__}"
        raise RunError("state", found, "Give run.state, of a run that infer.start made.")
    warmup = state.warmup
    missing = _list_missing(warmup)
    missing = missing or [n for g in (*warmup.groups, *warmup.scouts) for n in _list_missing(g)]
    if missing:
        raise _explain(f"its warm-up has no {missing[0]!r}")


def refuse_unfit(state: RunState, family: Family, engine: Engine) -> None:
    """Raise if a run of this engine on these log densities cannot go on from a state.

    Raises:
        RunError: It is of another engine, other sites or data, or has other parts.
    """
    refuse_others(state.made_for, family, engine)
    points = outline_points(state.warmup.chains, family.member(0).size)
    here = match_form(engine, make_tuning(engine, family, points, None), state.warmup.tuning)
    if _describe(state.warmup.tuning) != _describe(here):
        raise _explain(
            f"its {type(state.warmup.tuning).__name__} has other parts than the engine's"
        )
    for group in (*state.warmup.groups, *state.warmup.scouts):
        here = outline_states(engine, points, group.state.on_host)
        if (group.state.structure, group.state.outline) != (here.structure, here.outline):
            raise _explain("its chains have other parts than the engine's")


def _list_missing(part: Any) -> list[str]:
    return [field.name for field in fields(part) if not hasattr(part, field.name)]


def _describe(tuning: Tuning) -> Any:
    """Describe the structure and the shapes of a tuning, whose scalars may be plain numbers."""
    leaves, structure = jax.tree.flatten(tuning)
    return structure, [np.shape(leaf) for leaf in leaves]


def _explain(found: str) -> RunError:
    return RunError(
        "state",
        found,
        "Go on with the version of this library and of the engine that made it, or begin a new "
        "run: infer.start(model, engine).",
    )
