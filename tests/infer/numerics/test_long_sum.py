"""A long sum in single precision keeps its rounding error, in compiled programs too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.long_sum import SHORT, long_sum, two_sum
from infer.programs.native import CompiledProgram, compile_program


def numbers(count):
    """Return numbers like the rows of a log likelihood, with the largest magnitudes first."""
    rng = np.random.default_rng(0)
    return (-1.5 - rng.exponential(size=count) - np.linspace(3, 0, count)).astype(np.float32)


def whole(pair):
    return float(np.float64(pair[0]) + np.float64(pair[1]))


@pytest.mark.parametrize("native", [False, True])
def test_two_sum_returns_the_exact_rounding_error(native):
    one, other = numbers(1000), 1e-4 * numbers(2000)[1000:]
    made, _ = compile_program(_both, (), (one, other), "native" if native else "kernels")
    assert isinstance(made, CompiledProgram)
    total, lost = map(np.float64, made.call(one, other))
    np.testing.assert_array_equal(total + lost, one.astype(np.float64) + other)
    assert lost.any()


def _both(one, other):
    return two_sum(one, other)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("count", [1, 1000, 5000, 10**6])
def test_long_sum_is_nearly_as_exact_as_double_precision(count, native):
    """A million rows add up to 4e6, where the spacing of single precision is a quarter."""
    made, _ = compile_program(long_sum, (), (numbers(count),), "native" if native else "kernels")
    assert isinstance(made, CompiledProgram)
    found = whole(made.call(numbers(count)))
    expected = float(numbers(count).astype(np.float64).sum())
    # A plain sum of few numbers errs in its last bits, whatever the order in which XLA adds.
    last_bits = 4 * np.finfo(np.float32).eps * abs(expected)
    assert abs(found - expected) < (last_bits if count <= SHORT else 1e-5 * np.sqrt(count))


def test_long_sum_has_gradient_one_and_can_be_batched():
    array = numbers(5000).reshape(50, 100)
    gradient = jax.jit(jax.grad(lambda a: sum(long_sum(a * a))))(array)
    np.testing.assert_allclose(gradient, 2 * array, rtol=1e-6)
    batched = jax.vmap(lambda a: jnp.stack(long_sum(a)))(jnp.stack([array, 2 * array]))
    np.testing.assert_array_equal(batched[1], 2 * batched[0])
