"""What is asked of the library that a model comes from: its density, and its draws."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

import infer

CHAINS = 2


class Sampled(NamedTuple):
    """Draws of the latent quantities by name, shape (chains, draws, ...), and how many diverged."""

    values: Mapping[str, np.ndarray]
    divergences: int


class Home(NamedTuple):
    """A model in both libraries.

    Attributes:
        model: Ours.
        size: Length of their flat vector.
        values: Maps their flat vector to the constrained values of our latent sites; for JAX.
        evaluate: Computes their log density of the flat vector, in nats with the log-determinants
            of their maps, and its gradient.
        sample: Draws with their sampler, given a seed and the number of draws a chain.
        log_density_of_values: Their log density without log-determinants, given their flat vector.
            It is needed if our flat vector has another length than theirs.
        is_same_space: Whether their flat vector is ours.
    """

    model: infer.Model
    size: int
    values: Callable[[Array], dict[str, Array]]
    evaluate: Callable[[np.ndarray], tuple[Any, Any]]
    sample: Callable[[int, int], Sampled]
    log_density_of_values: Callable[[Array], Array] | None = None
    is_same_space: bool = False


class Case(NamedTuple):
    """A public model.

    Attributes:
        library: Where it comes from.
        name: Its name here.
        source: The page, example or posterior that it follows.
        make: Reads it in both libraries.
    """

    library: str
    name: str
    source: str
    make: Callable[[], Home]


def compiled(log_density: Callable[[Array], Array]) -> Callable[[np.ndarray], tuple[Any, Any]]:
    """Compile a log density with its gradient."""
    return jax.jit(jax.value_and_grad(log_density))
