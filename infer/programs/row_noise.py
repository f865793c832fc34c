"""Draw the weights of layers row by row, in a program whose weights are independent normals.

One draw of the weights of a layer is shared by all rows of a minibatch, so the noise of the rows
adds up. Here the traced program is searched for products of rows with weights. Such a product of
an array x and weights with means m and standard deviations s is normal given x, with mean x m and
variance x^2 s^2, and each row draws its own. Where a row meets the same weights more than once, as
in a convolution, each row multiplies one draw of the weights by random signs of its own.

Either leaves the distribution of each row as it is, but not that of several rows together, or of
weights and rows together. So only weights that nothing else depends on are drawn in this way.

Source: Kingma, Salimans & Welling (2015), arXiv 1506.02557, equation 6; Wen, Vicol, Ba, Tran &
    Grosse (2018), arXiv 1803.04386, equation 4.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..types import Vector
from .flat_steps import Step, Steps, read, trace_steps

# Primitives that only rearrange or copy the entries of their one operand.
REARRANGING = frozenset(
    ("slice", "reshape", "transpose", "squeeze", "rev", "broadcast_in_dim", "copy", "split")
)
CONVERTING = "convert_element_type"


class Product(NamedTuple):
    """A product of rows with weights.

    Attributes:
        side: Which operand the weights are.
        rows: Number of rows.
        row: Axis of the rows in the other operand.
        result_row: Axis of the rows in the result.
        features: Axes of the other operand along which the signs of a row differ.
        result_features: Those of the result.
        is_single: Whether a row meets each weight once.
    """

    side: int
    rows: int
    row: int
    result_row: int
    features: tuple[int, ...]
    result_features: tuple[int, ...]
    is_single: bool


class RowNoise(NamedTuple):
    """What draws of rows are made from.

    Attributes:
        mean: Means of the flat vector, shape (size,).
        sd: Its standard deviations, shape (size,).
        key: A JAX key.
        factor: Multiplies the noise of each row; tests of a program set some to NaN.
    """

    mean: Vector
    sd: Vector
    key: Array
    factor: Float[Array, "rows"] | None = None


class Weights(NamedTuple):
    """Some numbers of the flat vector, rearranged; all of one shape."""

    draw: Array
    mean: Array
    sd: Array


def draw_by_rows(function: Callable[[Vector], Any], position: Vector, noise: RowNoise) -> Any:
    """Evaluate a function of a flat vector, with the weights of layers drawn for each row.

    Args:
        function: Returns arrays; traced, and evaluated step by step.
        position: A draw of all numbers; those that are not weights of layers are read from it.
        noise: How they are distributed.
    """
    structure = jax.tree.structure(jax.eval_shape(function, position))
    program = trace_steps(function, position)
    results = _evaluate(program, find_products(program, position.shape[0]), position, noise)
    return jax.tree.unflatten(structure, results)


def find_products(program: Steps, size: int) -> dict[int, Product]:
    """Find the products of rows with weights that nothing else depends on.

    Args:
        program: A program of one argument, the flat vector.
        size: Its length.

    Returns:
        The products, by the index of the step.
    """
    (argument,), uses = program.arguments, np.zeros(size, int)
    origins: dict[Any, np.ndarray] = {argument: np.arange(size)}
    found: dict[int, Product] = {}
    for index, step in enumerate(program.steps):
        sides = [i for i, source in enumerate(step.inputs) if source in origins]
        if sides and not _follow(step, origins):
            for side in sides:
                np.add.at(uses, origins[step.inputs[side]].ravel(), 1)
            product = _read_product(step, sides[0]) if len(sides) == 1 else None
            found |= {index: product} if product else {}
    for source in set(program.results) & origins.keys():
        uses[origins[source].ravel()] += 1
    own = {i: origins[program.steps[i].inputs[p.side]] for i, p in found.items()}
    return {i: p for i, p in found.items() if uses[own[i].ravel()].max(initial=0) == 1}


def _follow(step: Step, origins: dict[Any, np.ndarray]) -> bool:
    """Return whether a step rearranges coordinates of the flat vector; if so, follow them."""
    if not _is_rearranging(step):
        return False
    with jax.ensure_compile_time_eval():
        own = jnp.asarray(origins[step.inputs[0]], jnp.int32)
        results = [own] if step.name == CONVERTING else step.compute([own])
        origins |= zip(step.outputs, map(np.asarray, results), strict=True)
    return True


def _is_rearranging(step: Step) -> bool:
    if step.name == CONVERTING:
        return jnp.issubdtype(step.equation.params["new_dtype"], jnp.floating)
    return step.name in REARRANGING and len(step.inputs) == 1


def _read_product(step: Step, side: int) -> Product | None:
    """Describe a product of which one operand is made of weights; `None` if it has no rows."""
    if step.name == "dot_general":
        return _read_dot(step, side)
    if step.name == "conv_general_dilated" and side == 1:
        numbers = step.equation.params["dimension_numbers"]
        (row, channel, *_), (result_row, result_channel, *_) = numbers.lhs_spec, numbers.out_spec
        rows = step.shapes[0][row]
        plain = step.equation.params["batch_group_count"] == 1
        own = Product(1, rows, row, result_row, (channel,), (result_channel,), False)
        return own if plain else None
    return None


def _read_dot(step: Step, side: int) -> Product | None:
    """The axes of the result are those of the batch, then the others of the left and the right."""
    summed, batch = step.equation.params["dimension_numbers"]
    shapes = step.shapes
    free = [
        [i for i in range(len(shapes[k])) if i not in (*summed[k], *batch[k])] for k in range(2)
    ]
    other, common = 1 - side, len(batch[0])
    if not free[other]:
        return None
    row, begin = free[other][0], common + (len(free[0]) if other else 0)
    features = (*batch[other], *summed[other])
    width = len(free[0]) + len(free[1])
    result = tuple(i for i in range(common + width) if not begin <= i < begin + len(free[other]))
    single = len(free[other]) == 1
    return Product(side, shapes[other][row], row, begin, tuple(features), result, single)


def _evaluate(
    program: Steps, products: Mapping[int, Product], position: Vector, noise: RowNoise
) -> list[Any]:
    (argument,) = program.arguments
    values: dict[Any, Any] = {argument: position}
    weights: dict[Any, Weights] = {argument: Weights(position, noise.mean, noise.sd)}
    for index, step in enumerate(program.steps):
        operands = [read(values, source) for source in step.inputs]
        if index in products:
            product = products[index]
            own = noise._replace(key=jax.random.fold_in(noise.key, index))
            results = _draw(step, product, operands, weights[step.inputs[product.side]], own)
        else:
            results = step.compute(operands)
            if step.inputs and step.inputs[0] in weights and _is_rearranging(step):
                parts = [step.compute([part]) for part in weights[step.inputs[0]][1:]]
                rearranged = [Weights(*each) for each in zip(results, *parts, strict=True)]
                weights |= zip(step.outputs, rearranged, strict=True)
        values |= zip(step.outputs, results, strict=True)
    return program.read(values)


def _draw(
    step: Step, product: Product, operands: list[Any], weights: Weights, noise: RowNoise
) -> list[Any]:
    """Compute a product with weights of its own for each row."""
    x = operands[1 - product.side]

    def multiply(x: Any, weights: Any) -> Any:
        return step.compute([weights, x] if product.side == 0 else [x, weights])[0]

    mean = multiply(x, weights.mean)
    if product.is_single:
        own = jax.random.normal(noise.key, mean.shape, mean.dtype)
        spread = _root(multiply(x**2, weights.sd**2))
        return [mean + spread * _multiply_rows(own, product.result_row, noise.factor)]
    before, after = jax.random.split(noise.key)
    signs = _draw_signs(before, x, (product.row, *product.features))
    turned = multiply(x * signs, weights.draw - weights.mean)
    own = _draw_signs(after, mean, (product.result_row, *product.result_features))
    return [mean + turned * _multiply_rows(own, product.result_row, noise.factor)]


def _root(variance: Array) -> Array:
    """Return the square root, with a derivative of zero at zero: there no weight has an effect."""
    some = variance > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, variance, 1.0)), 0.0)


def _draw_signs(key: Array, like: Array, axes: tuple[int, ...]) -> Array:
    """Draw signs that differ along some axes."""
    shape = [size if i in axes else 1 for i, size in enumerate(like.shape)]
    return jax.random.rademacher(key, tuple(shape), like.dtype)


def _multiply_rows(noise: Array, axis: int, factor: Array | None) -> Array:
    if factor is None:
        return noise
    return noise * jnp.expand_dims(factor, [i for i in range(noise.ndim) if i != axis])
