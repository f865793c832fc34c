"""A short run from the draws of an approximation shows how it differs from the target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.density.base import log_density
from infer.numerics.audit import audit, count_steps, evaluate_noise
from infer.numerics.families.full_rank import make_normal
from infer.numerics.keys import read_key_data
from infer.programs.native import call_compiled

from ..engines.test_contract import Counted, count
from ..targets import COVARIANCE, MEAN, normal

FACTOR = np.linalg.cholesky(COVARIANCE)
SDS = np.sqrt(np.diag(COVARIANCE))


def evaluate(target, approximation, noise):
    return jax.vmap(lambda own: evaluate_noise(target, approximation, own))(noise)


def run(target, approximation, key=0):
    """Audit with one compiled program."""

    def call(noise):
        return jax.tree.map(np.asarray, call_compiled(evaluate, target, approximation, noise))

    dtype = approximation.location.dtype
    return audit(call, approximation.size, dtype, read_key_data(key))


def differ(model, mean, factor, key=0):
    """Return the largest shift of a mean in sds, the log sds' changes, and the audit."""
    approximation = make_normal(jnp.asarray(mean), jnp.asarray(factor))
    found = run(log_density(model), approximation, key)
    sds = np.sqrt((np.asarray(factor) ** 2).sum(1))
    shift = np.abs(np.asarray(found.mean) - mean) / sds
    return shift.max(), np.log(np.asarray(found.sd) / sds), found


@pytest.mark.parametrize("key", range(5))
def test_the_chains_stay_where_the_approximation_is_exact(key):
    # 64 chains and 20 nearly independent transitions: a standard error of 0.03 at most.
    shift, growth, found = differ(normal(), MEAN, FACTOR, key)
    assert shift < 0.15
    assert np.abs(growth).max() < 0.15
    assert found.acceptance > 0.6
    assert 0.9 < found.shrinkage < 1.6


def test_the_chains_find_the_spread_of_the_target():
    # The standard deviation over keys is 0.05, so one of 10^4 keys fails.
    _, growth, _ = differ(normal(), MEAN, 2 * FACTOR)
    np.testing.assert_allclose(growth, -np.log(2), atol=0.2)
    _, growth, _ = differ(normal(), MEAN, FACTOR / 2)
    np.testing.assert_allclose(growth, np.log(2), atol=0.2)


def test_the_chains_find_the_mean_of_the_target():
    _, _, found = differ(normal(), MEAN + 3 * SDS, FACTOR)
    np.testing.assert_allclose((found.mean - MEAN) / SDS, 0, atol=0.15)


def test_correlations_that_independent_coordinates_miss_widen_them():
    covariance = np.full((3, 3), 0.9) + 0.1 * np.eye(3)
    # The optimum of the ELBO has the conditional variances.
    conditional = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))
    _, growth, _ = differ(normal(covariance=covariance), MEAN, np.diag(conditional))
    assert growth.min() > 0.4


def test_the_step_shrinks_if_the_target_is_narrow_in_one_direction():
    _, _, found = differ(normal(), MEAN, 20 * FACTOR)
    assert found.shrinkage < 0.3


def test_chains_leave_values_that_are_impossible():
    model = infer.declared(
        lambda v: jnp.where(v["x"].sum() > 0, -0.5 * (v["x"] ** 2).sum(), -jnp.inf),
        {"x": bj.Real(shape=(2,))},
    )
    shift, _, found = differ(model, np.zeros(2), np.eye(2))
    # The half normal along the diagonal has the mean sqrt(2 / pi), 0.80; on the way there, many
    # proposals are impossible, so the step shrinks.
    assert shift > 0.2
    assert 0.4 < np.asarray(found.mean).sum() / np.sqrt(2) < 0.9


@pytest.mark.parametrize(("size", "steps"), [(1, 2), (3, 2), (100, 4), (1000, 6), (10_000, 12)])
def test_trajectories_grow_slowly_with_the_dimension(size, steps):
    assert count_steps(size) == steps


def test_the_program_of_an_audit_contains_the_target_once():
    approximation, noise = make_normal(jnp.zeros(3), jnp.eye(3)), jnp.zeros((4, 3))
    program = jax.make_jaxpr(evaluate)(Counted(), approximation, noise)
    assert count(program.jaxpr, "the_models_gradient") == 1
