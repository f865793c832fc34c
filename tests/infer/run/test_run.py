"""A run's draws depend only on seed, chain and draw; it can be stopped and resumed."""

import dataclasses
import pickle
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.counts import as_whole
from infer.programs import native
from infer.run import blocks, collect
from infer.run.progress import Halted, Progress
from tests.compilations import list_compilations

from .. import targets
from ..engines.found import chains_of, engines_in_time, named

# A single engine stands for those that wrap a library: the one with all features of the others;
# ADVI for the engines whose result is an approximation, Slice for those without gradients, and NUTS
# for HMC.
STANDING = {"AdjustedMCLMC", "ADVI", "MAP", "NUTS", "Slice"}
IN_TIME = engines_in_time(slow=lambda e: named(e) not in STANDING)
ENGINES = pytest.mark.parametrize("engine", IN_TIME, ids=named)
# HMC and NUTS share all of warm-up, so one of them stands for both in the quick tests.
NUTS_ALONE = pytest.mark.parametrize(
    "engine", [pytest.param(infer.HMC(), marks=pytest.mark.slow), infer.NUTS()], ids=["HMC", "NUTS"]
)
SAMPLERS = pytest.mark.parametrize("engine", [infer.HMC(), infer.NUTS()], ids=["HMC", "NUTS"])


def run(engine, **options):
    chains = chains_of(engine, 2)
    options = {"chains": chains, "warmup": 40, "key": 5, "progress": False} | options
    return infer.start(targets.fitting(engine), engine, **options)


def same(one, other):
    a, b = one.draws(), other.draws()
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@ENGINES
def test_advancing_in_pieces_gives_the_draws_of_advancing_at_once(engine):
    pieces = run(engine)
    for draws in (1, 4, 7):
        pieces.advance(draws)
    same(pieces, run(engine).advance(12))


@ENGINES
def test_a_run_resumed_from_its_state_gives_the_draws_of_one_that_never_stopped(engine):
    stopped = run(engine).advance(5)
    state = pickle.loads(pickle.dumps(stopped.state))
    again = infer.start(targets.fitting(engine), engine, state=state, progress=False).advance(6)
    same(again, run(engine).advance(11))


@SAMPLERS
def test_blocks_and_threads_change_no_draw(engine, monkeypatch):
    straight = run(engine, threads=1).advance(30)
    monkeypatch.setattr(collect, "BLOCK_SECONDS", 0.0)
    same(run(engine, threads=2).advance(30), straight)


@pytest.mark.parametrize("group", [1, 2])
@NUTS_ALONE
def test_a_state_saved_in_the_middle_of_a_draw_resumes_that_draw(engine, group, monkeypatch):
    """With one tick per block, the interrupt comes before the first draw is complete."""
    straight = run(engine, group=group, warmup=0).advance(6)
    monkeypatch.setattr(collect, "BLOCK_SECONDS", 0.0)
    stopped = run(engine, group=group, warmup=0, threads=1)
    with monkeypatch.context() as patch:
        interrupt_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            stopped.advance(6)
    state = pickle.loads(pickle.dumps(stopped.state))
    again = infer.start(targets.fitting(engine), engine, state=state, progress=False)
    same(again.advance(6 - again.fewest()), straight)


def test_without_warm_up_a_chain_does_not_depend_on_the_others():
    """Nothing is pooled, so the first of three chains draws what a single chain draws."""
    engine = infer.NUTS(step_size=0.5)
    starts = {"x": np.zeros(3)}
    tuning = run(engine).warm_up().tuning
    options = {"warmup": 0, "starts": starts, "tuning": tuning}
    three = run(engine, chains=3, **options).advance(20).draws()
    one = run(engine, chains=1, **options).advance(20).draws()
    np.testing.assert_array_equal(three.positions[0], one.positions[0])


@SAMPLERS
def test_batched_chains_agree_with_single_chains_within_rounding(engine):
    starts = {"x": np.array([[0.1, 0.2, 0.3], [1.0, -1.0, 0.0]])}
    tuning = run(engine).warm_up().tuning
    options = {"warmup": 0, "starts": starts, "tuning": tuning}
    batched = run(engine, group=2, **options).advance(3)
    alone = run(engine, group=1, **options).advance(3)
    assert not batched.plan.is_native
    np.testing.assert_allclose(
        batched.draws().positions, alone.draws().positions, rtol=1e-8, atol=1e-8
    )


def test_seeds_and_chains_give_different_draws():
    one, two = run(infer.NUTS(), key=1).advance(3), run(infer.NUTS(), key=2).advance(3)
    assert not np.array_equal(one.draws().positions, two.draws().positions)
    assert not np.array_equal(*one.draws().positions)


def test_an_early_end_of_warm_up_does_not_change_the_keys_of_the_draws():
    """A run that ends warm-up in its third window draws what a run without warm-up draws."""
    engine = infer.NUTS()
    tuning = run(engine).warm_up().tuning
    start = {"starts": {"x": np.zeros(3)}, "tuning": tuning}
    one = run(engine, warmup=0, **start).advance(5)
    two = run(engine, warmup=40, **start)
    two.warmup = dataclasses.replace(two.warmup, windows=(), window=3)
    same(two.advance(5), one)


@ENGINES
def test_new_data_seed_and_numbers_of_draws_compile_nothing(engine):
    compiled = list_compilations()
    # Check the counter: compiling a new function is counted.
    jax.jit(lambda x: x * 1.5)(jnp.zeros(2))
    assert compiled
    call(engine, targets.fitting(engine), seed=1, draws=3, step_size=0.3)
    before = len(compiled)
    other = targets.fitting(engine, mean=np.zeros(3), covariance=np.eye(3))
    call(engine, other, seed=2, draws=5, step_size=0.4)
    assert len(compiled) == before


def call(engine, model, *, seed, draws, step_size):
    """Use an engine as users do, from the call to the result."""
    if engine.result == "optimum":
        return infer.maximize(model, engine, starts=2, key=seed)
    if engine.result == "approximation":
        epochs = 20 if engine.unit == "epochs" else None
        return infer.fit(model, engine, key=seed, epochs=epochs).sample(4)
    if hasattr(engine, "step_size"):
        engine = dataclasses.replace(engine, step_size=step_size)
    chains = chains_of(engine, 2)
    return infer.sample(model, engine, chains=chains, warmup=30, draws=draws, key=seed)


def interrupt_after(blocks, monkeypatch):
    """Raise KeyboardInterrupt after a number of blocks."""
    absorbed = []
    absorb = collect.Group.absorb

    def counting(self, *arguments):
        made = absorb(self, *arguments)
        absorbed.append(made)
        if len(absorbed) == blocks:
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(collect.Group, "absorb", counting)


@pytest.mark.parametrize("engine", [infer.NUTS(), infer.ADVI()], ids=named)
def test_the_first_block_is_one_tick(engine):
    """It may be long, and neither progress nor an interrupt comes before its end."""
    begun = run(engine)
    with pytest.raises(Halted):
        begun.advance(5, Progress(shown=False, halt=lambda: True))
    assert begun.groups[0].executed[0] == 1


def test_an_interrupt_keeps_the_draws_made_so_far(monkeypatch):
    monkeypatch.setattr(collect, "BLOCK_SECONDS", 0.0)
    straight = run(infer.NUTS(), warmup=0, threads=1, key=8).advance(200).draws()
    interrupt_after(40, monkeypatch)
    with pytest.warns(UserWarning, match="interrupted: .* of 200 draws"):
        idata = infer.sample(
            targets.normal(), infer.NUTS(), chains=2, warmup=0, draws=200, key=8, threads=1
        )
    kept = np.asarray(idata["posterior"]["x"])
    assert 1 <= kept.shape[1] < 200
    np.testing.assert_array_equal(kept, straight.positions[:, : kept.shape[1]])


def test_an_interrupted_warm_up_resumes_where_it_stopped(monkeypatch):
    straight = run(infer.NUTS(), threads=1).advance(10)
    interrupted = run(infer.NUTS(), threads=1)
    with monkeypatch.context() as patch:
        interrupt_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            interrupted.advance(10)
    with pytest.raises(infer.RunError, match="still warming up"):
        interrupted.draws()
    same(interrupted.advance(10), straight)


def test_a_model_without_a_native_form_runs_and_says_why():
    def sorted_by_library(values):
        largest = jax.lax.top_k(values["x"], 3)[0]
        return -0.5 * (largest * jnp.arange(3.0) ** 2).sum() - (values["x"] ** 2).sum()

    model = infer.declared(sorted_by_library, {"x": bj.Real(shape=(3,))})
    started = infer.start(model, infer.NUTS(), chains=4, warmup=20, progress=False).advance(5)
    assert not started.plan.is_native
    assert started.why_not_native
    assert started.plan.width == 2
    assert started.draws().positions.shape == (4, 5, 3)


def test_the_group_size_must_divide_the_number_of_chains():
    with pytest.raises(infer.RunError, match="3 chains cannot be divided into groups of 2"):
        run(infer.NUTS(), chains=3, group=2)


def test_data_that_the_program_never_reads_do_no_harm():
    """jaxlib 0.10 aborts the process if an argument of a native call is unused."""
    import bijectors as bj

    model = infer.declared(
        lambda v, d: -(v["x"] ** 2).sum() + 0 * d["unread"].sum(),
        {"x": bj.Real(shape=(2,))},
        data={"unread": np.ones(3), "unused": np.zeros((0, 2))},
    )
    assert infer.start(model, infer.NUTS(), chains=1).advance(2).plan.is_native


def test_a_tuning_of_another_engine_or_size_is_refused():
    tuning = run(infer.NUTS(), warmup=0).tuning
    with pytest.raises(infer.RunError, match="tuning: it is a HamiltonianTuning"):
        run(infer.HMC(), tuning=tuning)
    with pytest.raises(infer.RunError, match="tuning"):
        infer.start(targets.constrained(), infer.NUTS(), tuning=tuning)


@pytest.mark.parametrize("seed", [3, np.int64(3), jax.random.key(3), jax.random.PRNGKey(3)])
def test_a_seed_and_its_key_give_the_same_draws(seed):
    drawn = run(infer.NUTS(), warmup=0, key=seed).advance(2)
    same(drawn, run(infer.NUTS(), warmup=0, key=3).advance(2))


def test_a_key_of_another_generator_is_used():
    run(infer.NUTS(), warmup=0, key=jax.random.key(3, impl="rbg")).advance(1)
    with pytest.raises(infer.RunError, match="is not a key"):
        run(infer.NUTS(), key=jnp.zeros(3))


def test_a_run_is_not_pickled_but_its_state_is():
    begun = run(infer.NUTS(), warmup=0)
    with pytest.raises(infer.RunError, match=r"run\.state, and go on by infer\.start\(.*store="):
        pickle.dumps(begun)
    assert np.array_equal(pickle.loads(pickle.dumps(begun.state)).key, begun.state.key)


def test_reading_draws_before_any_were_made_is_refused():
    with pytest.raises(infer.RunError, match="no draws were requested"):
        run(infer.NUTS(), warmup=0).advance(0).draws()


@pytest.mark.parametrize("options", [{"warmup": -1}, {"group": -1}, {"group": 0}, {"threads": -1}])
def test_numbers_that_are_not_whole_or_too_small_are_refused(options):
    with pytest.raises(infer.RunError, match=next(iter(options))):
        run(infer.NUTS(), **options)
    with pytest.raises(infer.RunError, match="draws: 2.5"):
        as_whole("draws", 2.5, 0)
    with pytest.raises(infer.RunError, match="draws: 0"):
        infer.sample(targets.normal(), draws=0)


def test_a_run_interrupted_between_two_windows_resumes_with_the_same_draws(monkeypatch):
    straight = run(infer.NUTS(), threads=1).advance(5)
    stopped = run(infer.NUTS(), threads=1)
    end_window = infer.NUTS.end_window

    def interrupted(self, tuning, recent, windows):
        if len(recent) == 2:
            raise KeyboardInterrupt
        return end_window(self, tuning, recent, windows)

    with monkeypatch.context() as patch:
        patch.setattr(infer.NUTS, "end_window", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stopped.advance(5)
    same(stopped.advance(5), straight)


def test_regrouping_keeps_the_draws_of_the_chains(monkeypatch):
    """A state that is resumed on a machine without the native form keeps its draws."""
    state = run(infer.NUTS(), warmup=0).advance(6).state
    before = run(infer.NUTS(), warmup=0).advance(6).draws().positions
    refusal = native.Refusal("no", has_lapack_calls=False)
    real = blocks.compile_program
    monkeypatch.setattr(
        blocks,
        "compile_program",
        lambda *a: (refusal, False) if a[-1] == "native" else real(*a),
    )
    resumed = infer.start(targets.normal(), infer.NUTS(), state=state, progress=False).advance(3)
    assert resumed.why_not_native == "no"
    np.testing.assert_array_equal(resumed.draws().positions[:, :6], before)


def test_a_reused_tuning_keeps_the_settings_of_the_engine():
    tuning = run(infer.NUTS(), warmup=20).warm_up().tuning
    again = run(infer.NUTS(target_acceptance=0.95), tuning=tuning)
    assert again.tuning.target_acceptance == 0.95
    jax.tree.map(np.testing.assert_array_equal, again.tuning.metric, tuning.metric)
    hmc = run(infer.HMC(), warmup=20).warm_up().tuning
    assert run(infer.HMC(trajectory_length=9.0), tuning=hmc).tuning.trajectory_length == 9.0


def test_one_stuck_chain_does_not_determine_the_step_size():
    """A chain at an isolated finite point learns a tiny step size; the others do not."""
    import bijectors as bj

    def isolated(values):
        x = values["x"]
        alone = jnp.abs(x[0] - 50.0) < 1e-6
        inside = jnp.where(x[0] < 20.0, -0.5 * (x**2).sum(), -jnp.inf)
        return jnp.where(alone, 0.0, inside)

    model = infer.declared(isolated, {"x": bj.Real(shape=(2,))})
    starts = {"x": np.array([[0.1, 0.0], [50.0, 0.0], [0.5, 0.2], [-0.3, 0.1]])}
    stuck = infer.start(model, infer.NUTS(), warmup=140, starts=starts, progress=False).warm_up()
    assert stuck.tuning.step_size > 0.1
    assert 140 < stuck.warmup.draws <= 280


def test_a_chain_leaves_the_neck_of_a_funnel():
    """With this key, all transitions of one chain diverged at the median step size."""

    def funnel(values):
        v, x = values["v"], values["x"]
        return -0.5 * (v / 3) ** 2 - 0.5 * (x**2).sum() * jnp.exp(-v) - 0.5 * v * x.size

    model = infer.declared(funnel, {"v": bj.Real(), "x": bj.Real(shape=(20,))})
    mouth, neck = {"v": 1.0, "x": np.ones(20)}, {"v": -9.0, "x": np.full(20, 0.011)}
    starts = {name: np.stack([mouth[name]] * 3 + [neck[name]]) for name in mouth}
    engine = infer.NUTS(metric="euclidean")
    run = infer.start(model, engine, starts=starts, key=5, progress=False).advance(200)
    assert run.draws().stats["diverging"].mean(1).max() < 0.1


def _two_modes(values, data):
    """One normal in three dimensions at 0 and one at 20, which has a mass of `share`."""
    x, share = values["x"], data["share"]
    here, there = -0.5 * (x**2).sum(), -0.5 * ((x - 20.0) ** 2).sum()
    return jnp.logaddexp(jnp.log1p(-share) + here, jnp.log(share) + there)


def begun_in_two_modes(share, engine, **options):
    """Begin two chains in the first mode, and two in the other."""
    model = infer.declared(_two_modes, {"x": bj.Real(shape=(3,))}, data={"share": share})
    starts = {"x": np.repeat([0.0, 20.0], 2)[:, None] * np.ones(3)}
    options = {"starts": starts, "key": 3, "progress": False} | options
    return infer.start(model, engine, **options)


def sides(run):
    return (run.draws().positions.mean((1, 2)) > 10).tolist()


@NUTS_ALONE
def test_chains_are_relocated_only_from_a_mode_of_negligible_mass(engine):
    moved = begun_in_two_modes(1e-12, engine).advance(400)
    assert moved.warmup.relocated == (2, 3)
    assert [move.chain for move in moved.warmup.moves] == [2, 3]
    for move in moved.warmup.moves:
        np.testing.assert_allclose(move.left, 20.0, atol=6)
        np.testing.assert_allclose(move.reached, 0.0, atol=6)
    assert sides(moved) == [False] * 4
    # The effective size is at least a fifth of 4800: one mean in ten million is further off, and
    # even fewer standard deviations.
    x = moved.draws().positions
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=5.3 / np.sqrt(4800 / 5))
    kept = begun_in_two_modes(0.01, engine).advance(10)
    assert (kept.warmup.relocated, sides(kept)) == ((), [False, False, True, True])


def test_chains_are_not_relocated_from_a_dominant_mode_to_a_correlated_one():
    """A standard normal in 30 dimensions has 0.9 of the mass, a flat correlated one has 0.1."""
    along, first = np.append(0.0, np.full(29, 29**-0.5)), 6 * np.eye(30)[0]
    covariance = (
        0.01 * np.eye(30) + 8.99 * np.outer(along, along) + 0.99 / 36 * np.outer(first, first)
    )
    precision, log_det = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]

    def two(values):
        here, there = values["x"] - first, values["x"] + first
        small = jnp.log(0.1) - 0.5 * there @ jnp.asarray(precision) @ there - 0.5 * log_det
        return jnp.logaddexp(jnp.log(0.9) - 0.5 * here @ here, small)

    rng = np.random.default_rng(0)
    starts = rng.normal(size=(4, 30)) + first
    starts[3] = rng.multivariate_normal(-first, covariance)
    model = infer.declared(two, {"x": bj.Real(shape=(30,))})
    run = infer.start(model, infer.NUTS(), starts={"x": starts}, key=1, progress=False).advance(50)
    assert run.warmup.relocated == ()
    assert (run.draws().positions[..., 0].mean(1) > 0).tolist() == [True, True, True, False]


def test_chains_are_relocated_only_within_their_data_set():
    """In programs of two chains, so that states move between programs."""
    share = begun_in_two_modes(0.01, infer.NUTS()).density.model
    models = [share.with_data(data={"share": s}) for s in (0.01, 1e-12, 0.01)]
    starts = {"x": np.tile(np.repeat([0.0, 20.0], 2)[:, None], 3)}
    run = infer.start(models, infer.NUTS(), starts=starts, group=2, key=3, progress=False)
    run.advance(10)
    assert run.warmup.relocated == (6, 7)
    assert sides(run) == [False, False, True, True, *[False] * 4, False, False, True, True]


def test_draws_before_a_relocation_do_not_enter_the_metric():
    """Draws of both modes together have a standard deviation of 10."""
    run = begun_in_two_modes(1e-12, infer.NUTS(rank=0)).warm_up()
    np.testing.assert_allclose(run.tuning.metric.scale, 1.0, rtol=0.3)


def test_a_run_resumed_in_warm_up_relocates_the_same_chains():
    whole = begun_in_two_modes(1e-12, infer.NUTS()).advance(5)
    began = begun_in_two_modes(1e-12, infer.NUTS())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(began.engine), "end_window", interrupting(began))
        with pytest.raises(KeyboardInterrupt):
            began.warm_up()
    state = pickle.loads(pickle.dumps(began.state))
    resumed = begun_in_two_modes(1e-12, infer.NUTS(), state=state).advance(5)
    same(resumed, whole)
    again = begun_in_two_modes(1e-12, infer.NUTS(), state=whole.state)
    assert again.warmup.relocated == resumed.warmup.relocated == whole.warmup.relocated == (2, 3)


def interrupting(run):
    """Interrupt at the end of the window after which chains would be relocated."""
    real = type(run.engine).end_window

    def end_window(self, *arguments):
        end = real(self, *arguments)
        if end.tuning.relocated:
            raise KeyboardInterrupt
        return end

    return end_window


def aimed_at(run):
    tuning = run.tuning.shared if isinstance(run.engine, infer.HMC) else run.tuning
    return float(tuning.target_acceptance)


@NUTS_ALONE
def test_divergences_in_warm_up_raise_the_target_acceptance(engine):
    """Every step beyond a wall diverges; a normal has no divergences."""

    def walled(values):
        x = values["x"]
        return jnp.where(x.min() > 0, -x.sum(), -jnp.inf)

    options = {"chains": 4, "warmup": 100, "progress": False}
    model = infer.declared(walled, {"x": bj.Real(shape=(2,))})
    run = infer.start(model, engine, starts={"x": np.ones(2)}, **options).warm_up()
    assert aimed_at(run) == 0.95
    assert aimed_at(infer.start(targets.normal(), engine, **options).warm_up()) == 0.8


def test_a_second_run_with_other_data_and_key_traces_nothing():
    """The model's function is not called again."""
    calls = []

    def counted(site, y):
        calls.append(site)
        mean = site("mean", dist.Normal(0.0, 1.0))
        site.derive("twice", 2 * mean)
        site.observe("y", dist.Normal(mean, 1.0), y)

    for key, y in enumerate(np.array([[1.0, 2.0], [3.0, 4.0]])):
        before = len(calls)
        model = infer.model(counted, y=y)
        infer.sample(model, chains=2, draws=5, warmup=20, key=key, progress=False)
    assert before > 0
    assert len(calls) == before


def test_the_loop_and_its_record_format_trace_the_model_once():
    calls = []

    def counted(site):
        calls.append(site)
        site("x", dist.Normal(0.0, 1.0))

    model = infer.model(counted)
    for group in (1, 2):
        infer.start(model, infer.NUTS(), chains=2, warmup=0, group=group, progress=False)
    # Once for the sites, once for the starts, and once for the loop, batched or not.
    assert len(calls) == 3


def being_compiled():
    return [made for made in native._kept.values() if isinstance(made, Future)]


def test_the_program_prepared_during_the_search_for_starts_is_the_one_that_runs(monkeypatch):
    counts = [
        infer.declared(lambda v: -0.5 * v["x"] ** 2, {"x": bj.Real()}),
        [targets.normal(mean=np.full(3, m)) for m in (0.0, 1.0)],
    ]
    for model in counts:
        monkeypatch.setattr(native, "_kept", OrderedDict())
        one = infer.start(model, infer.NUTS(), chains=2, warmup=20, progress=False)
        assert len(being_compiled()) == 1
        one.advance(2)
        assert not being_compiled()
        assert one.timing.trace > 0


def test_later_runs_start_no_more_threads():
    run(infer.NUTS(), threads=2).advance(3)
    before = threading.active_count()
    for key in range(3):
        run(infer.NUTS(), threads=2, key=key).advance(3)
    assert threading.active_count() == before
    assert collect._pool(2) is collect._pool(2)


def test_after_an_error_in_one_block_the_others_are_kept(monkeypatch):
    """Blocks in flight are kept, so the run goes on from there once the error is fixed."""
    straight = run(infer.NUTS(), warmup=0, threads=2).advance(30)
    failing = run(infer.NUTS(), warmup=0, threads=2)
    absorb, order, kept = collect.Group.absorb, collect.Group.order, []
    are_both_begun = threading.Barrier(2)

    def begin_both(self, *arguments):
        if not kept and threading.current_thread() is not threading.main_thread():
            are_both_begun.wait(60)
            # So that the other block fails first.
            time.sleep(0.5 * (self.chains[0] != 0))
        # So many ticks that there are draws.
        self.limit = 64
        return order(self, *arguments)

    def broken(self, *arguments):
        if self.chains[0] == 0:
            raise RuntimeError("broken")
        kept.append(absorb(self, *arguments))
        return kept[-1]

    with monkeypatch.context() as patch:
        patch.setattr(collect.Group, "absorb", broken)
        patch.setattr(collect.Group, "order", begin_both)
        with pytest.raises(RuntimeError, match="broken"):
            failing.advance(30)
        assert sum(kept) == failing.groups[1].drawn[0] > 0
    same(failing.advance(30), straight)
