"""Trace and evaluate a log density of many sites once, and do the same for equal sites at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array

from ..types import ProgramSignature, Scalar, Vector, signature_of
from .differentiating import value_and_gradient

# With fewer sites, a log density is compiled as it is written.
MANY_SITES = 30
# A method that takes a log density and arrays, and returns several results.
Method = Callable[..., tuple[Any, ...]]


def has_many_sites(density: Any) -> bool:
    """Return whether a log density has so many sites that it is traced once."""
    return len(density.sites) >= MANY_SITES


def compute_once(method: Method, part: int, density: Any, *arguments: Any) -> Any:
    """Compute one of the results of a method; with many sites, by a program that is traced once.

    Args:
        method: Takes the log density and the arguments.
        part: Index of the result.
        density: The log density.
        arguments: Arrays.
    """
    if not has_many_sites(density):
        return method(density, *arguments)[part]
    given = density, arguments
    program, structure = _stack(method, part, signature_of(given))
    return jax.tree.unflatten(structure, jaxpr_as_fun(program)(*jax.tree.leaves(given)))


def compute_values(method: Method, density: Any, position: Vector) -> dict[str, Array]:
    """Compute the values of all sites at a position, by name, in the order of the model.

    Args:
        method: Takes the log density and the position; the values are its second result.
        density: The log density.
        position: The position.
    """
    if not has_many_sites(density):
        return density.read(position)[0].values()
    # A program returns them sorted by name.
    found = compute_once(method, 1, density, position)
    return {site.name: found[site.name] for site in density.sites if site.name in found}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SiteStack:
    """Values of sites of one shape and type; a pytree.

    Attributes:
        names: Names of the sites, in the order of the model.
        values: Shape (sites, *site).
    """

    names: tuple[str, ...] = field(metadata={"static": True})
    values: Any


def compute_stacks(method: Method, density: Any, position: Vector) -> list[SiteStack]:
    """Compute what `compute_values` does; with many sites, in as few arrays as there are shapes."""
    if not has_many_sites(density):
        values = density.read(position)[0].values()
        return [SiteStack((name,), jnp.asarray(a)[None]) for name, a in values.items()]
    given = density, (position,)
    program, names = _stack_values(method, signature_of(given))
    stacks = jaxpr_as_fun(program)(*jax.tree.leaves(given))
    return [SiteStack(*own) for own in zip(names, stacks, strict=True)]


def join_rows(density: Any, rows: list[Array]) -> list[Array]:
    """Join the rows of all terms if there are many sites, so that one sum is compiled."""
    return [jnp.concatenate([own.reshape(-1) for own in rows])] if has_many_sites(density) else rows


def forget_traces() -> None:
    """Forget all programs, so that the Python code of models runs again."""
    _stack.cache_clear()
    _stack_values.cache_clear()
    _trace.cache_clear()


def find_trace(method: Method, density: Any, *arguments: Any) -> ClosedJaxpr:
    """Return the program that a method was traced to, for all of its results."""
    return _trace(method, signature_of((density, arguments)))[0]


@lru_cache(maxsize=64)
def _stack(method: Method, part: int, signature: ProgramSignature) -> tuple[ClosedJaxpr, Any]:
    """Return the program of one result, in which what is equal is stacked, and its structure."""
    from ..programs.stacked import stack_equal

    alone, outline = _trace_part(method, part, signature)
    return stack_equal(alone), jax.tree.structure(outline)


@lru_cache(maxsize=64)
def _stack_values(
    method: Method, signature: ProgramSignature
) -> tuple[ClosedJaxpr, list[tuple[str, ...]]]:
    """Return the program of the values, with a stack for each shape and type, and their names."""
    from ..programs.stacked import stack_results

    alone, outline = _trace_part(method, 1, signature)
    index = {name: i for i, name in enumerate(sorted(outline))}
    groups: dict[Any, list[str]] = {}
    for name in (site.name for site in signature.outline()[0].sites if site.name in outline):
        groups.setdefault((outline[name].shape, outline[name].dtype), []).append(name)
    program = stack_results(alone, [[index[name] for name in own] for own in groups.values()])
    return program, list(map(tuple, groups.values()))


def _trace_part(method: Method, part: int, signature: ProgramSignature) -> tuple[ClosedJaxpr, Any]:
    """Return the program of one result, and its outline."""
    program, outline = _trace(method, signature)
    counts = [len(jax.tree.leaves(own)) for own in outline]
    wanted = program.jaxpr.outvars[sum(counts[:part]) : sum(counts[: part + 1])]
    return ClosedJaxpr(program.jaxpr.replace(outvars=wanted), program.consts), outline[part]


@lru_cache(maxsize=64)
def _trace(method: Method, signature: ProgramSignature) -> tuple[ClosedJaxpr, tuple[Any, ...]]:
    """Trace a method for all of its results, which takes milliseconds for each site."""
    density, arguments = signature.outline()
    # JAX would not trace the same function again.
    return jax.make_jaxpr(lambda *own: method(*own), return_shape=True)(density, *arguments)


def evaluate_once(
    method: Method, density: Any, position: Vector, *others: Any
) -> tuple[Scalar, Vector]:
    """Evaluate a log density and its gradient; with many sites, in a branch that XLA keeps whole.

    XLA would merge the gradient, put together from as many parts as there are kinds of sites, into
    each of some thirty operations that use it. With 100 sites of one number, compiling NUTS took
    twice as long.

    Args:
        method: Takes the log density, the position and the others; its first result is evaluated.
        density: The log density.
        position: The position; if it is not finite, neither is the result.
        others: Further arguments.
    """

    def evaluate(position: Vector, *others: Any) -> tuple[Scalar, Vector]:
        compute = lambda q: compute_once(method, 0, density, q, *others)  # noqa: E731
        return value_and_gradient(compute, density.gradient)(position)

    if not has_many_sites(density):
        return evaluate(position, *others)

    def lie_outside(position: Vector, *_: Any) -> tuple[Scalar, Vector]:
        nowhere = jnp.full_like(position, jnp.nan)
        return jnp.asarray(jnp.nan, position.dtype), nowhere

    is_finite = jnp.isfinite(position.sum())
    return jax.lax.cond(is_finite, evaluate, lie_outside, position, *others)
