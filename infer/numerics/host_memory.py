"""The inverse Hessian of L-BFGS on the host, multiplied by a few products of whole matrices."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from scipy.linalg import get_lapack_funcs

from .lbfgs import Memory, count_pairs
from .namespace import Scalar


# The leaves of a pytree may be anything, so they have no narrower types.
@jax.tree_util.register_dataclass
@dataclass
class HostMemory:
    """The last steps of a search and what they changed in the gradient, as in `lbfgs.Memory`.

    Attributes:
        pairs: Changes of the position, and changes of the gradient of the loss; shape
            (2, pairs, size). Rows are filled in turn, the oldest one again when all are.
        inner: Entry (i, j) is the step of the j-th oldest pair times the change of the i-th oldest
            one, for j <= i; lower triangular, shape (pairs, pairs).
        scale: The approximation for vectors orthogonal to all rows, as a multiple of the identity.
        count: Number of pairs.
        newest: Index of the row that was written last.
        weights: Those of `lbfgs.Memory`, if a compiled loop has gone on, and then `count` is 0.
    """

    pairs: Any
    inner: Any
    scale: Any
    count: Any
    newest: Any
    weights: Any

    @classmethod
    def empty(cls, gradient: np.ndarray) -> "HostMemory":
        """Make a memory without pairs, in whose metric a first step has a length of 1 at most."""
        pairs = count_pairs(len(gradient))
        rows = np.zeros((2, pairs, len(gradient)), gradient.dtype)
        inner = np.zeros((pairs, pairs), gradient.dtype)
        none = np.zeros(pairs, gradient.dtype)
        return cls(rows, inner, _first_scale(gradient), np.int32(0), np.int32(-1), none)

    def to_loop(self) -> Memory:
        """Return the memory for a compiled loop."""
        weights = self.weights.copy()
        if self.count:
            weights[: self.count] = self._by_row(
                1 / self.inner[: self.count, : self.count].diagonal()
            )
        newest = np.int32(self.newest % len(weights))
        return Memory(self.pairs, weights, self.scale, newest)

    @classmethod
    def from_loop(cls, memory: Memory) -> "HostMemory":
        """Keep the memory of a compiled loop; only `to_loop` may be called."""
        inner = np.zeros((len(memory.weights),) * 2, memory.weights.dtype)
        return cls(memory.pairs, inner, memory.scale, np.int32(0), memory.newest, memory.weights)

    def forget(self, gradient: np.ndarray) -> None:
        """Become empty."""
        self.scale, self.count, self.newest = _first_scale(gradient), 0, -1

    def remember(self, step: np.ndarray, change: np.ndarray) -> None:
        """Replace the oldest pair, if the loss is convex along the step.

        Source: Nocedal & Wright (2006), equation 7.20 for the scale.
        """
        product, square = step @ change, change @ change
        floor = np.finfo(step.dtype).eps * self.scale * square
        if not (np.isfinite(square) and product > floor):
            return
        if self.count == len(self.inner):
            self.inner[:-1, :-1] = self.inner[1:, 1:]
        self.count = min(self.count + 1, len(self.inner))
        self.newest = (self.newest + 1) % len(self.inner)
        self.pairs[0, self.newest], self.pairs[1, self.newest] = step, change
        self.inner[self.count - 1, : self.count] = self._by_age(self._steps @ change)
        self.scale = product / square

    def multiply(self, vector: np.ndarray) -> np.ndarray:
        """Multiply the approximate inverse Hessian of the loss by a vector.

        Source: Byrd, Nocedal & Schnabel (1994), Representations of quasi-Newton matrices and their
            use in limited memory methods, theorem 2.2.
        """
        if not self.count:
            return self.scale * vector
        (solve,) = get_lapack_funcs(("trtrs",), (vector,))
        steps, changes = self._steps, self.pairs[1, : self.count]
        inner = self.inner[: self.count, : self.count].T
        shares, _ = solve(inner, self._by_age(steps @ vector))
        rest = self.scale * (vector - self._by_row(shares) @ changes)
        right = inner.diagonal() * shares - self._by_age(changes @ rest)
        back, _ = solve(inner, right, trans=1)
        return rest + self._by_row(back) @ steps

    @property
    def _steps(self) -> np.ndarray:
        return self.pairs[0, : self.count]

    def _by_age(self, rows: np.ndarray) -> np.ndarray:
        """Reorder numbers of the rows from the oldest row to the newest."""
        first = self.newest + 1
        return rows if first == self.count else np.concatenate((rows[first:], rows[:first]))

    def _by_row(self, ages: np.ndarray) -> np.ndarray:
        """Undo `_by_age`."""
        last = self.count - self.newest - 1
        return np.concatenate((ages[last:], ages[:last])) if last else ages


def _first_scale(gradient: np.ndarray) -> Scalar:
    with np.errstate(over="ignore"):
        length, one = np.linalg.norm(gradient), gradient.dtype.type(1)
    return 1 / np.maximum(length, one) if np.isfinite(length) else one
