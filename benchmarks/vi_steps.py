"""Time the steps of a full-rank fit against their matrix products, and measure its errors.

    python benchmarks/vi_steps.py --sizes 10 100 300 1000

The targets are N(0, I) and a normal whose correlations are all 0.5, in single precision. Products
are the four of one step: the factor times 16 columns three times, and one of rank 32 that is added
to it. Times are of the CPU, in turn of fits, without compiling and judging, and of products.
"""

import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj
import infer

# Programs of other processes are left out.
os.environ["PUSHFORWARD_CACHE"] = "0"

DRAWS, CALLS, FITS, SECONDS = 16, 50, 2, 1.0


def independent(size):
    return infer.declared(lambda v: -0.5 * (v["x"] ** 2).sum(), {"x": bj.Real(shape=(size,))})


def correlated(size):
    """Make the normal with unit variances and correlations 0.5, from its closed precision."""
    return infer.declared(
        lambda v: v["x"].sum() ** 2 / (size + 1) - (v["x"] ** 2).sum(),
        {"x": bj.Real(shape=(size,))},
    )


def prepare_products(size):
    """Return a function that times the matrix products of one step, one after the other."""
    square = jax.random.normal(jax.random.key(0), (size, size)) / np.sqrt(size)
    begun = jax.random.normal(jax.random.key(1), (DRAWS, size))
    store = jax.lax.optimization_barrier

    def multiply(rows):
        """Map noise to draws, pull gradients back, move by a step, and make the step's change."""
        gradients = store(square @ rows.T).T
        step = store(gradients @ square).T
        left = jnp.pad(store(square @ step), ((0, 0), (0, DRAWS)))
        change = store(left @ jnp.pad(rows, ((0, DRAWS), (0, 0))))
        # With a short norm, so that repeated calls do not overflow.
        return change[:, :DRAWS].T / jnp.linalg.norm(change[0])

    @jax.jit
    def repeat(rows):
        # In one program, so that calling it costs nothing.
        return jax.lax.fori_loop(0, CALLS, lambda _, own: multiply(own), rows)

    def measure():
        began, calls = time.process_time(), 0
        while time.process_time() < began + SECONDS:
            repeat(begun).block_until_ready()
            calls += 1
        return (time.process_time() - began) / (CALLS * calls)

    repeat(begun).block_until_ready()
    return measure


def time_steps(model, engine):
    """Fit without judging, and return the seconds of a step, and the epochs."""
    run = infer.start(model, engine, chains=1, progress=False)
    began = time.process_time()
    run.advance(engine.final_draws)
    seconds = time.process_time() - began
    epochs = run.warmup.draws + run.fewest()
    return seconds / (50 * epochs), epochs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 300])
    titles = f"{'target':12} {'size':>5} {'ms/step':>8} {'products':>8} {'ratio':>6}"
    print(f"{titles} {'mean':>8} {'sd':>8}  epochs")
    for size in parser.parse_args().sizes:
        measure = prepare_products(size)
        for name, make in (("independent", independent), ("correlated", correlated)):
            engine, model = infer.ADVI("full_rank", batch=DRAWS), make(size)
            # The first one compiles.
            fit = infer.fit(model, engine, progress=False)
            steps, products, epochs = [], [measure()], 0
            for _ in range(FITS):
                step, epochs = time_steps(model, engine)
                steps.append(step)
                products.append(measure())
            step, product = np.mean(steps), np.mean(products)
            mean = float(jnp.abs(fit.distribution.location).max())
            sd = float(jnp.abs(fit.distribution.sd - 1).max())
            print(
                f"{name:12} {size:5d} {1e3 * step:8.3f} {1e3 * product:8.3f} {step / product:6.2f} "
                f"{mean:8.1e} {sd:8.1e}  {epochs}",
                flush=True,
            )


if __name__ == "__main__":
    main()
