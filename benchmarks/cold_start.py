"""Measure the time from a cold start to draws, ours and NumPyro's, in alternating processes.

    python benchmarks/cold_start.py [--repeats 5]

Prints, for each model, medians of the wall time in seconds from a built model to draws (compiling
included), the smallest bulk ESS, and the leapfrog steps; and the median of the ratios of pairs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

CHAINS, DRAWS = 4, 1000


def schools_data():
    return {
        "error": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
        "effect": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    }


def logistic_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 24))
    odds = np.exp(-x @ rng.normal(size=24) / np.sqrt(24))
    return {"x": x, "y": (rng.random(1000) < 1 / (1 + odds)).astype(float)}


def ours(name: str) -> dict:
    import jax

    jax.config.update("jax_enable_x64", True)
    import arviz as az
    import numpyro.distributions as dist

    import infer

    def schools(site, error, effect):
        mu = site("mu", dist.Normal(0, 5))
        tau = site("tau", dist.HalfCauchy(5))
        theta = site("theta", dist.Normal(mu, tau), shape=(8,), centered=False)
        site.observe("effect", dist.Normal(theta, error), effect)

    def logistic(site, x, y):
        b = site("b", dist.Normal(0, 1), shape=(24,))
        site.observe("y", dist.Bernoulli(logits=x @ b), y)

    model = infer.model({"schools": schools, "logistic": logistic}[name], **DATA[name]())
    began = time.perf_counter()
    idata = infer.sample(model, chains=CHAINS, draws=DRAWS, progress=False)
    wall = time.perf_counter() - began
    return report(az, idata, wall, int(idata["sample_stats"]["n_steps"].sum()))


def numpyro(name: str) -> dict:
    import jax

    jax.config.update("jax_enable_x64", True)
    import arviz as az
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS
    from numpyro.infer.reparam import LocScaleReparam

    def schools(error, effect):
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        tau = numpyro.sample("tau", dist.HalfCauchy(5))
        with (
            numpyro.plate("school", 8),
            numpyro.handlers.reparam(config={"theta": LocScaleReparam(0)}),
        ):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
            numpyro.sample("effect", dist.Normal(theta, error), obs=effect)

    def logistic(x, y):
        b = numpyro.sample("b", dist.Normal(0, 1).expand([24]).to_event(1))
        numpyro.sample("y", dist.Bernoulli(logits=x @ b), obs=y)

    kernel = NUTS({"schools": schools, "logistic": logistic}[name])
    data = DATA[name]()
    began = time.perf_counter()
    mcmc = MCMC(
        kernel, num_warmup=1000, num_samples=DRAWS, num_chains=CHAINS,
        chain_method="vectorized", progress_bar=False,
    )  # fmt: skip
    mcmc.run(jax.random.key(0), **data, extra_fields=("num_steps",))
    jax.block_until_ready(mcmc.get_samples())
    wall = time.perf_counter() - began
    steps = int(mcmc.get_extra_fields()["num_steps"].sum())
    draws = mcmc.get_samples(group_by_chain=True)
    return report(az, {"posterior": draws}, wall, steps)


def report(az, idata, wall: float, steps: int) -> dict:
    posterior = idata["posterior"]
    arrays = [np.asarray(posterior[name]) for name in posterior]
    columns = [a.reshape(*a.shape[:2], -1) for a in arrays]
    ess = min(float(az.ess(c[..., i])) for c in columns for i in range(c.shape[-1]))
    return {"wall": wall, "ess": ess, "leapfrogs": steps}


DATA = {"schools": schools_data, "logistic": logistic_data}
LIBRARIES = {"ours": ours, "numpyro": numpyro}


def run_in_process(library: str, name: str) -> dict:
    command = [sys.executable, "-W", "ignore", __file__, "--one", library, name]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "MODEL"))
    asked = parser.parse_args()
    if asked.one:
        library, name = asked.one
        print(json.dumps(LIBRARIES[library](name)))
        return
    print(f"{'model':10s} {'library':8s} {'wall s':>8s} {'min ESS':>8s} {'leapfrogs':>10s}")
    for name in DATA:
        found = [
            {lib: run_in_process(lib, name) for lib in LIBRARIES} for _ in range(asked.repeats)
        ]
        for library in LIBRARIES:
            wall, ess, steps = (
                statistics.median(f[library][k] for f in found)
                for k in ("wall", "ess", "leapfrogs")
            )
            print(f"{name:10s} {library:8s} {wall:8.2f} {ess:8.0f} {steps:10.0f}")
        ratio = statistics.median(f["numpyro"]["wall"] / f["ours"]["wall"] for f in found)
        print(f"{name:10s} numpyro / ours, wall: {ratio:.1f}")


if __name__ == "__main__":
    main()
