"""Sites inside a scan have the log density of the unrolled loop, for every reader."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray
from scipy import stats

import bijectors as bj
import infer

Y = np.array([0.3, -0.2, 1.1, 0.8])


def walk(site, y, centered=True):
    drift = site("drift", dist.HalfNormal(1.0))

    def step(site, level, y):
        level = site("level", dist.Normal(level, drift), centered=centered)
        scale = site("scale", dist.Gamma(2.0, 1.0))
        site.derive("double", 2 * level)
        site.factor("pull", -0.1 * level**2)
        site.observe("y", dist.Normal(level, scale), y)
        return level, level**2

    last, squares = site.scan(step, jnp.zeros(()), y, dim="time")
    site.derive("last", last)
    site.derive("squares", squares)


def by_hand(drift, level, scale):
    before = np.concatenate([[0.0], level[:-1]])
    return (
        stats.halfnorm.logpdf(drift)
        + stats.norm.logpdf(level, before, drift).sum()
        + stats.gamma.logpdf(scale, 2.0).sum()
        - 0.1 * (level**2).sum()
        + stats.norm.logpdf(Y, level, scale).sum()
    )


POSITION = jnp.array([-0.4, 0.3, -0.2, 0.5, 0.9, 0.1, -0.3, 0.2, 0.4])


def model(centered=True, y=Y):
    coords = {"time": ["a", "b", "c", "d"]}
    return infer.model(walk, y=y, centered=centered, coords=coords)


@pytest.mark.parametrize("centered", [True, False])
def test_the_log_density_equals_that_of_an_unrolled_loop(centered):
    drift, raw = np.exp(-0.4), np.asarray(POSITION[1:5])
    level = raw if centered else np.cumsum(drift * raw)
    log_scale = np.asarray(POSITION[5:])
    density = infer.log_density(model(centered))
    truth = by_hand(drift, level, np.exp(log_scale))
    log_det = -0.4 + log_scale.sum() + (0 if centered else 4 * -0.4)
    np.testing.assert_allclose(density(POSITION), truth + log_det, rtol=1e-12)
    without = infer.log_density(model(centered), jacobian=False)
    np.testing.assert_allclose(without(POSITION), truth, rtol=1e-12)
    values = density.constrain(POSITION)
    np.testing.assert_allclose(values["level"], level, rtol=1e-12)
    np.testing.assert_allclose(values["double"], 2 * level, rtol=1e-12)
    np.testing.assert_allclose(values["squares"], level**2, rtol=1e-12)


def test_a_series_is_one_site_with_named_axes():
    density = infer.log_density(model())
    shapes = {site.name: (site.shape, site.dims) for site in density.sites}
    assert shapes["level"] == shapes["y"] == shapes["double"] == ((4,), ("time",))
    assert density.labels()[:3] == ["drift", "level[a]", "level[b]"]
    assert list(density.terms(POSITION))[:4] == ["drift", "level", "scale", "pull"]


@pytest.mark.parametrize("centered", [True, False])
def test_unconstrain_inverts_constrain(centered):
    density = infer.log_density(model(centered))
    values = density.constrain(POSITION)
    latent = {name: values[name] for name in ("drift", "level", "scale")}
    np.testing.assert_allclose(density.unconstrain(latent), POSITION, rtol=1e-10)
    with pytest.raises(infer.ModelError, match="scale: the value .* lies outside Positive"):
        density.unconstrain(latent | {"scale": -np.ones(4)})


def test_a_set_may_depend_on_the_carry():
    def rising(site):
        def step(site, floor, _):
            top = site("top", dist.TruncatedNormal(0.0, 1.0, low=floor))
            return top, None

        site.scan(step, jnp.zeros(()), length=3)

    density = infer.log_density(infer.model(rising))
    values = density.constrain(jnp.array([0.1, -0.2, 0.3]))["top"]
    np.testing.assert_allclose(values, np.cumsum(np.exp([0.1, -0.2, 0.3])), rtol=1e-12)
    np.testing.assert_allclose(density.unconstrain({"top": values}), [0.1, -0.2, 0.3], rtol=1e-8)
    both = jax.jit(jax.value_and_grad(density))

    def by_hand(y):
        top = np.cumsum(np.exp(y))
        floor = np.append(0.0, top[:-1])
        return np.sum(stats.norm.logpdf(top) - stats.norm.logsf(floor) + y)

    for y in np.random.default_rng(2).normal(0, 0.7, (3, 3)):
        value, gradient = both(y)
        slopes = [(by_hand(y + e) - by_hand(y - e)) / 2e-5 for e in 1e-5 * np.eye(3)]
        np.testing.assert_allclose(value, by_hand(y), rtol=1e-10)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-7)
    with pytest.raises(infer.ModelError, match="top: the value"):
        density.unconstrain({"top": values[::-1]})


def test_a_scan_may_run_backwards_in_a_plate_and_a_scope():
    y = np.arange(6.0).reshape(3, 2)

    def nested(site, y):
        with site.plate("series", 2):

            def step(site, after, y):
                inner = site.scope("inner")
                level = inner("level", dist.Normal(after, 1.0))
                site.observe("y", dist.Normal(level, 2.0), y)
                return level, None

            site.scan(step, jnp.zeros(2), y, reverse=True)

    density = infer.log_density(infer.model(nested, y=y))
    level = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
    after = np.concatenate([level[1:], np.zeros((1, 2))])
    truth = stats.norm.logpdf(level, after).sum() + stats.norm.logpdf(y, level, 2.0).sum()
    np.testing.assert_allclose(density(jnp.asarray(level.reshape(-1))), truth, rtol=1e-12)
    sites = {site.name: site.dims for site in density.sites}
    assert sites["inner.level"] == (None, "series")


def test_a_series_may_be_frozen():
    level = np.array([0.3, -0.2, 0.5, 0.9])
    frozen = infer.log_density(model().freeze(level=level))
    assert [site.name for site in frozen.latent] == ["drift", "scale"]
    whole = infer.log_density(model())
    rest = jnp.concatenate([POSITION[:1], POSITION[5:]])
    np.testing.assert_allclose(frozen(rest), whole(POSITION), rtol=1e-12)
    with pytest.raises(infer.ModelError, match="scale: it is frozen at .* outside Positive"):
        model().freeze(scale=np.array([1.0, 1.0, -1.0, 1.0]))
    with pytest.raises(infer.ModelError, match=r"level: its value has shape \(3,\).*4 steps"):
        model().freeze(level=level[:3])


def test_the_prior_of_a_walk_spreads_with_time():
    """2000 draws; variances within 5 standard errors."""

    def free_walk(site, y):
        def step(site, level, y):
            level = site("level", dist.Normal(level, 1.0))
            site.observe("y", dist.Normal(level, 0.1), y)
            return level, None

        site.scan(step, jnp.zeros(()), y)

    made = infer.model(free_walk, y=Y)
    found = infer.sample_prior(made, 2000)
    variance = found["prior"]["level"].var("draw")[0]
    np.testing.assert_allclose(variance, [1.0, 2.0, 3.0, 4.0], rtol=5 * np.sqrt(2 / 2000))
    noise = found["prior_predictive"]["y"] - found["prior"]["level"].values
    np.testing.assert_allclose(noise.std(("chain", "draw")), 0.1, rtol=0.08)
    level = np.tile(np.arange(4.0), (1, 500, 1))
    drawn = {"posterior": xarray.Dataset({"level": (("chain", "draw", "t"), level)})}
    again = infer.predict(made, drawn)["posterior_predictive"]["y"]
    np.testing.assert_allclose(again.mean("draw")[0], np.arange(4.0), atol=0.03)
    start = infer.log_density(made).draw_prior(jax.random.key(0))
    assert len(np.unique(start)) == 4


def test_a_state_space_model_has_the_posterior_of_kalman():
    """4 chains of 400 draws; means within 5 standard errors of the exact posterior."""

    def states(site, y):
        def step(site, level, y):
            level = site("level", dist.Normal(0.9 * level, 0.5), centered=False)
            site.observe("y", dist.Normal(level, 0.7), y)
            return level, None

        site.scan(step, jnp.zeros(()), y)

    forward = np.eye(4) - 0.9 * np.eye(4, k=-1)
    precision = forward.T @ forward / 0.25 + np.eye(4) / 0.49
    covariance = np.linalg.inv(precision)
    posterior = infer.sample(infer.model(states, y=Y), draws=400, key=0, progress=False)
    level = np.asarray(posterior["posterior"]["level"]).reshape(-1, 4)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(level.mean(0), covariance @ (Y / 0.49), atol=(0.2 * sd).min())
    np.testing.assert_allclose(level.std(0), sd, rtol=0.12)


def inside_cond(site):
    jax.lax.cond(True, lambda: site("x", dist.Normal(0, 1)), lambda: jnp.zeros(()))


def inside_scan(site):
    jax.lax.scan(lambda c, _: (site("x", dist.Normal(c, 1)), None), 0.0, length=3)


def inside_scope(site):
    jax.vmap(lambda i: site.scope("a")("x", dist.Normal(i, 1)))(jnp.arange(3.0))


@pytest.mark.parametrize("function", [inside_cond, inside_scan, inside_scope])
def test_sites_inside_other_transformations_are_refused(function):
    with pytest.raises(infer.ModelError, match=r"x: it is declared inside .*site\.scan"):
        infer.log_density(infer.model(function))


def test_wrong_scans_are_refused():
    def scanning(step, xs=None, **options):
        def function(site):
            site("mu", dist.Normal(0, 1))
            site.scan(step, jnp.zeros(()), xs, **options)

        return infer.log_density(infer.model(function, coords={"t": [1, 2]}))

    def fine(site, carry, x):
        return site("x", dist.Normal(carry, 1.0)), None

    def taken(site, carry, x):
        return site("mu", dist.Normal(carry, 1.0)), None

    def batched(site, carry, x):
        with site.plate("row", 4, minibatch=2):
            return carry, None

    for step, options, words in [
        (fine, {}, "scan: its arrays have first axes .*length="),
        (fine, {"xs": (np.zeros(2), np.zeros(3))}, r"\(2,\), \(3,\)"),
        (fine, {"length": 3, "dim": "t"}, "'t' has 2 coords, but the scan has 3 steps"),
        (taken, {"length": 3}, "mu: the name is declared twice"),
        (lambda site, c, x: c, {"length": 3}, r"step returns .*pair \(carry, output\)"),
        (batched, {"length": 3}, "row: a plate inside a scan"),
    ]:
        with pytest.raises(infer.ModelError, match=words):
            scanning(step, **options)


def test_parameters_without_a_prior_may_be_declared_in_a_scan():
    def flat(site):
        def step(site, carry, x):
            site.factor("f", -site.param("w", bj.Positive(), shape=(2,)).sum() * x)
            return carry, None

        site.scan(step, 0.0, jnp.arange(1.0, 4.0))

    density = infer.log_density(infer.model(flat))
    position = jnp.linspace(-1.0, 1.0, 6)
    truth = -(np.exp(position.reshape(3, 2)).sum(1) * np.arange(1.0, 4.0)).sum() + position.sum()
    np.testing.assert_allclose(density(position), truth, rtol=1e-12)


def test_a_scan_is_explained_at_constrained_values():
    density = infer.log_density(model())
    values = density.constrain(POSITION)
    latent = {site.name: values[site.name] for site in density.latent}
    np.testing.assert_allclose(density.of(latent), density(POSITION), rtol=1e-12)
    table = infer.explain(model(), POSITION)
    np.testing.assert_allclose(table.line_of("scale").log_det, POSITION[5:].sum(), rtol=1e-6)
    np.testing.assert_allclose(table.total.value + table.total.log_det, density(POSITION))
    assert table.line_of("y").shape == (4,)


@pytest.mark.slow
def test_a_scan_passes_every_check():
    assert all(finding.passed for finding in infer.check(model()))


SCORES = np.arange(12.0).reshape(3, 4) / 10


def classes(site, score):
    spread = site("spread", dist.HalfNormal(1.0))

    def one_class(site, score):
        level = site("level", dist.Normal(0.0, spread), centered=False)
        with site.plate("pupil", 4):
            effort = site("effort", dist.Gamma(2.0, 1.0 + level**2))
            site.observe("score", dist.Normal(effort, 0.5), score)
        return level

    site.derive("best", site.vmap(one_class, score, dim="class").max())


def classes_of_arrays(site, score):
    spread = site("spread", dist.HalfNormal(1.0))
    level = site("level", dist.Normal(0.0, spread), dims="class", centered=False)
    rate = 1.0 + level[:, None] ** 2
    effort = site("effort", dist.Gamma(2.0, rate), dims=("class", "pupil"))
    site.observe("score", dist.Normal(effort, 0.5), score, dims=("class", "pupil"))
    site.derive("best", level.max())


def test_a_sub_model_with_a_plate_runs_for_every_row_at_once():
    coords = {"class": range(3), "pupil": range(4)}
    both = [
        infer.log_density(infer.model(function, score=SCORES, coords=coords))
        for function in (classes, classes_of_arrays)
    ]
    described = [[(s.name, s.shape, s.dims) for s in density.latent] for density in both]
    assert described[0] == described[1]
    position = jnp.asarray(np.random.default_rng(0).normal(size=16))
    found, expected = (jax.jit(density.evaluate)(position) for density in both)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), found, expected)
    assert "scan" not in str(jax.make_jaxpr(both[0])(position))


def test_rows_of_a_sub_model_are_drawn_each_for_itself():
    prior = infer.sample_prior(infer.model(classes, score=SCORES), draws=200, key=0)
    level = np.asarray(prior["prior"]["level"]).reshape(-1, 3)
    scaled = level / np.asarray(prior["prior"]["spread"]).reshape(-1, 1)
    # Standard errors are 0.07; correlations beyond 5 of them come once in a million tests.
    np.testing.assert_allclose(np.corrcoef(scaled.T), np.eye(3), atol=0.35)
    assert prior["prior_predictive"]["score"].shape[-2:] == (3, 4)
