"""Numbers that JAX's default precision would change are refused or reported, by name."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray

import bijectors as bj
import infer

LARGE = np.array([1, 3_000_000_000, 2])
HUGE = np.array([1.0, 2.0, 1e308])
OFFSET = 1e8 + np.random.default_rng(0).normal(size=50)


def mean(site, y):
    mu = site("mu", dist.Normal(0.0, 1.0))
    site.observe("height", dist.Normal(mu, 1.0), y)


def theirs(y):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    numpyro.sample("height", dist.Normal(mu, 1.0), obs=y)


def ignoring(tree, y=None):
    return -0.5 * tree["mu"] ** 2


TREE = {"mu": dist.Normal()}
FRONT_ENDS = {
    "data": lambda y: infer.model(mean, y=y),
    "a marked value": lambda y: infer.model(mean, y=infer.data(y)),
    "a pytree": lambda y: infer.model(lambda site, y: mean(site, y["rows"]), y={"rows": y}),
    "other data": lambda y: infer.model(mean, y=np.zeros(y.shape, y.dtype)).with_data(y=y),
    "numpyro": lambda y: infer.from_numpyro(theirs, y),
    "declared": lambda y: infer.declared(ignoring, {"mu": bj.Real()}, data={"y": y}),
    "data of a tree": lambda y: infer.tree_model({"mu": 0.0}, ignoring, TREE, data={"y": y}),
    "a leaf of a tree": lambda y: infer.tree_model(
        {"mu": 0.0, "y": y}, ignoring, TREE, rest="data"
    ),
    "a closure": lambda y: infer.log_density(infer.model(lambda site: mean(site, y))),
    "a closure of numpyro": lambda y: infer.log_density(infer.from_numpyro(lambda: theirs(y))),
}


@pytest.mark.parametrize("make", FRONT_ENDS.values(), ids=FRONT_ENDS)
@pytest.mark.parametrize(
    ("value", "found"), [(LARGE, "it holds 3000000000"), (HUGE, r"it holds 1e\+308")]
)
def test_numbers_beyond_the_range_are_refused_by_name(make, value, found):
    with jax.enable_x64(False), pytest.raises(infer.ModelError, match=found) as caught:
        make(value)
    assert any(name in caught.value.where for name in ("y", "height", "rows"))
    assert "jax_enable_x64" in caught.value.mend


WHOLE = [
    2**40, -(2**31) - 1, 2**70, [1, 2**40], np.array(2**40), np.array([2**40]),
    xarray.DataArray(np.array([2**40])), range(2**40, 2**40 + 2),
]  # fmt: skip


@pytest.mark.parametrize("value", WHOLE, ids=str)
def test_whole_numbers_of_a_model_function_are_refused_beyond_the_range(value):
    def derive(site):
        site("mu", dist.Normal(0.0, 1.0))
        site.derive("count", value)

    with jax.enable_x64(False), pytest.raises(infer.ModelError, match="range of int32") as caught:
        infer.model(derive).table()
    assert caught.value.where == "count"


def test_a_list_is_of_the_type_of_all_its_entries():
    def derive(site):
        site("mu", dist.Normal(0.0, 1.0))
        site.derive("mixed", [0.5, 3_000_000_000])

    with jax.enable_x64(False):
        infer.model(derive).table()


@pytest.mark.parametrize("make", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_rounding_comparable_to_differences_is_reported_by_name(make):
    with jax.enable_x64(False), pytest.warns(infer.ModelWarning, match="Subtract an offset") as all:
        make(OFFSET)
    assert str(all[0].message).startswith(("y", "data.y", "height"))
    assert all[0].filename == __file__


def test_frozen_values_out_of_range_are_refused():
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    with jax.enable_x64(False), pytest.raises(infer.ModelError, match=r"x: it holds 1e\+308"):
        model.freeze(x=1e308)


COLUMNS = np.column_stack([np.ones(50), OFFSET])
TIMES = 2_457_000 + np.arange(0, 500, 0.02)


@pytest.mark.parametrize("value", [COLUMNS, TIMES, OFFSET + 0j])
def test_each_column_is_compared_with_its_own_differences(value):
    with jax.enable_x64(False), pytest.warns(infer.ModelWarning, match="float32|complex64"):
        infer.model(mean, y=value)


RNG = np.random.default_rng(1)
HARMLESS = {
    "plain": RNG.normal(size=100),
    "a short line": np.linspace(0.0, 1.0, 100_000),
    "years": np.arange(1950.0, 2020.0),
    "half years": np.arange(1950.0, 2020.0, 0.5),
    "pressures": 101_325 + 50 * RNG.normal(size=100),
    "constants": np.full(100, 0.1),
    "constants but for rounding": np.array([0.3, 0.1 * 3, 0.3, 1 - 0.7]),
    "repeated": np.repeat([1.1, 2.2, 3.3], 10_000),
    "one large": np.array([1e-3, 1e8, 2e-3]),
    "infinite": np.array([0.0, np.inf, -np.inf]),
    "tiny": np.array([1e-50, 0.3, 0.4]),
    "whole": np.array([2**31 - 1, -(2**31)]),
    "nothing": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "bytes": np.array([200, 3], np.uint8),
    "single": np.float32([1e8, 1e8 + 8]),
    "already rounded": jnp.asarray(OFFSET, jnp.float32),
}


@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
def test_harmless_rounding_gives_no_warning(value):
    with jax.enable_x64(False), warnings.catch_warnings(action="error"):
        infer.model(lambda site, y: None, y=value)


def test_double_precision_changes_no_number():
    with warnings.catch_warnings(action="error"):
        for value in (LARGE, HUGE, OFFSET):
            # A copy, since JAX caches the array that it made in single precision.
            np.testing.assert_array_equal(infer.model(mean, y=value.copy()).constants()["y"], value)
