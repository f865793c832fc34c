"""A value that is materialized is the same, and XLA computes it once."""

import jax
import jax.numpy as jnp
import numpy as np

from infer.numerics.materialize import materialize


def use_twice(value, left, right):
    return left[:, None] * value, right[:, None] + value


def test_a_materialized_value_is_the_same_and_computed_once():
    def materialized(x, count, *own):
        return use_twice(materialize(jnp.abs(x), count), *own), materialize(x > 0, count)

    x, pair = jnp.array([-3.0, 0.0, jnp.inf, 0.1]), (jnp.ones(3), jnp.ones(5))
    program = jax.jit(materialized).lower(x, jnp.int32(0), *pair).compile()
    (product, _), is_positive = program(x, jnp.int32(0), *pair)
    np.testing.assert_array_equal(product[0], np.abs(x))
    np.testing.assert_array_equal(is_positive, np.asarray(x) > 0)
    assert str(program.as_text()).count(" abs(") == 1
    plain = jax.jit(lambda x, *own: use_twice(jnp.abs(x), *own)).lower(x, *pair).compile()
    assert str(plain.as_text()).count(" abs(") == 2
