"""Nested R-hat follows its definition, and distinguishes stuck groups from mixed ones."""

import numpy as np
import pytest
import xarray

import bijectors as bj
import infer
from infer.errors import RunError

SUPERCHAINS, EACH = 4, 8


def posterior(draws, shift=0.0):
    numbers = np.random.default_rng(0).normal(size=(SUPERCHAINS * EACH, draws, 3))
    numbers += shift * np.repeat(np.arange(SUPERCHAINS), EACH)[:, None, None]
    return {"posterior": xarray.Dataset({"x": (("chain", "draw", "place"), numbers)})}


def by_definition(numbers):
    """Compute the estimator with one loop for each sum."""
    groups = np.split(numbers, SUPERCHAINS)
    means = [np.mean([np.mean(chain) for chain in group]) for group in groups]
    spread = [
        np.var([np.mean(chain) for chain in group], ddof=1)
        + (np.mean([np.var(chain, ddof=1) for chain in group]) if len(group[0]) > 1 else 0.0)
        for group in groups
    ]
    return np.sqrt(1 + np.var(means, ddof=1) / np.mean(spread))


@pytest.mark.parametrize("draws", [1, 2, 20])
def test_nested_rhat_equals_the_estimator_written_out(draws):
    data = posterior(draws, shift=0.1)
    found = infer.nested_rhat(data, SUPERCHAINS)["x"]
    assert found.dims == ("place",)
    for place in range(3):
        expected = by_definition(data["posterior"]["x"].values[..., place])
        assert float(found[place]) == pytest.approx(expected, rel=1e-12)


def test_groups_that_disagree_are_detected_from_one_draw_a_chain():
    mixed = infer.nested_rhat(posterior(1), SUPERCHAINS)["x"]
    apart = infer.nested_rhat(posterior(1, shift=3.0), SUPERCHAINS, ["x"])["x"]
    assert (mixed < 1.3).all()
    assert (apart > 2).all()


@pytest.mark.parametrize("superchains", [1, 5, SUPERCHAINS * EACH])
def test_groups_that_do_not_divide_the_chains_are_refused(superchains):
    with pytest.raises(RunError, match="superchains"):
        infer.nested_rhat(posterior(1), superchains)


def test_nested_rhat_takes_the_result_of_sample():
    model = infer.declared(lambda v: -0.5 * v["x"] ** 2, {"x": bj.Real()})
    starts = {"x": np.repeat(np.linspace(-3, 3, 4), 4)}
    data = infer.sample(model, chains=16, draws=5, warmup=30, starts=starts, progress=False, key=0)
    assert float(infer.nested_rhat(data, 4)["x"]) < 1.5
