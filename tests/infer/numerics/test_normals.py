"""Normal numbers are those of Box and Muller, whatever the shape, and normal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from infer.numerics.keys import wrap_key
from infer.numerics.normals import draw_normals
from infer.numerics.threefry import hash_counters

WORDS = np.array([3, 5], np.uint32)


def draw(shape, dtype=np.float32):
    return jax.jit(lambda words: draw_normals(wrap_key(words), shape, dtype))(WORDS)


def test_single_precision_is_that_of_box_and_muller():
    """A hash gives a uniform number, rounded to single precision, and an angle."""
    count = 7 * 3001
    counters = np.arange(-(-count // 2), dtype=np.uint32)
    left, right = (words.astype(np.int64) for words in hash_counters(WORDS, 0 * counters, counters))
    uniform = ((left >> 1) | 1).astype(np.float32) * 2.0**-31
    radius = np.sqrt(-2 * np.log(uniform.astype(float))) * np.where(right >> 31, -1, 1)
    fraction = ((right + 2**29) % 2**30 - 2**29) * 2.0**-30
    angle = np.pi / 2 * fraction
    pair = np.stack([np.cos(angle), np.sin(angle)])
    expected = radius * np.where(right >> 30 & 1, pair[::-1], pair)
    found = draw((7, 3001))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), expected.ravel()[:count], rtol=1e-5, atol=2e-7)


def test_double_precision_is_that_of_jax():
    with jax.threefry_partitionable(True):
        expected = jax.random.normal(wrap_key(WORDS), (7, 301), jnp.float64)
    np.testing.assert_allclose(draw((7, 301), np.float64), expected, rtol=1e-14)


def test_numbers_are_normal_and_independent():
    """Six tests at a level of 1e-4 each: on a random key, 6 of 10^4 runs would fail."""
    first, second = np.asarray(draw((2, 2**19)), float)
    for numbers in (first, second):
        assert scipy.stats.kstest(numbers, "norm").pvalue > 1e-4
        tail = int((np.abs(numbers) > 4).sum())
        assert scipy.stats.binomtest(tail, len(numbers), 2 * scipy.stats.norm.sf(4)).pvalue > 1e-4
    assert scipy.stats.pearsonr(first, second).pvalue > 1e-4
    assert scipy.stats.pearsonr(first**2, second**2).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(), (1,), (0, 3)])
def test_few_normals_have_their_shape(shape):
    assert draw(shape).shape == shape
