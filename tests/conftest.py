"""Double precision everywhere, and shapes in signatures checked while tests run."""

import os
from pathlib import Path

import jax
import jaxtyping

jax.config.update("jax_enable_x64", True)
# Programs compiled by an earlier run, or by another worker of this one, are read from disk.
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    folder = Path(__file__).parents[1] / ".pytest_cache" / "jax"
    jax.config.update("jax_compilation_cache_dir", str(folder))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jaxtyping.install_import_hook(["bijectors", "infer"], "beartype.beartype")


def pytest_configure(config):
    """Fail if a sound model is warned of; here, since the hook must come before the import."""
    config.addinivalue_line("filterwarnings", "error::infer.ModelWarning")
