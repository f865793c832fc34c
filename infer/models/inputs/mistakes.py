"""Translate errors of JAX, NumPy and NumPyro in a model's function: name the site and the fix."""

import linecache
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from bijectors.errors import ExplainedError

from ...calls import explain_misfit
from ...errors import ModelError
from ...loaded import find_loaded


class Origins(NamedTuple):
    """Names of the sites and the data that a traced value was computed from."""

    sites: Sequence[str] = ()
    data: Sequence[str] = ()


class _Kind(NamedTuple):
    """An operation that needs a known value but was given a traced one, and what to do instead."""

    what: str
    mend: str


class _Line(NamedTuple):
    """A line of the user's code."""

    place: str
    code: str


@contextmanager
def translate_errors(origins: Callable[[], Origins] = Origins) -> Iterator[None]:
    """Translate known errors that are raised inside the block; let all others pass.

    Args:
        origins: Finds what the value at fault was computed from; called only for such an error.

    Raises:
        ModelError: Replaces errors about traced values, indices, attributes of `site`, and names
            and values of distributions' arguments; the original error is its cause.
    """
    try:
        yield
    except ExplainedError as error:
        # JAX adds a note about its shortened traceback; without it, the mend is the last line.
        if notes := getattr(error, "__notes__", []):
            notes[:] = [note for note in notes if not note.startswith("-----")]
        raise
    except Exception as error:  # noqa: BLE001 - the user's function may raise anything
        ours = _of_tracer(error, origins) or next(filter(None, (f(error) for f in _OTHER)), None)
        if ours is None:
            raise
        raise ours from error


@contextmanager
def naming_arguments() -> Iterator[None]:
    """Make an error about a traced value name the arguments that the value depends on.

    Some errors of JAX do not name them. Converting the value to NumPy raises one that does.
    """
    try:
        yield
    except Exception as error:
        found = _innermost(error.__traceback__)
        if found is not None and "depends on the value" not in str(error):
            np.asarray(found)
        raise


def _innermost(traceback: TracebackType | None) -> Tracer | None:
    """Return the traced value in the innermost frame of a traceback that has one."""
    found = None
    while traceback is not None:
        own = [v for v in traceback.tb_frame.f_locals.values() if isinstance(v, Tracer)]
        found, traceback = (own or [found])[-1], traceback.tb_next
    return found


def _innermost_locals(traceback: TracebackType | None) -> Mapping[str, Any]:
    """Return the variables of the function that raised an error."""
    found: Mapping[str, Any] = {}
    while traceback is not None:
        found, traceback = traceback.tb_frame.f_locals, traceback.tb_next
    return found


_BOOL = _Kind(
    "Python's `if`, `while`, `and`, `or` or `not` needs to know whether it is true",
    "Write jnp.where(condition, a, b) in place of `if`, and & and | in place of `and` and `or`; "
    "jax.lax.cond and jax.lax.fori_loop take whole branches and loops.",
)
_NUMPY = _Kind(
    "a function of NumPy or SciPy is called on it",
    "Call the function of jax.numpy or jax.scipy instead.",
)
_NUMBER = _Kind(
    "float(), int() or a function of math needs its numeric value",
    "Keep it an array: jnp.log in place of math.log, x.astype(int) in place of int(x).",
)
_INDEX = _Kind(
    "it is used as an index of a list, or as a number of steps",
    "Index an array: jnp.asarray(values)[i]. For a number of steps, pass infer.static(n).",
)
_MASK = _Kind(
    "a mask computed from it selects entries, so their number is not known",
    "Keep all entries, and write jnp.where(mask, value, 0.0).",
)
# The first match is used, since some are special cases of others.
_KINDS: tuple[tuple[type[Exception], str, _Kind], ...] = (
    (jax.errors.TracerBoolConversionError, "", _BOOL),
    (jax.errors.TracerArrayConversionError, "", _NUMPY),
    (jax.errors.TracerIntegerConversionError, "", _INDEX),
    (jax.errors.NonConcreteBooleanIndexError, "", _MASK),
    (jax.errors.ConcretizationTypeError, "", _NUMBER),
    (TypeError, "Only integer scalar arrays can be converted", _INDEX),
)
_STATIC = "Pass infer.static(x): it is then known, so Python may branch on it and NumPy may use it."
_TABLE = _Kind(
    "a table or a series among the data was converted to an array, which has no columns",
    'Pass its columns by name: infer.model(f, height=table["height"].to_numpy()).',
)


def _of_tracer(error: Exception, origins: Callable[[], Origins]) -> ModelError | None:
    line = line_of(error.__traceback__)
    if isinstance(error, TypeError) and "does not support string indexing" in str(error):
        return ModelError("data", f"{_TABLE.what}{line.place}", _TABLE.mend)
    fits = (k for kind, begin, k in _KINDS if isinstance(error, kind) and begin in str(error))
    kind = next(fits, None)
    if kind is None:
        return None
    sites, data = origins()
    mend = _jax_name(line.code) or kind.mend if kind is _NUMPY else kind.mend
    if data and not sites:
        mend = f"{_STATIC} Or: {mend[0].lower()}{mend[1:]}"
        found = "its values are arguments of the compiled program, not known before it runs, and"
    else:
        found = "its value is not known before the program runs, and"
    where = ", ".join([*sites] or [*data]) or "model"
    return ModelError(where, f"{found} {kind.what}{line.place}", mend)


def _jax_name(code: str) -> str:
    """Name the function of JAX that replaces the one of NumPy or math that a line calls."""
    for name in re.findall(r"\b(?:np|numpy|math)\.(\w+)\(", code):
        if hasattr(jnp, name):
            return f"Call jnp.{name} in place of np.{name}."
    return ""


def line_of(traceback: TracebackType | None) -> _Line:
    """Return the last line of the user's own code in a traceback."""
    found = _Line("", "")
    while traceback is not None:
        name, number = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        if not any(Path(name).is_relative_to(folder) for folder in _OTHERS):
            code = linecache.getline(name, number).strip()
            shown = f": `{code}`" if code else ""
            found = _Line(f" ({Path(name).name}, line {number}{shown})", code)
        traceback = traceback.tb_next
    return found


_PACKAGES = Path(__file__).parents[3]
_OTHERS = (
    *(_PACKAGES / name for name in ("infer", "bijectors")),
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
)

# Names in other libraries for what `site` does.
_ATTRIBUTES = {
    "sample": "site(name, prior)",
    "deterministic": "site.derive(name, value)",
    "potential": "site.factor(name, log_density)",
    "observed": "site.observe(name, prior, value)",
    "obs": "site.observe(name, prior, value)",
    "data": "an argument of the function: infer.model(f, y=y)",
}


def _of_attribute(error: Exception) -> ModelError | None:
    """Translate the use of an attribute that `site` does not have."""
    if not isinstance(error, AttributeError) or type(error.obj).__name__ != "Sites":
        return None
    known = [name for name in dir(error.obj) if not name.startswith("_")]
    ours = _ATTRIBUTES.get(error.name or "")
    mend = f"Write {ours}." if ours else f"There are {', '.join(f'site.{n}' for n in known)}."
    return ModelError(f"site.{error.name}", "`site` has no such method", mend)


# Names of distributions' arguments in PyMC, Stan and TFP, with NumPyro's.
_PARAMETERS = {
    "mu": "loc",
    "mean": "loc",
    "sigma": "scale",
    "sd": "scale",
    "std": "scale",
    "stddev": "scale",
    "nu": "df",
    "lam": "rate",
    "mu_rate": "rate",
    "p": "probs",
    "n": "total_count",
    "eta": "concentration",
    "cov": "covariance_matrix",
    "chol": "scale_tril",
    "lower": "low",
    "upper": "high",
    "kappa": "concentration",
    "beta": "rate",
    "shape": "batch_shape",
}


def _of_distribution(error: Exception) -> ModelError | None:
    """Translate the use of an argument that a distribution of NumPyro does not have."""
    pattern = r"(\w+)\.(__init__|expand)\(\) got an unexpected keyword argument '(\w+)'"
    found = re.match(pattern, str(error)) if isinstance(error, TypeError) else None
    if not found:
        return None
    name, method, word = found.groups()
    kind = find_loaded(f"numpyro.distributions.{name}")
    if kind is None:
        return None
    known = [p for p in signature(getattr(kind, method)).parameters if p != "self"]
    ours = [_PARAMETERS.get(word), "concentration1", "concentration"]
    ours = next((o for o in ours[: 3 if word in ("alpha", "a") else 1] if o in known), None)
    where = name if method == "__init__" else f"{name}.expand"
    takes = f"It takes {', '.join(n for n in known if n != 'validate_args')}."
    mend = f"NumPyro calls it {ours}. {takes}" if ours else takes
    line = line_of(error.__traceback__)
    return ModelError(where, f"it takes no argument {word!r}{line.place}", mend)


def _of_value(error: Exception) -> ModelError | None:
    """Translate an argument of a distribution that lies outside its set."""
    said = re.fullmatch(r"(\w+) distribution got invalid (\w+) parameter\.", str(error))
    if not said or not isinstance(error, ValueError):
        return None
    found, line = f"its {said[2]} lies outside its set", line_of(error.__traceback__)
    raised = _innermost_locals(error.__traceback__)
    if {"value", "constraint"} <= raised.keys():
        own = raised["constraint"]
        with suppress(Exception):
            found = f"its {said[2]} {_show_outside(raised['value'], own)}, outside {own!r}"
    return ModelError(said[1], f"{found}{line.place}", "Give a value inside this set.")


def _show_outside(given: Any, constraint: Any) -> str:
    """Say what a value outside a set of NumPyro is: of many entries, the first one outside."""
    value = np.asarray(given)
    if value.size <= 6:
        return f"is {' '.join(np.array2string(value, separator=', ').split())}"
    inside = np.asarray(constraint(value))
    if inside.all() or not inside.ndim or value.shape[: inside.ndim] != inside.shape:
        return f"has shape {value.shape}"
    at = tuple(int(i) for i in np.argwhere(~inside)[0])
    entry = value[at]
    what = entry if entry.size == 1 else f"an array of shape {entry.shape}"
    return f"is {what} at index {at[0] if len(at) == 1 else at}"


def _of_index(error: Exception) -> ModelError | None:
    """Translate an index that is no integer."""
    pattern = r"(?:Indexer|.* indices) must .* integer.* type, got (?:.* type )?(\w+)"
    said = re.match(pattern, str(error))
    if not said or not isinstance(error, TypeError):
        return None
    found = f"it holds {said[1]}, and only whole numbers and booleans select entries"
    line = line_of(error.__traceback__)
    return ModelError("index", f"{found}{line.place}", "Convert the data: x.astype(int).")


def _of_compiled(error: Exception) -> ModelError | None:
    """Translate that a function that JAX compiles takes `site`."""
    if not isinstance(error, TypeError) or ".dsl.sites.Sites'>" not in str(error):
        return None
    found = "it is given to a function that JAX transforms, which takes only arrays"
    line = line_of(error.__traceback__)
    mend = (
        "Take jax.jit away: a model is compiled as a whole. In place of lax.cond, lax.scan and "
        "vmap there are site.cond, site.scan and site.vmap."
    )
    return ModelError("site", f"{found}{line.place}", mend)


_OTHER = (_of_attribute, _of_distribution, _of_value, _of_index, _of_compiled)


def refuse_unfit(
    where: str,
    function: Any,
    args: Sequence[Any],
    named: Mapping[str, Any],
    called: str,
    mend: str = "Change the function so that it takes these arguments.",
) -> None:
    """Raise if a model's function does not take the arguments that it will be given.

    Args:
        where: What to name in errors.
        function: The user's function.
        args: Arguments by position.
        named: Arguments by name.
        called: The call, such as "f(site, y)".
        mend: What to do if it does not take the arguments by position.

    Raises:
        ModelError: It is not a function, or takes other arguments.
    """
    if not callable(function):
        kind = type(function).__name__
        raise ModelError(
            where, f"{kind} is not a function", f"Give a function that is called as {called}."
        )
    try:
        # A wrapper may take other arguments than what it wraps; one of JAX takes the same.
        is_compiled = isinstance(function, jax.stages.Wrapped)
        own = getattr(function, "__wrapped__", function) if is_compiled else function
        wanted = signature(own, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    if said := explain_misfit(wanted, args, named):
        takes = f"({', '.join(wanted.parameters)})"
        found = f"the function is called as {called}, but takes {takes}"
        raise ModelError(where, found, said[1] if "no argument" in said[0] else mend)
