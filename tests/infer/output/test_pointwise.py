"""Log likelihoods and log priors of every front end, and what ArviZ computes of them."""

from functools import partial

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors
import infer
from bijectors.translate.tfp_import import load_tfp
from infer.output.data.arviz import make_dataset
from infer.output.data.versions import HAS_DATA_TREE, as_arviz, groups_of
from infer.output.predictive import rowwise
from infer.programs import slices
from infer.programs.memory import count_peak_bytes

X = np.linspace(-1.0, 1.0, 8)
Y = 0.7 * X + 0.3 * np.random.default_rng(0).normal(size=8)
PRIORS = {"noise": dist.LogNormal(0.0, 1.0), "slope": dist.Normal(0.0, 2.0)}


def likelihood(values, data):
    return dist.Normal(values["slope"] * data["x"], values["noise"]).log_prob(data["y"])


def simulate(key, values, data):
    drawn = dist.Normal(values["slope"] * data["x"], values["noise"]).sample(key)
    return {"y": drawn}


def line(site, x, y):
    values = {name: site(name, prior) for name, prior in PRIORS.items()}
    site.observe("y", dist.Normal(values["slope"] * x, values["noise"]), y)


def numpyro_line(x, y):
    values = {name: numpyro.sample(name, prior) for name, prior in PRIORS.items()}
    numpyro.sample("y", dist.Normal(values["slope"] * x, values["noise"]), obs=y)


def make_tfp():
    tfd = load_tfp().distributions
    joint = tfd.JointDistributionNamed(
        {
            "noise": tfd.LogNormal(np.zeros(()), np.ones(())),
            "slope": tfd.Normal(np.zeros(()), 2 * np.ones(())),
            "y": lambda noise, slope: tfd.Independent(tfd.Normal(slope * X, noise), 1),
        }
    )
    return infer.from_tfp(joint, observed={"y": Y})


def log_density(values, data):
    prior = sum(prior.log_prob(values[name]) for name, prior in PRIORS.items())
    return prior + likelihood(values, data).sum()


POSTERIOR = {n: np.ones((1, 3)) for n in PRIORS}
SUPPORTS = {"noise": bijectors.Positive(), "slope": bijectors.Real()}
DATA = {"x": X, "y": Y}
FRONTS = {
    "model": lambda: infer.model(line, x=X, y=Y),
    "from_numpyro": lambda: infer.from_numpyro(numpyro_line, X, Y),
    "from_tfp": make_tfp,
    "tree_model": lambda: infer.tree_model(
        {"noise": 1.0, "slope": 0.0}, likelihood, PRIORS, data=DATA, simulate=simulate
    ),
    "declared": lambda: infer.declared(
        log_density, SUPPORTS, data=DATA, rows=likelihood, simulate=simulate
    ),
}


# Importing TFP takes seconds.
LATER = {"from_tfp": [pytest.mark.slow]}


@pytest.fixture(
    scope="module", params=[pytest.param(n, marks=LATER.get(n, ())) for n in FRONTS], ids=str
)
def model(request):
    return FRONTS[request.param]()


@pytest.fixture(scope="module")
def result(model):
    """Draws as a sampler would make them, which are the same for all front ends."""
    rng = np.random.default_rng(7)
    slope, noise = rng.normal(0.7, 0.2, (2, 50)), np.exp(rng.normal(-1.0, 0.3, (2, 50)))
    data = as_posterior(slope=slope, noise=noise)
    return infer.log_prior(model, infer.log_likelihood(model, data))


def as_posterior(**values):
    """Put draws of shape (chains, draws, *site) into ArviZ data."""
    arrays = {name: np.asarray(a) for name, a in values.items()}
    return as_arviz({"posterior": make_dataset({}, {}, arrays)}, {})


def read(data, group, name):
    return np.asarray(data[group][name])


def test_rows_are_the_log_densities_of_the_observations(result):
    slope, noise = (read(result, "posterior", n)[..., None] for n in ("slope", "noise"))
    expected = stats.norm(slope * X, noise).logpdf(Y)
    np.testing.assert_allclose(read(result, "log_likelihood", "y"), expected, rtol=1e-9)


def test_log_priors_add_up_to_the_prior_of_the_constrained_values(result):
    slope, noise = (read(result, "posterior", n) for n in ("slope", "noise"))
    expected = stats.norm(0, 2).logpdf(slope) + stats.lognorm(1).logpdf(noise)
    total = sum(np.asarray(a) for a in result["log_prior"].data_vars.values())
    np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-9)


def test_arviz_compares_models_in_one_line(result):
    assert np.isfinite(
        np.asarray(
            az.compare({"one": result, "two": result})[
                "elpd_diff" if HAS_DATA_TREE else "elpd_loo"
            ],
            float,
        )
    ).all()


def test_arviz_finds_what_the_posterior_is_sensitive_to(result):
    if HAS_DATA_TREE:
        found = az.psense_summary(result)[["prior", "likelihood"]].to_numpy()
    else:
        found = [az.psens(result, component=c).to_array() for c in ("prior", "likelihood")]
    assert np.isfinite(np.asarray(found, float)).all()


def test_predictions_fit_the_observations_by_name(model, result):
    made = infer.predict(model, result)
    assert read(made, "posterior_predictive", "y").shape == (2, 50, 8)
    np.testing.assert_array_equal(read(made, "observed_data", "y"), Y)


@pytest.mark.parametrize(
    "front", [pytest.param(n, marks=[] if n == "model" else pytest.mark.slow) for n in FRONTS]
)
def test_an_extended_result_leads_to_its_run(front):
    model = FRONTS[front]()
    data = infer.sample(model, chains=2, draws=50, warmup=50, progress=False)
    assert infer.verdict(infer.log_prior(model, infer.log_likelihood(model, data))) is not None


def test_loo_of_a_conjugate_normal_is_the_closed_form():
    y = np.array([-0.4, 0.1, 0.3, 1.9])
    # mu ~ N(0, 1), y ~ N(mu, 1): without y_i, mu has precision n and mean (sum y - y_i) / n.
    rest = (y.sum() - y) / len(y)
    exact = stats.norm(rest, np.sqrt(1 + 1 / len(y))).logpdf(y)
    mu = np.random.default_rng(1).normal(y.sum() / 5, np.sqrt(1 / 5), (4, 2000))
    model = infer.model(
        lambda site, y: site.observe("y", dist.Normal(site("mu", dist.Normal(0, 1)), 1), y), y=y
    )
    found = az.loo(infer.log_likelihood(model, as_posterior(mu=mu)), pointwise=True)
    each = found.elpd_i if HAS_DATA_TREE else found.loo_i
    # 8000 independent draws: five standard errors of the largest term are 0.05.
    np.testing.assert_allclose(np.asarray(each), exact, atol=0.05)


def nested(rows, y):
    with numpyro.plate("group", 3):
        level = numpyro.sample("level", dist.Normal(0, 1).expand([2]).to_event(1))
    with numpyro.plate("row", 6), numpyro.handlers.mask(mask=rows > 0):
        numpyro.sample("y", dist.MultivariateNormal(level[rows % 3], jnp.eye(2)), obs=y)


def test_rows_equal_those_of_numpyro():
    rng = np.random.default_rng(2)
    args = np.arange(6), rng.normal(size=(6, 2))
    level = rng.normal(size=(2, 5, 3, 2))
    data = infer.log_likelihood(infer.from_numpyro(nested, *args), as_posterior(level=level))
    flat = {"level": level.reshape(-1, 3, 2)}
    expected = numpyro.infer.log_likelihood(nested, flat, *args)["y"].reshape(2, 5, 6)
    np.testing.assert_allclose(read(data, "log_likelihood", "y"), expected, rtol=1e-9)
    assert data["log_likelihood"]["y"].dims == ("chain", "draw", "row")


@pytest.mark.parametrize("call", [infer.log_likelihood, infer.score_predictions])
def test_a_scaled_likelihood_is_refused_as_that_of_rows(call):
    scaled = numpyro.handlers.scale(numpyro_line, 3.0)
    posterior = as_posterior(slope=np.zeros((1, 2)), noise=np.ones((1, 2)))
    with pytest.raises(infer.ModelError, match="y: its log likelihood may be multiplied, by nump"):
        call(infer.from_numpyro(scaled, X, Y), posterior)


@pytest.mark.parametrize("scale", [3.0, jnp.ones(())], ids=["known", "not known"])
def test_a_scaled_prior_is_refused_as_that_of_rows(scale):
    def model():
        with numpyro.handlers.scale(scale=scale * 1):
            numpyro.sample("mu", dist.Normal())

    with pytest.raises(infer.ModelError, match="mu: its log prior may be multiplied.* of NumPy"):
        infer.log_prior(infer.from_numpyro(model), as_posterior(mu=np.zeros((1, 2))))


@pytest.fixture
def needed(monkeypatch):
    """Record the bytes that each call needs for what it computes."""
    needed, real = [], rowwise.call_compiled

    def record(function, *arguments, static=()):
        program = jax.make_jaxpr(partial(function, *static))(*arguments)
        needed.append(count_peak_bytes(program))
        return real(function, *arguments, static=static)

    monkeypatch.setattr(rowwise, "call_compiled", record)
    return needed


@pytest.mark.parametrize("budget", [2**14, 2**11])
def test_calls_stay_within_a_budget_and_give_the_same_rows(needed, monkeypatch, budget):
    """The first budget is enough for some draws, and the second for some rows of one draw."""
    model = infer.model(line, x=np.linspace(-1, 1, 300), y=np.zeros(300))
    values = as_posterior(**{n: np.random.default_rng(3).uniform(1, 2, (2, 7)) for n in PRIORS})
    whole = infer.log_likelihood(model, values)
    assert max(needed) > 2**15
    needed.clear()
    monkeypatch.setattr(slices, "MAX_BYTES", budget)
    parts = infer.log_likelihood(model, values)
    assert budget / 4 < max(needed) <= budget
    np.testing.assert_allclose(*(read(d, "log_likelihood", "y") for d in (whole, parts)), 1e-12)


def test_priors_of_many_entries_stay_within_a_budget(needed, monkeypatch):
    def levels(site, y):
        spread = site("spread", dist.HalfNormal(1.0))
        level = site("level", dist.Normal(0.0, spread), shape=(300,))
        site.observe("y", dist.Normal(level, 1.0), y)

    rng = np.random.default_rng(0)
    spread, level = rng.uniform(1, 2, (1, 3)), rng.normal(size=(1, 3, 300))
    monkeypatch.setattr(slices, "MAX_BYTES", 2**11)
    model = infer.model(levels, y=np.zeros(300))
    found = infer.log_prior(model, as_posterior(spread=spread, level=level))
    assert max(needed) <= 2**11
    expected = stats.norm(0, spread[..., None]).logpdf(level)
    np.testing.assert_allclose(read(found, "log_prior", "level"), expected)
    np.testing.assert_allclose(read(found, "log_prior", "spread"), stats.halfnorm.logpdf(spread))


def test_rows_that_depend_on_all_others_are_right_within_any_budget(monkeypatch):
    level = np.random.default_rng(5).normal(size=(1, 3, 40))
    model = infer.model(walk, y=np.arange(40.0))
    monkeypatch.setattr(slices, "MAX_BYTES", 2**8)
    found = infer.log_likelihood(model, as_posterior(level=level))
    expected = stats.norm(level, 0.5).logpdf(np.arange(40.0))
    np.testing.assert_allclose(read(found, "log_likelihood", "y"), expected)


def test_several_data_sets_have_rows_each():
    models = [FRONTS["model"]().with_data(y=Y + i) for i in range(3)]
    values = {n: np.random.default_rng(4).uniform(1, 2, (2, 5, 3)) for n in PRIORS}
    found = infer.log_likelihood(models, as_posterior(**values))["log_likelihood"]["y"]
    assert found.dims == ("chain", "draw", "dataset", "y_dim_0")
    slope, noise = (values[n][..., None] for n in ("slope", "noise"))
    data = Y + np.arange(3)[:, None]
    np.testing.assert_allclose(np.asarray(found), stats.norm(slope * X, noise).logpdf(data))


def test_a_list_of_one_model_is_that_model():
    model = infer.model(line, x=X, y=Y)
    plain = as_posterior(**POSTERIOR)
    assert infer.log_likelihood([model], plain)["log_likelihood"]["y"].dims[2:] == ("y_dim_0",)
    assert infer.sample_prior([model], 5)["prior"]["slope"].dims == ("chain", "draw")
    with pytest.raises(infer.ModelError, match="of each of 2 models"):
        infer.log_likelihood([model] * 2, plain)


def gappy(site, y, gone):
    site.observe("y", dist.Normal(site("mu", dist.Normal(0, 1)), 1), y, missing=gone)


def test_missing_entries_are_no_rows():
    gone = np.array([False, True, False])
    model = infer.model(gappy, y=np.array([1.0, 0.0, 2.0]), gone=infer.static(gone))
    mu, missing = np.full((1, 4), 0.5), np.zeros((1, 4, 1))
    data = infer.log_likelihood(model, as_posterior(mu=mu, **{"y.missing": missing}))
    expected = stats.norm(0.5).logpdf([1.0, 2.0])
    np.testing.assert_allclose(read(data, "log_likelihood", "y")[0, 0], expected)
    assert data["log_likelihood"]["y"].dims[-1] == "y_seen_0"


def walk(site, y):
    def step(site, level, y):
        level = site("level", dist.Normal(level, 1.0))
        site.observe("y", dist.Normal(level, 0.5), y)
        return level, None

    site.scan(step, 0.0, y, dim="time")


def test_steps_of_a_scan_are_rows():
    level = np.random.default_rng(5).normal(size=(1, 3, 4))
    data = as_posterior(level=level)
    model = infer.model(walk, y=np.arange(4.0))
    data = infer.log_prior(model, infer.log_likelihood(model, data))
    expected = stats.norm(level, 0.5).logpdf(np.arange(4.0))
    np.testing.assert_allclose(read(data, "log_likelihood", "y"), expected)
    before = np.concatenate([np.zeros((1, 3, 1)), level[..., :-1]], axis=-1)
    np.testing.assert_allclose(read(data, "log_prior", "level"), stats.norm(before).logpdf(level))


def test_all_rows_of_a_minibatch_are_computed_without_weights():
    def batched(site, y):
        mu = site("mu", dist.Normal(0, 1))
        with site.plate("row", 6, minibatch=2) as rows:
            site.observe("y", dist.Normal(mu, 1), y[rows])

    data = infer.log_likelihood(
        infer.model(batched, y=jnp.arange(6.0)), as_posterior(mu=np.zeros((1, 3)))
    )
    found = read(data, "log_likelihood", "y")
    np.testing.assert_allclose(found[0, 0], stats.norm.logpdf(np.arange(6.0)))


SCALAR = {
    "a tree": lambda: infer.tree_model(
        {"noise": 1.0, "slope": 0.0}, lambda v, d: likelihood(v, d).sum(), PRIORS, data=DATA
    ),
    "declared": lambda: infer.declared(log_density, SUPPORTS, data=DATA),
    "declared, rows": lambda: infer.declared(
        log_density, SUPPORTS, data=DATA, rows=lambda v, d: likelihood(v, d).sum()
    ),
}


@pytest.mark.parametrize("make", SCALAR.values(), ids=SCALAR)
def test_a_log_likelihood_that_is_one_number_is_refused(make):
    with pytest.raises(infer.ModelError, match="rows="):
        infer.log_likelihood(make(), as_posterior(**POSTERIOR))


def test_a_tempered_likelihood_is_refused():
    tempered = FRONTS["model"]().view(likelihood=0.5)
    with pytest.raises(infer.ModelError, match="a view has changed"):
        infer.log_likelihood(tempered, as_posterior(**POSTERIOR))
    infer.log_prior(tempered, as_posterior(**POSTERIOR))


def test_a_prior_known_by_its_score_alone_has_no_log_prior():
    def scored(site, y):
        mu = site("mu", infer.ScorePrior(lambda v: -v))
        site.observe("y", dist.Normal(mu, 1), y)

    model = infer.model(scored, y=Y)
    with pytest.raises(infer.ModelError, match="mu: .* score alone"):
        infer.log_prior(model, as_posterior(mu=np.zeros((1, 3))))


def test_a_posterior_that_does_not_fit_is_refused():
    model = FRONTS["model"]()
    for given in (POSTERIOR, None, 3.0):
        with pytest.raises(infer.ModelError, match="data: .* no result that can be extended"):
            infer.log_likelihood(model, given)
    whole = groups_of(as_posterior(**POSTERIOR))["posterior"]
    one = as_arviz({"posterior": whole.isel(chain=0)}, {})
    with pytest.raises(infer.ModelError, match="posterior: it has no dimension 'chain'"):
        infer.log_likelihood(model, one)
    assert "log_likelihood" in infer.log_likelihood(model, {"posterior": whole})
    with pytest.raises(infer.ModelError, match="noise: the posterior has no values"):
        infer.log_likelihood(model, as_posterior(slope=np.ones((1, 3))))
    with pytest.raises(infer.ModelError, match=r"shape \(1, 3, 2\).*dataset=i"):
        infer.log_likelihood(model, as_posterior(**{n: np.ones((1, 3, 2)) for n in PRIORS}))


@pytest.mark.slow
def test_arviz_plots_predictions_and_leave_one_out_probabilities(model, result):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    data = infer.predict(model, result)
    if HAS_DATA_TREE:
        az.plot_ppc_dist(data)
        az.plot_loo_pit(data)
    else:
        az.plot_ppc(data)
        az.plot_loo_pit(data, y="y")
        az.waic(data)
    matplotlib.pyplot.close("all")


def test_predictions_of_a_simulator_follow_new_data():
    model = FRONTS["tree_model"]().with_data({"x": np.array([0.0, 1.0]), "y": None})
    values = {"slope": np.full((1, 400), 5.0), "noise": np.full((1, 400), 0.1)}
    drawn = infer.predict(model, values)
    group = "predictions" if "predictions" in drawn else "posterior_predictive"
    found = read(drawn, group, "y")[0]
    # The standard error of each mean is 0.005.
    np.testing.assert_allclose(found.mean(0), [0.0, 5.0], atol=0.03)


def simulate_twice(key, values, data):
    count = dist.Poisson(values["rate"]).sample(key)
    return {"count": count, "twice": 2 * count}


def test_all_parts_of_simulated_data_belong_to_one_draw():
    model = infer.tree_model(
        {"rate": 3.0},
        lambda values, data: dist.Poisson(values["rate"]).log_prob(data["count"]),
        {"rate": dist.Gamma(3.0, 1.0)},
        data={"count": np.array(3), "twice": np.array(6), "kept": np.array(1.0)},
        simulate=simulate_twice,
    )
    drawn = infer.predict(model, {"rate": np.full((1, 50), 3.0)})["posterior_predictive"]
    np.testing.assert_array_equal(drawn["twice"], 2 * drawn["count"])
    assert np.unique(drawn["count"]).size > 2
    assert "kept" not in drawn


MISFITS = {
    "another name": (lambda key, v, d: {"z": d["y"] + 1}, "returns"),
    "another shape": (lambda key, v, d: {"y": jnp.zeros(3)}, "y: simulate draws it with shape"),
    "nothing": (lambda key, v, d: {}, "returns the data unchanged"),
    "too few arguments": (lambda key, v: v, "simulate: .*takes"),
}


@pytest.mark.parametrize(("simulate", "message"), MISFITS.values(), ids=MISFITS)
def test_a_simulator_that_does_not_fit_is_refused(simulate, message):
    with pytest.raises(infer.ModelError, match=message):
        infer.log_density(
            infer.declared(log_density, SUPPORTS, data=DATA, rows=likelihood, simulate=simulate)
        )


def test_a_simulator_needs_data():
    with pytest.raises(infer.ModelError, match="the model has none"):
        infer.declared(lambda v: -(v["slope"] ** 2), {"slope": bijectors.Real()}, simulate=simulate)


def test_do_refuses_what_a_simulator_draws():
    with pytest.raises(infer.ModelError, match="y: do sets what a simulator draws"):
        FRONTS["tree_model"]().do(y=Y)
