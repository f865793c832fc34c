"""Every parameter of every rewritten primitive is honored, or the primitive is left alone."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import DotAlgorithmPreset, GatherScatterMode, Precision, ScatterDimensionNumbers

from infer.programs import loops, rewrite
from infer.programs.loops import TABLE

from ...cases import mark_slow

rng = np.random.default_rng(0)
SQUARE = jnp.asarray(rng.normal(size=(40, 40)) + 9 * np.eye(40), jnp.float32)
MATRIX = SQUARE[:6, :6]
# Sorted, unique, and some of them out of range.
PLACES = jnp.asarray([[-7], [-1], [1], [2], [4], [9]])
ROWS = ScatterDimensionNumbers((1,), (0,), (0,))
COLUMNS = ScatterDimensionNumbers((1,), (1,), (1,))


def update(function):
    """Return the parameters of a scatter that combines entries by a function of two."""
    one = jax.ShapeDtypeStruct((), jnp.float32)
    closed = jax.make_jaxpr(function)(one, one)
    return {"update_jaxpr": closed.jaxpr, "update_consts": tuple(closed.consts)}


UPDATES = [
    {"update_jaxpr": None, "update_consts": ()},
    *map(update, (jax.lax.add, jax.lax.sub, jax.lax.mul, jax.lax.min, jax.lax.max)),
    update(lambda old, new: jax.lax.sub(new, old)),
    update(lambda old, _: jax.lax.mul(old, old)),
    update(lambda old, _: 10 * old + 3),
    update(lambda old, new: jnp.where(old > new, jnp.sin(old), new * 3)),
]


def each(name, *values):
    return [{name: value} for value in values]


# Other values of each parameter; those that depend on each other are varied together.
OTHERS = {
    "update_jaxpr": UPDATES,
    "dimension_numbers": each("dimension_numbers", ROWS, COLUMNS),
    "indices_are_sorted": each("indices_are_sorted", False, True),
    "unique_indices": each("unique_indices", False, True),
    "mode": each("mode", *GatherScatterMode),
    "left_side": each("left_side", False, True),
    "lower": each("lower", False, True),
    "transpose_a": each("transpose_a", False, True),
    "conjugate_a": each("conjugate_a", False, True),
    "unit_diagonal": each("unit_diagonal", False, True),
    "precision": each(
        "precision", None, *Precision, (Precision.HIGH, Precision.HIGHEST),
        DotAlgorithmPreset.F32_F32_F32, DotAlgorithmPreset.BF16_BF16_F32,
    ),
    "preferred_element_type": each("preferred_element_type", None, np.dtype("float32")),
    "dimension": each("dimension", 0, 1),
    "is_stable": each("is_stable", False, True),
    "num_keys": each("num_keys", 1),
}  # fmt: skip
PRODUCTS = each("dimension_numbers", *((((a,), (b,)), ((), ())) for a in (0, 1) for b in (0, 1)))
# Parameters that the loops do not support.
DECLINED = {
    "preferred_element_type": np.dtype("float64"),
    "out_sharding": jax.sharding.SingleDeviceSharding(jax.devices()[0]),
}

SCATTERS = {
    "scatter": jax.lax.scatter,
    "scatter-add": jax.lax.scatter_add,
    "scatter-sub": jax.lax.scatter_sub,
    "scatter-mul": jax.lax.scatter_mul,
    "scatter-min": jax.lax.scatter_min,
    "scatter-max": jax.lax.scatter_max,
}
SCATTERED = (MATRIX, PLACES, MATRIX[::-1])
EXAMPLES = {name: (partial(f, dimension_numbers=ROWS), SCATTERED) for name, f in SCATTERS.items()}
EXAMPLES |= {
    "cholesky": (jax.lax.linalg.cholesky, (MATRIX @ MATRIX.T,)),
    "triangular_solve": (jax.lax.linalg.triangular_solve, (MATRIX, MATRIX[::-1])),
    "dot_general": (jnp.matmul, (SQUARE, SQUARE[::-1])),
    "lu": (jax.lax.linalg.lu, (MATRIX,)),
    "sort": (jax.lax.sort, (MATRIX,)),
}


def example(name):
    """Return an equation with a primitive, and its operands."""
    function, operands = EXAMPLES[name]
    found = rewrite.list_equations(jax.make_jaxpr(function)(*operands))
    (equation,) = [equation for equation in found if equation.primitive.name == name]
    return equation, operands


def vary_parameters(equation):
    """Vary each parameter alone, and jointly those that may depend on each other."""
    given = equation.params
    choices = OTHERS | ({"dimension_numbers": PRODUCTS} if "precision" in given else {})
    together = [("update_jaxpr", "mode")] if equation.primitive.name == "scatter" else []
    if equation.primitive.name == "triangular_solve":
        together = [tuple(given)]
    once = [(name,) for name in given if name not in ("out_sharding", "update_consts")]
    for names in [*once, *together]:
        for chosen in product(*(choices[name] for name in names)):
            yield given | {k: v for own in chosen for k, v in own.items()}


def test_every_entry_of_the_table_has_an_example():
    assert set(EXAMPLES) == set(TABLE)


# Kinds of scatters share all but the operation.
ALIKE = {"scatter-max", "scatter-min", "scatter-mul", "scatter-sub"}


@pytest.mark.parametrize("name", mark_slow(EXAMPLES, EXAMPLES.keys() - ALIKE))
def test_every_parameter_is_honored(name):
    equation, operands = example(name)
    assert equation.params.keys() <= TABLE[name].params
    varied = list(vary_parameters(equation))
    made = [loops.choose_loop(equation.replace(params=params)) for params in varied]
    assert all(made)
    plain = [partial(equation.primitive.bind, **params) for params in varied]
    found, expected = jax.jit(lambda *a: [[f(*a) for f in each] for each in (made, plain)])(
        *operands
    )
    for params, own, other in zip(varied, found, expected, strict=True):
        # JAX zeroes what LAPACK leaves above the diagonal of a factor.
        own, other = (np.tril(a) if name == "cholesky" else np.asarray(a) for a in (own, other))
        scale = np.abs(other).max()
        np.testing.assert_allclose(own / scale, other / scale, atol=2e-6, err_msg=str(params))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_equation_with_an_unknown_parameter_is_left_alone(name):
    equation, _ = example(name)
    assert loops.choose_loop(equation)
    assert not loops.choose_loop(equation.replace(params=equation.params | {"later": True}))


@pytest.mark.parametrize("name", DECLINED)
def test_a_product_with_unsupported_parameters_is_left_alone(name):
    equation, _ = example("dot_general")
    assert not loops.choose_loop(equation.replace(params=equation.params | {name: DECLINED[name]}))
