"""Time the steps of a full-rank fit against their matrix products, and measure its errors.

    python -m benchmarks.vi_steps [--sizes 10 100 300 1000] [--page]

`--page` writes results/vi_steps.md.

The targets are N(0, I) and a normal whose correlations are all 0.5, in single precision, and there
are 16 draws. Products are the five of one step: the factor times 16 columns three times and times
one, which moves the mean, and one of rank 16 that is added to it. Numbers are the draws of one
step, 16 times the size. The first ratio is that of a step to the products, the second to both
together. Times are CPU times; fits, without compiling and judging, products and numbers are timed
in turn, and all run in compiled loops. The last columns are the largest errors of a mean and of a
standard deviation.
"""

import argparse
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj
import infer
from infer.numerics.keys import wrap_key
from infer.numerics.normals import draw_normals
from infer.programs.native import CompiledProgram, compile_program

from . import page

# Programs of other processes are left out.
os.environ["PUSHFORWARD_CACHE"] = "0"

DRAWS, CALLS, FITS, SECONDS = 16, 50, 3, 1.0
WORDS = np.array([3, 5], np.uint32)
PAGE = Path(__file__).parent / "results" / "vi_steps.md"
HEAD = (
    "| target | size | step, µs | products | numbers | ratio | to both | mean | sd | epochs |",
    "| --- |" + " ---: |" * 9,
)


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
        mean = store(square @ gradients[0])
        change = store(store(square @ step) @ rows)
        # With a short norm, so that repeated calls do not overflow.
        columns = jnp.pad(change, ((0, 0), (0, max(0, DRAWS - size))))[:, :DRAWS]
        return (columns.T + mean) / jnp.linalg.norm(change[0])

    @jax.jit
    def repeat(rows):
        # In one program, so that calling it costs nothing.
        return jax.lax.fori_loop(0, CALLS, lambda _, own: multiply(own), rows)

    return lambda: time_calls(repeat, begun)


def prepare_numbers(size):
    """Return a function that times the random numbers of one step."""

    def repeat(words):
        def add(step, total):
            own = jax.random.fold_in(wrap_key(words), step)
            return total + draw_normals(own, (DRAWS, size), jnp.float32)

        return jax.lax.fori_loop(0, CALLS, add, jnp.zeros((DRAWS, size), jnp.float32))

    # In the form of the loops of small fits.
    program, _ = compile_program(repeat, (), (WORDS,), "either")
    assert isinstance(program, CompiledProgram)
    return lambda: time_calls(program.call, WORDS)


def time_calls(repeat, argument):
    """Return the seconds of one of the `CALLS` in a program."""
    repeat(argument).block_until_ready()
    began, calls = time.process_time(), 0
    while time.process_time() < began + SECONDS:
        repeat(argument).block_until_ready()
        calls += 1
    return (time.process_time() - began) / (CALLS * calls)


def time_steps(model, engine):
    """Fit without judging, and return the seconds of a step, and the epochs."""
    run = infer.start(model, engine, chains=1, progress=False)
    began = time.process_time()
    run.advance(engine.final_draws)
    seconds = time.process_time() - began
    epochs = run.warmup.draws + run.fewest()
    return seconds / (50 * epochs), epochs


def measure(size, name, make):
    """Return a row of the table."""
    measure_products, measure_numbers = prepare_products(size), prepare_numbers(size)
    engine, model = infer.ADVI("full_rank", batch=DRAWS), make(size)
    # The first one compiles.
    fit = infer.fit(model, engine, progress=False)
    rounds, epochs = [], 0
    for _ in range(FITS):
        step, epochs = time_steps(model, engine)
        rounds.append((step, measure_products(), measure_numbers()))
    step, product, number = 1e6 * np.mean(rounds, axis=0)
    mean = float(jnp.abs(fit.distribution.location).max())
    sd = float(jnp.abs(fit.distribution.sd - 1).max())
    return (
        f"| {name} | {size} | {step:.1f} | {product:.1f} | {number:.1f} | {step / product:.1f} | "
        f"{step / (product + number):.1f} | {mean:.1e} | {sd:.1e} | {epochs} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 300, 1000])
    parser.add_argument("--page", action="store_true", help="write the page of results")
    given = parser.parse_args()
    lines: list[str] = list(HEAD)
    print("\n".join(lines))
    for size in given.sizes:
        for name, make in (("independent", independent), ("correlated", correlated)):
            lines.append(measure(size, name, make))
            print(lines[-1], flush=True)
    if given.page:
        page.write(PAGE, "Steps of full rank", __doc__, lines)


if __name__ == "__main__":
    main()
