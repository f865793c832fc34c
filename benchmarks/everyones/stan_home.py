"""Programs after those of posteriordb, and Stan's NUTS in stanli."""

import json
from functools import partial

import numpy as np
import stanli

import infer
from tests.infer.models.stan.posteriordb import PROGRAMS, Program

from .home import CHAINS, Case, Home, Sampled

UNCONSTRAINED = "unconstrained__"


def read(program: Program) -> Home:
    """Read a program; the flat vector is Stan's on both sides."""
    own = stanli.Model(stan_code=program.code, data=program.data)
    return Home(
        infer.from_stan(program.code, program.data),
        own.n_unconstrained,
        lambda position: {UNCONSTRAINED: position},
        own.log_prob_grad,
        partial(_sample, program, own),
        is_same_space=True,
    )


def _sample(program: Program, own: stanli.Model, seed: int, draws: int) -> Sampled:
    fit = own.sample(chains=CHAINS, seed=seed, warmup=draws, samples=draws, refresh=0)
    own_data = json.dumps({n: np.asarray(v).tolist() for n, v in program.data.items()})
    maps = stanli.bridgestan_model(stan_code=program.code, data=own_data)
    constrained = fit.draws()[..., : maps.param_num()]
    flat = np.apply_along_axis(
        lambda row: maps.param_unconstrain(np.ascontiguousarray(row)), -1, constrained
    )
    return Sampled({UNCONSTRAINED: flat}, int(np.sum(fit.divergences)))


CASES = [
    Case("Stan", name, f"posteriordb: {program.posterior}", partial(read, program))
    for name, program in PROGRAMS.items()
]
