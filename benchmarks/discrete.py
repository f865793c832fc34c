"""Compare discrete sites that are summed out with NumPyro's enumeration, on the same functions.

    python -m benchmarks.discrete [--models mixture hmm ...] [--repeats 3]

Prints, for each model, the largest relative difference of the log densities and their gradients at
five points, and the wall time in seconds from a model to 4 x 1000 draws in a fresh process
(compiling included), ours and NumPyro's: medians over the repeats, which alternate. Needs funsor.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

CHAINS, WARMUP, DRAWS = 4, 1000, 1000


def enumerate_states() -> dict:
    """Return the annotation of a site; NumPyro writes into it, so each site has its own."""
    return {"enumerate": "parallel"}


def models() -> dict:
    """Return functions for NumPyro with their arguments."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.contrib.control_flow import scan
    from numpyro.distributions.util import clamp_probs
    from numpyro.ops.indexing import Vindex

    rng = np.random.default_rng(0)
    # NumPyro's own type includes None.
    sample: Any = numpyro.sample

    def mixture(y):
        share = sample("share", dist.Dirichlet(jnp.ones(3)))
        location = jnp.array([-2.0, 0.0, 2.0])
        mean = sample("mean", dist.Normal(location, 0.5).to_event(1))
        scale = sample("scale", dist.HalfNormal(1.0))
        with numpyro.plate("row", len(y)):
            kind = sample("kind", dist.Categorical(share), infer=enumerate_states())
            sample("y", dist.Normal(mean[kind], scale), obs=y)

    def hmm(y):
        change = sample("change", dist.Dirichlet(1 + 4 * jnp.eye(3)).to_event(1))
        location = jnp.array([-2.0, 0.0, 2.0])
        mean = sample("mean", dist.Normal(location, 0.5).to_event(1))

        def step(before, y):
            state = sample(
                "state", dist.Categorical(Vindex(change)[before]), infer=enumerate_states()
            )
            sample("y", dist.Normal(mean[state], 0.7), obs=y)
            return state, None

        scan(step, 0, y)

    def capture(seen):
        survival = sample("survival", dist.Uniform(0.0, 1.0))
        detection = sample("detection", dist.Uniform(0.0, 1.0))

        def step(carry, seen):
            known, alive = carry
            with numpyro.plate("animal", seen.shape[0], dim=-1):
                lives = clamp_probs(known * survival * alive + (1 - known))
                alive = sample("alive", dist.Bernoulli(lives), infer=enumerate_states())
                seen_now = dist.Bernoulli(clamp_probs(detection * alive)).mask(known)
                sample("seen", seen_now, obs=seen)
            return (known | (seen == 1), alive), None

        count = seen.shape[1]
        scan(step, (seen[0] == 1, jnp.ones(count, int)), seen[1:])

    def raters(label):
        with numpyro.plate("rater", label.shape[1], dim=-2), numpyro.plate("class", 3):
            confusion = sample("confusion", dist.Dirichlet(jnp.ones(3)))
        share = sample("share", dist.Dirichlet(jnp.ones(3)))
        with numpyro.plate("item", label.shape[0], dim=-2):
            truth = sample("truth", dist.Categorical(share), infer=enumerate_states())
            with numpyro.plate("position", label.shape[1]):
                own = Vindex(confusion)[jnp.arange(label.shape[1]), truth, :]
                sample("label", dist.Categorical(own), obs=label)

    def change_point(count):
        early = sample("early", dist.Gamma(2.0, 1.0))
        late = sample("late", dist.Gamma(2.0, 1.0))
        last = len(count) - 1
        at = sample("at", dist.DiscreteUniform(0, last), infer=enumerate_states())
        with numpyro.plate("time", len(count)):
            rate = jnp.where(jnp.arange(len(count)) < at, early, late)
            sample("count", dist.Poisson(rate), obs=count)

    states = np.cumsum(rng.random(200) < 0.1) % 3
    alive = np.cumprod(rng.random((7, 100)) < 0.8, 0)
    truth = rng.integers(0, 3, 60)
    noisy = np.where(rng.random((60, 5)) < 0.7, truth[:, None], rng.integers(0, 3, (60, 5)))
    return {
        "mixture": (mixture, rng.normal(2.0 * rng.integers(-1, 2, 300), 0.7)),
        "hmm": (hmm, rng.normal(2.0 * states - 2.0, 0.7)),
        "capture": (capture, (rng.random(alive.shape) < 0.6 * alive).astype(int)),
        "raters": (raters, noisy),
        "change point": (change_point, rng.poisson(np.where(np.arange(100) < 40, 3.0, 1.0))),
    }


def compare(name: str) -> dict:
    """Compare log densities and gradients, of the constrained values."""
    import jax
    from numpyro.contrib.funsor import config_enumerate, enum
    from numpyro.contrib.funsor.infer_util import log_density

    import infer

    function, data = models()[name]
    density = infer.log_density(infer.from_numpyro(function, data), jacobian=False)
    enumerated = enum(config_enumerate(function), first_available_dim=-3)

    def theirs(position):
        values = density.constrain(position)
        return log_density(enumerated, (data,), {}, values)[0]

    both = [jax.jit(jax.value_and_grad(f)) for f in (density, theirs)]
    worst = 0.0
    for seed in range(5):
        position = 0.5 * jax.random.normal(jax.random.key(seed), (density.size,))
        (one, slope), (other, gradient) = (f(position) for f in both)
        scale = float(np.abs(gradient).max())
        worst = max(worst, abs(one / other - 1), float(np.abs(slope - gradient).max()) / scale)
    return {"difference": float(worst)}


def ours(name: str) -> dict:
    """Measure our time to draws."""
    import infer

    function, data = models()[name]
    began = time.perf_counter()
    model = infer.from_numpyro(function, data)
    infer.sample(model, infer.NUTS(), chains=CHAINS, draws=DRAWS, progress=False)
    return {"seconds": time.perf_counter() - began}


def theirs(name: str) -> dict:
    """Measure NumPyro's time to draws."""
    import jax
    from numpyro.infer import MCMC, NUTS

    function, data = models()[name]
    began = time.perf_counter()
    run = MCMC(
        NUTS(function), num_warmup=WARMUP, num_samples=DRAWS, num_chains=CHAINS,
        chain_method="vectorized", progress_bar=False,
    )  # fmt: skip
    run.run(jax.random.key(0), data)
    jax.block_until_ready(run.get_samples())
    return {"seconds": time.perf_counter() - began}


def call(what: str, name: str) -> dict:
    """Run one measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--one", what, name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"difference": np.nan, "seconds": np.nan, "error": done.stderr[-2000:]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=[*models()])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        import jax

        jax.config.update("jax_enable_x64", True)
        what, name = arguments.one
        print(json.dumps({"compare": compare, "ours": ours, "theirs": theirs}[what](name)))
        return
    print("| model | largest difference | ours, s | NumPyro, s | ratio |\n" + "| --- " * 5 + "|")
    failed = False
    for name in arguments.models:
        runs = [("compare", call("compare", name))]
        for _ in range(arguments.repeats):
            runs += [(what, call(what, name)) for what in ("ours", "theirs")]
        ours_s, theirs_s = (
            statistics.median(own["seconds"] for kind, own in runs if kind == what)
            for what in ("ours", "theirs")
        )
        cells = [f"{runs[0][1]['difference']:.1e}", f"{ours_s:.2f}", f"{theirs_s:.2f}"]
        print(f"| {name} | {' | '.join(cells)} | {theirs_s / ours_s:.2f} |", flush=True)
        for what, own in runs:
            if "error" in own:
                failed = True
                print(f"{what}: {own['error']}", file=sys.stderr)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
