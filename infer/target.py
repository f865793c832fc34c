"""A target is a log density of one flat vector: all that an engine knows about a model."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .types import Scalar, Vector


class Components(NamedTuple):
    """A log density in two parts: one with a value, and one known only by its gradient.

    Attributes:
        value: Log density of the part that has a value, in nats, shape ().
        gradient: Gradient of both parts together, shape (size,).
        unvalued_gradient: Gradient of the part without a value, shape (size,).
    """

    value: Scalar
    gradient: Vector
    unvalued_gradient: Vector


class Parts(NamedTuple):
    """A log density split into a prior that can be drawn from, and the rest.

    Attributes:
        prior: Log density of the prior, in nats, shape ().
        likelihood: Everything else (likelihood and factors), in nats, shape ().
    """

    prior: Scalar
    likelihood: Scalar


class Moments(NamedTuple):
    """Means and standard deviations of independent normal coordinates, each of shape (size,)."""

    mean: Vector
    sd: Vector


class NormalPrior(NamedTuple):
    """The prior of the flat vector, if it is a normal distribution; arrays of the host.

    Attributes:
        mean: Shape (size,).
        covariance: Shape (size, size).
    """

    mean: np.ndarray
    covariance: np.ndarray


class Target(eqx.Module):
    """An unnormalized log density over vectors of shape (size,), in nats.

    Its leaves are the data, so new data of the same shape need no new compilation if the target is
    an argument of a jitted function, or is jitted by `equinox.filter_jit`. `jax.jit(target)` makes
    the data constants of the program, like whatever a function closes over; therefore a target
    equals only itself, and two targets never share such a program.
    """

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    @abstractmethod
    def size(self) -> int:
        """Length of the vector."""

    @property
    @abstractmethod
    def offers(self) -> frozenset[str]:
        """What the target can compute; compared with `Engine.needs`.

        The entries are "value", "gradient", "parts" and "normal_prior", each a method or its
        result. "minibatch" means that it should be evaluated through `at(key)`, step by step.
        """

    def at(self, key: Array, turn: Array | int = 0) -> "Target":
        """Return the target of one step: with a new minibatch if it has minibatches, else itself.

        Value and gradient of the result are unbiased estimates of those of this target. Turns 0,
        1, ... of one key see different rows until all have been seen.
        """
        return self

    @property
    def has_value(self) -> bool:
        """Whether the log density has a value; otherwise only its gradient is known."""
        return "value" in self.offers

    def __call__(self, position: Vector) -> Scalar:
        """Compute the log density in nats alone."""
        return self.evaluate(position)[0]

    @abstractmethod
    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        """Compute the log density in nats and its gradient.

        A non-finite result is passed on, not raised: engines report it as a divergence. What the
        target does not offer is NaN, the log density or the gradient; the other is still valid.
        """

    def value_from(self, position: Vector, reference: Scalar) -> Scalar:
        """Compute what `evaluate_from` does, without the gradient."""
        return self(position) - reference

    def evaluate_from(self, position: Vector, reference: Scalar) -> tuple[Scalar, Vector]:
        """Compute the log density minus a reference in nats, and the gradient.

        Near the reference, the difference may have digits that the log density itself loses.
        """
        log_density, gradient = self.evaluate(position)
        return log_density - reference, gradient

    def parts(
        self, position: Vector, moments: Moments | None = None, key: Array | None = None
    ) -> Parts:
        """Compute prior and likelihood, whose sum is the log density; both are differentiable.

        Available only if the target offers "parts". If `position` is a draw with these `moments`,
        normal priors may give their expectation over their own coordinates; with a key, weights of
        layers are drawn again for each row of the likelihood, whose expectation stays the same.
        """
        raise NotImplementedError

    def normal_prior(self) -> NormalPrior:
        """Find the mean and covariance of a prior that is normal, on the host.

        Available only if the target offers "normal_prior".

        Raises:
            ModelError: The sites are not jointly normal.
        """
        raise NotImplementedError

    def unvalued_gradient(self, position: Vector) -> Vector:
        """Compute the gradient of the part without a value."""
        return jnp.zeros_like(position)

    def components(self, position: Vector) -> Components:
        """Compute the value, the whole gradient, and the gradient of the part without a value."""
        return Components(*self.evaluate(position), jnp.zeros_like(position))
