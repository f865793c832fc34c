"""MAP finds the mode of the space it was asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer

from .. import targets


def gamma():
    return infer.declared(lambda v: dist.Gamma(2.0, 1.0).log_prob(v["x"]), {"x": bj.Positive()})


# The density x exp(-x) has its mode at 1; times dx/dy = x, at 2.
MODES = {"constrained": 1.0, "unconstrained": 2.0}


@pytest.mark.parametrize("optimizer", ["lbfgs", optax.adam(0.05)], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("space", MODES)
def test_mode_of_a_gamma_depends_on_the_space(space, optimizer):
    found = infer.maximize(gamma(), infer.MAP(space, optimizer), starts=4)
    np.testing.assert_allclose(found.values["x"], MODES[space], rtol=1e-5)
    assert found.converged
    assert found.space == space


def test_mode_of_a_normal_is_its_mean():
    found = infer.maximize(targets.normal(), infer.MAP("constrained"), starts=2)
    np.testing.assert_allclose(found.values["x"], targets.MEAN, atol=1e-6)
    assert found.every_converged.all()


def test_the_better_of_two_modes_is_returned_and_both_are_reported():
    def two(values):
        x = values["x"]
        return jnp.logaddexp(-8 * (x - 1) ** 2, jnp.log(0.5) - 8 * (x + 1) ** 2)

    model = infer.declared(two, {"x": bj.Real()})
    found = infer.maximize(model, infer.MAP("constrained"), starts=16)
    np.testing.assert_allclose(found.values["x"], 1.0, atol=1e-4)
    assert {-1, 1} == set(np.round(found.every_value["x"]).astype(int))


def test_a_search_cut_short_says_so():
    found = infer.maximize(gamma(), infer.MAP("constrained", max_steps=1), starts=2)
    assert not found.converged
    assert "not converged" in repr(found)


def test_the_trace_is_what_adam_met_step_by_step():
    """Beyond 256 steps, at every second one."""
    adam, steps = optax.adam(0.05), 300
    engine = infer.MAP("constrained", adam, max_steps=steps, tolerance=0.0)
    found = infer.maximize(gamma(), engine, starts={"x": np.array(5.0)})
    position = jnp.log(jnp.array([5.0]))
    loss = jax.value_and_grad(lambda y: (jnp.exp(y) - y).sum())
    lp, steepness, optimiser = [], [], adam.init(position)
    for _ in range(steps):
        value, gradient = loss(position)
        lp.append(-value)
        steepness.append(jnp.max(jnp.abs(gradient) * jnp.maximum(1, jnp.abs(position))))
        updates, optimiser = adam.update(gradient, optimiser)
        position += updates
    np.testing.assert_array_equal(found.trace.step, np.arange(0, steps, 2))
    np.testing.assert_allclose(found.trace.lp, lp[::2], rtol=1e-9)
    np.testing.assert_allclose(found.trace.steepness, steepness[::2], rtol=1e-6, atol=1e-12)
    assert found.every_lp[found.start] == found.lp


def test_a_line_search_steps_back_from_where_the_density_is_not_finite():
    model = infer.declared(
        lambda v: jnp.sum(jnp.log(1 - v["x"] ** 2) + 5 * v["x"]), {"x": bj.Real(shape=(2,))}
    )
    found = infer.maximize(model, infer.MAP("constrained"), starts={"x": np.zeros(2)})
    # 2 x / (1 - x^2) = 5.
    np.testing.assert_allclose(found.values["x"], (np.sqrt(104) - 2) / 10, rtol=1e-5)


def test_a_constant_does_not_decide_where_a_search_stops():
    """In single precision too: what is added to the log density is no reason to stop."""
    curvature = jnp.array([100.0, 1.0], jnp.float32)

    def shifted(values):
        return -0.5 * (curvature * (values["x"] - 1) ** 2).sum() + jnp.float32(1e5)

    jax.config.update("jax_enable_x64", False)
    try:
        model = infer.declared(shifted, {"x": bj.Real(shape=(2,))})
        found = infer.maximize(model, infer.MAP("constrained"), starts=4)
    finally:
        jax.config.update("jax_enable_x64", True)
    # Rounding of the value at 1e5 leaves 0.01 nats, or 0.15 in the flat coordinate.
    np.testing.assert_allclose(found.values["x"], 1.0, atol=0.2)


def test_a_kink_and_a_cliff_are_no_modes():
    kink = infer.declared(lambda v: -50 * jnp.abs(v["x"] - 0.3), {"x": bj.Real()})
    found = infer.maximize(kink, infer.MAP("constrained"), starts=2)
    assert not found.converged
    cliff = infer.declared(lambda v: (jnp.log(v["x"]) - v["x"]).sum(), {"x": bj.Real(shape=(2,))})
    leap = infer.MAP("constrained", optax.adam(3.5), max_steps=50)
    found = infer.maximize(cliff, leap, starts={"x": np.array([3.0, 0.5])})
    assert not found.converged
