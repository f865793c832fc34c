"""Call each method of approximation in the same way: draws of one case, with more and more steps.

A method is called with a case and a seed, and yields `Fitted` after `Fitted`. Ours stop by
themselves and yield once. Stochastic ascents of peers have no stop rule, so they are run with 1000,
2000, 4000, ... steps, each run from the start, and the first that reaches the errors counts: a user
would have to guess that number. `counts=` replaces these numbers of steps.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..peers.suite import Case

DRAWS = 8000
STEPS = tuple(1000 * 2**k for k in range(7))
# PyMC's steps have one draw.
PYMC_STEPS = tuple(10 * count for count in STEPS)


class Fitted(NamedTuple):
    """The draws of one approximation, and what they cost.

    Attributes:
        seconds: Processor time from a written model to the draws, compiling included.
        steps: Steps of the ascent; 0 if the method stops by itself.
        values: Draws of each site, shape (draws, ...).
    """

    seconds: float
    steps: int
    values: Mapping[str, np.ndarray]


Method = Callable[..., Iterator[Fitted]]


def measure_cpu() -> float:
    """Return the seconds of processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def fit_ours(make: Callable[[], Any], resample: str | None, case: Case, seed: int):
    """Yield our approximation."""
    import infer

    began = measure_cpu()
    model = infer.from_numpyro(case.numpyro, **case.data())
    fit = infer.fit(model, make(), key=seed, progress=False)
    draws: Any = fit.sample(DRAWS, key=seed, resample=resample or None)
    values = {name: np.asarray(draws["posterior"][name][0]) for name in case.sites}
    yield Fitted(measure_cpu() - began, 0, values)


def fit_guide(name: str, case: Case, seed: int, counts: Sequence[int] = STEPS):
    """Yield a guide of NumPyro with more and more steps of Adam."""
    import jax
    from numpyro.infer import SVI, Trace_ELBO, autoguide
    from numpyro.optim import Adam

    is_mode = name == "AutoLaplaceApproximation"
    for steps in counts:
        began = measure_cpu()
        guide = getattr(autoguide, name)(case.numpyro)
        particles = 1 if is_mode else 16
        svi = SVI(case.numpyro, guide, Adam(0.01), Trace_ELBO(num_particles=particles))
        data = case.data()
        found = svi.run(jax.random.key(seed), steps, progress_bar=False, **data)
        key = jax.random.key(seed + 1)
        draws = guide.sample_posterior(key, found.params, sample_shape=(DRAWS,))
        values = {site: np.asarray(draws[site]) for site in case.sites}
        yield Fitted(measure_cpu() - began, steps, values)


def fit_blackjax_pathfinder(case: Case, seed: int):
    """Yield BlackJAX's multi-path Pathfinder, resampled, on NumPyro's density."""
    import jax
    from blackjax.vi import multipathfinder
    from numpyro.infer.util import initialize_model

    began = measure_cpu()
    data = case.data()
    keys = jax.random.split(jax.random.key(seed), 8)
    one = initialize_model(keys[0], case.numpyro, model_kwargs=data)
    starts = initialize_model(keys, case.numpyro, model_kwargs=data).param_info.z

    def log_density(z: Any) -> Any:
        return -one.potential_fn(z)

    search = jax.jit(partial(multipathfinder.multi_approximate, logdensity_fn=log_density))
    state, _ = search(keys[1], initial_positions=starts)
    weights = jax.nn.softmax(multipathfinder.psis_weights(state)[0])
    count = len(weights)
    chosen = jax.random.choice(keys[2], count, (DRAWS,), p=weights)
    flat = jax.tree.map(lambda x: x.reshape(count, *x.shape[2:])[chosen], state.samples)
    values = jax.jit(jax.vmap(one.postprocess_fn))(flat)
    found = {site: np.asarray(values[site]) for site in case.sites}
    yield Fitted(measure_cpu() - began, 0, found)


def fit_pymc_advi(method: str, case: Case, seed: int, counts: Sequence[int] = PYMC_STEPS):
    """Yield PyMC's ADVI with more and more steps of its default optimizer."""
    import pymc as pm

    for steps in counts:
        began = measure_cpu()
        with build_pymc(case):
            found = pm.fit(steps, method=method, random_seed=seed, progressbar=False)
            draws: Any = found.sample(DRAWS, random_seed=seed)
        yield Fitted(measure_cpu() - began, steps, read_pymc(case, draws))


def fit_pymc_extras(method: str, options: Mapping[str, Any], case: Case, seed: int):
    """Yield an approximation of pymc-extras, which stops by itself."""
    import pymc_extras

    began = measure_cpu()
    with build_pymc(case) as model:
        draws = pymc_extras.fit(
            method=method, model=model, random_seed=seed, progressbar=False, **options
        )
    yield Fitted(measure_cpu() - began, 0, read_pymc(case, draws))


def build_pymc(case: Case) -> Any:
    """Return the case as a PyMC model."""
    import pymc as pm

    with pm.Model() as model:
        case.pymc(**case.data())
    return model


def read_pymc(case: Case, draws: Any) -> dict[str, np.ndarray]:
    """Return the draws of each site in ArviZ data of one or more chains."""
    posterior = draws["posterior"]
    found = {name: np.asarray(posterior[name]) for name in case.sites}
    return {name: x.reshape(-1, *x.shape[2:]) for name, x in found.items()}


def make_default() -> None:
    """Return no engine, so that `infer.fit` chooses."""


def make_engine(name: str, *settings: Any) -> Any:
    """Return one of our engines."""
    import infer

    return getattr(infer, name)(*settings)


METHODS: dict[str, Method] = {
    "ours, default": partial(fit_ours, make_default, None),
    "ours, default and PSIS": partial(fit_ours, make_default, "psis"),
    "NumPyro AutoNormal": partial(fit_guide, "AutoNormal"),
    "NumPyro AutoMultivariateNormal": partial(fit_guide, "AutoMultivariateNormal"),
    "NumPyro AutoLowRankMultivariateNormal": partial(fit_guide, "AutoLowRankMultivariateNormal"),
    "NumPyro AutoLaplaceApproximation": partial(fit_guide, "AutoLaplaceApproximation"),
    "NumPyro AutoBNAFNormal": partial(fit_guide, "AutoBNAFNormal"),
    "BlackJAX multi-path Pathfinder": fit_blackjax_pathfinder,
    "PyMC ADVI": partial(fit_pymc_advi, "advi"),
    "PyMC full-rank ADVI": partial(fit_pymc_advi, "fullrank_advi"),
    "PyMC Pathfinder": partial(fit_pymc_extras, "pathfinder", {"num_draws": DRAWS}),
    "PyMC DADVI": partial(fit_pymc_extras, "dadvi", {"n_draws": DRAWS}),
    "PyMC Laplace": partial(fit_pymc_extras, "laplace", {}),
}
OURS = tuple(name for name in METHODS if name.startswith("ours"))
