"""Samplers in compiled languages: of PyMC, nutpie, stanli, walnutpie and owalnuts."""

from typing import Any

import numpy as np

from .clock import Clock
from .draws import CHAINS, Draws, Sampler, read_arviz
from .suite import Case


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
        return read_arviz(case, clock, found, found["warmup_sample_stats"]["n_steps"].sum())

    return run


def pymc(case: Case) -> Sampler:
    """Return PyMC's own sampler, which compiles the model again in each run."""
    import pymc as pm

    data = case.data()
    kept: list[Any] = []

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                with pm.Model() as model:
                    case.pymc(**data)
                kept.append(model)
            with kept[0]:
                found = pm.sample(
                    draws, chains=CHAINS, cores=2, random_seed=seed, progressbar=False,
                    discard_tuned_samples=False, compute_convergence_checks=False,
                )  # fmt: skip
        warmed = found["warmup_sample_stats"]["n_steps"].sum()
        return read_arviz(case, clock, found, warmed)

    return run


def stanli(case: Case) -> Sampler:
    """Return Stan's NUTS in stanli, which interprets the program."""
    import stanli

    kept: list[Any] = []
    assert case.stan is not None
    code, made = case.stan

    def run(seed: int, draws: int) -> Draws:
        alone = draws == 1
        with Clock() as clock:
            if not kept:
                data = made if isinstance(made, str) else dict(made())
                kept.append(stanli.Model(stan_code=code, data=data))
            found = kept[0].sample(
                chains=CHAINS, seed=seed + 1, samples=draws, refresh=0, save_warmup=alone
            )
        steps = found.sampler_stats[..., stanli.SAMPLER_COLUMNS.index("n_leapfrog__")]
        warmed = int(steps[:, :-1].sum()) if alone else 0
        values = {name: found.draws(name) for name in case.sites}
        sampled = 0 if alone else int(steps.sum())
        return Draws(*clock.found, values, sampled, warmed, int(np.sum(found.divergences)))

    return run


def walnutpie(case: Case) -> Sampler:
    """Return walnutpie on stanli's form of a Stan program; it ends once its chains agree.

    It reports no gradients.
    """
    import stanli
    import walnutpie

    kept: list[Any] = []
    assert case.stan is not None
    code, made = case.stan
    assert not isinstance(made, str)

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                data = {name: np.asarray(x).tolist() for name, x in made().items()}
                kept.append(stanli.bridgestan_model(stan_code=code, data=data))
            few = min(50, draws)
            found = walnutpie.walnuts_stan(
                kept[0], num_chains=CHAINS, seed=seed, min_sampling_iter=few,
                max_sampling_iter=draws,
            )  # fmt: skip
        # Chains need not have the same length.
        length = min(len(chain) for chain in found)
        values = {
            name: np.stack([np.asarray(chain[name])[:length] for chain in found])
            for name in case.sites
        }
        return Draws(*clock.found, values, 0, 0, 0)

    return run


def owalnuts(case: Case) -> Sampler:
    """Return owalnuts on a PyMC model compiled by numba, with a thread for each core."""
    import owalnuts
    import pymc as pm

    data = case.data()
    kept: list[Any] = []

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                with pm.Model() as model:
                    case.pymc(**data)
                kept.append(owalnuts.from_pymc(model, gil_free=True))
            target, size, _, _, unravel = kept[0]
            found = owalnuts.sample(target, size, chains=CHAINS, draws=draws, seed=seed, threads=2)
        flat = [[unravel(row) for row in chain] for chain in found.samples]
        names = list(flat[0][0])
        values = {name: np.array([[row[name] for row in c] for c in flat]) for name in names}
        sampled = found.retained_target_calls
        diverging = int(found.divergent[:, -draws:].sum())
        return Draws(*clock.found, values, sampled, found.target_calls - sampled, diverging)

    return run
