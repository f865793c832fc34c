"""Turn positions of the flat vector into named values, in slices of fixed size."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..density.base import LogDensity
from ..programs.native import Program, prepare, program

# Numbers in one slice: of fixed size, so that the number of draws compiles nothing.
SLICE_NUMBERS = 2**18
LARGEST_SLICE = 1024


def prepare_values(density: LogDensity) -> None:
    """Begin to compile what `constrained` and `observed_values` will ask for."""
    blank = np.zeros((_rows(density.size), density.size), jnp.result_type(float))
    prepare(_constrain, (), (density, blank), "kernels")
    prepare(_observe, (), (density,), "kernels")


def constrained(density: LogDensity, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Map positions of shape (*batch, size) to values of shape (*batch, *site).

    Returns:
        Latent and derived values by name, in the order of the model.
    """
    batch, size = positions.shape[:-1], positions.shape[-1]
    flat = positions.reshape(-1, size)
    rows = _rows(size)
    slices = [_slice(density, flat[i : i + rows], rows) for i in range(0, len(flat), rows)]
    names = [site.name for site in density.sites if site.role in ("latent", "derived")]
    joined = {name: np.concatenate([values[name] for values in slices]) for name in names}
    return {name: a.reshape(batch + a.shape[1:]) for name, a in joined.items()}


def _rows(size: int) -> int:
    return int(np.clip(SLICE_NUMBERS // max(size, 1), 1, LARGEST_SLICE))


def _slice(density: LogDensity, positions: np.ndarray, rows: int) -> dict[str, np.ndarray]:
    missing = rows - len(positions)
    padded = np.concatenate([positions, np.repeat(positions[-1:], missing, axis=0)])
    made, _ = program(_constrain, (), (density, padded), "kernels")
    assert isinstance(made, Program)
    values = made.call(density, padded)
    return {name: np.asarray(a)[: len(positions)] for name, a in values.items()}


def _constrain(density: LogDensity, positions: Array) -> dict[str, Array]:
    return jax.vmap(density.constrain)(positions)


def observed_values(density: LogDensity) -> dict[str, np.ndarray]:
    """Return what a model observes, by name, on the host."""
    made, _ = program(_observe, (), (density,), "kernels")
    assert isinstance(made, Program)
    return {name: np.asarray(a) for name, a in made.call(density).items()}


def _observe(density: LogDensity) -> dict[str, Array]:
    return density.observed()
