"""Double precision everywhere, and shapes in signatures checked while tests run."""

import jax
import jaxtyping

jax.config.update("jax_enable_x64", True)
jaxtyping.install_import_hook(["bijectors", "infer"], "beartype.beartype")


def pytest_configure(config):
    """Fail if a sound model is warned of; here, since the hook must come before the import."""
    config.addinivalue_line("filterwarnings", "error::infer.ModelWarning")
