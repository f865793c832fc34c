"""Large products of matrices are left to XLA's library."""

import jax
import jax.numpy as jnp
import pytest

from infer.programs.native import Refusal, compile_program
from infer.programs.products import LARGEST_NATIVE_PRODUCT, has_large_product


def shapes(*all_shapes):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in all_shapes]


@pytest.mark.parametrize(
    ("left", "right", "is_large"),
    [
        ((100, 400), (400, 400), True),
        ((50, 20, 40), (50, 40, 30), True),
        ((100, 100), (100, 100), False),
        # Logistic regression, in however many columns, and a batch of products with vectors.
        ((1000, 24), (24,), False),
        ((10**5, 100), (100, 1), False),
        ((400, 1, 100), (400, 100, 100), False),
    ],
)
def test_only_products_of_two_large_matrices_are_large(left, right, is_large):
    looped = lambda a, b: jax.lax.fori_loop(0, 3, lambda i, c: c + (a @ b).sum(), 0.0)  # noqa: E731
    assert has_large_product(jax.make_jaxpr(looped)(*shapes(left, right))) == is_large


def multiply(left, right):
    return left @ right


def test_a_program_with_a_large_product_has_no_native_form():
    size = round(LARGEST_NATIVE_PRODUCT ** (1 / 3)) + 1
    made, _ = compile_program(multiply, (), tuple(shapes((size, size), (size, size))), "native")
    assert isinstance(made, Refusal)
    assert "XLA's library" in made.reason
