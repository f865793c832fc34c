"""How networks are trained by minibatches: which fits are, and their settings."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import EngineError
from .families.base import Family
from .families.mean_field import MeanField

CHOICES = {"estimator": ("path", "total"), "noise": ("local", "shared")}
# Draws per step, and standard deviations of the first distribution.
DRAWS, SCALE = 2, 0.01
# Steps in which the weight of the divergence rises, unless the epochs that are averaged begin
# earlier. At once, or within 500 steps, 17,610 weights with prior N(0, 0.1) of a network for 1400
# digits fall back to the prior. With 190,410 weights, prior N(0, 1), and 2100 steps in all, the
# held-out log likelihood of one seed is -0.110, -0.078, -0.059 and -0.053 nats per digit if the
# weight rises in 280, 700, 1050 and 1400 of them; see benchmarks/bayes_by_backprop.py.
WARMUP_STEPS = 2000


class Batches(NamedTuple):
    """How a fit to minibatches goes through the data.

    Attributes:
        rows: Rows of a minibatch, of all plates together.
        steps: Steps that see each row once.
        epochs: Maximum number of epochs; `None` for the engine's own.
        has_parts: Whether prior and likelihood can be evaluated apart.
        explain_shared_noise: Says why weights cannot be drawn for each row; `None` if they can.
    """

    rows: int
    steps: int
    epochs: int | None
    has_parts: bool
    explain_shared_noise: Callable[[], str | None] = lambda: "its rows are not known"


def is_training(estimator: str | None, family: Family, size: int, batches: Batches | None) -> bool:
    """Return whether a fit is trained: mean-field, of more coordinates than a minibatch has rows.

    Fewer coordinates are known well enough for steps in units of their standard deviations. A user
    who gives the estimator decides: "total" trains.

    Args:
        estimator: What the user gives; `None` for the default.
        family: The family.
        size: Length of the flat vector.
        batches: How the fit goes through the data; `None` if each step sees all of them.
    """
    if batches is None or estimator == "path":
        return False
    return estimator == "total" or (isinstance(family, MeanField) and size > batches.rows)


def refuse_settings(engine: Any) -> None:
    """Raise if a setting of `infer.ADVI` is not one of its values, or not positive."""
    for name, values in CHOICES.items():
        if (value := getattr(engine, name)) not in (None, *values):
            raise EngineError("ADVI", f"{name} is {value!r}", f"Choose one of {values}.")
    for name in ("batch", "learning_rate", "initial_scale", "tolerance", "epoch"):
        value = getattr(engine, name)
        if value is not None and not value > 0:
            raise EngineError("ADVI", f"{name} is {value}", "Give a positive number.")
    if engine.kl_warmup is not None and engine.kl_warmup < 0:
        raise EngineError("ADVI", f"kl_warmup is {engine.kl_warmup}", "Give 0 or more epochs.")


def choose_noise(noise: str | None, family: Family, batches: Batches | None) -> str | None:
    """Choose whether each row draws the weights of layers itself.

    Args:
        noise: What the user gives; `None` for the default.
        family: The family.
        batches: How a fit that is trained goes through the data; `None` for any other fit.

    Raises:
        EngineError: The user asks for it, and it is not possible.
    """
    if noise == "shared" or (noise is None and batches is None):
        return noise
    why: str | None = (
        "the fit is not one of mean field, trained by minibatches with whole gradients"
    )
    if batches is not None and batches.has_parts and isinstance(family, MeanField):
        why = batches.explain_shared_noise()
    if why and noise:
        raise EngineError("ADVI", f'noise is "local", but {why}', 'Give noise="shared".')
    return "shared" if why else "local"


def choose_settings(batches: Batches, epoch: int | None, epochs: int) -> dict[str, Any]:
    """Choose the settings of training, by their names in `infer.ADVI`.

    Args:
        batches: How the fit goes through the data.
        epoch: Steps per epoch, if the user gives them.
        epochs: Maximum number of epochs before those that are averaged.
    """
    epoch = batches.steps if epoch is None else epoch
    warmup = min(math.ceil(WARMUP_STEPS / epoch), epochs) if batches.has_parts else 0
    return {
        "estimator": "total",
        "epoch": epoch,
        "batch": DRAWS,
        "initial_scale": SCALE,
        "kl_warmup": warmup,
    }
