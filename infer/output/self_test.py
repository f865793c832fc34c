"""Describe the installation, and test it on a model whose answer is known."""

import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj

from ..engines.map import MAP
from ..engines.nuts import NUTS
from ..models.fronts.declared import declared
from ..programs.cached import SUFFIX, find_folder
from ..programs.switch import is_native_allowed
from .data.provenance import find_version
from .fit import fit
from .maximize import maximize
from .sample import sample

LIBRARIES = (
    "pushforward", "jax", "jaxlib", "equinox", "jaxtyping", "numpyro", "optax", "arviz", "xarray",
    "numpy", "scipy", "blackjax", "tensorflow-probability", "zarr", "pymc", "bambi", "stanli",
    "bridgestan",
)  # fmt: skip
VARIABLES = ("XLA_FLAGS", "JAX_", "PUSHFORWARD_")
# Means and standard deviations of x and of log s under the posterior of the test.
MEANS, SDS = np.array([3.0, 0.0]), np.array([2.0, 0.5])
# Six standard errors of 1000 effective draws.
ALLOWED = 6 / np.sqrt(1000)


def describe_installation() -> Iterator[tuple[str, str]]:
    """Yield what a report of a problem needs: versions, devices, native form and cache."""
    yield "python", f"{platform.python_version()}, {platform.platform()}"
    for name in LIBRARIES:
        if (found := find_version(name)) != "unknown":
            yield name, found
    yield "devices", ", ".join(f"{own.device_kind} ({own.platform})" for own in jax.devices())
    yield "cores", str(os.cpu_count())
    yield "precision", str(jnp.result_type(float))
    yield "native form", "allowed" if is_native_allowed() else "turned off"
    yield "compiled programs", _describe_cache(find_folder())
    for name in sorted(os.environ):
        if name.startswith(VARIABLES):
            yield name, os.environ[name]


def _describe_cache(folder: Path | None) -> str:
    if folder is None:
        return "not kept on disk"
    sizes = [file.stat().st_size for file in folder.glob(f"*{SUFFIX}")]
    return f"{len(sizes)} files, {sum(sizes) / 2**20:.0f} MiB, in {folder}"


def test_installation() -> Iterator[tuple[str, str, bool]]:
    """Yield what was tried, what it gave, and whether that is right.

    The posterior is Normal(3, 2) for `x` and LogNormal(0, 0.5) for `s`.
    """

    def log_density(values: Any, data: Any) -> Any:
        scaled = (values["x"] - data["mean"]) / 2, jnp.log(values["s"]) / 0.5
        return -0.5 * (scaled[0] ** 2 + scaled[1] ** 2) - jnp.log(values["s"])

    sets = {"x": bj.Real(), "s": bj.Positive()}
    model = declared(log_density, sets, data={"mean": np.float32(3)})
    calls = {"NUTS": _sample, "fit": _fit, "maximize": _maximize}
    for name, call in calls.items():
        began = time.perf_counter()
        try:
            off, note = call(model)
        except Exception as error:  # Whatever fails is what the report must say.
            yield name, f"{type(error).__name__}: {error}", False
            continue
        seconds = time.perf_counter() - began
        yield (
            name,
            f"off by {off:.3f} (allowed {ALLOWED:.3f}), {seconds:.1f} s{note}",
            off < ALLOWED,
        )


def _sample(model: Any) -> tuple[float, str]:
    result = sample(model, NUTS(), key=0, progress=False)
    flat = [np.ravel(result["posterior"][name].values) for name in ("x", "s")]
    why = result.attrs["why_not_native"]
    return _compare(flat[0], np.log(flat[1])), f", {why or 'native'}"


def _fit(model: Any) -> tuple[float, str]:
    draws = fit(model, key=0, progress=False).sample(4000)["posterior"]
    return _compare(np.ravel(draws["x"].values), np.log(np.ravel(draws["s"].values))), ""


def _maximize(model: Any) -> tuple[float, str]:
    found = maximize(model, MAP(space="unconstrained"), key=0)
    place = np.array([found.values["x"], np.log(found.values["s"])], float)
    return float(np.max(np.abs(place - MEANS) / SDS)), ""


def _compare(*columns: np.ndarray) -> float:
    """Return the largest error of a mean, in standard deviations, or of a log deviation."""
    means, deviations = np.array([(c.mean(), c.std()) for c in columns]).T
    return float(np.max([np.abs(means - MEANS) / SDS, np.abs(np.log(deviations / SDS))]))


def main() -> int:
    """Print both; return 1 if a test failed."""
    for name, found in describe_installation():
        print(f"{name:24s} {found}", flush=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        results = []
        for name, found, is_right in test_installation():
            print(f"{name:24s} {'ok' if is_right else 'FAILED'}: {found}", flush=True)
            results.append(is_right)
    for one in said:
        print(f"{'warning':24s} {one.message}", file=sys.stdout)
    return 0 if all(results) else 1
