"""Wrapper nodes: those that carry their own constraint and prior, and those of paramax."""

import sys
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import bijectors as bj
import infer

paramax = pytest.importorskip("paramax")


class Wrapped(eqx.Module):
    scale: Any
    weight: Any = None


def value(tree):
    tree = paramax.unwrap(tree)
    return -(tree.scale**2).sum() - (0.0 if tree.weight is None else (tree.weight**2).sum())


def wrapped(scale, weight=None, leaves=None):
    return infer.tree_model(Wrapped(scale, weight), value, leaves or {})


POSITION = jnp.array([0.3, -1.2])
MAPS = {
    "exp": (jnp.exp, jnp.array([0.0, 1.0])),
    "softplus": (jax.nn.softplus, jnp.array([0.0, 1.0])),
    "mixing": (lambda u: jnp.array([[2.0, 1.0], [0.0, 3.0]]) @ jnp.sinh(u), jnp.zeros(2)),
    "nested": (jnp.exp, paramax.Parameterize(lambda u: 2 * u + 1, jnp.zeros(2))),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_square_parameterize_is_a_map_with_its_jacobian(name):
    function, inner = MAPS[name]
    node = paramax.Parameterize(function, inner)
    arrays, static = eqx.partition(node, eqx.is_array)

    def unwrapped(u):
        filled = jax.tree.map(lambda _: u, arrays)
        return paramax.unwrap(eqx.combine(filled, static))

    d = infer.log_density(wrapped(node))
    np.testing.assert_allclose(d.constrain(POSITION)["scale"], unwrapped(POSITION), rtol=1e-12)
    truth = jnp.linalg.slogdet(jax.jacobian(unwrapped)(POSITION))[1]
    np.testing.assert_allclose(d.terms(POSITION)["jacobian"], truth, rtol=1e-10)
    back = d.unconstrain({"scale": unwrapped(POSITION)})
    np.testing.assert_allclose(back, POSITION, rtol=1e-9)


@pytest.mark.parametrize("target", [1e-30, 1e-6, 1.0, 1e6, 1e30])
def test_newton_finds_the_inverse_from_far_away(target):
    d = infer.log_density(wrapped(paramax.Parameterize(jnp.exp, jnp.zeros(1))))
    np.testing.assert_allclose(d.unconstrain({"scale": [target]}), np.log([target]), rtol=1e-9)


def test_a_prior_on_a_parameterize_is_on_its_value():
    node = paramax.Parameterize(jnp.exp, jnp.zeros(2))
    model = wrapped(node, leaves={"scale": dist.LogNormal(0.0, 1.0)})
    d = infer.log_density(model)
    site = d.latent[0]
    assert (site.constraint, site.bijector, site.prior) == ("Positive", "Unwrapped", "LogNormal")
    # The coordinate of a log-normal value under exp is normal.
    truth = dist.Normal().log_prob(POSITION).sum() - (jnp.exp(POSITION) ** 2).sum()
    np.testing.assert_allclose(d(POSITION), truth, rtol=1e-12)


def test_a_set_given_by_the_user_replaces_the_wrappers_map():
    node = paramax.Parameterize(jax.nn.softplus, jnp.zeros(2))
    d = infer.log_density(wrapped(node, leaves={"scale": bj.Positive()}))
    assert d.latent[0].bijector == "Exp"


def test_non_trainable_arrays_are_frozen():
    tree = Wrapped(
        paramax.Parameterize(jnp.exp, jnp.zeros(2)),
        paramax.NonTrainable({"a": jnp.ones(3), "b": paramax.Parameterize(jnp.exp, jnp.ones(1))}),
    )
    seen = []

    def log_likelihood(tree):
        seen.append(paramax.unwrap(tree).weight)
        return -tree.scale.sum()

    model = infer.tree_model(tree, log_likelihood, {})
    roles = {row.name: row.role for row in model.table().rows}
    assert roles == {"scale": "free", "weight.a": "frozen", "weight.b": "frozen"}
    infer.log_density(model)(jnp.zeros(2))
    np.testing.assert_allclose(seen[-1]["b"], np.e)


@pytest.mark.slow
def test_redundant_wrappers_are_refused_by_samplers_but_not_for_constrained_modes():
    model = wrapped(
        jnp.ones(2), paramax.WeightNormalization(jnp.ones((2, 3))), {"scale": bj.Real()}
    )
    with pytest.raises(
        infer.ModelError, match=r"weight: .*WeightNormalization maps 8 numbers to 6"
    ):
        infer.start(model, infer.NUTS())
    with pytest.raises(infer.ModelError, match=r'it adds no Jacobian.*MAP\(space="constrained"\)'):
        infer.maximize(model, infer.MAP("unconstrained"))
    optimum = infer.maximize(model, infer.MAP("constrained"), starts=2)
    np.testing.assert_allclose(optimum.values["scale"], 0, atol=1e-3)
    assert infer.log_density(model.freeze("weight")).size == 2


def test_a_singular_jacobian_is_refused():
    node = paramax.RealToIncreasingOnInterval(
        jnp.zeros(3), (0.0, 1.0), min_width=0.01, include_endpoints="lower"
    )
    with pytest.raises(infer.ModelError, match="scale: .*Jacobian .* is singular"):
        infer.log_density(wrapped(node))


def test_the_arrays_inside_a_wrapper_may_be_sites_instead():
    node = paramax.WeightNormalization(jnp.ones((2, 3)))
    leaves = {"scale": bj.Real(), "weight.weight": dist.Normal(), "weight.scale": bj.Positive()}
    d = infer.log_density(wrapped(jnp.ones(2), node, leaves))
    assert [(s.name, s.shape) for s in d.latent] == [
        ("scale", (2,)),
        ("weight.weight", (2, 3)),
        ("weight.scale", (2, 1)),
    ]
    assert np.isfinite(d(jnp.ones(10)))


def test_trees_without_wrappers_need_no_paramax(monkeypatch):
    monkeypatch.delitem(sys.modules, "paramax")
    model = infer.tree_model({"a": 1.0}, lambda t: -(t["a"] ** 2), {"a": bj.Real()})
    assert infer.log_density(model).size == 1


@dataclass
class Tagged:
    value: Any
    tag: str
    prior: Any = None
    trainable: bool = True


class Opposite(eqx.Module):
    number: jax.Array


def test_a_node_with_value_constraint_and_prior_becomes_a_site():
    tree = {
        "scale": Tagged(2.0, "positive", dist.HalfNormal(3.0)),
        "share": Tagged(jnp.array([0.2, 0.8]), "sigmoid", trainable=False),
    }
    seen = []

    def log_likelihood(tree):
        seen.append(tree["scale"])
        return -(tree["scale"].value ** 2) * tree["share"].value.sum()

    model = infer.tree_model(tree, log_likelihood, {})
    d = infer.log_density(model)
    assert [(s.name, s.constraint, s.prior) for s in d.latent] == [
        ("scale", "Positive", "HalfNormal")
    ]
    assert model.table().role_of("share") == "frozen"
    assert infer.log_density(model.free("share")).size == 3
    d(jnp.zeros(1))
    assert isinstance(seen[-1], Tagged)
    back = infer.tree_of(model, {"scale": 5.0})
    assert back["scale"].value == 5.0
    assert back["scale"].tag == "positive"


def test_what_the_user_gives_overrides_the_node():
    tree = {"scale": Tagged(2.0, "positive", dist.HalfNormal(3.0))}
    leaves = {"scale": infer.Leaf(dist.LogNormal(0.0, 1.0), bijector="softplus")}
    site = infer.log_density(infer.tree_model(tree, lambda t: 0.0, leaves)).latent[0]
    assert (site.prior, site.constraint, site.bijector) == ("LogNormal", "Positive", "Softplus")


def test_readers_of_the_user_come_first():
    def read(node):
        if isinstance(node, Opposite):
            return infer.Parameter(-node.number, bj.Negative(), inverse=lambda value: -value)
        return None

    tree = {"a": Opposite(jnp.array([1.0, 2.0]))}
    model = infer.tree_model(tree, lambda t: t["a"].sum(), {}, read=read)
    d = infer.log_density(model)
    np.testing.assert_allclose(d.constrain(jnp.zeros(2))["a"], [-1.0, -1.0])
    back = infer.tree_of(model, {"a": np.full((4, 2), -3.0)})
    np.testing.assert_allclose(back["a"].number, np.full((4, 2), 3.0))


def test_a_constraint_of_numpyro_is_translated():
    tree = {"a": Tagged(np.full(3, 1 / 3), constraints.simplex)}
    with pytest.raises(infer.ModelError, match="no role is given for"):
        # A string is read as a tag, and this is none of the known ones.
        infer.tree_model({"a": Tagged(np.ones(3), "odd")}, lambda t: 0.0, {})
    assert infer.log_density(infer.tree_model(tree, lambda t: 0.0, {})).size == 2
