"""Values given as arrays of xarray go to their entries by name and label, not by position."""

import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer

VALUE = np.arange(4.0).reshape(2, 2)
TRANSPOSED = xarray.DataArray(VALUE.T, dims=("item", "school"))
REORDERED = xarray.DataArray(
    VALUE[:, ::-1], dims=("school", "item"), coords={"item": ["v", "u"], "school": [0, 1]}
)


def two_way(site, y):
    effect = site("effect", dist.Normal(0.0, 1.0), dims=("school", "item"))
    plain = site("plain", dist.Normal(0.0, 1.0), shape=y.shape)
    site.observe("y", dist.Normal(effect + plain, 1.0), y, dims=("school", "item"))


@pytest.fixture(scope="module")
def model():
    coords = {"school": [0, 1], "item": ["u", "v"]}
    return infer.model(two_way, y=np.ones((2, 2)), coords=coords)


CHANGES = {
    "freeze": lambda model, value: model.freeze(effect=value),
    "freeze at": lambda model, value: model.freeze("effect", at={"effect": value}),
    "condition": lambda model, value: model.condition(effect=value),
    "do": lambda model, value: model.do(effect=value),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("value", [TRANSPOSED, REORDERED], ids=["transposed", "other order"])
def test_axes_and_labels_are_matched_by_name(model, change, value):
    held = change(model, value).changes[-1].held()
    np.testing.assert_array_equal(held["effect"], VALUE)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_other_dimensions_and_labels_are_refused(model, change):
    with pytest.raises(infer.ModelError, match=r"dimensions \('p', 'q'\)"):
        change(model, xarray.DataArray(VALUE, dims=("p", "q")))
    with pytest.raises(infer.ModelError, match="labels .*'w'.* along 'item'"):
        change(model, REORDERED.assign_coords(item=["v", "w"]))


OTHER_LABELS = {
    "dates": (
        np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
        np.array(["2020-01-02", "2020-01-01"], "M8[ns]"),
    ),
    "booleans": ([False, True], [True, False]),
    "floats": ([1, 2], [2.0, 1.0]),
}


@pytest.mark.parametrize(("own", "given"), OTHER_LABELS.values(), ids=OTHER_LABELS)
def test_equal_labels_of_other_types_are_matched(model, own, given):
    value = xarray.DataArray(VALUE[::-1], dims=("school", "item"), coords={"school": given})
    held = model.with_coords(school=own).freeze(effect=value).frozen
    np.testing.assert_array_equal(held["effect"], VALUE)


def test_labels_that_occur_twice_are_refused_in_another_order(model):
    coords = {"school": ["b", "a", "a"]}
    value = xarray.DataArray(np.ones((3, 2)), dims=("school", "item"), coords=coords)
    twice = infer.model(
        two_way, y=np.ones((3, 2)), coords={"school": ["a", "a", "b"], "item": [1, 2]}
    )
    with pytest.raises(infer.ModelError, match="has the labels"):
        twice.freeze(effect=value)


def test_sites_without_names_take_values_by_position(model):
    value = xarray.DataArray(VALUE, dims=("p", "q"))
    np.testing.assert_array_equal(model.freeze(plain=value).frozen["plain"], VALUE)
