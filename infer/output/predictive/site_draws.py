"""Draws of one site that are read from ArviZ data a few at a time, wherever the data lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from bijectors.base import Shape

# Bytes of neighboring draws that are read at once, and kept until others are needed.
READ_BYTES = 2**22


class SiteDraws:
    """The draws of a site, chain by chain, as an array that is read when rows of it are taken.

    Attributes:
        shape: Numbers of chains and draws, of data sets if there are several, and shape of a value.
        dtype: Type of an entry.
    """

    def __init__(self, parts: Sequence[xarray.Variable]) -> None:
        """Keep where the draws are.

        Args:
            parts: The values; or the real and the imaginary part of complex values. The first two
                axes are chains and draws.
        """
        self._parts = tuple(parts)
        self.shape: Shape = self._parts[0].shape
        self.dtype = np.result_type(*parts, *([1j] if len(parts) > 1 else []))
        self._kept: tuple[int, int, np.ndarray] = (-1, 0, np.zeros((0, *self.shape[2:])))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._read((slice(None), slice(None))), dtype)

    @property
    def nbytes(self) -> int:
        """Size of all draws."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def of_set(self, index: int) -> "SiteDraws":
        """Return the draws of one of several data sets."""
        return SiteDraws([part[:, :, index] for part in self._parts])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read some draws.

        Args:
            rows: Indices of draws, counted through all chains.

        Returns:
            Their values, shape (rows, *site).
        """
        chains, draws = np.divmod(rows, self.shape[1])
        found = np.empty((len(rows), *self.shape[2:]), self.dtype)
        for chain in np.unique(chains):
            here = chains == chain
            found[here] = self._take(int(chain), draws[here])
        return found

    def _take(self, chain: int, draws: np.ndarray) -> np.ndarray:
        """Read draws of one chain, from those that were read last if these have them."""
        begin, end = int(draws.min()), int(draws.max()) + 1
        of_chain, first, block = self._kept
        if of_chain != chain or begin < first or end > first + len(block):
            size = max(READ_BYTES * self.shape[0] * self.shape[1] // max(self.nbytes, 1), 1)
            block = self._read((chain, slice(begin, max(end, begin + size))))
            self._kept = of_chain, first, block = chain, begin, block
        return block[draws - first]

    def _read(self, where: tuple[Any, ...]) -> np.ndarray:
        real, *imaginary = (np.asarray(part[where]) for part in self._parts)
        return real + 1j * imaginary[0] if imaginary else real


class Rows:
    """The draws of a site along one leading axis; an index reads what it selects."""

    def __init__(self, draws: SiteDraws) -> None:
        self._draws = draws
        self.shape: Shape = (draws.shape[0] * draws.shape[1], *draws.shape[2:])
        self.dtype, self.nbytes = draws.dtype, draws.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._draws.take(np.arange(len(self))[rows])


def flatten_draws(draws: Any) -> Any:
    """Join the axes of chains and draws, of an array or of draws that are still to be read."""
    if isinstance(draws, SiteDraws):
        return Rows(draws)
    return np.reshape(draws, (-1, *np.shape(draws)[2:]))


def select_set(draws: Any, index: int) -> Any:
    """Return the draws of one of several data sets."""
    return draws.of_set(index) if isinstance(draws, SiteDraws) else draws[:, :, index]


def read_lazily(posterior: Any) -> dict[str, Any]:
    """Return the draws of all sites of a posterior; complex ones are in two parts there."""
    variables = {str(n): a.variable for n, a in posterior.data_vars.items()}
    pairs = {
        name.removesuffix(".real"): (name, f"{name.removesuffix('.real')}.imag")
        for name in variables
        if name.endswith(".real") and f"{name.removesuffix('.real')}.imag" in variables
    }
    parts = {own for pair in pairs.values() for own in pair}
    plain = {n: SiteDraws([v]) for n, v in variables.items() if n not in parts}
    return plain | {n: SiteDraws([variables[p] for p in pair]) for n, pair in pairs.items()}
