"""Measure the time to the first draw of NUTS on models of many sites of one number each.

    python -m benchmarks.many_sites [300 2000]

Prints CPU seconds, and those of the wall, from a written model to the first draw of each chain. Of
several numbers of sites, only the first one pays for what is compiled for every model.
"""

import os
import sys
import time

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import numpyro.distributions as dist  # noqa: E402

import infer  # noqa: E402

jax.config.update("jax_enable_x64", True)


def make_model(sites: int) -> infer.Model:
    """Make a model of independent normal sites, each of which was observed once."""

    def program(site, y):
        values = [site(f"x{i}", dist.Normal(0.0, 1.0)) for i in range(sites)]
        site.observe("y", dist.Normal(jnp.stack(values), 1.0), y)

    return infer.model(program, y=np.zeros(sites))


def main() -> None:
    """Measure the numbers of sites that are given."""
    print(f"{'sites':>6s} {'CPU s':>7s} {'wall s':>7s}")
    for sites in map(int, sys.argv[1:] or ["300", "2000"]):
        cpu, wall = time.process_time(), time.perf_counter()
        infer.start(make_model(sites), infer.NUTS(), progress=False).advance(1)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(f"{sites:6d} {cpu:7.1f} {wall:7.1f}", flush=True)


if __name__ == "__main__":
    main()
