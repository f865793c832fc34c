"""A function mapped over the trees of draws: compiled once, in slices, never stale."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.programs import by_text, slices

X = np.linspace(0.0, 1.0, 5)


@pytest.fixture(scope="module")
def model():
    tree = {"slope": 1.0, "power": np.ones(2)}
    return infer.tree_model(tree, lambda tree: 0.0 * tree["slope"], {"**": dist.Normal(0.0, 1.0)})


def posterior(chains, draws):
    rng = np.random.default_rng(0)
    slope, power = rng.normal(size=(chains, draws)), rng.normal(size=(chains, draws, 2))
    return {"slope": slope, "power": power}


def curve(tree):
    return {"curve": tree["slope"] * jnp.asarray(X), "sum": tree["power"].sum()}


def by_hand(values):
    return values["slope"][..., None] * X, values["power"].sum(-1)


@pytest.fixture
def compilations(monkeypatch):
    """List the names of the programs that JAX compiles."""
    names = []
    compile_one = jax.stages.Lowered.compile

    def compile(lowered, *arguments, **options):
        names.append(lowered)
        return compile_one(lowered, *arguments, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    return names


@pytest.mark.parametrize(("chains", "draws"), [(1, 1), (2, 7), (3, 50)])
def test_mapping_over_slices_equals_mapping_over_draws(model, monkeypatch, chains, draws):
    monkeypatch.setattr(slices, "MAX_ROWS", 16)
    values = posterior(chains, draws)
    made = infer.map_trees(curve, model, values)
    for found, wanted in zip((made["curve"], made["sum"]), by_hand(values), strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_a_function_is_compiled_once(model, compilations):
    values = posterior(2, 9)
    for _ in range(3):
        infer.map_trees(curve, model, values)
        infer.map_trees(lambda tree: jnp.cos(tree["slope"]), model, values)
    assert len(compilations) <= 2


@pytest.mark.parametrize("kind", [float, np.array, jnp.array])
def test_current_values_in_a_closure_are_used(model, kind):
    values = posterior(2, 3)

    def scaled(tree):
        steps = jax.lax.scan(lambda sum, _: (sum + factor, None), 0.0 * factor, None, 2)[0]
        return jax.jit(lambda slope: steps * factor * slope)(tree["slope"])

    for factor in map(kind, (2.0, 3.0)):
        found = infer.map_trees(scaled, model, values)
        np.testing.assert_allclose(found, 2 * factor**2 * values["slope"], rtol=1e-14)


def test_unused_arguments_do_not_mix_up_programs():
    first, second = np.arange(3.0), 10 + np.arange(3.0)
    one = by_text.compile_by_text(lambda a, b: (a,), first, second)
    two = by_text.compile_by_text(lambda a, b: [b], first, second)
    np.testing.assert_array_equal(one(first, second)[0], first)
    np.testing.assert_array_equal(two(first, second)[0], second)
    assert (type(one(first, second)), type(two(first, second))) == (tuple, list)


def test_large_results_are_made_in_small_slices(model):
    values = posterior(1, 3)
    seen = []

    def wide(tree):
        seen.append(tree["slope"])
        return jnp.zeros(slices.MAX_NUMBERS // 2) + tree["slope"]

    made = infer.map_trees(wide, model, values)
    np.testing.assert_array_equal(made[0, :, 0], values["slope"][0])
    assert slices.choose_rows(slices.MAX_NUMBERS // 2) == 2


def test_values_without_chains_are_refused(model):
    with pytest.raises(infer.ModelError, match="same leading axes of chains and draws"):
        infer.map_trees(curve, model, {"slope": 1.0, "power": np.ones(2)})
