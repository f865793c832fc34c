"""Trees: every leaf has a role, and the log density is that of the user's own type."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer


class Line(eqx.Module):
    slope: jax.Array
    offset: float
    noise: float
    name: str = "line"
    order: int = eqx.field(static=True, default=1)

    def __call__(self, x):
        return self.offset + x @ self.slope


X = np.random.default_rng(0).normal(size=(20, 2))
DATA = {"x": X, "y": X.sum(1)}
LEAVES = {
    "slope": infer.Leaf(dist.Normal(0.0, 2.0), dims="feature"),
    "offset": dist.Normal(0.0, 1.0),
    "noise": bj.Positive(),
}


def line_rows(line, data):
    assert isinstance(line, Line)
    return dist.Normal(line(data["x"]), line.noise).log_prob(data["y"])


def line(leaves=LEAVES, **options):
    coords = {"feature": ["a", "b"]}
    tree = Line(jnp.ones(2), 0.5, 1.0)
    return infer.tree_model(tree, line_rows, leaves, data=DATA, coords=coords, **options)


def test_the_log_density_is_the_likelihood_plus_priors_plus_jacobian():
    d = infer.log_density(line())
    position = jnp.array([0.3, -0.4, 0.1, -0.7])
    values = Line(position[:2], position[2], jnp.exp(position[3]))
    prior = dist.Normal(0.0, 2.0).log_prob(values.slope).sum() + dist.Normal().log_prob(0.1)
    whole = line_rows(values, DATA).sum() + prior + position[3]
    np.testing.assert_allclose(d(position), whole, rtol=1e-12)
    assert d.labels() == ["slope[a]", "slope[b]", "offset", "noise"]


def test_the_table_lists_the_role_of_every_leaf():
    table = line({"slope": "data", "noise": "static", "offset": dist.Normal()}).table()
    roles = {row.name: row.role for row in table.rows}
    assert roles == {"offset": "free", "slope": "data", "noise": "static", "name": "static"}
    first, *_, last = str(table).splitlines()[1:]
    assert first.split() == ["offset", "free", "[]", "Real", "Normal", "Identity"]
    assert last == "1 free (1); 1 data (2); 2 static (1)"


def test_float_leaves_without_a_role_are_listed_in_the_error():
    with pytest.raises(infer.ModelError, match=r"slope \[2\], noise \[\]\. .*rest="):
        line({"offset": dist.Normal()})


def test_rest_freezes_the_remaining_leaves():
    model = line({"offset": dist.Normal()}, rest="frozen")
    assert infer.log_density(model).size == 1
    assert model.table().role_of("slope") == "frozen"
    assert infer.log_density(model.free("slope")).size == 3


def test_two_selectors_of_one_leaf_are_refused():
    with pytest.raises(infer.ModelError, match=r"slope: both 's\*' and '\*\*' select it"):
        line({"s*": dist.Normal(), "**": bj.Real()})


@pytest.mark.parametrize(
    "selector",
    [
        "slope",
        ".slope",
        "sl*",
        lambda t: t.slope,
        lambda t: (t.slope,),
        lambda p, leaf: leaf.ndim == 1,
    ],
)
def test_a_leaf_is_selected_by_path_glob_where_or_predicate(selector):
    tree = Line(jnp.ones(2), jnp.array(0.5), jnp.array(1.0))
    model = infer.tree_model(tree, line_rows, {selector: dist.Normal()}, data=DATA, rest="frozen")
    freed = line().freeze("**").free(selector)
    for chosen in (model, freed):
        assert [s.name for s in infer.log_density(chosen).latent] == ["slope"]


MISTAKES = [
    ({"slop": bj.Real()}, r"'slop': it selects no leaf of the tree.*slope, offset, noise"),
    ({"name": bj.Real()}, r"name: it is of type str, which cannot be inferred"),
    ({"slope": dist.Normal(jnp.zeros(3), 1.0)}, r"slope: the leaf has shape \(2,\).*\(3,\)"),
    ({"offset": bj.Simplex()}, r"offset: the leaf has shape \(\), which does not fit Simplex"),
    ({"slope": 3.0}, r"slope: the prior is a float, not a distribution"),
    ({"slope": "fixed"}, r"'slope': 'fixed' is not a role of a leaf. Give one of 'frozen'"),
    ({"noise": bj.Negative()}, r"noise: it is, in the tree, 1\.0, which lies outside Negative"),
    ({lambda t: t.noise + 1: bj.Real()}, r"unsupported operand"),
    ({lambda t: "noise": bj.Real()}, r"where: it returns 'noise', which is not part of the tree"),
    ({"slope": infer.Leaf(lambda v: dist.Normal(0, v["x"]))}, r"slope: .*'x'.*use offset, noise"),
    ({"noise": infer.Leaf(constraint=lambda v: 3)}, r"noise: its set is 3\. Give a set"),
    ({"slope": infer.Leaf(dist.Normal(), dims=("a", "b"))}, r"slope: "),
    ({"slope": lambda t: t.offset}, r"slope: its function returns a value of shape \(\)"),
]  # fmt: skip


@pytest.mark.parametrize(("leaves", "message"), MISTAKES)
def test_errors_name_the_path_of_the_leaf(leaves, message):
    free = {} if "noise" in leaves else {"noise": bj.Positive()}
    with pytest.raises((infer.ModelError, TypeError), match=message):
        infer.log_density(line(leaves | free, rest="frozen"))


def test_nan_in_a_data_leaf_is_refused():
    tree = {"w": np.array([1.0, np.nan]), "b": 1.0}
    with pytest.raises(infer.ModelError, match="w: the data hold 1 NaN of 2"):
        infer.tree_model(tree, lambda t: t["b"], {"w": "data", "b": bj.Real()})


def test_a_frozen_leaf_needs_a_value():
    tree = {"w": jax.ShapeDtypeStruct((2,), float), "b": 1.0}
    with pytest.raises(
        infer.ModelError, match="w: it is frozen, but the tree holds no value for it"
    ):
        infer.tree_model(tree, lambda t: t["b"], {"b": bj.Real()}, rest="frozen")
    model = infer.tree_model(tree, lambda t: -t["w"].sum(), {"*": bj.Positive()})
    assert infer.log_density(model).size == 3


def test_two_leaves_with_the_same_path_are_refused():
    tree = {"a": {"b": 1.0}, "a.b": 2.0}
    with pytest.raises(infer.ModelError, match=r"a\.b: two leaves of the tree have this path"):
        infer.tree_model(tree, lambda t: 0.0, {}, rest="frozen")


def test_a_prior_may_depend_on_other_leaves():
    tree = {"group": np.zeros(3), "scale": 1.0, "size": 2.0}
    prior = infer.Leaf(lambda v: dist.Normal(0.0, v["scale"] * v["size"]))
    leaves = {"group": prior, "scale": dist.HalfNormal(1.0), "size": "data"}
    d = infer.log_density(infer.tree_model(tree, lambda t: 0.0, leaves))
    assert [site.name for site in d.latent] == ["scale", "group"]
    terms = d.terms(jnp.array([0.5, 1.0, 2.0, 3.0]))
    truth = dist.Normal(0, 2 * np.exp(0.5)).log_prob(np.array([1.0, 2.0, 3.0])).sum()
    np.testing.assert_allclose(terms["group"], truth, rtol=1e-12)


def test_a_set_may_depend_on_other_leaves():
    leaves = {"top": bj.Positive(), "below": infer.Leaf(constraint=lambda v: bj.LessThan(v["top"]))}
    model = infer.tree_model({"below": 0.0, "top": 1.0}, lambda t: -t["top"], leaves)
    values = infer.log_density(model).constrain(jnp.array([0.0, 0.0]))
    assert (values["top"], values["below"]) == (1.0, 0.0)


def test_a_leaf_may_be_derived_from_the_others():
    tree = {"share": 0.3, "other": 0.7, "twice": 1.4}
    leaves = {
        "share": bj.Interval(0.0, 1.0),
        "other": lambda t: 1 - t["share"],
        "twice": lambda t: 2 * t["other"],
    }
    model = infer.tree_model(tree, lambda t: t["twice"], leaves)
    d = infer.log_density(model, jacobian=False)
    np.testing.assert_allclose(d(jnp.zeros(1)), 1.0)
    assert model.table().role_of("other") == "derived"
    np.testing.assert_allclose(d.constrain(jnp.zeros(1))["other"], 0.5)
    np.testing.assert_allclose(infer.tree_of(model, {"share": 0.2})["twice"], 1.6)


def test_a_scale_multiplies_unconstrained_steps_and_changes_nothing_else():
    plain = infer.log_density(line())
    leaves = LEAVES | {"noise": infer.Leaf(constraint=bj.Positive(), scale=0.1)}
    scaled = infer.log_density(line(leaves))
    position = jnp.array([0.3, -0.4, 0.1, -0.7])
    stretched = position.at[3].divide(0.1)
    for name, value in plain.constrain(position).items():
        np.testing.assert_allclose(scaled.constrain(stretched)[name], value, rtol=1e-12)
    np.testing.assert_allclose(scaled(stretched) - np.log(0.1), plain(position), rtol=1e-12)
    slope, stretched_slope = plain.evaluate(position)[1][3], scaled.evaluate(stretched)[1][3]
    np.testing.assert_allclose(stretched_slope, 0.1 * slope, rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_a_leaf_keeps_its_dtype(dtype):
    seen = []
    tree = {"w": jnp.ones(2, dtype), "b": 1.0}
    model = infer.tree_model(
        tree, lambda t: seen.append(t["w"].dtype) or -(t["w"] ** 2).sum(), {"**": dist.Normal()}
    )
    position = jnp.array([0.1, 0.2, 0.3])
    d = infer.log_density(model)
    assert d(position).dtype == position.dtype
    assert set(seen) == {jnp.dtype(dtype)}
    assert infer.tree_of(model, d.constrain(position))["w"].dtype == dtype


def test_complex_leaves_are_inferred():
    model = infer.tree_model({"z": 1 + 1j}, lambda t: -(abs(t["z"]) ** 2), {"z": infer.Leaf()})
    d = infer.log_density(model)
    assert d.size == 2
    posterior = infer.sample(model, chains=1, draws=5, warmup=20, progress=False)
    assert jnp.iscomplexobj(infer.tree_of(model, posterior)["z"])


PAIR = bj.Concatenation((bj.Complex(), bj.Complex()), (1, 1))


def test_a_complex_leaf_takes_a_set_of_complex_pieces():
    model = infer.tree_model(
        {"z": jnp.array([1j, 2.0])}, lambda tree: -(abs(tree["z"]) ** 2).sum(), {"z": PAIR}
    )
    assert infer.log_density(model).size == 4


@pytest.mark.parametrize(
    ("z", "constraint"),
    [
        (1j, bj.Real()),
        (jnp.zeros(2), bj.Complex()),
        (jnp.zeros(2), PAIR),
        (jnp.zeros(2, complex), bj.Concatenation((bj.Complex(), bj.Real()), (1, 1))),
    ],
)
def test_a_complex_leaf_needs_a_complex_set(z, constraint):
    with pytest.raises(infer.ModelError, match=r"z: the leaf is (complex|real), and .* is not"):
        infer.tree_model({"z": z}, lambda tree: -(abs(tree["z"]) ** 2), {"z": constraint}).table()


def test_a_bare_array_is_a_tree():
    model = infer.tree_model(jnp.zeros(3), lambda x: -(x**2).sum(), {"value": bj.Real()})
    assert infer.log_density(model).labels() == ["value[0]", "value[1]", "value[2]"]


def test_initial_values_are_the_values_in_the_tree():
    model = line()
    d = infer.log_density(model)
    np.testing.assert_allclose(d.unconstrain(model.initial_values()), [1.0, 1.0, 0.5, 0.0])
    assert line().freeze("noise").initial_values().keys() == {"slope", "offset"}


def test_maps_are_chosen_by_name_or_by_rules():
    chosen = line(LEAVES | {"noise": infer.Leaf(constraint=bj.Positive(), bijector="softplus")})
    preferred = line().with_rules(bj.prefer({bj.Positive: "softplus"}))
    for model in (chosen, preferred, preferred.freeze("slope")):
        assert infer.log_density(model).latent[-1].bijector == "Softplus"


class Point(NamedTuple):
    x: Any
    label: str


@dataclass
class Plain:
    points: list
    table: dict
    function: Any = jnp.sin


def test_nested_containers_of_every_kind_are_restored():
    indices, key = np.arange(3), jax.random.key(3)
    tree = Plain([Point(1.0, "one"), (Point(np.ones(2), "two"), None)], {"i": indices, "k": key})
    seen = []

    def log_likelihood(tree):
        seen.append(tree)
        return -(tree.points[0].x ** 2) + tree.function(tree.points[1][0].x).sum()

    model = infer.tree_model(tree, log_likelihood, {"points.**": dist.Normal()})
    infer.log_density(model)(jnp.zeros(3))
    back = infer.tree_of(model, infer.maximize(model, infer.MAP("constrained"), starts=2))
    for got in (seen[-1], back):
        assert isinstance(got, Plain)
        assert got.points[1][0].label == "two"
        assert got.points[1][1] is None
        assert got.function is jnp.sin
        assert got.table["k"].dtype == key.dtype
    np.testing.assert_array_equal(back.table["i"], indices)


def test_other_data_compile_nothing_and_change_the_density():
    model = line().freeze(noise=2.0)
    other = model.with_data(DATA | {"y": np.zeros(20)})
    calls = []

    @jax.jit
    def value(density, position):
        calls.append(1)
        return density(position)

    position = jnp.zeros(3)
    one, two = (value(infer.log_density(m), position) for m in (model, other))
    assert one != two
    assert len(calls) == 1


def test_tree_of_returns_draws_in_the_users_own_type():
    model = line().freeze(noise=0.5)
    posterior = infer.sample(model, chains=2, draws=20, warmup=50, progress=False)
    tree = infer.tree_of(model, posterior)
    assert isinstance(tree, Line)
    assert tree.slope.shape == (2, 20, 2)
    assert tree.noise.shape == ()
    predicted = infer.map_trees(lambda tree: tree(jnp.asarray(X)), model, posterior)
    slope = np.asarray(posterior["posterior"]["slope"])
    offset = np.asarray(posterior["posterior"]["offset"])[..., None]
    np.testing.assert_allclose(predicted, slope @ X.T + offset, rtol=1e-9)


def test_tree_of_returns_a_mode_in_the_users_own_type():
    optimum = infer.maximize(line(), infer.MAP("constrained"), starts=2)
    tree = infer.tree_of(line(), optimum)
    assert isinstance(tree, Line)
    np.testing.assert_allclose(tree.slope, [1, 1], atol=1e-2)


def test_tree_of_refuses_results_without_a_tree():
    with pytest.raises(infer.ModelError, match="a float has no posterior"):
        infer.tree_of(line(), 3.0)
    with pytest.raises(infer.ModelError, match=r"slope: no value is given.*for noise"):
        infer.tree_of(line(), {"noise": 1.0})
    declared = infer.declared(lambda v: -v["a"], {"a": bj.Positive()})
    with pytest.raises(infer.ModelError, match="it was not made of a tree"):
        infer.tree_of(declared, {"a": 1.0})


def test_a_log_likelihood_of_whole_numbers_is_refused():
    model = infer.tree_model({"a": 1.0}, lambda t: 1, {"a": bj.Real()})
    with pytest.raises(infer.ModelError, match="log_likelihood: its log density has dtype int"):
        infer.log_density(model)


@pytest.mark.slow
def test_modules_of_flax_are_trees():
    nnx = pytest.importorskip("flax.nnx")
    net = nnx.Linear(2, 1, rngs=nnx.Rngs(0))

    def log_likelihood(net, data):
        assert isinstance(net, nnx.Linear)
        return -((net(data["x"])[:, 0] - data["y"]) ** 2)

    leaves = {"kernel": dist.Normal(), lambda net: net.bias: "frozen"}
    model = infer.tree_model(net, log_likelihood, leaves, data=DATA)
    optimum = infer.maximize(model, infer.MAP("constrained"), starts=2)
    np.testing.assert_allclose(infer.tree_of(model, optimum).kernel[...], [[1], [1]], atol=0.1)


def test_static_leaves_of_different_types_make_different_programs():
    """True, 1 and 1.0 are equal and hash alike."""

    def log_likelihood(tree):
        return -(tree["x"] ** 2) * (3.0 if tree["flag"] is True else 1.0)

    models = [
        infer.tree_model({"x": 0.0, "flag": flag}, log_likelihood, {"x": dist.Normal()})
        for flag in (1, True)
    ]
    prior = -0.5 - 0.5 * np.log(2 * np.pi)
    values = [float(infer.log_density(model)(jnp.ones(1))) for model in models]
    np.testing.assert_allclose(values, [prior - 1, prior - 3])
    assert jax.tree.structure(models[0]) != jax.tree.structure(models[1])
