"""Domains in which a map in floating point is accurate; the presets for rows of the table."""

from typing import NamedTuple, TypedDict


class Domain(NamedTuple):
    """The inputs for which a map is accurate in one precision.

    Attributes:
        radius: Largest |y| for which the value is finite, a member of the set, and maps back.
        tolerance: Largest absolute error of y after a round trip.
    """

    radius: float
    tolerance: float


class Domains(TypedDict):
    """A domain for each precision, as keyword arguments of a rule."""

    float32: Domain
    float64: Domain


# A map that keeps all digits everywhere, such as the identity.
ANYWHERE: Domains = {"float32": Domain(400.0, 2e-3), "float64": Domain(400.0, 1e-10)}
# exp(y), which overflows in float32 beyond 88.
EXPONENTIAL: Domains = {"float32": Domain(80.0, 1e-4), "float64": Domain(400.0, 1e-12)}
# Shares of one, the smallest of which is about exp(-2 |y|).
SOFTMAX: Domains = {"float32": Domain(15.0, 1e-3), "float64": Domain(100.0, 1e-10)}
# Sums of exp(y), in which a small gap is lost beside a large one.
CUMULATIVE: Domains = {"float32": Domain(3.0, 1e-2), "float64": Domain(10.0, 1e-4)}
# Rows of a triangular matrix, each scaled to its length.
TRIANGULAR: Domains = {"float32": Domain(10.0, 1e-2), "float64": Domain(100.0, 1e-8)}
# Products along the rows of a triangular matrix.
STICKS: Domains = {"float32": Domain(3.0, 1e-2), "float64": Domain(20.0, 1e-6)}
# L L^T, whose condition number is the square of that of L.
GRAM: Domains = {"float32": Domain(1.0, 1e-2), "float64": Domain(3.0, 1e-4)}
# The same of 10 and of 50 rows, which is singular to rounding nearer to zero.
GRAM_10: Domains = {"float32": Domain(0.5, 1e-2), "float64": Domain(1.0, 1e-4)}
GRAM_50: Domains = {"float32": Domain(0.1, 1e-2), "float64": Domain(0.3, 1e-4)}
# L L^T with the rows of L normalized, which keeps it well conditioned.
CONDITIONED_GRAM: Domains = {"float32": Domain(2.0, 1e-2), "float64": Domain(4.0, 1e-4)}


def make_domains(float32_radius: float, float64_radius: float) -> Domains:
    """Make the domains of a map at a size of value that the other presets do not fit."""
    return {"float32": Domain(float32_radius, 1e-2), "float64": Domain(float64_radius, 1e-6)}
