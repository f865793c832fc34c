"""NumPyro checks only the known arguments of distributions while our models run."""

from threading import Thread

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.models.priors.known_only import known_only


def mean_of(covariance):
    return dist.MultivariateNormal(jnp.zeros(3), covariance).mean


def test_a_traced_covariance_is_checked_only_outside():
    assert "eigh" in str(jax.make_jaxpr(mean_of)(jnp.eye(3)))
    with known_only():
        assert "eigh" not in str(jax.make_jaxpr(lambda c: mean_of(c))(jnp.eye(3)))
    assert "eigh" in str(jax.make_jaxpr(lambda c: mean_of(c))(jnp.eye(3)))


def test_a_known_argument_is_checked_beside_a_traced_one():
    with known_only(), pytest.raises(ValueError, match="invalid scale parameter"):
        jax.jit(lambda loc: dist.Normal(loc, -1.0).mean)(0.0)
    with known_only(), pytest.raises(ValueError, match="invalid scale parameter"):
        dist.Normal(0.0, -1.0)


def test_a_strict_check_is_left_to_numpyro():
    def strictly(scale):
        normal = dist.Normal(0.0, scale)
        normal.validate_args(strict=True)
        return normal.mean

    with known_only(), pytest.raises(RuntimeError, match="Cannot validate"):
        jax.jit(strictly)(1.0)


def test_a_value_outside_the_support_has_density_zero():
    with known_only():
        assert jax.jit(lambda rate: dist.Exponential(rate).log_prob(-1.0))(2.0) == -jnp.inf


def test_numpyro_is_unchanged_outside_the_block():
    own = dist.Distribution.validate_args
    assert own.__globals__["__name__"].startswith("numpyro.")
    with known_only(), known_only():
        assert dist.Distribution.validate_args is not own
    assert dist.Distribution.validate_args is own


def test_other_threads_check_traced_arguments_as_before():
    found = []
    with known_only():
        thread = Thread(target=lambda: found.append(jax.make_jaxpr(mean_of)(2 * jnp.eye(3))))
        thread.start()
        thread.join()
    assert "eigh" in str(found[0])


PRIOR = dist.LogNormal(0.0, 1.0)


def by_site(site):
    site.derive("mean", mean_of(site("scale", PRIOR) * jnp.eye(3)))


def by_value(values):
    return mean_of(values["scale"] * jnp.eye(3)).sum()


@pytest.mark.parametrize(
    "make",
    [
        lambda: infer.model(by_site),
        lambda: infer.tree_model({"scale": 1.0}, by_value, {"scale": infer.Leaf(PRIOR)}),
        lambda: infer.declared(by_value, {"scale": bj.Positive()}),
    ],
    ids=["model", "tree_model", "declared"],
)
def test_the_density_of_a_model_holds_no_check_of_a_covariance(make):
    density = infer.log_density(make())
    assert "eigh" not in str(jax.make_jaxpr(density.evaluate)(jnp.zeros(1)))
