"""Models of NumPyro's documentation and examples, and NumPyro's NUTS."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import initialize_model, log_density

import infer
from tests.infer.models.numpyro_models import EXAMPLES, Example

from .home import CHAINS, Case, Home, Sampled, compiled

SOURCES = {
    "eight_schools": "Getting started: eight schools",
    "eight_schools_decentered": "Getting started: eight schools by LocScaleReparam",
    "logistic_regression": "Example: logistic regression on covtype",
    "linear_regression": "Tutorial: Bayesian regression (divorce)",
    "baseball": "Example: baseball batting average",
    "varying_effects": "Example: MCMC for varying effects (cafes)",
    "gaussian_process": "Example: Gaussian process",
    "stochastic_volatility": "Example: stochastic volatility",
    "mixture": "Tutorial: ordered locations of a Gaussian mixture",
    "ordinal_regression": "Tutorial: ordinal regression",
    "horseshoe_regression": "Example: horseshoe regression",
    "censored_times": "Tutorial: truncated and censored data",
    "zero_inflated_poisson": "Example: zero-inflated Poisson regression",
    "autoregression": "Control flow: sites inside scan",
    "item_response": "Tutorial: plates of an item response model",
    "lung_decline": "Tutorial: Bayesian hierarchical linear regression",
    "neural_network": "Example: Bayesian neural network",
    "imputation": "Tutorial: Bayesian imputation (Titanic)",
    "hidden_markov": "Example: hidden Markov model by the forward algorithm",
    "holt_winters": "Tutorial: time series by exponential smoothing",
}


def read(example: Example) -> Home:
    """Read a model; its flat vector is that of NumPyro's own initialization."""
    model, args, kwargs = example
    begun = initialize_model(jax.random.key(0), model, model_args=args, model_kwargs=kwargs)
    start, unflatten = ravel_pytree(begun.param_info.z)
    names = tuple(begun.param_info.z)

    def values(position):
        found = begun.postprocess_fn(unflatten(position))
        return {name: found[name] for name in names}

    return Home(
        infer.from_numpyro(model, *args, **kwargs),
        start.size,
        values,
        compiled(lambda position: -begun.potential_fn(unflatten(position))),
        partial(_sample, example, names),
        lambda position: jnp.asarray(log_density(model, args, kwargs, values(position))[0]),
    )


def _sample(example: Example, names: tuple[str, ...], seed: int, draws: int) -> Sampled:
    model, args, kwargs = example
    mcmc = MCMC(
        NUTS(model), num_warmup=draws, num_samples=draws, num_chains=CHAINS,
        chain_method="sequential", progress_bar=False,
    )  # fmt: skip
    mcmc.run(jax.random.key(seed), *args, **kwargs)
    found = mcmc.get_samples(group_by_chain=True)
    diverging = mcmc.get_extra_fields()["diverging"]
    return Sampled({name: np.asarray(found[name]) for name in names}, int(diverging.sum()))


CASES = [
    Case("NumPyro", name, source, partial(read, EXAMPLES[name])) for name, source in SOURCES.items()
]
