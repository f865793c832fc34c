"""Measure what stopping at a target costs and how much it biases: sampling until, on closed forms.

    python benchmarks/until.py

First, the bias. Chains are autoregressive series, whose effective sample size is known: n draws of
a chain are worth n (1 - rho) / (1 + rho). Each is sampled until ESS 400; the table compares the
ESS that is estimated at the stop with the known one, counts the stops below the target, and gives
the known ESS that 95 % of them exceed. Second, the cost: the share of the time of
`infer.sample(until=...)` that goes into checks, for the first call, which compiles, and the next
one with another seed.
"""

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpyro.distributions as dist
import xarray

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from infer.output import until_goal
from infer.output.judge.until import Until
from infer.output.until_goal import UntilGoal

STOPS, CHAINS, TARGET = 100, 4, 400


class Series:
    """A stand-in for a run: known series, of which more and more draws are looked at."""

    def __init__(self, rho, seed, draws=20_000):
        noise = np.random.default_rng(seed).normal(size=(CHAINS, draws))
        noise[:, 1:] *= np.sqrt(1 - rho**2)
        for i in range(1, draws):
            noise[:, i] += rho * noise[:, i - 1]
        self.series, self.made = noise, 0

    def posterior(self):
        """Make the posterior of the draws so far."""
        return xarray.Dataset({"x": (("chain", "draw"), self.series[:, : self.made])})


def stop(rho, seed):
    """Sample until the target; return the draws per chain and the diagnostics there."""
    goal = UntilGoal(Until(rhat=1.01, ess=TARGET), CHAINS)
    run: Any = Series(rho, seed)
    while (draws := goal.next_draws(run)) is not None:
        run.made = draws
    return run.made, goal._measured[0]


def bias(rho):
    """Print one line of the first table."""
    found = [stop(rho, seed) for seed in range(STOPS)]
    known = np.array([CHAINS * made * (1 - rho) / (1 + rho) for made, _ in found])
    bulk = np.array([mixing.bulk for _, mixing in found])
    made = np.array([made for made, _ in found])
    print(
        f"| {rho} | {np.median(made):.0f} | {np.mean(bulk / known):.3f} | {np.mean(known):.0f} | "
        f"{np.mean(known < TARGET):.2f} | {np.quantile(known, 0.05):.0f} |"
    )


def schools(site, y, s):
    """Eight schools, non-centered."""
    mu, tau = site("mu", dist.Normal(0, 5)), site("tau", dist.HalfCauchy(5))
    theta = site("theta", dist.Normal(mu, tau), shape=(8,), centered=False)
    site.observe("y", dist.Normal(theta, s), y)


def regression(site, x, y):
    """A logistic regression of 2000 rows."""
    weights = site("weights", dist.Normal(0, 1), shape=(x.shape[1],))
    site.observe("y", dist.Bernoulli(logits=x @ weights), y)


def models():
    """Make the models of the second table."""
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    s = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    x = np.random.default_rng(0).normal(size=(2000, 25))
    chosen = (np.random.default_rng(1).uniform(size=2000) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    return {
        "eight schools": infer.model(schools, y=y, s=s),
        "logistic regression, 2000 x 25": infer.model(regression, x=x, y=chosen),
    }


def cost(name, model):
    """Print two lines of the second table."""
    spent, next_draws = [], UntilGoal.next_draws

    def timed(self, run):
        began = time.perf_counter()
        made = next_draws(self, run)
        spent.append(time.perf_counter() - began)
        return made

    for key, call in enumerate(("first", "next")):
        spent.clear()
        with patch.object(UntilGoal, "next_draws", timed):
            began = time.perf_counter()
            data = infer.sample(model, infer.NUTS(), until=Until(), key=key, progress=False)
            whole = time.perf_counter() - began
        print(
            f"| {name} | {call} | {data.posterior.sizes['draw']} | {whole:.2f} s "
            f"| {1e3 * sum(spent):.0f} ms | {sum(spent) / whole:.1%} |"
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(f"{STOPS} stops, {CHAINS} chains, until R-hat 1.01 and ESS {TARGET}:\n")
    print(
        "| correlation | median draws | estimated / known ESS | known ESS | share below target "
        "| its 5 % quantile |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    stand_in = {"read_posterior": Series.posterior, "count_made": lambda run: run.made}
    with patch.multiple(until_goal, **stand_in):
        for rho in (0.0, 0.5, 0.9):
            bias(rho)
    print("\n| model | call | draws | whole call | checks | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, model in models().items():
        cost(name, model)
