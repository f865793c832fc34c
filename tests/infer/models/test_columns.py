"""Columns of pandas and polars are data: numbers as they are, labels as codes with coordinates."""

import sys

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest

import bijectors as bj
import infer
from infer.models.inputs.columns import read_column

from . import polars_stand_in

COUNTIES = ["b", "a", "c", "b"]
Y = np.array([0.0, 1.0, 2.0, 3.0])


def find_polars(name, monkeypatch):
    """Return polars, or what stands in for it."""
    if name == "polars":
        return pytest.importorskip("polars", reason="polars is not installed; its stand-in is used")
    monkeypatch.setitem(sys.modules, "polars", polars_stand_in)
    return polars_stand_in


@pytest.fixture(params=["polars", "stand-in"])
def polars(request, monkeypatch):
    return find_polars(request.param, monkeypatch)


def pandas_column(values, kind=None):
    return pd.Series(values, dtype=kind, name="county")


@pytest.fixture(params=["pandas", "polars", "stand-in"])
def column(request, monkeypatch):
    """Make a column of labels; its categories, if it has any, are in descending order."""
    names = sorted(set(COUNTIES), reverse=True)
    if request.param == "pandas":
        kinds = {None: None, "category": pd.CategoricalDtype(names)}
        return lambda values, kind=None: pandas_column(values, kinds[kind])
    library = find_polars(request.param, monkeypatch)
    kinds = {None: None, "category": library.Enum(names)}
    return lambda values, kind=None: library.Series("county", values, dtype=kinds[kind])


def dsl(county, coords=None):
    def function(site, county):
        effect = site("effect", dist.Normal(), dims="county")
        site.observe("y", dist.Normal(effect[county], 1.0), Y[: county.shape[0]])

    return infer.model(function, county=county, coords=coords)


def of_numpyro(county, coords=None):
    def function(county):
        with numpyro.plate("county", 3):
            effect = numpyro.sample("effect", dist.Normal())
        numpyro.sample("y", dist.Normal(effect[county], 1.0), obs=Y[: county.shape[0]])

    return infer.from_numpyro(function, county, coords=coords)


def of_density(county, coords=None):
    def log_density(values, data):
        return -((values["effect"][data["county"]]) ** 2).sum()

    return infer.declared(
        log_density,
        {"effect": bj.Real()},
        data={"county": county},
        dims={"effect": "county"},
        coords=coords,
    )


def of_tree(county, coords=None):
    def log_likelihood(tree, data):
        return -((tree["effect"][data["county"]]) ** 2).sum()

    leaves = {"effect": infer.Leaf(constraint=bj.Real(), dims="county")}
    tree = {"effect": np.zeros(3)}
    return infer.tree_model(tree, log_likelihood, leaves, data={"county": county}, coords=coords)


FRONTS = {"dsl": dsl, "numpyro": of_numpyro, "density": of_density, "tree": of_tree}
fronts = pytest.mark.parametrize("make", FRONTS.values(), ids=FRONTS)


def codes(model):
    tree = model.data.tree()
    return np.asarray(tree.get("data", tree)["county"]).tolist()


@fronts
def test_labels_become_codes_and_name_the_dimension(make, column):
    model = make(column(COUNTIES))
    assert codes(model) == [1, 0, 2, 1]
    assert infer.log_density(model).labels() == ["effect[a]", "effect[b]", "effect[c]"]


@fronts
def test_categories_keep_their_order(make, column):
    model = make(column(COUNTIES, "category"))
    assert codes(model) == [1, 2, 0, 1]
    assert infer.log_density(model).labels() == ["effect[c]", "effect[b]", "effect[a]"]


@fronts
def test_codes_are_indices_of_coords_that_are_given(make):
    model = make(pandas_column(COUNTIES), coords={"county": ["c", "a", "b"]})
    assert codes(model) == [2, 1, 0, 2]


@fronts
def test_other_data_have_the_codes_of_the_same_labels(make):
    model = make(pandas_column(COUNTIES))
    other = pd.Series(["c", "c"])
    is_one_tree = make in (of_density, of_tree)
    moved = model.with_data({"county": other}) if is_one_tree else model.with_data(county=other)
    assert codes(moved) == [2, 2]


def test_other_coords_change_the_codes_of_other_data():
    model = dsl(pandas_column(COUNTIES)).with_coords(county=["d", "e"])
    assert codes(model.with_data(county=pd.Series(["e", "d", "e"]))) == [1, 0, 1]


def test_labels_of_new_data_that_replace_numbers_are_refused():
    model = dsl(np.array([0, 1]), coords={"county": [7, 8]})
    with pytest.raises(infer.ModelError, match="'a', which is no label of dimension 'county'"):
        model.with_data(county=pd.Series(["a"]))

    def function(site, group):
        site("x", dist.Normal(group.sum()))

    with pytest.raises(infer.ModelError, match="group: it holds labels, and the model was made"):
        infer.model(function, group=np.array([0, 1])).with_data(group=pd.Series(["a"]))


def test_a_column_under_another_name_needs_the_dimension_in_its_order():
    def function(site, index):
        site("effect", dist.Normal(), dims="county")
        site("x", dist.Normal(index.sum()))

    column = pandas_column(COUNTIES)
    found = infer.log_density(infer.model(function, index=column, coords={"county": column}))
    assert found.labels()[:3] == ["effect[a]", "effect[b]", "effect[c]"]
    with pytest.raises(infer.ModelError, match="index: its labels are those of dimension 'county'"):
        infer.model(function, index=column, coords={"county": ["c", "b", "a"]})


def test_a_column_alone_is_named_as_it_names_itself():
    def log_density(values, county):
        return -((values["effect"][county]) ** 2).sum()

    model = infer.declared(
        log_density, {"effect": bj.Real()}, data=pandas_column(COUNTIES), dims={"effect": "county"}
    )
    assert infer.log_density(model).labels() == ["effect[a]", "effect[b]", "effect[c]"]


def test_codes_are_leaves_unless_they_are_marked_static():
    assert dsl(infer.data(pandas_column(COUNTIES))).data.parts.leaves[0] is not None
    fixed = dsl(infer.static(pandas_column(COUNTIES)))
    assert fixed.data.parts.leaves == (None,)
    assert codes(fixed) == [1, 0, 2, 1]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, 2], dtype="Int64"), np.array([1, 2])),
        (pd.Series([True, False], dtype="boolean"), np.array([True, False])),
        (pd.Series([1.5, 2.0], dtype="Float32"), np.array([1.5, 2.0], np.float32)),
        (pd.Index([3, 4]), np.array([3, 4])),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), np.array([[1, 0.5], [2, 1.5]])),
        (pd.arrays.SparseArray([0.0, 1.0]), np.array([0.0, 1.0])),
    ],
    ids=repr,
)
def test_numbers_of_every_type_are_arrays(column, expected):
    found = read_column("x", column)
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["int64[pyarrow]", "double[pyarrow]", "string[pyarrow]"])
def test_types_of_arrow_are_read_as_those_of_pandas(kind):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    values = ["u", "v"] if "string" in kind else [1, 2]
    found = read_column("x", pd.Series(values, dtype=kind))
    assert np.asarray(getattr(found, "codes", found)).dtype.kind in "if"
    with pytest.raises(infer.ModelError, match="x: 1 of its 2 entries are missing"):
        read_column("x", pd.Series([values[0], None], dtype=kind))


POLARS = {
    "gaps": (lambda pl: pl.Series([1, None]), "1 of its 2 entries are missing.*drop_nulls"),
    "numbers as strings": (lambda pl: pl.Series(["1"]), "read as numbers.*polars.Float64"),
    "dates": (lambda pl: pl.Series(["2020-01-01"]).str.to_date(), "dates or times"),
    "lists": (lambda pl: pl.Series([[1, 2], [3]]), r"its type is List"),
    "a table of labels": (lambda pl: pl.DataFrame({"a": ["u"]}), "column 'a' holds labels"),
    "a lazy table": (lambda pl: pl.LazyFrame({"a": [1]}), r"table.collect\(\)"),
}


@pytest.mark.parametrize("name", POLARS)
def test_what_polars_has_beside_numbers_and_labels_is_refused(name, polars):
    make, found = POLARS[name]
    with pytest.raises(infer.ModelError, match=f"x: .*{found}"):
        read_column("x", make(polars))


def test_numbers_of_polars_are_arrays(polars):
    pl = polars
    table = pl.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    np.testing.assert_array_equal(read_column("x", table), [[1, 0.5], [2, 1.5]])
    for column in (table["a"], pl.Series([1, 2]).cast(pl.Decimal(10, 2)), pl.Series([1.0, 2.0])):
        np.testing.assert_array_equal(read_column("x", column), [1, 2])
    np.testing.assert_array_equal(read_column("x", pl.Series([True, False])), [True, False])


def test_an_observed_column_of_numbers_needs_no_conversion():
    def function(site):
        x = site("x", dist.Normal())
        site.observe("y", dist.Normal(x, 1.0), pd.Series([1, 2], dtype="Int64"))

    def theirs():
        numpyro.sample("x", dist.Normal())
        numpyro.sample("y", dist.Poisson(2.0), obs=pd.Series([1, 2], dtype="Int64"))

    for model in (infer.model(function), infer.from_numpyro(theirs)):
        np.testing.assert_array_equal(infer.log_density(model).observed()["y"], [1, 2])


COORDS = {
    "an index": (pd.Index(["u", "v"]), ["u", "v"]),
    "strings that repeat": (pd.Series(["v", "u", "v"]), ["u", "v"]),
    "strings in their own order": (pd.Series(["v", "u"]), ["v", "u"]),
    "categories": (pd.Categorical(["u"], categories=["v", "u"]), ["v", "u"]),
    "strings that read as numbers": (pd.Series(["1", "2"]), ["1", "2"]),
    "intervals": (pd.cut(pd.Series([0.0, 1.0]), [-1, 0, 1]), ["(-1, 0]", "(0, 1]"]),
    "dates": (
        pd.date_range("2020-01-01", periods=2),
        np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"),
    ),
}


@pytest.mark.parametrize(("column", "expected"), COORDS.values(), ids=COORDS)
def test_coords_are_the_labels_of_a_column(column, expected):
    def function(site):
        site("effect", dist.Normal(), dims=pd.Index(["group"]))

    model = infer.model(function, coords={"group": column})
    found = model.labels.coords["group"]
    assert np.array_equal(found, np.asarray(expected))
    assert infer.log_density(model).size == len(expected)


@pytest.mark.parametrize(
    "column",
    [
        pd.MultiIndex.from_arrays([[1], [2]]),
        pd.date_range("2020", periods=2, tz="UTC"),
        pd.Series(["u", None]),
    ],
    ids=["several levels", "time zones", "gaps"],
)
def test_columns_that_label_nothing_are_refused(column):
    with pytest.raises(infer.ModelError, match=r"coords\['group'\]"):
        infer.model(lambda site: None, coords={"group": column})


@pytest.mark.filterwarnings("error::infer.ModelWarning")
def test_labels_of_a_column_that_no_site_has_warn_of_nothing():
    def function(site, group):
        site.observe("y", dist.Normal(site("x", dist.Normal()), 1.0 + group), jnp.zeros(2))

    infer.start(infer.model(function, group=pd.Series(["u", "v"])), infer.HMC(), chains=1)
