"""Turn positions of the flat vector into named values, in slices of fixed size."""

from itertools import chain, pairwise
from math import prod

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
    slices = _slices(positions.reshape(-1, size), _rows(size))
    made, _ = program(_constrain, (), (density, slices[0]), "kernels")
    assert isinstance(made, Program)
    names = [site.name for site in density.sites if site.role in ("latent", "derived")]
    calls = (made.call(density, own) for own in slices)
    # The next slice is on its way while one goes to the host; a device may not hold them all.
    ahead = pairwise(chain(calls, (None,)))
    each = [{name: np.asarray(values[name]) for name in names} for values, _ in ahead]
    joined = {name: np.concatenate([values[name] for values in each]) for name in names}
    return {name: a[: prod(batch)].reshape(batch + a.shape[1:]) for name, a in joined.items()}


def _slices(flat: np.ndarray, rows: int) -> list[np.ndarray]:
    """Cut positions of shape (any, size) into slices of so many rows, the last one filled up."""
    slices = [flat[i : i + rows] for i in range(0, len(flat), rows)]
    last = slices[-1]
    slices[-1] = np.concatenate([last, np.repeat(last[-1:], rows - len(last), axis=0)])
    return slices


def _rows(size: int) -> int:
    return int(np.clip(SLICE_NUMBERS // max(size, 1), 1, LARGEST_SLICE))


def _constrain(density: LogDensity, positions: Array) -> dict[str, Array]:
    return jax.vmap(density.constrain)(positions)


def observed_values(density: LogDensity) -> dict[str, np.ndarray]:
    """Return what a model observes, by name, on the host."""
    made, _ = program(_observe, (), (density,), "kernels")
    assert isinstance(made, Program)
    return {name: np.asarray(a) for name, a in made.call(density).items()}


def _observe(density: LogDensity) -> dict[str, Array]:
    return density.observed()
