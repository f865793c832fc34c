"""Parallel tempering: modes that chains do not leave, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density.base import log_density
from infer.density.tempered import _evaluate_ends, evaluate_ends, make_normal, temper
from infer.output.data.versions import read_group
from infer.run.tempering import begin_tempering, plan_rounds

SHARE, APART = 0.7, 20.0


def _two_modes(values):
    """Two normals; those of unit scale at 0 and 20 have weights 0.3 and 0.7."""
    x = values["x"]
    each = [-0.5 * ((x - center) ** 2).sum() for center in (-0.5 * APART, 0.5 * APART)]
    logs = jnp.log(jnp.array([1 - SHARE, SHARE])) + jnp.stack(each)
    return jnp.logaddexp(logs[0], logs[1]) - 0.5 * x.size * jnp.log(2 * jnp.pi)


MODES = infer.declared(_two_modes, {"x": bj.Real(shape=(1,))})
SETTINGS = infer.Tempered(levels=3)


def log_two_modes(x):
    """The same of draws of shape (..., 1), by NumPy."""
    x = np.asarray(x)[..., 0]
    each = [-0.5 * (x - center) ** 2 for center in (-0.5 * APART, 0.5 * APART)]
    logs = np.logaddexp(np.log(1 - SHARE) + each[0], np.log(SHARE) + each[1])
    return logs - 0.5 * np.log(2 * np.pi)


@pytest.fixture(scope="module")
def result():
    with pytest.warns(infer.SamplingWarning):
        # So short a run is enough for everything but accuracy.
        return infer.sample(MODES, SETTINGS, chains=2, warmup=48, draws=60, key=0, progress=False)


@pytest.fixture(scope="module")
def levels(result):
    return read_group(result, "tempering")


def test_the_result_is_that_of_an_ordinary_run_at_power_one(result):
    posterior = read_group(result, "posterior")
    assert posterior.sizes["chain"] == 2
    assert posterior.sizes["draw"] == 60
    recorded = np.asarray(read_group(result, "sample_stats")["lp"])
    np.testing.assert_allclose(recorded, log_two_modes(posterior["x"]), rtol=1e-9)


def test_few_round_trips_call_for_more_with_the_same_settings(result):
    made = infer.choose(MODES, posterior=result)
    assert made.engine == SETTINGS
    assert (made.warmup, made.draws) == (300, 120)
    assert made.reasons[0].startswith("few_round_trips: a warm-up of 300 draws, not 48")


def test_the_result_tells_levels_swaps_and_round_trips(result, levels):
    power = np.asarray(levels["power"])
    assert power[0] == 0
    assert power[-1] == 1
    assert len(power) == 4
    assert levels["log_ratio"].dims == ("chain", "swap", "level")
    assert levels["log_ratio"].sizes["swap"] == 60
    assert levels["round_trips"].sum() > 0
    rates = np.asarray(levels["swap_rate"])
    assert levels.attrs["barrier"] == pytest.approx((1 - rates[:-1]).sum())
    assert "Tempered" in result.attrs["engine"]


def test_the_verdict_is_that_of_the_call(result):
    told = infer.verdict(result).findings
    assert result.attrs["verdict"] == "\n".join(told)


def test_the_log_ratio_of_the_top_is_that_of_its_draws_to_a_normal(result, levels):
    x = np.asarray(read_group(result, "posterior")["x"])
    reference = (log_two_modes(x) - np.asarray(levels["log_ratio"])[:, :, -1]).ravel()
    parabola = np.polynomial.Polynomial.fit(x.ravel(), reference, 2)
    np.testing.assert_allclose(parabola(x.ravel()), reference, atol=1e-8)


def test_the_log_density_of_a_power_is_a_mixture_of_the_ends():
    normal, x = make_normal(np.array([1.0]), np.array([[4.0]])), np.array([[3.0]])
    family = temper(log_density(MODES), np.array([0.0, 0.25, 1.0]), normal)
    reference = -0.5 - np.log(2.0) - 0.5 * np.log(2 * np.pi)
    posterior = log_two_modes(x)[0]
    value, gradient = jax.jit(family.member(1).evaluate)(jnp.asarray(x[0]))
    assert value == pytest.approx(0.75 * reference + 0.25 * posterior)
    ends = evaluate_ends(family.member(0), x)
    assert ends.log_ratio == pytest.approx(posterior - reference)
    points = ends.at(x, np.array([0.25]))
    np.testing.assert_allclose(points.gradients[0], gradient)
    np.testing.assert_allclose(points.log_densities, [value])


def test_both_ends_go_through_a_loop_in_forward_mode():
    def halve(values):
        return -jax.lax.while_loop(lambda x: x > 1, lambda x: x / 2, values["x"] ** 2)

    model = infer.declared(halve, {"x": bj.Real()}, gradient="forward")
    normal = make_normal(np.zeros(1), np.eye(1))
    density = temper(log_density(model), np.array([0.5]), normal).member(0)
    ends = jax.eval_shape(_evaluate_ends, density, jnp.ones((3, 1)))
    assert ends.posterior_gradient.shape == (3, 1)


def test_a_list_of_starts_has_one_for_each_chain_of_every_level():
    starts = [{"x": np.array([place])} for place in (-10.0, 10.0)]
    made = begin_tempering(
        MODES, SETTINGS, chains=2, warmup=48, starts=starts, key=0, group=None, threads=None,
        progress=False,
    )  # fmt: skip
    states = [jax.tree.map(np.asarray, group.state).unpack() for group in made.replicas.groups]
    begun = np.concatenate([np.ravel(state.tree.chosen.position) for state in states])
    np.testing.assert_array_equal(begun, [-10.0, 10.0] * SETTINGS.levels)


def test_rounds_double_and_end_in_a_window_for_the_step_sizes():
    assert plan_rounds(300) == (18, 36, 72, 144, 30)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"until": infer.Until()}, "until"),
        ({"thin": 2}, "thin"),
        ({"include": "warmup"}, "include"),
        ({"warmup": 5}, "cannot choose the powers"),
    ],
)
def test_arguments_that_do_not_go_with_tempering_are_refused(named, message):
    with pytest.raises(infer.RunError, match=message):
        infer.sample(MODES, SETTINGS, **named)


def test_several_models_are_refused():
    with pytest.raises(infer.RunError, match="several models"):
        infer.sample([MODES, MODES], SETTINGS)


def test_the_prior_is_refused_as_reference_if_there_is_none():
    with pytest.raises(infer.EngineError, match="'x' has a constraint and no prior"):
        infer.sample(MODES, infer.Tempered(reference="prior"))


@pytest.mark.parametrize("engine", [infer.NUTS(energy="path"), infer.ADVI()])
def test_engines_that_cannot_move_levels_are_refused(engine):
    with pytest.raises(infer.EngineError, match="engine of its levels"):
        infer.Tempered(engine)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(infer.EngineError, match="Choose"):
        infer.Tempered(reference="posterior")
    with pytest.raises(infer.RunError, match="levels"):
        infer.Tempered(levels=1)


def share_above(result):
    return float((read_group(result, "posterior")["x"] > 0).mean())


@pytest.mark.slow
def test_the_weights_of_two_modes_are_found():
    made = infer.sample(MODES, infer.Tempered(), draws=1000, key=0, progress=False)
    trips = float(read_group(made, "tempering")["round_trips"].sum())
    assert abs(share_above(made) - SHARE) < 4 * np.sqrt(0.21 / trips) < 0.12
    found = infer.evidence(MODES, made)
    assert found.method == "stepping stones"
    assert abs(found.log_evidence) < 4 * found.standard_error < 0.3


@pytest.mark.slow
def test_the_prior_as_reference_gives_the_same_posterior():
    def bimodal(site):
        x = site("x", dist.Normal(0, 5))
        site.observe("y", dist.Normal(x**2, 2.0), 16.0)

    model = infer.model(bimodal)
    made = infer.sample(
        model, infer.Tempered(infer.HMC(), reference="prior"), draws=1000, key=1, progress=False
    )
    assert abs(share_above(made) - 0.5) < 0.1
    grid = np.linspace(-20, 20, 200_001)
    logs = -0.5 * (grid / 5) ** 2 - 0.5 * ((16 - grid**2) / 2) ** 2
    exact = np.log(np.exp(logs).sum() * (grid[1] - grid[0])) - np.log(2 * np.pi * 10)
    found = infer.evidence(model, made)
    assert abs(found.log_evidence - exact) < 4 * found.standard_error < 0.3


@pytest.mark.slow
def test_an_interrupted_call_goes_on_bit_for_bit(result, monkeypatch):
    from infer.run.replicas import Replicas

    swaps, swap = [], Replicas.swap

    def interrupting(self):
        swap(self)
        swaps.append(1)
        if len(swaps) in (20, 70):
            raise KeyboardInterrupt

    monkeypatch.setattr(Replicas, "swap", interrupting)
    call = lambda: infer.sample(  # noqa: E731
        MODES, SETTINGS, chains=2, warmup=48, draws=60, key=0, progress=False
    )
    with pytest.raises(infer.Interrupted) as first:
        call()
    with pytest.raises(infer.Interrupted) as second:
        first.value.resume()
    with pytest.warns(infer.SamplingWarning):
        again = second.value.resume()
    mine, theirs = (np.asarray(read_group(own, "posterior")["x"]) for own in (again, result))
    np.testing.assert_array_equal(mine, theirs)
