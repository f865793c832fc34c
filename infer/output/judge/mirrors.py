"""Find symmetries of a posterior that its draws do not have: mirror images that no chain visits."""

from collections.abc import Iterator
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np

from ...density.points import Evaluate
from ...models.inputs.names import join_names
from ...run.run import Run
from ..finding import Finding

# A chain stays on one side of a mirror if this share of its draws lies beyond it at most.
BEYOND = 0.005
# Entries of the draws that are looked at to choose which mirrors to try.
MAX_ENTRIES = 2**18
# Log densities agree if they differ by at most this many roundings; they cannot be compared if that
# is more than so many nats.
ROUNDINGS, COARSEST = 64, 0.05
# Maximum number of mirrors that are tried (with the draw itself they fill the eight rows of four
# chains), of sites from which pairs are formed, and of pairs of entries that are exchanged.
MAX_TRIED, MAX_PAIRED, MAX_EXCHANGED = 31, 5, 3
# Maximum number of sites that are named.
MAX_NAMED = 5


class Mirror(NamedTuple):
    """A linear map of the flat vector that is its own inverse.

    Attributes:
        what: What it does, in words.
        sites: Names of the sites that it changes.
        source: Index of the coordinate that each coordinate takes, shape (size,).
        sign: What it is multiplied by, shape (size,).
        blocks: Coordinates that are multiplied by a matrix instead, and that matrix.
    """

    what: str
    sites: tuple[str, ...]
    source: np.ndarray
    sign: np.ndarray
    blocks: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def reflect(self, positions: np.ndarray) -> np.ndarray:
        """Map positions of shape (..., size)."""
        image = positions[..., self.source] * self.sign.astype(positions.dtype)
        for index, matrix in self.blocks:
            image[..., index] = positions[..., index] @ matrix
        return image


class Piece(NamedTuple):
    """The coordinates of one site in the flat vector.

    Attributes:
        name: Name of the site.
        places: Indices of its coordinates, shape (*unconstrained shape).
        rows: Number of entries that can be exchanged, along its first axis; else 0.
        is_real: Whether its values are its coordinates.
        is_simplex: Whether its values are a simplex in isometric log-ratios.
    """

    name: str
    places: np.ndarray
    rows: int
    is_real: bool
    is_simplex: bool


def find_unvisited_mirrors(run: Run, positions: np.ndarray) -> Iterator[Finding]:
    """Report symmetries of the log density across which no chain moves.

    Exchanges of two entries, in one site or in several with equally many entries, and changes of
    sign are tried. A symmetry counts if the log density at the last draw of every chain equals that
    at its mirror image, up to rounding. Usually this takes eight evaluations a chain, by a program
    that exists.

    Args:
        run: A run of one model.
        positions: Its draws in the flat vector, shape (chains, draws, size).
    """
    density, evaluate = run.density, run.evaluate
    if evaluate is None or not density.has_value or density.minibatches:
        return
    few = positions[:, :: -(-positions.size // MAX_ENTRIES)]
    listed = _list_mirrors(_list_pieces(run), density.size)
    mirrors = list(islice((m for m in listed if _is_one_sided(m, few)), MAX_TRIED))
    if not mirrors:
        return
    # One draw rules out nearly all of them.
    found = _select_symmetries(mirrors, positions[:1, -1], evaluate, run.chains)
    found = [mirror for mirror in found if _is_one_sided(mirror, positions)]
    found = _select_symmetries(found, positions[:, -1], evaluate, run.chains)
    if found:
        yield _describe(found[0], positions)


def _select_symmetries(
    mirrors: list[Mirror], points: np.ndarray, evaluate: Evaluate, chains: int
) -> list[Mirror]:
    """Select the mirrors that leave the log density at some points as it is, up to rounding."""
    if not mirrors:
        return []
    images = np.stack([points, *(mirror.reflect(points) for mirror in mirrors)])
    levels = _evaluate_all(evaluate, images.reshape(-1, images.shape[-1]), chains)
    levels = levels.reshape(images.shape[:2])
    rounding = ROUNDINGS * np.finfo(levels.dtype).eps * max(1.0, float(np.abs(levels[0]).max()))
    with np.errstate(invalid="ignore"):
        same = (np.abs(levels[1:] - levels[0]) <= rounding).all(1) & (rounding <= COARSEST)
    return [mirror for mirror, is_same in zip(mirrors, same, strict=True) if is_same]


def _evaluate_all(evaluate: Evaluate, points: np.ndarray, chains: int) -> np.ndarray:
    """Evaluate points, shape (n, size), by a program that takes one for each chain."""
    index = np.minimum(np.arange(-(-len(points) // chains) * chains), len(points) - 1)
    rows = points[index].reshape(-1, chains, points.shape[-1])
    return evaluate(rows).log_densities.ravel()[: len(points)]


def _describe(mirror: Mirror, positions: np.ndarray) -> Finding:
    sides = _find_sides(mirror, positions)
    together = sides.all(0) | ~sides.any(0)
    split = not together.all()
    where = (
        "the chains lie on different sides and none crosses"
        if split
        else "all chains lie on one side and the other half of the posterior was never visited"
    )
    return Finding(
        "unvisited_mirror_image",
        f"the posterior stays the same if {mirror.what}, but {where}. So the means and intervals "
        f"of {join_names(mirror.sites, MAX_NAMED)} are those of one of several mirror images, or "
        "of a mixture of them in the wrong shares.",
        "Predictions that do not change with it are right. Otherwise choose one image in the "
        "model: order the entries (bijectors.Ordered), or make one of them positive.",
        mirror.sites,
    )


def _find_sides(mirror: Mirror, positions: np.ndarray) -> np.ndarray:
    """Return on which side of each coordinate that matters each chain lies."""
    beyond = _measure_beyond(mirror, positions)
    clear = ((beyond <= BEYOND) | (beyond >= 1 - BEYOND)).all(0)
    return beyond[:, clear] > 0.5


def _measure_beyond(mirror: Mirror, positions: np.ndarray) -> np.ndarray:
    """Return the share of draws that exceed their image, for each chain and coordinate changed."""
    moved = np.flatnonzero((mirror.source != np.arange(len(mirror.source))) | (mirror.sign < 0))
    moved = moved[mirror.source[moved] >= moved]
    own = positions[..., moved]
    image = positions[..., mirror.source[moved]] * mirror.sign[moved]
    return (own > image).mean(1)


def _is_one_sided(mirror: Mirror, positions: np.ndarray) -> bool:
    return _find_sides(mirror, positions).shape[1] > 0


def _list_pieces(run: Run) -> list[Piece]:
    pieces, begin = [], 0
    for site in run.density.latent:
        shape, whole = site.unconstrained_shape, site.shape
        index = begin + np.arange(int(np.prod(shape))).reshape(shape)
        begin += index.size
        is_simplex = site.bijector == "SoftmaxILR" and len(whole) == 1
        has_rows = bool(shape) and len(shape) == len(whole) and shape[0] == whole[0]
        rows = whole[0] if has_rows or is_simplex else 0
        pieces.append(Piece(site.name, index, rows, site.bijector == "Identity", is_simplex))
    return pieces


def _list_mirrors(pieces: list[Piece], size: int) -> Iterator[Mirror]:
    """List the maps to try, the likeliest first."""
    for length in dict.fromkeys(piece.rows for piece in pieces if piece.rows > 1):
        own = [piece for piece in pieces if piece.rows == length]
        for pair in islice(combinations(range(length), 2), MAX_EXCHANGED):
            yield from (_exchange(group, pair, size) for group in _choose_groups(own))
    real = [piece for piece in pieces if piece.is_real and piece.places.size]
    yield from (_flip(group, size) for group in _choose_groups(real))


def _choose_groups(pieces: list[Piece]) -> list[tuple[Piece, ...]]:
    """Choose the sites to change together: all, each one, and pairs of the first few."""
    pairs = combinations(pieces[:MAX_PAIRED], 2)
    groups = [tuple(pieces), *((piece,) for piece in pieces), *pairs]
    return [group for i, group in enumerate(groups) if group and group not in groups[:i]]


def _exchange(pieces: tuple[Piece, ...], pair: tuple[int, int], size: int) -> Mirror:
    source, blocks, (a, b) = np.arange(size), [], pair
    for piece in pieces:
        if piece.is_simplex:
            blocks.append((piece.places, _exchange_ratios(piece.rows, a, b)))
        else:
            source[piece.places[a]], source[piece.places[b]] = piece.places[b], piece.places[a]
    names = tuple(piece.name for piece in pieces)
    what = f"entries {a} and {b} of {join_names(names, MAX_NAMED)} are exchanged"
    return Mirror(what, names, source, np.ones(size), tuple(blocks))


def _exchange_ratios(count: int, a: int, b: int) -> np.ndarray:
    """Return how exchanging two of `count` shares changes their isometric log-ratios."""
    # The columns are those of `bijectors.elementary.sum_to_zero`, which are orthonormal.
    basis = np.eye(count, count - 1) - 1 / (count + np.sqrt(count))
    basis[-1] = -1 / np.sqrt(count)
    order = np.arange(count)
    order[[a, b]] = b, a
    return basis[order].T @ basis


def _flip(pieces: tuple[Piece, ...], size: int) -> Mirror:
    sign = np.ones(size)
    for piece in pieces:
        sign[piece.places] = -1
    names = tuple(piece.name for piece in pieces)
    changes = "changes its sign" if len(names) == 1 else "change their signs together"
    return Mirror(f"{join_names(names, MAX_NAMED)} {changes}", names, np.arange(size), sign)
