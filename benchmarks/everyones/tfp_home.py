"""Joint distributions of TFP's tutorials, and TFP's NUTS with windowed adaptation.

The Gaussian mixture with Wishart precisions is not among them: its default bijector has a
single-precision constant, so neither that map nor TFP's NUTS runs in double precision.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import infer
from tests.infer.models.tfp_models import EXAMPLES, Example, tfp

from .home import CHAINS, Case, Home, Sampled, compiled

SOURCES = {
    "eight_schools": "Tutorial: eight schools",
    "chain": "Docstring of JointDistributionSequential",
    "varying_intercepts": "Tutorial: multilevel modeling primer",
    "radon": "Tutorial: variational inference on graphical models (radon)",
    "gaussian_process": "Tutorial: Gaussian process regression",
    "switchpoint": "Tutorial: Bayesian switchpoint analysis",
    "line": "Tutorial: auto-batched joint distributions",
    "principal_components": "Tutorial: probabilistic PCA",
    "robust_regression": "Tutorial: modeling with joint distributions",
    "mixed_effects": "Tutorial: linear mixed effects models",
}


def read(example: Example) -> Home:
    """Read a joint distribution; its flat vector is that of TFP's default bijectors."""
    pinned = example.joint.experimental_pin(**example.observed)
    maps = pinned.experimental_default_event_space_bijector()
    shapes = maps.inverse_event_shape(pinned.event_shape)
    is_shape = lambda node: hasattr(node, "rank")  # noqa: E731
    zeros = jax.tree.map(lambda s: jnp.zeros(tuple(s)), shapes, is_leaf=is_shape)
    start, unflatten = ravel_pytree(zeros)

    def values(position):
        return _by_name(pinned, maps.forward(unflatten(position)))

    def log_density(position):
        free = unflatten(position)
        log_det = maps.forward_log_det_jacobian(free)
        return pinned.unnormalized_log_prob(maps.forward(free)) + log_det

    return Home(
        infer.from_tfp(example.joint, observed=example.observed),
        start.size,
        values,
        compiled(log_density),
        partial(_sample, example),
    )


def _by_name(pinned, values) -> dict:
    return dict(zip(pinned._flat_resolve_names(), pinned._model_flatten(values), strict=True))


def _sample(example: Example, seed: int, draws: int) -> Sampled:
    @jax.jit
    def run(key):
        return tfp.experimental.mcmc.windowed_adaptive_nuts(
            draws, example.joint, n_chains=CHAINS, num_adaptation_steps=draws, seed=key,
            **example.observed,
        )  # fmt: skip

    found, trace = run(jax.random.PRNGKey(seed))
    named = _by_name(example.joint.experimental_pin(**example.observed), found)
    # TFP has draws first.
    values = {name: np.swapaxes(np.asarray(value), 0, 1) for name, value in named.items()}
    return Sampled(values, int(np.sum(trace["diverging"])))


CASES = [
    Case("TFP", name, source, partial(read, EXAMPLES[name])) for name, source in SOURCES.items()
]
