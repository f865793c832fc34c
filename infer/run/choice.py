"""Choose an engine for a model on this machine, and say why."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ..counts import as_whole
from ..density.base import LogDensity
from ..density.family import make_family
from ..engines.base import Engine
from ..engines.hmc import HMC
from ..engines.nuts import NUTS
from ..errors import EngineError
from ..models.inputs.names import join_names
from ..models.model import Model
from ..numerics.low_rank import choose_rank
from .without_gradient import choose_without_gradient

# Vectors of the length of the flat vector in the state of one chain of NUTS: eleven slots of three,
# two ends of three, and six more; twice, because a loop's state is copied. HMC has two points of
# four. Counted in `numerics/no_u_turn.py` and `engines/hmc.py`.
NUTS_VECTORS, HMC_VECTORS = 90, 16
# Share of the memory that the chains' states may take; the rest is for the model and the draws.
MEMORY_SHARE = 0.5
# Rank of the metric if by size alone it would be 0.
LARGE_RANK = 32
# The largest share that a low-rank metric may add to the operations of a gradient. When it added a
# third, effective draws per 1000 gradients doubled from 6.8 to 13.0, but so did the time of a
# gradient, from 404 to 820 µs: 15.9 effective draws a second, not 16.9
# (benchmarks/results/choice.md, 3000 coordinates).
METRIC_SHARE = 0.1


class Facts(NamedTuple):
    """The properties of a density on which the choice of an engine depends.

    Attributes:
        size: Length of the flat vector.
        offers: What can be computed; see `Target.offers`.
        unvalued: Sites whose priors are known by their scores alone.
        gradient_flops: Floating-point operations of one gradient, with a loop's body counted once;
            0 if unknown, or if the size alone decides.
    """

    size: int
    offers: frozenset[str]
    unvalued: tuple[str, ...]
    gradient_flops: float


class Hardware(NamedTuple):
    """The properties of a machine on which the choice of an engine depends.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        memory: Bytes of one device; 0 if unknown.
        number_bytes: Bytes of a floating-point number.
    """

    platform: str
    memory: int
    number_bytes: int


@dataclass(frozen=True)
class Choice:
    """An engine, and the reasons for choosing it.

    Attributes:
        engine: The engine; `Tempered` only if it is chosen from the draws of a run.
        warmup: Planned draws of warm-up per chain; of a fit, its maximum number of epochs.
        reasons: Why this engine with these settings, one sentence each.
        search: The engine that finds where a fit begins, if there is one.
        draws: Draws per chain after warm-up, if it is chosen from the draws of a run.
    """

    engine: Any
    warmup: int
    reasons: tuple[str, ...]
    search: Engine | None = None
    draws: int | None = None

    def __str__(self) -> str:
        is_fit = getattr(self.engine, "result", "") == "approximation"
        most = f"at most {self.warmup} epochs"
        begun = [f"begun by {self.search!r}"] if self.search else []
        length = most if is_fit else f"about {self.warmup} draws of warm-up per chain"
        length += f", then {self.draws} draws" if self.draws else ""
        lines = [repr(self.engine), *begun, length]
        return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])


def choose_sampler(model: Model | Sequence[Model], chains: int) -> tuple[Engine, tuple[str, ...]]:
    """Choose a sampler for a model on this machine, and say why; see `infer.choose`.

    Args:
        model: The model, or several of them.
        chains: Number of chains for each model.
    """
    chains, members = as_whole("chains", chains, 1), make_family(model, jacobian=True)
    made = choose_for(members.member(0), chains, members.count)
    return made.engine, made.reasons


def choose_for(density: LogDensity, chains: int, sets: int) -> Choice:
    """Choose an engine for a log density on this machine; see `choose_from`."""
    return choose_from(gather_facts(density), describe_machine(), chains, sets)


def choose_from(facts: Facts, hardware: Hardware, chains: int, sets: int = 1) -> Choice:
    """Choose an engine from facts about the density and the machine.

    Args:
        facts: Properties of the density.
        hardware: Properties of the machine.
        chains: Number of chains for each data set.
        sets: Number of data sets.

    Raises:
        EngineError: No sampler works for the density.
    """
    _refuse(facts)
    if "gradient" not in facts.offers:
        engine, reasons = choose_without_gradient(facts.size)
        return Choice(engine, engine.plan_warmup(chains).draws, reasons)
    energy, why_energy = _choose_energy(facts)
    rank, why_rank = _choose_rank(facts)
    nuts, why_nuts = _nuts_fits(facts, hardware, chains * sets)
    engine = (NUTS if nuts else HMC)(rank=rank, energy=energy)
    warmup = engine.plan_warmup(chains).draws
    why_warmup = _explain_warmup(warmup, engine.plan_warmup(1).draws, chains)
    reasons = (why_nuts, why_energy, why_rank, why_warmup)
    return Choice(engine, warmup, tuple(filter(None, reasons)))


def _refuse(facts: Facts) -> None:
    if facts.size == 0:
        raise EngineError(
            "choose",
            "the flat vector has length 0, because every latent site is frozen or has a constraint "
            "that allows only one value, so there is nothing to sample",
            "Free a site, or call infer.sample_prior(model) for the model's predictions.",
        )
    if "minibatch" in facts.offers:
        raise EngineError(
            "choose",
            "the model has a minibatch, so its log density is a new random estimate at every step, "
            "which a sampler would take for the posterior's",
            "Call infer.fit(model, infer.ADVI()); or make the model with minibatch=None, for a "
            "sampler that uses all rows; or give an engine that takes minibatches, such as "
            'infer.BlackJAX("sgld", step_size=...).',
        )


def _choose_energy(facts: Facts) -> tuple[Literal["value", "path"], str]:
    if "value" in facts.offers:
        return "value", ""
    # Without a value, energies along the path still give the right posterior: see
    # docs/score_priors.md.
    names = join_names(map(repr, facts.unvalued), 3)
    return "path", f"energies are integrated along the path: only the score of {names} is known"


def _choose_rank(facts: Facts) -> tuple[int | None, str]:
    """Choose the rank of the metric; None leaves it to the size.

    The default by size rests on benchmarks/results/warmup.md. Bulk ESS per 1000 gradients with a
    low-rank metric and with a diagonal one: 84 and 2.0 (100 correlated coordinates), 12 and 2.1
    (volatility, 202), 47 and 12 (item response, 242), and at worst 50 and 53 (eight schools, 10).
    """
    by_size = choose_rank(facts.size)
    if facts.size == 1:
        return None, "for one coordinate the metric is one scale"
    if by_size:
        return None, (
            f"the metric may stretch up to {by_size} directions: correlations among the "
            f"{facts.size} coordinates then cost little, and without correlations it stretches none"
        )
    # Two products with a matrix of shape (size, rank), before and after the gradient.
    flops = 8.0 * facts.size * LARGE_RANK
    if flops <= METRIC_SHARE * facts.gradient_flops:
        return LARGE_RANK, (
            f"the metric may stretch up to {LARGE_RANK} directions, even of {facts.size} "
            f"coordinates: that adds only {flops / facts.gradient_flops:.0%} to a gradient of "
            f"{facts.gradient_flops:.1e} operations"
        )
    return None, (
        f"a diagonal metric: for {facts.size} coordinates, a low-rank metric would cost a large "
        "part of a gradient, or more"
    )


def _nuts_fits(facts: Facts, hardware: Hardware, lanes: int) -> tuple[bool, str]:
    """Return whether the trees of NUTS fit into memory, and the reason for the choice.

    Per gradient neither engine is better: on nine models HMC gave 0.6 to 1.9 times the effective
    draws of NUTS, 1.1 times in the geometric mean, and fewer on the hardest posteriors
    (benchmarks/results/choice.md). But the length of its trajectories depends on the metric.
    """
    room = MEMORY_SHARE * hardware.memory if hardware.memory else np.inf
    each = lanes * facts.size * hardware.number_bytes
    if NUTS_VECTORS * each <= room:
        return True, "NUTS adapts the length of each trajectory by itself"
    nuts, hmc, whole = (
        n / 2**30 for n in (NUTS_VECTORS * each, HMC_VECTORS * each, hardware.memory)
    )
    return False, (
        f"HMC: for {lanes} chains of {facts.size} coordinates, the trees of NUTS would take "
        f"{nuts:.1f} GiB of this {hardware.platform}'s {whole:.1f} GiB; HMC takes {hmc:.1f} GiB"
    )


def _explain_warmup(warmup: int, default: int, chains: int) -> str:
    if warmup == default:
        return ""
    return (
        f"warm-up of at most {warmup} draws, not {default}: {chains} chains learn from each "
        "other's draws"
    )


def gather_facts(density: LogDensity) -> Facts:
    """Gather the facts about a density; operations are counted only if the choice needs them."""
    has_gradient = "gradient" in density.offers
    is_needed = has_gradient and density.size > 1 and not choose_rank(density.size)
    flops = count_gradient_flops(density) if is_needed else 0.0
    return Facts(density.size, density.offers, density.unvalued, flops)


def count_gradient_flops(density: LogDensity) -> float:
    """Count the operations of one gradient, before XLA optimizes them."""
    position = jax.ShapeDtypeStruct((density.size,), jax.dtypes.canonicalize_dtype(float))
    lowered = jax.jit(lambda density, q: density.evaluate(q)).lower(density, position)
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


def describe_machine() -> Hardware:
    """Describe the default backend."""
    device = jax.devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    memory = limit if device.platform != "cpu" else _read_host_memory()
    return Hardware(device.platform, memory, jax.dtypes.canonicalize_dtype(float).itemsize)


def _read_host_memory() -> int:
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(getattr(os, "sysconf_names", ())):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
