"""Keys are made from seeds as in JAX, and each chain has its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infer
from infer.numerics.keys import GENERATOR, derive_chain_keys, make_key, read_key_data


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**40 + 7, -1])
def test_a_seed_gives_the_same_key_as_in_jax(seed):
    key = jax.random.key(seed, impl=GENERATOR)
    np.testing.assert_array_equal(read_key_data(seed), jax.random.key_data(key))
    assert make_key(seed) == key


def test_a_key_of_our_generator_is_used_unchanged():
    key = jax.random.key(3, impl=GENERATOR)
    for same in (key, jax.random.key_data(key)):
        np.testing.assert_array_equal(read_key_data(same), read_key_data(3))


def test_keys_of_another_generator_give_different_keys():
    first, second = (read_key_data(jax.random.key(seed, impl="rbg")) for seed in (1, 2))
    assert first.shape == (2,)
    assert not np.array_equal(first, second)


TWO_KEYS = jax.random.split(jax.random.key(0))


@pytest.mark.parametrize("seed", [None, 1.5, "a", jnp.zeros(3), TWO_KEYS])
def test_anything_but_a_seed_or_one_key_is_refused(seed):
    with pytest.raises(infer.RunError, match="is not a key"):
        read_key_data(seed)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_refused(seed):
    with pytest.raises(infer.RunError, match="more than 64 bits"):
        read_key_data(seed)


def test_a_traced_key_is_refused():
    with pytest.raises(infer.RunError, match="is not a key"):
        jax.jit(make_key)(jax.random.key(0))


def test_keys_of_chains_do_not_depend_on_the_number_of_chains():
    few, start = derive_chain_keys(read_key_data(5), 3)
    many, same_start = derive_chain_keys(read_key_data(5), 8)
    np.testing.assert_array_equal(many[:3], few)
    np.testing.assert_array_equal(same_start, start)
    assert len(np.unique(np.vstack([many, [start]]), axis=0)) == 9
