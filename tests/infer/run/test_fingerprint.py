"""A state can be resumed only with the engine, program and data that it was made for."""

import copy
import io
import pickle
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.programs import marked
from infer.run.packed import pack

from .. import targets

NUTS = infer.NUTS()
Y = np.array([1.0, -2.0, 0.5])


def program(scale):
    def regression(site, x, y):
        slope = site("slope", dist.Normal(0.0, scale))
        site.observe("y", dist.Normal(slope * x, 1.0), y)

    return regression


def model(scale=1.0, x=(1.0, 2.0, 3.0), y=Y):
    return infer.model(program(scale), x=np.array(x), y=np.array(y))


def start(model, engine=NUTS, **options):
    return infer.start(model, engine, **{"chains": 2, "warmup": 10, "progress": False} | options)


@pytest.fixture(scope="module")
def stopped():
    return pickle.loads(pickle.dumps(start(model()).advance(3).state))


def test_a_state_can_be_resumed_with_an_equal_model(stopped):
    again = start(model(), state=stopped).advance(4)
    straight = start(model()).advance(7)
    np.testing.assert_array_equal(again.draws().positions, straight.draws().positions)


def test_other_data_are_refused_by_name(stopped):
    with pytest.raises(infer.RunError, match=r"state: .* other values of y\. .*tuning=state.tun"):
        start(model(y=Y + 1e-9), state=stopped)
    with pytest.raises(infer.RunError, match="other values of x, y"):
        start(model(x=(1.0, 2.0), y=Y[:2]), state=stopped)
    start(model(y=Y + 1.0), tuning=stopped.tuning, warmup=0).advance(1)


def test_another_program_on_the_same_sites_is_refused(stopped):
    with pytest.raises(infer.RunError, match="another log density on the same sites"):
        start(model(scale=2.0), state=stopped)


def test_another_engine_or_other_sites_are_refused():
    state = start(targets.normal(), warmup=0).advance(1).state
    with pytest.raises(infer.RunError, match=r"state: it belongs to NUTS.*not to HMC"):
        start(targets.normal(), infer.HMC(), state=state)
    with pytest.raises(infer.RunError, match=r"sites x\[3\], not to .*rate"):
        start(targets.constrained(), state=state)


def test_arrays_that_the_function_closes_over_are_part_of_the_program():
    def closing_over(weights):
        return infer.declared(lambda v: -(weights * v["x"] ** 2).sum(), {"x": bj.Real(shape=(3,))})

    state = start(closing_over(jnp.arange(1.0, 4.0)), warmup=0).advance(1).state
    start(closing_over(jnp.arange(1.0, 4.0)), state=state)
    with pytest.raises(infer.RunError, match="another log density"):
        start(closing_over(jnp.arange(2.0, 5.0)), state=state)


def test_the_data_of_each_of_many_models_are_compared():
    first = model()
    models = [first.with_data(y=Y + i) for i in range(3)]
    state = start(models).advance(1).state
    start([first.with_data(y=Y + i) for i in range(3)], state=state)
    with pytest.raises(infer.RunError, match="other values of y"):
        start([models[0], models[0], models[2]], state=state)


def test_arrays_that_the_program_never_reads_may_differ():
    """Those of a tree are its starting values, which a resumed run does not need."""
    leaves = {"slope": dist.Normal(0.0, 1.0)}

    def model_of(tree):
        return infer.tree_model(
            tree, lambda t, y: dist.Normal(t["slope"], 1.0).log_prob(y), leaves, data=Y
        )

    state = start(model_of({"slope": 0.0}), warmup=0).advance(1).state
    start(model_of({"slope": 1.0}), state=state)


def test_what_another_version_pickled_is_refused(stopped, monkeypatch):
    other = pickle.dumps(stopped).replace(b"infer.run.devices", b"infer.run.planner")
    said = r"state: its parts cannot be read: .*planner.*start\(model, engine\)"
    with pytest.raises(infer.RunError, match=said):
        pickle.loads(other)
    monkeypatch.setattr("infer.version.__version__", "99.0")
    with pytest.raises(infer.RunError, match=r"another version of .* \(0.*\) made it: .*planner"):
        pickle.loads(other)


def with_own_class(stopped, monkeypatch):
    """Return a state whose tuning is of a class in a module that is not there any more."""
    own = types.ModuleType("own_engine")
    own.Tuning = type("Tuning", (dict,), {"__module__": "own_engine"})  # pyright: ignore
    monkeypatch.setitem(sys.modules, "own_engine", own)
    return with_warmup(stopped, tuning=own.Tuning(step=0.5)), own.Tuning


def test_a_missing_module_of_the_user_is_not_blamed_on_the_version(stopped, monkeypatch):
    data = pickle.dumps(with_own_class(stopped, monkeypatch)[0])
    monkeypatch.delitem(sys.modules, "own_engine")
    with pytest.raises(ModuleNotFoundError, match="^No module named 'own_engine'"):
        pickle.loads(data)


class ByValue(pickle.Pickler):
    """Pickles the class of `with_own_class` by its parts."""

    def reducer_override(self, obj):
        is_own = isinstance(obj, type) and obj.__module__ == "own_engine"
        return (type, (obj.__name__, obj.__bases__, {})) if is_own else NotImplemented


def test_classes_of_the_user_can_be_pickled_by_value(stopped, monkeypatch):
    """As cloudpickle does with those of notebooks, for the workers of Dask."""
    state, own = with_own_class(stopped, monkeypatch)
    monkeypatch.delitem(sys.modules, "own_engine")
    file = io.BytesIO()
    ByValue(file).dump(state)
    tuning = pickle.loads(file.getvalue()).warmup.tuning
    assert tuning == {"step": 0.5}
    assert type(tuning).__bases__ == own.__bases__


OTHERS = {
    "no 'groups'": lambda state: without(state, "groups"),
    "Tuning has other parts": lambda state: with_warmup(
        state, tuning=jax.tree.map(lambda a: np.append(a, a), state.warmup.tuning)
    ),
    "its chains have other parts": lambda state: with_warmup(
        state, groups=tuple(replace(g, state=pack({"a": np.zeros(2)})) for g in state.warmup.groups)
    ),
}


def with_warmup(state, **changes):
    return state._replace(warmup=replace(state.warmup, **changes))


def without(state, name):
    """Return a state as one that was pickled before its warm-up had a field."""
    other = with_warmup(state)
    vars(other.warmup).pop(name)
    return other


@pytest.mark.parametrize("found", OTHERS)
def test_a_state_of_other_parts_is_refused(stopped, found):
    with pytest.raises(infer.RunError, match=f"state: .*{found}.*Go on with the version"):
        start(model(), state=OTHERS[found](stopped))


def test_scalars_of_a_tuning_may_be_of_another_type(stopped):
    """As an engine's `end_window` may compute them."""
    other = jax.tree.map(lambda a: a if np.ndim(a) else np.float32(a), stopped.warmup.tuning)
    assert np.float32 in map(type, jax.tree.leaves(other))
    start(model(), state=with_warmup(stopped, tuning=other))


def test_a_tuning_without_a_field_is_refused(stopped):
    tuning = copy.copy(stopped.warmup.tuning)
    vars(tuning).popitem()
    with pytest.raises(infer.RunError, match="tuning: it is a .*Tuning of shapes"):
        start(model(), tuning=tuning)
    with pytest.raises(infer.RunError, match="state: its .*Tuning has other parts"):
        start(model(), state=with_warmup(stopped, tuning=tuning))


def test_what_is_no_state_is_refused(stopped):
    with pytest.raises(infer.RunError, match="state: it is a Warmup.*Give run.state"):
        start(model(), state=stopped.warmup)


ELSEWHERE = """
import pickle, sys
sys.path[:0] = {path!r}
import jax
jax.config.update("jax_enable_x64", True)
from infer.programs import marked
marked.NATIVE_OPTIONS.update({options!r})
from tests.infer.run.test_fingerprint import model, start
state = pickle.load(open({file!r}, "rb"))
pickle.dump(start(model(), state=state).advance(4).draws().positions, open({file!r}, "wb"))
"""


@pytest.mark.slow
def test_a_state_can_be_resumed_in_another_process(stopped, tmp_path):
    file = tmp_path / "state"
    file.write_bytes(pickle.dumps(stopped))
    path = [str(Path(__file__).parents[3])]
    code = ELSEWHERE.format(path=path, file=str(file), options=marked.NATIVE_OPTIONS)
    subprocess.run([sys.executable, "-c", code], check=True)
    straight = start(model()).advance(7)
    np.testing.assert_array_equal(pickle.loads(file.read_bytes()), straight.draws().positions)
