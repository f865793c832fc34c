"""A trace of fixed length keeps evenly spaced steps, including the first."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.trace import LENGTH, list_recorded_steps, make_trace, record


@jax.jit
def traced(count):
    """Record the number of each step and its square."""

    def body(step, trace):
        return record(trace, step, jnp.array([1.0, 2.0]) * step ** jnp.array([1, 2]))

    return jax.lax.fori_loop(0, count, body, make_trace(jnp.zeros(()), 2))


@pytest.mark.parametrize("count", [1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH, 5 * LENGTH + 3])
def test_recorded_steps_are_those_listed(count):
    steps = list_recorded_steps(count)
    found = np.asarray(traced(jnp.int32(count)))[:, : len(steps)]
    np.testing.assert_array_equal(found, [steps, 2 * steps**2])


@pytest.mark.parametrize("count", [1, LENGTH, LENGTH + 1, 3 * LENGTH, 100 * LENGTH])
def test_recorded_steps_begin_with_the_first_and_fill_at_least_half_the_trace(count):
    steps = list_recorded_steps(count)
    assert steps[0] == 0
    assert min(count, LENGTH / 2) <= len(steps) <= LENGTH
    assert len(set(np.diff(steps))) <= 1
