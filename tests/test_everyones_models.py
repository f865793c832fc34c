"""Public models have the log densities and gradients of the libraries that they come from."""

from importlib import import_module
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from benchmarks.everyones.agreement import compare_densities, compare_means
from benchmarks.everyones.home import Home, Sampled

# The files of the models, and the packages that they need.
FILES = {"numpyro_home": "numpyro", "tfp_home": "tensorflow_probability"}
OTHERS = {"pymc_home": "bambi", "stan_home": "stanli"}


def public_models():
    for file, package in (FILES | OTHERS).items():
        if find_spec(package) is None:
            reason = f"{package} is not installed; `make test-pymc` or `make test-stan` does"
            yield pytest.param(None, id=file, marks=pytest.mark.skip(reason=reason))
            continue
        for case in import_module(f"benchmarks.everyones.{file}").CASES:
            yield pytest.param(case, id=f"{case.library}-{case.name}", marks=pytest.mark.slow)


@pytest.mark.parametrize("case", [*public_models()])
def test_log_density_and_gradient_are_those_of_the_home_library(case):
    home = case.make()
    errors = compare_densities(home, infer.log_density(home.model))
    assert errors.has_jacobian
    assert max(errors.log_density, errors.gradient) < 1e-8


def half_normal(jacobian):
    """A model of one positive number; its home has exp as map, and may forget its Jacobian."""

    def log_density(flat):
        return -0.5 * jnp.exp(2 * flat[0]) + jacobian * flat[0]

    return Home(
        infer.declared(lambda values: -0.5 * values["x"] ** 2, {"x": bj.Positive()}),
        1,
        lambda flat: {"x": jnp.exp(flat[0])},
        jax.value_and_grad(log_density),
        lambda seed, draws: Sampled({}, 0),
    )


@pytest.fixture(scope="module")
def density():
    return infer.log_density(half_normal(1.0).model)


@pytest.mark.parametrize(("jacobian", "is_equal"), [(1.0, True), (1.0 + 1e-6, False)])
def test_a_wrong_jacobian_is_found(density, jacobian, is_equal):
    errors = compare_densities(half_normal(jacobian), density)
    assert (errors.log_density < 1e-8) == (errors.gradient < 1e-8) == is_equal


def test_a_mean_that_is_off_by_half_a_standard_deviation_is_found(density):
    """With 1000 draws each, one error is 0.045; 4 of them are a false alarm in 16,000."""
    own, theirs = np.random.default_rng(0).normal(size=(2, 2, 500))
    apart = [
        compare_means(density, {"x": np.exp(own)}, {"x": np.exp(theirs + s)}) for s in (0, 0.5)
    ]
    assert apart[0].labels == ("x", "log density")
    assert np.abs(apart[0].z).max() < 4 < np.abs(apart[1].z[0])
    np.testing.assert_allclose(apart[1].ess, 1000, rtol=0.3)
