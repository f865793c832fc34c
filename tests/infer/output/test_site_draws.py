"""Draws in a store are read a few at a time, and give the predictions that draws in memory give."""

import subprocess
import sys

import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer
from infer.output.data.versions import as_arviz, groups_of
from infer.output.predictive import site_draws
from infer.output.predictive.site_draws import Rows, SiteDraws, read_lazily

Y = np.random.default_rng(0).normal(size=(6, 2))


def levels(site, y):
    mean = site("mean", dist.Normal(0.0, 2.0), shape=(2,))
    site.observe("y", dist.Normal(mean, 1.0), y)


MODEL = infer.model(levels, y=Y)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    pytest.importorskip("zarr")
    path = str(tmp_path_factory.mktemp("stores") / "run.zarr")
    infer.sample(MODEL, infer.NUTS(), chains=2, draws=90, key=0, progress=False, store=path)
    return path


@pytest.fixture
def reads(monkeypatch):
    """Record how many draws of a site are read at once."""
    reads, real = [], SiteDraws._read

    def record(self, where):
        block = real(self, where)
        reads.append(len(block))
        return block

    monkeypatch.setattr(SiteDraws, "_read", record)
    monkeypatch.setattr(site_draws, "READ_BYTES", 40 * 16)
    return reads


CALLS = {
    "predict": lambda data: infer.predict(MODEL, data)["posterior_predictive"]["y"],
    "log_likelihood": lambda data: infer.log_likelihood(MODEL, data)["log_likelihood"]["y"],
    "log_prior": lambda data: infer.log_prior(MODEL, data)["log_prior"]["mean"],
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_store_is_read_in_parts(stored, reads, monkeypatch, call):
    whole = infer.open(stored)
    in_memory = {n: g.load() for n, g in groups_of(whole).items()}
    expected = call(as_arviz(in_memory, {}))
    monkeypatch.setattr("infer.programs.slices.MAX_ROWS", 32)
    reads.clear()
    found = call(infer.open(stored))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # Of 180 draws in all; the last few of a block are read again with the next.
    assert max(reads) == 40
    assert sum(reads) < 250


def test_the_posterior_of_an_extended_store_is_still_in_the_store(stored):
    data = infer.predict(MODEL, infer.open(stored))
    assert not groups_of(data)["posterior"]["mean"].variable._in_memory


def make(values, dims=("chain", "draw", "site")):
    return SiteDraws([xarray.Variable(dims, values)])


def test_rows_are_those_of_the_chains_one_after_the_other():
    values = np.arange(2 * 5 * 3.0).reshape(2, 5, 3)
    rows, flat = Rows(make(values)), values.reshape(10, 3)
    for index in (slice(3, 7), slice(0, 1), np.array([4, 5, 9, 9]), np.array([7, 2])):
        np.testing.assert_array_equal(rows[index], flat[index])
    assert (len(rows), rows.shape, rows.dtype) == (10, (10, 3), np.float64)
    np.testing.assert_array_equal(np.asarray(make(values)), values)


def test_complex_values_are_joined_and_axes_sorted():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 4)) + 1j * rng.normal(size=(2, 4))
    posterior = xarray.Dataset(
        {
            "z.real": (("chain", "draw"), values.real),
            "z.imag": (("chain", "draw"), values.imag),
            "x.real": (("chain", "draw"), values.real),
        }
    )
    found = read_lazily(posterior)
    assert set(found) == {"z", "x.real"}
    np.testing.assert_array_equal(Rows(found["z"])[slice(1, 6)], values.reshape(-1)[1:6])
    several = make(values[..., None], ("chain", "draw", "dataset")).of_set(0)
    np.testing.assert_array_equal(np.asarray(several), values)


def test_draws_may_come_before_chains():
    mean = np.random.default_rng(1).normal(size=(2, 5, 2))
    posterior = xarray.Dataset({"mean": (("draw", "chain", "k"), np.swapaxes(mean, 0, 1))})
    plain = infer.predict(MODEL, {"mean": mean})["posterior_predictive"]["y"]
    found = infer.predict(MODEL, {"posterior": posterior})["posterior_predictive"]["y"]
    np.testing.assert_array_equal(found, plain)


PEAK = """
import resource
import sys
import numpy as np
import numpyro.distributions as dist
import xarray
import infer
from infer.output.data.arviz import make_dataset
from infer.output.data.versions import as_arviz

def mixture(site, y):
    mean = site("mean", dist.Normal(0.0, 5.0), shape=(8,))
    parts = dist.Normal(mean, 1.0)
    shares = dist.Categorical(np.full(8, 1 / 8))
    site.observe("y", dist.MixtureSameFamily(shares, parts), y)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

rows, draws = int(sys.argv[1]), int(sys.argv[2])
def result(draws):
    values = {"mean": np.random.default_rng(0).normal(size=(1, draws, 8))}
    return as_arviz({"posterior": make_dataset({}, {}, values)}, {})

model = infer.model(mixture, y=np.random.default_rng(1).normal(size=rows))
infer.log_likelihood(model.with_data(y=np.zeros(100)), result(1))
before = peak()
found = infer.log_likelihood(model, result(draws))["log_likelihood"]["y"]
assert np.isfinite(found[0, -1]).all()
print(peak() - before - found.nbytes)
"""


@pytest.mark.slow
def test_memory_beside_the_log_likelihood_depends_neither_on_rows_nor_on_draws():
    """A mixture of 8 parts needs 64 bytes a row for each intermediate array: 0.5 GB or more."""

    def run(rows, draws):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(rows), str(draws)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(done.stdout)

    for rows, draws in ((10_000, 1000), (1_000_000, 10), (1_000_000, 40)):
        assert run(rows, draws) < 2**27, (rows, draws)
