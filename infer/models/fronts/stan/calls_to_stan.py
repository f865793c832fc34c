"""Call Stan's compiled functions at many points; they take addresses, and release Python's lock."""

import ctypes
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import numpy as np

_POINTER, _FLAG = ctypes.c_void_p, ctypes.c_bool
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "bs_log_density_gradient": (ctypes.c_int, [_POINTER, _FLAG, _FLAG, *[_POINTER] * 4]),
    "bs_param_constrain": (ctypes.c_int, [_POINTER, _FLAG, _FLAG, *[_POINTER] * 4]),
    "bs_rng_construct": (_POINTER, [ctypes.c_uint, _POINTER]),
    "bs_rng_destruct": (None, [_POINTER]),
    "bs_free_error_msg": (None, [_POINTER]),
}


class StanCalls:
    """The functions of one `bridgestan.StanModel`, with less work for each call.

    Attributes:
        size: Length of the unconstrained vector.
        names: Names of parameters, transformed parameters and generated quantities.
        generated_from: How many come before the first generated quantity.
        message: What Stan said when a point was last refused.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = model.param_unc_num()
        count = model.param_num(include_tp=True, include_gq=True)
        names = model.param_names(include_tp=True, include_gq=True)
        self.names: tuple[str, ...] = tuple(names) if count else ()
        self.generated_from: int = model.param_num(include_tp=True)
        self.message = ""
        self._functions = {name: _function(model.stanlib, name) for name in _SIGNATURES}
        self._is_alone = "STAN_THREADS=true" not in model.model_info()
        self._lock = Lock()

    def log_densities(
        self, points: np.ndarray, drops_constants: bool, has_jacobian: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute log densities and gradients.

        Args:
            points: Shape (n, size), of doubles.
            drops_constants: Whether statements with `~` drop constants.
            has_jacobian: Whether the log-determinant of the transforms is included.

        Returns:
            Log densities in nats, shape (n,), minus infinity where Stan refuses a point; gradients,
            shape (n, size), NaN there.
        """
        values, gradients = np.empty(len(points)), np.empty(points.shape)
        evaluate, flags = (
            self._functions["bs_log_density_gradient"],
            (drops_constants, has_jacobian),
        )
        with self._guard():
            for row, places in enumerate(_addresses(points, values, gradients)):
                if self._fails(evaluate, *flags, *places):
                    values[row], gradients[row] = -np.inf, np.nan
        return values, gradients

    def constrain(self, points: np.ndarray, seeds: np.ndarray | None) -> np.ndarray:
        """Compute parameters, transformed parameters and generated quantities.

        Args:
            points: Shape (n, size), of doubles.
            seeds: A seed for the generated quantities at each point; without, there are none.

        Returns:
            Shape (n, quantities), NaN where Stan refuses a point.
        """
        wanted = len(self.names) if seeds is not None else self.generated_from
        found = np.empty((len(points), wanted))
        with self._guard():
            for row, (point, out) in enumerate(_addresses(points, found)):
                seed = None if seeds is None else int(seeds[row])
                if self._constrain(point, out, seed):
                    found[row, self.generated_from :] = np.nan
                    if seed is None or self._constrain(point, out, None):
                        found[row] = np.nan
        return found

    def _constrain(self, point: int, out: int, seed: int | None) -> bool:
        rng = None if seed is None else self._functions["bs_rng_construct"](seed, None)
        constrain = self._functions["bs_param_constrain"]
        try:
            return self._fails(constrain, True, seed is not None, point, out, rng)
        finally:
            if rng is not None:
                self._functions["bs_rng_destruct"](rng)

    def _fails(self, function: Callable[..., int], *arguments: Any) -> bool:
        """Call a function of the model; return whether it fails, and keep what it says."""
        error = ctypes.c_void_p()
        if not function(self.model.model, *arguments, ctypes.byref(error)):
            return False
        if error.value:
            self.message = ctypes.string_at(error.value).decode(errors="replace").strip()
            self._functions["bs_free_error_msg"](error)
        return True

    def _guard(self) -> AbstractContextManager:
        """Let one thread in at a time, unless the library was built for several."""
        return self._lock if self._is_alone else nullcontext()


def _function(library: Any, name: str) -> Any:
    """Make a function that takes addresses; the one of `StanModel` checks arrays in 20 µs."""
    made = library[name]
    made.restype, made.argtypes = _SIGNATURES[name]
    return made


def _addresses(*arrays: np.ndarray) -> zip:
    """Return the addresses of the rows of arrays, which must be contiguous."""
    starts = [(a.ctypes.data, a[:1].nbytes, len(a)) for a in arrays]
    return zip(*(range(at, at + step * n, step) for at, step, n in starts), strict=True)
