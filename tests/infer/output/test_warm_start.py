"""A sampler that begins at a fit makes warm-up short, as far as the fit is good."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.numerics.families.full_rank import make_normal
from infer.output.finding import Finding
from infer.output.fitted.warm_start import plan_warm_start

from ..targets import COVARIANCE, MEAN, normal

FACTOR = np.linalg.cholesky(COVARIANCE)
NUTS = infer.NUTS()
OTHER_MODES = Finding("other_modes", "There are others.")


def approximation(factor=FACTOR, problems=()):
    """An approximation of the normal of three dimensions by another one."""
    distribution = make_normal(jnp.asarray(MEAN), jnp.asarray(factor))
    density, losses = infer.log_density(normal()), np.zeros(1)
    return infer.Approximation(
        density, distribution, "full_rank", losses, 0.0, True, {}, problems=problems
    )


@pytest.fixture(scope="module")
def exact():
    return approximation()


@pytest.fixture(scope="module")
def wide():
    return approximation(2.0 * FACTOR)


def plan(fits, model=None, engine=NUTS, tuning=None, warmup=None):
    return plan_warm_start(normal() if model is None else model, engine, fits, tuning, 4, warmup, 0)


def test_after_a_good_fit_warm_up_learns_only_the_step_size(exact):
    result = infer.sample(normal(), NUTS, starts=exact, draws=200, progress=False)
    assert result.attrs["warmup_draws"] == 30
    assert "passed its audit" in result.attrs["engine_choice"]
    draws = np.asarray(result["posterior"]["x"]).reshape(-1, 3)
    # About 700 effective draws; three means are all within 5 standard errors but once in 10^6.
    errors = (draws.mean(0) - MEAN) / np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose(errors, 0, atol=0.2)


def test_after_a_wrong_fit_the_chains_judge_the_metric_and_learn_another(wide):
    result = infer.sample(normal(), NUTS, starts=wide, draws=200, progress=False)
    assert "the fit has findings" in result.attrs["engine_choice"]
    # Not only the first window for the metric, of 49 draws, and the last.
    assert result.attrs["warmup_draws"] > 79
    sds = np.asarray(result["posterior"]["x"]).reshape(-1, 3).std(0)
    np.testing.assert_allclose(sds / np.sqrt(np.diag(COVARIANCE)), 1, atol=0.2)


def test_a_fit_of_other_data_is_doubted(exact):
    planned = plan(exact, normal(mean=MEAN + 1))
    assert "other data" in planned.reasons[-1]
    assert planned.windows == (49, 141, 30)


@pytest.mark.parametrize("wrong", ["modes", "nan"])
def test_a_fit_whose_draws_are_no_starts_is_not_used_and_says_so(wrong):
    fit = approximation(FACTOR * (np.nan if wrong == "nan" else 1), [OTHER_MODES])
    match = "one of several modes" if wrong == "modes" else "not finite"
    with pytest.warns(infer.FitWarning, match=f"the fit is not used, since .*{match}"):
        planned = plan(fit)
    assert planned.starts is planned.tuning is None
    assert planned.windows == ()
    assert "not used" in planned.reasons[-1]


def test_several_models_begin_at_a_fit_each_and_warm_up_as_the_worst_needs(exact, wide):
    planned = plan([exact, wide], [normal(), normal(mean=MEAN + 1)])
    assert len(planned.starts) == 2
    assert planned.tuning.metric.diagonal.scale.shape == (2, 3)
    assert planned.windows == (49, 141, 30)


def test_there_must_be_a_fit_for_each_model(exact):
    with pytest.raises(infer.StartError, match="2 fits are given for 1 models"):
        plan([exact, exact])


def test_what_the_user_asks_for_is_used_instead(exact):
    assert plan(exact, warmup=60).windows == ()
    assert plan(exact, tuning="theirs").tuning == "theirs"


def test_an_engine_is_chosen_if_there_is_none(exact):
    planned = plan(exact, engine=None)
    assert planned.engine == infer.choose(normal()).engine
    assert planned.reasons[0] == infer.choose(normal()).reasons[0]


def test_an_engine_without_a_metric_takes_only_the_starts(exact):
    planned = plan(exact, engine=infer.BlackJAX("elliptical_slice"))
    assert planned.starts["x"].shape == (4, 3)
    assert planned.tuning is None


def test_other_starts_are_left_as_they_are():
    for starts in ("prior", {"x": MEAN}, [{"x": MEAN}] * 4, None):
        assert plan(starts) == (NUTS, starts, None, (), (), 0)


def funnel(site):
    scale = site("scale", dist.LogNormal(0.0, 1.0))
    site("effect", dist.Normal(0.0, scale), shape=(2,))


def test_draws_of_the_fit_choose_how_far_sites_are_centered():
    model = infer.model(funnel)
    density = infer.log_density(model)
    # Log scale 0 +- 1 and effects beside, whose draws hardly depend on the scale.
    distribution = make_normal(jnp.zeros(3), jnp.diag(jnp.asarray([0.5, 1.0, 1.0])))
    fit = infer.Approximation(density, distribution, "full_rank", np.zeros(1), 0.0, True, {})
    planned = plan(fit, model)
    assert planned.tuning.degrees.tolist() == [0.0, 0.0]
    assert planned.gradients == 512
