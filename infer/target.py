"""A target is a log density of one flat vector: all that an engine knows of a model."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .types import Scalar, Vector


class Components(NamedTuple):
    """A log density in two parts: what has a value, and what is known by its gradient alone.

    Attributes:
        value: Of the part that has one, in nats, shape ().
        gradient: Of the whole, shape (size,).
        unvalued_gradient: Of the part without a value, shape (size,).
    """

    value: Scalar
    gradient: Vector
    unvalued_gradient: Vector


class Parts(NamedTuple):
    """A log density as a prior that can be drawn from, and the rest.

    Attributes:
        prior: Log density of the draws, in nats, shape ().
        likelihood: All else: likelihood and factors, in nats, shape ().
    """

    prior: Scalar
    likelihood: Scalar


class NormalPrior(NamedTuple):
    """The normal distribution that a prior is in the flat vector, on the host.

    Attributes:
        mean: Shape (size,).
        covariance: Shape (size, size).
    """

    mean: np.ndarray
    covariance: np.ndarray


class Target(eqx.Module):
    """An unnormalized log density over vectors of shape (size,), in nats.

    Its leaves are the data, so that new data of the same shape compile nothing. Under
    `equinox.filter_jit`, or as an argument of a jitted function, it is one of many on other data.
    `jax.jit(target)` makes the data constants of the program, as those of any other function; for
    that it is equal to itself alone, so two targets never share such a program.
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
        """What can be asked of it; compared with `Engine.needs`.

        These are "value", "gradient", "parts" and "normal_prior", each a method or its result.
        "minibatch" says that it is meant to be met through `at(key)`, step by step.
        """

    def at(self, key: Array) -> "Target":
        """Return the target of one step: with a new minibatch, where it has one, else itself.

        The value and gradient of what is returned are unbiased estimates of this target's.
        """
        return self

    @property
    def has_value(self) -> bool:
        """Whether the log density has a value, or is known by its gradient alone."""
        return "value" in self.offers

    @abstractmethod
    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        """Compute the log density in nats and its gradient.

        A non-finite result is passed on, not raised: engines report it as a divergence. The
        log density is NaN where it `has_value` not; the gradient is whole all the same.
        """

    def evaluate_from(self, position: Vector, reference: Scalar) -> tuple[Scalar, Vector]:
        """Compute the log density minus a reference in nats, and the gradient.

        Near the reference the difference may keep digits that the log density itself has not.
        """
        log_density, gradient = self.evaluate(position)
        return log_density - reference, gradient

    def parts(self, position: Vector) -> Parts:
        """Compute prior and likelihood, whose sum is the log density; both may be differentiated.

        Only a target that offers "parts" has them.
        """
        raise NotImplementedError

    def normal_prior(self) -> NormalPrior:
        """Find the normal distribution that the prior is, on the host.

        Only a target that offers "normal_prior" may have one.

        Raises:
            ModelError: The sites are not normal together.
        """
        raise NotImplementedError

    def unvalued_gradient(self, position: Vector) -> Vector:
        """Compute the gradient of the part that has no value."""
        return jnp.zeros_like(position)

    def components(self, position: Vector) -> Components:
        """Compute the part with a value, the whole gradient, and that of the other part."""
        return Components(*self.evaluate(position), jnp.zeros_like(position))
