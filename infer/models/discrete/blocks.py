"""Sum a chain of discrete states by products of blocks of its steps, which run at once.

The forward recursion multiplies a vector by one matrix a step, T of them one after the other. The
product of the matrices can also be formed by pairs, in log2 T rounds. That costs K^3 for a step in
the place of K^2, which accelerators hardly notice.

Source: Hassan, Sarkka & Garcia-Fernandez (2021), Temporal parallelization of inference in hidden
Markov models, algorithm 2, of which only the last product is needed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .log_sum import log_sum_exp

# Numbers of the matrices of a block: 2 MiB in double precision for each chain of a sampler, of
# which an accelerator may hold a thousand. The gradient holds those of one block at a time.
BLOCK_NUMBERS = 2**18

# Takes the carry before a step, as leaves, and the step's row of the arrays; returns the carry
# after it and logarithms of the step's matrix, shape (values before, own values, entries).
Join = Callable[[Sequence[Array], Any], tuple[list[Array], Array]]
# Carry before a block, and the vector multiplied so far.
_State = tuple[list[Array], Array]


def is_parallel() -> bool:
    """Return whether steps that run at once are faster than steps that run in turn."""
    return jax.default_backend() != "cpu"


def multiply_blocks(
    join: Join, first: list[Array], carried: Sequence[bool], alpha: Array, xs: Any, length: int
) -> Array:
    """Multiply a vector by the matrices of all steps.

    Args:
        join: Evaluates a step for all values of the state before it and of its own.
        first: Carry before the first step, as leaves.
        carried: Which of them depend on the state, and on nothing else that is carried.
        alpha: Logarithms of the vector, shape (values, entries).
        xs: Arrays whose rows the steps are given, in the order of the steps.
        length: Number of steps.

    Returns:
        Logarithms of the product, shape (values, entries).
    """
    size = max(1, BLOCK_NUMBERS // max(alpha.shape[0] * alpha.size, 1))
    blocks, rest = divmod(length, size)

    def advance(count: int, state: _State, rows: Any) -> tuple[_State, None]:
        carry, alpha = state
        after, matrices = _join_block(join, carry, carried, rows, count)
        return (after, log_sum_exp(alpha[:, None] + _multiply_all(matrices), axis=0)), None

    state = first, alpha
    if rest:
        state, _ = advance(rest, state, jax.tree.map(lambda a: a[:rest], xs))
    if blocks:
        cut = lambda a: a[rest:].reshape(blocks, size, *a.shape[1:])  # noqa: E731
        advance_block = jax.checkpoint(partial(advance, size))
        state, _ = jax.lax.scan(advance_block, state, jax.tree.map(cut, xs), blocks)
    return state[1]


def _join_block(
    join: Join, first: list[Array], carried: Sequence[bool], rows: Any, count: int
) -> tuple[list[Array], Array]:
    """Evaluate the steps of a block at once.

    Only what does not depend on the states is carried from step to step one after the other.

    Returns:
        The carry after the last step, and the matrices, shape (steps, values before, own values,
        entries).
    """

    def advance_rest(rest: list[Array], x: Any) -> tuple[list[Array], list[Array]]:
        after, _ = join(_merge(first, rest, carried), x)
        return _leave_out(after, carried), rest

    axes = [None if moves else 0 for moves in carried]
    last, rest = _leave_out(first, carried), []
    if last:
        last, rest = jax.lax.scan(advance_rest, last, rows, count)
    # What the carry holds after a step depends on its own state and on `rest`, not on `first`.
    after, _ = jax.vmap(join, (axes, 0), axis_size=count)(_merge(first, rest, carried), rows)
    before = [
        jnp.concatenate([start[None], later[:-1]]) if moves else later
        for start, later, moves in zip(first, _merge(after, rest, carried), carried, strict=True)
    ]
    _, matrices = jax.vmap(join)(before, rows)
    return _merge([leaf[-1] for leaf in after], last, carried), matrices


def _leave_out(leaves: Sequence[Array], carried: Sequence[bool]) -> list[Array]:
    """Return the leaves that do not depend on the states."""
    return [leaf for leaf, moves in zip(leaves, carried, strict=True) if not moves]


def _merge(leaves: Sequence[Array], rest: Sequence[Array], carried: Sequence[bool]) -> list[Array]:
    """Return all leaves, with those that do not depend on the states replaced."""
    own = iter(rest)
    return [a if moves else next(own) for a, moves in zip(leaves, carried, strict=True)]


def _multiply_all(matrices: Array) -> Array:
    """Multiply matrices by pairs, shape (steps, values, values, entries), one step or more."""
    while len(matrices) > 1:
        even = len(matrices) // 2 * 2
        # The gradient computes the K^3 terms of a product again, so that none are stored.
        products = jax.checkpoint(_multiply)(matrices[:even:2], matrices[1:even:2])
        matrices = jnp.concatenate([products, matrices[even:]])
    return matrices[0]


def _multiply(left: Array, right: Array) -> Array:
    return log_sum_exp(left[:, :, :, None] + right[:, None], axis=2)
