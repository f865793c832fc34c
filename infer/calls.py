"""Calls whose arguments do not fit: name the argument that was probably meant."""

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from inspect import Parameter, Signature, signature
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from .errors import CallError

P = ParamSpec("P")
R = TypeVar("R")

# Minimum similarity, from 0 to 1, of a misspelled word and the one that was meant.
ALIKE = 0.7

# Our arguments, with the words for them in NumPyro, PyMC, BlackJAX, Stan and TFP.
THEIRS = {
    "draws": "num_samples n_samples nsamples samples num_draws n_draws ndraws num_results niter "
    "n_iter iter iterations iter_sampling num_steps posterior_samples",
    "warmup": "num_warmup n_warmup nwarmup iter_warmup tune n_tune num_tune burn_in burnin "
    "num_burnin_steps num_burn_in num_adaptation_steps warm_up adapt_steps",
    "chains": "num_chains n_chains nchains nchain",
    "threads": "cores n_jobs num_workers n_threads num_threads parallel_chains threads_per_chain",
    "devices": "device mesh sharding",
    "key": "seed random_seed rng_key rng_seed rng random_state prng_key generator",
    "seed": "key random_seed rng_key rng_seed rng random_state prng_key",
    "progress": "progressbar progress_bar show_progress show_progress_bar verbose quiet",
    "starts": "init inits initvals initial_values init_values init_params init_strategy initial "
    "initial_position initial_positions initial_state current_state x0 start params position",
    "at": "values params position point init initvals",
    "engine": "sampler kernel step algorithm method nuts_sampler inference optimizer guide",
    "tuning": "adaptation last_tuning parameters",
    "target_acceptance": "target_accept target_accept_prob target_acceptance_rate "
    "target_accept_rate adapt_delta",
    "max_depth": "max_tree_depth max_treedepth max_num_doublings max_num_expansions",
    "step_size": "stepsize init_step_size initial_step_size epsilon step_scale",
    "trajectory_length": "path_length int_time num_integration_steps num_leapfrog_steps "
    "n_leapfrog num_steps L length",
    "max_steps": "maxiter max_iter max_iterations maxeval num_steps n_steps steps max_num_steps",
    "rank": "metric mass_matrix inverse_mass_matrix scaling",
    "family": "approximation guide posterior",
    "learning_rate": "lr step_size stepsize eta",
    "batch": "num_particles n_particles num_mc_samples obj_n_mc sample_size batch_size num_samples",
    "tolerance": "tol gtol rtol convergence_tol tol_rel_obj",
    "until": "stop_when stopping target_ess min_ess max_rhat max_time timeout",
    "epochs": "num_steps n_steps steps n n_iter iter iterations maxiter num_iterations "
    "num_samples draws warmup",
    "simulations": "num_simulations n_simulations nsims num_datasets datasets",
    "value": "obs observed observation given",
    "data": "y obs observed observation observations",
    "shape": "sample_shape size batch_shape n plate plates expand",
    "dims": "dim axes axis names",
    "centered": "centred noncentered non_centered noncentred non_centred reparam reparametrize",
    "bijector": "transform transformation bijection map",
    "constraint": "support set bounds",
    "prior": "distribution dist fn",
    "minibatch": "subsample_size subsample total_size batch_size",
    "coords": "labels coordinates",
    "store": "path filename backend storage zarr",
    "keep": "var_names",
    "thin": "thinning",
}
MEANT: dict[str, list[str]] = {}
for _ours, _theirs in THEIRS.items():
    for _word in _theirs.split():
        MEANT.setdefault(_word, []).append(_ours)

# Where our arguments belong, for calls that do not take them.
_ENGINE = "It is a setting of the engine, as in infer.sample(model, infer.NUTS({}=...))."
_CALL = "infer.sample has it, as in infer.sample(model, {}=...)."
HOMES = {
    **dict.fromkeys(("target_acceptance", "max_depth", "step_size", "rank"), _ENGINE),
    **dict.fromkeys(
        ("draws", "warmup", "chains", "threads", "devices", "progress", "starts", "key"), _CALL
    ),
    "trajectory_length": "HMC has it, as in infer.sample(model, infer.HMC({}=...)).",
    "learning_rate": "ADVI has it, as in infer.fit(model, infer.ADVI({}=...)).",
    "max_steps": 'MAP has it, as in infer.maximize(model, infer.MAP("constrained", {}=...)).',
    "data": "The data belong to the model: infer.model(f, y=y), or model.with_data(y=y).",
    "coords": "It is an argument of the model, as in infer.model(f, {}=...).",
    "value": "Declare what was observed by site.observe(name, prior, value).",
}

# Advice for words that have no corresponding argument.
_BACKGROUND = "Give a run of infer.start(model, ...) to infer.sample_in_background(run, draws)."
WORDS = {
    "background": _BACKGROUND,
    "blocking": _BACKGROUND,
    "dense_mass": "The metric learns correlations by itself; rank=0 keeps it diagonal.",
    "dense_e": "The metric learns correlations by itself; rank=0 keeps it diagonal.",
    "obs_mask": "Give missing=, which is True where an entry is missing: missing=~obs_mask.",
    "mask": "Give missing=, which is True where an entry is missing.",
    "thin": "Thin the result: data.sel(draw=slice(None, None, 10)).",
    "chain_method": "Leave it out: chains run in parallel; threads= and group= set how.",
    "initval": 'Give starting values to the call: infer.sample(model, starts={"name": value}).',
    "return_inferencedata": "Leave it out: the result is ArviZ data.",
    "idata_kwargs": "Leave it out: coords and dims are declared in the model.",
}


def check_arguments(where: str, **advice: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Explain arguments that do not fit a function, without changing its signature.

    Args:
        where: How users write the function, such as "infer.sample".
        advice: What to do if a required argument is missing, by its name.

    Returns:
        A decorator. The decorated function raises `CallError` instead of a bare `TypeError` about
        its arguments.
    """

    def decorator(call: Callable[P, R]) -> Callable[P, R]:
        @wraps(call)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return call(*args, **kwargs)
            except TypeError:
                # Only calls that failed are examined, so calls that fit cost nothing.
                refuse_misfit(where, signature(call), args, kwargs, advice)
                raise

        return checked

    return decorator


def refuse_misfit(
    where: str, wanted: Signature, args: Sequence[Any], named: Mapping[str, Any],
    advice: Mapping[str, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Raise if a signature does not accept the arguments; see `check_arguments` for `advice`.

    Raises:
        CallError: The message names the argument at fault, and the one that was probably meant.
    """
    if said := explain_misfit(wanted, args, named):
        found, mend = said
        raise CallError(
            where, found, advice.get(_find_missing(wanted, args, named), mend)
        ) from None


def _find_missing(wanted: Signature, args: Sequence[Any], named: Mapping[str, Any]) -> str:
    """Return the first required argument that is missing; none if others do not fit."""
    try:
        given = wanted.bind_partial(*args, **named).arguments
    except TypeError:
        return ""
    anyhow = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    needed = (p for p in wanted.parameters.values() if p.default is p.empty)
    return next((p.name for p in needed if p.kind not in anyhow and p.name not in given), "")


def explain_misfit(
    wanted: Signature, args: Sequence[Any], named: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Say why a signature does not accept the arguments, and how to mend it; None if it does."""
    try:
        wanted.bind(*args, **named)
    except TypeError as error:
        every = wanted.parameters.values()
        known = [p.name for p in every if p.kind in _BY_NAME and p.name != "self"]
        takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in every)
        unknown = [] if takes_any else [name for name in named if name not in known]
        if unknown:
            return f"it takes no argument {unknown[0]!r}", suggest_argument(unknown[0], known)
        takes = f"It takes {', '.join(known)}." if known else "It takes none."
        takes = f"It takes {', '.join(known)}, and any other name." if takes_any else takes
        if "too many positional" in str(error):
            return "too many arguments are given by position", f"Give them by name. {takes}"
        return str(error), takes
    return None


_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def suggest_argument(word: str, known: Collection[str]) -> str:
    """Suggest which of the known arguments a word means, or where it belongs instead."""
    meant = MEANT.get(word, [])
    if word in WORDS:
        return WORDS[word]
    for ours in meant:
        if ours in known:
            return f"Give {ours}= instead."
    for ours in (word, *meant):
        if ours in HOMES:
            return HOMES[ours].format(ours)
    if close := get_close_matches(word, known, 1, ALIKE):
        return f"Did you mean {close[0]}=?"
    return f"It takes {', '.join(known)}." if known else "It takes none."
