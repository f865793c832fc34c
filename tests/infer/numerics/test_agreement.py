"""Warm-up may end early only if the chains agree and the metric whitens their draws."""

import equinox as eqx
import numpy as np
import pytest

import infer
from infer.numerics import agreement
from infer.numerics.agreement import is_settled, largest_rhat
from infer.numerics.hamiltonian import first_tuning
from infer.numerics.metric import Diagonal, LowRank
from infer.numerics.retune import retune

from .. import targets

SCALES = np.array([0.1, 1.0, 30.0])


def normal_window(chains=4, draws=200, shift=0.0):
    """Draw from independent normals, with scores; the first chain is shifted."""
    whitened = np.random.default_rng(0).normal(size=(chains, draws, 3))
    whitened[0] += shift
    return SCALES * whitened, -whitened / SCALES


def low_rank(scale):
    return LowRank(Diagonal(scale), np.zeros((3, 2)), np.zeros(2))


@pytest.mark.parametrize("metric", [Diagonal(SCALES), low_rank(SCALES)], ids=["diagonal", "low"])
def test_a_metric_is_settled_if_chains_agree_and_it_whitens_their_draws(metric):
    assert is_settled(metric, *normal_window())


@pytest.mark.parametrize(
    ("metric", "window"),
    [
        (Diagonal(np.ones(3)), normal_window()),
        (Diagonal(SCALES), normal_window(shift=2.0)),
        (Diagonal(SCALES), normal_window(chains=1)),
        (Diagonal(SCALES), normal_window(draws=3)),
    ],
    ids=["wrong scales", "a chain elsewhere", "one chain", "few draws"],
)
def test_a_metric_is_not_settled_if_chains_differ_or_draws_are_few_or_not_whitened(metric, window):
    assert not is_settled(metric, *window)


def test_a_low_rank_metric_is_not_settled_before_it_learned_the_correlations():
    whitened = np.random.default_rng(1).normal(size=(4, 200, 3))
    root = np.linalg.cholesky([[1, 0.95, 0], [0.95, 1, 0], [0, 0, 1]])
    draws, scores = whitened @ root.T, -whitened @ np.linalg.inv(root)
    scale = (draws.var((0, 1)) / scores.var((0, 1))) ** 0.25
    assert is_settled(Diagonal(scale), draws, scores)
    assert not is_settled(low_rank(scale), draws, scores)
    learned = low_rank(scale).learn(draws.reshape(-1, 3), scores.reshape(-1, 3))
    assert is_settled(learned, draws, scores)


def test_a_low_rank_metric_needs_twice_as_many_rows_as_coordinates_to_settle(monkeypatch):
    monkeypatch.setattr(agreement, "MAX_RHAT", np.inf)
    draws = np.random.default_rng(2).normal(size=(2, 60, 61))
    metric = LowRank(Diagonal(np.ones(61)), np.zeros((61, 2)), np.zeros(2))
    assert not is_settled(metric, draws, -draws)
    assert is_settled(metric.diagonal, draws, -draws)


def test_scales_alone_judge_a_metric_that_is_known():
    draws = np.random.default_rng(2).normal(size=(4, 60, 200))
    metric = LowRank(Diagonal(np.ones(200)), np.zeros((200, 2)), np.zeros(2))
    assert not is_settled(metric, draws, -draws)
    assert is_settled(metric, draws, -draws, is_known=True)
    assert not is_settled(metric, 2 * draws, -draws / 2, is_known=True)


def test_few_draws_do_not_replace_a_known_metric_that_whitens_them():
    draws = np.random.default_rng(3).normal(size=(4, 60, 200))
    stats = {"step_size_bar": np.ones((4, 60))}
    fresh = first_tuning(np.ones((4, 200)), None, 0.8, 2)
    for is_known in (True, False):
        tuning = eqx.tree_at(lambda t: t.settled, fresh, np.asarray(is_known))
        learned = retune(tuning, [draws], [-draws], stats, 2)
        assert (learned.metric is tuning.metric) == is_known
        assert learned.settled == is_known


def test_split_r_hat_equals_its_formula_and_detects_a_drift():
    draws, _ = normal_window(draws=20)
    halves = [half for chain in draws[..., 0] for half in (chain[:10], chain[10:])]
    within = np.mean([np.var(half, ddof=1) for half in halves])
    between = np.var([np.mean(half) for half in halves], ddof=1)
    assert largest_rhat(draws[..., :1]) == pytest.approx(np.sqrt(0.9 + between / within))
    drift = np.linspace(0, 5, 20)[:, None] + draws / SCALES
    assert largest_rhat(drift) > 1.5


def test_warm_up_ends_early_on_an_easy_target_only_if_allowed():
    def warmed(engine):
        options = {"chains": 4, "warmup": 300, "progress": False}
        return infer.start(targets.normal(), engine, **options).warm_up()

    early, full = warmed(infer.NUTS()), warmed(infer.NUTS(stop_early=False))
    assert early.warmup.draws < 250
    assert full.warmup.draws == 300
