"""NumPyro checks the arguments that are known, and no others, while our models run."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

from infer.models.priors.known_only import known_only


def mean_of(covariance):
    return dist.MultivariateNormal(jnp.zeros(3), covariance).mean


def test_a_traced_covariance_is_not_checked_inside_alone():
    assert "eigh" in str(jax.make_jaxpr(mean_of)(jnp.eye(3)))
    with known_only():
        assert "eigh" not in str(jax.make_jaxpr(lambda c: mean_of(c))(jnp.eye(3)))
    assert "eigh" in str(jax.make_jaxpr(lambda c: mean_of(c))(jnp.eye(3)))


def test_a_known_argument_is_checked_beside_a_traced_one():
    with known_only(), pytest.raises(ValueError, match="invalid scale parameter"):
        jax.jit(lambda loc: dist.Normal(loc, -1.0).mean)(0.0)
    with known_only(), pytest.raises(ValueError, match="invalid scale parameter"):
        dist.Normal(0.0, -1.0)


def test_a_strict_check_is_numpyros_own():
    def strictly(scale):
        normal = dist.Normal(0.0, scale)
        normal.validate_args(strict=True)
        return normal.mean

    with known_only(), pytest.raises(RuntimeError, match="Cannot validate"):
        jax.jit(strictly)(1.0)


def test_a_value_outside_the_support_has_no_density():
    with known_only():
        assert jax.jit(lambda rate: dist.Exponential(rate).log_prob(-1.0))(2.0) == -jnp.inf
