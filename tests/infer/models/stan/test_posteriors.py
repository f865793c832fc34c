"""Posteriors in Stan and in JAX have the same densities, gradients and Jacobians."""

import numpy as np
import pytest

import infer

from .compared import compare_values
from .posteriors import POSTERIORS

pytest.importorskip("stanli")
pytest.importorskip("bridgestan")


@pytest.mark.parametrize("name", POSTERIORS)
def test_density_and_gradient_are_equal_at_twenty_points(name):
    program, data, model = POSTERIORS[name]
    theirs, ours = infer.log_density(infer.from_stan(program, data)), infer.log_density(model)
    np.testing.assert_allclose(*compare_values(theirs, ours, 2.0), rtol=1e-9, atol=1e-9)
