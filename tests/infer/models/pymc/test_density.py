"""Models of PyMC have PyMC's log density and gradient here, at 20 points each."""

import functools
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pymc", reason="PyMC is the extra `pymc`; `make test-pymc` installs it")

import pymc as pm
import pytensor.tensor as pt

import infer

from .models import CONTINUOUS, DISCRETE, censored
from .theirs import PLAIN, their_values

EVERY = pytest.mark.parametrize("make", CONTINUOUS, ids=lambda make: make.__name__)
# On these maps the two libraries agree, coordinate by coordinate.
AGREED = {"Identity", "Exp", "Logistic", "ExpDiagonal", "CumulatedExp", "IsometricZeroSum",
          "ExpAbove", "ExpBelow"}  # fmt: skip


@functools.cache
def compared(make):
    """The two models, and 20 points of PyMC's unconstrained space."""
    theirs = make()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "corr: PyMC gives", infer.ModelWarning)
        ours = infer.from_pymc(theirs)
    rng = np.random.default_rng(3)
    shapes = {v.name: np.shape(a) for v, a in zip(theirs.value_vars, start(theirs), strict=True)}
    points = [
        {n: np.asarray(rng.normal(0, 0.7, shape)) for n, shape in shapes.items()} for _ in range(20)
    ]
    return theirs, ours, points


def start(model):
    return model.initial_point().values()


@EVERY
def test_log_density_and_gradient_of_constrained_values_are_theirs(make):
    theirs, model, points = compared(make)
    ours = infer.log_density(model, jacobian=False)
    values = their_values(theirs)
    both = jax.jit(jax.value_and_grad(lambda point: ours.of(values(point))))
    log_density = theirs.compile_logp(jacobian=False, mode=PLAIN)
    slope = theirs.compile_dlogp(jacobian=False, mode=PLAIN)
    for point in points:
        found, gradient = both(point)
        np.testing.assert_allclose(found, log_density(point), rtol=1e-8)
        if not np.isfinite(found):
            # Outside the support of LKJCorr in PyMC 5, whose transform does not exclude it.
            continue
        flat = np.concatenate([np.ravel(gradient[v.name]) for v in theirs.value_vars])
        np.testing.assert_allclose(flat, slope(point), rtol=1e-7, atol=1e-8)


@EVERY
def test_log_density_of_the_flat_vector_is_theirs_where_maps_agree(make):
    theirs, model, points = compared(make)
    ours = infer.log_density(model)
    if any(site.bijector not in AGREED for site in ours.latent):
        pytest.skip("a map of ours is another than theirs")
    log_density = theirs.compile_logp(jacobian=True, mode=PLAIN)
    of_site = {theirs.rvs_to_values[v].name: v.name for v in theirs.free_RVs}
    for point in points[:5]:
        own = {of_site[name]: value for name, value in point.items()}
        flat = np.concatenate([np.ravel(own[site.name]) for site in ours.latent])
        np.testing.assert_allclose(ours(jnp.asarray(flat)), log_density(point), rtol=1e-8)


@pytest.mark.parametrize("make", DISCRETE, ids=lambda make: make.__name__)
def test_discrete_variables_are_summed_out(make):
    theirs, model, points = compared(make)
    ours = infer.log_density(model, jacobian=False)
    values, log_density = their_values(theirs), theirs.compile_logp(jacobian=False, mode=PLAIN)
    discrete = {v.name: VALUES[v.name] for v in theirs.discrete_value_vars}
    for point in points[:5]:
        each = [point | chosen for chosen in every_choice(point, discrete)]
        free = values(each[0])
        known = {name: value for name, value in free.items() if name not in discrete}
        expected = np.logaddexp.reduce([log_density(one) for one in each])
        np.testing.assert_allclose(ours.of(known), expected, rtol=1e-8)


# Values that entries of the discrete variables may have.
VALUES = {"label": range(2), "switch": range(8), "here": range(2), "found": range(5)}


def every_choice(point, discrete):
    """All values of the discrete variables, entry by entry."""
    names = list(discrete)
    sizes = [np.size(point[name]) for name in names]
    own = [range(s) for s in sizes]
    ranges = [discrete[n] for n, each in zip(names, own, strict=True) for _ in each]
    for chosen in itertools.product(*ranges):
        parts = np.split(np.array(chosen), np.cumsum(sizes)[:-1])
        yield {n: p.reshape(np.shape(point[n])) for n, p in zip(names, parts, strict=True)}


OUT_OF_RANGE = {
    "Gamma": lambda a: pm.Gamma("x", a, 1),
    "InverseGamma": lambda a: pm.InverseGamma("x", a, 1),
    "Beta": lambda a: pm.Beta("x", 1, a),
    "Dirichlet": lambda a: pm.Dirichlet("x", pt.stack([1, a])),
    "Bernoulli": lambda a: pm.Bernoulli("x", a),
    "Binomial": lambda a: pm.Binomial("x", 2, a),
    "Categorical": lambda a: pm.Categorical("x", pt.stack([a, 0.3])),
}


@pytest.mark.parametrize("make", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_the_density_is_zero_where_a_parameter_is_out_of_its_range(make):
    with pm.Model() as theirs:
        make(pm.Normal("a"))
    ours = infer.log_density(infer.from_pymc(theirs))
    density = jax.jit(jax.vmap(ours))
    first = jnp.array([-0.7, 0.7])
    found = density(jnp.stack([first, *[jnp.zeros(2)] * (ours.size - 1)], axis=1))
    assert found[0] == -np.inf
    assert np.isfinite(found[1])


def test_a_half_flat_variable_has_no_density_below_zero():
    interval = pm.distributions.transforms.Interval(-1, 2)
    with pm.Model() as theirs:
        pm.HalfFlat("x", default_transform=None, transform=interval, initval=1.0)
    ours = infer.log_density(infer.from_pymc(theirs), jacobian=False)
    assert [ours.of({"x": jnp.array(x)}) for x in (-0.5, 0.5)] == [-np.inf, 0]


def test_second_derivatives_of_a_censored_model_are_slopes_of_its_gradient():
    """They pass through erfcx, whose own in jax 0.12 raises for arrays."""
    density = infer.log_density(infer.from_pymc(censored()))
    at, step = jnp.linspace(-0.3, 0.4, density.size), 1e-5 * jnp.eye(density.size)
    curvature = jax.jit(jax.hessian(density))(at)
    gradients = jax.jit(jax.vmap(jax.grad(density)))(jnp.concatenate([at + step, at - step]))
    slopes = (gradients[: density.size] - gradients[density.size :]) / 2e-5
    np.testing.assert_allclose(curvature, slopes, rtol=1e-7, atol=1e-7)
