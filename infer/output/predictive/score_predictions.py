"""Score predictions by data that were held out, in memory that batches bound."""

from typing import Any

import numpy as np
from jaxtyping import Array

from ...calls import check_arguments
from ...counts import as_whole
from ...density.gathers import check_indices
from ...errors import ModelError
from ...models.model import Model
from ...models.surroundings import renew
from ...models.survey import refuse_unless_model
from ..data.arviz import make_dataset
from .classes import Labels, find_labels, read_labels, refuse_other_classes
from .draw_source import DrawSource, find_draws
from .pointwise import outline_part
from .prediction_scores import PredictionScores
from .rowwise import Outline
from .same_groups import refuse_other_groups
from .streamed import PART, average, plan_rows


@check_arguments("infer.score_predictions")
def score_predictions(
    model: Model,
    posterior: Any,
    *,
    labels: str | None = None,
    classes: int | None = None,
    draws: int | None = None,
    batch_size: int | None = None,
    key: int | Array = 0,
) -> PredictionScores:
    """Score the predictions of all observations of a model, each averaged over the draws.

    For held-out data, give the model on them: `model.with_data(test)`. The score of a row is its
    log predictive density: the log of the mean of its likelihood over the draws. If the likelihood
    is that of a class, so are the probabilities of all classes, accuracy and calibration error.
    A row that NumPyro masks counts as one of density one; leave such rows out.

    Rows and draws are evaluated a few at a time, so that each program needs 16 MiB at most for
    what it computes, and only the averages are kept: 1000 draws of a network for 60,000 images
    need no more memory than one for a batch of them. Draws of an approximation are made when they
    are needed.

    Args:
        model: What a front end returned, on the data that are to be predicted.
        posterior: ArviZ data with a posterior of this model, such as `infer.sample` or
            `Approximation.sample(prune=0.75)` return; an `Approximation`; or an `Optimum`, for
            the predictions at the mode.
        labels: Name of the data that have the class of each row, as whole numbers from 0 on. By
            default data of whole numbers whose probabilities add up to one, if there are any.
        classes: Number of classes, if the data do not have all of them; needs `labels`.
        draws: Number of draws of an `Approximation`, by default 1000.
        batch_size: Number of rows at a time, by default as many as need 16 MiB for one draw.
        key: A seed or a JAX key for the draws of an `Approximation`.

    Returns:
        The scores; `print` them, or call their `plot` for a reliability diagram.

    Raises:
        ModelError: The model observes nothing, or no row, or gives its log likelihood as one number
            only; the posterior does not fit it; or the probabilities of the classes do not add up
            to one.
        RunError: A number of draws is given for a posterior that has its own.
    """
    refuse_unless_model(model)
    (model,) = renew([model])
    numbers = {"batch_size": batch_size, "classes": classes}
    batch_size, classes = (a if a is None else as_whole(n, a, 1) for n, a in numbers.items())
    outline = outline_part(model, PART)
    check_indices(model)
    _refuse_without_rows(outline)
    source = find_draws(posterior, draws, key, outline.sites)
    refuse_other_groups(model, outline.sites, posterior)
    column = _choose_labels(model, outline, source, labels, classes, batch_size)
    if column is not None:
        return _score_classes(model, outline, source, column, batch_size)
    scores = {
        n: average(plan_rows(model, outline, n), model, source, batch_size) for n in outline.rows
    }
    return PredictionScores(
        make_dataset(outline.dims, model.labels.coords, scores, ()), source.number
    )


def _refuse_without_rows(outline: Outline) -> None:
    for name, rows in outline.rows.items():
        if 0 in rows.shape:
            mend = "Give the model on the data that are to be predicted: model.with_data(...)."
            raise ModelError(name, f"it has shape {rows.shape}, so there is nothing to score", mend)


def _choose_labels(
    model: Model, outline: Outline, source: DrawSource, labels: str | None, classes: int | None,
    batch_size: int | None,
) -> Labels | None:  # fmt: skip
    """Return the data that have the classes of the only observation; `None` if it has none."""
    if labels is None and classes is not None:
        mend = "Name the data that have the classes: labels=."
        raise ModelError("classes", "their number is given without labels", mend)
    if len(outline.rows) > 1:
        if labels is None:
            return None
        found = f"the model has {len(outline.rows)} observations, and labels are those of one"
        raise ModelError("labels", found, "Leave labels= out: all observations are then scored.")
    rows = plan_rows(model, outline, next(iter(outline.rows)))
    if labels is None:
        return find_labels(rows, model, source, batch_size)
    return read_labels(rows, model, labels, classes)


def _score_classes(
    model: Model, outline: Outline, source: DrawSource, labels: Labels, batch_size: int | None
) -> PredictionScores:
    (name,) = outline.rows
    rows = labels.put_into(plan_rows(model, outline, name))
    log_probabilities = average(rows, model, source, batch_size)
    refuse_other_classes(labels, log_probabilities)
    own = log_probabilities[labels.values, np.arange(labels.values.size)]
    dataset = make_dataset(outline.dims, model.labels.coords, {name: own}, ())
    return PredictionScores(dataset, source.number, np.exp(log_probabilities).T, labels.values)
