"""What every engine promises."""

import dataclasses
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infer
from infer.density.family import without_leaves
from infer.engines.base import CHAINS, Engine
from infer.run.loop import Order, TargetAndTuning, run_block
from infer.run.packed import pack
from infer.target import NormalPrior, Parts, Target

from .found import chains_of, every_engine, is_wrapped, named

ENGINES = pytest.mark.parametrize("engine", every_engine(), ids=named)


@jax.jit
def the_models_gradient(position):
    return -0.5 * (position**2).sum(), -position


class Counted(Target):
    """A standard normal whose gradient leaves a name in the jaxpr."""

    dimension: int = eqx.field(static=True, default=3)

    @property
    def size(self):
        return self.dimension

    @property
    def offers(self):
        return frozenset({"value", "gradient", "parts"})

    def evaluate(self, position):
        return the_models_gradient(position)

    def parts(self, position):
        half = 0.5 * the_models_gradient(position)[0]
        return Parts(half, half)

    def normal_prior(self):
        return NormalPrior(np.zeros(self.size), np.eye(self.size))


def prepare(engine, chains=1):
    """Return a tuning, states and an order for the block program."""
    chains = chains_of(engine, chains)
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(chains, 3))
    tuning = engine.first_tuning(Counted(), positions, -positions)
    here = jax.vmap(Counted().components)(jnp.asarray(positions))
    state = jax.vmap(engine.init)(jnp.asarray(positions), here)
    keys = np.zeros((chains, 2), np.uint32)
    zeros = np.zeros(chains, np.int32)
    order = Order(keys, np.uint32(1), zeros, zeros + 3, np.int32(2**30), np.ones_like(zeros, bool))
    return tuning, state, order


def tick_shapes(engine, target, tuning, state):
    """Return the shapes of one abstract tick, in a population of one."""
    alone = jax.vmap(engine.tick, in_axes=None, axis_size=1, axis_name=CHAINS)
    key = jax.eval_shape(lambda: jax.random.key(0))
    made = jax.eval_shape(alone, key, target, tuning, state)
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), made)


def count(jaxpr, name):
    """Count the calls of a jitted function by its name, in nested jaxprs too."""
    here = sum(e.params.get("name") == name for e in jaxpr.eqns)
    inner = [j for e in jaxpr.eqns for j in jax.tree.leaves(e.params, is_leaf=_is_jaxpr)]
    return here + sum(count(getattr(j, "jaxpr", j), name) for j in inner if _is_jaxpr(j))


def _is_jaxpr(x):
    return hasattr(x, "eqns") or hasattr(x, "jaxpr")


def test_the_contract_has_at_most_twelve_members():
    assert len([name for name in vars(Engine) if not name.startswith("_")]) <= 12


@ENGINES
@pytest.mark.parametrize("chains", [1, 2])
def test_the_loop_evaluates_the_gradient_once(engine, chains):
    tuning, state, order = prepare(engine, chains)
    program = lambda *a: run_block(engine, 4, 32, *a)  # noqa: E731
    shared = TargetAndTuning(Counted(), tuning)
    jaxpr = jax.make_jaxpr(program)(shared, without_leaves(shared), pack(state, 1), order).jaxpr
    calls = count(jaxpr, "the_models_gradient")
    if named(engine) in ("MAP", "Gibbs") or is_wrapped(engine):
        # The line search of L-BFGS, and the transitions of another library, contain loops; a block
        # also evaluates where the others have moved to.
        assert calls >= 1
    else:
        assert calls == 1


@ENGINES
def test_a_tick_preserves_the_shape_of_the_state(engine):
    tuning, state, _ = prepare(engine)
    one = jax.tree.map(lambda a: a[0], state)
    ticked, tick = tick_shapes(engine, Counted(), tuning, one)
    describe = lambda tree: jax.tree.map(lambda a: (a.shape, jnp.dtype(a.dtype)), tree)  # noqa: E731
    assert describe(ticked) == describe(one)
    assert describe(jax.eval_shape(engine.enter, tuning, one, jnp.asarray(True))) == describe(one)
    assert tick.complete.shape == ()
    assert all(stat.shape == () for stat in tick.stats.values())


@ENGINES
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_tick_preserves_the_precision_under_strict_promotion(engine, dtype):
    tuning, state, _ = prepare(engine)
    cast = lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a  # noqa: E731
    tuning, state = jax.tree.map(cast, (tuning, jax.tree.map(lambda a: a[0], state)))
    if is_wrapped(engine) and dtype == jnp.float32:
        pytest.skip("the library uses JAX's default precision")
    # Optimizers of optax, and other libraries, promote types; our own code does not.
    free = is_wrapped(engine) or hasattr(sys.modules[type(engine).__module__], "optax")
    with jax.numpy_dtype_promotion("standard" if free else "strict"):
        ticked, tick = tick_shapes(engine, Counted(), tuning, state)
    leaves = [a.dtype for a in jax.tree.leaves((ticked, tick))]
    assert {d for d in leaves if jnp.issubdtype(d, jnp.inexact)} == {jnp.dtype(dtype)}


@ENGINES
def test_settings_are_frozen_and_hashable(engine):
    assert hash(engine) == hash(dataclasses.replace(engine))
    with pytest.raises(dataclasses.FrozenInstanceError):
        engine.anything = 1


@ENGINES
def test_statistics_have_arvizs_names(engine):
    tuning, state, _ = prepare(engine)
    one = jax.tree.map(lambda a: a[0], state)
    _, tick = tick_shapes(engine, Counted(), tuning, one)
    samplers = {"lp", "acceptance_rate", "diverging", "energy", "n_steps", "step_size"}
    if named(engine) in ("HMC", "NUTS"):
        assert samplers <= tick.stats.keys()


@ENGINES
def test_invalid_settings_are_refused(engine):
    assert engine.examples.invalid
    with pytest.raises(infer.EngineError, match=named(engine)):
        dataclasses.replace(engine, **engine.examples.invalid)
