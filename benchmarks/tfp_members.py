"""One distribution of every class in `tfp.distributions`, in double precision."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

EYE, LOWER = np.eye(2), np.array([[1.0, 0.0], [0.5, 2.0]])
POINTS = np.array([[0.0], [0.5], [1.0]])
# Every other class of the module must have a member below.
ABSTRACT = {"Distribution", "AutoCompositeTensorDistribution", "JointDistribution"}

# These are made from numbers and arrays only; floats and lists become arrays of doubles.
BY_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "Bates": (4.0, -1.0, 3.0),
    "Bernoulli": (0.0,),
    "Beta": (2.0, 3.0),
    "BetaBinomial": (4.0, 2.0, 3.0),
    "BetaQuotient": (2.5, 3.1, 1.2, 2.7),
    "Binomial": (4.0, 0.0),
    "Categorical": ([0.0, 0.0],),
    "Cauchy": (0.5, 2.0),
    "Chi": (3.0,),
    "Chi2": (3.0,),
    "CholeskyLKJ": (2, 2.0),
    "ContinuousBernoulli": (0.5,),
    "DeterminantalPointProcess": ([1.0, 2.0], EYE),
    "Deterministic": (1.0,),
    "Dirichlet": ([1.5, 2.0, 3.0],),
    "DirichletMultinomial": (4.0, [1.0, 2.0]),
    "DoublesidedMaxwell": (0.0, 1.0),
    "Empirical": ([0.0, 1.0],),
    "ExpGamma": (2.0, 1.0),
    "ExpInverseGamma": (2.0, 1.0),
    "ExpRelaxedOneHotCategorical": (0.5, [0.0, 1.0, 2.0]),
    "Exponential": (2.0,),
    "ExponentiallyModifiedGaussian": (0.0, 1.0, 1.0),
    "FiniteDiscrete": ([0.0, 1.0], [0.0, 0.0]),
    "Gamma": (2.0, 1.0),
    "GammaGamma": (2.0, 2.0, 2.0),
    "GeneralizedExtremeValue": (0.5, 2.0, 0.3),
    "GeneralizedNormal": (0.0, 1.0, 2.0),
    "GeneralizedPareto": (0.5, 2.0, 0.3),
    "Geometric": (0.0,),
    "Gumbel": (0.0, 1.0),
    "HalfCauchy": (1.0, 2.0),
    "HalfNormal": (2.0,),
    "HalfStudentT": (3.0, 1.0, 2.0),
    "Horseshoe": (1.0,),
    "InverseGamma": (2.0, 1.0),
    "InverseGaussian": (2.0, 1.0),
    "JohnsonSU": (0.5, 2.0, 0.0, 1.0),
    "Kumaraswamy": (2.0, 3.0),
    "LKJ": (2, 2.0),
    "LambertWNormal": (0.0, 1.0, 0.1),
    "Laplace": (0.0, 1.0),
    "LogLogistic": (0.0, 1.0),
    "LogNormal": (0.0, 1.0),
    "Logistic": (0.0, 1.0),
    "LogitNormal": (0.0, 1.0),
    "Moyal": (0.0, 1.0),
    "Multinomial": (4.0, [0.0, 0.0]),
    "MultivariateNormalDiag": ([0.0, 1.0], [1.0, 2.0]),
    "MultivariateNormalDiagPlusLowRank": ([0.0, 0.0], [1.0, 1.0], [[1.0], [2.0]]),
    "MultivariateNormalDiagPlusLowRankCovariance": ([0.0, 0.0], [1.0, 1.0], [[1.0], [2.0]]),
    "MultivariateNormalFullCovariance": ([0.0, 0.0], LOWER @ LOWER.T),
    "MultivariateNormalTriL": ([0.0, 0.0], LOWER),
    "NegativeBinomial": (4.0, 0.0),
    "NoncentralChi2": (3.0, 1.0),
    "Normal": (0.0, 1.0),
    "NormalInverseGaussian": (0.0, 1.0, 2.0, 0.5),
    "OneHotCategorical": ([0.0, 0.0],),
    "OrderedLogistic": ([-1.0, 1.0], 0.0),
    "PERT": (0.0, 1.0, 3.0),
    "Pareto": (2.0, 3.0),
    "PlackettLuce": ([1.0, 2.0],),
    "Poisson": (2.0,),
    "PoissonLogNormalQuadratureCompound": (0.0, 1.0),
    "PowerSpherical": ([1.0, 0.0, 0.0], 2.0),
    "ProbitBernoulli": (0.0,),
    "RelaxedBernoulli": (0.5, 0.0),
    "RelaxedOneHotCategorical": (0.5, [0.0, 1.0, 2.0]),
    "SigmoidBeta": (2.0, 3.0),
    "SinhArcsinh": (0.0, 1.0, 0.5, 1.0),
    "Skellam": (1.0, 2.0),
    "SphericalUniform": (3,),
    "StoppingRatioLogistic": ([-1.0, 1.0], 0.0),
    "StudentT": (4.0, 0.0, 1.0),
    "Triangular": (0.0, 3.0, 1.0),
    "TruncatedCauchy": (0.0, 1.0, -1.0, 2.0),
    "TruncatedNormal": (0.0, 1.0, -1.0, 2.0),
    "TwoPieceNormal": (0.0, 1.0, 2.0),
    "TwoPieceStudentT": (4.0, 0.0, 1.0, 2.0),
    "Uniform": (-1.0, 3.0),
    "VectorDeterministic": ([1.0, 2.0],),
    "VonMises": (0.5, 2.0),
    "VonMisesFisher": ([1.0, 0.0, 0.0], 2.0),
    "Weibull": (2.0, 1.0),
    "WishartTriL": (4.0, LOWER),
    "Zipf": (2.0,),
}


def members(tfp: ModuleType) -> dict[str, Callable[[], Any]]:
    """Return a function for each class that makes its member; raise if a class has none."""
    made = _of_parameters(tfp) | _of_distributions(tfp) | _of_functions(tfp)
    found = {
        name
        for name, kind in vars(tfp.distributions).items()
        if inspect.isclass(kind) and issubclass(kind, tfp.distributions.Distribution)
    }
    missing = sorted(found - made.keys() - ABSTRACT)
    if missing:
        raise LookupError(f"benchmarks/tfp_members.py has no member of {', '.join(missing)}")
    return {name: made[name] for name in sorted(found & made.keys())}


def double(value: Any) -> Any:
    """Convert floats to double precision; TFP would convert them to single precision."""
    return (
        jnp.asarray(value, jnp.float64) if isinstance(value, float | list | np.ndarray) else value
    )


def _of_parameters(tfp: ModuleType) -> dict[str, Callable[[], Any]]:
    def make(name: str, *parameters: Any) -> Any:
        kind = getattr(tfp.distributions, name)
        named = (
            {"dtype": jnp.float64} if name in ("ContinuousBernoulli", "SphericalUniform") else {}
        )
        return kind(*map(double, parameters), **named)

    # A default argument, so that every function keeps its own name and parameters.
    return {
        name: lambda name=name, parameters=parameters: make(name, *parameters)
        for name, parameters in BY_PARAMETERS.items()
        if hasattr(tfp.distributions, name)
    }


def _of_distributions(tfp: ModuleType) -> dict[str, Callable[[], Any]]:
    d, b = tfp.distributions, tfp.bijectors
    lows = double([0.0, 1.0])
    coin, normal = d.Categorical(double([0.0, 0.0])), d.Normal(double(0.0), double(1.0))
    pair, two = d.Uniform(lows, double(2.0)), d.Uniform(double(0.0), double(2.0))
    betas, gammas = (
        d.Beta(double([2.0, 3.0]), double(1.5)),
        d.Gamma(double([1.0, 2.0]), double(1.0)),
    )
    gamma, log_normal = d.Gamma(double(2.0), double(1.0)), d.LogNormal(double(0.0), double(1.0))
    far = d.Uniform(double([1.0, 2.0]), double(4.0))
    return {
        "BatchBroadcast": lambda: d.BatchBroadcast(two, [3]),
        "BatchConcat": lambda: d.BatchConcat([pair, far], 0),
        "BatchReshape": lambda: d.BatchReshape(pair, [2, 1]),
        "Blockwise": lambda: d.Blockwise([normal, d.Independent(gammas, 1)]),
        "FlatDirichlet": lambda: d.FlatDirichlet(np.array([3]), dtype=jnp.float64),
        "HiddenMarkovModel": lambda: d.HiddenMarkovModel(
            coin, d.Categorical(double(EYE)), d.Normal(lows, double(1.0)), 2
        ),
        "Independent": lambda: d.Independent(pair, 1),
        "Inflated": lambda: d.Inflated(normal, inflated_loc_probs=double(0.3)),
        "LambertWDistribution": lambda: d.LambertWDistribution(
            normal, double(0.0), double(1.0), double(0.1)
        ),
        "Masked": lambda: d.Masked(pair, [True, True]),
        "Mixture": lambda: d.Mixture(coin, [gamma, log_normal]),
        "MixtureSameFamily": lambda: d.MixtureSameFamily(coin, betas),
        "QuantizedDistribution": lambda: d.QuantizedDistribution(normal),
        "Sample": lambda: d.Sample(two, 2),
        "TransformedDistribution": lambda: d.TransformedDistribution(
            normal, b.Chain([b.Shift(double(2.0)), b.Exp()])
        ),
        "ZeroInflatedNegativeBinomial": lambda: d.ZeroInflatedNegativeBinomial(
            inflated_loc_probs=double(0.3), total_count=double(4.0), logits=double(0.0)
        ),
        **_of_operators(tfp),
    }


def _of_operators(tfp: ModuleType) -> dict[str, Callable[[], Any]]:
    d, linalg = tfp.distributions, tfp.tf2jax.linalg
    zeros, four = double([0.0, 0.0]), double(4.0)
    lower = linalg.LinearOperatorLowerTriangular(double(LOWER))
    kernel = tfp.math.psd_kernels.ExponentiatedQuadratic(double(1.0), double(1.0))
    seen = {"observation_index_points": double(POINTS), "observations": double([0.5, 1.0, 2.0])}
    new, noise = double(POINTS + 0.25), {"observation_noise_variance": double(0.5)}
    steps = d.MultivariateNormalDiag(zeros, double([1.0, 1.0]))
    return {
        "GaussianProcess": lambda: d.GaussianProcess(kernel, double(POINTS), **noise),
        "GaussianProcessRegressionModel": lambda: d.GaussianProcessRegressionModel(
            kernel, new, **seen, **noise
        ),
        "LinearGaussianStateSpaceModel": lambda: d.LinearGaussianStateSpaceModel(
            1, double(EYE), steps, double(EYE), steps, steps
        ),
        "MatrixNormalLinearOperator": lambda: d.MatrixNormalLinearOperator(
            double(EYE), lower, lower
        ),
        "MatrixTLinearOperator": lambda: d.MatrixTLinearOperator(four, double(EYE), lower, lower),
        "MultivariateNormalLinearOperator": lambda: d.MultivariateNormalLinearOperator(
            zeros, lower
        ),
        "MultivariateStudentTLinearOperator": lambda: d.MultivariateStudentTLinearOperator(
            four, zeros, lower
        ),
        "StudentTProcess": lambda: d.StudentTProcess(four, kernel, double(POINTS), **noise),
        "StudentTProcessRegressionModel": lambda: d.StudentTProcessRegressionModel(
            four, kernel, new, **seen, **noise
        ),
        "VariationalGaussianProcess": lambda: d.VariationalGaussianProcess(
            kernel, new, double(POINTS), double([0.0, 1.0, 0.0]), double(np.eye(3)), **noise
        ),
        "WishartLinearOperator": lambda: d.WishartLinearOperator(four, lower),
    }


def _of_functions(tfp: ModuleType) -> dict[str, Callable[[], Any]]:
    d = tfp.distributions
    one = double(1.0)
    normal = d.Normal(double(0.0), one)

    def coroutine():
        yield d.JointDistributionCoroutine.Root(normal)

    def next_entries(values):
        before = jnp.cumsum(values, -1) - values
        return d.Independent(d.Normal(before, one), 1)

    return {
        "Autoregressive": lambda: d.Autoregressive(next_entries, double([0.0, 0.0]), 2),
        "JointDistributionCoroutine": lambda: d.JointDistributionCoroutine(coroutine),
        "JointDistributionCoroutineAutoBatched": lambda: d.JointDistributionCoroutineAutoBatched(
            coroutine
        ),
        "JointDistributionNamed": lambda: d.JointDistributionNamed({"a": normal}),
        "JointDistributionNamedAutoBatched": lambda: d.JointDistributionNamedAutoBatched(
            {"a": normal}
        ),
        "JointDistributionSequential": lambda: d.JointDistributionSequential([normal]),
        "JointDistributionSequentialAutoBatched": lambda: d.JointDistributionSequentialAutoBatched(
            [normal]
        ),
        "MarkovChain": lambda: d.MarkovChain(normal, lambda _, value: d.Normal(value, one), 2),
    }
