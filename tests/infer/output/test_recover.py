"""Draws of discrete sites given the continuous ones have their exact conditional distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer

from ...cases import mark_slow
from ..models.discrete_models import CASES, hidden_markov, list_assignments, log_joints

DRAWS = 4000


def recover(name):
    """Recover the discrete sites of a model, many times at the same values of the others."""
    model, _ = CASES[name]
    density = infer.log_density(model)
    position = jnp.linspace(-0.6, 0.8, density.size)
    values = jax.jit(density.constrain)(position)
    names = [site.name for site in density.latent]
    posterior = {n: np.broadcast_to(values[n], (2, DRAWS // 2, *values[n].shape)) for n in names}
    return infer.recover(model, posterior, key=3)["posterior"], position


@pytest.mark.parametrize(
    "name",
    mark_slow(
        ["mixture", "switched", "hidden Markov", "mixed start", "occupancy"],
        {"hidden Markov"},
    ),
)
def test_the_draws_have_the_probabilities_by_brute_force(name):
    """Alerts once in 1e4 keys: the largest of up to 200 deviations is within 5 standard errors."""
    model, supports = CASES[name]
    drawn, position = recover(name)
    log_weights = jax.jit(lambda at: log_joints(model, supports, at))(position)
    weights = np.asarray(jax.nn.softmax(log_weights))
    found, expected = [], []
    for site, assigned in list_assignments(supports).items():
        own = drawn[site].values.reshape(DRAWS, -1)
        all_values = np.asarray(assigned).reshape(len(weights), -1)
        for value in supports[site][0]:
            found.append((own == value).mean(0))
            expected.append(weights @ (all_values == value))
    _check(np.concatenate(found), np.concatenate(expected))
    # Two entries together, of the last site.
    site, assigned = list(list_assignments(supports).items())[-1]
    own, all_values = drawn[site].values.reshape(DRAWS, -1), np.asarray(assigned)
    all_values = all_values.reshape(len(weights), -1)
    both = (own[:, :-1] == own[:, 1:]).mean(0)
    _check(both, weights @ (all_values[:, :-1] == all_values[:, 1:]))


def smooth(change, mean, y):
    """Compute the probabilities of the states given all observations, forward and backward."""
    each = np.exp(-0.5 * ((y[:, None] - mean) / 0.6) ** 2)
    forward, backward = [np.array([1.0, 0.0]) @ change * each[0]], [np.ones(2)]
    for row in each[1:]:
        forward.append((forward[-1] @ change) * row)
    for row in each[:0:-1]:
        backward.append(change @ (backward[-1] * row))
    joint = np.array(forward) * np.array(backward[::-1])
    return joint / joint.sum(1, keepdims=True)


def test_the_draws_of_a_long_chain_have_the_probabilities_of_exact_smoothing():
    """Alerts once in 1e4 keys: the largest of 40 deviations is within 5 standard errors."""
    y = np.sin(np.arange(40.0))
    change, mean = np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([-0.4, 0.5])
    given = {"change": change, "mean": mean}
    posterior = {n: np.broadcast_to(a, (1, DRAWS, *a.shape)) for n, a in given.items()}
    drawn = infer.recover(infer.model(hidden_markov, y=y), posterior, key=5)["posterior"]
    _check(drawn["state"].values[0].mean(0), smooth(change, mean, y)[:, 1])


def _check(found, expected):
    error = np.sqrt(expected * (1 - expected) / DRAWS) + 1e-12
    assert (np.abs(found - expected) < 5 * error).all()


def test_derived_values_are_those_of_the_recovered_sites():
    drawn, _ = recover("hidden Markov")
    assert drawn["state"].dims == ("chain", "draw", "time")
    level = np.take_along_axis(drawn["mean"].values, drawn["state"].values, axis=-1)
    np.testing.assert_array_equal(drawn["level"].values, level)


def test_predictions_take_the_recovered_states():
    model, _ = CASES["hidden Markov"]
    shape = (1, 200)
    posterior = infer.recover(
        model,
        {
            "change": np.broadcast_to([[0.999, 0.001], [0.001, 0.999]], (*shape, 2, 2)),
            "mean": np.broadcast_to([-4.0, 4.0], (*shape, 2)),
        },
    )
    states = posterior["posterior"]["state"].values
    predicted = infer.predict(model, posterior, key=1)["posterior_predictive"]["y"].values
    assert (np.sign(predicted) == 2 * states - 1).mean() > 0.999


def test_a_longer_scan_continues_from_the_recovered_states():
    def persistent(site, y, steps):
        mean = site("mean", dist.Normal(0, 4).expand([2]))

        def step(site, before, y):
            share = jnp.where(before == 1, 0.999, 0.001)
            state = site("state", dist.Bernoulli(share), sum_out=True)
            site.observe("y", dist.Normal(mean[state], 2.0), y)
            return state, None

        site.scan(step, jnp.zeros((), int), y, length=steps)

    seen = infer.model(persistent, y=np.zeros(3), steps=3)
    posterior = infer.recover(seen, {"mean": np.broadcast_to([-1.0, 1.5], (1, 400, 2))}, key=2)
    longer = infer.model(persistent, y=None, steps=5)
    predicted = infer.predict(longer, posterior, key=1)
    last = posterior["posterior"]["state"].values[..., -1]
    drawn = predicted["posterior_predictive"]["state"].values
    assert drawn.shape == (1, 400, 5)
    assert (drawn[..., 3] == last).mean() > 0.98


def test_predictions_without_recovered_values_warn():
    model, _ = CASES["mixture"]
    posterior = {"weights": np.full((1, 5, 3), 1 / 3), "mean": np.zeros((1, 5, 3))}
    with pytest.warns(infer.ModelWarning, match="infer.recover"):
        infer.predict(model, posterior)


@pytest.mark.slow
def test_a_mixture_with_summed_kinds_is_calibrated():
    """False alarm of the simultaneous bands: 1e-3, with a fixed key."""
    found = infer.calibrate(CASES["noisy mixture"][0], simulations=100, draws=99, chains=1, key=0)
    assert found.uniform, str(found)


def test_what_has_no_discrete_site_or_no_values_is_refused():
    plain = infer.model(lambda site: site("x", dist.Normal(0, 1)))
    with pytest.raises(infer.ModelError, match="nothing to draw"):
        infer.recover(plain, {"x": np.zeros((1, 5))})
    model, _ = CASES["mixture"]
    with pytest.raises(infer.ModelError, match="mean: the posterior has no values"):
        infer.recover(model, {"weights": np.full((1, 5, 3), 1 / 3)})


def test_models_whose_discrete_sites_would_be_drawn_for_another_posterior_are_refused():
    model, _ = CASES["mixture"]
    values = {"weights": np.full((1, 5, 3), 1 / 3), "mean": np.zeros((1, 5, 3))}
    with pytest.raises(infer.ModelError, match="model: it is a view"):
        infer.recover(model.view(likelihood=0.5), values)
    with pytest.raises(infer.ModelError, match="mean: the posterior has draws of it"):
        infer.recover(model.freeze(mean=np.zeros(3)), values)
