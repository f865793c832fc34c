"""The set of a variable of PyMC, from the transform by which PyMC would reach it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bijectors.base import Constraint
from bijectors.sets.bounds import GreaterThan, LessThan
from bijectors.sets.circular import Circular
from bijectors.sets.correlation_cholesky import CorrelationCholesky
from bijectors.sets.covariance import PositiveDefinite
from bijectors.sets.descending import Descending
from bijectors.sets.interval import Interval
from bijectors.sets.ordered import Ordered
from bijectors.sets.positive import Positive
from bijectors.sets.positive_ordered import PositiveOrdered
from bijectors.sets.real import Real
from bijectors.sets.simplex import Simplex
from bijectors.sets.zero_sum import ZeroSum

from ....errors import ModelError, warn_of_model
from .library import library
from .packed import PackedCholesky


class Reach(NamedTuple):
    """The set of a variable, whose bounds may depend on other variables.

    Attributes:
        make: Makes the set from the values of the bounds.
        bounds: The bounds, as variables of PyTensor.
        is_default: Whether it is what PyMC chooses for the distribution.
    """

    make: Callable[..., Constraint]
    bounds: tuple[Any, ...] = ()
    is_default: bool = True


def reach_of(name: str, variable: Any, transform: Any) -> Reach:
    """Find the set of a continuous variable.

    Args:
        name: Its name, for errors.
        variable: The random variable.
        transform: The transform that the model has for it; `None` for PyMC's default.

    Raises:
        ModelError: The transform has no translation.
    """
    transforms = library().pymc.distributions.transforms
    default = transforms._default_transform(variable.owner.op, variable)
    chosen = default if transform is None else transform
    if chosen is None:
        return Reach(Real)
    kind = next((k.__name__ for k in type(chosen).__mro__ if k.__name__ in _TABLE), None)
    if kind is None:
        raise ModelError(
            name,
            f"its transform {type(chosen).__name__} has no translation into a set",
            "Use one of PyMC's transforms of one step, or none: "
            f"{', '.join(k for k in _TABLE if k != 'CholeskyCovPacked')} are translated.",
        )
    reach = _TABLE[kind](chosen, variable, name)
    return reach._replace(is_default=_are_same(chosen, default, variable))


def _are_same(one: Any, other: Any, variable: Any) -> bool:
    """Return whether two transforms have the same image."""
    if type(one) is not type(other):
        return False
    bounds = [t.args_fn(*variable.owner.inputs) for t in (one, other) if hasattr(t, "args_fn")]
    return not bounds or all(a is b for a, b in zip(*bounds, strict=True))


def _interval(transform: Any, variable: Any, name: str) -> Reach:
    low, high = transform.args_fn(*variable.owner.inputs)
    as_tensor = library().pytensor.tensor.as_tensor_variable
    bounds = tuple(as_tensor(bound) for bound in (low, high) if bound is not None)
    if low is None:
        return Reach(LessThan if bounds else Real, bounds)
    return Reach(GreaterThan if high is None else Interval, bounds)


def _ordered(transform: Any, variable: Any, name: str) -> Reach:
    if transform.positive and not transform.ascending:
        raise ModelError(
            name,
            "its transform makes positive numbers that descend, a set without a map here",
            "Let them ascend, and reverse them where they are used.",
        )
    if transform.positive:
        return Reach(PositiveOrdered)
    return Reach(Ordered if transform.ascending else Descending)


def _correlation(transform: Any, variable: Any, name: str) -> Reach:
    if type(variable.owner.op).__name__ == "LKJCorrRV":
        # Its logp is the density of L L', and its transform's log_jac_det that of L.
        warn_of_model(
            name,
            "PyMC gives the Cholesky factor of a correlation matrix the density of the matrix, "
            "without the Jacobian between the two; so for three and more variables neither its "
            "draws nor ours have an LKJ distribution",
            "Use pymc.LKJCholeskyCov.",
        )
    return Reach(CorrelationCholesky)


def _zero_sum(transform: Any, variable: Any, name: str) -> Reach:
    axes: Sequence[int] = sorted(axis % variable.ndim for axis in transform.zerosum_axes)
    if list(axes) != list(range(variable.ndim - len(axes), variable.ndim)):
        raise ModelError(
            name, f"it sums to zero along the axes {axes}", "Let these be its last axes."
        )
    return Reach(lambda: ZeroSum(len(axes)))


_TABLE: dict[str, Callable[[Any, Any, str], Reach]] = {
    "LogTransform": lambda *_: Reach(Positive),
    "LogExpM1": lambda *_: Reach(Positive),
    "LogOddsTransform": lambda *_: Reach(lambda: Interval(0.0, 1.0)),
    "IntervalTransform": _interval,
    "SimplexTransform": lambda *_: Reach(Simplex),
    "SumTo1": lambda *_: Reach(Simplex),
    "CircularTransform": lambda *_: Reach(Circular),
    "Ordered": _ordered,
    "ZeroSumTransform": _zero_sum,
    "CholeskyCovPacked": lambda *_: Reach(PackedCholesky),
    "CholeskyCorrTransform": _correlation,
    "CholeskyCovTransform": lambda *_: Reach(PositiveDefinite),
}
