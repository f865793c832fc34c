"""Programs that XLA's calls to its external library get wrong, or crash on, in some versions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.programs.by_text import compile_by_text
from infer.programs.native import call_compiled

WAYS = pytest.mark.parametrize(
    "call", [call_compiled, lambda f, *arguments: compile_by_text(f, *arguments)(*arguments)]
)


@WAYS
def test_sums_of_squared_products_are_right(call):
    """jaxlib 0.10.2 returns 266342400 for 16384² (jax issue 39103)."""

    def square_of_products(rows):
        return jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(rows)

    rows = np.zeros((16_385, 3))
    rows[:, 0] = np.arange(16_385)
    np.testing.assert_array_equal(call(square_of_products, rows), rows[:, 0] ** 2)


@WAYS
def test_sums_of_products_of_rank_7_do_not_crash(call):
    """jaxlib 0.10.2 crashes (issue 40412)."""
    one, other = np.random.default_rng(0).normal(size=(2, 3, 1, 2, 2, 8, 8, 8)).astype(np.float32)
    total = call(lambda one, other: jnp.sum(one * other, axis=3), one, other)
    np.testing.assert_allclose(total, (one * other).sum(3), rtol=1e-5, atol=1e-6)


@WAYS
def test_sums_of_numbers_converted_to_single_precision_do_not_crash(call):
    """jaxlib 0.10.0, below the lower bound, overflows its stack."""
    numbers = np.random.default_rng(0).normal(size=300_000)
    total = call(lambda x: (2 * x).astype(jnp.float32).reshape(-1, 32).sum(1), numbers)
    np.testing.assert_allclose(total, 2 * numbers.reshape(-1, 32).sum(1), atol=1e-4)


def test_checking_a_model_with_products_of_rank_7_does_not_crash():
    shape = (2, 3, 1, 2, 2, 8, 8, 8)
    one, other = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)

    def log_density(values, data):
        scaled = data["other"] * values["b"].astype(jnp.float32)
        return -0.5 * values["b"] ** 2 - 1e-3 * jnp.sum(jnp.sum(data["one"] * scaled, axis=3) ** 2)

    data = {"one": one, "other": other}
    infer.check(infer.declared(log_density, {"b": bj.Real()}, data=data))
