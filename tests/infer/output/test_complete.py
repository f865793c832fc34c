"""A result holds what ArviZ can use: statistics, warm-up, the metric and where it comes from."""

import warnings
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import arviz as az
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer
from infer.density.family import make_family
from infer.output.data.provenance import fingerprint_model
from infer.output.data.versions import HAS_DATA_TREE, as_arviz, groups_of
from infer.run.run import Run

WANTED = ["log_likelihood", "log_prior", "unconstrained_posterior", "warmup"]
Y = np.random.default_rng(0).normal(size=(6, 3)) @ np.array([[1, 0.9, 0], [0, 0.4, 0], [0, 0, 1]])


def levels(site, y):
    spread = site("spread", dist.LogNormal(0, 1))
    mean = site("mean", dist.Normal(0, 2).expand([3]))
    site.observe("y", dist.Normal(mean, spread), y, dims=("row", "column"))


def make(y=Y):
    return infer.model(levels, y=y)


def draw(model, key=7, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(
            model, chains=2, draws=50, warmup=60, progress=False, key=key, include=WANTED, **kwargs
        )


@pytest.fixture(scope="module")
def result():
    return draw(make())


@pytest.fixture(scope="module")
def several():
    return draw([make(), make(Y + 1)])


def test_requested_groups_equal_those_that_are_added_later(result):
    model = make()
    for add, name in ((infer.log_likelihood, "log_likelihood"), (infer.log_prior, "log_prior")):
        again = add(model, result)[name]
        assert set(again.data_vars) == set(result[name].data_vars)
        for variable in again.data_vars:
            np.testing.assert_array_equal(again[variable], result[name][variable])


def test_a_request_changes_no_draw(result):
    plain = infer.sample(make(), chains=2, draws=50, warmup=60, progress=False, key=7)
    for name, values in plain["posterior"].data_vars.items():
        np.testing.assert_array_equal(values, result["posterior"][name])
    assert not {"warmup_posterior", "log_likelihood"} & groups_of(plain).keys()


def test_unconstrained_positions_map_to_the_posterior(result):
    free, values = result["unconstrained_posterior"], result["posterior"]
    np.testing.assert_allclose(np.exp(free["spread"]), values["spread"], rtol=1e-12)
    np.testing.assert_array_equal(free["mean"], values["mean"])


def test_warm_up_is_kept_from_its_first_draw_on(result):
    made = result.attrs["warmup_draws"]
    assert dict(result["warmup_posterior"].sizes)["draw"] == made
    stats = result["warmup_sample_stats"]
    assert set(stats.data_vars) <= set(result["sample_stats"].data_vars)
    assert int(stats["n_steps"].sum()) <= result.attrs["warmup_gradients"]
    # Warm-up begins at its own starts, and adapts the step size at every draw.
    assert np.unique(stats["step_size"]).size > made // 2


def draw_one_number(engine):
    model = infer.model(lambda site: site("x", dist.Normal(0, 1)))
    # The gradient at the start is 1, and so is the scale of the metric.
    run = infer.start(model, engine, chains=1, warmup=0, starts={"x": 1.0}, progress=False)
    run.advance(60)
    data = infer.to_arviz(run)
    return run, np.asarray(data["posterior"]["x"])[0], data["sample_stats"]


@pytest.fixture(scope="module")
def shallow():
    """Return a run of trees of two leaves, its draws and its statistics."""
    return draw_one_number(infer.NUTS(max_depth=1, step_size=1.5))


def check_energy_error(draws, stats):
    """A trajectory of one new point accepts it with probability min(1, exp(-energy error))."""
    error, accepted = (np.asarray(stats[n])[0] for n in ("energy_error", "acceptance_rate"))
    moved = np.append(True, np.diff(draws) != 0) & (error != 0)
    assert moved.sum() > 10
    np.testing.assert_allclose(accepted[moved], np.minimum(1, np.exp(-error[moved])), rtol=1e-9)
    np.testing.assert_array_equal(error[np.append(False, np.diff(draws) == 0)], 0)


def test_the_energy_error_is_that_of_the_draw(shallow):
    check_energy_error(*shallow[1:])


@pytest.mark.slow
def test_the_energy_error_of_hmc_is_that_of_the_draw():
    engine = infer.HMC(step_size=1.5, trajectory_length=1.5, jitter=0.0)
    check_energy_error(*draw_one_number(engine)[1:])


def test_the_greatest_depth_is_marked(shallow):
    reached = np.asarray(shallow[2]["reached_max_treedepth"])
    assert reached.dtype == bool
    np.testing.assert_array_equal(reached, np.asarray(shallow[2]["tree_depth"]) == 1)
    assert reached.any()


def whiten(stats, vector, index=0):
    """Compute L vector, by the formula of `describe_metric`."""
    scale = np.asarray(stats["inverse_metric_scale"])[index]
    if "inverse_metric_stretch" not in stats:
        return scale * vector
    directions = np.asarray(stats["inverse_metric_directions"])[index]
    stretch = np.asarray(stats["inverse_metric_stretch"])[index]
    return scale * (vector + directions @ ((stretch - 1) * (directions.T @ vector)))


def correlated(site):
    factor = np.array([[1.0, 0.0], [0.99, 0.14]])
    site("x", dist.MultivariateNormal(jnp.zeros(2), scale_tril=jnp.asarray(factor)))


def check_metric(run, stats):
    for vector in np.eye(run.density.size):
        expected = run.tuning.metric.to_model(jnp.asarray(vector))
        np.testing.assert_allclose(whiten(stats, vector), expected, rtol=1e-6)


def test_a_diagonal_metric_can_be_reproduced(shallow):
    check_metric(shallow[0], shallow[2])
    assert "inverse_metric_stretch" not in shallow[2]


def test_a_metric_of_low_rank_can_be_reproduced():
    run = infer.start(infer.model(correlated), infer.NUTS(), chains=2, progress=False).advance(10)
    stats = infer.to_arviz(run)["sample_stats"]
    check_metric(run, stats)
    assert stats["inverse_metric_directions"].dims == ("chain", "unconstrained", "direction")


def test_several_data_sets_have_all_groups(several):
    sizes = {"dataset": 2, "chain": 2}
    for group in (
        "log_likelihood",
        "log_prior",
        "unconstrained_posterior",
        "warmup_posterior",
        "warmup_sample_stats",
    ):
        assert sizes.items() <= dict(several[group].sizes).items()
    free, values = several["unconstrained_posterior"], several["posterior"]
    np.testing.assert_allclose(np.exp(free["spread"]), values["spread"], rtol=1e-12)
    assert several["sample_stats"]["inverse_metric_scale"].dims == (
        "chain", "dataset", "unconstrained",
    )  # fmt: skip
    assert several["log_likelihood"]["y"].dims[-3:] == ("dataset", "row", "column")


def join(results, dim) -> Any:
    """Join results as ArviZ 0.x does, and as users of ArviZ 1 do."""
    if not HAS_DATA_TREE:
        return az.concat(results, dim=dim)

    def join_one(*each) -> Any:
        return xarray.concat(each, dim) if dim in each[0].dims else each[0]

    with xarray.set_options(use_new_combine_kwarg_defaults=False):
        return xarray.map_over_datasets(join_one, *results)


@pytest.fixture(scope="module")
def other():
    return draw(make(), key=8)


@pytest.mark.filterwarnings("ignore:In a future version of xarray:FutureWarning")
@pytest.mark.parametrize("dim", ["chain", "draw"])
def test_results_can_be_joined(result, other, dim):
    joined, axis = join([result, other], dim), ["chain", "draw"].index(dim)
    for group in set(groups_of(result)) - {"observed_data"} - WARMUPS:
        for name, values in groups_of(result)[group].data_vars.items():
            parts = [values, groups_of(other)[group][name]]
            np.testing.assert_array_equal(joined[group][name], np.concatenate(parts, axis))
    assert "inverse_metric_scale" in joined["sample_stats"].coords


# They may have different lengths.
WARMUPS = {"warmup_posterior", "warmup_sample_stats"}


@pytest.mark.parametrize("dim", ["chain", "draw"])
def test_parts_of_a_result_can_be_joined(result, dim):
    each = [result.isel(**{dim: slice(0, 1)}), result.isel(**{dim: slice(1, None)})]
    joined = join(each, dim)
    for group in set(groups_of(result)) - WARMUPS:
        for name, values in groups_of(result)[group].data_vars.items():
            np.testing.assert_array_equal(joined[group][name], values)
    scale = result["sample_stats"]["inverse_metric_scale"]
    np.testing.assert_array_equal(joined["sample_stats"]["inverse_metric_scale"], scale)


def test_metrics_of_different_ranks_can_be_joined():
    def make(count):
        stretch = xarray.Dataset(
            {"lp": (("chain", "draw"), np.zeros((1, 3)))},
            coords={
                "inverse_metric_stretch": (("chain", "direction"), np.ones((1, count))),
                "direction": np.arange(count),
            },
        )
        return as_arviz({"sample_stats": stretch}, {})

    joined = join([make(1), make(3)], "chain")["sample_stats"]["inverse_metric_stretch"]
    np.testing.assert_array_equal(np.isnan(joined), [[False, True, True], [False] * 3])


def test_groups_of_two_results_can_be_joined(result):
    more = infer.sample_prior(make(), 10)
    if HAS_DATA_TREE:
        result, more = result.copy(), more.copy()
        result.update({name: node for name, node in more.children.items() if name not in result})
    else:
        del more.observed_data
        result = az.concat(result, more)
    assert {"posterior", "prior", "prior_predictive"} <= set(groups_of(result))


def test_arviz_summarizes_the_sites_and_no_metric(result):
    assert list(az.summary(result).index) == ["spread", "mean[0]", "mean[1]", "mean[2]"]
    names = result["sample_stats"].data_vars
    assert all({"chain", "draw"} <= set(result["sample_stats"][n].dims) for n in names)


def test_a_resumed_run_knows_its_key():
    run, _, _ = draw_one_number(infer.NUTS(max_depth=1, step_size=1.5))
    resumed = infer.start(run.density.model, run.engine, state=run.state, progress=False)
    assert infer.to_arviz(resumed).attrs["key"] == "0, 0"


def test_the_origin_is_recorded(result):
    attributes = result.attrs
    assert attributes["key"] == "0, 7"
    assert attributes["jax_version"] == version("jax")
    assert attributes["platform"] == "cpu"
    assert attributes["compilations"] in (0, 1)


def test_a_fingerprint_belongs_to_program_and_data(result):
    def of(model):
        return fingerprint_model(make_family(model, jacobian=True))

    assert of(make()) == result.attrs["model_fingerprint"]
    others = [make(Y + 1), make().freeze(spread=1.0), make().view(likelihood=0.5)]
    assert len({of(model) for model in [make(), *others]}) == 4


def test_a_result_survives_a_file(result, tmp_path):
    path = tmp_path / "result.nc"
    result.to_netcdf(path)
    back = az.from_netcdf(path)
    np.testing.assert_array_equal(back["log_likelihood"]["y"], result["log_likelihood"]["y"])
    np.testing.assert_array_equal(
        back["warmup_posterior"]["mean"], result["warmup_posterior"]["mean"]
    )
    assert back.attrs["model_fingerprint"] == result.attrs["model_fingerprint"]
    for name, metric in result["sample_stats"].coords.items():
        np.testing.assert_array_equal(back["sample_stats"].coords[name], metric)


def test_a_result_survives_a_store(result, tmp_path):
    pytest.importorskip("zarr")
    # ArviZ 0.x writes no Zarr 3, and names this way.
    tree = result if HAS_DATA_TREE else result.to_datatree()
    tree.to_zarr(tmp_path / "result.zarr", consolidated=False)
    back = xarray.open_datatree(tmp_path / "result.zarr", engine="zarr", consolidated=False)
    for name, group in groups_of(result).items():
        assert set(back[name].to_dataset().variables) == set(group.variables)


@pytest.mark.slow
def test_a_run_resumed_in_warm_up_keeps_its_windows():
    model = make()

    def begin() -> Run:
        run = infer.start(model, infer.NUTS(), chains=2, warmup=60, progress=False)
        run.warmup = replace(run.warmup, kept=())
        return run

    whole = infer.to_arviz(begin().advance(5))
    stopped = infer.start(model, infer.NUTS(), state=begin().warm_up().state, progress=False)
    resumed = infer.to_arviz(stopped.advance(5))
    assert resumed.attrs["key"] == whole.attrs["key"] == "0, 0"
    np.testing.assert_array_equal(
        resumed["warmup_posterior"]["mean"], whole["warmup_posterior"]["mean"]
    )


def test_an_unknown_group_is_refused():
    with pytest.raises(infer.RunError, match="Did you mean 'log_likelihood'"):
        infer.sample(make(), include="loglik")
    for include in (None, 5, True, b"warmup"):
        with pytest.raises(infer.RunError, match="include: .* was given"):
            infer.sample(make(), include=include)


def test_a_group_that_a_model_does_not_have_is_refused():
    flat = infer.model(lambda site: site("x", dist.Normal(0, 1)))
    with pytest.raises(infer.ModelError, match="likelihood of observations"):
        infer.sample(flat, include=["log_likelihood"])
