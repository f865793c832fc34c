"""Groups on request are stored with the draws, equal those in memory, and go on with the run."""

import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.store import recorder

GROUPS = ["log_likelihood", "log_prior", "unconstrained_posterior"]
Y = np.array([0.3, 1.2, -0.5])


def _program(site, y):
    mu = site("mu", dist.Normal(0, 1))
    scale = site("scale", dist.HalfNormal(1), shape=(2,))
    site.observe("y", dist.Normal(mu, scale.sum()), y)


def model():
    return infer.model(_program, y=Y)


def sample(draws, **options):
    settings = {"chains": 2, "warmup": 30, "key": 1, "progress": False, "include": GROUPS}
    return infer.sample(model(), infer.HMC(), draws=draws, **settings | options)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run of 40 draws in memory, a stored one, and a stored one resumed after 21."""
    where = tmp_path_factory.mktemp("included")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "choose_chunk", lambda *given: 16)
        whole = sample(40, store=str(where / "whole.zarr"), keep="mu")
        sample(21, store=str(where / "resumed.zarr"), keep="mu")
        resumed = infer.resume(str(where / "resumed.zarr"), model(), draws=19, progress=False)
    return sample(40), whole, resumed


def test_stored_groups_are_those_of_a_run_in_memory(results):
    memory, whole, _ = results
    for group in GROUPS:
        names = set(memory[group].data_vars)
        assert names == set(whole[group].data_vars)
        for name in names:
            one, other = whole[group][name], memory[group][name]
            assert one.dims == other.dims
            np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=name)


def test_a_resumed_run_has_the_bits_of_one_that_was_never_stopped(results):
    _, whole, resumed = results
    for group in (*GROUPS, "posterior"):
        for name in whole[group].data_vars:
            np.testing.assert_array_equal(resumed[group][name], whole[group][name], err_msg=name)


@pytest.mark.slow
def test_groups_of_several_data_sets_have_their_dimension(tmp_path):
    models = [model(), model().with_data(y=Y + 1)]
    options = {"draws": 30, "warmup": 20, "include": GROUPS, "progress": False, "key": 1}
    data = infer.sample(models, infer.HMC(), store=str(tmp_path / "run.zarr"), **options)
    memory = infer.sample(models, infer.HMC(), **options)
    for group in GROUPS:
        for name, array in memory[group].data_vars.items():
            assert data[group][name].dims == array.dims
            np.testing.assert_allclose(data[group][name], array, rtol=1e-12, err_msg=name)
