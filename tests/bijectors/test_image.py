"""`Image.of` is the image of a map that preserves volume, in the precision of the value."""

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

PRECISIONS = {
    "float32": "float32",
    "float64": "float64",
    "complex64": "float32",
    "complex128": "float64",
    "int32": "float64",
    "bool": "float64",
}


@pytest.mark.parametrize(("dtype", "precision"), PRECISIONS.items())
@pytest.mark.parametrize("module", [jnp, np])
def test_log_densities_are_zeros_in_the_precision_of_the_value(module, dtype, precision):
    value = module.ones((2, 3), dtype)
    image = bj.Image.of(value)
    assert image.value is value
    assert image.by_products == {}
    for log_density in (image.log_det, image.auxiliary):
        assert (log_density.dtype, log_density.shape, float(log_density)) == (precision, (), 0.0)
