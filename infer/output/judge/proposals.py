"""Propose how to sample a model again, from what the verdict of a run found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from ...density.family import Family
from ...engines.base import Engine
from ...engines.whitened import Hamiltonian
from ...errors import EngineError, RunError
from ...loaded import is_of_class
from ...models.inputs.names import join_names
from ...models.inputs.precision import on_device
from ...numerics.shared_step import tighten
from ...run.bound import is_gibbs
from ...run.choice import Choice, choose_from, describe_machine, gather_facts
from ...run.run import Run
from ...run.tempered import Tempered
from ...run.tempering import DEFAULT_WARMUP
from ..data.metric import name_engine
from ..data.origin import find_run
from ..data.provenance import fingerprint_model
from ..data.versions import groups_of
from ..finding import Finding
from ..kinds import FITTED
from ..remedy import advise_non_centered
from .dependent_scales import SYMPTOMS
from .round_trips import ASKED, GROUP
from .verdict import verdict

# Kinds of findings that a change of the engine answers, or only one of the model; the others are
# left to their advice.
SEPARATE_MODES = frozenset(("different_modes", "unvisited_mode"))
IN_MODEL = frozenset(("narrow_neck", "unvisited_mirror_image"))
SCALES = frozenset(("dependent_scales",))
SLOW = frozenset(("high_rhat", "low_ess", "low_tail_ess", "unreached_target"))
STUCK = frozenset(("stuck_chains",))
LONG_STEPS = STUCK | {"divergences"}
SHORT_WARMUP = STUCK | {"high_rhat", "trajectories_cut_short", "short_steps", "few_round_trips"}
FEW_DRAWS = SLOW | {"heavy_tails", "few_round_trips"}
# Times as many draws of warm-up, or after it: twice the draws have twice the effective size.
MORE = 2
# Maximum number of sites that are named.
MAX_NAMED = 3


class Plan(NamedTuple):
    """How to sample next.

    Attributes:
        density: The first of the log densities.
        engine: The engine; that of the levels if there is tempering.
        warmup: Draws of warm-up per chain.
        draws: Draws per chain after it.
        tempering: The settings of parallel tempering, if any.
        chains: Number of chains of each density.
        sets: Number of densities.
    """

    density: Any
    engine: Engine
    warmup: int
    draws: int
    tempering: Tempered | None
    chains: int
    sets: int


class Rule(NamedTuple):
    """A change of the plan, for findings of some kinds.

    Attributes:
        kinds: The kinds of findings that call for it.
        change: Takes the plan and those findings; returns the changed plan and what changes, or
            `None` if there is nothing to change.
        explains: Kinds of findings that the same cause may have, so that they call for nothing
            more.
    """

    kinds: frozenset[str]
    change: Callable[[Plan, Sequence[Finding]], tuple[Plan, str] | None]
    explains: frozenset[str] = frozenset()


def propose_from(members: Family, posterior: Any, chains: int | None) -> Choice:
    """Propose how to sample next from the findings of a run.

    Args:
        members: The log densities to sample.
        posterior: The result of a run of them, or the run.
        chains: Number of chains of each; by default that of the run.

    Raises:
        RunError: It is no run, it has no draws, or it is one of another model.
    """
    run = _read_run(posterior)
    _refuse_another_model(members, run)
    findings, sets = verdict(posterior).findings, members.count
    chains = run.chains // sets if chains is None else chains
    density, warmup = members.member(0), run.warmup.planned
    chosen = name_engine(run)
    engine = chosen if getattr(chosen, "metric", "") == "hierarchical" else run.engine
    plan = Plan(density, engine, warmup, run.fewest(), None, chains, sets)
    return propose(_read_tempering(plan, posterior), findings)


def _read_run(posterior: Any) -> Run:
    if any(is_of_class(posterior, name) for name in FITTED):
        raise RunError(
            "posterior",
            f"{type(posterior).__name__} was given, which has no draws of a sampler",
            "Give what infer.sample returned; infer.verdict says what to do about a fit.",
        )
    try:
        return find_run(posterior)
    except RunError as error:
        raise RunError("posterior", error.found, error.mend) from None


def _refuse_another_model(members: Family, run: Run) -> None:
    here = Family(jax.tree.map(on_device, members.shared), members.own, members.count)
    theirs = run.model_fingerprint or fingerprint_model(run.family)
    if here.count == run.family.count and fingerprint_model(here) == theirs:
        return
    own, other = (_describe(family) for family in (here, run.family))
    found = (
        f"it is a run of another log density or other data on the same sites, {own}"
        if own == other
        else f"it is a run of {other}, and the model has {own}"
    )
    raise RunError(
        "posterior", found, "Give a run of this model, or leave it out to choose without one."
    )


def _describe(family: Family) -> str:
    density = family.member(0)
    sites = join_names(
        f"{site.name}{list(site.shape) if site.shape else ''}" for site in density.latent
    )
    return sites + f" of {family.count} data sets" * (family.count > 1)


def _read_tempering(plan: Plan, posterior: Any) -> Plan:
    """Read the settings of parallel tempering from a result, if it was tempered."""
    groups = {} if isinstance(posterior, Run) else groups_of(posterior)
    if GROUP not in groups:
        return plan
    asked = groups[GROUP].attrs
    if missing := [name for name in (*ASKED, "warmup") if name not in asked]:
        raise RunError(
            "posterior",
            f"its group {GROUP} does not say with which {join_names(missing)} it was made, as "
            "those of earlier versions do not",
            "Sample again, or leave it out to choose without it.",
        )
    tempering = Tempered(plan.engine, **{name: asked[name] for name in ASKED})
    return plan._replace(tempering=tempering, warmup=asked["warmup"])


def propose(plan: Plan, findings: Sequence[Finding]) -> Choice:
    """Change a plan as findings call for it.

    Args:
        plan: How the draws were made.
        findings: What the verdict says about them.
    """
    if not findings:
        why = "the verdict found no problems, so the engine and its settings stay those of the run"
        return _make_choice(plan, [why])
    reasons, answered, explained = [], set(), set()
    for rule in RULES:
        own = [f for f in findings if f.kind in rule.kinds - explained]
        made = rule.change(plan, own) if own else None
        if made is None:
            continue
        plan, change = made
        answered |= {f.kind for f in own}
        rest = [f.kind for f in findings if f.kind in rule.explains - answered - explained]
        explained |= rule.explains
        reasons.append(f"{_name(own)}: {change}{_explain(rest)}")
    left = [f for f in findings if f.kind not in answered | explained]
    if not reasons:
        reasons.append("the engine stays that of the run: no setting of it answers what was found")
    return _make_choice(plan, [*reasons, *_advise(left)])


def _name(findings: Sequence[Finding]) -> str:
    each = {f.kind: f" ({join_names(f.sites, MAX_NAMED)})" * bool(f.sites) for f in findings}
    return ", ".join(kind + sites for kind, sites in each.items())


def _explain(kinds: Sequence[str]) -> str:
    """Say which findings the same cause may have."""
    named = ", ".join(dict.fromkeys(kinds))
    return f"; {named} may have the same cause" if named else ""


def _advise(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"{_name([finding])}, which the engine does not answer: {finding.advice}".rstrip(": ")


def _make_choice(plan: Plan, reasons: Sequence[str]) -> Choice:
    tempering = plan.tempering
    engine = plan.engine if tempering is None else replace(tempering, engine=plan.engine)
    return Choice(engine, plan.warmup, tuple(reasons), draws=plan.draws)


def _take(plan: Plan, engine: Engine) -> Plan:
    """Change the engine, whose warm-up is not shorter than its default."""
    default = DEFAULT_WARMUP if plan.tempering else engine.plan_warmup(plan.chains).draws
    return plan._replace(engine=engine, warmup=max(plan.warmup, default))


def _choose_alone(plan: Plan) -> Engine | None:
    """Return the engine that is chosen without a run; `None` if there is none."""
    try:
        facts = gather_facts(plan.density)
        return choose_from(facts, describe_machine(), plan.chains, plan.sets).engine
    except EngineError:
        return None


def _change_model(plan: Plan, found: Sequence[Finding]) -> tuple[Plan, str]:
    return plan, " ".join(f"change the model: {finding.advice}".rstrip(". ") for finding in found)


def _cross_modes(plan: Plan, _: Sequence[Finding]) -> tuple[Plan, str] | None:
    if plan.tempering is not None:
        more = plan._replace(warmup=MORE * plan.warmup, draws=MORE * plan.draws)
        return more, (
            f"a warm-up of {more.warmup} draws and then {more.draws}, so that more points cross "
            "between the modes"
        )
    if "gradient" not in plan.density.offers:
        return _jump_between_modes(plan)
    own = plan.engine if isinstance(plan.engine, Hamiltonian) else _choose_alone(plan)
    if plan.sets > 1 or getattr(own, "energy", "") != "value":
        return None
    assert own is not None
    tempered = plan._replace(tempering=Tempered(own))
    return _take(tempered, own), "parallel tempering, whose chains cross from mode to mode"


def _jump_between_modes(plan: Plan) -> tuple[Plan, str] | None:
    from ...engines.differential_evolution import DEMetropolis

    if isinstance(plan.engine, DEMetropolis):
        return None
    return _take(plan, DEMetropolis()), "differential evolution, whose steps lead to other modes"


def _learn_scales(plan: Plan, _: Sequence[Finding]) -> tuple[Plan, str] | None:
    if getattr(plan.engine, "metric", "hierarchical") == "hierarchical":
        return None
    engine = replace(plan.engine, metric="hierarchical")  # pyright: ignore[reportArgumentType, reportCallIssue]
    return _take(plan, engine), "warm-up learns how scales depend on other coordinates"


def _take_another(plan: Plan, _: Sequence[Finding]) -> tuple[Plan, str] | None:
    if isinstance(plan.engine, Hamiltonian) or is_gibbs(plan.engine):
        return None
    other, name = _choose_alone(plan), type(plan.engine).__name__
    if other is None or type(other) is type(plan.engine):
        return None
    why = f"{type(other).__name__}, which is chosen for this model without a run, not {name}"
    return _take(plan, other), why


def _shorten_steps(plan: Plan, _: Sequence[Finding]) -> tuple[Plan, str] | None:
    target = getattr(plan.engine, "target_acceptance", None)
    if target is None:
        return None
    higher = round(float(tighten(np.asarray(target))), 6)
    if higher <= target:
        return None
    engine = replace(plan.engine, target_acceptance=higher)  # pyright: ignore[reportArgumentType, reportCallIssue]
    otherwise = advise_non_centered(plan.density, plan.engine)
    why = f"a target acceptance of {higher:g}, not {target:g}, for shorter steps"
    return plan._replace(engine=engine), "; or ".join(filter(None, (why, otherwise)))


def _warm_up_longer(plan: Plan, _: Sequence[Finding]) -> tuple[Plan, str]:
    longer = max(MORE * plan.warmup, plan.engine.plan_warmup(plan.chains).draws)
    return plan._replace(warmup=longer), f"a warm-up of {longer} draws, not {plan.warmup}"


def _draw_more(plan: Plan, _: Sequence[Finding]) -> tuple[Plan, str]:
    more = MORE * plan.draws
    why = f"{more} draws per chain, not {plan.draws}: the effective sample size grows with them"
    return plan._replace(draws=more), why


# In this order: the cause first, then what is left of its symptoms.
RULES = (
    Rule(IN_MODEL, _change_model, IN_MODEL | SYMPTOMS | SLOW | STUCK),
    Rule(SEPARATE_MODES, _cross_modes, SEPARATE_MODES | SCALES | SLOW | {"few_round_trips"}),
    Rule(SCALES, _learn_scales, SCALES | SYMPTOMS | SLOW | STUCK),
    Rule(SLOW | STUCK, _take_another, SLOW | STUCK),
    Rule(LONG_STEPS, _shorten_steps),
    Rule(SHORT_WARMUP, _warm_up_longer),
    Rule(FEW_DRAWS, _draw_more),
)
