"""The auxiliary density of a redundant map is a normalized density of the length alone."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import bijectors as bj


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_length_has_a_normalised_density(n):
    unit = np.ones(n) / np.sqrt(n)
    density = lambda r: np.exp(float(bj.Direction().image(jnp.asarray(r * unit)).auxiliary))  # noqa: E731
    total, _ = quad(lambda r: density(r) * r ** (n - 1), 1e-6, 30, points=[np.sqrt(n)], limit=200)
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_auxiliary_density_does_not_depend_on_the_direction():
    y = np.random.default_rng(0).normal(size=(5, 4))
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    lengths = [float(bj.Direction().image(jnp.asarray(3 * row)).auxiliary) for row in y]
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-12)


@pytest.mark.parametrize("angle", [-3.1415, -1.0, 0.0, 2.0, 3.1415])
def test_an_angle_and_its_by_products_agree(angle):
    image = bj.Angle().image(2.5 * bj.Angle().inverse(jnp.asarray(angle)))
    np.testing.assert_allclose(image.value, angle, rtol=1e-12)
    np.testing.assert_allclose(image.by_products["cos"], np.cos(angle), rtol=1e-12)
    np.testing.assert_allclose(image.by_products["sin"], np.sin(angle), atol=1e-12)
