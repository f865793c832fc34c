"""Minibatches: which rows of a plate a step sees, and weights of the divergence in an epoch."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from ...counts import Count, is_whole
from ...errors import ModelError

ROUNDS = 8
SCHEDULES = ("uniform", "rows", "linear", "blundell")


class Minibatch(NamedTuple):
    """A plate of which each step sees some rows.

    Attributes:
        plate: Its name.
        size: Rows of the whole plate.
        seen: Rows of a minibatch.
    """

    plate: str
    size: int
    seen: int

    def draw(self, key: Array, turn: Array | int = 0) -> Int[Array, "seen"]:
        """Draw distinct rows, at a cost that does not grow with the plate.

        Turns 0, 1, ... of one key are consecutive parts of one permutation, so that ceil(size /
        seen) of them see every row; the last one begins again with rows of the first.

        The numbers 0, 1, ... go through a pseudo-random permutation of the rows: a Feistel
        network on the next larger power of four, in which a number beyond the plate goes
        through again until it does not. A last turn by a uniform number makes each row as
        likely as any other, whatever the network does: all that an unbiased gradient needs.

        Source: Black & Rogaway (2002), Ciphers with arbitrary finite domains, method 2.
        """
        half = max(1, math.ceil(math.log2(self.size) / 2))
        network, last = jax.random.split(key)
        keys = jax.random.bits(network, (ROUNDS,), jnp.uint32)
        beyond = lambda rows: (rows >= self.size).any()  # noqa: E731
        again = lambda rows: jnp.where(rows < self.size, rows, _permuted(rows, keys, half))  # noqa: E731
        begin = jnp.asarray(turn, jnp.int32) * self.seen
        numbers = (begin + jnp.arange(self.seen, dtype=jnp.int32)) % self.size
        first = _permuted(numbers.astype(jnp.uint32), keys, half)
        rows = jax.lax.while_loop(beyond, again, first)
        shift = jax.random.randint(last, (), 0, self.size).astype(jnp.uint32)
        return ((rows + shift) % jnp.uint32(self.size)).astype(jnp.int32)


def count_rows(data: Any) -> int:
    """Count the rows that the arrays of a pytree share along their first axis.

    Raises:
        ModelError: They have different numbers of rows, or there is none.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(data)
    sizes = {jax.tree_util.keystr(path): leaf.shape[0] for path, leaf in paths if _has_rows(leaf)}
    if len(set(sizes.values())) != 1:
        found = ", ".join(f"data{path} has {size}" for path, size in sizes.items())
        raise ModelError(
            "minibatch",
            f"the arrays of the data do not share their rows: {found or 'there is no array'}",
            "Give every array of the data one row per observation; put what all rows share into "
            'the tree, as "data".',
        )
    return next(iter(sizes.values()))


def take_rows(data: Any, rows: Array | np.ndarray) -> Any:
    """Take some rows of every array of a pytree; single numbers and words stay as they are."""
    return jax.tree.map(lambda leaf: leaf[rows] if _has_rows(leaf) else leaf, data)


def _has_rows(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | jax.Array) and leaf.ndim > 0


def _permuted(numbers: UInt32[Array, "n"], keys: UInt32[Array, "rounds"], half: int) -> Array:
    mask = jnp.uint32(2**half - 1)
    left, right = numbers >> half, numbers & mask
    for i in range(ROUNDS):
        left, right = right, left ^ (_mixed(right ^ keys[i]) & mask)
    return (left << half) | right


def _mixed(bits: Array) -> Array:
    """Mix 32 bits. Source: Appleby (2011), the finalizer of MurmurHash3."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)


def refuse_count(plate: str, size: int, count: Count) -> None:
    """Raise if a plate of `size` rows cannot be seen `count` rows at a time."""
    if not is_whole(count) or not 1 <= count <= size:
        raise ModelError(
            plate,
            f"minibatch={count!r}, but the plate has {size} rows",
            "Give a whole number of rows, at most as many as the plate has; or None for all.",
        )


def kl_weights(
    rows: Sequence[int] | np.ndarray, schedule: str = "uniform"
) -> Float[np.ndarray, "batches"]:
    """Share out the Kullback-Leibler term of an ELBO among the minibatches of one epoch.

    For your own loops over batches that partition the data: the sum of
    `share[i] * divergence - log_likelihood(batch[i])` over an epoch is minus the ELBO, since
    the shares sum to one whatever the schedule and however ragged the last batch. The engines
    of this package draw minibatches of equal size at random, and need no schedule.

    Args:
        rows: Rows of each batch, in order.
        schedule: "uniform" (1 / M each), "rows" (as many as the batch has), "linear" (growing
            in proportion to i), or "blundell" (2^(M-i) / (2^M - 1), for i from 1 to M).

    Raises:
        ModelError: The schedule is unknown, or a batch has no row.

    Source: Blundell et al. (2015), Weight uncertainty in neural networks, section 3.4.
    """
    sizes = np.asarray(rows, float)
    if schedule not in SCHEDULES:
        raise ModelError("kl_weights", f"schedule is {schedule!r}", f"Choose one of {SCHEDULES}.")
    if sizes.ndim != 1 or not sizes.size or not (sizes >= 1).all():
        raise ModelError(
            "kl_weights",
            f"rows are {rows!r}",
            "Give the number of rows of each batch, one or more.",
        )
    turn = np.arange(1.0, sizes.size + 1)
    shares = {
        "uniform": np.ones_like(turn),
        "rows": sizes,
        "linear": turn,
        # 2^(M-i) / (2^M - 1) overflows for an epoch of a thousand batches; this does not.
        "blundell": 2.0**-turn,
    }[schedule]
    return shares / shares.sum()
