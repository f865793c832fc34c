"""Choose an engine for a model on this machine, and say why."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import numpy as np

from ..calls import checks_arguments
from ..counts import whole
from ..density.base import LogDensity
from ..density.family import family
from ..engines.base import Engine
from ..engines.hmc import HMC
from ..engines.nuts import NUTS
from ..errors import EngineError
from ..models.inputs.names import listed
from ..models.model import Model
from ..numerics.metric import default_rank

# Vectors of the flat space that one chain of NUTS holds while it ticks: eleven slots of three, two
# ends of three, and six more; twice, since a loop's state is copied. HMC holds two points of four.
# Counted in `numerics/no_u_turn.py` and `engines/hmc.py`.
NUTS_VECTORS, HMC_VECTORS = 90, 16
# Share of the memory that the chains' states may take: the model and the draws need theirs.
MEMORY_SHARE = 0.5
# Directions stretched where the size alone would not pay for any: as many as of 2000 coordinates.
LARGE_RANK = 32
# Directions may add so much to the operations of a gradient. Where they added a third they doubled
# what a gradient gave, 13.0 effective draws a thousand against 6.8, and its time, 820 µs against
# 404: 15.9 against 16.9 a second (benchmarks/results/choice.md, 3000 coordinates).
METRIC_SHARE = 0.1


class Facts(NamedTuple):
    """What decides about an engine, of a density.

    Attributes:
        size: Length of the flat vector.
        offers: What can be asked of it; see `Target.offers`.
        unvalued: Sites whose priors are known by their scores alone.
        gradient_flops: Floating-point operations of one gradient, a loop's body counted once; 0
            where they are not known, or where the size alone decides.
    """

    size: int
    offers: frozenset[str]
    unvalued: tuple[str, ...]
    gradient_flops: float


class Hardware(NamedTuple):
    """What decides about an engine, of a machine.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        memory: Bytes of one device; 0 where it is not known.
        number_bytes: Bytes of a floating-point number.
    """

    platform: str
    memory: int
    number_bytes: int


@dataclass(frozen=True)
class Choice:
    """An engine, and why.

    Attributes:
        engine: The engine.
        warmup: Planned draws of warm-up per chain.
        reasons: Why this engine with these settings, a sentence each.
    """

    engine: Engine
    warmup: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        lines = [repr(self.engine), f"about {self.warmup} draws of warm-up per chain"]
        return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])


@checks_arguments("infer.choose")
def choose(model: Model | Sequence[Model], *, chains: int = 4) -> Choice:
    """Choose a sampler for a model on this machine, as `sample` does where none is named.

    Args:
        model: What a front end returned, or several of them.
        chains: Number of chains, of each model.

    Raises:
        ModelError: The model cannot be used; the message names the site.
        EngineError: No sampler works on it; the message says what does.
    """
    chains = whole("chains", chains, 1)
    members = family(model, jacobian=True)
    return choice(facts_of(members.member(0)), hardware(), chains, members.count)


def choice(facts: Facts, hardware: Hardware, chains: int, sets: int = 1) -> Choice:
    """Choose by what is known of the density, the machine and the chains alone.

    Args:
        facts: Of the density.
        hardware: Of the machine.
        chains: Of each data set.
        sets: Number of data sets.

    Raises:
        EngineError: No sampler works on the density.
    """
    _refuse(facts)
    energy, why_energy = _energy(facts)
    rank, why_rank = _rank(facts)
    nuts, why_nuts = _fits(facts, hardware, chains * sets)
    engine = (NUTS if nuts else HMC)(rank=rank, energy=energy)
    warmup = engine.warmup_for(chains)
    why_warmup = _why_warmup(warmup, engine.default_warmup, chains)
    reasons = (why_nuts, why_energy, why_rank, why_warmup)
    return Choice(engine, warmup, tuple(filter(None, reasons)))


def _refuse(facts: Facts) -> None:
    if facts.size == 0:
        raise EngineError(
            "choose",
            "the flat vector has length 0, since every latent site is fixed by its constraint or "
            "frozen, so there is nothing to draw",
            "Free a site, or call infer.sample_prior(model) for what the model predicts.",
        )
    if "minibatch" in facts.offers:
        raise EngineError(
            "choose",
            "the model has a minibatch, so its log density is another one at every step, which a "
            "sampler would take for the posterior's",
            "Call infer.fit(model, infer.ADVI()); or make the model with minibatch=None, for a "
            "sampler that sees all rows; or name an engine that takes minibatches, such as "
            'infer.BlackJAX("sgld", step_size=...).',
        )


def _energy(facts: Facts) -> tuple[Literal["value", "path"], str]:
    if "value" in facts.offers:
        return "value", ""
    # docs/score_priors.md: without a value, energies along the path keep the posterior right.
    names = listed(map(repr, facts.unvalued), 3)
    return "path", f"energies are integrated along the path: of {names} only the score is known"


def _rank(facts: Facts) -> tuple[int | None, str]:
    """Choose how many directions the metric may stretch; None leaves it to the size.

    By size: benchmarks/results/warmup.md, bulk ESS per 1000 gradients with a low-rank metric
    against a diagonal one 84 : 2.0 (100 correlated coordinates), 12 : 2.1 (volatility, 202), 47 :
    12 (item response, 242), and nowhere less than 50 : 53 (eight schools, 10).
    """
    by_size = default_rank(facts.size)
    if facts.size == 1:
        return None, "a scale is all the metric there is for one coordinate"
    if by_size:
        return None, (
            f"the metric may stretch {by_size} directions of {facts.size} coordinates: "
            "correlations then cost little, and where there are none it stretches none"
        )
    # Two products with a matrix of size x rank, there and back.
    flops = 8.0 * facts.size * LARGE_RANK
    if flops <= METRIC_SHARE * facts.gradient_flops:
        return LARGE_RANK, (
            f"the metric may stretch {LARGE_RANK} directions, though there are {facts.size} "
            f"coordinates: that adds {flops / facts.gradient_flops:.0%} to a gradient of "
            f"{facts.gradient_flops:.1e} operations"
        )
    return None, (
        f"a diagonal metric: stretching directions of {facts.size} coordinates would cost as much "
        "as the gradient itself, or a good part of it"
    )


def _fits(facts: Facts, hardware: Hardware, lanes: int) -> tuple[bool, str]:
    """Tell whether the trajectories of NUTS fit the memory.

    By gradients neither engine leads: HMC gave 0.6 to 1.9 times the effective draws of NUTS on nine
    models, 1.1 times in the geometric mean, and less where the posterior was hardest
    (benchmarks/results/choice.md). But it trusts the metric for the length of a trajectory.
    """
    room = MEMORY_SHARE * hardware.memory if hardware.memory else np.inf
    each = lanes * facts.size * hardware.number_bytes
    if NUTS_VECTORS * each <= room:
        return True, "NUTS finds the length of each trajectory by itself"
    nuts, hmc, whole = (
        n / 2**30 for n in (NUTS_VECTORS * each, HMC_VECTORS * each, hardware.memory)
    )
    return False, (
        f"HMC: the trees of NUTS would take {nuts:.1f} GiB for {lanes} chains of {facts.size} "
        f"coordinates, of the {whole:.1f} GiB of this {hardware.platform}; HMC takes {hmc:.1f} GiB"
    )


def _why_warmup(warmup: int, default: int, chains: int) -> str:
    if warmup == default:
        return ""
    return (
        f"warm-up of at most {warmup} draws, not {default}: {chains} chains learn from each "
        "other's draws"
    )


def facts_of(density: LogDensity) -> Facts:
    """Gather what decides, of a density; its gradient is looked at only where that decides."""
    decides = density.size > 1 and not default_rank(density.size)
    flops = _gradient_flops(density) if decides else 0.0
    return Facts(density.size, density.offers, density.unvalued, flops)


def _gradient_flops(density: LogDensity) -> float:
    """Count the operations of one gradient, before XLA optimizes them."""
    position = jax.ShapeDtypeStruct((density.size,), jax.dtypes.canonicalize_dtype(float))
    lowered = jax.jit(lambda density, q: density.evaluate(q)).lower(density, position)
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


def hardware() -> Hardware:
    """Describe the default backend."""
    device = jax.devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    memory = limit if device.platform != "cpu" else _host_memory()
    return Hardware(device.platform, memory, jax.dtypes.canonicalize_dtype(float).itemsize)


def _host_memory() -> int:
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(getattr(os, "sysconf_names", ())):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
