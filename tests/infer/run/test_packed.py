"""A state packed into few arrays is unpacked without change."""

import pickle
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.run.packed import pack


class Small(NamedTuple):
    """Leaves of several dtypes and shapes, including scalars and empty arrays."""

    matrix: np.ndarray
    number: np.ndarray
    done: np.ndarray
    nothing: np.ndarray
    counts: dict


def state(lead=()):
    rng = np.random.default_rng(0)
    return Small(
        rng.normal(size=(*lead, 2, 3)),
        rng.normal(size=lead),
        rng.normal(size=lead) > 0,
        np.zeros((*lead, 0)),
        {"b": rng.integers(9, size=(*lead, 4)), "a": np.float32(rng.normal(size=lead))},
    )


def agree(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    dtypes = lambda tree: jax.tree.map(lambda a: np.asarray(a).dtype, tree)  # noqa: E731
    assert dtypes(found) == dtypes(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize("lead", [(), (5,), (5, 2)])
def test_unpacking_restores_the_state(lead):
    packed = pack(state(lead), len(lead))
    assert len(jax.tree.leaves(packed)) == 4
    agree(packed.unpack(), state(lead))


def test_packing_under_vmap_equals_packing_the_batch():
    together = pack(state((5,)), 1)
    apart = jax.vmap(pack)(jax.tree.map(jnp.asarray, state((5,))))
    assert jax.tree.structure(apart) == jax.tree.structure(together)
    agree(jax.tree.map(np.asarray, apart).unpack(), state((5,)))


def test_rows_of_a_packed_batch_are_the_states_of_chains():
    packed = pack(state((5,)), 1)
    taken = jax.tree.map(lambda a: a[[3, 1]], packed).unpack()
    agree(taken, jax.tree.map(lambda a: a[[3, 1]], state((5,))))


def test_a_packed_state_can_be_pickled():
    kept = pickle.loads(pickle.dumps(pack(state((5,)), 1)))
    assert jax.tree.structure(kept) == jax.tree.structure(pack(state((5,)), 1))
    agree(kept.unpack(), state((5,)))
