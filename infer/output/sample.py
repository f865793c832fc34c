"""`sample`: from a model to draws of its posterior."""

import os
from collections.abc import Sequence
from typing import Any

from jaxtyping import Array

from ..calls import check_arguments
from ..density.chain_starts import Starts
from ..engines.base import Engine, Tuning
from ..models.model import Model
from ..programs.ahead import loading_ahead
from ..run.ladder import Ladder
from ..run.placing import Devices
from ..run.start import start
from ..run.tempered import Tempered
from .advance.goal import pursue_or_keep
from .advance.interrupt import keep_run
from .data.members import prepare_each
from .data.provenance import prepare_origin
from .data.versions import load_container
from .fitted.warm_start import plan_warm_start
from .judge.necks import prepare_necks
from .judge.until import Until
from .kinds import refuse_unless_sampler
from .predictive.requested import keep_requested, read_request
from .result import make_result
from .stored.options import Options
from .until_goal import choose_goal


@check_arguments("infer.sample")
@loading_ahead
def sample(
    model: Model | Sequence[Model],
    engine: Engine | Tempered | Ladder | None = None,
    *,
    chains: int = 4,
    draws: int | None = None,
    until: Until | None = None,
    warmup: int | None = None,
    starts: Starts | None = None,
    tuning: Tuning | str | os.PathLike | None = None,
    key: int | Array | Sequence[Any] = 0,
    group: int | None = None,
    threads: int | None = None,
    devices: Devices | None = None,
    progress: bool | None = None,
    include: str | Sequence[str] = (),
    store: Any = None,
    keep: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    thin: int = 1,
    commit_seconds: float | None = None,
    client: Any = None,
) -> Any:
    """Draw from the posterior of a model, or of each of many in one call.

    Several models must differ only in the numbers in their arrays, like one model on many data
    sets, `[model.with_data(y=y) for y in data]`, or one frozen at many values. A model made under
    `vmap`, whose arrays all have one more leading axis, counts as several. Each model has its own
    chains, starts, step size and metric; one program serves them all.

    Args:
        model: What a front end returned, or several of them.
        engine: A sampler, `Tempered` or `Ladder`; by default one is chosen, see `choose`, and the
            attribute `engine_choice` of the result gives the reason.
        chains: Number of chains of each model.
        draws: Number of draws per chain, the same for every chain; by default 1000.
        until: A target to reach and a budget, in place of `draws`. All chains then go on, equally
            long, until every number has the R-hat and the bulk and tail ESS that are asked for, or
            the budget ends. The attribute `until` of the result says what was reached.
        warmup: Warm-up draws per chain; by default the engine decides by the number of chains. HMC
            and NUTS stop early once the chains agree and the metric whitens their draws, and make
            at most twice as many if the chains need very different step sizes, or one was moved.
        starts: "uniform" (on (-2, 2) of the unconstrained space), "prior", "mean" or "median" (of
            each prior, given the sites before it), "initial" (the values that the model was made
            with, such as those of a tree, or "uniform" if the log density is not finite there);
            `Jitter(around, radius)`; constrained values by name, each of a site's shape or with a
            leading axis of chains (sites not named are "uniform"); a result that has values, such
            as an `Optimum`; a list with one of these for each chain; or an `Approximation`, whose
            draws and metric make warm-up short. For several models, a list has an item for each
            model. By default "uniform", unless the engine starts at the prior.
        tuning: The tuning of an earlier run (`Run.tuning`), or the path of one; see `save_tuning`.
            That of one data set serves several.
        key: A seed or a JAX key; or a list, a range or an array with one for each model. Each draw
            depends only on the key, the chain and its index.
        group: Chains per program; by default 1 on a CPU, all on an accelerator.
        threads: Programs called at the same time on a CPU; does not change the draws.
        devices: Devices over which chains are spread, of all processes or of this one; by default
            local ones of one kind, on a CPU at most as many as cores. Or a `jax.sharding.Mesh` with
            axes "chains" and "rows", if rows are divided. Changes no draw for equal `group`.
        progress: Whether to show progress; by default in a terminal or a notebook.
        include: More groups of the result: "log_likelihood" and "log_prior", as by the functions
            of these names; "unconstrained_posterior", the positions of the sampler by site; and
            "warmup", the draws and statistics of all windows of warm-up. A store holds them too.
        store: Path or URL of a new Zarr store, to which draws and state are committed while they
            are made; see `resume` and `open`. The result is read from it when it is used.
        keep: Names of the latent and derived sites to store; by default all.
        drop: Names of sites not to store.
        thin: Every `thin`-th draw of a chain is stored.
        commit_seconds: Seconds between commits, about 5 by default.
        client: A `dask.distributed.Client`, whose workers sample several models into `store`.

    Returns:
        ArviZ data; see `to_arviz`. For several models, all variables, statistics and data have
        the dimension `dataset`, so that ArviZ computes its diagnostics for each. After an
        interrupt, the draws made so far. `explain_divergences`, `why_slow` and `verdict` accept
        it; for them its run is kept while this object exists, up to 256 MB of draws in memory.

    Warns:
        ModelWarning: Data or coordinates are not used, or a gradient is wrong.
        SamplingWarning: A problem with the draws, as found by `verdict`, and what to do; or
            chains that warm-up relocated. There is one warning for each finding, and the attribute
            `verdict` keeps them all. To silence them:
            `warnings.filterwarnings("ignore", category=infer.SamplingWarning)`.

    Raises:
        ModelError, EngineError, RunError: As `start` does, before compiling.
        ModelError: The model's log density differs each time its Python code runs.
        StartError: No finite starting point was found; XLA may be compiling the loop by then.
        RunError: The draws could not be converted to a result; its `run` keeps them.
        Interrupted: A `KeyboardInterrupt` before every chain had a draw, or while the result was
            made. It keeps the run, and its `resume()` goes on with the call.
    """
    if isinstance(engine, Tempered):
        from .tempered import sample_tempered

        return sample_tempered(engine, locals())
    if isinstance(engine, Ladder):
        from .ladder import sample_ladder

        return sample_ladder(engine, locals())
    goal = choose_goal(draws, until, chains)
    refuse_unless_sampler(engine)
    include = read_request(include, model)
    if isinstance(tuning, str | os.PathLike):
        from ..store.tuning import read_tuning

        tuning = read_tuning(tuning, model, engine, chains)
    storing = Options(store, keep, drop, thin, commit_seconds).check(model, goal, include)
    others = {"starts": starts, "tuning": tuning, "group": group, "devices": devices}
    if storing or client is not None:
        from .stored.shards import are_sharded, sample_shards

        if are_sharded(storing, model, goal, client, others):
            how = {"chains": chains, "warmup": warmup, "starts": starts}
            return sample_shards(storing, model, engine, key, threads, progress, client, **how)
    begun = plan_warm_start(model, engine, starts, tuning, chains, warmup, key)
    run = start(
        model, begun.engine, chains=chains, warmup=warmup, starts=begun.starts, tuning=begun.tuning,
        key=key, group=group, threads=threads, devices=devices, progress=progress,
    )  # fmt: skip
    begun.apply(run)
    keep_requested(run, include)
    # While XLA is still compiling the loop.
    prepare_each(run.family)
    prepare_necks(run.density)
    prepare_origin(run)
    load_container()
    if storing:
        from .stored.run import finish_sample

        recorder = storing.begin(run, "sample")
        return keep_run("infer.sample", run, lambda: finish_sample(run, recorder))
    finish = lambda: make_result(pursue_or_keep(run, goal), goal, include)  # noqa: E731
    return keep_run("infer.sample", run, finish)
