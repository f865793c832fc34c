"""A native program that computes wrong numbers is left at the first draw."""

from collections import OrderedDict
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.density.disagreement import Recorded, find_disagreement
from infer.density.family import singleton
from infer.density.points import evaluate_lanes
from infer.output.judge.native_form import find_wrong_native_form
from infer.programs import loops, numpy_rules, switch
from infer.programs.native import CompiledProgram
from infer.run import self_check
from infer.run.run import Run

# What the wrong sums are multiplied by.
FACTOR = 1.1
GROUP = np.array([0, 0, 1, 2, 2, 2])


def log_density(values, data):
    levels = values["x"][data["group"]]
    return -0.5 * jnp.sum((levels - data["mean"]) ** 2)


def make(mean):
    """Make a model whose gradient is a sum over groups, which the native form rewrites."""
    data = {"group": GROUP, "mean": np.full(len(GROUP), mean)}
    return infer.declared(log_density, {"x": bj.Real(shape=(3,))}, data=data)


@pytest.fixture
def new_programs(monkeypatch):
    """Compile every program again, and keep none for other tests."""
    monkeypatch.setattr("infer.programs.native._kept", OrderedDict())
    monkeypatch.setattr("infer.programs.cached._chosen", [None])
    monkeypatch.setattr("infer.density.slopes._known", OrderedDict())
    monkeypatch.setattr(switch, "_chosen", [])


@pytest.fixture
def wrong_sums(monkeypatch, new_programs):
    entry = loops.TABLE["scatter-add"]

    def rule(equation):
        loop = entry.rule(equation)
        return loop and (lambda *operands: FACTOR * loop(*operands))

    monkeypatch.setitem(loops.TABLE, "scatter-add", entry._replace(rule=rule))


def test_a_wrong_rewrite_is_found_at_the_first_draw_and_left(wrong_sums):
    # The gradients at the starts are wrong as well, but the model is not blamed for it.
    run = infer.start(make(1.0), infer.NUTS(), chains=2, warmup=0, progress=False)
    run.advance(1)
    assert not run.plan.is_native
    assert not switch.is_native_allowed()
    positions = np.arange(6.0).reshape(2, 3)
    begun = self_check._begin_at(run, run.warmup, positions)
    slopes = -(positions - 1.0) * [2, 1, 3]
    leaves = [leaf for group in begun.groups for leaf in jax.tree.leaves(group.state.unpack())]
    assert any(np.array_equal(np.atleast_2d(leaf), slopes) for leaf in leaves)
    (finding,) = find_wrong_native_form(run)
    assert finding.kind == "wrong_native_form"
    assert "the native form computed wrong numbers: entry 0 of its gradient" in finding.found
    assert "infer.native(False)" in finding.advice


def test_starts_that_a_wrong_rewrite_makes_infinite_are_not_blamed_on_the_model(
    wrong_sums, monkeypatch
):
    monkeypatch.setattr(f"{__name__}.FACTOR", np.nan)
    with pytest.raises(infer.StartError, match=r"terms are, if .*otherwise\. .*native\(False\)"):
        infer.start(make(1.0), infer.NUTS(), chains=2, warmup=0, progress=False)


def test_a_wrong_rewrite_that_is_finite_at_the_start_alone_is_found(new_programs, monkeypatch):
    """Each proposal is NaN and rejected, so all draws are the start, whose numbers are right."""
    entry = loops.TABLE["scatter-add"]

    def rule(equation):
        loop = entry.rule(equation)
        return loop and (lambda *own: loop(*own) + jnp.where(own[2].any(), jnp.nan, 0))

    monkeypatch.setitem(loops.TABLE, "scatter-add", entry._replace(rule=rule))
    starts = {"x": np.ones((2, 3))}
    options = {"chains": 2, "warmup": 0, "starts": starts, "progress": False}
    run = infer.start(make(1.0), infer.NUTS(), **options).advance(1)
    assert not run.plan.is_native
    (finding,) = find_wrong_native_form(run)
    assert "of its gradient" in finding.found


@pytest.mark.slow
def test_chains_that_are_stuck_by_the_model_are_not_blamed_on_the_native_form(new_programs):
    point = lambda values: jnp.where(jnp.all(values["x"] == 1), 0.0, -jnp.inf)  # noqa: E731
    model = infer.declared(point, {"x": bj.Real(shape=(3,))})
    starts = {"x": np.ones((2, 3))}
    run = infer.start(model, infer.NUTS(), chains=2, warmup=0, starts=starts, progress=False)
    assert run.advance(1).plan.is_native


def test_a_check_that_was_interrupted_is_made_later(new_programs, monkeypatch):
    run = infer.start(make(1.0), infer.NUTS(), chains=2, warmup=0, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(self_check, "_collect_until_moved", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.advance(1)
    monkeypatch.setattr(self_check, "find_disagreement", found := Mock(return_value=""))
    run.advance(1)
    assert found.called


def test_chains_whose_first_steps_are_too_long_are_compared_once_they_have_moved(
    new_programs, monkeypatch
):
    monkeypatch.setattr(self_check, "find_disagreement_nearby", nearby := Mock())
    run = infer.start(make(1.0), infer.NUTS(step_size=300.0), chains=2, progress=False)
    run.warm_up()
    assert not nearby.called


@pytest.mark.slow
def test_after_a_wrong_rewrite_the_draws_are_right(wrong_sums):
    with pytest.warns(infer.SamplingWarning, match="report it"):
        result = infer.sample(make(1.0), key=1, warmup=60, draws=100, progress=False)
    assert result.attrs["native_loop"] == 0
    assert "wrong_native_form" in [own.kind for own in infer.verdict(result).findings]
    # Six standard errors of 200 effective draws.
    assert np.abs(result["posterior"]["x"].values.mean((0, 1)) - 1).max() < 6 / np.sqrt(200)


def test_rounding_errors_of_the_ordinary_form_are_no_disagreement():
    # Rounding a number near 5 changes the sine's argument by 1e-5.
    fast = lambda values: jnp.sum(jnp.sin(1e10 * values["x"]))  # noqa: E731
    family = singleton(infer.log_density(infer.declared(fast, {"x": bj.Real(shape=(3,))})))
    at = evaluate_lanes(family, np.arange(6.0).reshape(2, 3))
    off_by = lambda error: Recorded(at.positions, at.log_densities + error, at.gradients)  # noqa: E731
    assert not find_disagreement(family, off_by(2e-5))
    assert "its log density at a draw" in find_disagreement(family, off_by(2e-2))


def test_a_density_that_rounding_makes_infinite_is_no_disagreement():
    edge = lambda values: jnp.where(jnp.sin(1e10 * values["x"]) > 0, 0.0, -jnp.inf)  # noqa: E731
    family = singleton(infer.log_density(infer.declared(edge, {"x": bj.Real()})))
    # The sine of a multiple of pi is zero but for rounding.
    at = evaluate_lanes(family, np.pi * 1e-10 * np.array([[4e10], [0.5]]))
    other = np.where(np.isfinite(at.log_densities), -np.inf, 0.0)
    first = Recorded(at.positions, np.where([True, False], other, at.log_densities), at.gradients)
    assert not find_disagreement(family, first)
    assert "is -inf instead of 0" in find_disagreement(family, first._replace(log_densities=other))


def test_a_wrong_rule_of_numpy_does_not_end_the_native_form(monkeypatch, new_programs):
    rules = numpy_rules.RULES | {"mul": lambda a, b, **_: 1.1 * a * b}
    monkeypatch.setattr("infer.programs.by_numpy.RULES", rules)
    run = infer.start(make(1.0), infer.NUTS(), chains=2, warmup=0, progress=False).advance(1)
    assert run.plan.is_native
    assert run.why_not_native is None


def test_each_program_is_checked_once_and_all_draws_are_kept(monkeypatch, new_programs):
    checked, find = [], self_check.find_disagreement
    monkeypatch.setattr(
        self_check, "find_disagreement", lambda *both: checked.append(both) or find(*both)
    )
    start = lambda mean: infer.start(  # noqa: E731
        make(mean), infer.NUTS(), chains=2, warmup=0, progress=False, key=4
    )
    first = start(1.0).advance(5)
    assert len(checked) == 1
    again = start(1.0).advance(2).advance(3)
    assert len(checked) == 1
    np.testing.assert_array_equal(first.draws().positions, again.draws().positions)
    start(2.0).advance(1)
    assert len(checked) == 1


def test_draws_that_were_read_from_a_store_are_not_compared(new_programs):
    """They lack gradients, and a chain may be ahead of another."""
    run = infer.start(make(1.0), infer.NUTS(), chains=2, warmup=0, progress=False, key=4).advance(5)
    width = run.format.width
    for group, lost in zip(run.groups, (2, 0), strict=True):
        for own in group.rows:
            own[:] = [np.concatenate(own)[: 5 - lost]]
            own[0][:, width : width + run.format.gradient_width] = np.nan
        group.drawn = group.drawn - lost
    for draws in (5, 8):
        run.is_unchecked = True
        run.advance(draws - run.fewest())
        assert not run.why_not_native


def test_the_native_form_can_be_turned_off(monkeypatch):
    monkeypatch.setattr(switch, "_chosen", [])
    monkeypatch.setenv("PUSHFORWARD_NATIVE", "off")
    assert not switch.is_native_allowed()
    assert infer.native()
    assert switch.is_native_allowed()
    assert not infer.native(False)
    monkeypatch.setattr(Run, "_compile", lambda run: pytest.fail("this test compiles nothing"))
    from infer.run.blocks import compile_loop

    run = infer.start(make(1.0), infer.NUTS(), chains=2, warmup=0, progress=False)
    made, _ = compile_loop(run.engine, run.family, run.warmup, run.plan)
    assert not isinstance(made, CompiledProgram)
    assert made.reason == "it is turned off, by infer.native(False) or PUSHFORWARD_NATIVE"


def test_a_density_of_too_many_operations_is_compared_without_numpy(monkeypatch):
    monkeypatch.setattr("infer.density.disagreement.MOST_EQUATIONS", 1)
    by_numpy = Mock()
    monkeypatch.setattr("infer.density.disagreement.evaluate_by_numpy", by_numpy)
    family = singleton(infer.log_density(make(1.0)))
    at = evaluate_lanes(family, np.arange(6.0).reshape(2, 3))
    assert not find_disagreement(family, Recorded(*at[:3]))
    wrong = Recorded(at.positions, at.log_densities, 1.1 * at.gradients)
    assert "of its gradient" in find_disagreement(family, wrong)
    assert not by_numpy.called
