"""What `from_pymc` makes of a model of PyMC, and how `infer.pymc.sample` draws from it."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pymc", reason="PyMC is the extra `pymc`; `make test-pymc` installs it")

import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

import infer
from infer.output.data.versions import groups_of

from ....scripts import run_script
from .models import (
    angles,
    autoregression,
    correlation,
    eight_schools,
    labels,
    latent_process,
    missing,
    radon,
)


@pytest.fixture(scope="module")
def drawn():
    """The radon model, as a user of `pymc.sample` would call it."""
    with radon() as model:
        result = infer.pymc.sample(
            300, tune=300, chains=2, random_seed=1, progressbar=False,
            compute_convergence_checks=False, idata_kwargs={"log_likelihood": True},
        )  # fmt: skip
    return model, result


def test_a_result_has_their_groups_dims_and_coords(drawn):
    model, result = drawn
    groups = groups_of(result)
    assert set(groups) >= {"posterior", "sample_stats", "observed_data", "constant_data"}
    assert set(groups["posterior"].data_vars) == {
        v.name for v in model.free_RVs + model.deterministics
    }
    effect = groups["posterior"]["effect"]
    assert effect.dims == ("chain", "draw", "county", "param")
    assert effect.shape[:2] == (2, 300)
    assert list(effect.coords["county"].values) == ["A", "B", "C", "D"]
    assert {"floor", "county_index"} <= set(groups["constant_data"].data_vars)
    assert groups["constant_data"]["floor"].dims == ("home",)
    assert groups["observed_data"]["y"].dims == ("home",)
    assert groups["log_likelihood"]["y"].dims == ("chain", "draw", "home")
    assert {"lp", "diverging", "tree_depth"} <= set(groups["sample_stats"].data_vars)


def test_a_seed_repeats_the_draws(drawn):
    model, result = drawn
    again = infer.pymc.sample(
        300, tune=300, chains=2, random_seed=1, progressbar=False, model=model,
        compute_convergence_checks=False, var_names=["sigma"],
    )  # fmt: skip
    assert list(again.posterior.data_vars) == ["sigma"]
    np.testing.assert_array_equal(again.posterior["sigma"], result.posterior["sigma"])


def test_predictions_are_draws_of_their_distribution(drawn):
    """One standard error of the mean is 0.01 of the spread; 6 are a false alarm in 10^9."""
    model, result = drawn
    predicted = groups_of(infer.predict(infer.from_pymc(model), result, key=2))
    error = predicted["posterior_predictive"]["y"] - groups_of(result)["posterior"]["fitted"]
    scaled = error / groups_of(result)["posterior"]["sigma"]
    assert abs(float(scaled.mean())) < 6 / np.sqrt(scaled.size)
    assert abs(float((scaled**2).mean()) - 1) < 6 * np.sqrt(2 / scaled.size)


def test_draws_of_categories_have_their_probabilities():
    """Six standard errors are a false alarm in 10^9; those by odds are 12 beside the third."""
    with pm.Model() as model:
        pm.Normal("x")
        pm.Categorical("c", p=[0.2, 0.3, 0.5], observed=np.zeros(4000, int))
    drawn = groups_of(infer.sample_prior(infer.from_pymc(model), draws=1, key=0))
    found = np.bincount(np.ravel(drawn["prior_predictive"]["c"]), minlength=3) / 4000
    assert (abs(found - [0.2, 0.3, 0.5]) < 6 * np.sqrt(0.25 / 4000)).all()


def test_centering_is_learned_for_hierarchical_normals():
    sites = infer.log_density(infer.from_pymc(eight_schools())).latent
    assert {s.name: s.learns_centering for s in sites} == {
        "mu": False, "tau": False, "theta": True,
    }  # fmt: skip


def test_whitening_is_learned_for_latent_processes():
    sites = {s.name: s for s in infer.log_density(infer.from_pymc(latent_process())).latent}
    assert sites["f"].learns_centering


def test_a_table_names_distributions_as_they_do():
    names = {s.name: s.prior for s in infer.log_density(infer.from_pymc(autoregression())).latent}
    assert names == {"rho": "Uniform", "sigma": "HalfStudentT"}


def test_initial_values_are_completed_by_those_of_the_model():
    starts = infer.pymc._starts(eight_schools(), {"mu": 3.0})
    assert starts["mu"] == 3.0
    assert starts["tau"] > 0
    assert starts["theta"].shape == (8,)


def test_discrete_variables_have_no_initial_values():
    starts = infer.pymc._starts(labels(), [{"label": np.ones(4, int)}, {}])
    assert all("label" not in start and start for start in starts)


def test_missing_entries_are_sites():
    model = infer.from_pymc(missing())
    shapes = {s.name: (s.role, s.shape) for s in infer.log_density(model).sites}
    assert shapes["y_unobserved"] == ("latent", (2,))
    assert shapes["y"] == ("derived", (3, 2))


def test_other_data_give_the_density_of_another_model():
    model = infer.from_pymc(radon())
    moved = model.with_data(log_radon=np.arange(8.0))
    with (theirs := radon()):
        pm.set_data({"log_radon": np.arange(8.0)})
    again = infer.from_pymc(theirs)
    point = np.linspace(-1, 1, infer.log_density(model).size)
    found, expected = (infer.log_density(m)(jnp.asarray(point)) for m in (moved, again))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_data_of_another_length_change_the_shapes():
    model = infer.from_pymc(radon())
    longer = model.with_data(
        floor=np.zeros(3), county_index=np.array([0, 1, 2]), log_radon=np.ones(3)
    ).with_coords(home=range(3))
    shapes = {s.name: s.shape for s in infer.log_density(longer).sites}
    assert shapes["fitted"] == shapes["y"] == (3,)


def indexed(index):
    with pm.Model(coords={"kind": range(3), "side": range(2)}) as model:
        group = pm.Data("group", np.array(index))
        effect = pm.Normal("effect", dims=("kind", "side"))
        shifted = effect + pm.Normal("mean")
        pm.Normal("y", shifted[group, 1], observed=np.zeros(len(index)))
    return model


def test_indices_that_reach_beyond_their_axis_are_refused():
    found = refused(indexed([0, 1, 3]))
    assert found.where == "y"
    assert "index 3 is out of range for an axis of length 3" in found.found
    model = infer.from_pymc(indexed([0, -3, 2]))
    with pytest.raises(infer.ModelError, match="index -4 is out of range"):
        model.with_data(group=np.array([0, 1, -4]))


def test_one_row_is_not_broadcast_to_those_of_other_data():
    with pm.Model() as theirs:
        x, slope = pm.Data("x", np.arange(3.0)), pm.Normal("slope")
        seen = pm.Data("seen", np.zeros(3))
        pm.Normal("y", slope * x, observed=seen)
    model = infer.from_pymc(theirs)
    for size in (1, 5):
        with pytest.raises(infer.ModelError, match="do not fit the rest of the model"):
            model.with_data(x=np.ones(size))
    one = infer.log_density(model.with_data(x=np.ones(1), seen=np.zeros(1)))
    assert {s.name: s.shape for s in one.sites}["y"] == (1,)


def test_an_observed_array_keeps_its_shape_if_its_variable_does():
    with pm.Model() as theirs:
        pm.Normal("y", pm.Normal("mean"), observed=np.zeros(3))
    for size in (1, 5):
        with pytest.raises(
            infer.ModelError, match=r"y: the data have shape \(\d,\), and the model"
        ):
            infer.from_pymc(theirs).with_data(y=np.zeros(size))


def test_discrete_variables_are_recovered_in_a_result():
    result = infer.pymc.sample(
        100, tune=100, chains=2, random_seed=1, progressbar=False, model=labels(),
        compute_convergence_checks=False,
    )  # fmt: skip
    assert result.posterior["label"].shape == (2, 100, 4)


def refused(model, error=infer.ModelError):
    with pytest.raises(error) as caught:
        infer.from_pymc(model)
    return caught.value


def test_a_minibatch_is_refused():
    with pm.Model() as model:
        mu = pm.Normal("mu")
        pm.Normal("y", mu, 1, observed=pm.Minibatch(np.ones(10), batch_size=2), total_size=10)
    found = refused(model)
    assert found.where == "y"
    assert "minibatch" in found.found


def test_an_infinite_discrete_variable_is_refused():
    with pm.Model() as model:
        rate = pm.Exponential("rate", 1)
        pm.Poisson("count", rate)
    assert "PoissonRV" in refused(model).found


def test_a_transform_without_translation_is_refused_by_name():
    class Cube(pm.distributions.transforms.Transform):
        name = "cube"

        def forward(self, value, *inputs):
            return value**3

        def backward(self, value, *inputs):
            return pt.sign(value) * pt.abs(value) ** (1 / 3)

        def log_jac_det(self, value, *inputs):
            return pt.log(pt.abs(value)) * (-2 / 3) - np.log(3)

    with pm.Model() as model:
        pm.Normal("x", transform=Cube(), initval=1.0)
    assert "Cube" in refused(model).found


class Doubled(Op):
    """An Op with no JAX implementation."""

    def make_node(self, x):
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = 2 * inputs[0]


def test_an_op_without_jax_is_refused_by_name():
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Deterministic("twice", Doubled()(x))
    found = refused(model)
    assert found.where == "twice"
    assert "Doubled" in found.found


def test_an_unregistered_random_variable_is_refused():
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Deterministic("noisy", x + pm.Normal.dist())
    assert refused(model).where == "noisy"


def test_parameters_that_the_model_does_not_know_are_refused():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("x"), pm.HalfNormal.dist(), observed=np.zeros(2))
    assert "random variable that has no name" in refused(model).found
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("x"), pytensor.shared(np.ones(2)), observed=np.zeros(2))
    assert "pymc.Data" in refused(model).mend


def test_constants_of_an_inner_graph_stay_numbers_when_it_is_first_drawn_in_a_program():
    with pm.Model() as model:
        pm.AR("x", [0.1, 0.2], init_dist=pm.Normal.dist(0, 1), steps=5)
    prior = infer.sample_prior(infer.from_pymc(model), draws=2)
    assert prior["prior"]["x"].shape == (1, 2, 7)


def test_single_precision_makes_no_warnings():
    """PyTensor's sums ask for double precision."""
    with jax.enable_x64(False), warnings.catch_warnings(action="error"):
        density = infer.log_density(infer.from_pymc(autoregression()))
        density(jnp.zeros(density.size))


def test_an_argument_that_pymc_does_not_have_is_corrected():
    with pytest.raises(infer.CallError, match=r"no argument 'drws'. Did you mean draws"):
        infer.pymc.sample(drws=10)


def test_the_mistakes_of_the_docs_are_as_their_command_prints_them(capsys):
    folder = Path(__file__).parents[4] / "benchmarks"
    run_script(folder / "mistakes_pymc.py")
    assert capsys.readouterr().out == (folder / "mistakes_pymc.md").read_text()


@pytest.mark.skipif(pm.__version__ < "6", reason="PyMC 5 has correlations in its place")
def test_a_cholesky_factor_with_the_density_of_its_matrix_is_reported():
    with pytest.warns(infer.ModelWarning, match="corr: PyMC gives the Cholesky factor"):
        infer.from_pymc(correlation())


def test_draws_that_jax_does_not_have_are_refused_by_name():
    model = infer.from_pymc(angles())
    with pytest.raises(infer.ModelError, match="skew: PyTensor has no draws"):
        infer.sample_prior(model, draws=2)


def test_something_else_is_refused():
    assert "list" in refused([]).found


def test_arguments_without_meaning_are_refused():
    with pytest.raises(infer.CallError, match="step"):
        infer.pymc.sample(model=eight_schools(), step=object())


def test_reading_a_model_leaves_the_precision_of_jax():
    import jax

    with jax.enable_x64(False):
        infer.from_pymc(eight_schools())
    assert jax.config.jax_enable_x64
