"""Random numbers made on the host equal those of JAX."""

import jax
import numpy as np
import pytest

from infer.density import proposals
from infer.numerics import threefry
from infer.numerics.keys import GENERATOR


def keys_of(seeds):
    keys = [jax.random.key(seed, impl=GENERATOR) for seed in seeds]
    return keys, np.stack([np.asarray(jax.random.key_data(key)) for key in keys])


SEEDS = (0, 1, 2**31, 2**40 + 7)


@pytest.mark.parametrize("data", [0, 1, 12345, 2**31, 2**32 - 1])
def test_fold_in_equals_that_of_jax(data):
    keys, words = keys_of(SEEDS)
    wanted = [jax.random.key_data(jax.random.fold_in(key, np.uint32(data))) for key in keys]
    np.testing.assert_array_equal(threefry.fold_in(words, data), wanted)


def test_fold_in_broadcasts_numbers_over_keys():
    _, words = keys_of(SEEDS)
    each = threefry.fold_in(words[:1], np.arange(4))
    for i in range(4):
        np.testing.assert_array_equal(each[i], threefry.fold_in(words[0], i))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4)])
def test_uniform_numbers_equal_those_of_jax(dtype, shape):
    keys, words = keys_of(SEEDS)
    with jax.threefry_partitionable(True):
        wanted = [jax.random.uniform(key, shape, dtype, -2.0, 2.0) for key in keys]
    found = threefry.uniform(words, shape, dtype, -2.0, 2.0)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.stack(wanted))


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-4), ("float64", 1e-10)])
def test_normal_numbers_equal_those_of_jax_up_to_rounding(dtype, rtol):
    keys, words = keys_of(SEEDS)
    with jax.threefry_partitionable(True), jax.enable_x64(dtype == "float64"):
        wanted = [np.asarray(jax.random.normal(key, (50,), dtype)) for key in keys]
    found = threefry.normal(words, (50,), dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.stack(wanted), rtol=rtol)


def test_types_other_than_float32_and_float64_are_refused():
    with pytest.raises(ValueError, match="float16"):
        threefry.uniform(np.zeros(2, np.uint32), (3,), np.float16, 0.0, 1.0)


def test_uniform_starts_do_not_depend_on_whether_they_are_drawn_at_once(monkeypatch):
    keys = threefry.fold_in(np.array([0, 7], np.uint32), np.arange(6).reshape(2, 3))
    at_once = proposals.draw_uniform(keys, 5)
    monkeypatch.setattr(proposals, "SMALL", 0)
    np.testing.assert_array_equal(proposals.draw_uniform(keys, 5), at_once)
    assert at_once.shape == (2, 3, 5)
    assert np.unique(at_once).size == at_once.size


def test_one_number_of_one_key_has_no_shape():
    assert threefry.uniform(np.array([0, 7], np.uint32), (), np.float64, 0.0, 1.0).shape == ()
