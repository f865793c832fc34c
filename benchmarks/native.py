"""Measure microseconds per leapfrog step of NUTS on a CPU, in native loops and in batched chains.

    python benchmarks/native.py [--repeats 5] [--only radon ...] [--float32]

Both forms run in turn, four chains each, from the same starts with the same tuning. Prints medians
of the wall time divided by the leapfrog steps of all chains, the median of the ratios of pairs, and
seconds of compiling.
"""

import argparse
import os
import statistics
import sys

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

CHAINS, WARMUP, DRAWS = 4, 150, 100


def radon(rng):
    """Make a model with intercepts of 85 counties for 919 houses."""
    group = rng.choice(85, 919, p=rng.dirichlet(np.full(85, 0.7)))
    x = rng.normal(size=919)

    def model(site, group, x, y):
        scale = site("scale", dist.HalfNormal(1))
        level = site("level", dist.Normal(0, scale), shape=(85,), centered=False)
        slope, noise = site("slope", dist.Normal(0, 1)), site("noise", dist.HalfNormal(1))
        site.observe("y", dist.Normal(level[group] + slope * x, noise), y)

    y = rng.normal(size=85)[group] + 0.5 * x + rng.normal(size=919)
    return infer.model(model, group=infer.data(group), x=x, y=y)


def item_response(rng):
    """Make a model with two parameters for each of 20 items, answered by 100 persons."""
    person, item = (a.reshape(-1) for a in np.mgrid[:100, :20])

    def model(site, person, item, y):
        ability = site("ability", dist.Normal(0, 1), shape=(100,))
        sharpness = site("sharpness", dist.LogNormal(0, 0.5), shape=(20,))
        difficulty = site("difficulty", dist.Normal(0, 2), shape=(20,))
        logits = sharpness[item] * (ability[person] - difficulty[item])
        site.observe("y", dist.Bernoulli(logits=logits), y)

    y = (rng.random(2000) < 0.5).astype(float)
    return infer.model(model, person=infer.data(person), item=infer.data(item), y=y)


def process(points):
    def make(rng):
        def model(site, x, y):
            length, noise = site("length", dist.LogNormal(0, 1)), site("noise", dist.HalfNormal(1))
            apart = (x[:, None] - x) / length
            kernel = jnp.exp(-0.5 * apart**2) + (noise**2 + 1e-6) * jnp.eye(points)
            site.observe("y", dist.MultivariateNormal(0.0, kernel), y)

        x = np.linspace(-2, 2, points)
        return infer.model(model, x=x, y=np.sin(2 * x) + 0.1 * rng.normal(size=points))

    return make


def fixed_covariance(rng):
    root = rng.normal(size=(20, 20))

    def model(site, covariance):
        site("x", dist.MultivariateNormal(jnp.zeros(20), covariance))

    return infer.model(model, covariance=root @ root.T / 20 + np.eye(20))


def slopes(rng):
    """Make a model with three correlated coefficients for each of 30 groups, under an LKJ prior."""
    group, x = rng.integers(0, 30, 300), rng.normal(size=(300, 3))

    def model(site, group, x, y):
        factor = site("factor", dist.LKJCholesky(3, 2.0))
        scale = site("scale", dist.HalfNormal(1).expand([3]).to_event(1))
        white = site("white", dist.Normal(0, 1), shape=(30, 3))
        coefficients = white @ (scale[:, None] * factor).T
        site.observe("y", dist.Normal((coefficients[group] * x).sum(-1), 1.0), y)

    return infer.model(model, group=infer.data(group), x=x, y=rng.normal(size=300))


def softmax(rng):
    """Make a regression of four classes on 500 rows and 40 columns."""

    def model(site, x, y):
        weights = site("weights", dist.Normal(0, 1), shape=(40, 3))
        logits = jnp.pad(x @ weights, ((0, 0), (0, 1)))
        site.observe("y", dist.Categorical(logits=logits), y)

    return infer.model(model, x=rng.normal(size=(500, 40)), y=infer.data(rng.integers(0, 4, 500)))


def wide_normal(rng):
    root = rng.normal(size=(500, 500)) / np.sqrt(500)

    def log_density(values, data):
        return -0.5 * values["x"] @ data["precision"] @ values["x"]

    data = {"precision": root @ root.T + np.eye(500)}
    return infer.declared(log_density, {"x": bj.Real(shape=(500,))}, data=data)


MODELS = {
    "radon": radon,
    "item response": item_response,
    "process of 11": process(11),
    "process of 30": process(30),
    "process of 60": process(60),
    "process of 100": process(100),
    "fixed covariance": fixed_covariance,
    "correlated slopes": slopes,
    "softmax": softmax,
    "normal of 500": wide_normal,
}


def started(model, group: int, tuning=None):
    engine = infer.NUTS(max_depth=8)
    warmup = 0 if tuning else WARMUP
    run = infer.start(model, engine, chains=CHAINS, warmup=warmup, group=group, tuning=tuning)
    run.progress = False
    return run


def one_turn(run) -> float:
    """Advance, and return microseconds per leapfrog step."""
    spent, made = run.timing.sampling, run.fewest()
    run.advance(DRAWS)
    steps = int(run.draws().stats["n_steps"][:, made:].sum())
    return (run.timing.sampling - spent) / steps * 1e6


def compare(name: str, repeats: int) -> None:
    model = MODELS[name](np.random.default_rng(0))
    first = started(model, 1).warm_up()
    runs = {"native": started(model, 1, first.tuning), "batched": started(model, 2, first.tuning)}
    times: dict[str, list[float]] = {form: [] for form in runs}
    for _ in range(repeats):
        for form, run in runs.items():
            times[form].append(one_turn(run))
    native = runs["native"]
    ratios = [b / n for n, b in zip(times["native"], times["batched"], strict=True)]
    medians = {form: statistics.median(own) for form, own in times.items()}
    print(
        f"{name:20s} native {medians['native']:9.2f}  batched {medians['batched']:9.2f}"
        f"  ratio {statistics.median(ratios):6.2f}"
        f"  compile {first.timing.compile:.1f} {runs['batched'].timing.compile:.1f}"
        f"  {', '.join(native.rewritten) or native.why_not_native or ''}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(MODELS))
    parser.add_argument("--float32", action="store_true")
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", not chosen.float32)
    for name in chosen.only:
        compare(name, chosen.repeats)


if __name__ == "__main__":
    main()
