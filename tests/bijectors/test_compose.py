"""Compositions follow from their parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

SEARCH = bj.Monotone(lambda y: y + 0.5 * jnp.tanh(y))
COMPOSITIONS = [
    (bj.Chain(bj.SinhArcsinh(0.3, 0.8), bj.Affine(0.5, -2.0)), ()),
    (bj.Invert(SEARCH), ()),
    (bj.Over(bj.Affine(np.array([0.5, 1.0]), np.array([-2.0, 3.0])), (3, 2)), (3, 2)),
]


@pytest.mark.parametrize(("bijector", "shape"), COMPOSITIONS, ids=lambda c: type(c).__name__)
def test_inverse_and_log_det_of_a_composition_agree_with_its_image(bijector, shape):
    x = jax.random.normal(jax.random.key(0), shape)
    y, log_det = bijector.inverse_and_log_det(x)
    np.testing.assert_allclose(y, bijector.inverse(x), rtol=1e-12)
    np.testing.assert_allclose(log_det, -bijector.image(y).log_det, rtol=1e-12)


def test_inverting_an_inverse_needs_no_search():
    program = str(jax.make_jaxpr(bj.Invert(SEARCH).inverse_and_log_det)(0.3))
    assert "scan" not in program
    assert "while" not in program
    assert "scan" in str(jax.make_jaxpr(SEARCH.inverse_and_log_det)(0.3))
