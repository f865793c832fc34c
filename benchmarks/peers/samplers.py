"""Call each sampler in the same way: draws of one case, with their time and cost."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .clock import Clock
from .suite import SUITE, Case

CHAINS = 4
# A run shorter than this is repeated, and its time is the median.
WARM_SECONDS = 4.0


class Draws(NamedTuple):
    """The draws of one run, and what they cost.

    Attributes:
        seconds: Wall time of the run, compiling included.
        compiling: Seconds of it in which JAX traced or compiled.
        values: Draws of each site, shape (chains, draws, ...).
        sampled: Leapfrog steps of all chains after warm-up.
        warmed: Leapfrog steps of all chains in warm-up; NumPyro reports them only for a run that is
            a warm-up alone.
        divergences: Divergences after warm-up.
    """

    seconds: float
    compiling: float
    values: dict[str, np.ndarray]
    sampled: int
    warmed: int
    divergences: int


# Takes a seed and a number of draws; 1 draw means a warm-up alone.
Sampler = Callable[[int, int], Draws]


def ours(case: Case, **options: Any) -> Sampler:
    """Return our sampler with its defaults."""
    import infer

    data = case.data()
    kept: list[Any] = []

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                kept.append(infer.from_numpyro(case.numpyro, **data))
            found = infer.sample(
                kept[0], draws=draws, chains=CHAINS, key=seed, progress=False, **options
            )
        return _draws(case, clock, found, found.attrs["warmup_gradients"])

    return run


def numpyro_vectorized(case: Case) -> Sampler:
    """Return NumPyro's NUTS with batched chains."""
    return _numpyro(case, "vectorized")


def numpyro_parallel(case: Case) -> Sampler:
    """Return NumPyro's NUTS with its chains on as many devices as there are cores."""
    return _numpyro(case, "parallel")


def _numpyro(case: Case, method: str) -> Sampler:
    import jax
    from numpyro.infer import MCMC, NUTS

    data = case.data()
    fields = ("num_steps", "diverging")
    kept: dict[int, MCMC] = {}

    def made(draws: int) -> MCMC:
        return MCMC(
            NUTS(case.numpyro), num_warmup=1000, num_samples=draws, num_chains=CHAINS,
            chain_method=method, progress_bar=False,
        )  # fmt: skip

    def run(seed: int, draws: int) -> Draws:
        alone = draws == 1
        with Clock() as clock:
            mcmc = kept.setdefault(draws, made(draws))
            call: Any = functools.partial(mcmc.warmup, collect_warmup=True) if alone else mcmc.run
            call(jax.random.key(seed), **data, extra_fields=fields)
            values = jax.block_until_ready(mcmc.get_samples(group_by_chain=True))
        stats = {k: np.asarray(v) for k, v in mcmc.get_extra_fields().items()}
        steps = int(stats["num_steps"].sum())
        return Draws(
            *clock.found,
            {name: np.asarray(values[name]) for name in case.sites},
            0 if alone else steps,
            steps if alone else 0,
            int(stats["diverging"].sum()),
        )

    return run


def blackjax(case: Case) -> Sampler:
    """Return BlackJAX's NUTS with its window adaptation and chains batched by vmap."""
    import blackjax
    import jax
    from numpyro.infer.util import initialize_model

    data = case.data()
    kept: list[Any] = []

    def chain(key, draws: int):
        model = kept[0]
        start = model.param_info.z

        def log_density(position):
            return -model.potential_fn(position)

        keys = jax.random.split(key, 3)
        names = dict(zip(start, jax.random.split(keys[0], len(start)), strict=True))
        position = jax.tree.map(
            lambda k, a: jax.random.uniform(k, a.shape, a.dtype, -2, 2), names, start
        )
        adaptation: Any = blackjax.window_adaptation(blackjax.nuts, log_density)
        (state, settings), warmed = adaptation.run(keys[1], position, 1000)
        step = blackjax.nuts(log_density, **settings).step

        def one(state: Any, key: Any):
            moved: Any = step(key, state)
            state, info = moved
            return state, (state.position, info.num_integration_steps, info.is_divergent)

        _, found = jax.lax.scan(one, state, jax.random.split(keys[2], draws))
        return *found, warmed.info.num_integration_steps

    programs: dict[int, Any] = {}

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                key = jax.random.key(0)
                kept.append(initialize_model(key, case.numpyro, model_kwargs=data))
            if draws not in programs:
                programs[draws] = jax.jit(jax.vmap(lambda key: chain(key, draws)))
            keys = jax.random.split(jax.random.key(seed), CHAINS)
            values, steps, diverging, warmed = jax.block_until_ready(programs[draws](keys))
        arrays = {name: np.asarray(values[name]) for name in case.sites}
        counts = (int(count.sum()) for count in (steps, warmed, diverging))
        return Draws(*clock.found, arrays, *counts)

    return run


def nutpie(case: Case) -> Sampler:
    """Return nutpie on a PyMC model compiled by numba."""
    import nutpie
    import pymc as pm

    data = case.data()
    kept: list[Any] = []

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                with pm.Model() as model:
                    case.pymc(**data)
                kept.append(nutpie.compile_pymc_model(model, backend="numba"))
            found = nutpie.sample(
                kept[0], draws=draws, chains=CHAINS, seed=seed, progress_bar=False, cores=2
            )
        return _draws(case, clock, found, found["warmup_sample_stats"]["n_steps"].sum())

    return run


def _draws(case: Case, clock: Clock, data: Any, warmed: Any) -> Draws:
    """Read ArviZ data."""
    values = {name: np.asarray(data["posterior"][name]) for name in case.sites}
    steps, diverging = (int(data["sample_stats"][n].sum()) for n in ("n_steps", "diverging"))
    return Draws(*clock.found, values, steps, int(warmed), diverging)


SAMPLERS: dict[str, Callable[[Case], Sampler]] = {
    "ours": ours,
    "ours, float32": ours,
    "NumPyro vectorized": numpyro_vectorized,
    "NumPyro parallel": numpyro_parallel,
    "BlackJAX": blackjax,
    "nutpie": nutpie,
}
PACKAGES = {"BlackJAX": "blackjax", "nutpie": "nutpie"}


def measure(sampler: str, name: str, seed: int, draws: int) -> dict[str, float]:
    """Measure one sampler on one case in this process: once cold, then warm."""
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
