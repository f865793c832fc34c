"""Batches of matrices are split, so that no LAPACK call waits for a thread of XLA."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs import batches
from infer.programs.native import call_compiled
from infer.programs.rewrite import analyze, split_batches

RNG = np.random.default_rng(0)
SQUARE = RNG.normal(size=(2, 3, 5, 5))
SYMMETRIC = SQUARE @ SQUARE.swapaxes(-1, -2) + np.eye(5)
DIAGONALS = RNG.normal(size=(3, 2, 3, 5)) + np.array([0.0, 5.0, 0.0])[:, None, None, None]
linalg = jax.lax.linalg

CASES = {
    "cholesky": lambda: linalg.cholesky(SYMMETRIC),
    "eig": lambda: linalg.eig(SQUARE),
    "eigh": lambda: linalg.eigh(SYMMETRIC),
    "hessenberg": lambda: linalg.hessenberg(SQUARE),
    "householder_product": lambda: linalg.householder_product(SQUARE, SQUARE[..., 0]),
    "lu": lambda: linalg.lu(SQUARE),
    "ormqr": lambda: linalg.ormqr(SQUARE, SQUARE[..., 0], SYMMETRIC),
    "qr": lambda: linalg.qr(SQUARE),
    "schur": lambda: linalg.schur(SQUARE),
    "svd": lambda: linalg.svd(SQUARE),
    "symmetric_product": lambda: linalg.symmetric_product(jnp.asarray(SQUARE), SYMMETRIC),
    "triangular_solve": lambda: linalg.triangular_solve(jnp.asarray(SQUARE), SYMMETRIC),
    "tridiagonal": lambda: linalg.tridiagonal(SYMMETRIC),
    "tridiagonal_solve": lambda: linalg.tridiagonal_solve(*DIAGONALS, SYMMETRIC),
}


def test_the_table_lists_every_lapack_primitive():
    """Converting pivots to a permutation is not done by LAPACK; an update has no batches."""
    names = {name[:-2] for name in dir(linalg) if name.endswith("_p")}
    assert names - {"lu_pivots_to_permutation"} <= batches.LAPACK.keys()
    assert names - {"lu_pivots_to_permutation", "cholesky_update"} == CASES.keys()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("together", [1, 4])
def test_splitting_a_batch_does_not_change_its_results(name, together, monkeypatch):
    """Of six matrices, four at a time leave a remainder of two."""
    traced = jax.jit(CASES[name]).trace()
    assert not analyze(traced.jaxpr).has_large_batches
    monkeypatch.setattr(batches, "LARGEST_WORK", 1 + together * batches.WORK_PER_PRODUCT * 5**3)
    assert analyze(traced.jaxpr).has_large_batches
    split = jax.jit(split_batches(traced)).trace()
    assert not analyze(split.jaxpr).has_large_batches
    ours, plain = map(jax.tree.leaves, (split.lower().compile()(), CASES[name]()))
    for own, expected in zip(ours, plain, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-12, atol=1e-12)


# On two cores, jaxlib would distribute four batches of Cholesky factors and one of eigenvalues, in
# one program called from two threads; so would the chains of two users with default settings.
MANY_CALLS = """
import threading
import numpy as np, jax, jax.numpy as jnp
import bijectors as bj, infer
from infer.programs.native import call_compiled

def five(matrices, count):
    def body(carry):
        i, total = carry
        own = matrices * (1 + 1e-3 * total)
        sums = [jnp.linalg.cholesky(own + k * jnp.eye(130)).sum() for k in range(4)]
        return i + 1, 0.1 * jnp.tanh(sum(sums) + jnp.linalg.eigvalsh(own).sum())
    return jax.lax.while_loop(lambda carry: carry[0] < count, body, (0, 0.0))[1]

roots = np.random.default_rng(0).normal(size=(4, 130, 130)).astype(np.float32)
large = roots @ roots.swapaxes(1, 2) + np.eye(130, dtype=np.float32)

def call(key):
    for _ in range(4):
        call_compiled(five, large, np.int32(2)).block_until_ready()

small = np.random.default_rng(0).normal(size=(200, 6, 6))

def log_density(values, data):
    eigenvalues = jnp.linalg.eigvalsh(data + values["x"] * jnp.eye(6))
    return -0.5 * values["x"] ** 2 - 0.01 * eigenvalues.sum()

model = infer.declared(log_density, {"x": bj.Real()}, data=small + small.swapaxes(1, 2))

def sample(key):
    infer.start(model, infer.NUTS(), warmup=30, key=key, progress=False).advance(30).draws()

for work in (call, sample):
    threads = [threading.Thread(target=work, args=(key,), daemon=True) for key in (1, 2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="LAPACK is called only on CPUs.")
@pytest.mark.slow
def test_programs_that_call_lapack_do_not_deadlock():
    """Without splitting, each half hung immediately on two cores."""
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", MANY_CALLS], check=True, timeout=100, env=alone)


@pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="XLA distributes transforms only on CPUs."
)
def test_a_fourier_transform_runs_in_one_thread(monkeypatch):
    given = []
    compile = jax.stages.Lowered.compile

    def record_options(lowered, options):
        given.append("xla_cpu_multi_thread_eigen" in options)
        return compile(lowered, options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", record_options)
    call_compiled(lambda x: jnp.abs(jnp.fft.fft(x)).sum(), np.arange(5.0))
    call_compiled(lambda x: jnp.sort(x).sum(), np.arange(5.0))
    assert given == [True, False]
