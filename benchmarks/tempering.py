"""Separate modes by parallel tempering, and evidences by all methods; prints their tables.

    python -m benchmarks.tempering [--only modes|evidence]

Double precision. Gradients are those of all levels, warm-up included.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
import scipy.stats  # noqa: E402

import bijectors as bj  # noqa: E402
import infer  # noqa: E402
from infer.output.data.versions import read_group  # noqa: E402

stats: Any = scipy.stats


class Modes(NamedTuple):
    """A posterior with separate modes.

    Attributes:
        name: What it is.
        model: The model.
        measure: Maps the posterior to the share of draws in one mode, or a like share.
        exact: That share.
        log_evidence: Exact log evidence in nats; NaN if it is not known.
        with_prior: The same posterior with a prior to begin at, which SMC needs; `None` if `model`
            has one.
    """

    name: str
    model: Any
    measure: Callable[[Any], float]
    exact: float
    log_evidence: float = float("nan")
    with_prior: Any = None


def begin_wide(log_density: Callable[[Any], Any], size: int, sd: float) -> infer.Model:
    """Make a model of a log density that begins at a normal of this standard deviation."""

    def declare(site):
        prior = dist.Normal(0.0, sd)
        x = site("x", prior, shape=(size,))
        site.factor("rest", log_density({"x": x}) - prior.log_prob(x).sum())

    return infer.model(declare)


def two_normals() -> Modes:
    """Two normals 20 standard deviations apart in 50 dimensions."""
    size, center = 50, 10 / np.sqrt(50)

    def log_density(values):
        x, constant = values["x"], 25 * np.log(2 * np.pi)
        logs = [jnp.log(w) - 0.5 * ((x - m) ** 2).sum() for w, m in ((0.3, -center), (0.7, center))]
        return jnp.logaddexp(*logs) - constant

    model = infer.declared(log_density, {"x": bj.Real(shape=(size,))})
    share = lambda posterior: float((np.asarray(posterior["x"]).sum(-1) > 0).mean())  # noqa: E731
    wide = begin_wide(log_density, size, 2.0)
    return Modes("two normals, 20 sd apart, 50 dimensions", model, share, 0.7, 0.0, wide)


def many_modes() -> Modes:
    """A mixture of 25 normals of sd 0.1 on a grid of spacing 2; the share of the outer 16."""
    grid = np.stack(np.meshgrid(*[np.arange(-4.0, 5.0, 2.0)] * 2), -1).reshape(-1, 2)

    def log_density(values):
        squares = ((values["x"] - grid) ** 2).sum(-1) / 0.01
        constant = np.log(25 * 2 * np.pi * 0.01)
        return jax.scipy.special.logsumexp(-0.5 * squares) - constant

    model = infer.declared(log_density, {"x": bj.Real(shape=(2,))})

    def outer(posterior) -> float:
        return float((np.abs(np.asarray(posterior["x"])).max(-1) > 3).mean())

    wide = begin_wide(log_density, 2, 4.0)
    return Modes("25 normals on a grid; share of the outer 16", model, outer, 16 / 25, 0.0, wide)


def labels() -> Modes:
    """A mixture of two normals whose labels are exchangeable; the share of one order."""
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(-2, 1, 40), rng.normal(3, 1, 60)])

    def mixture(site, y):
        centers = site("centers", dist.Normal(0, 5), shape=(2,))
        weight = site("weight", dist.Beta(2.0, 2.0))
        logs = jnp.stack([jnp.log1p(-weight), jnp.log(weight)])
        rows = dist.Normal(centers, 1.0).log_prob(y[:, None]) + logs
        site.factor("y", jax.scipy.special.logsumexp(rows, -1).sum())

    def ordered(posterior) -> float:
        centers = np.asarray(posterior["centers"])
        return float((centers[..., 0] < centers[..., 1]).mean())

    return Modes(
        "labels of two normals; share of one order", infer.model(mixture, y=y), ordered, 0.5
    )


def known() -> Iterator[tuple[str, Any, float]]:
    """Models whose evidence is known, and eight schools, whose evidence is not."""
    rng = np.random.default_rng(0)
    y = rng.normal(1, 1, 20)

    def normal(site, y):
        site.observe("y", dist.Normal(site("mean", dist.Normal(0, 3)), 1), y)

    exact = stats.multivariate_normal(np.zeros(20), np.eye(20) + 9).logpdf(y)
    yield "conjugate normal", infer.model(normal, y=y), float(exact)

    def binomial(site, k):
        site.observe("k", dist.Binomial(10, site("p", dist.Beta(2, 3))), k)

    exact = stats.betabinom(10, 2, 3).logpmf(7)
    yield "Beta-Binomial", infer.model(binomial, k=np.array(7)), float(exact)

    scales = np.geomspace(0.3, 3, 20)
    z = rng.normal(size=20)

    def wide(site, z):
        x = site("x", dist.Normal(0, scales), shape=(20,))
        site.observe("z", dist.Normal(x, 1.0), z)

    exact = stats.norm(0, np.sqrt(1 + scales**2)).logpdf(z).sum()
    yield "normal of 20 dimensions", infer.model(wide, z=z), float(exact)

    x = rng.normal(size=(50, 4))
    t = x @ rng.normal(size=4) + rng.normal(size=50)

    def regression(site, x, t):
        variance = site("variance", dist.InverseGamma(3.0, 2.0))
        slopes = site("slopes", dist.Normal(0, 2 * jnp.sqrt(variance)), shape=(4,), centered=False)
        site.observe("t", dist.Normal(x @ slopes, jnp.sqrt(variance)), t)

    shape = (np.eye(50) + 4 * x @ x.T) * 2 / 3
    exact = stats.multivariate_t(np.zeros(50), shape, df=6).logpdf(t)
    yield "linear regression", infer.model(regression, x=x, t=t), float(exact)

    effects = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    errors = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])

    def schools(site, y):
        mean, spread = site("mean", dist.Normal(0, 5)), site("spread", dist.HalfCauchy(5))
        theta = site("theta", dist.Normal(mean, spread), shape=(8,), centered=False)
        site.observe("y", dist.Normal(theta, errors), y)

    yield "eight schools", infer.model(schools, y=effects), float("nan")


def sample_by_smc(model: infer.Model, seed: int) -> list[Any]:
    """Return four runs of 1000 particles each."""
    smc = infer.BlackJAX("smc")
    return [
        infer.sample(model, smc, chains=1000, draws=1, key=seed + i, progress=False)
        for i in range(4)
    ]


def report_modes(seed: int) -> None:
    """Print a table of separate modes, by tempering and by NUTS alone."""
    print("| posterior | share, exact | tempered | NUTS | SMC | log evidence, exact |", end="")
    print(" tempered | SMC | levels | barrier | round trips | gradients | SMC | seconds | SMC |")
    print("| --- " * 15 + "|")
    for case in (two_normals(), many_modes(), labels()):
        began = time.perf_counter()
        made = infer.sample(case.model, infer.Tempered(), draws=2000, key=seed, progress=False)
        seconds = time.perf_counter() - began
        plain = infer.sample(case.model, infer.NUTS(), key=seed, progress=False)
        began = time.perf_counter()
        begun = case.with_prior or case.model
        smc = sample_by_smc(begun, seed)
        smc_seconds = time.perf_counter() - began
        smc_shares = [case.measure(read_group(run, "posterior")) for run in smc]
        smc_steps = sum(int(read_group(run, "sample_stats")["n_steps"].sum()) for run in smc)
        smc_steps += sum(run.attrs["warmup_gradients"] for run in smc)
        smc_found = infer.evidence(begun, smc)
        own = read_group(made, "tempering")
        found = infer.evidence(case.model, made)
        shares = [case.measure(read_group(result, "posterior")) for result in (made, plain)]
        gradients = own.attrs["gradients"] + made.attrs["warmup_gradients"]
        cells = [
            case.name, f"{case.exact:.2f}", *(f"{share:.3f}" for share in shares),
            f"{np.mean(smc_shares):.3f} ({min(smc_shares):.3f} to {max(smc_shares):.3f})",
            f"{case.log_evidence:.2f}", f"{found.log_evidence:.3f} ± {found.standard_error:.3f}",
            f"{smc_found.log_evidence:.3f} ± {smc_found.standard_error:.3f}",
            str(own.sizes["level"] - 1), f"{own.attrs['barrier']:.2f}",
            str(int(own["round_trips"].sum())), f"{gradients:,}", f"{smc_steps:,}",
            f"{seconds:.0f}", f"{smc_seconds:.0f}",
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


def report_evidence(seed: int) -> None:
    """Print a table of evidences by all methods."""
    print("| model | exact | bridge, from NUTS | stepping stones, fitted normal |", end="")
    print(" stepping stones, prior | SMC | nested slices |")
    print("| --- " * 7 + "|")
    for name, model, exact in known():
        nested = infer.BlackJAX("nested_slice")
        results = [
            infer.sample(model, infer.NUTS(), key=seed, progress=False),
            infer.sample(model, infer.Tempered(), key=seed, progress=False),
            infer.sample(
                model, infer.Tempered(reference="prior"), draws=2000, key=seed, progress=False
            ),
            sample_by_smc(model, seed),
            infer.sample(model, nested, chains=1200, draws=1, key=seed, progress=False),
        ]
        found = [infer.evidence(model, result) for result in results]
        cells = [f"{own.log_evidence:.3f} ± {own.standard_error:.3f}" for own in found]
        print("| " + " | ".join([name, f"{exact:.3f}", *cells]) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("modes", "evidence"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore", infer.SamplingWarning)
    if given.only != "evidence":
        report_modes(given.seed)
    if given.only != "modes":
        report_evidence(given.seed)
