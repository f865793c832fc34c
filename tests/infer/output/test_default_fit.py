"""What `infer.fit` chooses by itself, and that it begins where the searches for modes ended."""

import contextlib
import io
import re
import warnings

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.output.fitted.searches import choose_start
from infer.run.fit_choice import BEGUN, plan_fit

SHAPE = 3.0


def log_density(values, data):
    """A log-gamma, two wells at -2 and 2, a spike of infinite density at zero, or a line."""
    gamma, wells, spike, line = data["kind"]
    # So that a product with zero stays finite.
    y = jnp.where(line > 0, 1.0, values["y"])
    wells = wells * -12.5 * (y**2 - 4.0) ** 2 + line * values["y"]
    return gamma * (SHAPE * y - jnp.exp(y)) + wells - spike * (0.5 * jnp.log(y**2) + 0.5 * y**2)


def make(kind):
    return infer.declared(log_density, {"y": bj.Real()}, data={"kind": np.eye(4)[kind]})


@pytest.fixture(scope="module")
def watched():
    """Return fits of three models, and what they showed of their progress."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()) as shown:
        warnings.simplefilter("ignore", infer.FitWarning)
        made = infer.fit([make(kind) for kind in range(3)], progress=True)
    return made, shown.getvalue()


@pytest.fixture(scope="module")
def fits(watched):
    return watched[0]


def test_progress_counts_searches_and_then_epochs(watched):
    fits, shown = watched
    searching, fitting = [bar.split("\r")[-1] for bar in shown.strip().split("\n")]
    assert re.match(r"searching: 100%\|#+\| 48/48 searches, done in", searching)
    epochs = 3 * (fits[0].attributes["warmup_draws"] + 50)
    assert re.match(rf"averaging: 100%\|#+\| {epochs}/{epochs} epochs, done in", fitting)
    assert "fitting:   0%|" in shown
    assert "draws" not in shown


def test_the_fit_is_the_normal_of_largest_elbo_not_that_of_laplace(fits):
    # E[SHAPE y - exp(y)] + log(sd) is largest at the sd 1 / sqrt(SHAPE) and this mean.
    fit, sd = fits[0], 1 / np.sqrt(SHAPE)
    np.testing.assert_allclose(fit.distribution.sd, [sd], rtol=0.02)
    mean = np.log(SHAPE) - 0.5 / SHAPE
    np.testing.assert_allclose(fit.distribution.mean, [mean], atol=0.02 * sd)
    assert fit.family == "full_rank"
    assert fit.converged


def test_a_fit_starts_with_the_elbo_of_laplace(fits):
    # E[SHAPE y - exp(y)] at the mode, with the variance of Laplace's method, and the entropy.
    center, variance = np.log(SHAPE), 1 / SHAPE
    drop = SHAPE * center - np.exp(center + 0.5 * variance)
    exact = drop + 0.5 * np.log(2 * np.pi * np.e * variance)
    assert abs(fits[0].initial_elbo - exact) < 0.5
    assert fits[0].initial_elbo < fits[0].elbo + 0.1


def test_gradients_are_counted(fits):
    epochs = fits[0].attributes["warmup_draws"] + 50
    searches = fits[0].n_gradients - epochs * BEGUN["epoch"] * 16
    # At least the start and two more points in each of 16 searches.
    assert 48 < searches < 1000
    said = [r for r in fits[0].reasons if "the searches took" in r][0]
    assert 0 < searches < int(said.split()[3])


def test_other_modes_are_named(fits):
    assert [finding.kind for finding in fits[1].findings][0] == "other_modes"
    np.testing.assert_allclose(np.abs(fits[1].distribution.mean), [2.0], atol=0.05)
    assert not any(finding.kind == "other_modes" for finding in fits[0].findings)


@pytest.mark.slow
def test_a_density_that_grows_without_bound_is_named_as_the_cause():
    with pytest.warns(infer.FitWarning, match="grow without bound along y"):
        fit = infer.fit(make(3), progress=False)
    assert not fit.converged
    assert [finding.kind for finding in fit.findings] == ["unbounded_density"]


def test_a_fit_without_a_mode_begins_at_a_start_and_says_so(fits):
    assert "1 of 3 models" in fits[2].reasons[-1]
    assert np.isfinite(np.asarray(fits[2].distribution.mean)).all()


def test_the_reasons_are_those_of_the_choice(fits):
    made = infer.choose(make(0), kind="fit")
    assert fits[0].reasons[: len(made.reasons)] == made.reasons
    assert "full rank: 1 coordinates" in made.reasons[0]
    assert "begun by Laplace" in str(made)
    assert "epochs" in str(made)
    assert fits[0].attributes["engine_choice"] == "; ".join(fits[0].reasons)


def independent(size):
    model = infer.declared(lambda v: -(v["x"] ** 2).sum(), {"x": bj.Real(shape=(size,))})
    return infer.log_density(model)


def test_the_size_decides_on_the_family():
    plans = {size: plan_fit(independent(size)) for size in (500, 501, 100_000)}
    families = [getattr(plan.engine.family, "name", plan.engine.family) for plan in plans.values()]
    assert families == ["full_rank", "low_rank", "mean_field"]
    covariances = [plan.search.covariance for plan in plans.values()]
    assert covariances == ["dense", "low_rank", "diagonal"]
    for size, plan in plans.items():
        # The search hands over what the fit begins with.
        assert type(plan.search.choose_family(size)) is type(plan.engine.choose_family(size))


def batched(site, y, minibatch):
    mu = site("mu", dist.Normal(0.0, 1.0))
    with site.plate("row", y.shape[0], minibatch=minibatch) as rows:
        site.observe("y", dist.Normal(mu, 1.0), y[rows])


def test_without_exact_values_there_is_no_search():
    noisy = plan_fit(infer.log_density(infer.model(batched, y=np.zeros(6), minibatch=2)))
    assert noisy.search is None
    assert noisy.engine == infer.ADVI()
    score = infer.static(infer.ScorePrior(lambda x: -x))
    scored = infer.model(lambda site, prior: site("x", prior), prior=score)
    plan = plan_fit(infer.log_density(scored))
    assert plan.search is None
    assert plan.engine == infer.ADVI("full_rank")


def make_tree():
    return infer.tree_model({"x": 3.0}, lambda tree: -(tree["x"] ** 2), {"x": dist.Normal(0, 1)})


def test_a_fit_without_searches_starts_at_the_values_of_a_tree_if_there_is_one():
    assert [choose_start(model) for model in (make_tree(), [make_tree()] * 2)] == ["initial"] * 2
    assert choose_start(make(0)) == "uniform"


@pytest.mark.slow
def test_a_fit_that_does_not_move_ends_at_the_values_of_the_tree():
    with pytest.warns(infer.FitWarning):
        still = infer.fit(make_tree(), infer.ADVI(learning_rate=1e-9), epochs=10, progress=False)
    np.testing.assert_allclose(still.distribution.mean, [3.0], rtol=1e-6)


def test_an_unknown_kind_of_choice_is_refused():
    with pytest.raises(infer.EngineError, match='Choose "draws" or "fit"'):
        infer.choose(make(0), kind="mode")


@pytest.mark.slow
def test_a_stored_fit_keeps_what_the_search_found(tmp_path):
    where = str(tmp_path / "fit.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        fit = infer.fit(make(1), store=where, progress=False)
        again = infer.resume(where, make(1), progress=False)
    np.testing.assert_array_equal(fit.distribution.mean, again.distribution.mean)
    assert fit.findings == again.findings
    assert fit.reasons == again.reasons


BESIDE = [{"y": 1.0}, {"y": -3.0}]
CHAINS = [{"y": np.array([1.0, 2.0])}, [{"y": -3.0}, {"y": -5.0}]]


@pytest.mark.parametrize("starts", [BESIDE, CHAINS], ids=["a model", "a chain"])
def test_a_fit_without_a_mode_begins_where_the_first_search_of_its_model_did(starts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        fits = infer.fit([make(0), make(2)], starts=starts, epochs=0, progress=False)
    assert "1 of 2 models" in fits[1].reasons[-1]
    # It cannot cross the spike at zero.
    assert np.asarray(fits[1].distribution.mean) < 0


def test_a_fit_without_a_mode_takes_a_number_of_searches():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        fits = infer.fit([make(0), make(2)], starts=2, epochs=0, progress=False)
    assert "1 of 2 models" in fits[1].reasons[-1]


@pytest.mark.slow
def test_a_fit_of_many_skewed_coordinates_settles_though_noise_moves_it():
    model = infer.declared(
        lambda v: (SHAPE * v["y"] - jnp.exp(v["y"])).sum(), {"y": bj.Real(shape=(200,))}
    )
    # Their product has heavy tails, however well each is fitted.
    with pytest.warns(infer.FitWarning, match="k-hat"):
        fit = infer.fit(model, progress=False)
    assert fit.converged
    assert fit.n_gradients < 15_000
