"""Normal numbers equal those of JAX, whatever the shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.keys import wrap_key
from infer.numerics.normals import draw_normals


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normals_equal_those_of_jax(dtype):
    words, shape = np.array([3, 5], np.uint32), (7, 3001)
    own = jax.jit(lambda words: draw_normals(wrap_key(words), shape, dtype))(words)
    with jax.threefry_partitionable(True):
        expected = jax.random.normal(wrap_key(words), shape, jnp.dtype(dtype))
    assert own.dtype == dtype
    np.testing.assert_allclose(own, expected, rtol=2e-5 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3)])
def test_few_normals_have_their_shape(shape):
    key = wrap_key(np.array([3, 5], np.uint32))
    assert draw_normals(key, shape, np.float32).shape == shape
