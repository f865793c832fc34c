"""A chain is moved out of a region of negligible posterior mass, and out of no other."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from infer.numerics.metric import Diagonal
from infer.numerics.stray import MIN_DRAWS, bound_masses, relocate_chains, relocation_gap

CHAINS, DRAWS, SIZE = 4, 40, 5
# 10 plus twice the square root of five coordinates.
GAP = 14.5


def regions(drops, spreads, draws=DRAWS):
    """Draw one chain in each of several normal regions of known mass and spread.

    Args:
        drops: Log mass of the first region minus that of each region, in nats.
        spreads: Standard deviation of each region, in every coordinate.
    """
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(len(drops), draws, SIZE))
    drops, spreads = np.asarray(drops, float), np.asarray(spreads, float)
    levels = -0.5 * (normal**2).sum(-1) - (drops + SIZE * np.log(spreads))[:, None]
    spreads = spreads[:, None, None]
    places = 100.0 * np.arange(len(drops))[:, None, None]
    return places + spreads * normal, -normal / spreads, levels


def found(drops, spreads=(1.0,) * CHAINS, draws=DRAWS, remaining=1):
    positions, scores, levels = regions(drops, spreads, draws)
    metric = Diagonal(np.full(SIZE, 3.0))
    return relocate_chains(metric, positions, scores, {"lp": levels}, remaining).tolist()


@pytest.mark.parametrize("remaining", [0, 1])
def test_a_chain_of_negligible_mass_takes_the_position_of_the_next(remaining):
    assert found([0, 40, 0, 0], remaining=remaining) == [0, 2, 2, 3]
    assert found([40, 0, 40, 40], remaining=remaining) == [1, 1, 1, 1]


def test_modes_that_are_not_negligible_keep_their_chains():
    """Even a share of one in a hundred thousand is not negligible."""
    assert found([0, 11.5, 5, 0]) == [0, 1, 2, 3]
    # The estimated masses err by some nats.
    assert found([0, GAP - 4, 0, 0]) == [0, 1, 2, 3]
    assert found([0, GAP + 4, 0, 0]) == [0, 2, 2, 3]


def test_both_ends_of_a_funnel_keep_their_chains():
    """In the neck the log density is 23 nats higher, and the log volume as much lower."""
    assert found([0, 0, 0, 0], spreads=(1.0, 0.01, 1.0, 100.0)) == [0, 1, 2, 3]
    # A narrow region of low mass keeps its chain, since its densities are high.
    assert found([0, 20, 40, 0], spreads=(1.0, 0.01, 100.0, 1.0)) == [0, 1, 3, 3]


def test_a_stuck_chain_is_moved_only_if_its_density_is_low():
    positions, scores, levels = regions([0, 40, 0, 0], (1.0,) * CHAINS)
    positions[1], scores[1], levels[1] = positions[1, 0], scores[1, 0], levels[1, 0]
    metric = Diagonal(np.ones(SIZE))
    assert relocate_chains(metric, positions, scores, {"lp": levels}, 1).tolist() == [0, 2, 2, 3]
    levels[1] = 40.0
    assert relocate_chains(metric, positions, scores, {"lp": levels}, 1).tolist() == [0, 1, 2, 3]
    # At a single point of a plateau; by the scores alone its mass would seem large.
    scores[1] = 0.0
    assert relocate_chains(metric, positions, scores, {"lp": levels}, 1).tolist() == [0, 1, 2, 3]


def test_no_chain_is_moved_too_early_or_with_few_draws_or_without_log_densities():
    stay = list(range(CHAINS))
    assert found([0, 40, 0, 0], remaining=2) == stay
    assert found([0, 40, 0, 0], draws=9) == stay
    positions, scores, _ = regions([0, 40, 0, 0], (1.0,) * CHAINS)
    assert relocate_chains(Diagonal(np.ones(SIZE)), positions, scores, {}, 1).tolist() == stay


@pytest.mark.parametrize("size", [1, 5, 50])
def test_no_chain_is_moved_if_all_sample_one_region_slowly(size):
    """With ten draws some chains lie wholly above others, but the estimated masses differ by less.

    From a correlation of 0.9 on, a chain of one set of eight in 200 is moved, in 50 coordinates.
    """
    rng = np.random.default_rng(1)
    moves = rng.normal(size=(MIN_DRAWS, 300, 8, size))
    draws = moves.copy()
    for before, draw, move in zip(draws[:-1], draws[1:], moves[1:], strict=True):
        draw[...] = 0.8 * before + np.sqrt(1 - 0.8**2) * move
    for chains in np.moveaxis(draws, 0, 2):
        levels = {"lp": -0.5 * (chains**2).sum(-1)}
        found = relocate_chains(Diagonal(np.ones(size)), chains, -chains, levels, 1)
        assert found.tolist() == list(range(8))


def a_dominant_mode_and_a_correlated_one(rng):
    """Draw from a normal in 30 dimensions with mass 0.9 and a flat correlated one with 0.1."""
    size, along = 30, np.append(0.0, np.full(29, 29**-0.5))
    covariance = 0.01 * np.eye(size) + 8.99 * np.outer(along, along)
    covariance[0, 0] += 0.99
    wide = np.eye(size)
    chains, scores, levels = [], [], []
    for share, spread in [(0.9, wide), (0.9, wide), (0.9, wide), (0.1, covariance)]:
        draws = rng.multivariate_normal(np.zeros(size), spread, size=150)
        slopes = -np.linalg.solve(spread, draws.T).T
        chains, scores = [*chains, draws], [*scores, slopes]
        log_det = np.linalg.slogdet(spread)[1]
        levels.append(np.log(share) + 0.5 * (draws * slopes).sum(-1) - 0.5 * log_det)
    return np.stack(chains), np.stack(scores), np.stack(levels)


def test_a_dominant_mode_keeps_its_chains_next_to_a_correlated_one():
    """The marginal spreads overstate the log volume of the correlated mode by 46 nats."""
    draws, scores, levels = a_dominant_mode_and_a_correlated_one(np.random.default_rng(0))
    metric = Diagonal(np.ones(30))
    upper = bound_masses(metric, draws, scores, levels).upper
    assert upper[3] - upper[:3].max() > relocation_gap(30)
    assert relocate_chains(metric, draws, scores, {"lp": levels}, 1).tolist() == [0, 1, 2, 3]


FACTOR = np.tril(np.random.default_rng(3).normal(size=(3, 3))) + 2 * np.eye(3)


def funnel(key, shape):
    widths, normal = jax.random.normal(key, (2, *shape))
    return jnp.stack([widths[..., 0], normal[..., 1] * jnp.exp(widths[..., 0])], -1)


def log_funnel(x):
    return dist.Normal(0.0, 1.0).log_prob(x[0]) + dist.Normal(0.0, jnp.exp(x[0])).log_prob(x[1])


def of(law):
    return lambda key, shape: law.sample(key, shape), lambda x: law.log_prob(x).sum()


LAWS = {
    "correlated normal": of(dist.MultivariateNormal(jnp.zeros(3), scale_tril=FACTOR)),
    "heavy tails": of(dist.StudentT(5.0, jnp.zeros(3), 0.1)),
    "a heavy tail": of(dist.Gumbel(jnp.zeros(3), 7.0)),
    "correlated heavy tails": of(dist.MultivariateStudentT(5.0, jnp.zeros(3), FACTOR)),
    "funnel": (lambda key, shape: funnel(key, (*shape, 2)), log_funnel),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_mass_lies_between_the_bounds(name):
    """Each density integrates to one, so the log mass is 0."""
    sample, log_density = LAWS[name]

    @jax.jit
    def draw(key):
        draws = sample(key, (2, 20_000))
        return draws, *jax.vmap(jax.vmap(jax.value_and_grad(log_density)))(draws)

    draws, levels, scores = draw(jax.random.key(0))
    scale = np.linspace(0.5, 3.0, draws.shape[-1])
    found = bound_masses(Diagonal(scale), *map(np.asarray, (draws, scores, levels)))
    constant = 0.5 * len(scale) * np.log(2 * np.pi * np.e) + np.log(scale).sum()
    assert (found.lower + constant < 0.02).all()
    assert (found.upper + constant > -0.02).all()


def test_the_bounds_agree_for_a_normal_that_the_metric_whitens():
    draws = np.random.default_rng(0).normal(size=(1, 20_000, 3)) * [1.0, 10.0, 0.1]
    scale = np.array([1.0, 10.0, 0.1])
    found = bound_masses(
        Diagonal(scale), draws, -draws / scale**2, -0.5 * ((draws / scale) ** 2).sum(-1)
    )
    np.testing.assert_allclose(found.lower, found.upper, atol=0.02)


def test_scores_that_are_not_finite_give_no_lower_bound():
    positions, scores, levels = regions([0, 40, 0, 0], (1.0,) * CHAINS)
    for broken in (np.inf, np.nan):
        scores[0, 3, 1] = broken
        found = bound_masses(Diagonal(np.ones(SIZE)), positions, scores, levels)
        assert found.lower[0] == -np.inf
        metric, stats = Diagonal(np.ones(SIZE)), {"lp": levels}
        assert relocate_chains(metric, positions, scores, stats, 1).tolist() == [0, 2, 2, 3]
