"""Models of PyMC's documentation and of Bambi's examples, and PyMC's NUTS."""

import warnings
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pymc as pm

import infer
from tests.infer.models.pymc import models
from tests.infer.models.pymc.bambi_models import FORMULAS, Formula
from tests.infer.models.pymc.theirs import PLAIN, their_values

from .home import CHAINS, Case, Home, Sampled

PAGES = (
    models.eight_schools, models.radon, models.logistic, models.robust, models.counts,
    models.mixture, models.ordered_logistic, models.covariance, models.gaussian_process,
    models.latent_process, models.volatility, models.censored, models.missing,
    models.dirichlet_multinomial, models.survival,
)  # fmt: skip


def read(make) -> Home:
    """Read a model of PyMC."""
    model = make()
    return _home(model, partial(_sample, model))


def read_formula(formula: Formula) -> Home:
    """Read a model of Bambi, which makes one of PyMC."""
    made = formula.make()
    made.build()
    return _home(made.backend.model, partial(_fit, made, formula))


def _home(model: pm.Model, sample) -> Home:
    shapes = {name: np.shape(value) for name, value in model.initial_point().items()}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    values = their_values(model)
    log_density = model.compile_logp(jacobian=True, mode=PLAIN)
    gradient = model.compile_dlogp(jacobian=True, mode=PLAIN)

    def point(position, numpy: Any):
        parts = numpy.split(position, np.cumsum(sizes)[:-1])
        return {n: p.reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}

    def evaluate(position):
        own = point(position, np)
        return log_density(own), gradient(own)

    return Home(
        infer.from_pymc(model),
        sum(sizes),
        lambda position: values(point(position, jnp)),
        evaluate,
        lambda seed, draws: _named(model, sample(seed, draws)),
    )


def _named(model: pm.Model, found) -> Sampled:
    names = [variable.name for variable in model.free_RVs]
    values = {name: np.asarray(found["posterior"][name]) for name in names}
    return Sampled(values, int(found["sample_stats"]["diverging"].sum()))


def _sample(model: pm.Model, seed: int, draws: int):
    with model, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pm.sample(
            draws, tune=draws, chains=CHAINS, cores=1, random_seed=seed, progressbar=False,
            compute_convergence_checks=False, nuts_sampler="pymc",
        )  # fmt: skip


def _fit(made, formula: Formula, seed: int, draws: int):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = made.fit(
            draws, tune=draws, chains=CHAINS, cores=1, random_seed=seed, progressbar=False,
            compute_convergence_checks=False, inference_method="pymc", omit_offsets=False,
        )  # fmt: skip
    # Bambi samples the intercept of centered predictors, and reports that of the others.
    for name in formula.centered:
        mean = np.mean(formula.table[name].to_numpy())
        found["posterior"]["Intercept"] += mean * found["posterior"][name]
    return found


def _page(make) -> str:
    """Return the title that the docstring of a model puts in quotation marks."""
    return " ".join((make.__doc__ or "").split()).split('"')[1]


CASES = [
    *(Case("PyMC", make.__name__, _page(make), partial(read, make)) for make in PAGES),
    *(
        Case("Bambi", name, formula.page, partial(read_formula, formula))
        for name, formula in FORMULAS.items()
    ),
]
