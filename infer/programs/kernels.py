"""Compile a program kernel by kernel, without the parts of XLA that fail on some versions."""

from typing import Any

import jax
import jaxlib

from .cached import Executable, compile_or_load

# XLA calls an external library (YNNPACK) for sums and products unless this list is empty.
WITHOUT_LIBRARY: dict[str, Any] = {"xla_cpu_experimental_ynn_fusion_type": ""}
# With these versions of jaxlib the calls fail: 0.10.2 returns wrong sums of squared products (jax
# issue 39103), and both crash at sums of products of rank 7 or 8 (issues 40412 and 39257). Without
# the calls a gradient of a logistic regression with 20,000 rows takes 1.3 times as long.
IS_LIBRARY_SOUND = jaxlib.__version__ not in {"0.10.2", "0.11.0"}
# A Fourier transform in several threads waits for them, like LAPACK (see `batches`).
SINGLE_THREAD: dict[str, Any] = {"xla_cpu_multi_thread_eigen": False}


def choose_options(has_transforms: bool = False) -> dict[str, Any]:
    """Return XLA's options for a program that is compiled kernel by kernel."""
    if jax.default_backend() != "cpu":
        return {}
    options = {} if IS_LIBRARY_SOUND else WITHOUT_LIBRARY
    return options | (SINGLE_THREAD if has_transforms else {})


def compile_as_kernels(
    lowered: jax.stages.Lowered, has_transforms: bool = False, described: str | None = None
) -> Executable:
    """Compile a program as XLA does by default, but without the calls that fail.

    Args:
        lowered: The program.
        has_transforms: Whether it computes Fourier transforms.
        described: Says what is compiled; see `compile_or_load`.
    """
    return compile_or_load(lowered, choose_options(has_transforms), described)
