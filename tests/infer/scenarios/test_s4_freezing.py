"""S4: freezing, and static as opposed to non-differentiable values (jax issue 2588)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer
from tests.compilations import list_compilations
from tests.infer.engines.found import chains_of, engines_in_time, is_wrapped, named

from .counting import primitives

compiled = list_compilations()


class RBF(eqx.Module):
    variance: Any
    lengthscale: Any

    def __call__(self, a, b):
        return self.variance * jnp.exp(-0.5 * ((a - b) / self.lengthscale) ** 2)


class Periodic(eqx.Module):
    variance: Any
    lengthscale: Any
    period: Any

    def __call__(self, a, b):
        turn = jnp.sin(jnp.pi * (a - b) / self.period) / self.lengthscale
        return self.variance * jnp.exp(-2 * turn**2)


class Sum(eqx.Module):
    left: Any
    right: Any

    def __call__(self, a, b):
        return self.left(a, b) + self.right(a, b)


class Prod(eqx.Module):
    left: Any
    right: Any

    def __call__(self, a, b):
        return self.left(a, b) * self.right(a, b)


X = np.linspace(0.0, 3.0, 6)
DATA = {"x": X, "y": np.sin(2 * X)}


def kernel():
    return Sum(RBF(1.0, 0.3), Prod(Periodic(1.0, 1.0, 1.0), RBF(1.0, 2.0)))


def marginal(kernel, data):
    x = data["x"]
    covariance = jax.vmap(lambda a: jax.vmap(lambda b: kernel(a, b))(x))(x)
    factor = jnp.linalg.cholesky(covariance + 0.1 * jnp.eye(x.size))
    white = jax.scipy.linalg.solve_triangular(factor, data["y"], lower=True)
    return -0.5 * white @ white - jnp.log(jnp.diag(factor)).sum()


def gaussian_process():
    leaves = {"**": infer.Leaf(dist.LogNormal(0.0, 1.0))}
    return infer.tree_model(kernel(), marginal, leaves, data=DATA)


def free_names(model):
    return [site.name for site in infer.log_density(model).latent]


def test_s4_free_leaves_are_selected_by_glob_predicate_and_accessor():
    """`model.freeze` and `model.free`, in place of arguments `freeze=` and `free=` of a fit."""
    model = gaussian_process()
    lengths = ["left.lengthscale", "right.left.lengthscale", "right.right.lengthscale"]
    assert free_names(model.freeze("**").free("**.lengthscale")) == lengths
    by_path = model.freeze(lambda path, leaf: path.endswith("variance"))
    assert free_names(by_path) == [*lengths[:2], "right.left.period", lengths[2]]
    by_where = model.freeze(lambda k: k.left.variance, lambda k: (k.right.left, k.right.right))
    assert free_names(by_where) == lengths[:1]


def test_s4_1_other_frozen_values_compile_nothing_and_other_frozen_leaves_once():
    traced = []

    @eqx.filter_jit
    def evaluate(density, position):
        traced.append(1)
        return density.evaluate(position)

    model = gaussian_process()
    for value in (0.5, 1.0, 2.0):
        frozen = model.freeze({"left.variance": value})
        evaluate(infer.log_density(frozen), jnp.zeros(6))
    assert len(traced) == 1
    for value in (0.5, 1.0):
        evaluate(infer.log_density(model.freeze({"left.lengthscale": value})), jnp.zeros(6))
    assert len(traced) == 2


def test_s4_1_a_run_with_other_frozen_values_compiles_nothing():
    def run(value):
        model = gaussian_process().freeze("**").free("left.*").freeze({"left.variance": value})
        return infer.maximize(model, infer.MAP("constrained"), starts=2).lp

    before, first = len(compiled), run(0.5)
    assert len(compiled) > before
    before, second = len(compiled), run(0.7)
    assert len(compiled) == before
    assert first != second


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def is_slow(engine):
    """Leave out those that wrap a library, or need no gradient, and approximations but ADVI."""
    is_other = engine.result == "approximation" and named(engine) != "ADVI"
    return is_wrapped(engine) or is_other or not engine.needs.gradient


@pytest.mark.parametrize("engine", engines_in_time(slow=is_slow), ids=named)
def test_s4_2_no_engine_changes_frozen_leaves(engine):
    frozen = RBF(np.float64(1 / 3), np.float64(0.7))
    tree = {"frozen": frozen, "free": np.array([0.5, -0.5])}

    def log_likelihood(tree):
        return -tree["frozen"].variance * ((tree["free"] - tree["frozen"].lengthscale) ** 2)

    model = infer.tree_model(tree, log_likelihood, {"free": dist.Normal()}, rest="frozen")
    chains = chains_of(engine, 2)
    run = infer.start(model, engine, chains=chains, warmup=20, progress=False).advance(3)
    assert run.density.size == 2
    values = run.density.constrain(jnp.asarray(run.draws().positions[0, -1][:2]))
    moved = model.tree(values)
    assert bits(moved["frozen"]) == bits(frozen)
    assert bits(moved["free"]) != bits(tree["free"])


def test_s4_2_frozen_leaves_do_not_affect_decay_and_clipping():
    """AdamW, after clipping by the global norm, acts as if the frozen leaf did not exist."""
    optimizer = optax.chain(optax.clip_by_global_norm(1e-3), optax.adamw(0.1, weight_decay=0.1))
    engine = infer.MAP("constrained", optimizer=optimizer, max_steps=50)
    tree = {"w": np.array([0.5]), "huge": np.array([1e6])}

    def squares(tree):
        return -((tree["w"] - 1.0) ** 2) + 0.0 * tree.get("huge", 0.0)

    model = infer.tree_model(tree, squares, {"w": bj.Real()}, rest="frozen")
    without = infer.tree_model({"w": tree["w"]}, squares, {"w": bj.Real()})
    optima = [infer.maximize(m, engine, starts={"w": np.array([0.5])}) for m in (model, without)]
    assert optima[0].values["w"] == optima[1].values["w"]
    assert infer.tree_of(model, optima[0])["huge"] == 1e6


def covariance_of(scale):
    return jnp.exp(-(((X[:, None] - X) / scale) ** 2)) + 0.1 * jnp.eye(X.size)


def two_covariances(tree):
    total = 0.0
    for scale in (tree["signal"], tree["noise"]):
        factor = jnp.linalg.cholesky(covariance_of(scale))
        white = jax.scipy.linalg.solve_triangular(factor, DATA["y"], lower=True)
        total += -0.5 * white @ white - jnp.log(jnp.diag(factor)).sum()
    return total


def gradient_work(model):
    density = infer.log_density(model)
    return primitives(lambda d, q: d.evaluate(q), density, jnp.zeros(density.size))


def test_s4_3_a_frozen_branch_costs_no_gradient():
    """Operations are counted in the jaxpr of the gradient, as times vary from run to run.

    The frozen covariance costs what a constant one costs: its Cholesky factor is computed, and
    nothing is solved or multiplied to differentiate it.
    """
    positive = {"signal": bj.Positive(), "noise": bj.Positive()}
    tree = {"signal": 1.0, "noise": 0.5}
    both = infer.tree_model(tree, two_covariances, positive)
    constant = infer.tree_model(tree, two_covariances, {"signal": bj.Positive(), "noise": "static"})
    work = {
        name: gradient_work(model)
        for name, model in [
            ("both", both),
            ("frozen", both.freeze("noise")),
            ("constant", constant),
        ]
    }
    for name in ("cholesky", "triangular_solve", "dot_general"):
        assert work["frozen"][name] == work["constant"][name]
    assert work["both"]["cholesky"] == work["frozen"]["cholesky"] == 2
    # Each differentiated factor costs two triangular solves of its own.
    assert work["both"]["triangular_solve"] > work["frozen"]["triangular_solve"]
    assert work["both"]["dot_general"] > work["frozen"]["dot_general"]


class NonDifferentiable(int):
    pass


class DifferentiableView(NamedTuple):
    parameter: jnp.array
    num_data: int


def func(s):
    return jnp.exp(s.parameter) ** 2 / s.num_data


def test_s4_4_the_example_of_the_issue_runs_unchanged():
    s = DifferentiableView(2.0, NonDifferentiable(100))
    model = infer.tree_model(s, lambda s: -func(s), {"parameter": bj.Real()})
    d = infer.log_density(model)
    slope = jax.grad(lambda q: -d(q))(jnp.array([2.0]))
    np.testing.assert_allclose(slope, [2 * np.exp(4.0) / 100], rtol=1e-12)
    assert isinstance(infer.tree_of(model, {"parameter": 1.0}).num_data, NonDifferentiable)


class Module(eqx.Module):
    w: Any
    rest: Any


@dataclass
class Plain:
    w: Any
    rest: Any


@jax.tree_util.register_dataclass
@dataclass
class Registered:
    w: Any
    rest: Any


class Named(NamedTuple):
    w: Any
    rest: Any


KINDS = [Module, Plain, Registered, Named, lambda w, rest: {"w": w, "rest": rest}]


@pytest.mark.parametrize("kind", KINDS)
def test_s4_4_static_leaves_of_any_type_pass_through(kind):
    """test_tree.py tests modules of flax.nnx too, if flax is installed."""
    rest = [3, True, "text", jnp.sin, jax.random.key(7), np.arange(3), None, print]
    tree, seen = kind(np.ones(2), rest), []

    def log_likelihood(tree):
        seen.append(tree)
        return -(jax.tree.leaves(tree["w"] if isinstance(tree, dict) else tree.w)[0] ** 2).sum()

    model = infer.tree_model(tree, log_likelihood, {"w": bj.Positive()})
    density = infer.log_density(model)
    jax.jit(lambda d, q: d.evaluate(q)[1])(density, jnp.zeros(2))
    back = infer.tree_of(model, {"w": np.full((4, 5, 2), 2.0)})
    for got in (seen[-1], back):
        assert type(got) is type(tree)
        inner = got["rest"] if isinstance(got, dict) else got.rest
        assert inner[:4] == rest[:4]
        assert inner[6] is None
        assert inner[7] is print
    inner = back["rest"] if isinstance(back, dict) else back.rest
    np.testing.assert_array_equal(inner[5], np.arange(3))
    assert inner[4] == rest[4]


class Parameter(eqx.Module):
    value: Any
    prior: Any
    tag: str = eqx.field(static=True, default="real")


def test_s4_5_parameters_of_a_prior_are_inferred_only_if_they_are_leaves_with_rules():
    """`Leaf(prior=lambda values: ...)`, with the scale as a leaf, replaces `learn(prior.scale)`."""
    traced = []

    @jax.jit
    def evaluate(density, position):
        traced.append(1)
        return density(position)

    def falling(tree):
        return -tree["w"].value

    def model(scale):
        tree = {"w": Parameter(0.5, dist.Normal(0.0, scale))}
        return infer.tree_model(tree, falling, {})

    values = [evaluate(infer.log_density(model(scale)), jnp.ones(1)) for scale in (1.0, 2.0)]
    assert infer.log_density(model(1.0)).size == 1
    assert model(1.0).table().role_of("w.prior") == "data"
    truth = [dist.Normal(0.0, scale).log_prob(1.0) - 1.0 for scale in (1.0, 2.0)]
    np.testing.assert_allclose(values, truth, rtol=1e-12)
    assert len(traced) == 1
    asked = infer.tree_model(
        {"w": 0.5, "scale": 1.0},
        lambda t: -t["w"],
        {"scale": dist.HalfNormal(1.0), "w": infer.Leaf(lambda v: dist.Normal(0.0, v["scale"]))},
    )
    assert infer.log_density(asked).size == 2


class Ordered(eqx.Module):
    weight: Any
    order: Any = eqx.field(static=True)


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
def test_s4_6_a_traced_value_in_a_static_field_or_leaf_is_refused_by_path():
    def in_a_field(order):
        tree = {"layer": Ordered(1.0, order)}
        return infer.tree_model(tree, lambda t: t["layer"].weight, {"layer.weight": bj.Real()})

    def in_a_leaf(order):
        tree = {"weight": 1.0, "order": order}
        leaves = {"weight": bj.Real(), "order": "static"}
        return infer.tree_model(tree, lambda t: t["weight"], leaves)

    for make, path in ((in_a_field, r"layer\.order"), (in_a_leaf, "order")):
        with pytest.raises(infer.ModelError, match=rf'{path}: it is static.*"frozen" or "data"'):
            jax.jit(lambda order, make=make: infer.log_density(make(order))(jnp.zeros(1)))(2.0)


def test_s4_7_an_array_in_two_places_counts_once():
    weight = jnp.ones((2, 2))
    tree = {"embed": weight, "readout": [weight], "copy": jnp.ones((2, 2))}

    def log_likelihood(tree):
        assert tree["embed"] is tree["readout"][0]
        return -(tree["embed"] ** 2).sum() - (tree["copy"] ** 2).sum()

    leaves = {"embed": dist.LogNormal(0.0, 1.0), "copy": "frozen"}
    model = infer.tree_model(tree, log_likelihood, leaves)
    d, position = infer.log_density(model), jnp.array([0.1, 0.2, 0.3, 0.4])
    assert d.size == 4
    terms = d.terms(position)
    np.testing.assert_allclose(terms["jacobian"], position.sum(), rtol=1e-12)
    prior = dist.LogNormal(0.0, 1.0).log_prob(jnp.exp(position)).sum()
    np.testing.assert_allclose(terms["embed"], prior, rtol=1e-12)
    assert model.table().role_of("readout.0") == "derived"
    back = infer.tree_of(model, {"embed": np.zeros((2, 2))})
    assert back["embed"] is back["readout"][0]
    with pytest.raises(infer.ModelError, match="embed: both 'embed' and 'readout.0' select it"):
        infer.tree_model(tree, log_likelihood, leaves | {"readout.0": dist.Normal()})


def test_s4_7_shared_layers_of_equinox_count_once():
    keys = jax.random.split(jax.random.key(0))
    embed, linear = eqx.nn.Embedding(3, 2, key=keys[0]), eqx.nn.Linear(2, 3, False, key=keys[1])
    shared = eqx.nn.Shared(
        (embed, linear), lambda pair: pair[1].weight, lambda pair: pair[0].weight
    )

    def log_likelihood(shared):
        embed, linear = shared()
        assert embed.weight is linear.weight
        return -(linear(embed(1)) ** 2).sum()

    model = infer.tree_model(shared, log_likelihood, {"**.weight": dist.Normal()})
    assert infer.log_density(model).size == 6
