"""Owners of the numbers of a program name every entry that a number depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.models.discrete.owners import NONE, SEVERAL, find_owners

SIZE = 6
INDEX = np.array([3, 0, 0, 5])
TABLE = jnp.sin(jnp.arange(36.0)).reshape(6, 6)
BATCHED = jnp.cos(jnp.arange(144.0)).reshape(6, 4, 6)


def step(carry, x):
    return carry + 1.0, jnp.sin(x) + carry


@jax.custom_batching.custom_vmap
def doubled(x):
    return 2.0 * x


doubled.def_vmap(lambda _, is_batched, x: (2.0 * x, is_batched[0]))


def written(z):
    """Write to a reference, and in a call, and read what is there."""
    reference = jax.new_ref(jnp.zeros(3))
    reference[0] = 1.0 * z[4]
    jax.jit(lambda: reference.__setitem__(1, 2.0))()
    return reference[...]


def passed_on(z):
    """Write to one reference what was read from another."""
    one, other = jax.new_ref(jnp.zeros(2)), jax.new_ref(jnp.zeros(2))

    def step(_, total):
        total = total + other[0]
        other[0] = one[1]
        one[1] = 1.0 * z[2]
        return total

    return jax.lax.fori_loop(0, 3, step, 0.0)


# Programs of a vector of integers from 0 to 3, with the owners of their first results.
CASES = {
    "elementwise": (lambda z: jnp.exp(0.1 * z) + z, [0, 1, 2]),
    "indexed": (lambda z: z[INDEX], [3, 0, 0]),
    "table by entries": (lambda z: TABLE[z, 1], [0, 1, 2]),
    "rows of a table": (lambda z: TABLE[z], [0, 0, 0]),
    "blocks by known rows": (lambda z: BATCHED[np.arange(6), z], [0, 0, 0]),
    "along an axis": (lambda z: jnp.take_along_axis(TABLE, z[:, None], 1), [0, 1, 2]),
    "rows along an axis": (
        lambda z: jnp.take_along_axis(TABLE[z], jnp.argsort(TABLE)[:, :1], 1),
        [0, 1, 2],
    ),
    "known rows of two axes": (lambda z: z.reshape(2, 3)[[1, 0], [2, 1]], [5, 1]),
    "reshaped": (lambda z: z.reshape(2, 3).T, [0, 3, 1]),
    "joined": (lambda z: jnp.concatenate([jnp.zeros(2), z * 1.0]), [NONE, NONE, 0]),
    "sum": (lambda z: z.sum(), [SEVERAL]),
    "sum of rows": (lambda z: (z[:, None] * jnp.ones(2)).sum(1), [0, 1, 2]),
    "difference": (lambda z: z[1:] - z[:-1], [SEVERAL, SEVERAL]),
    "cumulative sum": (lambda z: jnp.cumsum(z), [SEVERAL]),
    "product with a matrix": (lambda z: TABLE @ z, [SEVERAL]),
    "outer product": (lambda z: jnp.einsum("i,j->ij", z, jnp.arange(2.0)), [0, 0, 1, 1]),
    "products of rows": (lambda z: jnp.einsum("ij,ij->i", TABLE[z], TABLE), [0, 1, 2]),
    "where": (lambda z: jnp.where(jnp.arange(6) > 2, z, 0), [0, 1, 2]),
    "softmax of rows": (lambda z: jax.nn.softmax(TABLE[z], -1)[:, 1], [0, 1, 2]),
    "sorted": (lambda z: jnp.sort(z), [SEVERAL]),
    "branches": (lambda z: jax.lax.cond(TABLE[0, 1] > 0, jnp.sin, jnp.cos, 1.0 * z), [0, 1, 2]),
    "branch by an entry": (lambda z: jax.lax.cond(z[2] > 1, jnp.sin, jnp.cos, 1.0), [2]),
    "scan": (lambda z: jax.lax.scan(lambda c, x: (c + x, c), jnp.zeros(()), 1.0 * z)[0], [SEVERAL]),
    "scan of constant entries": (
        lambda z: jax.lax.scan(lambda c, _: (c + z, c), jnp.zeros(6), None, length=2)[0],
        [0, 1, 2],
    ),
    "while loop": (lambda z: jax.lax.fori_loop(0, z[1], lambda _, x: 0.5 * x, 1.0), [1]),
    "a map of its own": (lambda z: doubled(1.0 * z), [0, 1, 2]),
    "a reference": (written, [4, 4, 4]),
    "references of a loop": (passed_on, [SEVERAL]),
    "mapped": (lambda z: jax.vmap(lambda one: TABLE[one] @ TABLE[:, 0])(z), [0, 1, 2]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_owner_of_a_number_is_the_only_entry_that_changes_it(name):
    function, expected = CASES[name]
    first = jnp.array([0, 1, 2, 3, 1, 2])
    (found,) = find_owners(jax.make_jaxpr(function)(first), [np.arange(SIZE)])
    assert found is not None
    np.testing.assert_array_equal(found.reshape(-1)[: len(expected)], expected)
    values = np.asarray(function(first))
    assert found.shape == values.shape
    for entry in range(SIZE):
        for value in range(4):
            changed = np.asarray(function(first.at[entry].set(value))) != values
            assert np.isin(found[changed], [entry, SEVERAL]).all()


def test_numbers_that_depend_on_no_entry_have_no_owner():
    jaxpr = jax.make_jaxpr(lambda z: (jnp.zeros(z.shape), jnp.arange(3.0)))(jnp.zeros(3, int))
    assert find_owners(jaxpr, [np.arange(3)]) == [None, None]
