"""`contains` agrees with NumPy in double precision and rejects values singular to rounding."""

import jax
import numpy as np
import pytest

import bijectors as bj
from bijectors.membership import is_member
from bijectors.registry import build_bijector

DEFAULTS = {rule.constraint: rule for rule in reversed(bj.RULES)}
LARGEST = 50


def cases_up_to_fifty():
    for rule in DEFAULTS.values():
        for case in rule.cases:
            if max((1, *case.shape)) <= LARGEST:
                yield pytest.param(rule, case, id=f"{rule.constraint.__name__}-{case.shape}")


@pytest.mark.parametrize(("rule", "case"), list(cases_up_to_fifty()))
def test_images_are_members_in_single_precision_where_chains_start(rule, case):
    bijector = bj.bijector_for(case.constraint, case.shape, rule.name)
    shape = (100, *bijector.unconstrained_shape(case.shape))
    y = np.random.default_rng(0).uniform(-2, 2, shape).astype(np.float32)
    x = np.asarray(jax.jit(jax.vmap(bijector.forward))(y))
    assert x.dtype == (np.complex64 if np.iscomplexobj(x) else np.float32)
    assert is_member(case.constraint, x).all()
    assert np.all(jax.jit(lambda x: case.constraint.contains(x))(x))


SINGLE = np.float32
# None is a member, by so little that a tolerance for rounding would accept it.
BARELY_OUTSIDE = [
    (bj.Ordered(3), [0.0, 1.0, 1.0]),
    (bj.Descending(3), [1.0, 1.0, 0.0]),
    (bj.PositiveOrdered(3), [0.5, 1.0, 1.0]),
    (bj.LowerCholesky(), [[1.0, 0.0], [0.5, 0.0]]),
    (bj.CorrelationCholesky(), [[1.0, 0.0], [1.0, 0.0]]),
    (bj.PositiveDefinite(), [[1.0, 1.0], [1.0, 1.0]]),
    (bj.PositiveDefinite(), [[0.25**13, 0.5**13], [0.5**13, 1.0]]),
    (bj.Correlation(), [[1.0, 1.0], [1.0, 1.0]]),
    (bj.Correlation(), [[1.0, -1.0 - 1e-7], [-1.0 - 1e-7, 1.0]]),
    (bj.PositiveDefiniteCirculant(), [1.0, 1.0, 1.0]),
    (bj.Ball(), [0.6, 0.8]),
    (bj.Ball(order=1), [0.5, -0.5 - 1e-7]),
]


@pytest.mark.parametrize(("constraint", "value"), BARELY_OUTSIDE)
def test_values_barely_outside_are_not_members(constraint, value):
    value = np.asarray(value, SINGLE)
    assert not is_member(constraint, value)
    assert not jax.jit(constraint.contains)(value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [2, 5, 20, 50])
def test_contains_accepts_only_positive_definite_matrices(order, dtype):
    """The matrices are singular up to rounding, some a little more and some a little less."""
    rng = np.random.default_rng(order)
    root = rng.normal(size=(400, order, max(order - 1, 1)))
    square = (root @ np.swapaxes(root, 1, 2)).astype(dtype)
    scale = np.sqrt(np.diagonal(square, axis1=1, axis2=2))
    square /= scale[:, :, None] * scale[:, None]
    square += np.geomspace(1e-3, 1e3, 400)[:, None, None] * np.finfo(dtype).eps * np.eye(order)
    square = ((square + np.swapaxes(square, 1, 2)) / 2).astype(dtype)
    said = np.asarray(jax.jit(bj.PositiveDefinite().contains)(square))
    true = is_member(bj.PositiveDefinite(), square)
    assert not (said & ~true).any()
    assert said.any()
    assert not said.all()


def test_membership_does_not_depend_on_the_scale_of_rows():
    scale = np.array([1e-12, 1.0, 1e12], SINGLE)
    matrix = np.array([[1.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.0]], SINGLE)
    assert jax.jit(bj.PositiveDefinite().contains)(scale[:, None] * matrix * scale)


@pytest.mark.parametrize("size", [20, 200])
def test_running_sums_never_decrease_in_the_tails(size):
    y = 10 * np.random.default_rng(0).standard_normal((200, size))
    x = np.asarray(jax.jit(jax.vmap(bj.CumulatedExp().forward))(y.astype(SINGLE)))
    assert (np.diff(x) >= 0).all()
    # Some gaps are below the unit in the last place, so the vector is not strictly ordered.
    found = np.asarray(jax.jit(bj.Ordered().contains)(x))
    assert not found.all()
    np.testing.assert_array_equal(found, is_member(bj.Ordered(), x))


@pytest.mark.parametrize("order", [2, 10, 50])
def test_the_default_correlation_is_well_conditioned_where_chains_start(order):
    rule = DEFAULTS[bj.Correlation]
    bijector = build_bijector(rule, bj.Correlation(), (order, order))
    y = np.random.default_rng(1).uniform(-2, 2, (100, order * (order - 1) // 2))
    smallest = np.linalg.eigvalsh(jax.jit(jax.vmap(bijector.forward))(y))[:, 0]
    assert smallest.min() > 1e-2
    assert np.median(smallest) > 0.05
