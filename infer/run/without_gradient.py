"""What samples a log density that has no gradient: the choice, and the refusal of other engines."""

from ..engines.base import Engine
from ..errors import EngineError


def choose_without_gradient(size: int) -> tuple[Engine, tuple[str, ...]]:
    """Choose a sampler that needs no gradient, and say why.

    Args:
        size: Length of the flat vector.
    """
    from ..engines.slice import Slice

    return Slice(), (
        "slice sampling: the model has no gradient (gradient=None), and this engine needs neither "
        "that nor a step size",
        f"a draw takes about {5 * size} evaluations, five for each of {size} coordinates; "
        "infer.RandomWalk() is cheaper if the posterior is nearly normal, and infer.DEMetropolis() "
        "moves between modes",
    )


def refuse_gradient_engine(engine: Engine) -> None:
    """Raise that an engine needs the gradient of a density that has none.

    Raises:
        EngineError: Always.
    """
    raise EngineError(
        type(engine).__name__,
        "it needs the gradient of the log density, and the model has none (gradient=None)",
        "Use infer.Slice(), infer.RandomWalk() or infer.DEMetropolis(), which need no gradient; or "
        'model.with_gradient("reverse") if JAX can differentiate it.',
    )
