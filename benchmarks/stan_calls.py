"""Time eight schools in Stan: a gradient by itself, called through JAX, and a whole run.

python -m benchmarks.stan_calls
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

import infer
from infer.models.fronts.stan.model import StanProgram
from tests.infer.models.stan.programs import SCHOOLS, SCHOOLS_DATA

REPEATS, STEPS = 5, 500


def best(call) -> float:
    """Return the shortest time of a call in seconds, after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    model = infer.from_stan(SCHOOLS, SCHOOLS_DATA)
    density, program = infer.log_density(model), model.program
    assert isinstance(program, StanProgram)
    points = np.random.default_rng(0).normal(size=(1000, density.size))
    stan = program._opened().density
    alone = best(lambda: stan.log_densities(points, True, True)) / len(points)
    print(f"Stan alone: {alone * 1e6:.1f} µs a gradient")
    for chains in (1, 2, 4, 16):

        @jax.jit
        def run(start):
            step = lambda _, q: q + 1e-9 * jax.vmap(density.evaluate)(q)[1]  # noqa: E731
            return jax.lax.fori_loop(0, STEPS, step, start)

        start = jnp.asarray(points[:chains])
        call = best(lambda start=start: run(start).block_until_ready()) / STEPS
        each = call / chains
        print(f"{chains} chains a call: {call * 1e6:.0f} µs a call, {each * 1e6:.0f} a gradient")
    seconds: dict[int | None, list[float]] = {None: [], 4: []}
    for group in (None, 4) * 3:
        result = infer.sample(
            model, infer.NUTS(), draws=300, warmup=200, key=1, group=group, progress=False
        )
        seconds[group].append(result.attrs["sampling_seconds"])
    for group, each in seconds.items():
        print(f"group={group}: {min(each):.2f} s for four chains of 300 draws")


if __name__ == "__main__":
    main()
