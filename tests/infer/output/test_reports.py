"""Reports on a run: where transitions diverge, and where the time goes."""

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.errors import RunError

from .. import targets


def cliff(values):
    """A standard normal with a cliff in its first coordinate at 1."""
    x = values["x"]
    return -0.5 * (x**2).sum() - 1e6 * jnp.maximum(x[0] - 1.0, 0.0)


@pytest.fixture(scope="module", params=[infer.NUTS(rank=0), infer.HMC(rank=0)], ids=["NUTS", "HMC"])
def run(request):
    model = infer.declared(cliff, {"x": bj.Real(shape=(2,))})
    run = infer.start(model, request.param, chains=2, warmup=50, key=1, progress=False)
    return run.advance(300)


def test_divergences_begin_at_the_draw_before_and_end_where_the_energy_is_too_high(run):
    found = infer.explain_divergences(run, most=3)
    draws = run.draws()
    assert found.total == draws.stats["diverging"].sum() > 6
    assert len(found.chain) <= 6
    for chain, draw, start, end in zip(
        found.chain, found.draw, found.start["x"], found.end["x"], strict=True
    ):
        assert draws.stats["diverging"][chain, draw]
        np.testing.assert_array_equal(start, draws.positions[chain, draw - 1])
        # A thousand nats above the start: a thousandth beyond the cliff.
        assert end[0] > 1.0
    assert "x[0]" in str(found).split("\n")[1]


def test_a_run_without_divergences_is_reported_in_one_line():
    run = infer.start(targets.normal(), infer.NUTS(), chains=2, warmup=50, progress=False)
    assert str(infer.explain_divergences(run.advance(20))) == "0 of 40 transitions diverged."


def test_an_engine_without_divergences_is_refused():
    run = infer.start(targets.normal(), infer.MAP(space="constrained"), progress=False).advance(1)
    with pytest.raises(RunError, match="HMC or NUTS"):
        infer.explain_divergences(run)


def test_divergences_of_several_models_at_once_are_refused():
    run = infer.start([targets.normal()] * 2, infer.NUTS(), chains=2, progress=False)
    with pytest.raises(RunError, match="it has 2 models"):
        infer.explain_divergences(run)


def test_slowness_counts_every_gradient_and_adds_up(run):
    found = infer.why_slow(run)
    assert found.sampled == run.draws().stats["n_steps"].sum()
    assert found.warmed == run.warmup.gradients > 0
    assert sum(count for _, count in found.histogram) == 600
    assert found.gradient_seconds > 0
    assert "leapfrog steps per draw: up to" in str(found)
    assert found.gradient_share == pytest.approx(
        found.gradient_seconds * found.sampled / found.threads / run.timing.sampling
    )


def test_trajectories_cut_short_are_reported():
    engine = infer.NUTS(max_depth=1, step_size=0.01)
    run = infer.start(targets.normal(), engine, chains=1, warmup=0, progress=False).advance(20)
    found = infer.why_slow(run)
    assert found.at_limit == 1.0
    assert "cut short" in str(found)
