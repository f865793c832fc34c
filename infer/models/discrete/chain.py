"""Sum a chain of discrete states out of a scan by the forward recursion, and draw it backward.

Each step of the scan declares one discrete site, and the next step may depend on its value through
the carry. With K values and T steps the step is evaluated T K^2 times, and not K^T times. On
accelerators `blocks.py` evaluates many steps at once.

Source: Rabiner (1989), A tutorial on hidden Markov models, equations 19 to 21, in logarithms; and
Fruehwirth-Schnatter (2006), Finite Mixture and Markov Switching Models, algorithm 11.5, for draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array

from bijectors.base import Shape

from ...errors import ModelError
from ..inputs.names import join_names
from ..protocol.site import Declaration
from .blocks import is_parallel, multiply_blocks
from .log_sum import log_sum_exp
from .owners import SEVERAL, Owners, combine, find_owners
from .support import Finite


class Step(NamedTuple):
    """What one step of a scan computes.

    Attributes:
        carry: What it passes to the next step.
        terms: Rows of the terms of the log density, by name.
        sites: All that belongs to continuous sites: values, bounds, log-determinants.
        others: What it records and returns.
    """

    carry: Any
    terms: dict[str, Array]
    sites: Any
    others: Any


# Runs one step, given the carry, its row of the arrays, and the value of its discrete site.
RunStep = Callable[[Any, Any, Array], Step]


@dataclass(frozen=True)
class Chain:
    """A discrete site of all steps of a scan, which is summed out already.

    Attributes:
        declaration: The site, with an axis of steps in front.
        dtype: Type of a value, as its prior draws it.
    """

    declaration: Declaration
    dtype: Any

    @property
    def shape(self) -> Shape:
        """Shape of a value."""
        return self.declaration.shape


class SummedChain(NamedTuple):
    """A chain whose states are summed out.

    Attributes:
        rows: Log density in nats of the terms that depend on the states, one for each entry.
        depends: Which numbers of a `Step` depend on the states.
        draw: Draws the states of all steps from a key.
    """

    rows: Array
    depends: Step
    draw: Callable[[Array], Array]


class _Traced(NamedTuple):
    """One step of the scan, traced.

    Attributes:
        program: The step: carry, row of the arrays and value in, all parts of a `Step` out.
        outputs: Shapes of a `Step`.
        carried: Which leaves of the carry depend on the states.
        rows: For each term that depends on the states, the entry each of its rows depends on.
        depends: Which leaves of a `Step` depend on the states.
    """

    program: ClosedJaxpr
    outputs: Any
    carried: list[bool]
    rows: dict[int, np.ndarray]
    depends: list[bool]


def sum_chain(
    run: RunStep, carry: Any, xs: Any, length: int, reverse: bool, site: Finite
) -> SummedChain:
    """Sum the states of all steps out.

    Args:
        run: Runs one step.
        carry: Carry of the first step, of the types that the steps return.
        xs: Arrays whose rows the steps are given.
        length: Number of steps.
        reverse: Whether to start with the last row.
        site: The discrete site that each step declares.

    Raises:
        ModelError: The states of more than two steps, or several entries of the site, are joined;
            or the set or the map of a continuous site depends on a state.
    """
    traced = _trace_step(run, carry, xs, site)
    first = [
        jnp.broadcast_to(leaf, (site.count, *leaf.shape)) if moves else leaf
        for leaf, moves in zip(jax.tree.leaves(carry), traced.carried, strict=True)
    ]
    # The first carry is the same for all values that the site could have had before.
    even = jnp.full((site.count, site.low.size), -np.log(site.count))

    def forward(keep: bool) -> tuple[Array, Any]:
        def body(state: tuple[list[Array], Array], x: Any) -> tuple[Any, Any]:
            before, alpha = state
            after, joined = _join_states(traced, site, before, x)
            log_next = log_sum_exp(alpha[:, None] + joined, axis=0)
            return (after, log_next), (alpha, joined) if keep else None

        (_, alpha), kept = jax.lax.scan(body, (first, even), xs, length, reverse)
        return alpha, kept

    if is_parallel():
        join = partial(_join_states, traced, site)
        rows = jax.tree.map(lambda a: a[::-1], xs) if reverse else xs
        alpha = multiply_blocks(join, first, traced.carried, even, rows, length)
    else:
        alpha, _ = forward(keep=False)
    depends = jax.tree.unflatten(jax.tree.structure(traced.outputs), traced.depends)
    draw = lambda key: _draw_backward(key, *forward(keep=True), reverse, site)  # noqa: E731
    return SummedChain(log_sum_exp(alpha, axis=0).reshape(site.shape), depends, draw)


def _join_states(
    traced: _Traced, site: Finite, carry: Sequence[Array], x: Any
) -> tuple[list[Array], Array]:
    """Evaluate a step for all values of the state before it and of its own.

    Returns:
        The carry, with an axis of own values where it depends on them; and the log density in
        nats, shape (values before, own values, entries).
    """

    def call(moving: list[Array], k: Array) -> list[Array]:
        own = iter(moving)
        pairs = zip(carry, traced.carried, strict=True)
        leaves = [next(own) if moves else leaf for leaf, moves in pairs]
        return jaxpr_as_fun(traced.program)(*leaves, *jax.tree.leaves(x), site.value(k))

    moving = [leaf for leaf, moves in zip(carry, traced.carried, strict=True) if moves]
    index = jnp.arange(site.count)
    by_own = jax.vmap(call, (None, 0))
    # Without an axis of states in the carry, vmap has to be told their number.
    found = jax.vmap(by_own, (0, None), axis_size=site.count)(moving, index)
    after = [
        leaf[0] if moves else leaf[0, 0] for leaf, moves in zip(found, traced.carried, strict=False)
    ]
    joined = jnp.zeros((site.count, site.count, site.low.size))
    for i, owners in traced.rows.items():
        joined = joined + _add_rows(found[i], owners, site.low.size)
    repeated = site.is_repeated()
    return after, joined if repeated is None else jnp.where(repeated, -jnp.inf, joined)


def _add_rows(table: Array, owners: np.ndarray, size: int) -> Array:
    """Add the rows of each entry; rows that depend on none are added to the first."""
    flat = table.reshape(*table.shape[:2], -1)
    if np.array_equal(owners.reshape(-1), np.arange(size)):
        return flat
    entries = np.maximum(owners.reshape(-1), 0)
    return jnp.zeros((*flat.shape[:2], size), flat.dtype).at[..., entries].add(flat)


def _draw_backward(
    key: Array, alpha: Array, kept: tuple[Array, Array], reverse: bool, site: Finite
) -> Array:
    """Draw the last state, and then each state given the one after it."""
    length = len(kept[0])
    keys = jax.random.split(key, length + 1)

    def body(state: Array, given: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        key, before, joined = given
        logits = before + jnp.take_along_axis(joined, state[None, None], axis=1)[:, 0]
        return jax.random.categorical(key, logits, axis=0), state

    state = jax.random.categorical(keys[0], alpha, axis=0)
    _, states = jax.lax.scan(body, state, (keys[1:], *kept), reverse=not reverse)
    return jax.vmap(site.pick)(states)


def _trace_step(run: RunStep, carry: Any, xs: Any, site: Finite) -> _Traced:
    """Trace a step, and find what depends on the states and how."""
    row = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), xs)
    value = jax.ShapeDtypeStruct(site.shape, site.dtype)
    program, outputs = jax.make_jaxpr(run, return_shape=True)(carry, row, value)
    size, inputs = len(jax.tree.leaves(carry)), len(program.jaxpr.invars)
    entries = np.arange(site.low.size).reshape(site.shape)

    def follow(before: Sequence[Owners], own: Owners) -> list[Owners]:
        return find_owners(program, [*before, *[None] * (inputs - size - 1), own])

    by_own = follow([None] * size, entries)
    by_before = follow(by_own[:size], None)
    _refuse_longer_memory(by_own[:size], by_before[:size], site)
    depends = [a is not None or b is not None for a, b in zip(by_own, by_before, strict=True)]
    flags = jax.tree.unflatten(jax.tree.structure(outputs), depends)
    _refuse_moved_sites(flags, site)
    at, rows = size, {}
    for name, shape in sorted(outputs.terms.items()):
        if depends[at]:
            found = [o for o in (by_own[at], by_before[at]) if o is not None]
            rows[at] = combine(*found).reshape(shape.shape)
            _refuse_joined_entries(name, rows[at], site)
        at += 1
    return _Traced(program, outputs, depends[:size], rows, depends)


def _refuse_longer_memory(own: Sequence[Owners], before: Sequence[Owners], site: Finite) -> None:
    """Raise if the carry remembers more than the value of the last step."""
    name, count = site.declaration.name, site.count
    if any(owners is not None for owners in before):
        raise ModelError(
            name,
            "what a step carries depends on the values of more than one step, so a sum "
            f"over T steps has {count}^T terms",
            "Let the carry depend on the value of the step alone; a chain that remembers two "
            f"values is one of a site with {count}^2 values.",
        )
    if any(owners is not None and (owners == SEVERAL).any() for owners in own):
        raise ModelError(
            name,
            "what a step carries joins several of its entries, so their sum has "
            f"{count}^{site.low.size} terms",
            "Carry the value itself.",
        )


def _refuse_moved_sites(depends: Step, site: Finite) -> None:
    if any(jax.tree.leaves(depends.sites)):
        raise ModelError(
            site.declaration.name,
            "the bounds or the map of a continuous site in the scan depend on it, so that site has "
            "no one value for all values of this one",
            "Let only priors and observations depend on it: give the continuous site bounds that "
            "do not, and leave centered=True.",
        )


def _refuse_joined_entries(name: str, owners: np.ndarray, site: Finite) -> None:
    if (owners == SEVERAL).any():
        raise ModelError(
            site.declaration.name,
            f"a row of {name!r} depends on several of its entries, so the sum of one step has "
            f"{site.count}^{site.low.size} terms",
            "Let each row of a term depend on one entry, of this step and of the step before.",
        )


def refuse_several(sites: Mapping[str, Finite | Chain]) -> None:
    """Raise if a step of a scan declares several discrete sites, or has a chain of its own."""
    for name, site in sites.items():
        if isinstance(site, Chain):
            raise ModelError(
                name,
                "it is a chain of states in each step or row of another loop",
                "Scan once, with an entry of the site for each row: "
                "dist.Categorical(probs) with probs of shape (rows, values).",
            )
    if len(sites) > 1:
        counts = " * ".join(str(s.count) for s in sites.values() if isinstance(s, Finite))
        raise ModelError(
            list(sites)[1],
            f"each step or row declares {join_names(sites)}, which are to be summed out",
            f"Declare one site with {counts} values, and compute the others from it.",
        )
