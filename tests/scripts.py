"""Run a script in this process as Python would run it in one of its own: importing takes 4 s."""

import runpy
import sys
import warnings
from pathlib import Path

import jax
import matplotlib.pyplot as plt


def run_script(path: Path, **sizes: int) -> None:
    """Run a script with JAX's own settings and without the filters of pytest for warnings.

    What the script changes is put back: JAX's precision, filters, open figures and the search path.

    Args:
        path: The script.
        sizes: Given to its `main`; without any, it runs as `python path` does.
    """
    double, folders = jax.config.read("jax_enable_x64"), sys.path[:]
    jax.config.update("jax_enable_x64", False)
    plt.switch_backend("Agg")
    sys.path.insert(0, str(path.parent))
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            names = runpy.run_path(str(path), run_name="small" if sizes else "__main__")
            if sizes:
                names["main"](**sizes)
    finally:
        plt.close("all")
        sys.path[:] = folders
        jax.config.update("jax_enable_x64", double)
