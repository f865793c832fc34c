"""An engine that does not follow the contract is refused, and not run without what it asks for."""

from dataclasses import dataclass
from functools import cached_property, partialmethod, wraps

import pytest

import bijectors as bj
import infer
from infer.engines.base import Engine, Needs
from infer.engines.contract import REPLACED


@pytest.mark.parametrize("name", REPLACED)
def test_a_member_of_the_old_contract_is_refused_when_the_class_is_made(name):
    with pytest.raises(infer.EngineError, match=rf"^Old: it has `{name}`.*Instead, .*contract"):
        type("Old", (infer.NUTS,), {name: property(lambda self: False)})


def test_a_member_of_the_old_contract_is_found_in_other_bases_too():
    class Mixin:
        jacobian = False

    with pytest.raises(infer.EngineError, match=r"Mixed: it has `jacobian`.*jacobian=False"):
        type("Mixed", (Mixin, infer.NUTS), {})


def test_a_setting_with_the_name_of_an_old_member_is_refused_before_sampling():
    @dataclass(frozen=True, kw_only=True)
    class Set(infer.NUTS):
        windows: int

    model = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
    with pytest.raises(infer.EngineError, match=r"Set: it has `windows`"):
        infer.sample(model, Set(windows=3))


def old_init(self, position, log_density, gradient):
    """Make a state, as an engine of the old contract did."""


def old_first_tuning(self, positions, gradients):
    """Make a tuning, as an engine of the old contract did."""


def swapped(self, target, key, tuning, state):
    """Take arguments of the contract in another order."""


@wraps(old_first_tuning)
def wrapped(*args):
    """Hide what it takes behind a decorator."""


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("init", old_init, r"takes \(position, log_density, gradient\).*init\(position, here\)"),
        ("first_tuning", old_first_tuning, r"first_tuning\(target, positions, gradients\)"),
        ("first_tuning", wrapped, r"first_tuning\(target, positions, gradients\)"),
        ("first_tuning", staticmethod(old_init), r"takes \(self, position"),
        ("plan_warmup", lambda self, chains: None, r"plan_warmup\(chains, draws\)"),
        ("plan_warmup", lambda self, chains, draws, more: None, r"plan_warmup\(chains, draws\)"),
        ("tick", swapped, r"in this order"),
        ("tick", None, r"`tick` is None.*method"),
    ],
)
def test_a_method_that_takes_other_arguments_is_refused(name, given, found):
    with pytest.raises(infer.EngineError, match=rf"^Other: .*{found}"):
        type("Other", (infer.NUTS,), {name: given})


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("needs", lambda self: Needs(), "@property"),
        ("scope", property(lambda self: "chain"), "attribute of the class"),
        ("scope", "chains", r"one of \('chain', 'population'\)"),
        ("result", "mode", "optimum"),
        ("without_value", None, "of type str"),
        ("examples", {}, "of type Examples"),
    ],
)
def test_a_member_of_another_kind_is_refused(name, given, found):
    with pytest.raises(infer.EngineError, match=rf"^Other: `{name}`.*{found}"):
        type("Other", (infer.NUTS,), {name: given})


def test_needs_of_another_type_are_refused_before_sampling():
    class Old(infer.NUTS):
        needs = frozenset({"value"})  # pyright: ignore

    with pytest.raises(infer.EngineError, match=r"Old: its needs are frozenset.*Needs"):
        infer.sample(infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()}), Old())


def test_a_unit_that_progress_does_not_know_is_refused_before_fitting():
    class Other(infer.Laplace):
        unit = "steps"  # pyright: ignore

    with pytest.raises(infer.EngineError, match=r"Other: `unit` is 'steps'.*'points', 'epochs'"):
        infer.fit(infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()}), Other())


def decorate(method):
    return wraps(method)(lambda *args: method(*args))


ALLOWED = {
    "scope": "population",
    "speed": 3,
    "needs": cached_property(lambda self: Needs()),
    "plan_warmup": lambda self, chains, draws=None, more=None: None,
    "reuse": lambda self, before, now: before,
    "tick": decorate(infer.NUTS.tick),
    "enter": staticmethod(lambda tuning, state, warming: state),
    "end_window": lambda self, *given: None,
    "init": partialmethod(infer.NUTS.init),
}


def test_other_names_more_defaults_and_decorators_are_allowed():
    assert issubclass(type("Follows", (infer.NUTS,), ALLOWED), Engine)
