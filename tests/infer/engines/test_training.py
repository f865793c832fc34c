"""Training by minibatches: defaults, closed divergence from the prior, passes, collapse."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.engines.advi import ADVITuning
from infer.engines.base import Draws
from infer.models.protocol.minibatch import Minibatch
from infer.numerics.collapse import divergence_from_prior, find_collapsed
from infer.numerics.elbo import estimate_elbo
from infer.numerics.families.mean_field import IndependentNormal, MeanField, SoftplusNormal
from infer.numerics.stationarity import LEVEL_WINDOWS
from infer.numerics.training import Batches
from infer.output.fitted.pruned import prune
from infer.output.fitted.split import count_observations
from infer.output.predictive.draw_source import find_draws

RNG = np.random.default_rng(0)
SIZE, ROWS, SEEN = 40, 200, 20
X = RNG.normal(size=(ROWS, SIZE)) / np.sqrt(SIZE)
Y = X @ RNG.normal(size=SIZE) + 0.3 * RNG.normal(size=ROWS)
SITES = {"w": slice(0, SIZE)}


def regression(site, x, y, noise):
    w = site("w", dist.Normal(0.5, 1.0), shape=(SIZE,))
    with site.plate("row", len(y), minibatch=SEEN) as rows:
        site.observe("y", dist.Normal(x[rows] @ w, noise), y[rows])


def model(noise):
    return infer.model(regression, x=X, y=Y, noise=np.array(noise))


@pytest.fixture(scope="module")
def fits():
    """One program: the second data set says nothing of the weights."""
    told = infer.fit(model(0.3), starts={"w": np.zeros(SIZE)}, epochs=400, progress=False)
    with pytest.warns(infer.FitWarning, match="fallen back to the prior"):
        untold = infer.fit(model(1e4), starts={"w": np.zeros(SIZE)}, epochs=400, progress=False)
    return told, untold


def test_more_coordinates_than_rows_seen_are_trained_as_networks_are():
    bound = infer.ADVI().bind(SITES, Batches(SEEN, ROWS // SEEN, 400, True))
    assert (bound.estimator, bound.epoch, bound.family) == ("total", 10, MeanField("softplus"))
    assert (bound.batch, bound.initial_scale, bound.kl_warmup) == (2, 0.01, 200)
    assert bound.bind(SITES, Batches(SEEN, ROWS // SEEN, 400, True)) == bound


@pytest.mark.parametrize(
    ("engine", "rows"),
    [(infer.ADVI(), SIZE), (infer.ADVI(estimator="path"), 1), (infer.ADVI("full_rank"), 1)],
)
def test_few_coordinates_and_other_families_are_not_trained(engine, rows):
    assert engine.bind(SITES, Batches(rows, 10, None, True)) == engine


def test_settings_that_are_given_stay_as_they_are():
    given = infer.ADVI(batch=3, kl_warmup=0, initial_scale=0.2, epoch=7)
    bound = given.bind(SITES, Batches(1, 10, None, True))
    assert (bound.batch, bound.kl_warmup, bound.initial_scale, bound.epoch) == (3, 0, 0.2, 7)


def test_a_prior_without_a_value_has_no_warm_up():
    assert infer.ADVI().bind(SITES, Batches(1, 10, None, False)).kl_warmup == 0


def test_training_ends_at_the_best_mean_field(fits):
    """Its means are the posterior's, its variances are 1 / precision; minibatches leave noise."""
    precision = X.T @ X / 0.3**2 + np.eye(SIZE)
    mean = np.linalg.solve(precision, X.T @ Y / 0.3**2 + 0.5)
    sd = 1 / np.sqrt(np.diag(precision))
    q = fits[0].distribution
    assert fits[0].converged
    assert np.sqrt(np.mean((q.mean - mean) ** 2 / sd**2)) < 0.15
    assert np.sqrt(np.mean((q.scale / sd - 1) ** 2)) < 0.1


def test_the_trace_has_the_divergence_from_the_prior(fits):
    q, trace = fits[0].distribution, fits[0].trace
    own = -np.log(q.scale) + 0.5 * (q.scale**2 + (q.mean - 0.5) ** 2) - 0.5
    np.testing.assert_allclose(trace.divergence[-1], own.sum(), rtol=0.02)
    assert trace.divergence[0] > trace.divergence[-1]


def test_a_fit_that_ignores_the_data_says_so_and_names_the_sites(fits):
    told, untold = fits
    assert told.findings == ()
    (finding,) = untold.findings
    assert (finding.kind, finding.sites) == ("collapsed_to_prior", ("w",))
    assert "100.0%" in finding
    assert "kl_warmup" in finding


def test_the_elbo_per_datum_is_split_into_likelihood_and_divergence(fits):
    q, each = fits[0].distribution, fits[0].per_datum
    divergence = (-np.log(q.scale) + 0.5 * (q.scale**2 + (q.mean - 0.5) ** 2) - 0.5).sum()
    spread = ((X**2) @ q.scale**2).sum() / 0.3**2
    likelihood = dist.Normal(X @ q.mean, 0.3).log_prob(Y).sum() - 0.5 * spread
    assert each.observations == ROWS
    np.testing.assert_allclose(each.divergence, divergence / ROWS, rtol=1e-6)
    # The last steps' ELBO is a little lower than that of their average.
    np.testing.assert_allclose(each.likelihood, likelihood / ROWS, atol=0.02)
    np.testing.assert_allclose(each.elbo, each.likelihood - each.divergence)


def test_held_out_rows_are_scored_by_draws_that_are_made_as_they_are_needed(fits):
    """Given the weights x w is normal, so the predictive density of a row is too."""
    q, new = fits[0].distribution, RNG.normal(size=(3, SIZE)) / np.sqrt(SIZE)
    held_out = model(0.3).with_data(x=np.tile(new, (10, 1)), y=np.tile([0.1, -0.2, 0.3], 10))
    score = infer.score_predictions(held_out, fits[0], draws=4000, key=1)
    normal = dist.Normal(new @ q.mean, np.sqrt(0.3**2 + new**2 @ q.scale**2))
    exact = normal.log_prob(np.array([0.1, -0.2, 0.3]))
    # The standard error of the largest is 0.01.
    np.testing.assert_allclose(score.rows["y"].values, np.tile(exact, 10), atol=0.04)
    draws = find_draws(fits[0], 9, 1, {"w": (SIZE,)})
    fifth = draws.take(np.array([4]))["w"][0]
    np.testing.assert_allclose(draws.take(np.arange(9))["w"][4], fifth, rtol=1e-12)


def test_pruned_draws_are_zero_where_the_signal_is_lowest(fits):
    signal = fits[0].signal_to_noise["w"]
    draws = np.asarray(fits[0].sample(5, prune=0.75)["posterior"]["w"])[0]
    zero = (draws == 0).all(0)
    assert zero.sum() == 30
    assert not (draws[:, ~zero] == 0).any()
    assert signal[zero].max() < signal[~zero].min()
    whole = np.asarray(fits[0].sample(5)["posterior"]["w"])[0]
    np.testing.assert_array_equal(draws[:, ~zero], whole[:, ~zero])


def test_a_share_to_prune_of_one_or_more_is_refused(fits):
    with pytest.raises(infer.RunError, match="from 0 to below 1"):
        fits[0].sample(5, prune=75)


def test_a_share_to_prune_counts_weights_of_equal_signal(fits):
    """Weights of inputs that are always zero keep a mean of zero."""
    density, mean = fits[0].density, jnp.zeros(SIZE).at[:4].set(1.0)
    pruned = prune(np.ones((1, SIZE)), density, IndependentNormal(mean, jnp.ones(SIZE)), 0.5)
    assert (pruned[0, 4:] == 0).sum() == SIZE / 2
    assert pruned[0, :4].all()


def two_surveys(site, a, b):
    w = site("w", dist.Normal(0.0, 1.0), shape=(3,))
    with site.plate("row", 10, minibatch=5) as rows, site.plate("group", 3):
        site.observe("a", dist.Normal(w[:, None], 1.0), a[:, rows])
    with site.plate("other", 7, minibatch=2) as rows:
        site.observe("b", dist.Normal(w[0], 1.0), b[rows])


def test_observations_of_all_plates_are_counted():
    both = infer.model(two_surveys, a=np.zeros((3, 10)), b=np.zeros(7))
    assert count_observations(infer.log_density(both)) == 37
    none = infer.declared(lambda v: -(v["x"] ** 2).sum(), {"x": bj.Real(shape=(2,))})
    with pytest.raises(infer.RunError, match="no rows of observations"):
        count_observations(infer.log_density(none))


def test_the_divergence_of_a_coordinate_follows_from_the_pull_of_its_prior():
    mean, sd, center, scale = 0.7, 0.4, -0.2, 1.5
    exact = dist.kl_divergence(dist.Normal(mean, sd), dist.Normal(center, scale))
    found = divergence_from_prior(
        np.array([(center - mean) * sd / scale**2]), np.array([-((sd / scale) ** 2)])
    )
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_a_fit_has_not_collapsed_if_one_coordinate_has_moved():
    divergence = np.full(1000, 1e-4)
    assert find_collapsed(divergence).all()
    divergence[3] = 1.0
    assert not find_collapsed(divergence).any()
    divergence[3] = np.nan
    assert not find_collapsed(divergence).any()


def nested(site, y):
    """A normal prior whose scale depends on another site, and a prior that is not normal."""
    log_tau = site("log_tau", dist.Normal(0.3, 0.5))
    theta = site("theta", dist.Normal(1.0, jnp.exp(log_tau)), shape=(2,))
    heavy = site("heavy", dist.Laplace(0.0, 1.0))
    site.observe("y", dist.Normal(theta.sum() + heavy, 1.0), y)


@pytest.mark.parametrize("kind", [IndependentNormal, SoftplusNormal])
def test_normal_priors_are_integrated_exactly_given_the_other_sites(kind):
    """The divergence is that of the formulas, at two draws of the scale and of the heavy prior."""
    density = infer.log_density(infer.model(nested, y=np.array(2.0)))
    mean, sd = jnp.array([0.1, 1.4, 0.2, -0.3]), jnp.array([0.2, 0.5, 0.1, 0.7])
    q = IndependentNormal(mean, sd) if kind is IndependentNormal else MeanField("softplus").begin(
        mean, sd
    )  # fmt: skip
    noise = jnp.asarray(RNG.normal(size=(2, 4)))

    @jax.jit
    def estimate(q, noise):
        return estimate_elbo(density, q, noise, "total", None)

    @jax.jit
    def oracle(q, noise):
        mean, sd = q.location, q.sd
        draws = mean + sd * noise
        normal = dist.Normal(1.0, jnp.exp(draws[:, :1]))
        own = normal.log_prob(mean[1:3]) - 0.5 * (sd[1:3] / normal.scale) ** 2
        first = dist.Normal(0.3, 0.5).log_prob(mean[0]) - 0.5 * (sd[0] / 0.5) ** 2
        prior = first + (own.sum(1) + dist.Laplace(0.0, 1.0).log_prob(draws[:, 3])).mean()
        entropy = dist.Normal(mean, sd).entropy().sum()
        rows = dist.Normal(draws[:, 1:].sum(1), 1.0).log_prob(2.0)
        return rows.mean() + prior + entropy, -prior - entropy

    found = estimate(q, noise)
    (elbo, divergence), slope = jax.value_and_grad(
        lambda q: oracle(q, noise), has_aux=True
    )(q)  # fmt: skip
    np.testing.assert_allclose(found.elbo, elbo, rtol=1e-10)
    np.testing.assert_allclose(found.divergence, divergence, rtol=1e-10)
    if kind is SoftplusNormal:
        np.testing.assert_allclose(found.uphill.mean, slope.mean, rtol=1e-9)
        np.testing.assert_allclose(found.uphill.scale, slope.rho, rtol=1e-9)
    else:
        np.testing.assert_allclose(found.uphill.mean, sd * slope.mean, rtol=1e-9)
        np.testing.assert_allclose(found.uphill.scale, sd * slope.scale, rtol=1e-9)


@pytest.mark.parametrize("estimator", ["path", "total"])
def test_the_weight_of_the_divergence_changes_the_gradient_and_not_the_elbo(estimator):
    density = infer.log_density(infer.model(nested, y=np.array(2.0)))
    q, noise = IndependentNormal(jnp.zeros(4), jnp.ones(4)), jnp.asarray(RNG.normal(size=(2, 4)))

    @jax.jit
    def estimate(weight):
        return estimate_elbo(density, q, noise, estimator, weight)

    half, whole = estimate(0.5), estimate(1.0)
    np.testing.assert_allclose(half.elbo, whole.elbo, rtol=1e-12)
    assert not np.allclose(half.uphill.mean, whole.uphill.mean)


@pytest.mark.parametrize(("size", "seen"), [(12, 4), (7, 3), (5, 5)])
def test_the_turns_of_one_key_see_every_row(size, seen):
    draw = jax.jit(jax.vmap(Minibatch("row", size, seen).draw, (None, 0)))
    turns = np.asarray(draw(jax.random.key(3), jnp.arange(-(-size // seen))))
    assert set(turns.ravel().tolist()) == set(range(size))
    assert all(len(set(own)) == seen for own in turns.tolist())
    if size % seen == 0:
        assert turns.size == size


@pytest.mark.slow
def test_a_fit_whose_steps_are_lost_to_rounding_has_not_converged():
    """The maximum is at log 3; at 25 a step in single precision changes nothing."""
    far = infer.declared(lambda v: (3 * v["x"] - jnp.exp(v["x"])).sum(), {"x": bj.Real(shape=(2,))})
    jax.config.update("jax_enable_x64", False)
    try:
        start = {"x": np.full(2, 25.0)}
        with pytest.warns(infer.FitWarning, match="lost to rounding"):
            fit = infer.fit(far, infer.ADVI("mean_field"), starts=start, progress=False)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert not fit.converged
    assert [finding.kind for finding in fit.findings] == ["unsettled_fit", "unknown_khat"]


def end_still_windows(engine, dtype):
    """Judge windows that show no trend but much noise; return the last tuning and their number."""
    none, no, yes = np.asarray(np.nan, dtype), np.asarray(False), np.asarray(True)
    rate, zero, one = np.asarray(0.1, dtype), np.asarray(0, np.int32), np.asarray(1, np.int32)
    elbos = np.full(LEVEL_WINDOWS, np.nan, dtype)
    tuning = ADVITuning(rate, none, no, one, yes, zero, no, none, elbos, zero)
    mean = np.tile([0.0, 0.1, 0.1, 0.0], 3)[:10]
    positions = np.stack([mean, np.ones(10)], -1)[None].astype(dtype)
    elbo = np.tile([-1.0, -2.0], 5).astype(dtype)[None]
    stats = {"elbo": elbo, "skipped": np.zeros((1, 10)), "slope": np.full((1, 10), 9.0, dtype)}
    window = Draws(positions, np.zeros((1, 10, 0)), stats)
    for count in range(1, 50):
        tuning, windows, *_ = engine.end_window(tuning, [window, window], (10,))
        if not windows:
            return tuning, count
    return tuning, 50


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_whose_noise_exceeds_the_tolerance_settles_at_the_slowest_rate(dtype):
    for engine, halvings in (
        (infer.ADVI(tolerance=1e-4), 10),
        (infer.ADVI(infer.MeanField(steps="softplus")), 4),
    ):
        tuning, count = end_still_windows(engine, dtype)
        assert tuning.settled
        assert tuning.learning_rate == dtype(0.1) / 2**halvings
        assert count == halvings + 1
