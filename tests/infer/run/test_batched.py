"""States are stacked without change."""

import jax
import jax.numpy as jnp
import numpy as np

import infer
from infer.run.batched import choose_stride, stack, unstack


def test_unstacking_undoes_stacking():
    state = {
        "a": jnp.arange(3.0), "b": jnp.arange(6.0).reshape(3, 2), "c": jnp.arange(3),
        "d": jnp.arange(3.0, 6.0), "e": jnp.array([True, False, True]),
    }  # fmt: skip
    stacks = stack(state)
    assert [a.shape for a in stacks] == [(2, 3), (1, 3, 2), (1, 3), (1, 3)]
    jax.tree.map(np.testing.assert_array_equal, unstack(stacks, state), state)


def test_chains_of_a_population_are_asked_after_each_tick():
    assert choose_stride(infer.BlackJAX("smc")) == 1
