"""Time the steps of a full-rank fit against their matrix products, and measure its errors.

    python benchmarks/vi_steps.py --sizes 10 100 300 1000

The targets are N(0, I) and a normal whose correlations are all 0.5, in single precision. Products
are those of one step: seven of a square matrix with as many columns as there are draws.
"""

import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj
import infer

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

DRAWS, PRODUCTS, REPEATS = 16, 7, 20


def independent(size):
    return infer.declared(lambda v: -0.5 * (v["x"] ** 2).sum(), {"x": bj.Real(shape=(size,))})


def correlated(size):
    """Make the normal with unit variances and correlations 0.5, from its closed precision."""
    return infer.declared(
        lambda v: v["x"].sum() ** 2 / (size + 1) - (v["x"] ** 2).sum(),
        {"x": bj.Real(shape=(size,))},
    )


def time_products(size):
    """Return the seconds of the matrix products of one step, one after the other."""
    square = jax.random.normal(jax.random.key(0), (size, size)) / np.sqrt(size)
    columns = jax.random.normal(jax.random.key(1), (size, DRAWS))

    @jax.jit
    def multiply(square, columns):
        for _ in range(PRODUCTS):
            columns = square @ columns
        return columns

    multiply(square, columns).block_until_ready()
    began = time.perf_counter()
    for _ in range(REPEATS):
        multiply(square, columns).block_until_ready()
    return (time.perf_counter() - began) / REPEATS


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 300])
    print(f"{'target':12} {'size':>5} {'ms/step':>8} {'products':>8} {'mean':>8} {'sd':>8}  epochs")
    for size in parser.parse_args().sizes:
        products = time_products(size)
        for name, make in (("independent", independent), ("correlated", correlated)):
            fit = infer.fit(make(size), infer.ADVI("full_rank", batch=DRAWS), progress=False)
            seconds = fit.attributes["warmup_seconds"] + fit.attributes["sampling_seconds"]
            epochs = fit.attributes["warmup_draws"] + len(fit.losses)
            mean = float(jnp.abs(fit.distribution.location).max())
            sd = float(jnp.abs(fit.distribution.sd - 1).max())
            step = 1e3 * seconds / (50 * epochs)
            print(
                f"{name:12} {size:5d} {step:8.3f} {1e3 * products:8.3f} {mean:8.1e} {sd:8.1e}"
                f"  {epochs}"
            )


if __name__ == "__main__":
    main()
