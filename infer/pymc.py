"""`infer.pymc.sample`: draws of a model of PyMC, called and returned as by `pymc.sample`."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import jax
import numpy as np

from .calls import suggest_argument
from .engines.nuts import NUTS
from .errors import CallError, SamplingWarning
from .models.fronts.pymc.library import library
from .models.fronts.pymc.model import from_pymc, read_context
from .models.inputs.names import join_names
from .output.data.origin import pass_run_on
from .output.data.versions import as_arviz, groups_of, read_group
from .output.predictive.recover import recover
from .output.sample import sample as sample_model

# Arguments of `pymc.sample` that concern its own machinery.
IGNORED = frozenset(
    ("backend", "blas_cores", "compile_kwargs", "init", "jitter_max_retries", "keep_warning_stat")
    + ("mp_ctx", "n_init", "progressbar_theme", "quiet")
)


def sample(
    draws: int = 1000, *,
    tune: int | None = None, chains: int | None = None, cores: int | None = None,
    random_seed: Any = None, progressbar: bool = True, target_accept: float = 0.8,
    var_names: Sequence[str] | None = None, initvals: Any = None,
    compute_convergence_checks: bool = True, idata_kwargs: Mapping[str, Any] | None = None,
    model: Any = None, **ignored: Any,
) -> Any:  # fmt: skip
    """Draw from the posterior of a model of PyMC, as `pymc.sample` does.

    Returns what `pymc.sample` returns with the installed ArviZ: an `InferenceData` or a `DataTree`
    with the groups `posterior`, `sample_stats`, `observed_data` and `constant_data`, and its
    dims and coords. As PyMC's JAX samplers do, it computes in double precision if PyTensor's
    `floatX` is "float64".

    Args:
        draws: Number of draws per chain.
        tune: Warm-up draws per chain; by default the sampler decides.
        chains: Number of chains; by default 4.
        cores: Number of threads.
        random_seed: An integer, a sequence of integers or a generator of NumPy.
        progressbar: Whether to show a progress bar.
        target_accept: Mean acceptance rate that the step size aims at.
        var_names: Variables to keep.
        initvals: Values to start from by name, or a list with such a dictionary for each chain.
        compute_convergence_checks: Whether to warn of what is wrong with the draws.
        idata_kwargs: `{"log_likelihood": True}` adds the log likelihood of each observation.
        model: A `pymc.Model`; by default that of the context.
        ignored: Further arguments of `pymc.sample` that concern its own machinery alone, such as
            `init`; they have no effect.

    Raises:
        CallError: An argument has no meaning here, such as `step`.
        ModelError: See `infer.from_pymc`.
    """
    _refuse_others(ignored, idata_kwargs or {})
    own = read_context(model)
    wants_rows = bool((idata_kwargs or {}).get("log_likelihood"))
    with _precision(), warnings.catch_warnings():
        if not compute_convergence_checks:
            warnings.simplefilter("ignore", SamplingWarning)
        read, key = from_pymc(own), _key_of(random_seed)
        result = sample_model(
            read,
            NUTS(target_acceptance=target_accept),
            draws=draws,
            warmup=tune,
            chains=4 if chains is None else chains,
            threads=cores,
            key=key,
            progress=bool(progressbar),
            starts=_starts(own, initvals),
            include="log_likelihood" if wants_rows else (),
        )
        if own.discrete_value_vars:
            result = recover(read, result, key=key)
    return result if var_names is None else _keep(result, var_names)


def _keep(result: Any, names: Sequence[str]) -> Any:
    """Keep some variables of the posterior."""
    posterior = read_group(result, "posterior")
    if unknown := set(names) - set(posterior.data_vars):
        raise CallError(
            "infer.pymc.sample",
            f"var_names name {min(unknown)!r}, which the posterior does not have",
            f"It has {join_names(map(str, posterior.data_vars))}.",
        )
    groups = groups_of(result) | {"posterior": posterior[list(names)]}
    made = as_arviz(groups, result.attrs)
    pass_run_on(result, made)
    return made


def _refuse_others(given: Mapping[str, Any], of_result: Mapping[str, Any]) -> None:
    theirs = signature(library().pymc.sample).parameters
    for name in sorted(given.keys() - IGNORED):
        if name not in theirs:
            mend = suggest_argument(name, [own for own in theirs if own != "kwargs"])
            raise CallError("infer.pymc.sample", f"it takes no argument {name!r}", mend)
        raise CallError(
            "infer.pymc.sample",
            f"{name}= has no meaning here",
            "Leave it out; infer.sample(infer.from_pymc(model), engine) has all engines.",
        )
    for name in sorted(of_result.keys() - {"log_likelihood"}):
        raise CallError(
            "infer.pymc.sample",
            f"idata_kwargs has {name!r}",
            "Only log_likelihood is known; assign other groups to the result.",
        )


@contextmanager
def _precision() -> Iterator[None]:
    """Compute in double precision if PyTensor does."""
    before = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    wanted = library().pytensor.config.floatX == "float64"
    jax.config.update("jax_enable_x64", wanted)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def _key_of(seed: Any) -> int:
    """Return a whole number of 31 bits for any seed that PyMC takes."""
    if hasattr(seed, "bit_generator"):
        return int(seed.integers(2**31))
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(2**31 - 1))
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)


def _starts(model: Any, given: Any) -> Any:
    """Complete initial values by those of the model."""
    if given is None:
        return None
    make = library().pymc.initial_point.make_initial_point_fn
    summed = {random.name for random in model.free_RVs if random.dtype.startswith(("int", "bool"))}
    drawn = make(model=model, return_transformed=False)(0)
    # Discrete variables are summed out, so that no chain has a value of them.
    known = {name: value for name, value in drawn.items() if name not in summed}
    complete = lambda own: known | {n: v for n, v in (own or {}).items() if n not in summed}  # noqa: E731
    return complete(given) if isinstance(given, Mapping) else [complete(one) for one in given]
