"""The verdict names scales that follow other coordinates, and the metric that learns them."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.output.judge.dependent_scales import measure_scales


def funnel(values):
    v, z = values["v"], values["z"]
    return -0.5 * ((v / 3) ** 2 + (z**2).sum() * jnp.exp(-v) + 4 * v)


def draw_funnel(rows):
    rng = np.random.default_rng(0)
    v = 3 * rng.normal(size=rows)
    z = np.exp(v / 2)[:, None] * rng.normal(size=(rows, 4))
    return np.column_stack([v, z])


def test_scales_of_a_funnel_follow_its_log_scale():
    positions = draw_funnel(1000)
    log_density = lambda x: funnel({"v": x[0], "z": x[1:]})  # noqa: E731
    found = measure_scales(positions, np.asarray(jax.vmap(jax.grad(log_density))(positions)))
    assert found is not None
    np.testing.assert_array_equal(found.children, [1, 2, 3, 4])
    np.testing.assert_array_equal(found.parents, [0])
    # exp(v / 2) between the quantiles of v at -1.645 and 1.645 sd.
    np.testing.assert_allclose(np.log(found.factor), 1.645 * 3, rtol=0.1)


def test_a_quarter_of_the_draws_gives_the_same_answer():
    positions = draw_funnel(1000)[::4]
    log_density = lambda x: funnel({"v": x[0], "z": x[1:]})  # noqa: E731
    found = measure_scales(positions, np.asarray(jax.vmap(jax.grad(log_density))(positions)))
    assert found is not None
    np.testing.assert_array_equal(found.children, [1, 2, 3, 4])
    np.testing.assert_array_equal(found.parents, [0])
    ends = np.quantile(positions[:, 0], [0.05, 0.95])
    np.testing.assert_allclose(np.log(found.factor), np.diff(ends)[0] / 2, rtol=0.05)


def test_scales_of_a_normal_and_of_draws_without_scores_follow_nothing():
    positions = np.random.default_rng(0).normal(size=(1000, 5)) @ np.tril(np.ones((5, 5)))
    precision = np.linalg.inv(np.tril(np.ones((5, 5))).T @ np.tril(np.ones((5, 5))))
    assert measure_scales(positions, -positions @ precision) is None
    assert measure_scales(positions, positions[:, :0]) is None


def find_kinds(model, engine):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        result = infer.sample(model, engine, key=0, progress=False)
    return {finding.kind: finding for finding in infer.verdict(result).findings}


@pytest.mark.slow
def test_the_verdict_proposes_the_hierarchical_metric_and_is_content_with_it():
    model = infer.declared(funnel, {"v": bj.Real(), "z": bj.Real(shape=(4,))})
    found = find_kinds(model, infer.NUTS(metric="euclidean"))
    assert found["dependent_scales"].sites == ("z[0]", "z[1]", "z[2]", "z[3]")
    assert 'infer.NUTS(metric="hierarchical")' in found["dependent_scales"].advice
    assert not find_kinds(model, infer.NUTS(metric="hierarchical"))
