"""The density of every distribution of TFP is normalized on our set, or it raises with a reason.

The tests cover all of `tfp.distributions`: a class that is missing in benchmarks/tfp_members.py is
an error when this file is collected.
"""

import contextlib
import importlib
import importlib.util
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
from bijectors.translate import tfp_import
from bijectors.translate.image_of import ImageOf
from bijectors.translate.tfp import batch_shape, event_shape, from_tfp
from bijectors.translate.tfp_bijector import TfpBijector, bijector_from_tfp
from bijectors.translate.tfp_import import load_tfp

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location(
    "tfp_members", ROOT / "benchmarks" / "tfp_members.py"
)
assert _spec is not None
assert _spec.loader is not None
tfp_members = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tfp_members)

tfp = load_tfp()
tfd, tfb = tfp.distributions, tfp.bijectors
double = tfp_members.double
MEMBERS = tfp_members.members(tfp)

DISCRETE = [
    "Bernoulli",
    "BetaBinomial",
    "Binomial",
    "Categorical",
    "DeterminantalPointProcess",
    "DirichletMultinomial",
    "Empirical",
    "FiniteDiscrete",
    "Geometric",
    "Multinomial",
    "NegativeBinomial",
    "OneHotCategorical",
    "OrderedLogistic",
    "PlackettLuce",
    "Poisson",
    "PoissonLogNormalQuadratureCompound",
    "ProbitBernoulli",
    "QuantizedDistribution",
    "Skellam",
    "StoppingRatioLogistic",
    "Zipf",
]
# Why a distribution cannot be a prior: part of the message.
REFUSED = {
    **dict.fromkeys(DISCRETE, "discrete"),
    **dict.fromkeys(["Deterministic", "VectorDeterministic"], "at one value"),
    **dict.fromkeys(["Inflated", "ZeroInflatedNegativeBinomial"], "part of its probability"),
    **dict.fromkeys([name for name in MEMBERS if name.startswith("Joint")], "joint distribution"),
}
# Creating the densities of these in TFP takes about 20 seconds.
SLOW = ("Bates", "BetaQuotient")
TRANSLATED = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in sorted(MEMBERS.keys() - REFUSED.keys())
]
# Their values have four free numbers, too many for a grid.
WIDE = ("BatchConcat", "MatrixNormalLinearOperator", "MatrixTLinearOperator")
KINDS = {
    "Blockwise": bj.Concatenation,
    "Normal": bj.Real,
    "MultivariateNormalTriL": bj.Real,
    "GaussianProcess": bj.Real,
    "Gamma": bj.Positive,
    "InverseGamma": bj.Positive,
    "InverseGaussian": bj.Positive,
    "HalfCauchy": bj.GreaterThan,
    "Pareto": bj.GreaterThan,
    "Beta": bj.Interval,
    "Uniform": bj.Interval,
    "Dirichlet": bj.Simplex,
    "RelaxedOneHotCategorical": bj.Simplex,
    "ExpRelaxedOneHotCategorical": bj.LogSimplex,
    "LKJ": bj.Correlation,
    "CholeskyLKJ": bj.CorrelationCholesky,
    "WishartTriL": bj.PositiveDefinite,
    # TFP's own bijectors have a boundary at the angle pi, and reach only one orthant of the sphere.
    "VonMises": bj.Circular,
    "VonMisesFisher": bj.UnitVector,
    "PowerSpherical": bj.UnitVector,
    "SphericalUniform": bj.UnitVector,
}


def made(name):
    # TFP warns about an Inflated distribution that is continuous.
    with (
        pytest.warns(UserWarning, match="not discrete")
        if name == "Inflated"
        else contextlib.nullcontext()
    ):
        return MEMBERS[name]()


def whole(distribution):
    return batch_shape(distribution) + event_shape(distribution)


def total_mass(distribution, constraint=None, points=None):
    """Integrate a density over the unconstrained space; 1 if set, map and volume are correct."""
    constraint = constraint or from_tfp(distribution)
    bijector = bj.bijector_for(constraint, whole(distribution))
    shape = bijector.unconstrained_shape(whole(distribution))
    y, weights = _grid(math.prod(shape), isinstance(constraint, bj.Real))

    def evaluate(y):
        image = jax.vmap(bijector.image)(y)
        return distribution.log_prob(image.value), image.log_det + image.auxiliary

    # TFP cannot trace the log density of Bates.
    is_traced = not isinstance(distribution, tfd.Bates)
    found = (jax.jit(evaluate) if is_traced else evaluate)(y.reshape(-1, *shape))
    rows, log_volume = map(np.asarray, found)
    log_density = np.broadcast_to(rows, (len(y), *rows.shape[1:])).reshape(len(y), -1).sum(-1)
    density = np.exp(log_density + log_volume)
    # In the tails a value may round to the end of its set, where TFP returns NaN.
    return np.nansum(density * weights)


def _grid(size, unbounded):
    """Make points and weights of the trapezoidal rule in t for y = sinh(t)^p.

    It converges fast and covers wide tails. With p = 3 it is fine near zero, where the density of
    a horseshoe is unbounded.
    """
    power, count = {1: (3, 800), 2: (1, 300), 3: (1, 70)}[size]
    reach = {1: 1e12, 2: 1e3, 3: 16.0}[size] if unbounded or size == 3 else 30.0
    end = math.asinh(reach ** (1 / power))
    # An even number of points leaves out zero.
    t, step = np.linspace(-end, end, count, retstep=True)
    slope = step * power * np.sinh(t) ** (power - 1) * np.cosh(t)
    y = np.stack(np.meshgrid(*[np.sinh(t) ** power] * size, indexing="ij"), -1)
    weights = np.prod(np.stack(np.meshgrid(*[slope] * size, indexing="ij"), -1), -1)
    return y.reshape(-1, size), weights.reshape(-1)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_distribution_without_a_density_raises_with_the_reason(name):
    with pytest.raises(bj.BijectorError, match=f"k: .*{REFUSED[name]}"):
        from_tfp(made(name), "k")


# The integrals of most of them are among the quick tests.
@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSLATED)
def test_every_other_density_is_finite_at_images_of_our_map(name):
    distribution = made(name)
    constraint, shape = from_tfp(distribution), whole(distribution)
    bijector = bj.bijector_for(constraint, shape)
    normal = jax.random.normal(jax.random.key(0), (20, *bijector.unconstrained_shape(shape)))
    for scale in (1.0, 3.0):
        image = jax.vmap(bijector.image)(scale * normal)
        assert image.value.shape == (20, *shape)
        assert np.asarray(constraint.contains(image.value)).all()
        rows = np.asarray(distribution.log_prob(image.value))
        assert np.isfinite(rows).all()
        assert np.isfinite(image.log_det).all()
        back = jax.vmap(bijector.image)(jax.vmap(bijector.inverse)(image.value))
        np.testing.assert_allclose(back.value, image.value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [row for row in TRANSLATED if row.values[0] not in WIDE])
def test_every_density_integrates_to_one_over_the_unconstrained_space(name):
    np.testing.assert_allclose(total_mass(made(name)), 1.0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSLATED)
def test_draws_of_tfp_are_members(name):
    if name == "FlatDirichlet":
        pytest.skip("TFP's own sampler of it fails with NumPy 2")
    draws = jnp.asarray(made(name).sample(5, seed=jax.random.key(1)))
    assert np.asarray(from_tfp(made(name)).contains(draws)).all()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_supports_become_our_sets(name):
    assert type(from_tfp(made(name))) is KINDS[name]


def test_bounds_are_translated_and_may_be_traced():
    def value(low, width):
        constraint = from_tfp(tfd.Uniform(low, low + width))
        return bj.bijector_for(constraint, ()).forward(jnp.asarray(0.0))

    found, slope = jax.jit(jax.value_and_grad(value, 1))(double(2.0), double(6.0))
    np.testing.assert_allclose((found, slope), (5.0, 0.5), rtol=1e-12)


@pytest.mark.parametrize(
    ("wrap", "shape"),
    [
        (lambda d: tfd.Sample(d, [3]), (2, 3)),
        (lambda d: tfd.Independent(d, 1), (2,)),
        (lambda d: tfd.Sample(tfd.Independent(d, 1), 3), (3, 2)),
        (lambda d: tfd.BatchReshape(d, [1, 2]), (1, 2)),
        (lambda d: tfd.BatchBroadcast(d, [3, 1]), (3, 2)),
        (lambda d: tfd.BatchConcat([d, d], 0), (4,)),
        (lambda d: tfd.Masked(d, [True, True]), (2,)),
    ],
)
def test_bounds_follow_the_axes_of_a_wrapper(wrap, shape):
    wrapped = wrap(tfd.Uniform(double([0.0, 10.0]), double([1.0, 20.0])))
    constraint = from_tfp(wrapped)
    draws = jnp.asarray(wrapped.sample(seed=jax.random.key(0)))
    middle = bj.bijector_for(constraint, shape).forward(jnp.zeros(shape))
    np.testing.assert_allclose(middle, np.where(np.asarray(draws) < 5, 0.5, 15.0))


def test_the_set_of_a_mixture_covers_its_components():
    coin = tfd.Categorical(double([0.0, 0.0]))
    uniforms = tfd.Uniform(double([0.0, 1.0]), double([2.0, 5.0]))
    for mixture in (
        tfd.MixtureSameFamily(coin, uniforms),
        tfd.Mixture(coin, [uniforms[0], uniforms[1]]),
    ):
        constraint = from_tfp(mixture)
        assert (float(constraint.low), float(constraint.high)) == (0.0, 5.0)


def test_components_with_different_sets_raise():
    coin = tfd.Categorical(double([0.0, 0.0]))
    mixture = tfd.Mixture(
        coin, [tfd.Normal(double(0.0), double(1.0)), tfd.Gamma(double(1.0), double(1.0))]
    )
    with pytest.raises(bj.BijectorError, match="x: Mixture has components whose sets do not fit"):
        from_tfp(mixture, "x")


def test_blockwise_with_arrays_of_bounds_raises():
    uniforms = tfd.Independent(tfd.Uniform(double([0.0, 1.0]), double(2.0)), 1)
    with pytest.raises(bj.BijectorError, match="x: Blockwise has parts .*constraint="):
        from_tfp(tfd.Blockwise([NORMAL, uniforms]), "x")


def test_a_markov_chain_with_varying_bounds_raises():
    start = tfd.Uniform(double(0.0), double(1.0))
    chain = tfd.MarkovChain(start, lambda _, value: tfd.Uniform(value, value + 1), 3)
    with pytest.raises(bj.BijectorError, match=r"x: .*earlier values.*a site for each"):
        from_tfp(chain, "x")


def test_an_infinite_bound_raises():
    half = tfd.TruncatedNormal(double(0.0), double(1.0), double(0.0), double(np.inf * 1.0))
    with pytest.raises(bj.BijectorError, match=r"x: TruncatedNormal has the bound inf"):
        from_tfp(half, "x")


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("kind", ["GeneralizedExtremeValue", "GeneralizedPareto"])
def test_one_map_covers_both_signs_of_the_concentration(kind, sign):
    distribution = getattr(tfd, kind)(double(0.5), double(2.0), double(0.3 * sign))
    np.testing.assert_allclose(total_mass(distribution), 1.0, atol=1e-6)
    beyond = jnp.asarray(0.5 - sign * 2.0 / 0.3 - sign * 0.1)
    assert not from_tfp(distribution).contains(beyond)


def test_input_output_cholesky_raises_since_it_is_not_the_density_of_the_factor():
    lkj = tfd.LKJ(3, double(2.0), input_output_cholesky=True)
    assert abs(total_mass(lkj, bj.CorrelationCholesky()) - 1) > 0.1
    with pytest.raises(bj.BijectorError, match=r"L: .*volume between the two.*CholeskyLKJ"):
        from_tfp(lkj, "L")


NORMAL = tfd.Normal(double(0.0), double(1.0))
GAMMA = tfd.Gamma(double(3.0), double(3.0))
BETA = tfd.Beta(double(2.0), double(2.0))
TWO = tfd.Sample(NORMAL, 2)
TRANSFORMED = [
    (tfb.Tanh(), NORMAL, bj.Interval),
    (tfb.NormalCDF(), NORMAL, bj.Interval),
    (tfb.AbsoluteValue(), NORMAL, bj.Positive),
    (tfb.Invert(tfb.Shift(double(2.0))), NORMAL, bj.Real),
    (tfb.Chain([tfb.Shift(double(1.0)), tfb.Sinh()]), NORMAL, bj.Real),
    (tfb.Scale(double(-2.0)), GAMMA, ImageOf),
    (tfb.Exp(), GAMMA, bj.GreaterThan),
    (tfb.Log(), GAMMA, bj.Real),
    (tfb.Reciprocal(), GAMMA, bj.Positive),
    (tfb.Square(), GAMMA, bj.Positive),
    (tfb.Scale(double(-2.0)), BETA, bj.Interval),
    (tfb.Log(), BETA, bj.LessThan),
    (tfb.Chain([tfb.Scale(double(-2.0)), tfb.Log()]), BETA, ImageOf),
    (tfb.ScaleMatvecTriL(double([[1.0, 0.0], [0.5, 2.0]])), TWO, bj.Real),
    (tfb.Ascending(), TWO, bj.Ordered),
    (tfb.CorrelationCholesky(), tfd.Sample(NORMAL, 1), bj.CorrelationCholesky),
    # These are not our sets: the map is TFP's bijector itself.
    (tfb.SoftClip(double(-1.0), double(2.0)), NORMAL, ImageOf),
    (tfb.SoftClip(double([-1.0, 0.0]), double([2.0, 3.0])), NORMAL, ImageOf),
]


@pytest.mark.parametrize(
    ("bijector", "base", "kind"), TRANSFORMED, ids=[type(row[0]).__name__ for row in TRANSFORMED]
)
def test_a_transformed_distribution_integrates_to_one(bijector, base, kind):
    distribution = tfd.TransformedDistribution(base, bijector)
    assert type(from_tfp(distribution)) is kind
    np.testing.assert_allclose(total_mass(distribution), 1.0, atol=1e-6)


def test_density_of_tfp_on_the_simplex_is_with_respect_to_area():
    # Our base measure is Lebesgue in the first k - 1 numbers: a constant factor of sqrt(k).
    softmax = tfd.TransformedDistribution(TWO, tfb.SoftmaxCentered())
    np.testing.assert_allclose(total_mass(softmax), 1 / math.sqrt(3), atol=1e-6)


def test_a_transformed_angle_raises():
    angles = tfd.VonMises(double(0.0), double(1.0))
    with pytest.raises(bj.BijectorError, match=r"x: .*maps Circular.*constraint="):
        from_tfp(tfd.TransformedDistribution(angles, tfb.Shift(double(1.0))), "x")


@pytest.mark.parametrize(
    ("bijector", "constraint", "shape"),
    [
        (tfb.Softplus(), bj.Positive(), ()),
        (tfb.Chain([tfb.Shift(double(1.0)), tfb.Exp()]), bj.GreaterThan(1.0), (2,)),
        (tfb.Ascending(), bj.Ordered(), (3,)),
    ],
)
def test_a_bijector_of_tfp_passes_our_check(bijector, constraint, shape):
    near = {"float32": bj.Domain(2.0, 1e-2), "float64": bj.Domain(4.0, 1e-6)}
    bj.check_bijector(bijector_from_tfp(bijector), constraint, shape, **near)


def test_wrappers_accept_an_image_of_a_bijector_of_tfp():
    clipped = tfd.TransformedDistribution(NORMAL, tfb.SoftClip(double(-1.0), double(2.0)))
    sample = tfd.Sample(clipped, 2)
    constraint = from_tfp(sample)
    assert isinstance(constraint, ImageOf)
    assert isinstance(constraint.bijector, TfpBijector)
    np.testing.assert_allclose(total_mass(sample), 1.0, atol=1e-6)
    assert not constraint.contains(jnp.array([0.0, 2.5]))


def test_a_users_distribution_needs_a_default_bijector():
    class Mine(tfd.Normal):
        def _default_event_space_bijector(self):
            return tfb.Exp()

    class Silent(tfd.Normal):
        def _default_event_space_bijector(self):
            raise NotImplementedError

    assert isinstance(from_tfp(Mine(double(0.0), double(1.0))), bj.Positive)
    with pytest.raises(bj.BijectorError, match=r"x: Silent has no default.*constraint="):
        from_tfp(Silent(double(0.0), double(1.0)), "x")


def test_an_object_that_is_not_a_distribution_raises():
    with pytest.raises(bj.BijectorError, match=r"x: .*is not a distribution of tensorflow_prob"):
        from_tfp(tfb.Exp(), "x")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ModuleNotFoundError(name="tensorflow_probability"), r"pip install 'pushforward\[tfp\]'"),
        (ModuleNotFoundError("No module named 'tf_keras'", name="tf_keras"), "tf_keras.*#2009"),
        (AttributeError("jax.interpreters.xla.y is gone"), "AttributeError: jax.*xla.y is.*#2009"),
    ],
)
def test_a_failed_import_raises_with_a_remedy(monkeypatch, failure, message):
    def fail(name):
        raise failure

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(bj.BijectorError, match=message):
        tfp_import.load_tfp()
