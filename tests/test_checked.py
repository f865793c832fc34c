"""Shapes in signatures are checked while tests run."""

import jax.numpy as jnp
import jaxtyping
import pytest

from infer.numerics.families.mean_field import IndependentNormal


def test_a_field_of_the_wrong_shape_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError):
        IndependentNormal(jnp.zeros((2, 2)), jnp.zeros(2))


def test_an_argument_of_the_wrong_shape_is_refused():
    normal = IndependentNormal(jnp.zeros(2), jnp.ones(2))
    with pytest.raises(jaxtyping.TypeCheckError):
        normal.forward(jnp.zeros((2, 2)))
