"""What the installed ArviZ does for us: importance ratios, and results on disk."""

import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer
from infer.output.versions import HAS_DATA_TREE, pareto_k


def test_equal_ratios_have_no_tail():
    assert pareto_k(np.full(2000, 3.0)) == -np.inf
    assert pareto_k(3.0 + 1e-14 * np.arange(2000)) == -np.inf


def test_the_shape_of_a_pareto_tail_is_found():
    """Ratios U^-k have a tail of shape k; the estimate from 20,000 has a deviation near 0.05."""
    uniforms = np.random.default_rng(0).random(20_000)
    for k in (0.3, 0.8):
        assert abs(pareto_k(-k * np.log(uniforms)) - k) < 0.15


def test_ratios_without_a_law_are_not_called_exact():
    """Equal since each is the number that stands for one that is not finite, say."""
    ratios = np.random.default_rng(0).normal(size=2000)
    assert pareto_k(np.full(2000, -np.inf)) == np.inf
    assert pareto_k(np.where(np.arange(2000) == 7, np.nan, ratios)) == np.inf
    assert pareto_k(np.where(np.arange(2000) == 7, np.inf, ratios)) == np.inf
    # A nat is a nat, however large the ratios are.
    assert pareto_k(ratios - 3e9) > -np.inf
    np.testing.assert_allclose(pareto_k(ratios - 3e9), pareto_k(ratios), atol=1e-3)
    assert pareto_k(ratios.astype(np.float32) * 50) > 0.7


@pytest.fixture(scope="module")
def result():
    def model(site, y):
        mean = site("mean", dist.Normal(0.0, 1.0), dims="group")
        site.observe("y", dist.Normal(mean, 1.0), y, dims="group")

    groups = infer.model(model, y=np.arange(2.0), coords={"group": ["a", "b"]})
    return infer.sample(groups, infer.NUTS(), draws=20, warmup=20, chains=2, progress=False)


def assert_same(result, again):
    xarray.testing.assert_equal(again["posterior"], result["posterior"])
    xarray.testing.assert_equal(again["sample_stats"], result["sample_stats"])
    # ArviZ 0.22 hands a tree no attributes.
    assert again.attrs.get("engine") == result.attrs.get("engine")


def test_netcdf_gives_a_result_back(result, tmp_path):
    result.to_netcdf(tmp_path / "result.nc")
    assert_same(result, az.from_netcdf(tmp_path / "result.nc"))


def test_zarr_gives_a_result_back(result, tmp_path):
    pytest.importorskip("zarr", reason="the extra zarr")
    tree = result if HAS_DATA_TREE else result.to_datatree()
    tree.to_zarr(tmp_path / "result.zarr")
    assert_same(tree, xarray.open_datatree(tmp_path / "result.zarr", engine="zarr"))
