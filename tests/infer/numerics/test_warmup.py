"""Warm-up learns step sizes and scales, in windows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.fisher_scale import fisher_scale
from infer.numerics.hamiltonian import first_tuning, remaining_windows
from infer.numerics.metric import guess_metric
from infer.numerics.shared_step import choose_shared_step, raise_for_divergences, tighten
from infer.numerics.step_size import average_log_steps, continue_search, restart
from infer.numerics.windows import plan_windows

YES, NO = jnp.asarray(True), jnp.asarray(False)


def dual_averaging_of_the_paper(acceptances, first, target):
    """Average as in Hoffman & Gelman (2014), equation 6, except for mu and gamma."""
    mu, h, average = np.log(first), 0.0, 0.0
    for t, a in enumerate(acceptances, start=1):
        h = (1 - 1 / (t + 10)) * h + (target - a) / (t + 10)
        x = np.clip(mu - np.sqrt(t) / 0.15 * h, np.log(1e-7), np.log(np.pi))
        average = t**-0.75 * x + (1 - t**-0.75) * average
    return x, average


def test_dual_averaging_equals_that_of_the_paper():
    acceptances = np.random.default_rng(0).random(30)
    state = restart(jnp.asarray(0.3), NO, YES)
    for a in acceptances:
        state = average_log_steps(state, jnp.asarray(a), jnp.asarray(0.8))
    x, average = dual_averaging_of_the_paper(acceptances, 0.3, 0.8)
    np.testing.assert_allclose([state.log_step, state.log_average], [x, average], rtol=1e-12)


@pytest.mark.parametrize("first", [0.1, 0.5])
def test_dual_averaging_converges_to_the_step_size_of_the_target_acceptance(first):
    state = restart(jnp.asarray(first), NO, YES)
    update = jax.jit(
        lambda s: average_log_steps(s, jnp.exp(-jnp.exp(s.log_step)), jnp.asarray(0.8))
    )
    for _ in range(500):
        state = update(state)
    np.testing.assert_allclose(np.exp(state.log_average), -np.log(0.8), rtol=0.05)


@pytest.mark.parametrize("first", [0.2, 0.4])
def test_dual_averaging_is_unbiased_in_a_short_window_of_noisy_acceptances(first):
    """The mean over 400 chains has a standard error of 0.005, so no key fails by chance at 0.1.

    With a gamma of 0.05, as in Hoffman & Gelman, the logarithm of the step size is 0.22 too low.
    """
    expected, normal = np.log(0.3), jax.scipy.stats.norm

    def update(state, key):
        ratio = jnp.exp(2 * (state.log_step - expected))
        mean = 2 * normal.cdf(normal.ppf(0.4) * ratio)
        acceptance = jax.random.beta(key, 3 * mean, 3 * (1 - mean))
        return average_log_steps(state, acceptance, jnp.asarray(0.8)), None

    def window(key):
        start = restart(jnp.asarray(first), NO, YES)
        return jax.lax.scan(update, start, jax.random.split(key, 45))[0].log_average

    found = jax.vmap(window)(jax.random.split(jax.random.key(0), 400))
    assert abs(found.mean() - expected) < 0.1


@pytest.mark.parametrize("first", [1e-5, 0.1, 3.0])
def test_search_ends_within_a_factor_of_two_of_the_crossing(first):
    state = restart(jnp.asarray(first), YES, YES)
    for _ in range(60):
        if not state.searching:
            break
        state = continue_search(state, jnp.exp(-jnp.exp(state.log_step)))
    assert not state.searching
    crossing = -np.log(0.8)
    assert crossing / 2 <= np.exp(state.log_step) <= 2 * crossing


@pytest.mark.parametrize("warmup", [0, 1, 5, 19, 20, 50, 100, 301, 500, 1000])
def test_windows_add_up_and_grow(warmup):
    windows = plan_windows(warmup)
    assert sum(windows) == warmup
    assert all(w > 0 for w in windows)
    growing = windows[:-1]
    assert list(growing) == sorted(growing)
    assert warmup < 20 or windows[-1] <= 30


def test_three_rows_of_independent_normals_give_their_scales_exactly():
    """The scores of a normal are -x / variance, so the ratio of variances has no sampling error."""
    scales = np.array([1e-3, 1.0, 50.0])
    draws = np.random.default_rng(0).normal(size=(3, 3)) * scales
    found = fisher_scale(draws, -draws / scales**2, np.ones(3))
    np.testing.assert_allclose(found, scales, rtol=1e-12)


def test_a_constant_coordinate_keeps_its_scale_and_rows_with_nan_are_ignored():
    draws = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 4.0], [np.nan, 1.0]])
    found = fisher_scale(draws, -draws, np.array([7.0, 7.0]))
    np.testing.assert_allclose(found, [7.0, 1.0])


def test_first_scales_are_one_over_the_root_of_the_median_gradient():
    metric = guess_metric(np.array([[4.0, -0.01], [4.0, 1.0]]), rank=0)
    np.testing.assert_allclose(metric.scale, [0.5, 0.505**-0.5])


@pytest.mark.parametrize(
    ("late", "target"), [(0, 0.8), (4, 0.8), (5, 0.9), (8, 0.9), (9, 0.95), (200, 0.95)]
)
def test_target_acceptance_is_raised_by_the_share_of_late_divergences(late, target):
    """In 4 chains of 100 draws, 200 are late: more than 4 exceed 2 %, more than 8 exceed 4 %."""
    diverging = np.zeros((4, 100), bool)
    # Early divergences, from the first long steps of a window, do not count.
    diverging[:, :50] = True
    flat = np.zeros(200, bool)
    flat[:late] = True
    diverging[:, 50:] = flat.reshape(4, 50)
    found = raise_for_divergences(np.asarray(0.8, np.float32), diverging)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, target, rtol=1e-6)


def test_tightening_halves_the_distance_to_one_but_to_no_less_than_a_twentieth():
    for target, found in ((0.6, 0.8), (0.8, 0.9), (0.9, 0.95), (0.94, 0.95), (0.99, 0.99)):
        np.testing.assert_allclose(tighten(np.asarray(target)), found)


@pytest.mark.parametrize(
    ("steps", "draws", "step", "agree"),
    [
        ([0.3, 0.4, 0.4, 0.5], 45, 0.4, True),
        ([0.2, 0.4, 0.4, 0.5], 45, 0.4, True),
        ([0.19, 0.4, 0.4, 0.5], 45, 0.19, False),
        ([0.19, 0.4, 0.4, 0.5], 19, 0.4, True),
        ([0.01, 0.4, 0.4, 0.5], 45, 0.4, False),
        ([0.1], 45, 0.1, True),
    ],
)
def test_chains_share_the_median_step_size_or_the_shortest_if_they_disagree(
    steps, draws, step, agree
):
    found = choose_shared_step(np.array(steps, np.float32), draws)
    assert found == (pytest.approx(step), agree)


def test_the_last_window_is_repeated_until_the_chains_agree():
    tuning = first_tuning(np.ones((4, 2)), None, 0.8, 0)
    agreed = eqx.tree_at(lambda t: t.settled, tuning, np.asarray(True))
    assert remaining_windows(tuning, 10, (15, 45)) == (15, 45)
    assert remaining_windows(agreed, 10, (15, 45)) == (45,)
    assert remaining_windows(tuning, 45, ()) == (45,)
    assert remaining_windows(agreed, 45, ()) == ()


def test_the_metric_is_learned_again_if_a_chain_was_relocated():
    tuning = first_tuning(np.ones((4, 2)), None, 0.8, 0)
    for settled in (False, True):
        relocated = eqx.tree_at(lambda t: (t.settled, t.relocated), tuning, (settled, True))
        assert remaining_windows(relocated, 126, (45,)) == (126, 45)
        assert remaining_windows(relocated, 45, ()) == (90, 45)
