"""States are stacked without change."""

import jax
import jax.numpy as jnp
import numpy as np

import infer
from benchmarks.accelerators.loop_body import count_loop_body
from infer.run import batched
from infer.run.batched import choose_stride, repeat, stack, unstack


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


def test_xla_knows_how_often_chains_tick_before_it_asks_whether_to_go_on(monkeypatch):
    """An accelerator's host is asked before each pass of a loop whose number of them is unknown."""
    monkeypatch.setattr(batched, "choose_stride", lambda engine: jnp.int32(30))

    def run(a, limit):
        several = repeat(lambda carry: (jnp.sort(carry[0]) + 1, carry[1] + 1), infer.NUTS())
        return jax.lax.while_loop(lambda carry: carry[-1] < limit, several, (a, 0))

    text = jax.jit(run).lower(jnp.arange(9.0), 100).compile().as_text()
    assert count_loop_body(text or "").stride == 30
