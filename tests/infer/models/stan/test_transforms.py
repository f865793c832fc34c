"""Our maps against Stan's transforms: values and log-determinants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from bijectors.registry import bijector_for
from bijectors.table import RULES

pytest.importorskip("stanli")
pytest.importorskip("bridgestan")

# Stan's declaration, our set, the shape of a value, and the map if it is not the default.
EQUAL = [
    ("real", bj.Real(), (), None),
    ("real<lower=2>", bj.GreaterThan(2.0), (), None),
    ("real<upper=-1>", bj.LessThan(-1.0), (), None),
    ("real<lower=-1, upper=3>", bj.Interval(-1.0, 3.0), (), None),
    ("real<offset=2, multiplier=3>", bj.Real(), (), bj.Affine(2.0, 3.0)),
    ("ordered[4]", bj.Ordered(), (4,), None),
    ("positive_ordered[4]", bj.PositiveOrdered(), (4,), None),
]
# Stan turns the isometries of simplexes and of sums to zero in another way.
OTHERWISE = [
    ("simplex[4]", bj.Simplex(), (4,)),
    ("sum_to_zero_vector[4]", bj.ZeroSum(), (4,)),
    ("cholesky_factor_corr[4]", bj.CorrelationCholesky(), (4, 4)),
    ("corr_matrix[3]", bj.Correlation(), (3, 3)),
    ("cov_matrix[3]", bj.PositiveDefinite(), (3, 3)),
    ("cholesky_factor_cov[3]", bj.LowerCholesky(), (3, 3)),
    ("cholesky_factor_cov[4, 2]", bj.LowerCholesky(columns=2), (4, 2)),
    ("sum_to_zero_matrix[3, 4]", bj.ZeroSum(axes=2), (3, 4)),
]


def stan_of(declared):
    """Return the density of parameters alone, which is Jacobian, and points to compare at."""
    density = infer.log_density(infer.from_stan(f"parameters {{ {declared} x; }} model {{ }}"))
    points = np.random.default_rng(len(declared)).normal(size=(5, density.size))
    return density, jnp.asarray(points)


def refer(log_dets):
    """Leave out constants, which Stan may drop."""
    return np.asarray(log_dets - log_dets[0])


def differentiate(function, q):
    """Differentiate by central differences of order eight; their error is about 1e-12."""
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    steps = 0.02 * np.arange(1, 5)[:, None, None] * np.eye(q.size)
    ahead, behind = (jax.vmap(jax.vmap(function))(q + own) for own in (steps, -steps))
    return jnp.tensordot(weights, ahead - behind, 1).T / 0.02


@pytest.mark.parametrize(("declared", "constraint", "shape", "choice"), EQUAL)
def test_map_is_that_of_stan(declared, constraint, shape, choice):
    density, points = stan_of(declared)
    bijector = bijector_for(constraint, shape, choice, RULES, "x")
    ours = jax.vmap(lambda q: bijector.image(q.reshape(bijector.unconstrained_shape(shape))))(
        points
    )
    np.testing.assert_allclose(ours.value, jax.vmap(density.constrain)(points)["x"], rtol=1e-10)
    log_dets = jax.vmap(density)(points)
    np.testing.assert_allclose(
        refer(ours.log_det + ours.auxiliary), refer(log_dets), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(("declared", "constraint", "shape"), OTHERWISE)
def test_maps_of_other_coordinates_agree_about_volume(declared, constraint, shape):
    """If ours undoes Stan's, the determinant of both together is the difference of the two."""
    density, points = stan_of(declared)
    bijector = bijector_for(constraint, shape, None, RULES, "x")

    def across(q):
        x = density.constrain(q)["x"]
        y = bijector.inverse(x)
        image = bijector.image(y)
        return y.reshape(-1), x, image.value, image.log_det + image.auxiliary

    _, theirs, back, log_dets = jax.vmap(across)(points)
    slopes = jax.vmap(lambda q: differentiate(lambda q: across(q)[0], q))(points)
    ratios = jnp.linalg.slogdet(slopes)[1]
    np.testing.assert_allclose(back, theirs, rtol=1e-9, atol=1e-9)
    expected = jax.vmap(density)(points) - log_dets
    np.testing.assert_allclose(refer(ratios), refer(expected), atol=1e-10)


def test_unit_vectors_are_equal_and_lengths_have_densities_of_their_own():
    density, points = stan_of("unit_vector[3]")
    points = 1.5 * points / jnp.linalg.norm(points, axis=1, keepdims=True)
    ours = jax.vmap(bijector_for(bj.UnitVector(), (3,), None, RULES, "x").image)(points)
    np.testing.assert_allclose(ours.value, jax.vmap(density.constrain)(points)["x"], rtol=1e-10)
    for log_dets in (ours.log_det + ours.auxiliary, jax.vmap(density)(points)):
        np.testing.assert_allclose(refer(log_dets), 0, atol=1e-10)
