"""Where a result comes from: libraries, machine, key, and a fingerprint of the model."""

import platform
import sys
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp

from ...density.family import Family
from ...models.abstract import run_abstractly
from ...run.fingerprint import hash_array, hash_program
from ...run.run import Run

LIBRARIES = ("jax", "jaxlib", "numpyro", "numpy", "arviz", "xarray")


def describe_origin(run: Run) -> dict[str, Any]:
    """Describe where a result comes from, in plain values that every file format can store."""
    device = jax.devices()[0]
    return {
        "inference_library": "pushforward",
        "inference_library_version": find_version("pushforward"),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python_version": platform.python_version(),
        **{f"{name}_version": find_version(name) for name in LIBRARIES},
        "device": device.device_kind,
        "platform": device.platform,
        "precision": str(jnp.result_type(float)),
        "key": "" if run.key is None else ", ".join(map(str, run.key.reshape(-1)[:2].tolist())),
        "compilations": run.compilations,
        "model_fingerprint": run.model_fingerprint or fingerprint_model(run.family),
    }


def prepare_origin(run: Run) -> None:
    """Compute now what takes some milliseconds."""
    run.model_fingerprint = fingerprint_model(run.family)
    for name in ("pushforward", *LIBRARIES):
        find_version(name)


def list_versions() -> dict[str, str]:
    """List what may change the last digits of draws."""
    return {
        "pushforward": find_version("pushforward"),
        "python": platform.python_version(),
        **{name: find_version(name) for name in ("jax", "jaxlib", "numpy")},
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
    }


def fingerprint_model(family: Family) -> str:
    """Hash the program and all numbers of the models: data, frozen values, powers.

    The program is the one that the survey of the model traced, so nothing is traced again. Another
    version of JAX may trace the same model to another program.
    """
    program = run_abstractly(family.member(0).model).program
    whole = sha256(hash_program(program).encode())
    for leaf in jax.tree.leaves((family.shared.model, family.own.model)):
        whole.update(hash_array(leaf).encode())
    return whole.hexdigest()[:32]


@cache
def find_version(package: str) -> str:
    """Return the version of a package, as it says itself if it is loaded, or as it is installed.

    To read what is installed takes a millisecond for each.
    """
    if isinstance(own := getattr(sys.modules.get(package), "__version__", None), str):
        return own
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
