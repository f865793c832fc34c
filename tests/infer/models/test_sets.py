"""Sets of NumPyro and TFP are accepted wherever ours are."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import bijectors as bj
import infer
from bijectors.translate.tfp_import import load_tfp

tfb, tfd = load_tfp().bijectors, load_tfp().distributions

GIVEN = {
    "NumPyro's": (constraints.positive, "Positive"),
    "NumPyro's interval": (constraints.interval(0.0, 4.0), "Interval"),
    "bijector of TFP": (tfb.Exp(), "Positive"),
    "scaled bijector of TFP": (tfb.Sigmoid(0.0, 4.0), "Interval"),
    "distribution of TFP": (tfd.Gamma(2.0, 1.0), "Positive"),
}
EVERY = pytest.mark.parametrize(("given", "kind"), GIVEN.values(), ids=GIVEN)


def constraint_of(model):
    (site,) = infer.log_density(model).latent
    return site.constraint


def log_likelihood(tree):
    return -jnp.sum(tree["scale"])


@EVERY
def test_a_leaf_takes_a_set_of_any_library(given, kind):
    tree = {"scale": np.array([1.0, 2.0])}
    leaf = infer.Leaf(dist.Normal(0.0, 1.0), constraint=given)
    for said in (infer.Leaf(constraint=given), infer.Leaf(constraint=lambda v: given), leaf):
        assert constraint_of(infer.tree_model(tree, log_likelihood, {"scale": said})) == kind


@EVERY
def test_a_site_takes_a_set_of_any_library(given, kind):
    models = (
        infer.model(lambda site: site("x", dist.Normal(0.0, 1.0), constraint=given)),
        infer.model(lambda site: site.param("x", given)),
    )
    assert [constraint_of(model) for model in models] == [kind, kind]


@pytest.mark.parametrize("name", [name for name in GIVEN if "distribution" not in name])
def test_a_declared_value_and_a_bare_set_as_leaf_take_it(name):
    given, kind = GIVEN[name]
    declared = infer.declared(lambda values: -values["x"], {"x": given})
    short = infer.tree_model({"scale": np.ones(2)}, log_likelihood, {"scale": given})
    assert [constraint_of(declared), constraint_of(short)] == [kind, kind]


def test_a_constraint_of_numpyro_has_the_map_of_our_set():
    leaves = {"scale": infer.Leaf(constraint=constraints.greater_than(2.0))}
    d = infer.log_density(infer.tree_model({"scale": np.array([3.0])}, log_likelihood, leaves))
    ours = infer.log_density(
        infer.tree_model({"scale": np.array([3.0])}, log_likelihood, {"scale": bj.GreaterThan(2.0)})
    )
    np.testing.assert_array_equal(d(jnp.array([0.3])), ours(jnp.array([0.3])))


def test_sets_without_a_translation_are_refused_by_name():
    leaves = {"scale": infer.Leaf(constraint=constraints.dependent())}
    with pytest.raises(bj.BijectorError, match="scale: the support .* has no translation"):
        infer.tree_model({"scale": np.ones(2)}, log_likelihood, leaves)
    with pytest.raises(infer.ModelError, match="x: its set is 'positive'. Give a set"):
        infer.log_density(infer.model(lambda site: site.param("x", "positive")))


HIGH = np.array([1.0, 2.0, 3.0])
WIDER = {
    "interval": lambda site: site.param("z", bj.Interval(0.0, HIGH)),
    "greater": lambda site: site.param("z", bj.GreaterThan(HIGH)),
    "tfp": lambda site: site.param("z", tfb.Power(HIGH)),
    "constraint": lambda site: site("z", dist.Normal(), constraint=bj.Interval(0.0, HIGH)),
    "map": lambda site: site("z", dist.Normal(), bijector=bj.Affine(0.0, HIGH)),
    "degree": lambda site: site("z", dist.Normal(), centered=HIGH / 4),
}


@pytest.mark.parametrize("function", WIDER.values(), ids=WIDER)
def test_a_site_narrower_than_its_bounds_or_its_map_is_refused(function):
    with pytest.raises(infer.ModelError, match=r"z: its shape is \(\), .* give shape=\(3,\)"):
        infer.log_density(infer.model(function))


def test_a_declared_value_narrower_than_its_bounds_is_refused():
    for_shape = lambda **own: infer.declared(  # noqa: E731
        lambda v: v["z"].sum(), {"z": bj.Interval(0.0, HIGH, **own)}
    )
    with pytest.raises(infer.ModelError, match=r"z: its shape is \(\), .* give shape=\(3,\)"):
        infer.log_density(for_shape())
    assert infer.log_density(for_shape(shape=(3,))).size == 3
