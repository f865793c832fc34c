"""Every front end sorts its inputs by the same rules, or refuses them by name."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from jax.core import Tracer

import bijectors as bj
import infer


def of_infer_model(x):
    seen = []

    def function(site, x):
        seen.append(x)
        site("mu", dist.Normal())

    infer.log_density(infer.model(function, x=x))
    return seen[0]


def of_numpyro(x):
    seen = []

    def function(x):
        seen.append(x)
        numpyro.sample("mu", dist.Normal())

    infer.log_density(infer.from_numpyro(function, x))
    return seen[0]


def of_declared(x):
    seen = []

    def log_density(values, data):
        seen.append(data["x"])
        return -(values["mu"] ** 2)

    infer.log_density(infer.declared(log_density, {"mu": bj.Real()}, data={"x": x}))
    return seen[0]


def of_tree_data(x):
    seen = []

    def log_likelihood(tree, data):
        seen.append(data["x"])
        return -(tree["mu"] ** 2)

    leaves = {"mu": bj.Real()}
    infer.log_density(infer.tree_model({"mu": 0.0}, log_likelihood, leaves, data={"x": x}))
    return seen[0]


def of_tree(x):
    seen = []

    def log_likelihood(tree):
        seen.append(tree["x"])
        return -(tree["mu"] ** 2)

    leaves = {"mu": bj.Real()}
    infer.log_density(infer.tree_model({"mu": 0.0, "x": x}, log_likelihood, leaves, rest="data"))
    return seen[0]


FRONT_ENDS = {
    "infer.model": of_infer_model,
    "infer.from_numpyro": of_numpyro,
    "infer.declared": of_declared,
    "infer.tree_model's data": of_tree_data,
    "infer.tree_model's tree": of_tree,
}
WORDS = np.array(["probit", "logit"])
LEAVES = {
    "a float": 2.5,
    "a complex number": 1j,
    "an array": np.arange(3.0),
    "an array of booleans": np.array([True, False]),
    "a number of NumPy": np.int32(4),
    "an array of JAX": jnp.arange(2),
    "half precision": np.ones(2, jnp.bfloat16),
    "a random key": jax.random.key(0),
    "a series": pd.Series([1.0, 2.0]),
    "an array of another machine": np.arange(3, dtype=">i4"),
    "an array in extended precision": np.ones(3, np.longdouble),
    "a table": pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]}),
    "a nullable column": pd.Series([1, 2], dtype="Int64"),
    "a marked whole number": infer.data(3),
}
STATICS = {
    "a whole number": 3,
    "a boolean": True,
    "a string": "probit",
    "a string of NumPy": np.str_("probit"),
    "a function": np.exp,
    "a marked float": infer.static(2.5),
    "a marked array": infer.static(np.arange(3.0)),
    "a marked array of strings": infer.static(WORDS),
}
REFUSED = {
    "NaN": (np.array([1.0, np.nan]), "1 NaN of 2"),
    "a static NaN": (infer.static(np.array([1.0, np.nan])), "1 NaN of 2"),
    "masked entries": (np.ma.masked_array([1, 2, 3], [0, 1, 0]), "1 of 3 entries are masked"),
    "a static key": (infer.static(jax.random.key(0)), "a random key cannot be static"),
    "a marked array of strings": (infer.data(WORDS), "holds strings"),
    "a marked string": (infer.data("probit"), "holds strings"),
    "a marked function": (infer.data(np.exp), "not a number or an array"),
    "times": (infer.data(np.array([1], "timedelta64[s]")), "dates or times"),
    "marked dates": (infer.data(np.array(["2020-01-01"], "datetime64[D]")), "dates"),
}
both = pytest.mark.parametrize("seen_by", FRONT_ENDS.values(), ids=FRONT_ENDS)


@both
@pytest.mark.parametrize("value", LEAVES.values(), ids=LEAVES)
def test_numbers_are_traced_leaves_in_every_front_end(seen_by, value):
    assert isinstance(seen_by(value), Tracer)


@both
@pytest.mark.parametrize("value", STATICS.values(), ids=STATICS)
def test_what_is_not_a_number_is_static_in_every_front_end(seen_by, value):
    seen, given = seen_by(value), getattr(value, "value", value)
    assert not isinstance(seen, Tracer)
    assert type(seen) is type(given)
    assert np.array_equal(seen, given) if isinstance(seen, np.ndarray) else seen == given


@both
@pytest.mark.parametrize(("value", "found"), REFUSED.values(), ids=REFUSED)
def test_what_no_model_can_use_is_refused_by_name_in_every_front_end(seen_by, value, found):
    with pytest.raises(infer.ModelError, match=found) as caught:
        seen_by(value)
    assert caught.value.where in ("x", "data.x")


@both
def test_a_traced_value_cannot_be_static_in_any_front_end(seen_by):
    with pytest.raises(infer.ModelError, match="x: it is static") as caught:
        jax.jit(lambda x: seen_by(infer.static(x)))(1.0)
    assert caught.value.mend


@both
def test_an_array_of_strings_is_refused_as_an_argument_and_kept_in_a_tree(seen_by):
    if seen_by is of_tree:
        assert seen_by(WORDS) is not None
        return
    with pytest.raises(infer.ModelError, match="x: it holds strings, such as 'probit'"):
        seen_by(WORDS)


@pytest.mark.parametrize("array", [np.arange(3.0), WORDS], ids=["numbers", "strings"])
def test_static_arrays_of_equal_contents_make_equal_programs(array):
    def structure(x):
        model = infer.tree_model({"mu": 0.0, "x": x}, _ignore, {"mu": bj.Real(), "x": "static"})
        return jax.tree.structure(model)

    assert structure(array) == structure(array.copy())
    assert structure(array) != structure(array[::-1])


def _ignore(tree):
    return -(tree["mu"] ** 2)


MASKED = np.ma.masked_array([1.0, 2.0], [False, True])


@pytest.mark.parametrize(
    "give",
    [
        lambda model: model.freeze(mu=MASKED),
        lambda model: model.do(mu=MASKED),
        lambda model: model.condition(mu=MASKED),
        lambda model: infer.start(model, infer.NUTS(), starts={"mu": MASKED}),
        lambda model: infer.log_density(model).unconstrain({"mu": [MASKED[0], MASKED[1]]}),
        lambda model: infer.tree_model({"mu": MASKED}, _ignore, {"mu": bj.Real()}),
        lambda model: infer.model(lambda site, mu: None, mu=[MASKED, MASKED]),
        lambda model: infer.model(lambda site, mu: None, mu=(MASKED, MASKED)),
        lambda model: infer.model(lambda site, mu: None, mu=infer.data([MASKED, MASKED])),
    ],
    ids=["freeze", "do", "condition", "starts", "unconstrain", "leaf", "list", "tuple", "data"],
)
def test_masked_entries_are_refused_wherever_values_are_given(give):
    model = infer.model(lambda site: site("mu", dist.Normal(), shape=2))
    with pytest.raises(infer.ModelError, match=r"mu.*: .* is a masked array"):
        give(model)


def give_aligned(count):
    """Return ones in memory that JAX uses without copying it."""
    raw = np.zeros(8 * count + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    own = raw[begin : begin + 8 * count].view(float)
    own[:] = 1.0
    return own


def ignoring(tree, data):
    return -(tree["mu"] ** 2)


def with_mu(site, x=None):
    site("mu", dist.Normal(), shape=8, dims="d")


HOLD = {
    "infer.model": lambda x: infer.model(with_mu, x=x).data.tree()["x"],
    "with_data": lambda x: infer.model(with_mu, x=np.zeros(8)).with_data(x=x).data.tree()["x"],
    "infer.static": lambda x: infer.model(with_mu, x=infer.static(x)).data.tree()["x"],
    "infer.declared": lambda x: infer.declared(
        ignoring, {"mu": bj.Real()}, data={"x": x}
    ).data.tree()["data"]["x"],
    "freeze": lambda x: jax.tree.leaves(infer.model(with_mu).freeze(mu=x))[0],
    "coords": lambda x: infer.model(with_mu, coords={"d": x}).labels.coords["d"],
    "with_coords": lambda x: (
        infer.model(with_mu).with_coords(d=pd.Series(x, copy=False)).labels.coords["d"]
    ),
}


@pytest.mark.parametrize("hold", HOLD.values(), ids=HOLD)
def test_a_model_keeps_its_numbers_when_an_array_changes_in_place(hold):
    given = give_aligned(8)
    kept = hold(given)
    given += 1.0
    np.testing.assert_array_equal(kept, np.ones(8))
