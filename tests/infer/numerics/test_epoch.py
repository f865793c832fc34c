"""Running sums over an epoch."""

import jax.numpy as jnp
import numpy as np

from infer.numerics.epoch import add_parameters, is_due, no_sums


def test_sums_of_an_epoch_leave_out_the_parameters_before_it():
    sums = no_sums(jnp.array([jnp.nan, 7.0]))
    for i, parameters in enumerate(jnp.array([[1.0, 2.0], [3.0, 5.0]])):
        sums = add_parameters(sums, parameters, jnp.asarray(i == 0))
    np.testing.assert_array_equal(sums.parameters, [4.0, 7.0])


def test_what_steps_update_is_due_after_twice_as_many_windows():
    due = [n for n in range(200) if is_due(jnp.int32(n), 10)]
    assert due == [10, 20, 40, 80, 160]
