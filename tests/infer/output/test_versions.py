"""What we use of the installed ArviZ: importance ratios, and results on disk."""

import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer
from infer.output.data.pareto import pareto_k
from infer.output.data.versions import HAS_DATA_TREE


def test_equal_ratios_have_k_of_minus_infinity():
    assert pareto_k(np.full(2000, 3.0)) == -np.inf
    assert pareto_k(3.0 + 1e-14 * np.arange(2000)) == -np.inf


def test_the_shape_of_a_pareto_tail_is_found():
    """Ratios U^-k have a tail of shape k; the estimate from 20,000 has a deviation near 0.05."""
    uniforms = np.random.default_rng(0).random(20_000)
    for k in (0.3, 0.8):
        assert abs(pareto_k(-k * np.log(uniforms)) - k) < 0.15


def test_non_finite_ratios_have_infinite_k():
    """They may be equal only because each one stands for a non-finite number, say."""
    ratios = np.random.default_rng(0).normal(size=2000)
    assert pareto_k(np.full(2000, -np.inf)) == np.inf
    assert pareto_k(np.where(np.arange(2000) == 7, np.nan, ratios)) == np.inf
    assert pareto_k(np.where(np.arange(2000) == 7, np.inf, ratios)) == np.inf
    # Differences of a nat count, however large the ratios are.
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
    # ArviZ 0.22 drops the attributes of a tree.
    assert again.attrs.get("engine") == result.attrs.get("engine")


def test_a_result_round_trips_through_netcdf(result, tmp_path):
    result.to_netcdf(tmp_path / "result.nc")
    assert_same(result, az.from_netcdf(tmp_path / "result.nc"))


def test_a_result_round_trips_through_zarr(result, tmp_path):
    pytest.importorskip("zarr", reason="the extra zarr")
    tree = result if HAS_DATA_TREE else result.to_datatree()
    tree.to_zarr(tmp_path / "result.zarr")
    assert_same(tree, xarray.open_datatree(tmp_path / "result.zarr", engine="zarr"))
