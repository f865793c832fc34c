"""Scores of predictions: averages over draws, in batches, of densities and of probabilities."""

from functools import partial
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import log_softmax, logsumexp

import infer
from infer.output.data.arviz import make_dataset
from infer.output.predictive import streamed
from infer.output.predictive.prediction_scores import PredictionScores
from infer.programs import slices
from infer.programs.memory import count_peak_bytes

ROWS, DRAWS, CLASSES = 23, 7, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 2))
# A column of whole numbers that is no label, before the labels.
AGE = RNG.integers(0, 3, ROWS)
LABEL = np.append(RNG.integers(0, 2, ROWS - 1), 2)
W = RNG.normal(size=(1, DRAWS, 2, CLASSES))
PRIOR: Any = dist.Normal(0.0, 1.0)


def classify(site, age, x, y):
    w = site("w", PRIOR, shape=(2, CLASSES))
    with site.plate("row", len(y), minibatch=5) as rows:
        logits = x[rows] @ w + 0.1 * age[rows, None]
        site.observe("y", dist.Categorical(logits=logits), y[rows])


def log_likelihood(tree, data):
    logits = data["x"] @ tree["w"] + 0.1 * data["age"][:, None]
    return dist.Categorical(logits=logits).log_prob(data["y"])


def make_model(y=LABEL):
    return infer.model(classify, age=AGE, x=X, y=y)


def make_tree(y=LABEL):
    # What can be no labels is passed over.
    others = {"key": jax.random.key(0), "spin": 1j * AGE, "far": np.full(ROWS, np.inf)}
    data = {"age": AGE, "x": X, "y": y} | others
    blank = {"w": jax.ShapeDtypeStruct((2, CLASSES), float)}
    return infer.tree_model(blank, log_likelihood, {"w": infer.Leaf(PRIOR)}, data=data)


LOG_PROBABILITIES = log_softmax(X @ W[0] + 0.1 * AGE[:, None], axis=-1)
EXPECTED = logsumexp(LOG_PROBABILITIES, axis=0) - np.log(DRAWS)


def assert_as_expected(found):
    np.testing.assert_allclose(found.probabilities, np.exp(EXPECTED), rtol=1e-9)


@pytest.fixture(scope="module", params=[make_model, make_tree])
def scores(request):
    """The first model sees rows of a plate, and the second has no minibatch."""
    return infer.score_predictions(request.param(), {"w": W}, batch_size=4)


def test_probabilities_are_averages_over_draws(scores):
    assert_as_expected(scores)
    np.testing.assert_array_equal(scores.labels, LABEL)
    (own,) = scores.rows.data_vars.values()
    np.testing.assert_allclose(own, EXPECTED[np.arange(ROWS), LABEL], rtol=1e-9)


def test_the_score_of_a_row_is_the_log_of_its_mean_likelihood(scores):
    each = EXPECTED[np.arange(ROWS), LABEL]
    np.testing.assert_allclose(scores.log_density, each.sum(), rtol=1e-9)
    np.testing.assert_allclose(scores.log_density_se, np.sqrt(ROWS) * each.std(ddof=1))
    right = (EXPECTED.argmax(1) == LABEL).mean()
    np.testing.assert_allclose(scores.accuracy, right)
    assert f"accuracy {right:.3f}" in str(scores)


def test_memory_is_bounded_and_no_row_depends_on_the_slices(monkeypatch):
    needed, real = [], streamed.call_compiled

    def record(function, *arguments, static=()):
        program = jax.make_jaxpr(partial(function, *static))(*arguments)
        needed.append(count_peak_bytes(program))
        return real(function, *arguments, static=static)

    monkeypatch.setattr(streamed, "call_compiled", record)
    monkeypatch.setattr(slices, "MAX_BYTES", budget := 2**12)
    found = infer.score_predictions(make_tree(), {"w": W}, labels="y")
    assert_as_expected(found)
    # What adds the draws up needs a little more than the draws themselves.
    assert budget / 4 < max(needed) <= 2 * budget
    assert len(needed) > 5


RATE = {"rate": np.full((1, 2), 1.5)}


@pytest.fixture(scope="module")
def poisson_model():
    """Counts are whole numbers from 0 on, and no classes; there is no label to be found."""

    def counts(site, y):
        site.observe("y", dist.Poisson(site("rate", dist.Gamma(2.0, 1.0))), y)

    return infer.model(counts, y=np.arange(4))


@pytest.fixture(scope="module")
def poisson(poisson_model):
    return infer.score_predictions(poisson_model, RATE)


def test_counts_are_no_classes(poisson):
    assert poisson.probabilities is None
    expected = dist.Poisson(1.5).log_prob(np.arange(4)).sum()
    np.testing.assert_allclose(poisson.log_density, expected, rtol=1e-6)
    for asked in (lambda: poisson.accuracy, lambda: poisson.calibration_error, poisson.plot):
        with pytest.raises(infer.RunError, match="no classes are known: .*labels="):
            asked()


def test_classes_that_the_data_lack_are_named():
    few = make_tree(np.minimum(LABEL, 1))
    with pytest.raises(infer.ModelError, match="0 to 1 add up to .*Give classes="):
        infer.score_predictions(few, {"w": W}, labels="y", batch_size=4)
    found = infer.score_predictions(few, {"w": W}, labels="y", classes=3, batch_size=4)
    assert_as_expected(found)


MISTAKES = {
    "no such data": ({"labels": "z"}, "no data 'z'.*age, far, x, y"),
    "no classes": ({"labels": "x"}, r"x: it has shape \(23, 2\)"),
    "too few classes": ({"labels": "y", "classes": 2}, "values from 0 to 2"),
    "a number alone": ({"classes": 3}, "without labels"),
    "draws of draws": ({"draws": 3}, "the posterior has its own"),
    "no rows": ({"batch_size": 0}, "batch_size: 0 was given"),
}


@pytest.mark.parametrize(("given", "message"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_scored_is_refused(given, message):
    with pytest.raises((infer.ModelError, infer.RunError), match=message):
        infer.score_predictions(make_tree(), {"w": W}, **given)


def test_data_without_rows_are_refused(poisson_model):
    with pytest.raises(infer.ModelError, match=r"y: it has shape \(0,\).*nothing to score"):
        infer.score_predictions(poisson_model.with_data(y=np.arange(0)), RATE)


def test_a_row_of_density_zero_is_counted():
    rows = make_dataset({}, {}, {"y": np.array([-1.0, -np.inf, -2.0])}, ())
    found = PredictionScores(rows, 7)
    assert found.log_density == -np.inf
    assert np.isnan(found.log_density_se)
    assert str(found).endswith("; 1 of them with density zero in every draw")


def test_a_posterior_of_another_model_is_refused():
    with pytest.raises(infer.ModelError, match="w: the posterior has it with shape"):
        infer.score_predictions(make_tree(), {"w": W[..., 0]})


# Of 4 predictions of confidence 0.75, two are right; of 2 of confidence 0.95, both.
SURE = np.array([0.75] * 4 + [0.95] * 2)
HAND_MADE = PredictionScores(
    make_dataset({}, {}, {"y": np.log(SURE)}, ()),
    1,
    np.stack([SURE, 1 - SURE], 1),
    np.array([0, 0, 1, 1, 0, 0]),
)


def test_the_calibration_error_is_the_mean_gap_of_confidence_and_accuracy():
    np.testing.assert_allclose(HAND_MADE.calibration_error, (4 * 0.25 + 2 * 0.05) / 6)
    found = HAND_MADE.reliability()
    np.testing.assert_allclose(found.confidence, [0.75, 0.95])
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])
    np.testing.assert_array_equal(found.predictions, [4, 2])
    # At most none of the 4 is right with probability 0.004, and at most one with 0.0508.
    np.testing.assert_allclose(found.low, [0.25, 0.5])
    np.testing.assert_allclose(found.high, [1.0, 1.0])


def test_a_reliability_diagram_is_drawn():
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = HAND_MADE.plot()
    (line, points) = figure.axes[0].lines
    np.testing.assert_allclose(points.get_xydata(), [[0.75, 0.5], [0.95, 1.0]])
    plt.close(figure)
