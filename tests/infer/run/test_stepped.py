"""A search alone runs on the host, around the program of its gradient, as of a costly density."""

import numpy as np
import pytest

import bijectors as bj
import infer
from infer.density.family import make_family
from infer.run import stepped
from infer.run.start import start

START = {"x": np.array([-1.2, 1.0, -0.5])}


def density(values):
    x = values["x"]
    return -(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


MODEL = infer.declared(density, {"x": bj.Real(shape=(3,))})
ENGINE = infer.MAP("constrained")


@pytest.fixture(scope="module")
def alone():
    return start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)


def test_a_search_on_the_host_ends_at_the_mode(alone):
    draws = alone.draws()
    assert draws.stats["converged"].all()
    np.testing.assert_allclose(draws.positions, 1.0, atol=1e-3)
    # Minus the loss is the log density, as in a compiled loop.
    assert draws.stats["lp"][0, 0] > -1e-6


def test_a_search_on_the_host_compiles_one_program_for_the_density(alone):
    assert alone.compilations == 0


def test_searches_in_a_loop_take_the_same_path(alone):
    """Up to rounding, which changes numbers of gradients by a few."""
    both = start(MODEL, ENGINE, chains=2, starts=[START, START], progress=False).advance(1)
    assert both.compilations > 0
    draws, own = both.draws(), alone.draws()
    np.testing.assert_allclose(draws.positions[0], own.positions[0], atol=1e-4)
    steps = draws.stats["n_steps"][0, 0], own.stats["n_steps"][0, 0]
    assert abs(steps[0] - steps[1]) <= 5


def test_a_search_on_the_host_goes_on_bit_for_bit(alone):
    run = start(MODEL, ENGINE, chains=1, starts=START, progress=False)
    seen = []

    def stop(run):
        seen.append(run.state)
        raise KeyboardInterrupt

    run.after_block = stop
    with pytest.raises(KeyboardInterrupt):
        run.advance(1)
    again = start(MODEL, ENGINE, state=seen[0], progress=False).advance(1)
    found, whole = again.draws(), alone.draws()
    np.testing.assert_array_equal(found.positions, whole.positions)
    for name, stat in whole.stats.items():
        np.testing.assert_array_equal(found.stats[name], stat)


@pytest.mark.parametrize(("size", "is_costly"), [(10, False), (2000, True)])
def test_a_gradient_is_costly_by_the_numbers_that_it_computes(size, is_costly):
    quadratic = infer.declared(
        lambda values, rows: -((rows @ values["x"]) ** 2).sum(),
        {"x": bj.Real(shape=(size,))},
        data=np.zeros((size, size)),
    )
    assert stepped.is_costly(make_family(quadratic, jacobian=True)) is is_costly
