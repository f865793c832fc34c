"""Draw from one distribution, or from several in equal shares, for importance resampling."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array
from scipy.special import logsumexp

from ...numerics.families.base import Distribution
from ...numerics.keys import make_key, read_key_data
from ...programs.native import call_compiled
from ...programs.slices import call_in_slices, choose_rows

# Follows the key in the seed of the noise.
NOISE = 1


def draw_positions(distribution: Distribution, draws: int, key: int | Array) -> np.ndarray:
    """Draw flat unconstrained vectors, shape (draws, size)."""
    # Resampling seeds a generator with the key alone.
    rng = np.random.default_rng([*read_key_data(key), NOISE])
    kind = np.dtype(distribution.location.dtype)
    noise = rng.standard_normal((draws, distribution.size), kind)  # pyright: ignore[reportArgumentType]
    made = distribution.forward_on_host(noise)
    if made is not None:
        return made
    call = lambda own: call_compiled(_forward, distribution, own, form="fast_compile")  # noqa: E731
    return call_in_slices(call, noise, choose_rows(distribution.size))


def draw_from_mixture(
    distributions: Sequence[Distribution], draws: int, key: int | Array
) -> tuple[np.ndarray, np.ndarray]:
    """Draw from the mixture of distributions with equal weights.

    Each gives as many draws as any other, to one. Weighing them by the density of the mixture, not
    by that of the distribution which made a draw, has the smaller variance.

    Args:
        distributions: At least one.
        draws: Number of draws.
        key: A seed or a JAX key.

    Returns:
        Flat unconstrained vectors, shape (draws, size), and the log density of the mixture there in
        nats, in double precision.

    Source: Zhang et al. (2022), Pathfinder, JMLR 23(306), algorithm 2; Veach & Guibas (1995),
        Optimally combining sampling techniques, section 3.2, for the weights.
    """
    count = len(distributions)
    if count == 1:
        positions = draw_positions(distributions[0], draws, key)
        return positions, distributions[0].log_density_on_host(positions)
    root, each = make_key(key), -(-draws // count)
    keys = [jax.random.fold_in(root, index) for index in range(count)]
    pairs = zip(distributions, keys, strict=True)
    rows = np.concatenate([draw_positions(own, each, key) for own, key in pairs])
    positions = rows.reshape(count, each, -1).swapaxes(0, 1).reshape(count * each, -1)[:draws]
    logs = np.stack([own.log_density_on_host(positions) for own in distributions])
    return positions, logsumexp(logs, 0) - np.log(count)


def _forward(distribution: Distribution, noise: Array) -> Array:
    return distribution.forward_rows(noise)
