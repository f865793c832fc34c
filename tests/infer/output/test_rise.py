"""A rise from a stationary point is found, and its absence is believed, from few gradients."""

import numpy as np
import pytest

from infer.density.points import Points
from infer.output.fitted.rise import MISSED, find_largest_curvature
from infer.output.fitted.surroundings import Probe


def probe_zero(gradient, size, dtype=np.float64):
    """Probe a density at zero, given its gradient; return a list that gets each point, too."""
    seen = []

    def alone(points):
        seen.append(points[0])
        return Points(points, np.zeros(1), gradient(points[0])[None], np.zeros_like(points))

    center = np.zeros(size, dtype)
    steps = np.full(size, np.cbrt(np.finfo(dtype).eps))
    return Probe(None, center, steps, alone, gradient(center)), seen


def test_a_concave_density_of_many_coordinates_is_believed_from_few_gradients():
    curvatures = -np.linspace(1.0, 2.0, 1000)
    probe, seen = probe_zero(lambda x: curvatures * x, 1000)
    largest, _ = find_largest_curvature(probe)
    assert -1.3 < largest < -1.0
    assert len(seen) == 8


@pytest.mark.parametrize("seed", range(8))
def test_one_direction_of_ascent_among_many_is_found(seed):
    """At most one in a hundred is to be missed, by a random vector that is nearly orthogonal."""
    assert MISSED == 0.01
    way = np.random.default_rng(seed).normal(size=1000)
    way /= np.linalg.norm(way)
    curvatures = -np.linspace(1.0, 2.0, 1000)
    probe, _ = probe_zero(lambda x: curvatures * x + 1.6 * (way @ x) * way, 1000)
    largest, direction = find_largest_curvature(probe)
    assert largest > 0
    assert (curvatures * direction) @ direction + 1.6 * (way @ direction) ** 2 > 0


def test_an_ill_conditioned_density_takes_all_vectors():
    curvatures = -np.logspace(-6, 0, 1000)
    probe, seen = probe_zero(lambda x: curvatures * x, 1000)
    assert find_largest_curvature(probe)[0] < 0
    assert len(seen) == 32


@pytest.mark.parametrize(("between", "gradients"), [(0.5, 2), (1 - 1e-6, 4)])
def test_central_differences_are_taken_only_if_the_hessian_is_nearly_singular(between, gradients):
    hessian = -np.array([[1.0, between], [between, 1.0]])
    probe, seen = probe_zero(lambda x: hessian @ x, 2)
    np.testing.assert_allclose(find_largest_curvature(probe)[0], between - 1, rtol=1e-4)
    assert len(seen) == gradients


def test_a_third_derivative_is_not_taken_for_a_rise():
    """The forward difference of -1e-5 x + 6 x^2 is positive; the central one is exact."""
    probe, _ = probe_zero(lambda x: -1e-5 * x + 6 * x**2, 1)
    assert probe.multiply_one_sided(np.eye(1))[0, 0] > 0
    assert find_largest_curvature(probe)[0] < 0
