"""A cursor on one flat vector: order, dependence on earlier values, and the inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj


def read(flat):
    """A triangle: low < 1, then a number between low and 2, then a simplex and bounds."""
    joint = bj.Joint(flat)
    low = joint.take("low", bj.LessThan(1.0)).value
    middle = joint.take("middle", bj.Interval(low, 2.0), (2,)).value
    weights = joint.take("weights", bj.Simplex(3)).value
    return (low, middle, weights), joint


FLAT = jnp.array([0.3, -1.2, 0.7, 0.1, -0.4])


def test_log_det_is_that_of_the_joint_map():
    def free(flat):
        (low, middle, weights), _ = read(flat)
        return jnp.concatenate([low[None], middle, weights[:-1]])

    both = jax.jit(lambda flat: (jax.jacfwd(free)(flat), read(flat)[1].log_det))
    jacobian, log_det = both(FLAT)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-12)


def test_flattener_writes_what_joint_reads():
    (low, middle, weights), _ = read(FLAT)
    writer = bj.Flattener()
    writer.put("low", bj.LessThan(1.0), low)
    writer.put("middle", bj.Interval(low, 2.0), middle)
    writer.put("weights", bj.Simplex(3), weights)
    np.testing.assert_allclose(writer.flat(), FLAT, atol=1e-12)


def test_a_vector_that_is_too_short_raises_with_the_name_of_the_value():
    with pytest.raises(bj.BijectorError, match="weights: the flat vector has 4"):
        read(FLAT[:-1])


def test_a_chain_adds_log_dets():
    chain = bj.Chain(bj.ExpAbove(2.0), bj.Affine(1.0, -3.0))
    x, log_det = chain.forward_and_log_det(jnp.asarray(0.4))
    np.testing.assert_allclose(x, 2 + np.exp(1 - 3 * 0.4), rtol=1e-12)
    np.testing.assert_allclose(log_det, np.log(3) + 1 - 3 * 0.4, rtol=1e-12)
    np.testing.assert_allclose(chain.inverse(x), 0.4, rtol=1e-12)
    np.testing.assert_allclose(chain.inverse_and_log_det(x)[1], -log_det, rtol=1e-12)


def test_affine_returns_the_standardized_value():
    affine = bj.Over(bj.Affine(jnp.array([1e8, 0.0]), 1e-6), (2,))
    image = affine.image(jnp.array([0.123456789, -2.0]))
    np.testing.assert_array_equal(image.by_products["standardized"], [0.123456789, -2.0])
    bj.check_bijector(bj.Affine(0.5, -2.0), bj.Real(), (3,))


def test_an_empty_batch_reads_no_numbers():
    joint = bj.Joint(jnp.zeros(0))
    assert joint.take("none", bj.Positive(), (0,)).value.shape == (0,)
    assert joint.log_det == 0
