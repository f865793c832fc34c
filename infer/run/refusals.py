"""Refuse, before anything compiles, what a run cannot carry out."""

from typing import Any

from ..density.base import LogDensity
from ..density.normal_prior import find_not_normal
from ..engines.base import Engine, Needs
from ..engines.contract import refuse_other_instance
from ..errors import EngineError
from .without_gradient import refuse_gradient_engine


def refuse_unless_engine(engine: Any) -> None:
    """Raise if what is given as the engine is not one.

    Raises:
        EngineError: It is a class, something else that is not an engine, or does not follow the
            contract.
    """
    if isinstance(engine, Engine):
        refuse_other_instance(engine, Needs)
    if engine is None or isinstance(engine, Engine):
        return
    simple = isinstance(engine, str | int | float | type)
    found = repr(engine) if simple else f"a {type(engine).__name__}"
    raise EngineError(
        "engine",
        f"{found} is given, which is not an engine",
        f"Make one: infer.{engine.__name__}(...)."
        if isinstance(engine, type) and issubclass(engine, Engine)
        else "Give infer.NUTS() or another engine, and numbers by name, such as draws=1000.",
    )


def refuse_unless_offered(density: LogDensity, engine: Engine) -> None:
    """Raise if an engine needs what the density does not offer.

    Raises:
        EngineError: Something is missing, or the flat vector is empty.
    """
    missing = engine.needs.missing(density.offers)
    if "gradient" in missing:
        refuse_gradient_engine(engine)
    if missing == {"value"}:
        _refuse_unvalued(density, engine)
    if missing == {"parts"}:
        _refuse_without_prior(density, engine)
    if missing == {"normal_prior"}:
        _refuse_other_priors(density, engine)
    if missing:
        raise EngineError(
            type(engine).__name__,
            f"it needs the density's {', '.join(sorted(missing))}, which the model does not offer",
            "Choose an engine that does not need it.",
        )
    if "minibatch" in density.offers and engine.needs.exact:
        raise EngineError(
            type(engine).__name__,
            "the model has a minibatch, so its log density is a new random estimate at every step, "
            "which this engine would take for the posterior's",
            "Choose ADVI, or MAP with a first-order optimizer such as optax.adam(0.01), or "
            'BlackJAX("sgld", step_size=...); or use all rows, with minibatch=None.',
        )
    if density.size == 0:
        raise EngineError(
            type(engine).__name__,
            "the flat vector has length 0, because the constraint of every latent site allows only "
            "one value",
            "Add a latent site with at least one free coordinate.",
        )


def _refuse_unvalued(density: LogDensity, engine: Engine) -> None:
    names = ", ".join(map(repr, density.unvalued))
    own = engine.without_value
    others = [text for text in _all_without_value() if text != own]
    raise EngineError(
        type(engine).__name__,
        f"it needs the value of the log density, but the prior of {names} is known by its score "
        "alone",
        f"Use {' or '.join(filter(None, [own, ', '.join(others)]))}.",
    )


def _refuse_without_prior(density: LogDensity, engine: Engine) -> None:
    names = ", ".join(map(repr, density.without_prior))
    raise EngineError(
        type(engine).__name__,
        f"it moves draws from the prior to the posterior, but {names} has a constraint and no "
        "prior",
        "Give it a prior, or choose an engine that needs none, such as NUTS().",
    )


def _refuse_other_priors(density: LogDensity, engine: Engine) -> None:
    names = ", ".join(map(repr, find_not_normal(density.latent)))
    raise EngineError(
        type(engine).__name__,
        f"it needs a normal prior in the flat vector, but the prior of {names} is not normal there",
        "Give mean= and covariance= of the flat vector, or use NUTS(), HMC() or "
        'BlackJAX("adjusted_mclmc").',
    )


def choose_starts(engine: Engine, starts: Any) -> Any:
    """Return the user's choice of starting points, or the engine's default.

    Raises:
        EngineError: The user chose, but the engine always begins with draws from the prior.
    """
    if engine.needs.prior_starts and starts not in (None, "prior"):
        raise EngineError(
            type(engine).__name__,
            f"starts={starts!r} is given, but this engine begins with draws from the prior",
            "Leave out starts.",
        )
    return ("prior" if engine.needs.prior_starts else "uniform") if starts is None else starts


def _all_without_value() -> list[str]:
    kinds, found = [Engine], []
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found += [kind.without_value] * bool(kind.without_value)
    return sorted(set(found))
