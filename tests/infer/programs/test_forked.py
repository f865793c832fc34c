"""A child that was forked after JAX had started says so, before it hangs."""

import multiprocessing
import os

import jax.numpy as jnp
import pytest

import infer

from .. import targets


def work(connection):
    try:
        infer.start(targets.normal(), infer.NUTS(), progress=False)
    except infer.RunError as error:
        connection.send(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork.")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told_to_be_spawned():
    jnp.ones(2).block_until_ready()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=work, args=(theirs,))
    child.start()
    told = ours.poll(30)
    child.kill()
    child.join()
    assert told
    assert 'multiprocessing.get_context("spawn")' in ours.recv()
