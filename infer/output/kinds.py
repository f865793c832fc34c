"""Which kind of result a call returns, and that its engine gives results of that kind."""

from typing import Any

from ..engines.base import Engine
from ..errors import EngineError
from ..run.refusals import refuse_unless_engine

# Results that are not draws, and keep their findings.
FITTED = (
    "infer.output.fitted.approximation.Approximation",
    "infer.output.fitted.optimum.Optimum",
)


def refuse_unless_sampler(engine: Engine | None) -> None:
    """Raise if an engine is not a sampler."""
    refuse_unless_engine(engine)
    if engine is not None and engine.result != "draws":
        call = "maximize" if engine.result == "optimum" else "fit"
        raise EngineError(
            type(engine).__name__, "it is not a sampler", f"Call infer.{call}(model, ...)."
        )


def refuse_other_engines(engine: Any, kind: type[Engine], call: str) -> None:
    """Raise if an engine gives results of another kind than a call returns."""
    refuse_unless_engine(engine)
    if engine.result != kind.result:
        name = kind.__name__
        raise EngineError(
            type(engine).__name__,
            f"infer.{call} works only with {name}",
            f"Give infer.{name}(...), or call infer.sample(model, ...) for draws of the posterior.",
        )


def as_approximator(engine: Any, epochs: int | None) -> Any:
    """Return an engine that can hand over an approximation.

    Raises:
        EngineError: It cannot, or it has no epochs and their number is given.
    """
    from ..engines.approximating import Approximator

    refuse_unless_engine(engine)
    name = type(engine).__name__
    if not isinstance(engine, Approximator):
        raise EngineError(
            name,
            "infer.fit works only with engines that make approximations",
            "Give infer.ADVI(...), or call infer.sample(model, ...) for draws of the posterior.",
        )
    if epochs is not None and engine.unit != "epochs":
        raise EngineError(
            name, f"epochs={epochs} is given, but it has no epochs", "Leave out epochs=."
        )
    return engine
