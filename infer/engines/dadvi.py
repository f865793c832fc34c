"""Deterministic variational inference: maximize the ELBO over fixed draws as a smooth function."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from ..errors import EngineError
from ..numerics.families.base import Distribution, Family
from ..numerics.families.full_rank import DenseNormal, FullRank
from ..numerics.families.mean_field import IndependentNormal, MeanField
from ..numerics.families.memory import refuse_large
from ..numerics.families.named import find_family
from ..numerics.fixed_draw_elbo import compute_response_of, draw_part, evaluate_loss
from ..numerics.information import decompose_information
from ..numerics.mode_search import (
    CONVERGED,
    REASONS,
    ROUNDING,
    Search,
    advance,
    begin_search,
)
from ..target import Components, Target
from ..types import Scalar, Vector
from .approximating import Approximator, Ended, Fitted, Problem, Unit
from .base import Draws, Examples, Tick, WarmupPlan, WindowEnd

# Coordinates up to which the covariance is that of the linear response by default.
MAX_RESPONSE = 500
# Nats from the optimum at which a search has converged, as for `MAP`.
TOLERANCE, SINGLE_TOLERANCE = 1e-6, 1e-5
# Standard deviations of the first approximation.
FIRST_SCALE = 0.1
# Draws are doubled so many times at most, by default.
DOUBLINGS = 5
# Draws of all coordinates that the linear response is computed from, unless `draws` are more.
RESPONSE_DRAWS = 15_000


class DADVITuning(eqx.Module):
    """What the host decides between searches.

    Attributes:
        parts: Number of parts that the draws of a search are evaluated in.
        tolerance: Nats from the optimum at which a search has converged.
        max_steps: Maximum number of steps of a search.
        optima: The optimum of every search, means and logarithms of standard deviations. Like all
            that follows, not read in the program.
        counts: The number of parts of each; 0 for a search still to be made.
        error: Standard error of the mean of the last optimum and one more of as many draws.
        is_known: Whether that is within the engine's tolerance.
        n_gradients: Gradients that these searches took.
    """

    parts: Int[Array, ""] | np.ndarray
    tolerance: Scalar | np.ndarray
    max_steps: Int[Array, ""] | np.ndarray
    optima: Float[Array, "searches double"] | np.ndarray
    counts: Int[Array, "searches"] | np.ndarray
    error: Scalar | np.ndarray
    is_known: Bool[Array, ""] | np.ndarray
    n_gradients: Int[Array, ""] | np.ndarray


class DADVIState(NamedTuple):
    """A search between two parts of its draws.

    Attributes:
        search: The search for means and logarithms of standard deviations.
        loss: Sum of the losses of the parts evaluated so far at the search's next point.
        gradient: Sum of their gradients, shape (2 * size,).
        part: Number of these parts.
        key_data: What the draws are made from.
    """

    search: Search
    loss: Scalar
    gradient: Float[Array, "double"]
    part: Int[Array, ""]
    key_data: UInt32[Array, "words"]

    @property
    def n_steps(self) -> Array:
        """Steps of the search."""
        return self.search.n_steps


@dataclass(frozen=True)
class DADVI(Approximator):
    """Fit independent normals by maximizing the ELBO over fixed draws, then correct the covariance.

    With fixed draws the ELBO is a smooth function, which L-BFGS and Newton steps maximize to the
    last digit, without a learning rate. Its optimum is as far from that of the ELBO as the draws
    are few. So the search is repeated with independent draws, whose number is doubled until the
    standard error of the optimum is within `tolerance`. Draws come in pairs of opposite noise with
    exact second moments, so that this error vanishes for independent normal posteriors and, with as
    many pairs as coordinates, for all normal ones.

    Independent normals underestimate variances. The linear response of their means to a tilt of the
    log density is an estimate of the posterior's covariance, which is exact for normal posteriors.

    Attributes:
        family: "mean_field", the only family that few fixed draws suffice for.
        draws: Draws that are evaluated together, and the number of the first two searches.
        linear_response: Whether the result has the covariance of the linear response; by default up
            to 500 coordinates. It takes a Hessian product for each coordinate and draw.
        tolerance: Largest root mean square of the standard errors, of means in standard deviations,
            and of logarithms of standard deviations.
        max_draws: Maximum number of draws of a search; by default 32 times `draws`.
        max_steps: Maximum number of steps of a search.

    Source: Giordano, Ingram & Broderick (2024), Black box variational inference with a
        deterministic objective, arXiv 2304.05527. Errors are measured between independent sets of
        draws, since those with exact moments have smaller ones than the formula for plain draws.
    """

    unit: ClassVar[Unit] = "searches"
    examples: ClassVar[Examples] = Examples(invalid={"draws": 3})
    family: str | Family = "mean_field"
    draws: int = 30
    linear_response: bool | None = field(default=None, compare=False)
    tolerance: float = field(default=0.05, compare=False)
    max_draws: int | None = field(default=None, compare=False)
    max_steps: int = field(default=2000, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(find_family("DADVI", self.family), MeanField):
            raise EngineError(
                "DADVI",
                f"family is {self.family!r}, and over fixed draws the ELBO of dependent "
                "coordinates has no maximum unless there are more draws than coordinates",
                "Leave it out, since the linear response follows correlations; or use infer.ADVI.",
            )
        if self.draws < 2 or self.draws % 2:
            raise EngineError(
                "DADVI", f"draws is {self.draws}", "Give an even number: draws come in pairs."
            )
        for name in ("tolerance", "max_steps"):
            value = getattr(self, name)
            if not value > 0:
                raise EngineError("DADVI", f"{name} is {value}", "Give a positive number.")
        if self.max_draws is not None and self.max_draws < self.draws:
            raise EngineError(
                "DADVI",
                f"max_draws is {self.max_draws}, and draws is {self.draws}",
                "Give at least as many as draws.",
            )

    def choose_family(self, size: int) -> Family:
        responds = size <= MAX_RESPONSE if self.linear_response is None else self.linear_response
        return FullRank() if responds else MeanField("scale")

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        limit = 2**DOUBLINGS * self.draws if self.max_draws is None else self.max_draws
        searches = 2 + int(np.log2(limit // self.draws))
        return WarmupPlan(searches, (1,) * searches)

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> DADVITuning:
        size, dtype = positions.shape[-1], gradients.dtype
        refuse_large(self.choose_family(2 * size), 2 * size, dtype, "DADVI")
        tolerance = TOLERANCE if dtype == np.float64 else SINGLE_TOLERANCE
        searches = self.plan_warmup(1).draws
        return DADVITuning(
            np.asarray(1, np.int32),
            np.asarray(tolerance, dtype),
            np.asarray(self.max_steps, np.int32),
            np.zeros((searches, 2 * size), dtype),
            np.zeros(searches, np.int32),
            np.asarray(np.nan, dtype),
            np.asarray(False),
            np.asarray(0, np.int32),
        )

    def init(self, position: Vector, here: Components) -> DADVIState:
        log_sds = jnp.full_like(position, np.log(FIRST_SCALE))
        slopes = jnp.concatenate([-here.gradient, -jnp.ones_like(position)])
        search = begin_search(jnp.concatenate([position, log_sds]), slopes)
        return _begin(search, jnp.zeros(2, jnp.uint32))

    def enter(self, tuning: DADVITuning, state: DADVIState, warming: Bool[Array, ""]) -> DADVIState:
        """Begin where the last search ended, with the curvature that it has learned."""
        old = state.search
        search = begin_search(old.position, old.gradient)._replace(memory=old.memory)
        return _begin(search, state.key_data)

    def tick(
        self, key: Array, target: Target, tuning: DADVITuning, state: DADVIState
    ) -> tuple[DADVIState, Tick]:
        like = jnp.zeros((self.draws, target.size), state.loss.dtype)
        noise = draw_part(key, state.part, like)
        own = evaluate_loss(target, state.search.next_point(), noise)
        loss, gradient = state.loss + own[0], state.gradient + own[1]
        part = state.part + 1
        count = part.astype(loss.dtype)
        advanced = advance(
            state.search, loss / count, gradient / count, jnp.asarray(tuning.tolerance),
            jnp.asarray(tuning.max_steps),
        )  # fmt: skip
        is_whole = part >= tuning.parts
        key_data = jax.random.key_data(key)
        going = DADVIState(state.search, loss, gradient, part, key_data)
        state = jax.tree.map(
            lambda a, b: jnp.where(is_whole, a, b), _begin(advanced, key_data), going
        )
        search = state.search
        stats = {"elbo": -search.loss, "reason": search.reason, "n_steps": search.n_steps}
        stats |= {"n_gradients": search.n_gradients * tuning.parts * self.draws}
        complete = is_whole & (search.reason > 0)
        return state, Tick(complete, search.position, jnp.zeros((0,), loss.dtype), stats)

    def end_window(
        self, tuning: DADVITuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        dtype, parts = recent[-1].positions.dtype, int(tuning.parts)
        optima, counts = np.array(tuning.optima), np.array(tuning.counts)
        made = int(np.count_nonzero(counts)) + 1
        optima[made - 1], counts[made - 1] = recent[-1].positions[0, -1], parts
        error = measure_error(optima[:made], counts[:made])
        is_known = bool(error <= self.tolerance)
        ends = is_known or not windows or not _is_found(recent[-1])
        grown = parts if ends or made == 1 else 2 * parts
        taken = tuning.n_gradients + recent[-1].stats["n_gradients"][0, -1]
        learned = replace(
            tuning, parts=np.asarray(grown, np.int32), optima=optima, counts=counts,
            error=np.asarray(error, dtype), is_known=np.asarray(is_known),
            n_gradients=np.asarray(taken, np.int32),
        )  # fmt: skip
        return WindowEnd(learned, () if ends else windows)

    def conclude(self, ended: Ended) -> Fitted:
        tuning, last = ended.tuning, ended.draws.positions[0, 0]
        before = np.asarray(tuning.optima)[np.count_nonzero(tuning.counts) - 1]
        optimum = np.mean([last, before], axis=0, dtype=last.dtype)
        number = 2 * self.draws * int(tuning.parts)
        is_found, is_known = _is_found(ended.draws), bool(tuning.is_known)
        normal, indefinite, spent = self._make_normal(ended, optimum, is_found)
        spent += int(tuning.n_gradients) + int(ended.draws.stats["n_gradients"][0, 0])
        problems = (
            None if is_found else _describe_unfinished(int(ended.draws.stats["reason"][0, 0])),
            None if is_known or not is_found else _describe_few(number, float(tuning.error)),
            indefinite,
        )
        return Fitted(
            normal,
            "full_rank" if isinstance(normal, DenseNormal) else "mean_field",
            is_found and is_known and indefinite is None,
            problems=tuple(filter(None, problems)),
            facts=(f"{number} draws, optimum known to {float(tuning.error):.2g} sd",),
            n_gradients=spent,
        )

    def _make_normal(
        self, ended: Ended, optimum: np.ndarray, is_found: bool
    ) -> tuple[Distribution, Problem | None, int]:
        """Make the distribution of an optimum, with the covariance of the linear response.

        Also return what is wrong with that, and the gradients that it took.
        """
        size = len(optimum) // 2
        mean, log_sd = jnp.asarray(optimum[:size]), jnp.asarray(optimum[size:])
        independent = IndependentNormal(mean, jnp.exp(log_sd))
        if not is_found or not isinstance(self.choose_family(size), FullRank):
            return independent, None, 0
        parts = np.clip(RESPONSE_DRAWS // (size * self.draws), 1, int(ended.tuning.parts))
        like = np.zeros((parts, self.draws, size), optimum.dtype)
        key_data = ended.states.key_data[0]
        hessian = ended.call(compute_response_of, ended.target, optimum, key_data, like)
        spent = int(parts) * self.draws * (1 + 2 * size)
        found = decompose_information(-np.asarray(hessian))
        if not found.is_definite:
            return independent, _describe_indefinite(), spent
        # The covariance of the means is the upper left block of the inverse.
        factor = np.asarray(np.linalg.qr(found.root[:size].T, mode="r")).T
        log_scale = np.log(np.abs(np.diagonal(factor))).sum()
        scale = (jnp.asarray(a, optimum.dtype) for a in (factor, log_scale))
        return DenseNormal(mean, *scale), None, spent


def _begin(search: Search, key_data: UInt32[Array, "words"]) -> DADVIState:
    """Begin to evaluate the next point of a search."""
    zero = jnp.zeros_like(search.gradient)
    return DADVIState(search, jnp.zeros_like(search.loss), zero, jnp.int32(0), key_data)


def _is_found(draws: Draws) -> bool:
    """Return whether the last search converged."""
    return bool(draws.stats["reason"][0, -1] in (CONVERGED, ROUNDING))


def measure_error(optima: np.ndarray, counts: np.ndarray) -> float:
    """Bound the standard error of the mean of the last optimum and another of as many draws.

    It is the larger root mean square of those of the means, in standard deviations, and of the
    logarithms of standard deviations. The bound holds with a probability of 90 %, if optima are
    normal; the fewer optima and coordinates, the further it is above the estimate.

    Args:
        optima: Means and logarithms of standard deviations, shape (searches, 2 * size).
        counts: How many draws each is of, in any unit, shape (searches,).

    Source: Wilson & Hilferty (1931), for the quantile of the chi-squared distribution.
    """
    if len(counts) < 2:
        return np.nan
    optima, size = optima.astype(float), optima.shape[1] // 2
    with np.errstate(all="ignore"):
        center = counts @ optima / counts.sum()
        squares = counts @ (optima - center) ** 2 / (len(counts) - 1)
        means, log_sds = squares[:size] / np.exp(2 * center[size:]), squares[size:]
        spread = 2 / (9 * size * (len(counts) - 1))
        quantile = (1 - spread - 1.2816 * np.sqrt(spread)) ** 3
        largest = max(means.mean(), log_sds.mean())
        return float(np.sqrt(largest / (2 * counts[-1]) / quantile))


def _describe_unfinished(reason: int) -> Problem:
    return Problem(
        "unfinished_search",
        "the search for the optimum of the ELBO over fixed draws did not converge (its reason: "
        f"{REASONS[reason]!r}).",
        "Allow more steps (max_steps=), give other starts=, or use infer.ADVI.",
    )


def _describe_few(number: int, error: float) -> Problem:
    return Problem(
        "too_few_draws",
        f"from {number} fixed draws the optimum is known to {error:.2g} standard deviations only.",
        "Allow more draws (max_draws=) or a larger tolerance, or use infer.ADVI.",
    )


def _describe_indefinite() -> Problem:
    return Problem(
        "indefinite_response",
        "the Hessian of the ELBO over fixed draws is not positive definite at the optimum, so the "
        "linear response has no covariance; that of the independent normals is kept.",
        "Give more draws (draws=), or use infer.ADVI.",
    )
