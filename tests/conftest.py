"""Double precision everywhere, and shapes in signatures checked while tests run."""

import jax
import jaxtyping

jax.config.update("jax_enable_x64", True)
jaxtyping.install_import_hook(["bijectors", "infer"], "beartype.beartype")
