"""S2: optimize or sample any pytree in a transformed space (equinox issue 676, paramax)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer

from .counting import primitives


class PowerLaw(eqx.Module):
    amplitude: Any
    power: Any

    def __call__(self, x):
        return self.amplitude * x**self.power


X = np.linspace(0.5, 2.0, 20)
DATA = {"x": X, "y": 3.0 * X**2}


def squares(law, data):
    return -((law(data["x"]) - data["y"]) ** 2)


SETS = {"amplitude": bj.Positive(), "power": bj.Interval(0.0, 5.0)}


def power_law(leaves=SETS, law=None):
    return infer.tree_model(law or PowerLaw(2.0, 1.0), squares, leaves, data=DATA)


def value(model, position, jacobian=True):
    return infer.log_density(model, jacobian=jacobian)(position)


def test_s2_the_optimum_of_the_example_has_the_type_of_the_tree():
    """`tree_model`, `maximize` and `tree_of` replace `constrain`, `minimize` and `value`.

    A value changed by `tree_at` is checked when the next model is made of the tree, as changes of
    a tree cannot be observed.
    """
    model = power_law()
    optimum = infer.maximize(model, infer.MAP("constrained"), starts=4)
    law = infer.tree_of(model, optimum)
    assert isinstance(law, PowerLaw)
    np.testing.assert_allclose([law.amplitude, law.power], [3.0, 2.0], rtol=1e-3)
    with pytest.raises(infer.ModelError, match=r"power: .* -1\.0, which lies outside Interval"):
        power_law(law=eqx.tree_at(lambda m: m.power, law, -1.0))


def test_s2_1_the_order_of_rules_and_repeated_freezing_do_not_matter():
    """Freezing is idempotent; two rules for one leaf are an error."""
    position = jnp.array([0.3, -0.2])
    backwards = dict(reversed(SETS.items()))
    assert value(power_law(), position) == value(power_law(backwards), position)
    once = power_law().freeze(power=2.0)
    assert jax.tree.structure(once) == jax.tree.structure(once.freeze(power=2.0))
    with pytest.raises(infer.ModelError, match="power: both 'power' and 'p"):
        power_law(SETS | {"p*": bj.Positive()})


def test_s2_1_a_leaf_can_be_positive_frozen_and_shared():
    shared = jnp.array([1.0, 2.0])
    tree = {"one": shared, "two": PowerLaw(shared, 1.0)}
    leaves = {"one": infer.Leaf(constraint=bj.Positive(), frozen=True), "two.power": bj.Real()}
    model = infer.tree_model(tree, lambda t: -((t["two"].amplitude - t["two"].power) ** 2), leaves)
    assert infer.log_density(model).size == 1
    free = infer.log_density(model.free("one"))
    assert free.size == 3
    np.testing.assert_allclose(free.terms(jnp.array([0.5, 0.25, 0.0]))["jacobian"], 0.75)


def test_s2_1_wrappers_are_unwrapped_at_every_level():
    paramax = pytest.importorskip("paramax")
    inner = paramax.Parameterize(lambda u: 2 * u, jnp.array(0.5))
    law = PowerLaw(paramax.Parameterize(jnp.exp, inner), paramax.NonTrainable(jnp.array(2.0)))
    model = power_law({}, law)
    np.testing.assert_allclose(model.initial_values()["amplitude"], np.e)
    at_truth = value(model, jnp.array([0.5 * np.log(3.0)]), jacobian=False)
    np.testing.assert_allclose(at_truth, 0.0, atol=1e-12)


class Mixed(eqx.Module):
    scale: jax.Array
    weights: jax.Array
    factor: jax.Array
    target: jax.Array


def mixed(key):
    factor = jnp.array([[1.0, 0.0], [0.6, 0.8]])
    scale, target = jnp.exp(jax.random.normal(key)), jax.random.uniform(key)
    return Mixed(scale, jnp.full(3, 1 / 3), factor, target)


def mixed_rows(tree):
    share = (jnp.log(tree.scale) - tree.target) ** 2 + ((tree.weights - 0.3) ** 2).sum()
    return -share - (tree.factor[1, 0] - tree.target) ** 2


def mixed_model(key):
    leaves = {
        "scale": bj.Positive(),
        "weights": bj.Simplex(),
        "factor": bj.CorrelationCholesky(),
        "target": "data",
    }
    return infer.tree_model(mixed(key), mixed_rows, leaves)


def climb(model):
    density = infer.log_density(model, jacobian=False)
    optimizer = optax.adam(0.1)

    def step(carry, _):
        position, state = carry
        slope = jax.grad(density)(position)
        moves, state = optimizer.update(-slope, state)
        return (position + moves, state), None

    start = jnp.full(density.size, 0.1)
    (position, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=300)
    return model.tree(density.constrain(position))


def test_s2_2_an_ensemble_under_vmap_is_optimized_like_each_member():
    keys = jax.random.split(jax.random.key(0), 3)
    ensemble = eqx.filter_vmap(mixed_model)(keys)
    together = eqx.filter_jit(eqx.filter_vmap(climb))(ensemble)
    assert together.scale.shape == (3,)
    assert together.weights.shape == (3, 3)
    assert together.factor.shape == (3, 2, 2)
    alone = [eqx.filter_jit(climb)(mixed_model(key)) for key in keys]
    for i, member in enumerate(alone):
        one = jax.tree.map(lambda a, i=i: a[i], together)
        for got, wanted in zip(jax.tree.leaves(one), jax.tree.leaves(member), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5)


RULES = [(r, r.cases[0]) for r in bj.RULES if r.cases]


def _parts(value):
    """Flatten a value; a complex one to its real and imaginary parts."""
    flat = value.reshape(-1)
    return jnp.concatenate([flat.real, flat.imag]) if jnp.iscomplexobj(flat) else flat


@pytest.mark.parametrize(
    ("rule", "case"), RULES, ids=[f"{r.constraint.__name__}-{r.name}" for r, _ in RULES]
)
def test_s2_3_gradients_in_both_spaces_agree_by_the_chain_rule(rule, case):
    def smooth(parts):
        return (jnp.sin(parts) * jnp.arange(1.0, parts.size + 1)).sum()

    dtype = complex if rule.constraint is bj.Complex else float
    tree = {"x": jax.ShapeDtypeStruct(case.shape, dtype)}
    leaf = infer.Leaf(constraint=case.constraint, bijector=rule.name)
    model = infer.tree_model(tree, lambda t: smooth(_parts(t["x"])), {"x": leaf})
    d = infer.log_density(model, jacobian=False)
    constrain = lambda position: _parts(d.constrain(position)["x"])  # noqa: E731

    @jax.jit
    def both(position):
        outer = jax.grad(smooth)(constrain(position))
        return jax.grad(d)(position), outer, jax.jacfwd(constrain)(position)

    found, outer, jacobian = both(0.5 * np.random.default_rng(1).standard_normal(d.size))
    np.testing.assert_allclose(found, outer @ jacobian, rtol=1e-8, atol=1e-10)


def noisy(law, data):
    return dist.Normal(law(data["x"]), 0.5).log_prob(data["y"])


def test_s2_4_another_map_changes_neither_mode_nor_density():
    priors = {"amplitude": dist.LogNormal(0.0, 1.0), "power": dist.Normal(0.0, 3.0)}
    moved = priors | {"power": infer.Leaf(priors["power"], bijector=bj.Affine(2.0, 0.1))}
    plain, changed = (
        infer.tree_model(PowerLaw(1.0, 1.0), noisy, leaves, data=DATA) for leaves in (priors, moved)
    )
    position = jnp.array([0.3, 1.7])
    back = position.at[1].set((1.7 - 2.0) / 0.1)
    np.testing.assert_allclose(value(changed, back), value(plain, position) + np.log(0.1))
    one, two = (infer.maximize(m, infer.MAP("constrained"), starts=2) for m in (plain, changed))
    for name, number in one.values.items():
        np.testing.assert_allclose(two.values[name], number, rtol=1e-4)


@pytest.mark.slow
def test_s2_4_another_map_does_not_change_the_distribution_of_draws():
    """Means of 4 x 1000 draws agree within 5 of their standard errors; false alarm 1e-6."""
    priors = {"amplitude": dist.LogNormal(0.0, 1.0), "power": dist.Normal(0.0, 3.0)}
    moved = priors | {"power": infer.Leaf(priors["power"], bijector=bj.Affine(2.0, 0.1))}
    means, errors = [], []
    for leaves in (priors, moved):
        model = infer.tree_model(PowerLaw(1.0, 1.0), noisy, leaves, data=DATA)
        posterior = infer.sample(model, draws=1000, key=1, progress=False)["posterior"]
        draws = np.stack([np.asarray(posterior[name]) for name in priors])
        by_chain = draws.reshape(2, 4, 10, 100).mean(-1).reshape(2, -1)
        means.append(draws.mean((1, 2)))
        errors.append(by_chain.std(-1) / np.sqrt(by_chain.shape[-1]))
    miss = np.abs(means[0] - means[1]) / np.hypot(*errors)
    assert (miss < 5).all()


@pytest.mark.slow
def test_s2_5_wrappers_of_paramax_are_accepted():
    """More of this, such as refused wrappers without a Jacobian, is in test_parameter.py."""
    paramax = pytest.importorskip("paramax")
    amplitude = paramax.Parameterize(jnp.exp, jnp.array(0.0))
    law = PowerLaw(amplitude, paramax.NonTrainable(jnp.array(2.0)))
    model = power_law({}, law)
    np.testing.assert_allclose(infer.log_density(model).terms(jnp.array([0.7]))["jacobian"], 0.7)
    optimum = infer.maximize(model, infer.MAP("constrained"), starts=2)
    np.testing.assert_allclose(infer.tree_of(model, optimum).amplitude, 3.0, rtol=1e-4)
    weights = paramax.WeightNormalization(jnp.ones((2, 2)))
    redundant = infer.tree_model({"w": weights}, lambda t: -(t["w"] ** 2), {})
    with pytest.raises(infer.ModelError, match="adds no Jacobian"):
        infer.log_density(redundant)


def cliff(tree):
    """A log density that is NaN beyond 1.5."""
    return jnp.where(tree["x"] > 1.5, jnp.nan, -0.5 * tree["x"] ** 2)


def test_s2_6_steps_to_invalid_points_are_divergences_of_one_chain():
    """Nothing raises in the compiled loop, so it needs no debug mode in which errors are raised.

    What can be checked before is raised on the host, with the path. During the run, a step to an
    invalid point is a divergence of that chain alone, and every chain makes all its draws.
    """
    model = infer.tree_model({"x": 0.0}, cliff, {"x": bj.Real()})
    starts = {"x": np.array([0.0, 0.1, 0.2, 1.49])}
    posterior = infer.sample(
        model, chains=4, draws=100, warmup=100, starts=starts, key=0, progress=False
    )
    draws = np.asarray(posterior["posterior"]["x"])
    assert draws.shape == (4, 100)
    assert (draws <= 1.5).all()
    assert int(posterior["sample_stats"]["diverging"].sum()) > 0
    with pytest.raises(infer.StartError, match="log_likelihood: its log density is nan.* x=2"):
        infer.start(model, infer.NUTS(), chains=4, starts={"x": np.array([0.0, 0.1, 0.2, 2.0])})


def test_s2_7_constraints_add_no_callback_and_no_branch():
    density = infer.log_density(mixed_model(jax.random.key(0)).freeze("weights"))
    names = primitives(lambda d, q: d.evaluate(q), density, jnp.zeros(density.size))
    assert names["exp"]
    assert not [name for name in names if "callback" in name or name in ("cond", "check")]
