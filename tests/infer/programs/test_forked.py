"""A child forked after JAX had started raises an error instead of hanging."""

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
def test_a_forked_child_is_refused_with_advice_to_spawn():
    jnp.ones(2).block_until_ready()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=work, args=(theirs,))
    child.start()
    has_error = ours.poll(30)
    child.kill()
    child.join()
    assert has_error
    assert 'multiprocessing.get_context("spawn")' in ours.recv()
