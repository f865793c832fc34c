"""Import TFP on JAX, with fixes that its release 0.25.0 needs on newer JAX and NumPy."""

import importlib
import warnings
from types import ModuleType
from typing import Any

import jax.interpreters.xla
import numpy as np

from ..errors import BijectorError

_NAME = "tensorflow_probability.substrates.jax"


def load_tfp() -> ModuleType:
    """Import and return `tensorflow_probability.substrates.jax`.

    After the first call a plain import of that module works too.

    Raises:
        BijectorError: TFP is not installed, or its import fails despite the fixes below.
    """
    with warnings.catch_warnings():
        # Users of this package cannot act on the warnings of TFP's import.
        warnings.simplefilter("ignore")
        try:
            restore_names()
            tfp = importlib.import_module(_NAME)
            _fix_pad(importlib.import_module(f"{_NAME}.bijectors.pad"))
        except ModuleNotFoundError as error:
            if error.name != "tensorflow_probability":
                raise _import_error(error) from error
            raise BijectorError(
                "tensorflow_probability",
                "it is not installed",
                "Install the extra: pip install 'pushforward[tfp]'.",
            ) from error
        except Exception as error:
            raise _import_error(error) from error
    return tfp


def restore_names() -> None:
    """Restore a name that TFP reads while it is imported.

    JAX 0.7 removed `jax.interpreters.xla.pytype_aval_mappings`; the mapping itself remains in
    JAX's core. Upstream: https://github.com/tensorflow/probability/issues/2009.
    """
    if not hasattr(jax.interpreters.xla, "pytype_aval_mappings"):
        core = importlib.import_module("jax._src.core")
        setattr(jax.interpreters.xla, "pytype_aval_mappings", core.pytype_aval_mappings)  # noqa: B010


class _OldNumpy:
    """NumPy with the keyword argument of `reshape` that NumPy 2.4 removed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def reshape(array: Any, newshape: Any) -> np.ndarray:
        return np.reshape(array, newshape)


def _fix_pad(pad: ModuleType) -> None:
    """Fix the construction of TFP's `Pad`, which `SoftmaxCentered` uses.

    Upstream: https://github.com/probml/dynamax/issues/443, fixed in TFP's nightly builds.
    """
    if getattr(pad, "np", None) is np:
        setattr(pad, "np", _OldNumpy())  # noqa: B010


def _import_error(error: Exception) -> BijectorError:
    return BijectorError(
        "tensorflow_probability",
        f"its import failed with {type(error).__name__}: {error}",
        "Its releases lag behind JAX (tensorflow/probability#2009): try a newer release or an "
        "older JAX, or use the distributions of NumPyro.",
    )
