"""A rise from a stationary point is found, and its absence is believed, from few gradients."""

import numpy as np
import pytest
from scipy.special import expit

from infer.density.points import Points
from infer.output.fitted.rise import MISSED, find_bend, find_flat
from infer.output.fitted.surroundings import Probe


def probe_zero(gradient, size, dtype=np.float64, value=lambda _: 0.0):
    """Probe a density at zero, given its gradient; return a list that gets each point, too."""
    seen = []

    def alone(points):
        seen.append(points[0])
        values = np.array([value(points[0])])
        return Points(points, values, gradient(points[0])[None], np.zeros_like(points))

    center = np.zeros(size, dtype)
    steps = np.full(size, np.cbrt(np.finfo(dtype).eps))
    return Probe(None, center, steps, alone, gradient(center)), seen


def test_a_concave_density_of_many_coordinates_is_believed_from_few_gradients():
    curvatures = -np.linspace(1.0, 2.0, 1000)
    probe, seen = probe_zero(lambda x: curvatures * x, 1000)
    assert -1.3 < find_bend(probe).curvature < -1.0
    assert len(seen) == 8


@pytest.mark.parametrize("seed", range(8))
def test_one_direction_of_ascent_among_many_is_found(seed):
    """At most one in a hundred is to be missed, by a random vector that is nearly orthogonal."""
    assert MISSED == 0.01
    way = np.random.default_rng(seed).normal(size=1000)
    way /= np.linalg.norm(way)
    curvatures = -np.linspace(1.0, 2.0, 1000)
    probe, _ = probe_zero(lambda x: curvatures * x + 1.6 * (way @ x) * way, 1000)
    largest, direction, *_ = find_bend(probe)
    assert largest > 0
    assert (curvatures * direction) @ direction + 1.6 * (way @ direction) ** 2 > 0


def test_an_ill_conditioned_density_takes_all_vectors():
    curvatures = -np.logspace(-6, 0, 1000)
    probe, seen = probe_zero(lambda x: curvatures * x, 1000)
    assert find_bend(probe).curvature < 0
    assert len(seen) == 32


@pytest.mark.parametrize(("between", "gradients"), [(0.5, 2), (1 - 1e-6, 4)])
def test_central_differences_are_taken_only_if_the_hessian_is_nearly_singular(between, gradients):
    hessian = -np.array([[1.0, between], [between, 1.0]])
    probe, seen = probe_zero(lambda x: hessian @ x, 2)
    np.testing.assert_allclose(find_bend(probe).curvature, between - 1, rtol=1e-4)
    assert len(seen) == gradients


def test_a_third_derivative_is_not_taken_for_a_rise():
    """The forward difference of -1e-5 x + 6 x^2 is positive; the central one is exact."""
    probe, _ = probe_zero(lambda x: -1e-5 * x + 6 * x**2, 1)
    assert probe.multiply_one_sided(np.eye(1))[0, 0] > 0
    assert find_bend(probe).curvature < 0


class Labeled:
    """A density that has names for its coordinates, and nothing else."""

    def labels(self):
        return [f"x[{i}]" for i in range(100)]


@pytest.mark.parametrize("size", [2, 100])
@pytest.mark.parametrize(
    ("value", "slope", "curvature", "sides"),
    [
        (lambda x: 0.0, lambda x: 0.0, 0.0, 2),
        (lambda x: -np.logaddexp(0.0, -x - 20), lambda x: expit(-x - 20), 0.0, 1),
        # Broad, but not flat: a standard deviation of 1e5.
        (lambda x: -0.5e-10 * x**2, lambda x: -1e-10 * x, -1e-10, 0),
    ],
)
def test_a_density_that_never_falls_is_flat(value, slope, curvature, sides, size):
    """The last coordinate is flat; the others are standard normal."""
    probe, _ = probe_zero(
        lambda x: np.append(-x[:-1], slope(x[-1])), size,
        value=lambda x: -0.5 * (x[:-1] ** 2).sum() + value(x[-1]),
    )  # fmt: skip
    probe = probe._replace(density=Labeled())
    bend = find_bend(probe)
    assert abs(bend.softness - curvature) <= 1e-8
    found = find_flat(probe, 0.0, bend)
    assert (found.is_everywhere + 1 if found else 0) == sides
    if found:
        assert found.along == (f"x[{size - 1}]",)
