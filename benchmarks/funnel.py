"""Compare samplers on Neal's funnel, written centered, by effective draws, gradients and tails.

    python -m benchmarks.funnel [--seeds 5] [--who NAME ...]

A log scale v ~ N(0, 3) and nine z ~ N(0, exp(v / 2)); four chains in double precision, all at
defaults, ours also as a log density that names no priors, with the hierarchical metric and 8000
draws a chain. walnutpie ends once its chains agree; its gradients are the calls of the log density.
Samplers whose package is not installed are left out, so that another Python, with nutpie, PyMC and
walnutpie, can make the rest of the table. Prints, over all seeds, the smallest bulk ESS of v and z,
the largest number of gradients, warm-up included, the largest R-hat and the number of divergent
draws; the means over the seeds of P(v < -6) and P(v > 6), relative to the truth, with their
standard errors; and the median of the CPU seconds, compiling included.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from .quality import measure_quality

# Probability of a normal with standard deviation 3 below -6, and above 6.
TAIL = 0.02275
CHAINS, LATENTS = 4, 9


class Run(NamedTuple):
    """Draws of v and z, shapes (chain, draw) and (chain, draw, 9), with what they cost."""

    v: Any
    z: Any
    gradients: int
    divergent: int


def read_ours(result: Any) -> Run:
    stats, draws = result["sample_stats"], result["posterior"]
    gradients = int(stats["n_steps"].sum()) + result.attrs["warmup_gradients"]
    return Run(draws["v"], draws["z"], gradients, int(stats["diverging"].sum()))


def ours(seed: int) -> Run:
    import jax.numpy as jnp
    import numpyro.distributions as dist

    import infer

    def declare(site):
        v = site("v", dist.Normal(0.0, 3.0))
        site("z", dist.Normal(0.0, jnp.exp(v / 2)), shape=(LATENTS,))

    return read_ours(infer.sample(infer.model(declare), key=seed, progress=False))


def ours_declared(seed: int) -> Run:
    import jax.numpy as jnp

    import infer
    from bijectors import Real

    def log_density(q):
        v, z = q["v"], q["z"]
        return -(v**2) / 18 - 0.5 * (z**2).sum() * jnp.exp(-v) - 0.5 * LATENTS * v

    model = infer.declared(log_density, {"v": Real(), "z": Real(shape=(LATENTS,))})
    engine = infer.NUTS(metric="hierarchical")
    return read_ours(infer.sample(model, engine, draws=8000, key=seed, progress=False))


def numpyro_nuts(seed: int) -> Run:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def declare():
        v = numpyro.sample("v", dist.Normal(0.0, 3.0))
        with numpyro.plate("latents", LATENTS):
            numpyro.sample("z", dist.Normal(0.0, jnp.exp(v / 2)))

    draws, gradients, divergent = sample_by_numpyro(declare, seed)
    return Run(draws["v"], draws["z"], gradients, divergent)


def sample_by_numpyro(declare: Callable[[], Any], seed: int) -> tuple[dict[str, Any], int, int]:
    """Sample a model by NumPyro's NUTS at defaults, with 1000 draws of warm-up.

    Returns:
        Draws by name, shape (chain, draw, ...); gradients, warm-up included; divergent draws.
    """
    import jax
    from numpyro.infer import MCMC, NUTS

    sampler = MCMC(
        NUTS(declare), num_warmup=1000, num_samples=1000, num_chains=CHAINS,
        chain_method="vectorized", progress_bar=False,
    )  # fmt: skip
    sampler.warmup(jax.random.key(seed), extra_fields=("num_steps",), collect_warmup=True)
    warmed = int(sampler.get_extra_fields()["num_steps"].sum())
    sampler.run(jax.random.key(seed + 1000), extra_fields=("num_steps", "diverging"))
    fields, draws = sampler.get_extra_fields(), sampler.get_samples(group_by_chain=True)
    gradients = warmed + int(fields["num_steps"].sum())
    return draws, gradients, int(fields["diverging"].sum())


def nutpie_nuts(seed: int) -> Run:
    import nutpie
    import pymc as pm

    with pm.Model() as model:
        v = pm.Normal("v", 0.0, 3.0)
        pm.Normal("z", 0.0, pm.math.exp(v / 2), shape=LATENTS)
    compiled = nutpie.compile_pymc_model(model, backend="numba")
    found = nutpie.sample(compiled, chains=CHAINS, seed=seed, progress_bar=False, cores=2)
    stats, warmed = found["sample_stats"], found["warmup_sample_stats"]
    gradients = int(stats["n_steps"].sum()) + int(warmed["n_steps"].sum())
    draws = found["posterior"]
    return Run(draws["v"], draws["z"], gradients, int(stats["diverging"].sum()))


def walnuts(seed: int) -> Run:
    import walnutpie

    calls = [0]

    def log_density(q: np.ndarray) -> tuple[float, np.ndarray]:
        calls[0] += 1
        v, z = q[0], q[1:]
        # Far below, the log density is minus infinity.
        with np.errstate(over="ignore", invalid="ignore"):
            precision = np.exp(-v)
            squares = (z**2).sum() * precision
            slopes = np.append(-v / 9 + 0.5 * squares - 0.5 * LATENTS, -z * precision)
        return float(-(v**2) / 18 - 0.5 * squares - 0.5 * LATENTS * v), slopes

    found = walnutpie.walnuts_pyfunc(
        log_density, num_params=1 + LATENTS, num_chains=CHAINS, seed=seed + 1
    )
    # Chains need not have the same length.
    length = min(len(chain) for chain in found)
    draws = np.stack([np.asarray(chain)[:length] for chain in found])
    return Run(draws[..., 0], draws[..., 1:], calls[0], 0)


# By name, each with the package that it needs.
SAMPLERS: dict[str, tuple[str, Callable[[int], Run]]] = {
    "ours, `infer.model`": ("infer", ours),
    "ours, `infer.declared`, hierarchical metric, 4 x 8000": ("infer", ours_declared),
    "NumPyro": ("numpyro", numpyro_nuts),
    "nutpie": ("nutpie", nutpie_nuts),
    "walnutpie": ("walnutpie", walnuts),
}


def row(name: str, sample: Callable[[int], Run], seeds: int) -> str:
    """Run a sampler with each seed; return a line of the table."""
    runs, seconds = [], []
    for seed in range(seeds):
        began = time.process_time()
        runs.append(sample(seed))
        seconds.append(time.process_time() - began)
    found = [
        measure_quality(np.append(np.asarray(r.z), np.asarray(r.v)[..., None], -1)) for r in runs
    ]
    cells = [
        name, f"{min(own.ess for own in found):.0f}", f"{max(run.gradients for run in runs):,}",
        f"{max(own.rhat for own in found):.3f}", str(sum(run.divergent for run in runs)),
    ]  # fmt: skip
    for is_tail in (lambda v: v < -6, lambda v: v > 6):
        shares = [float(is_tail(np.asarray(run.v)).mean()) / TAIL for run in runs]
        error = np.std(shares, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
        cells.append(f"{np.mean(shares):.2f} ± {error:.2f}")
    return "| " + " | ".join([*cells, f"{np.median(seconds):.1f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--who", nargs="*", default=list(SAMPLERS), choices=list(SAMPLERS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if find_spec("jax") is not None:
        import jax

        jax.config.update("jax_enable_x64", True)
    print("| sampler | ESS | gradients | R-hat | divergent | P(v < -6) | P(v > 6) | CPU s |")
    print("| --- " * 8 + "|")
    for name in given.who:
        package, sample = SAMPLERS[name]
        if find_spec(package) is not None:
            print(row(name, sample, given.seeds), flush=True)


if __name__ == "__main__":
    main()
