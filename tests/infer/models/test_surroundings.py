"""What a model reads besides its arguments is compared: any change of it is seen, or nothing is."""

import contextlib
import dataclasses
import enum
import functools
import os
import random
import sys
import time
import types
from collections import OrderedDict, defaultdict, deque
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas
import pytest

import infer
from infer.density.family import make_family
from infer.models.surroundings import _is_known, describe_surroundings


def of(function):
    """Return the program of a model with a term that calls a function of no argument."""

    def model(site):
        site.factor("term", site("x", dist.Normal(0.0, 1.0)) * function())

    return infer.model(model).program


class Holder:
    scale = 1.0

    def __init__(self, scale=1.0):
        self.own = scale

    @property
    def read(self):
        return GLOBAL * self.own

    @functools.cached_property
    def cached(self):
        return GLOBAL

    @classmethod
    def of_class(cls):
        return GLOBAL * cls.scale

    @staticmethod
    def of_none():
        return GLOBAL

    def __call__(self):
        return GLOBAL


class Answering:
    """Has every attribute that it is asked for."""

    def __getattr__(self, name):
        return GLOBAL


class Slotted:
    __slots__ = ("scale",)

    def __init__(self):
        self.scale = 1.0


class Inheriting(Holder, list):
    pass


class Module(eqx.Module):
    scale: float = 1.0

    def __call__(self):
        return GLOBAL * self.scale


@dataclasses.dataclass
class Data:
    scale: float = 1.0
    parts: list = dataclasses.field(default_factory=list)

    def read(self):
        return GLOBAL


class Kind(enum.Enum):
    ONE = 1.0

    def read(self):
        return GLOBAL


def observing(site, y):
    site.observe("y", dist.Normal(site("x", dist.Normal(0.0, 1.0)) + GLOBAL, 1.0), y)


GLOBAL = 1.0
HELD, SLOTTED, INHERITING, ANSWERING = Holder(), Slotted(), Inheriting(), Answering()
ARRAY, JAX_ARRAY = np.ones(3), jnp.ones(3)
LIST, DICT, SET, QUEUE = [1.0], {"scale": 1.0}, {1.0}, deque([1.0])
DEFAULT, ORDERED = defaultdict(float), OrderedDict(a=1.0)
SERIES, WORDS, MANY = pandas.Series([1.0, 3.0]), np.array([1.0, "a"], object), [[1.0]] * 12_000
CYCLE: list[Any] = [1.0]
CYCLE.append(CYCLE)
SHARED: list[Any] = functools.reduce(lambda inner, _: [inner, inner], range(60), [1.0])
LARGE = np.ones(2**21 + 1)
JAX_LARGE = jnp.array(LARGE)
NAMESPACE, TABLE = types.SimpleNamespace(scale=1.0), {"link": jnp.exp}
FRACTION = Fraction(1, 2)
LINK = jnp.exp
PARTIAL = functools.partial(lambda scale, offset=0.0: scale + offset, 1.0, offset=0.0)
MODULE: Any = types.ModuleType("of_the_user")
vars(MODULE).update(scale=1.0, inner=types.ModuleType("of_the_user.inner"))
vars(MODULE.inner)["scale"] = 1.0


def helper():
    return GLOBAL


def helper_of_helper():
    return helper()


def with_default(scale=ARRAY):
    return scale[0]


def returns_attribute():
    return with_attribute.scale


with_attribute: Any = returns_attribute
with_attribute.scale = 1.0


@functools.cache
def cached():
    return GLOBAL


@jax.jit
def jitted():
    return GLOBAL


@contextlib.contextmanager
def context():
    yield GLOBAL


def within():
    with context() as own:
        return own


def decorated(function):
    return lambda: function()


@functools.wraps(jnp.exp)
def with_name_of_jax():
    return GLOBAL


def generated():
    return sum(value for value in LIST)


def inner():
    return (lambda: [GLOBAL for _ in range(1)])()[0]


def looked_up():
    return getattr(HELD, "o" + "wn")


def set_in(holder, value, name="scale"):
    return lambda: setattr(holder, name, value)


def set_global(name, value):
    return lambda: globals().__setitem__(name, value)


def make_closure():
    scale = 1.0

    def change():
        nonlocal scale
        scale = 2.0

    return (lambda: scale), change


closure, change_closure = make_closure()
executed: Any = None
exec("def executed(): return GLOBAL")

to_two = set_global("GLOBAL", 2.0)
CHANGES = {
    "a global": (lambda: GLOBAL, to_two),
    "a global of a helper": (helper, to_two),
    "a global of a helper's helper": (helper_of_helper, to_two),
    "a helper": (helper_of_helper, set_global("helper", lambda: 2.0)),
    "a global in an inner function": (inner, to_two),
    "a global of a jitted function": (lambda: jitted(), to_two),
    "a global of a cached function": (lambda: cached(), to_two),
    "a global of a context": (within, to_two),
    "a global of a decorated function": (decorated(helper), to_two),
    "a global of a function without source": (lambda: executed(), to_two),
    "a global of a function with the name of JAX's": (lambda: with_name_of_jax(), to_two),
    "a global of a property": (lambda: HELD.read, to_two),
    "a global of a cached property": (lambda: HELD.cached, to_two),
    "a global of a class method": (lambda: Holder.of_class(), to_two),
    "a global of a static method": (lambda: HELD.of_none(), to_two),
    "a global of a call": (lambda: HELD(), to_two),
    "a global of a bound method": (HELD.of_none, to_two),
    "a global of an object": (HELD, to_two),
    "a global of an object's missing attribute": (lambda: ANSWERING.other, to_two),
    "a global of a module of Equinox": (Module(), to_two),
    "a global of a data class": (Data().read, to_two),
    "a global of a member": (lambda: Kind.ONE.read(), to_two),
    "a closure": (closure, change_closure),
    "a default in place": (with_default, lambda: ARRAY.__setitem__(0, 2.0)),
    "a default": (with_default, set_in(with_default, (2 * ARRAY,), "__defaults__")),
    "an attribute of a function": (with_attribute, set_in(with_attribute, 2.0)),
    "code": (helper, set_in(helper, (lambda: 2.0).__code__, "__code__")),
    "a class": (lambda: HELD.scale, set_in(Holder, 2.0)),
    "a base class": (lambda: INHERITING.scale, set_in(Holder, 2.0)),
    "an object": (lambda: HELD.own, set_in(HELD, 2.0, "own")),
    "an attribute by a computed name": (looked_up, set_in(HELD, 2.0, "own")),
    "an object with slots": (lambda: SLOTTED.scale, set_in(SLOTTED, 2.0)),
    "an object that is a list": (lambda: INHERITING[-1], lambda: INHERITING.append(2.0)),
    "an array": (lambda: ARRAY.sum(), lambda: ARRAY.__setitem__(0, 2.0)),
    "an array of objects": (lambda: WORDS[0], lambda: WORDS.__setitem__(0, 2.0)),
    "a large array": (lambda: LARGE.sum(), lambda: LARGE.__setitem__(-1, 2.0)),
    "a large array of JAX": (lambda: JAX_LARGE.sum(), set_global("JAX_LARGE", jnp.array(LARGE))),
    "a column": (lambda: SERIES.sum(), lambda: SERIES.__setitem__(0, 2.0)),
    "another column": (lambda: SERIES.sum(), set_global("SERIES", pandas.Series([2.0, 3.0]))),
    "many lists": (lambda: len(MANY), lambda: MANY.__setitem__(-1, [2.0])),
    "a list within itself": (lambda: CYCLE[0], lambda: CYCLE.__setitem__(0, 2.0)),
    "a list of 2^60 paths": (lambda: len(SHARED), lambda: SHARED.__setitem__(0, [])),
    "an array of JAX": (lambda: JAX_ARRAY.sum(), set_global("JAX_ARRAY", jnp.ones(3) * 2)),
    "a list": (generated, lambda: LIST.append(2.0)),
    "a dictionary": (lambda: DICT["scale"], lambda: DICT.update(scale=2.0)),
    "the order of a dictionary": (lambda: DICT, lambda: DICT.update(scale=DICT.pop("scale"), b=1)),
    "a set": (lambda: sum(SET), lambda: SET.add(2.0)),
    "a queue": (lambda: QUEUE[0], lambda: QUEUE.appendleft(2.0)),
    "a dictionary with a default": (lambda: DEFAULT["a"], lambda: DEFAULT.update(a=1.0)),
    "an ordered dictionary": (lambda: ORDERED["a"], lambda: ORDERED.update(a=2.0)),
    "a namespace": (lambda: NAMESPACE.scale, set_in(NAMESPACE, 2.0)),
    "a fraction": (lambda: float(FRACTION), set_global("FRACTION", Fraction(1, 3))),
    "a function of JAX": (lambda: LINK(1.0), set_global("LINK", jnp.sin)),
    "a function of JAX in a table": (
        lambda: TABLE["link"](1.0),
        lambda: TABLE.update(link=jnp.sin),
    ),
    "a partial": (lambda: PARTIAL(), set_global("PARTIAL", functools.partial(PARTIAL, offset=2.0))),
    "a module": (lambda: MODULE.scale, set_in(MODULE, 2.0)),
    "a module in a module": (lambda: MODULE.inner.scale, set_in(MODULE.inner, 2.0)),
    "a module under another name": (lambda: (own := MODULE) and own.scale, set_in(MODULE, 2.0)),
    "a function of NumPy that is replaced": (lambda: np.exp(1.0), set_in(np, np.sin, "exp")),
    "a distribution that is replaced": (
        lambda: dist.Cauchy(),
        set_in(dist, dist.Laplace, "Cauchy"),
    ),
    "which of two equal lists": (
        lambda: (LIST, QUEUE, LIST),
        lambda: globals().update(QUEUE=LIST),
    ),
    "the environment": (lambda: os.environ["HOME"], lambda: None),
    "a file": (lambda: open(__file__), lambda: None),  # noqa: SIM115
    "a file of NumPy": (lambda: np.load("x"), lambda: None),
    "the time": (lambda: time.time(), lambda: None),
    "random numbers": (lambda: random.random(), lambda: None),
    "random numbers of NumPy": (lambda: np.random.normal(), lambda: None),
    "all globals": (lambda: globals()["GLOBAL"], lambda: None),
}


@pytest.fixture
def unchanged():
    """Restore what the changes of this file change."""
    known: Any = globals(), vars(np), vars(dist)
    before = [dict(own) for own in known]
    parts = {name: vars(own).copy() for name, own in (("Holder", Holder), ("HELD", HELD))}
    code, defaults = helper.__code__, with_default.__defaults__
    yield
    for own, earlier in zip(known, before, strict=True):
        own.update(earlier)
    helper.__code__, with_default.__defaults__ = code, defaults
    Holder.scale, HELD.own = parts["Holder"]["scale"], parts["HELD"]["own"]
    SLOTTED.scale = with_attribute.scale = NAMESPACE.scale = MODULE.scale = MODULE.inner.scale = 1.0
    ARRAY[0] = WORDS[0] = SERIES[0] = LARGE[-1] = 1.0
    MANY[-1], SHARED[0], CYCLE[0] = MANY[0], SHARED[1], 1.0
    del LIST[1:], INHERITING[:]
    DICT.clear()
    DICT.update(scale=1.0)
    SET.discard(2.0)
    DEFAULT.clear()
    ORDERED["a"], TABLE["link"] = 1.0, jnp.exp


def is_followed(function):
    return describe_surroundings(of(function)).is_whole


# These are not described as a whole, so that their models are traced.
VARYING = "the environment", "a file", "the time", "random numbers", "all globals"
NOT_FOLLOWED = {
    name for name in CHANGES if name.startswith(VARYING) or name == "a module under another name"
}
# These are compared in one process, but not described for others.
OF_ONE_PROCESS = {"a large array", "a large array of JAX", "a column", "another column"}


def counting():
    global COUNT
    COUNT += 1
    return GLOBAL


COUNT = 0


@pytest.mark.parametrize(
    "function",
    [
        lambda: time.time() * GLOBAL,
        lambda: open("x") and GLOBAL,  # noqa: SIM115
        counting,
        lambda: GLOBAL * np.load("x"),
    ],  # noqa: SIM115
)
def test_what_is_read_besides_the_unknown_is_seen(unchanged, function):
    program = of(function)
    before = describe_surroundings(program)
    to_two()
    assert not before.is_whole
    assert describe_surroundings(program).digest not in ("", before.digest)


def test_objects_of_other_packages_and_long_chains_are_not_followed():
    others, deep = pandas.Series([1.0]), make_deep(5000)
    assert not any(map(is_followed, (lambda: others, lambda: pandas.Series, lambda: deep)))


def make_deep(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


def test_what_can_be_followed_is_described():
    found = {name for name, (own, _) in CHANGES.items() if not is_followed(own)}
    assert found == NOT_FOLLOWED | OF_ONE_PROCESS


def test_a_list_that_counts_calls_is_not_read(unchanged):
    calls = []
    counted, read = (lambda: calls.append(1) or LIST.append(1) or 1.0), (lambda: len(calls))
    before = [describe_surroundings(of(own)) for own in (counted, read)]
    counted()
    now = [describe_surroundings(of(own)) for own in (counted, read)]
    assert [a == b for a, b in zip(before, now, strict=True)] == [True, False]


def test_a_module_of_the_user_with_the_name_of_one_of_python_is_followed(monkeypatch):
    monkeypatch.setitem(sys.modules, "statistics", own := types.ModuleType("statistics"))
    vars(own).update(__file__="/home/user/statistics.py", scale=1.0)
    _is_known.cache_clear()
    program = of(eval("lambda: own.scale", {"own": own}))
    before = describe_surroundings(program)
    vars(own)["scale"] = 2.0
    assert before.is_whole
    assert before != describe_surroundings(program)
    _is_known.cache_clear()


def test_a_global_that_changes_between_two_calls_is_seen(unchanged):
    model = infer.model(observing, y=np.ones(3))
    first, again = infer.sample_prior(model, 1), infer.sample_prior(model, 1)
    to_two()
    now = infer.sample_prior(model, 1)
    means = [float(own.prior_predictive.y.mean()) for own in (first, again, now)]
    assert means[0] == means[1] == pytest.approx(means[2] - 1.0)


def test_the_models_of_several_data_sets_read_the_same(unchanged):
    models = [infer.model(observing, y=np.ones(3))]
    to_two()
    models.append(infer.model(observing, y=np.zeros(3)))
    assert make_family(models, jacobian=True).count == 2


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen_if_what_changes_is_followed(unchanged, what):
    function, change = CHANGES[what]
    program = of(function)
    before = describe_surroundings(program)
    assert before == describe_surroundings(program)
    change()
    assert what in NOT_FOLLOWED or before != describe_surroundings(program)


@pytest.mark.parametrize("read", [jnp.asarray, np.asarray])
def test_an_array_that_jax_has_in_an_earlier_state_is_refused(read):
    """Also if only NumPy reads it, as nobody can tell; a copy is read as it is now."""
    array = np.ones(3)
    with jax.enable_x64(False):
        model = infer.model(
            lambda site: site.factor("f", site("x", dist.Normal()) * read(array).sum())
        )
        kept = jax.make_jaxpr(lambda: jnp.asarray(array))()
        array += 1.0
        for _ in range(2):
            with pytest.raises(infer.ModelError, match=r"type float64 .* in place(.|\n)*y\.copy"):
                infer.log_density(model)
        earlier, array = array, array.copy()
        assert infer.log_density(model)(jnp.ones(1)) == pytest.approx(4.581, abs=1e-3)
        array = earlier
        del kept
        assert infer.log_density(model)(jnp.ones(1)) == pytest.approx(4.581, abs=1e-3)


@pytest.mark.parametrize("package", ["bijectors", "scipy"])
def test_parts_imported_at_their_first_use_are_the_same_before_and_after(package):
    face = types.ModuleType(package)
    vars(face)["__getattr__"] = lambda name: vars(face).setdefault(name, 2.0)
    program = of(lambda: face.scale)
    vars(face).pop("scale", None)
    before = describe_surroundings(program)
    assert before.is_whole
    assert face.scale == 2.0
    assert describe_surroundings(program) == before
    vars(face)["scale"] = 3.0
    assert describe_surroundings(program) != before
