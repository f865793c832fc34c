"""Refuse an engine that does not follow the contract, such as one written for an older one.

What the contract does not know would be ignored, and another density sampled without a word.
"""

from functools import cached_property
from inspect import Parameter, Signature, signature
from typing import Any

from ..errors import EngineError

_PLAN = "plan_warmup(chains, draws) returns a WarmupPlan, with the draws, windows and scout_draws"
_END = "end_window(tuning, recent, windows) returns a WindowEnd, with the next tuning, the windows"
_END += " still to come and the relocation of chains"
# Members of the contract before it had `needs` of type `Needs`, and what replaces them.
REPLACED = {
    "default_warmup": _PLAN,
    "warmup_for": _PLAN,
    "windows": _PLAN,
    "scouted": _PLAN,
    "retune": _END,
    "places": _END,
    "still": _END,
    "prepared": "first_tuning(target, positions, gradients) gets the target",
    "init_unvalued": "init(position, here) is called with or without a value, which is here.value",
    "finish": "tick returns draws that are final",
    "takes_minibatches": "the property needs returns Needs(exact=False)",
    "from_prior": "the property needs returns Needs(prior_starts=True)",
    "jacobian": "the property needs returns Needs(jacobian=False)",
    "has_epochs": 'unit: ClassVar = "epochs" says what progress counts; see Approximator',
}
# Values that the class attributes of the contract may have, if there are only a few.
CHOICES = {
    "result": ("draws", "optimum", "approximation"),
    "scope": ("chain", "population"),
    "unit": ("draws", "searches", "points", "epochs"),
}
PAGE = "docs/adding_an_engine.md has the contract."


def refuse_other_contract(engine: type, contract: type) -> None:
    """Raise if a class of engines has members that the contract does not call as they are.

    Args:
        engine: The class.
        contract: The class `Engine`.

    Raises:
        EngineError: A member has the name of one that an older contract had, or takes other
            arguments, or is of another kind than the contract's.
    """
    for name in REPLACED:
        if hasattr(engine, name):
            raise _replaced(engine, name)
    # Classes of engines among the bases have been checked.
    own = [kind for kind in engine.__mro__ if kind is engine or not issubclass(kind, contract)]
    for name, given in [member for kind in own for member in vars(kind).items()]:
        wanted = vars(contract).get(name)
        if name.startswith("_") or wanted is None:
            continue
        if isinstance(wanted, property):
            _refuse_plain_method(engine, name, given)
        elif callable(wanted):
            _refuse_other_signature(engine, name, given, wanted)
        else:
            _refuse_other_value(engine, name, given, wanted)


def refuse_other_instance(engine: Any, needs: type) -> None:
    """Raise if an engine has attributes of an older contract, or needs or a unit of another kind.

    Args:
        engine: An instance, whose class has been checked.
        needs: The class `Needs`.
    """
    for name in REPLACED.keys() & getattr(engine, "__dict__", {}).keys():
        raise _replaced(type(engine), name)
    if not isinstance(engine.needs, needs):
        raise EngineError(
            type(engine).__name__,
            f"its needs are {engine.needs!r}",
            f"Return infer.engines.base.Needs(...). {PAGE}",
        )
    if engine.result == "approximation":
        _refuse_other_value(type(engine), "unit", getattr(engine, "unit", "draws"), "draws")


def _replaced(engine: type, name: str) -> EngineError:
    return EngineError(
        engine.__name__,
        f"it has `{name}`, which an older contract of engines had and which would be ignored now",
        f"Instead, {REPLACED[name]}. {PAGE} If `{name}` is something of your own, give it another "
        "name.",
    )


def _refuse_plain_method(engine: type, name: str, given: Any) -> None:
    if not isinstance(given, property | cached_property) and callable(given):
        raise EngineError(
            engine.__name__, f"`{name}` is a method", f"Write @property above it. {PAGE}"
        )


def _refuse_other_value(engine: type, name: str, given: Any, wanted: Any) -> None:
    allowed = CHOICES.get(name)
    if isinstance(given, type(wanted)) and (allowed is None or given in allowed):
        return
    choices = f"one of {allowed}" if allowed else f"of type {type(wanted).__name__}"
    raise EngineError(
        engine.__name__,
        f"`{name}` is {given!r}",
        f"Write it as an attribute of the class: {name}: ClassVar = ..., {choices}. {PAGE}",
    )


def _refuse_other_signature(engine: type, name: str, given: Any, contract: Any) -> None:
    if _code_takes(given) == _code_takes(contract):
        return
    wanted = signature(contract)
    bound = _bind(given, engine)
    if not callable(bound):
        raise EngineError(
            engine.__name__, f"`{name}` is {given!r}", f"Write it as a method. {PAGE}"
        )
    try:
        found = signature(bound)
    except (TypeError, ValueError):
        # Not every callable says what it takes.
        return
    names = list(wanted.parameters)[1:]
    if not _accepts(found, list(wanted.parameters.values())[1:]):
        raise EngineError(
            engine.__name__,
            f"`{name}` takes {found}, but is called as {name}({', '.join(names)})",
            f"Let it take these arguments in this order; others must have a default. {PAGE}",
        )


def _code_takes(function: Any) -> Any:
    """Return what a plain function takes; reading its signature takes 20 times as long."""
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        return function
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names, code.co_flags & 12, function.__defaults__, function.__kwdefaults__


def _bind(given: Any, engine: type) -> Any:
    """Return a member as an instance would have it, unless that computes something."""
    is_computed = isinstance(given, property | cached_property) or not hasattr(given, "__get__")
    return given if is_computed else given.__get__(object(), engine)


def _accepts(found: Signature, wanted: list[Parameter]) -> bool:
    """Return whether a call by position works, with and without the optional arguments."""
    names = [parameter.name for parameter in wanted]
    fewest = sum(parameter.default is Parameter.empty for parameter in wanted)
    try:
        for count in range(fewest, len(wanted) + 1):
            found.bind(*names[:count])
    except TypeError:
        return False
    places = {name: place for place, name in enumerate(found.parameters)}
    return all(places.get(name, place) == place for place, name in enumerate(names))
