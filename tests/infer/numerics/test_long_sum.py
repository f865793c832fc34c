"""A long sum in single precision keeps what rounding drops, in compiled programs too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.long_sum import SHORT, long_sum, two_sum
from infer.programs.native import Program, compile_program


def numbers(count):
    """Numbers like the rows of a log likelihood, the larger ones first."""
    rng = np.random.default_rng(0)
    return (-1.5 - rng.exponential(size=count) - np.linspace(3, 0, count)).astype(np.float32)


def whole(pair):
    return float(np.float64(pair[0]) + np.float64(pair[1]))


@pytest.mark.parametrize("native", [False, True])
def test_the_rounded_part_of_a_sum_of_two_is_exact(native):
    one, other = numbers(1000), 1e-4 * numbers(2000)[1000:]
    made, _ = compile_program(_both, (), (one, other), "native" if native else "kernels")
    assert isinstance(made, Program)
    total, lost = map(np.float64, made.call(one, other))
    np.testing.assert_array_equal(total + lost, one.astype(np.float64) + other)
    assert lost.any()


def _both(one, other):
    return two_sum(one, other)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("count", [1, 1000, 5000, 10**6])
def test_it_is_the_sum_in_double_precision(count, native):
    """The rows of a million add up to 4e6, where single precision has steps of a quarter."""
    made, _ = compile_program(long_sum, (), (numbers(count),), "native" if native else "kernels")
    assert isinstance(made, Program)
    found = whole(made.call(numbers(count)))
    expected = float(numbers(count).astype(np.float64).sum())
    # A plain sum of few numbers rounds in its last bits, in whichever order XLA takes them.
    last_bits = 4 * np.finfo(np.float32).eps * abs(expected)
    assert abs(found - expected) < (last_bits if count <= SHORT else 1e-5 * np.sqrt(count))


def test_its_gradient_is_one_for_each_number():
    array = numbers(5000).reshape(50, 100)
    gradient = jax.jit(jax.grad(lambda a: sum(long_sum(a * a))))(array)
    np.testing.assert_allclose(gradient, 2 * array, rtol=1e-6)
    batched = jax.vmap(lambda a: jnp.stack(long_sum(a)))(jnp.stack([array, 2 * array]))
    np.testing.assert_array_equal(batched[1], 2 * batched[0])
