"""Running sums over an epoch."""

import jax.numpy as jnp
import numpy as np

from infer.numerics.epoch import add_parameters, is_due, no_sums


def test_sums_of_an_epoch_leave_out_the_parameters_before_it():
    first, second = jnp.array([[1.0, 2.0], [3.0, 5.0]])
    sums, _ = add_parameters(no_sums(jnp.array([jnp.nan, 7.0])), first, jnp.int32(10), 10)
    sums, mean = add_parameters(sums, second, jnp.int32(20), 10)
    np.testing.assert_array_equal(sums.parameters, [4.0, 7.0])
    np.testing.assert_array_equal(mean, [2.0, 3.5])


def test_what_steps_update_is_due_after_twice_as_many_windows():
    due = [n for n in range(200) if is_due(jnp.int32(n), 0, 10, jnp.array(True))]
    assert due == [10, 20, 40, 80, 160]
