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
    plain = site("plain", dist.Normal(0.0, 1.0), shape=(2, 2))
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


def test_sites_without_names_take_values_by_position(model):
    value = xarray.DataArray(VALUE, dims=("p", "q"))
    np.testing.assert_array_equal(model.freeze(plain=value).frozen["plain"], VALUE)
