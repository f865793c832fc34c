"""Unused data and coordinates are reported by name; those that are used are not."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density.unused import unused_coords, unused_data, warn_of_unused

X, Y = np.arange(3.0), np.zeros(3)


def forgotten(site, x, y):
    slope = site("slope", dist.Normal(0.0, 1.0))
    site.derive("line", slope * x)


def line(site, x, y=None, **more):
    slope = site("slope", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(slope * x, 1.0), y, dims="row")


def theirs(x, y=None):
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(slope * x, 1.0))


def of_slope(values, data):
    return -jnp.sum((values["slope"] * data["x"]) ** 2)


def of_tree(tree, data):
    return -jnp.sum((tree["slope"] * data["x"]) ** 2)


BOTH = {"x": X, "y": Y}
UNUSED = {
    "a forgotten observe": lambda: infer.model(forgotten, x=X, y=Y),
    "frozen": lambda: infer.model(
        lambda site, x, y: (forgotten(site, x, y), site("more", dist.Normal(0.0, 1.0))), x=X, y=Y
    ).freeze(more=0.0),
    "numpyro": lambda: infer.from_numpyro(theirs, X, Y),
    "declared": lambda: infer.declared(of_slope, {"slope": bj.Real()}, data=BOTH),
    "a tree": lambda: infer.tree_model(
        {"slope": 0.0}, of_tree, {"slope": dist.Normal()}, data=BOTH
    ),
}


@pytest.mark.parametrize("make", UNUSED.values(), ids=UNUSED)
def test_unused_data_are_named(make):
    assert unused_data(make()) == ["y"]


def test_a_misspelled_name_is_reported_once_per_name():
    coords = {"rwo": ["a", "b", "c"]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        infer.start(infer.model(line, x=X, y=Y, yy=Y, coords=coords), infer.NUTS(), chains=1)
    told = [str(w.message) for w in caught if w.category is infer.ModelWarning]
    assert len(told) == 2
    assert told[0].startswith("yy: the model is given these data")
    assert told[1].startswith("coords['rwo']: no site has this dimension; the dimensions are row.")
    assert told[1].endswith("Did you mean 'row'?")
    assert {w.filename for w in caught if w.category is infer.ModelWarning} == {__file__}


def by_size(site, x, y):
    with site.plate("row", len(x)):
        site.observe("y", dist.Normal(site("mu", dist.Normal(0.0, 1.0)), 1.0), y)


def by_number(site, x, y):
    mu = site("mu", dist.Normal(0.0, 1.0))
    site.factor("term", -0.5 * x.shape[0] * (mu - y.mean()) ** 2)


def zeros_like(site, x, y):
    mu = site("mu", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(mu + jnp.zeros_like(x), 1.0), y)


@jax.custom_jvp
def score_only(x, y):
    return 0.0 * x


@score_only.defjvp
def _(primals, tangents):
    x, y = primals
    return 0.0 * x, -jnp.sum(x - y) * tangents[0]


def scored(site, x, y):
    mu = site("mu", dist.Normal(0.0, 1.0))
    site.factor("term", score_only(mu, y) + x.sum() * mu)


def nested(site, x, y):
    mu = site("mu", dist.Normal(x["a"], 1.0))
    site.observe("y", dist.Normal(mu, 1.0), y)


def some_rows(site, x, y):
    slope = site("slope", dist.Normal(0.0, 1.0))
    with site.plate("row", 3, minibatch=2) as rows:
        site.observe("y", dist.Normal(slope * x[rows], 1.0), y[rows])


USED = {
    "all": lambda: infer.model(line, x=X, y=Y),
    "none": lambda: infer.model(line, x=X, y=Y, more=None),
    "nothing": lambda: infer.model(line, x=X, y=Y, more=np.zeros((0, 2))),
    "a size": lambda: infer.model(by_size, x=X, y=Y),
    "a number of rows": lambda: infer.model(by_number, x=X, y=Y),
    "a shape": lambda: infer.model(zeros_like, x=X, y=Y),
    "a view": lambda: infer.model(line, x=X, y=Y).view("prior"),
    "an intervention": lambda: infer.model(line, x=X, y=Y).do(y=0.0),
    "a condition": lambda: infer.model(
        lambda site, x: site("z", dist.Normal(site("slope", dist.Normal(0.0, 1.0)), x), shape=(3,)),
        x=X + 1,
    ).condition(z=Y),
    "a derivative of its own": lambda: infer.model(scored, x=X, y=Y),
    "a part": lambda: infer.model(nested, x={"a": 0.0, "b": X}, y=Y),
    "rows": lambda: infer.model(some_rows, x=X, y=Y),
}


@pytest.mark.parametrize("make", USED.values(), ids=USED)
def test_used_data_are_not_named(make):
    assert unused_data(make()) == []


def weighted(site):
    site("mu", dist.Normal(0.0, 1.0))
    with site.plate("k") as rows:
        site.factor("term", -0.5 * rows)


def test_coordinates_that_give_a_size_count_as_used():
    assert unused_coords(infer.model(weighted, coords={"k": range(3), "j": range(3)})) == ["j"]
    assert unused_coords(infer.model(line, x=X, y=Y, coords={"row": [*"abc"]})) == []


def test_observations_without_entries_are_named():
    none = infer.model(line, x=X, y=Y).with_data(x=np.zeros(0), y=np.zeros(0))
    with pytest.warns(infer.ModelWarning, match=r"^y: it is observed, but has no entries") as said:
        warn_of_unused(none)
    assert len(said) == 1


def in_empty_plates(site, y):
    with site.plate("k", 0):
        mu = site("mu", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(mu.sum() + site("a", dist.Normal(0.0, 1.0)), 1.0), y)


def test_an_empty_latent_vector_is_no_mistake():
    warn_of_unused(infer.model(in_empty_plates, y=Y))
