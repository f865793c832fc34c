"""S1.1, S1.2, S1.7 and S1.8: a constraint and a prior on one parameter (scarlet2 issue 34)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import arviz as az
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer

PRIORS = {"flux": dist.LogNormal(0.0, 1.0), "morph": dist.Beta(2.0, 2.0)}
TREE = {"flux": 1.0, "morph": np.full((2, 2), 0.5)}
IMAGE = np.array([[0.9, 0.3], [0.5, 0.4]])


def rows(tree, image):
    return dist.Normal(tree["flux"] * tree["morph"], 0.2).log_prob(image)


def source(flux_map=None):
    leaves = {
        "flux": infer.Leaf(PRIORS["flux"], bj.Positive(), bijector=flux_map),
        "morph": infer.Leaf(PRIORS["morph"], bj.Interval(0.0, 1.0)),
    }
    return infer.tree_model(TREE, rows, leaves, data=IMAGE)


def test_s1_1_priors_are_of_constrained_values_and_describe_says_so():
    text = source().describe()
    assert "flux: in Positive by Exp\n    prior LogNormal, of the constrained value" in text
    assert "log-determinant is in posteriors" in text
    assert "not in MAP(space='constrained')" in text


def test_s1_1_the_jacobian_is_the_only_difference_between_the_two_densities():
    position = jnp.array([0.4, -0.3, 0.2, 1.5, -2.0])
    for flux_map in (None, "softplus"):
        model = source(flux_map)
        posterior = infer.log_density(model)
        bare = infer.log_density(model, jacobian=False)

        def flat(q, density=posterior):
            return jnp.concatenate([leaf.ravel() for leaf in density.constrain(q).values()])

        def by_hand(q, density=posterior):
            values = density.constrain(q)
            priors = sum(PRIORS[name].log_prob(values[name]).sum() for name in PRIORS)
            return rows(values, IMAGE).sum() + priors

        all_four = (bare, posterior, by_hand, jax.jacfwd(flat))
        evaluate = jax.jit(lambda q, functions=all_four: [f(q) for f in functions])
        without, whole, wanted, jacobian = evaluate(position)
        np.testing.assert_allclose(without, wanted, rtol=1e-12)
        log_det = np.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(whole, wanted + log_det, rtol=1e-6)


def test_s1_1_the_constrained_mode_does_not_depend_on_the_map():
    modes = [
        infer.maximize(source(m), infer.MAP("constrained"), starts=4).values
        for m in (None, "softplus")
    ]
    for name in PRIORS:
        np.testing.assert_allclose(modes[0][name], modes[1][name], atol=1e-4)


# The densities are compared above, and modes are among the quick tests.
@pytest.mark.slow
def test_s1_1_the_posterior_does_not_depend_on_the_map():
    """Deciles of flux within 5 standard errors: a false alarm comes once in 100,000 runs."""
    both = [
        infer.sample(source(m), draws=1500, key=5, progress=False)["posterior"]["flux"]
        for m in (None, "softplus")
    ]
    for share in (0.1, 0.5, 0.9):
        found = [np.quantile(np.asarray(flux), share) for flux in both]
        errors = [az.mcse(np.asarray(f), method="quantile", prob=share) for f in both]
        assert abs(found[0] - found[1]) < 5 * np.hypot(*errors)


def one(prior, constraint):
    leaves = {"x": infer.Leaf(prior, constraint)}
    return infer.tree_model({"x": jax.ShapeDtypeStruct((), float)}, lambda tree: 0.0, leaves)


def test_s1_2_a_prior_wider_than_its_constraint_is_truncated_and_the_table_says_so():
    model = one(dist.Normal(0.5, 1.0), bj.Positive())
    for text in (str(model.table()), model.describe()):
        assert "x: " in text
        assert "truncated to Positive() and not renormalized" in text
        assert "the posterior is right, but an evidence is off" in text
        assert "TruncatedDistribution is normalized" in text
    position = jnp.array([0.3])
    cut = infer.log_density(model)
    whole = infer.log_density(one(dist.TruncatedNormal(0.5, 1.0, low=0.0), None))
    assert "x: " not in str(whole.model.table()).replace("x  ", "")
    mass = 1 - dist.Normal(0.5, 1.0).cdf(0.0)
    np.testing.assert_allclose(cut(position), whole(position) + jnp.log(mass), rtol=1e-6)
    np.testing.assert_allclose(cut.evaluate(position)[1], whole.evaluate(position)[1], rtol=1e-6)


@pytest.mark.parametrize("prior", [dist.Uniform(0.0, 1.0), dist.Beta(2.0, 2.0)])
def test_s1_2_a_prior_narrower_than_its_constraint_keeps_the_map_and_the_table_says_so(prior):
    """Outside the prior's support the density is zero, even if NumPyro does not validate values."""
    model = one(prior, bj.Positive())
    text = str(model.table())
    assert "the map is that of Positive()" in text
    assert f"{type(prior).__name__} has support Interval(0, 1)" in text
    assert "a wall for samplers" in text
    density = eqx.filter_jit(infer.log_density(model))
    inside, outside = jnp.array([np.log(0.3)]), jnp.array([np.log(1.3)])
    np.testing.assert_allclose(density(inside), prior.log_prob(0.3) + np.log(0.3), rtol=1e-12)
    assert density(outside) == -np.inf
    x = np.asarray(infer.sample(model, draws=500, key=0, progress=False)["posterior"]["x"])
    assert ((x > 0) & (x < 1)).all()
    assert abs(x.mean() - 0.5) < 0.05


def test_s1_2_a_prior_and_a_constraint_without_common_values_are_refused_by_name():
    for prior, constraint in (
        (dist.Uniform(5.0, 6.0), bj.Interval(0.0, 1.0)),
        (dist.LogNormal(0.0, 1.0), bj.LessThan(-1.0)),
        (dist.Beta(1.0, 1.0), bj.Negative()),
    ):
        kind = type(prior).__name__
        with pytest.raises(infer.ModelError) as caught:
            one(prior, constraint)
        assert f"x: its prior {kind} has support" in str(caught.value)
        assert f"its constraint is {type(constraint).__name__}(" in str(caught.value)
        native = infer.model(lambda site, p=prior, c=constraint: site("x", p, constraint=c))
        with pytest.raises(infer.ModelError, match=f"x: its prior {kind} has support"):
            infer.log_density(native)


def test_s1_2_a_prior_whose_support_is_its_constraint_gets_no_remark():
    for prior, constraint in (
        (dist.LogNormal(0.0, 1.0), bj.Positive()),
        (dist.Gamma(2.0, 1.0), bj.Nonnegative()),
        (dist.Beta(2.0, 2.0), bj.Interval(0.0, 1.0)),
        (dist.Uniform(2.0, 5.0), bj.Interval(2.0, 5.0)),
        (dist.Normal(0.0, 1.0), bj.Real()),
    ):
        model = one(prior, constraint)
        assert model.table().remarks == ()
        bare = infer.log_density(one(prior, None))
        np.testing.assert_allclose(infer.log_density(model)(jnp.ones(1)), bare(jnp.ones(1)))


def test_s1_2_supports_with_bounds_from_data_are_checked_in_the_compiled_program():
    def model(site, high):
        site("x", dist.Uniform(0.0, high), constraint=bj.Positive())

    density = infer.log_density(infer.model(model, high=2.0))
    assert np.isfinite(density(jnp.array([0.6])))
    assert eqx.filter_jit(density)(jnp.array([0.8])) == -np.inf


class Scene(eqx.Module):
    """Spectra and images of sources on a grid, as astronomers fit them."""

    spectra: jax.Array
    images: jax.Array

    def __call__(self):
        return jnp.einsum("sc,sij->cij", self.spectra, self.images)


def flux(scene):
    return scene.spectra.sum(-1) * scene.images.sum((-1, -2))


def test_s1_7_draws_are_one_batched_tree():
    """`tree_of`, in place of `post.as_models()`, returns one tree, which a vmap measures."""
    scene = Scene(jnp.ones((2, 3)), jnp.full((2, 2, 2), 0.5))
    leaves = {
        "spectra": infer.Leaf(dist.LogNormal(0.0, 0.5)),
        "images": infer.Leaf(infer.ScorePrior(lambda x: 1 - 2 * x, (2, 2)), bj.Interval(0.0, 1.0)),
    }
    data = jnp.ones((3, 2, 2))
    log_likelihood = lambda scene, data: dist.Normal(scene(), 0.5).log_prob(data)  # noqa: E731
    model = infer.tree_model(scene, log_likelihood, leaves, data=data)
    posterior = infer.sample(
        model, infer.HMC(energy="path"), chains=2, draws=20, warmup=20, progress=False
    )
    scenes = infer.tree_of(model, posterior)
    assert isinstance(scenes, Scene)
    fluxes = jax.vmap(jax.vmap(flux))(scenes)
    assert fluxes.shape == (2, 20, 2)
    last = jax.tree.map(lambda leaf: leaf[1, 19], scenes)
    np.testing.assert_allclose(fluxes[1, 19], flux(last))


# As in scarlet2, a scene declares by name which of its leaves are parameters.


@dataclass(frozen=True)
class Parameter:
    """The settings of one leaf, as in scarlet2's parameters."""

    prior: Any = None
    constraint: Any = None
    stepsize: float | Callable[[Any], Any] = 0.1


class Observation(eqx.Module):
    """An observation whose calibration is inferred too."""

    data: jax.Array
    gain: jax.Array

    def log_likelihood(self, scene):
        return dist.Normal(self.gain * scene(), 0.1).log_prob(self.data)


def relative(leaf):
    return 0.1 * jnp.abs(leaf).mean()


def make_model(scene, observation, parameters):
    """Make a model of `parameters`, which map a name to a leaf's index and its settings."""
    tree = {"scene": scene, "observation": observation}

    def leaf(parameter, value):
        size = parameter.stepsize
        size = size(value) if callable(size) else size
        return infer.Leaf(parameter.prior, parameter.constraint, scale=size)

    leaves = [
        (lambda t, i=i: jax.tree.leaves(t)[i], leaf(parameter, jax.tree.leaves(tree)[i]))
        for i, parameter in parameters.values()
    ]
    log_likelihood = lambda t: t["observation"].log_likelihood(t["scene"])  # noqa: E731
    return infer.tree_model(tree, log_likelihood, leaves, rest="frozen")


@pytest.fixture(scope="module")
def drop_in():
    """The leaves of the tree: data and gain of the observation, then spectra and images."""
    shape = jnp.array([[[0.2, 0.8], [0.4, 0.1]]])
    scene = Scene(jnp.array([[1.0, 2.0, 3.0]]), shape)
    data = 1.2 * scene() + 0.02 * jax.random.normal(jax.random.key(0), (3, 2, 2))
    parameters = {
        "gain": (1, Parameter(dist.Normal(1.2, 0.01), bj.Positive(), 0.02)),
        "spectrum": (2, Parameter(dist.LogNormal(0.5, 1.0), bj.Positive(), relative)),
        "morphology": (
            3,
            Parameter(infer.ScorePrior(lambda x: 2 - 4 * x, (2, 2)), bj.Interval(0.0, 1.0), 0.3),
        ),
    }
    return make_model(scene, Observation(data, jnp.array(1.0)), parameters), scene


def test_s1_8_the_named_parameters_of_a_scene_are_free(drop_in):
    model, _ = drop_in
    roles = {row.name: row.role for row in model.table().rows}
    assert roles == {
        "observation.gain": "free",
        "scene.spectra": "free",
        "scene.images": "free",
        "observation.data": "frozen",
    }


def test_s1_8_adam_uses_the_step_sizes_of_leaves(drop_in):
    """Adam's first step moves each coordinate by the learning rate times the leaf's step size."""
    model, scene = drop_in
    engine = infer.MAP("constrained", optax.adam(0.5), max_steps=2, tolerance=1e-12)
    sites = infer.log_density(model).latent
    starts = {site.name: model.initial_values()[site.name] for site in sites}
    moved = infer.tree_of(model, infer.maximize(model, engine, starts=starts))
    sizes = jnp.abs(jnp.log(moved["scene"].spectra / scene.spectra))
    np.testing.assert_allclose(sizes, 0.5 * 0.2, rtol=1e-3)
    np.testing.assert_allclose(jnp.abs(jnp.log(moved["observation"].gain)), 0.5 * 0.02, rtol=1e-3)


# Each engine is tested alone with this kind of prior in test_s1_scores.py.
@pytest.mark.slow
@pytest.mark.usefixtures("compiled_as_released")
def test_s1_8_map_vi_and_hmc_find_the_same_scene(drop_in):
    """Compares images, not parameters: spectrum and morphology share an arbitrary scale."""
    model, scene = drop_in
    truth = 1.2 * scene()
    predict = lambda tree: tree["observation"].gain * tree["scene"]()  # noqa: E731
    slowing = optax.adam(optax.exponential_decay(0.2, 200, 0.5))
    optimum = infer.maximize(model, infer.MAP("constrained", slowing), starts=2)
    np.testing.assert_allclose(predict(infer.tree_of(model, optimum)), truth, atol=0.2)
    # The images' prior has no value, so only the gradient shows how the search went.
    assert np.isnan(optimum.trace.lp).all()
    assert optimum.trace.steepness[-1] < 0.01 * optimum.trace.steepness[0]
    fitted = infer.fit(model, infer.ADVI(), progress=False)
    draws = infer.map_trees(predict, model, fitted.sample(200))
    np.testing.assert_allclose(draws.mean((0, 1)), truth, atol=0.2)
    sampled = infer.sample(
        model, infer.HMC(energy="path"), chains=2, draws=200, warmup=300, key=1, progress=False
    )
    draws = infer.map_trees(predict, model, sampled)
    np.testing.assert_allclose(draws.mean((0, 1)), truth, atol=0.2)
    gain = np.asarray(sampled["posterior"]["observation.gain"])
    assert 0.005 < gain.std() < 0.02
