"""Our sampler, and that of NumPyro, which has no ChEES."""

import functools
from typing import Any

import numpy as np

from .clock import Clock
from .draws import CHAINS, Draws, Sampler, read_arviz
from .suite import Case


def ours(case: Case, **options: Any) -> Sampler:
    """Return our sampler with its defaults."""
    import infer

    data = case.data()
    kept: list[Any] = []

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                own = case.declare
                kept.append(own() if own else infer.from_numpyro(case.numpyro, **data))
            found = infer.sample(
                kept[0], draws=draws, chains=CHAINS, key=seed, progress=False, **options
            )
        return read_arviz(case, clock, found, found.attrs["warmup_gradients"])

    return run


def numpyro_vectorized(case: Case) -> Sampler:
    """Return NumPyro's NUTS with batched chains."""
    return numpyro(case, "vectorized")


def numpyro_parallel(case: Case) -> Sampler:
    """Return NumPyro's NUTS with its chains on as many devices as there are cores."""
    return numpyro(case, "parallel")


def numpyro(case: Case, method: str) -> Sampler:
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
