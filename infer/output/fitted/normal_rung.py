"""Laplace's method for many data sets in batches, with draws by importance resampling."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.family import Family
from ...engines.laplace import Laplace
from ...numerics.information import compute_hessian
from ...numerics.mode_normals import (
    FREEDOM,
    Normals,
    choose_ends,
    draw_candidates,
    make_normals,
    share_one_mode,
)
from ...numerics.mode_search import CONVERGED, ROUNDING
from ...programs.parts import PARTS, Members, call_each, choose_part, count_parts
from ...run.run import Run
from ...run.start import start
from ..advance.interrupt import advance_to
from ..data.pareto import smooth_ratios
from .ratios import choose_by_weight

# Data sets whose candidates are in memory at the same time.
CHUNK = 256
# Independent draws for each chain that the candidates must be worth, as ESS in the verdict.
ENOUGH = 100


class Asked(NamedTuple):
    """What is asked of Laplace's method.

    Attributes:
        searches: Number of searches for each data set.
        candidates: Number of draws that are weighed for each data set.
        chains: Number of chains of the result.
        draws: Draws of each.
        max_khat: Largest k-hat that is accepted.
    """

    searches: int
    candidates: int
    chains: int
    draws: int
    max_khat: float

    @property
    def limit(self) -> float:
        """The largest k-hat for which this number of candidates is enough."""
        return min(self.max_khat, 1 - 1 / np.log10(self.candidates))

    @property
    def enough(self) -> float:
        """Number of independent draws that the candidates must be worth."""
        return self.chains * min(ENOUGH, self.draws / 2)


class Answers(NamedTuple):
    """What Laplace's method found for each data set.

    Attributes:
        reasons: Why it failed, for each data set; empty if it answered.
        khat: Pareto k-hat of the importance ratios, shape (sets,); NaN if there are none.
        ess: Number of independent draws that the candidates are worth, likewise.
        positions: Draws, shape (answered sets, chains, draws, size).
        lp: Log densities of them in nats, shape (answered sets, chains, draws).
    """

    reasons: list[str]
    khat: np.ndarray
    ess: np.ndarray
    positions: np.ndarray
    lp: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        """Indices of the data sets that it answered for."""
        return np.flatnonzero([not reason for reason in self.reasons])


def search_modes(models: Sequence[Any], keys: np.ndarray, asked: Asked, **options: Any) -> Run:
    """Search for the modes of all data sets; the options are those of `start`."""
    engine = Laplace("dense", searches=asked.searches)
    run = start(models, engine, chains=asked.searches, key=list(keys), **options)
    return advance_to(run, engine.final_draws)


def answer_by_normals(run: Run, keys: np.ndarray, asked: Asked) -> Answers:
    """Approximate each posterior at the mode that the searches of a run found.

    Args:
        run: What `search_modes` returned.
        keys: Key data of each data set, shape (sets, 2).
        asked: What is asked.
    """
    family, draws = run.family, run.draws()
    ends = draws.positions[:, 0].reshape(family.count, asked.searches, -1)
    lp, why = (draws.stats[n][:, 0].reshape(ends.shape[:2]) for n in ("lp", "reason"))
    best, is_found, is_highest = choose_ends(lp, why)
    modes = np.take_along_axis(ends, best[:, None, None], 1)
    members = Members.of(family.shared, family.own)
    hessians = call_each(_compute_hessians, members, 1, PARTS, (modes,))
    normals = make_normals(modes[:, 0], hessians[:, 0])
    has_one = share_one_mode(normals, ends, np.isin(why, (CONVERGED, ROUNDING)))
    checks = (
        (is_found, "no search for a mode converged"),
        (is_highest, "a search that did not converge ended higher"),
        (normals.is_definite, "minus the Hessian at the mode is not positive definite"),
        (has_one, "the searches found several modes"),
    )
    reasons = [next((t for ok, t in checks if not ok[i]), "") for i in range(family.count)]
    return _weigh_all(family, normals, keys, asked, reasons)


def _weigh_all(
    family: Family, normals: Normals, keys: np.ndarray, asked: Asked, reasons: list[str]
) -> Answers:
    """Draw from the normals chunk by chunk, and keep the draws of those that stand the test."""
    khat, ess = np.full((2, family.count), np.nan)
    positions, levels = [], []
    left = np.flatnonzero([not reason for reason in reasons])
    for begin in range(0, len(left), CHUNK):
        own = left[begin : begin + CHUNK]
        for i, weighed in zip(own, _weigh(family, normals, keys, asked, own), strict=True):
            khat[i], ess[i] = weighed.khat, weighed.ess
            reasons[i] = _find_fault(weighed, asked)
            if not reasons[i]:
                positions.append(weighed.positions)
                levels.append(weighed.lp)
    shape = (len(positions), asked.chains, asked.draws)
    wide = np.array(positions).reshape(*shape, normals.modes.shape[1])
    return Answers(reasons, khat, ess, wide, np.array(levels).reshape(shape))


class _Weighed(NamedTuple):
    """The candidates of one data set: how far to trust them, and draws chosen from them."""

    halves_agree: bool
    khat: float
    ess: float
    positions: np.ndarray
    lp: np.ndarray


def _weigh(
    family: Family, normals: Normals, keys: np.ndarray, asked: Asked, own: np.ndarray
) -> Iterator[_Weighed]:
    """Draw candidates for some data sets, weigh them, and choose draws from them."""
    size = normals.modes.shape[1]
    streams = [np.random.default_rng(keys[i]) for i in own]
    noise = np.stack([rng.normal(size=(asked.candidates, size)) for rng in streams])
    scales = np.stack([rng.chisquare(FREEDOM, asked.candidates // 2) for rng in streams])
    made = draw_candidates(Normals(*(a[own] for a in normals)), noise, scales)
    candidates = made.draws.astype(jnp.result_type(float))
    few = Members.of(family.shared, family.rows(own))
    rows = choose_part(size)
    lp = call_each(_compute_levels, few, rows, count_parts(size, rows), (candidates,))
    ratios, agree = lp.astype(np.float64) - made.log_q, made.agree(lp.astype(np.float64))
    for mine, levels, each, same, rng in zip(candidates, lp, ratios, agree, streams, strict=True):
        weights, khat = smooth_ratios(each)
        ess = float(1 / (weights**2).sum())
        chosen = choose_by_weight(weights, asked.chains * asked.draws, rng)
        shape = asked.chains, asked.draws
        yield _Weighed(
            bool(same), khat, ess, mine[chosen].reshape(*shape, size), levels[chosen].reshape(shape)
        )


def _find_fault(weighed: _Weighed, asked: Asked) -> str:
    if not weighed.khat <= asked.limit:
        return f"Pareto k-hat is {weighed.khat:.2f}, above {asked.limit:.2f}"
    if not weighed.halves_agree:
        return "draws of a t distribution find mass that those of the normal distribution miss"
    if weighed.ess < asked.enough:
        return f"the weighed draws are worth {weighed.ess:.0f}, below {asked.enough:.0f}"
    return ""


def _compute_hessians(member: Any, positions: Array) -> Array:
    return jax.lax.map(lambda q: compute_hessian(member, q), positions)


def _compute_levels(member: Any, positions: Array) -> Array:
    return jax.vmap(member)(positions)
