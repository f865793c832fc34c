"""A few searches run on the host, around the program of their gradient, as of a costly density."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import bijectors as bj
import infer
from infer.density.family import make_family
from infer.run import collect, long_chains, stepped
from infer.run.start import start

START = {"x": np.array([-1.2, 1.0, -0.5])}


def density(values):
    x = values["x"]
    return -(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


MODEL = infer.declared(density, {"x": bj.Real(shape=(3,))})
ENGINE = infer.MAP("constrained")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Let no run count as a repeated one."""
    monkeypatch.setattr(stepped, "REPEATED", 10**9)


@pytest.fixture(scope="module")
def alone():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepped, "REPEATED", 10**9)
        return start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)


def test_a_search_on_the_host_ends_at_the_mode(alone):
    draws = alone.draws()
    assert draws.stats["converged"].all()
    np.testing.assert_allclose(draws.positions, 1.0, atol=1e-3)
    # Minus the loss is the log density, as in a compiled loop.
    assert draws.stats["lp"][0, 0] > -1e-6


def test_a_short_search_is_not_traced_to_count_its_work(monkeypatch):
    monkeypatch.delattr(stepped, "_is_costly")
    again = start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)
    assert again.draws().stats["converged"].all()


def count_threads():
    """Return the largest number of threads of a library of BLAS."""
    return max(own["num_threads"] for own in threadpool_info() if own["user_api"] == "blas")


@pytest.mark.skipif(count_threads() < 2, reason="BLAS has one thread in any case")
def test_a_search_on_the_host_keeps_blas_to_one_thread(monkeypatch):
    """Its threads wait for those of XLA: on busy cores, a search took twice as long, or more."""
    inside, tell = [], infer.MAP.tell
    monkeypatch.setattr(infer.MAP, "tell", lambda *a: inside.append(count_threads()) or tell(*a))
    before = count_threads()
    start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)
    # Those before the blocks find the format of a record.
    assert inside[-1] == 1
    assert count_threads() == before


def test_a_search_on_the_host_compiles_one_program_for_the_density(alone):
    assert alone.compilations == 0


def check_path(run, alone, count="n_steps"):
    """Check that a run took the same path, up to rounding, which changes a few gradients."""
    draws, own = run.draws(), alone.draws()
    np.testing.assert_allclose(draws.positions[0], own.positions[0], atol=1e-4)
    steps = draws.stats[count][0, 0], own.stats[count][0, 0]
    assert abs(steps[0] - steps[1]) <= 5


def test_searches_in_a_loop_take_the_same_path(alone, monkeypatch):
    monkeypatch.setattr(stepped, "FEW", 0)
    both = start(MODEL, ENGINE, chains=2, starts=[START, START], progress=False).advance(1)
    assert both.compilations > 0
    check_path(both, alone)


@pytest.fixture
def after_twenty(monkeypatch):
    """Let a loop go on after 20 gradients; count its blocks."""
    blocks, go_on = [], long_chains.go_on
    monkeypatch.setattr(stepped, "LONG", 20)
    monkeypatch.setattr(stepped, "go_on", lambda *a: blocks.append(1) or go_on(*a))
    return blocks


def test_a_long_search_goes_on_in_a_loop_along_the_same_path(alone, after_twenty):
    run = start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)
    assert after_twenty
    check_path(run, alone)


def test_blocks_of_a_long_search_change_no_bit(after_twenty, monkeypatch):
    """With seven ticks to a block, a search that goes on in a loop changes its form many times."""
    draws, numbers = [], []
    for most in (10**6, 7):
        monkeypatch.setattr(collect, "MAX_TICKS", most)
        after_twenty.clear()
        run = start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)
        draws.append(run.draws())
        numbers.append(len(after_twenty))
    assert numbers[1] > numbers[0]
    np.testing.assert_array_equal(draws[0].positions, draws[1].positions)
    for name, stat in draws[0].stats.items():
        np.testing.assert_array_equal(draws[1].stats[name], stat)


def test_a_wrong_loop_is_noticed_and_compiled_in_another_form(alone, after_twenty, monkeypatch):
    monkeypatch.setattr(long_chains, "_is_wrong", lambda *_: True)
    turned_off = []
    monkeypatch.setattr(long_chains, "native", turned_off.append)
    native = long_chains.compile_program
    monkeypatch.setattr(
        long_chains,
        "compile_program",
        lambda f, static, a, form: (native(f, static, a, "native")[0], not turned_off),
    )
    run = start(MODEL, ENGINE, chains=1, starts=START, progress=False).advance(1)
    assert turned_off == [False]
    check_path(run, alone)


def test_the_third_run_of_a_program_is_compiled(monkeypatch):
    monkeypatch.setattr(stepped, "REPEATED", 2)
    own = make_family(infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()}), jacobian=True)
    chosen = [stepped.choose_host(ENGINE, own, 1, 1) for _ in range(4)]
    assert chosen == [True, True, False, False]


def test_many_searches_are_compiled_at_once():
    own = make_family(infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()}), jacobian=True)
    assert stepped.choose_host(ENGINE, own, stepped.FEW, 1)
    assert not stepped.choose_host(ENGINE, own, stepped.FEW + 1, 1)


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


def test_the_searches_of_laplace_run_on_the_host_too(alone):
    run = start(MODEL, infer.Laplace(), chains=1, starts=START, progress=False).advance(1)
    assert run.compilations == 0
    check_path(run, alone, "n_gradients")
