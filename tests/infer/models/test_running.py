"""Models run one at a time, whatever threads they are in: NumPyro has one list of handlers."""

from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event

import jax
import numpyro
import numpyro.distributions as dist
import pytest

import infer
from infer.models import running

NORMAL = dist.Normal()
FRONT_ENDS = {
    "infer.model": lambda f: infer.model(lambda site: f(lambda name: site(name, NORMAL))),
    "infer.from_numpyro": lambda f: infer.from_numpyro(
        lambda: f(lambda name: numpyro.sample(name, NORMAL))
    ),
}


@pytest.mark.parametrize("make", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_models_of_two_threads_keep_their_sites_apart(make):
    begun, entered = Event(), Event()

    def first(declare):
        begun.set()
        entered.wait(0.1)
        declare("first")

    def second(declare):
        entered.set()
        declare("second")
        wait([other], 0.1)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: infer.log_density(make(first)).labels())
        begun.wait()
        assert infer.log_density(make(second)).labels() == ["second"]
        assert other.result() == ["first"]


def test_threads_that_wait_for_each_other_end_in_an_error(monkeypatch):
    """Two call one compiled function, which evaluates a model: one of them inside a model."""
    monkeypatch.setattr(running, "LONGEST", 0.2)
    density = infer.log_density(infer.model(lambda site: site("x", NORMAL)))
    traced, called = Event(), Event()

    @jax.jit
    def shared(position):
        traced.set()
        called.wait(10)
        return density(position)

    def around(site):
        called.set()
        return site("y", NORMAL) + shared(jax.numpy.zeros(1))

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(shared, jax.numpy.zeros(1))
        traced.wait(10)
        assert infer.log_density(infer.model(around)).labels() == ["y"]
        with pytest.raises(infer.ModelError, match="model: it waits .* in one thread after"):
            other.result(10)
