"""Compare log densities, gradients and means of a model in two libraries."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import infer

from .home import Home

POINTS = 20


class Errors(NamedTuple):
    """Largest relative errors over the points.

    Attributes:
        log_density: Error of the log density, relative to its size or to 1 nat if that is more.
        gradient: Error of the gradient, its largest entry relative to that of theirs.
        has_jacobian: Whether the log-determinants of both libraries' maps were compared, too.
    """

    log_density: float
    gradient: float
    has_jacobian: bool


def compare_densities(home: Home, density: infer.LogDensity) -> Errors:
    """Compare log densities and gradients at points of their flat space, drawn uniformly.

    Ours is carried over to their space by the change of variables between both flat spaces, whose
    log-determinant autodiff computes. So both libraries' log-determinants must be right.
    """
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (POINTS, home.size))
    has_jacobian = density.size == home.size
    ours = jax.value_and_grad(_carried(home, density) if has_jacobian else _plain(home, density))
    found = jax.jit(jax.vmap(ours))(points)
    if has_jacobian:
        theirs = [home.evaluate(point) for point in points]
    else:
        assert home.log_density_of_values is not None
        theirs = [jax.value_and_grad(home.log_density_of_values)(point) for point in points]
    value, slope = (np.asarray(each) for each in zip(*theirs, strict=True))
    apart = np.abs(found[0] - value) / np.maximum(np.abs(value), 1.0)
    steep = np.abs(found[1] - slope).max(1) / np.abs(slope).max(1)
    return Errors(float(apart.max()), float(steep.max()), has_jacobian)


def _carried(home: Home, density: infer.LogDensity) -> Any:
    if home.is_same_space:
        return density

    def to_ours(position: Array) -> Array:
        return density.unconstrain(home.values(position))

    def log_density(position: Array) -> Array:
        log_det = jnp.linalg.slogdet(jax.jacfwd(to_ours)(position))[1]
        return density(to_ours(position)) + log_det

    return log_density


def _plain(home: Home, density: infer.LogDensity) -> Any:
    plain = infer.log_density(density.model, jacobian=False)
    return lambda position: plain.of(home.values(position))


class Means(NamedTuple):
    """Comparison of the means of two sets of draws.

    Attributes:
        z: Differences of the means in Monte Carlo errors, those of both samplers combined.
        labels: What each of them is of: a site, or the log density.
        ess: Smallest effective sample size of a mean, ours and theirs.
        r_hat: Largest R-hat, ours and theirs.
    """

    z: np.ndarray
    labels: tuple[str, ...]
    ess: tuple[float, float]
    r_hat: tuple[float, float]


def compare_means(
    density: infer.LogDensity, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> Means:
    """Compare the means of all our unconstrained coordinates, and of the log density.

    All of them have moments, which a half-Cauchy scale itself does not have.
    """
    columns = [flatten_draws(density, draws) for draws in (ours, theirs)]
    sizes = [az.ess(c, method="mean") for c in _each(columns)]
    ess = np.array(sizes, float).reshape(2, -1)
    mean, sd = (np.array([f(c, (0, 1)) for c in columns]) for f in (np.mean, np.std))
    error = np.sqrt((sd**2 / ess).sum(0))
    worst = np.array([az.rhat(c) for c in _each(columns)], float).reshape(2, -1).max(1)
    least = ess.min(1)
    return Means(
        (mean[0] - mean[1]) / error,
        labels_of(density),
        (float(least[0]), float(least[1])),
        (float(worst[0]), float(worst[1])),
    )


def _each(columns: list[np.ndarray]) -> list[np.ndarray]:
    return [own[..., i] for own in columns for i in range(own.shape[-1])]


def flatten_draws(density: infer.LogDensity, draws: Mapping[str, Any]) -> np.ndarray:
    """Map draws to our flat vector, with the log density of the values as one more column.

    Args:
        density: The log density of our model.
        draws: Values by name, shape (chains, draws, ...).

    Returns:
        Shape (chains, draws, size + 1).
    """
    plain = infer.log_density(density.model, jacobian=False)

    def flatten(values: dict[str, Array]) -> Array:
        position = density.unconstrain(values)
        return jnp.append(position, plain(position))

    named = {site.name: jnp.asarray(draws[site.name]) for site in density.latent}
    return np.asarray(jax.jit(jax.vmap(jax.vmap(flatten)))(named))


def labels_of(density: infer.LogDensity) -> tuple[str, ...]:
    """Name each coordinate by its site, and the log density at the end."""
    sizes = {site.name: int(np.prod(site.unconstrained_shape)) for site in density.latent}
    return (*(name for name, size in sizes.items() for _ in range(size)), "log density")
