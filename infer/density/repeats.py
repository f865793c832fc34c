"""Check that a model's log density is the same each time its Python code runs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal
from jaxtyping import Array

from ..errors import ModelError
from ..programs.cached import forget_found
from ..programs.kernels import compile_as_kernels
from ..programs.rewrite import list_inner_programs
from ..types import ProgramSignature, signature_of
from .base import LogDensity
from .family import Family
from .once import find_trace, forget_traces, has_many_sites
from .points import Evaluate

# Difference between two programs, in nats, that may be rounding and changes no draw.
SMALL = 0.05
# Rounding error of one log density, in units of its last place.
ROUNDING = 1e3
# Sites up to which a program that was traced once is traced again, at 3 ms each.
MOST_SITES = 300
# Points at which two programs are compared, in turn, until the log density is finite: standard
# deviations of their coordinates.
SPREADS = np.array([[1.0], [0.1], [0.01]])
# Densities that were traced twice with the same constants, by signature.
MOST_KEPT = 256
_traced_alike: set[ProgramSignature] = set()
MEND = "Draw random numbers beforehand and pass them as data; read no state from outside."


def refuse_unless_reproduced(
    family: Family, positions: np.ndarray, recorded: np.ndarray, evaluate: Evaluate
) -> None:
    """Compare the log densities of two programs, each of which traced the model's Python code.

    Rounding may differ much between programs. So if they disagree, the model's Python code is run
    twice more, and the error is raised only if these two runs disagree.

    Args:
        family: The log densities.
        positions: One draw of each lane, shape (lanes, size).
        recorded: The log densities that the sampling program recorded there, shape (lanes,).
        evaluate: Evaluates points by the program that evaluated the starts.

    Raises:
        ModelError: The log density differs when the model runs again.
    """
    found = evaluate(positions[None]).log_densities[0]
    both = np.isfinite(found) & np.isfinite(recorded)
    apart = both & (np.abs(found - recorded) > np.maximum(SMALL, _rounding_of(found)))
    shares_trace = has_many_sites(family.member(0))
    if apart.any() or (shares_trace and _is_traced_otherwise(family.member(0), positions[0])):
        lane = int(np.argmax(apart))
        member = family.member(lane * family.count // len(positions))
        refuse_unless_deterministic(member, jnp.asarray(positions[lane]))


def refuse_unless_traced_alike(density: LogDensity) -> None:
    """Compare the constants of two traces, where no draws are recorded that could be compared.

    Raises:
        ModelError: The log density differs when the model runs again.
    """
    signature = signature_of(density)
    if density.minibatches or not density.has_value or signature in _traced_alike:
        return
    points = np.random.default_rng(0).normal(size=(len(SPREADS), density.size)) * SPREADS
    if _is_traced_otherwise(density, points[0]):
        for point in points:
            if np.isfinite(refuse_unless_deterministic(density, jnp.asarray(point))):
                return
    if len(_traced_alike) >= MOST_KEPT:
        _traced_alike.clear()
    _traced_alike.add(signature)


def refuse_unless_deterministic(density: LogDensity, point: Array) -> float:
    """Run the model's Python code twice, not one program twice; return its log density.

    Raises:
        ModelError: The log density differs the second time.
    """
    runs = [_lower_anew(density, point) for _ in range(2)]
    once, again = (float(compile_as_kernels(run).call(density, point)) for run in runs)
    is_other = np.isfinite(once) != np.isfinite(again)
    if is_other or abs(once - again) > _rounding_of(np.asarray(once, point.dtype)):
        forget_found()
        raise ModelError(
            "model", f"its log density was {once:.6g}, and {again:.6g} when run again", MEND
        )
    return once


def _lower_anew(density: LogDensity, point: Array) -> Any:
    # JAX traces a new function again, so each program has seen the Python code run.
    forget_traces()
    return jax.jit(lambda d, q: d.components(q).value).lower(density, point)


def _is_traced_otherwise(density: LogDensity, position: np.ndarray | Array) -> bool:
    """Return whether the density has other constants if it is traced again."""
    if len(density.sites) > MOST_SITES:
        return False
    method, point = type(density)._total_and_values, jnp.asarray(position)
    trace = lambda: jax.make_jaxpr(lambda *own: method(*own))(density, point)  # noqa: E731
    # All programs share the trace of a density with many sites.
    first = find_trace(method, density, point) if has_many_sites(density) else trace()
    once, again = _list_constants(first), _list_constants(trace())
    same = lambda a, b: a is b or _read_bytes(a) == _read_bytes(b)  # noqa: E731
    return len(once) != len(again) or not all(map(same, once, again))


def _list_constants(program: Any) -> list[Any]:
    """List the constants of a program and of those inside it."""
    jaxpr, found = getattr(program, "jaxpr", program), [*getattr(program, "consts", ())]
    for equation in jaxpr.eqns:
        found += [atom.val for atom in equation.invars if isinstance(atom, Literal)]
    inner = [own for equation in jaxpr.eqns for own in list_inner_programs(equation)]
    return found + [each for program in inner for each in _list_constants(program)]


def _read_bytes(constant: Any) -> bytes:
    is_key = jax.dtypes.issubdtype(getattr(constant, "dtype", None), jax.dtypes.extended)
    return np.asarray(jax.random.key_data(constant) if is_key else constant).tobytes()


def _rounding_of(log_density: np.ndarray) -> Any:
    return ROUNDING * np.finfo(log_density.dtype).eps * np.maximum(1.0, np.abs(log_density))
