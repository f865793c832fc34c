"""Map positions of the flat vector to named values, in slices of fixed size."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...programs.native import call_compiled, prepare
from ...programs.slices import call_in_slices, choose_rows


def prepare_values(density: LogDensity) -> None:
    """Start to compile the programs of `constrain_all` and `compute_observed`."""
    blank = np.zeros((choose_rows(density.size), density.size), jnp.result_type(float))
    prepare(_constrain, (), (density, blank), "kernels")
    prepare(_observe, (), (density,), "kernels")


def constrain_all(density: LogDensity, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Map positions of shape (*batch, size) to values of shape (*batch, *site).

    Returns:
        Latent and derived values by name, in the order of the model.
    """
    batch, size = positions.shape[:-1], positions.shape[-1]
    flat = positions.reshape(-1, size)
    # Slices have a fixed size, so that another number of draws compiles nothing.
    rows = choose_rows(size)
    names = [site.name for site in density.sites if site.role in ("latent", "derived")]

    def call(own: np.ndarray) -> list[Array]:
        values = call_compiled(_constrain, density, own)
        return [values[name] for name in names]

    joined = call_in_slices(call, flat, rows)
    pairs = zip(names, joined, strict=True)
    return {name: a.reshape(batch + a.shape[1:]) for name, a in pairs}


def _constrain(density: LogDensity, positions: Array) -> dict[str, Array]:
    return jax.vmap(density.constrain)(positions)


def compute_observed(density: LogDensity) -> dict[str, np.ndarray]:
    """Return the observed data of a model, by name, on the host."""
    found = call_compiled(_observe, density)
    return {name: np.asarray(a) for name, a in found.items()}


def _observe(density: LogDensity) -> dict[str, Array]:
    return density.observed()
