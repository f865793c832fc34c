"""Call each sampler in the same way, and measure it cold and warm."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from . import compiled, in_blackjax, in_jax
from .draws import Draws, Sampler
from .suite import SUITE, Case

# A run shorter than this is repeated, and its time is the median.
WARM_SECONDS = 4.0

SAMPLERS: dict[str, Callable[[Case], Sampler]] = {
    "ours": in_jax.ours,
    "ours, float32": in_jax.ours,
    "NumPyro vectorized": in_jax.numpyro_vectorized,
    "NumPyro parallel": in_jax.numpyro_parallel,
    "BlackJAX": in_blackjax.nuts,
    "BlackJAX, ChEES": in_blackjax.chees,
    "BlackJAX, adjusted MCLMC": in_blackjax.adjusted_mclmc,
    "nutpie": compiled.nutpie,
    "PyMC": compiled.pymc,
    "stanli": compiled.stanli,
    "walnutpie": compiled.walnutpie,
    "owalnuts": compiled.owalnuts,
}
# What a sampler needs, if it is more than NumPyro.
PACKAGES = {
    "BlackJAX": "blackjax",
    "BlackJAX, ChEES": "blackjax",
    "BlackJAX, adjusted MCLMC": "blackjax",
    "nutpie": "nutpie",
    "PyMC": "pymc",
    "stanli": "stanli",
    "walnutpie": "walnutpie",
    "owalnuts": "owalnuts",
}


def measure(sampler: str, name: str, seed: int, draws: int) -> dict[str, float]:
    """Measure one sampler on one case in this process: once cold, then warm."""
    if PACKAGES.get(sampler, "blackjax") == "blackjax":
        import jax

        jax.config.update("jax_enable_x64", "float32" not in sampler)
    case = SUITE[name]
    run = SAMPLERS[sampler](case)
    cold = run(seed, draws)
    whole, warm = _warm(run, seed + 1, draws)
    run(seed, 1)
    warmup, begun = _warm(run, seed + 1, 1)
    found = {"cold": cold.seconds, "warm": whole, "warmup": min(warmup, whole)}
    found |= quality(warm) | {"warmed": begun.warmed}
    return found | {"cold to 1000": cold.seconds + shift(whole - warmup, found["ess"])}


def _warm(run: Sampler, seed: int, draws: int) -> tuple[float, Draws]:
    """Repeat a short run; return its median time without compilation, and its draws."""
    found = [run(seed, draws)]
    while len(found) < 5 and sum(f.seconds for f in found) < WARM_SECONDS:
        found.append(run(seed, draws))
    return statistics.median(f.seconds - f.compiling for f in found), found[0]


def shift(sampling: float, ess: float) -> float:
    """Return the seconds to add so that the smallest bulk ESS becomes 1000."""
    return max(sampling, 0.0) * (1000 / ess - 1)


def quality(draws: Draws) -> dict[str, float]:
    """Compute the smallest bulk ESS and largest R-hat over all coordinates, and their cost."""
    import arviz as az

    columns = np.concatenate([v.reshape(*v.shape[:2], -1) for v in draws.values.values()], -1)
    numbers = [columns[..., i] for i in range(columns.shape[-1])]
    return {
        "ess": min(float(az.ess(column)) for column in numbers),
        "rhat": max(float(az.rhat(column)) for column in numbers),
        "sampled": draws.sampled,
        "warmed": draws.warmed,
        "divergences": draws.divergences,
    }


def gradient_seconds(name: str, repeats: int = 20_000) -> float:
    """Time one log density with its gradient in a tight jitted loop, a bound for any sampler."""
    import jax
    import jax.numpy as jnp

    import infer

    case = SUITE[name]
    density = infer.log_density(infer.from_numpyro(case.numpyro, **case.data()))
    start = jnp.full(density.size, 0.1)

    @jax.jit
    def loop(density, position):
        def step(_, position):
            value, gradient = density.evaluate(position)
            return position + 1e-20 * jnp.clip(value + gradient, -1, 1)

        return jax.lax.fori_loop(0, repeats, step, position)

    jax.block_until_ready(loop(density, start))
    began = time.perf_counter()
    jax.block_until_ready(loop(density, start))
    return (time.perf_counter() - began) / repeats
