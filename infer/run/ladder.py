"""The settings of a ladder of methods for many data sets, and what they refuse."""

from dataclasses import dataclass
from numbers import Real

from ..counts import as_whole
from ..engines.base import Engine
from ..engines.nuts import NUTS
from ..engines.whitened import Whitened
from ..errors import EngineError

# Pareto k above which estimates by importance sampling converge too slowly to be of use.
LARGEST_KHAT = 0.7
# With fewer candidates the estimate of k is noise.
FEWEST_CANDIDATES = 1000


@dataclass(frozen=True)
class Ladder:
    """Laplace's method for many data sets, and NUTS only for those on which it fails.

    For each data set, several searches look for modes, and a normal distribution is put at the
    mode, with the inverse of minus the Hessian as its covariance. Its draws, and as many of a t
    distribution of the same scale, are weighed by the posterior, and the result has draws that are
    chosen by their Pareto smoothed weights, so that they follow the posterior and not the normal
    distribution. A data set is sampled by `engine`
    instead, with draws that are those of `infer.sample([model], engine, key=[its key])`, if one of
    these holds:

    - no search converged, or one ended higher without having converged;
    - the searches found more than one mode;
    - minus the Hessian is not positive definite;
    - Pareto k-hat of the weights is above `max_khat`, or its limit for so many candidates;
    - the draws of the t distribution find mass that the normal distribution does not reach;
    - the candidates are worth fewer independent draws than 100 for each chain, or than half of the
      draws that are asked for.

    ArviZ's ESS takes the chosen draws of Laplace's method for independent ones; errors of estimates
    from them are those of `importance_ess` draws, if these are fewer.

    A mode that no search finds stays unknown, as it does to chains of NUTS. The group `ladder` of
    the result has, for each data set, the method that answered (`rung`), why it was not Laplace's
    (`reason`), `khat`, the number of independent draws that the candidates are worth
    (`importance_ess`) and what is wrong with its draws (`finding`).

    With `store=`, data sets are taken 256 at a time, or 16 by a cluster for at most 512 of them,
    and each such shard is committed. Those that are sampled make as many windows of warm-up as the
    others of their shard need, unless the engine has `stop_early=False`. A stored result has all
    statistics of the engine, whether or not it was needed.

    Attributes:
        engine: Samples the data sets on which Laplace's method fails: NUTS or HMC.
        searches: Number of searches for modes, from starts of their own.
        candidates: Number of draws that are weighed; by default twice the draws of all chains, but
            at least 2000.
        max_khat: Largest Pareto k-hat with which Laplace's method answers.

    Source: Tierney & Kadane (1986), section 2; Vehtari et al. (2024), Pareto smoothed importance
        sampling, section 3, also for the limit 1 - 1 / log10(candidates) of k-hat; Hesterberg
        (1995), Weighted average importance sampling and defensive mixture distributions.
    """

    engine: Engine = NUTS()  # noqa: RUF009
    searches: int = 8
    candidates: int | None = None
    max_khat: float = LARGEST_KHAT

    def __post_init__(self) -> None:
        if not isinstance(self.engine, Whitened):
            raise EngineError(
                "Ladder",
                f"{self.engine!r} is given as the engine of its last rung",
                "Give infer.NUTS() or infer.HMC().",
            )
        as_whole("Ladder(searches=)", self.searches, 2)
        if self.candidates is not None:
            as_whole("Ladder(candidates=)", self.candidates, FEWEST_CANDIDATES)
        is_number = isinstance(self.max_khat, Real)
        if not (is_number and 0 < self.max_khat <= LARGEST_KHAT):
            raise EngineError(
                "Ladder",
                f"max_khat is {self.max_khat!r}",
                f"Give a number above 0, up to {LARGEST_KHAT}.",
            )
