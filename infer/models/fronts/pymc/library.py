"""Import PyMC and PyTensor, in this file alone and only when a model of theirs is read."""

import importlib
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bijectors.translate.tfp_import import restore_names

from ....errors import ModelError

EXTRA = "pushforward[pymc]"


class Library(NamedTuple):
    """What is used of the two libraries.

    Attributes:
        pymc: The package `pymc`.
        pytensor: The package `pytensor`.
        jax_funcify: Returns the JAX function of an Op of PyTensor.
        jax_typify: Converts a constant of a graph to what such functions take.
    """

    pymc: Any
    pytensor: Any
    jax_funcify: Any
    jax_typify: Any


@cache
def library() -> Library:
    """Import PyMC, and the JAX functions of PyTensor's Ops.

    PyTensor switches JAX to double precision when its JAX functions are imported. That is undone:
    the user chooses the precision.

    Raises:
        ModelError: PyMC is not installed, or cannot be imported.
    """
    before = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    try:
        pymc, pytensor = importlib.import_module("pymc"), importlib.import_module("pytensor")
        dispatch = importlib.import_module("pytensor.link.jax.dispatch.basic")
        importlib.import_module("pytensor.link.jax.dispatch")
        draws = importlib.import_module("pytensor.link.jax.dispatch.random")
    except ImportError as error:
        raise ModelError(
            "PyMC",
            f"the library cannot be imported: {error}",
            f"Install it: pip install '{EXTRA}'.",
        ) from error
    finally:
        jax.config.update("jax_enable_x64", before)
    _register_checks(dispatch.jax_funcify)
    _register_categorical(draws.jax_sample_fn)
    # PyTensor takes some functions from TFP.
    restore_names()
    return Library(pymc, pytensor, dispatch.jax_funcify, dispatch.jax_typify)


def _register_checks(jax_funcify: Any) -> None:
    """Register JAX functions for PyMC's checks of parameters, as its JAX samplers do."""
    utils = importlib.import_module("pymc.logprob.utils")
    multivariate = importlib.import_module("pymc.distributions.multivariate")
    raising = importlib.import_module("pytensor.raise_op")
    for op in (utils.CheckParameterValue, raising.Assert):
        jax_funcify.register(op, lambda op, **_: lambda value, *conditions: value)
    # PyMC 6 has it no longer.
    if hasattr(multivariate, "PosDefMatrix"):
        jax_funcify.register(multivariate.PosDefMatrix, lambda op, **_: _is_positive_definite)


def _register_categorical(jax_sample_fn: Any) -> None:
    """Register draws of categories; PyTensor's give p / (1 - p), not p, as odds of a category."""

    def draw(key: Any, size: Any, dtype: Any, probabilities: Any) -> Any:
        logits = jnp.log(jnp.asarray(probabilities))
        return jax.random.categorical(key, logits, shape=size).astype(dtype)

    basic = importlib.import_module("pytensor.tensor.random.basic")
    jax_sample_fn.register(basic.CategoricalRV, lambda op, node: draw)


def _is_positive_definite(matrix: Any) -> Any:
    return ~jnp.isnan(jnp.linalg.cholesky(matrix)).any()
