"""Shapes and kinds of numbers that signatures speak of."""

from jaxtyping import Array, Float

Scalar = Float[Array, ""]
Vector = Float[Array, "size"]
