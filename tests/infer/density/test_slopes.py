"""Checks that every run makes: are gradients right, is the model deterministic?"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density import slopes
from infer.density.chain_starts import assign_starts
from infer.density.family import singleton
from infer.density.points import make_evaluator
from infer.density.start import find_starts
from infer.programs.switch import is_native_allowed
from tests.compilations import list_compilations

compiled = list_compilations()


def look(function, chains=4, starts="uniform"):
    """Check gradients as a run does, without the loop of an engine."""
    family, key = singleton(infer.log_density(infer.model(function))), np.array([0, 1], np.uint32)
    wanted = assign_starts(family, chains, starts)
    found, _ = find_starts(family, key, wanted)
    slopes.warn_of_wrong_gradients(family, found, make_evaluator(family, key, wanted))


@jax.custom_jvp
def score_only(z):
    return jnp.zeros(())


@score_only.defjvp
def _(primals, tangents):
    return jnp.zeros(()), -jnp.sum(primals[0] * tangents[0])


def by_score(site):
    site("x", dist.Normal(0.0, 1.0))
    z = site.param("z", bj.Real(shape=(3,)))
    site.factor("score", score_only(z))


def blind(site):
    scale = site("scale", dist.HalfNormal(1.0))
    site("x", dist.Normal(0.0, jax.lax.stop_gradient(scale)), shape=(5,))


def many(site):
    """More sites than directions; the gradient of one of them is wrong."""
    for i in range(9):
        site(f"x{i}", dist.Normal(0.0, 1.0))
    y = site.param("y", bj.Real())
    site.factor("term", -0.5 * y * jax.lax.stop_gradient(y))


WRONG = {"a score alone": (by_score, "z"), "a stop": (blind, "scale"), "one of many": (many, "y")}


@pytest.mark.parametrize(("function", "name"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_a_wrong_gradient_is_reported_by_name(function, name, precision):
    right = jax.enable_x64(precision is np.float64)
    with right, pytest.warns(infer.ModelWarning, match="infer.ScorePrior") as caught:
        look(function)
    assert [str(w.message).split(":")[0] for w in caught] == [name]


def test_a_run_checks_gradients_by_itself():
    with pytest.warns(infer.ModelWarning, match="z: its slope is .* by the gradient") as caught:
        infer.start(infer.model(by_score), infer.NUTS())
    assert caught[0].filename == __file__


@pytest.mark.parametrize("starts", ["prior", {"scale": 0.7, "x": np.linspace(-1.0, 1.0, 5)}])
def test_gradients_are_checked_at_every_kind_of_start(starts):
    slopes._known.clear()
    with pytest.warns(infer.ModelWarning, match="scale: its slope is .* by the gradient"):
        look(blind, 2, starts)


def funnel(site):
    scale = site("scale", dist.Normal(0.0, 3.0))
    site("x", dist.Normal(0.0, jnp.exp(scale)), shape=(9,))


def kinks(site):
    x = site("x", dist.Laplace(0.0, 0.01), shape=(20,))
    site("y", dist.Uniform(0.0, 1.0))
    site.factor("floor", -jnp.floor(x).sum() * 1e-6 - jnp.abs(x).sum())


def oscillating(site):
    frequency = site("frequency", dist.Normal(1.0, 1.0))
    times = jnp.linspace(0.0, 5000.0, 40)
    site.observe("y", dist.Normal(jnp.sin(times * frequency), 0.1), np.zeros(40))


def cancelling(site):
    """In single precision each difference of the log density is pure rounding error."""
    x = site("x", dist.Normal(0.0, 1.0))
    large = np.linspace(1e6, 3e6, 30)
    site.factor("term", 30 * (jnp.mean(large + x) - jnp.mean(large)))


def stiff(site):
    x = site("x", dist.Normal(0.0, 1.0), shape=(3,))
    site.observe("y", dist.Normal(x.sum(), 1e-4), 0.0)


def growing(site):
    rate = site("rate", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Poisson(jnp.exp(rate * np.linspace(0.0, 20.0, 30))), np.ones(30))


SOUND = [funnel, kinks, oscillating, cancelling, stiff, growing]


def test_one_step_is_enough_for_slopes_that_are_right():
    """Two points for each of the two sites."""
    family, key = singleton(infer.log_density(infer.model(funnel))), np.array([0, 1], np.uint32)
    wanted = assign_starts(family, 1, {"scale": 0.5, "x": np.ones(9)})
    found, _ = find_starts(family, key, wanted)
    evaluate, rows = make_evaluator(family, key, wanted), []
    slopes._known.clear()
    slopes.warn_of_wrong_gradients(
        family, found, lambda own: rows.append(len(own)) or evaluate(own)
    )
    assert sum(rows) == 4


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("function", SOUND)
def test_sound_models_raise_no_alarm(function, precision):
    with jax.enable_x64(precision is np.float64), warnings.catch_warnings(action="error"):
        for chains in (1, 4):
            look(function, chains)


def test_the_gradient_check_compiles_nothing_and_runs_once(monkeypatch):
    look(funnel, 3)
    before, asked = len(compiled), []
    monkeypatch.setattr(slopes, "_find_wrong_slopes", lambda *_: asked.append(1) or [])
    look(funnel, 3)
    assert not asked
    slopes._known.clear()
    monkeypatch.undo()
    look(funnel, 3)
    assert len(compiled) == before


RNG = np.random.default_rng(0)


def restless(site):
    x = site("x", dist.Normal(0.0, 1.0), shape=(2,))
    site.observe("y", dist.Normal(x, 1.0), RNG.normal(size=2))


def test_a_random_model_is_refused():
    message = "model: its log density was .* run again.*Draw random"
    with pytest.raises(infer.ModelError, match=message):
        infer.sample(infer.model(restless), infer.NUTS(), chains=2, draws=20, warmup=50)
    # The model is wrong, and not the native form.
    assert is_native_allowed()


def test_a_deterministic_model_is_sampled_without_another_compilation():
    def sample():
        before = len(compiled)
        infer.sample(infer.model(funnel), infer.NUTS(), chains=2, draws=20, warmup=20)
        return len(compiled) - before

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        sample()
        assert sample() == 0
