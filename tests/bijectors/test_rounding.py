"""Maps give the same digits whether or not XLA contracts products and sums."""

import os
import subprocess
import sys

import jaxlib
import pytest

# XLA's older emitters compute a product again in each of its uses, and contract some of these.
CONTRACTING = [
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
]
PROGRAM = """
import jax, numpy as np
from bijectors import LogSoftmaxILR

for size in (1, 2, 4):
    scales = np.array([1, 20, 80])[:, None, None]
    y = scales * np.random.default_rng(size).standard_normal((3, 60, size))
    x = jax.jit(jax.vmap(lambda y: LogSoftmaxILR().image(y).value))(
        y.reshape(-1, size).astype(np.float32)
    )
    assert x.max() <= 0, (size, x.max())
    exact = np.log(np.exp(np.asarray(x, np.float64)).sum(-1))
    np.testing.assert_allclose(exact, 0, atol=5e-7)
"""


@pytest.mark.skipif(
    jaxlib.version.__version_info__ >= (0, 11), reason="this jaxlib has no older emitters"
)
def test_no_log_of_a_softmax_exceeds_zero_in_single_precision():
    environment = os.environ | {"XLA_FLAGS": " ".join(CONTRACTING), "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)
