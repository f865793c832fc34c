"""The settings of parallel tempering, and what they refuse."""

from dataclasses import dataclass
from typing import Literal

from ..counts import as_whole
from ..density.base import LogDensity
from ..engines.base import Engine
from ..engines.nuts import NUTS
from ..engines.whitened import Whitened
from ..errors import EngineError

# Levels above the reference; the barrier of a path that needs more is above 32.
FEWEST_LEVELS, MOST_LEVELS = 2, 64


@dataclass(frozen=True)
class Tempered:
    """Non-reversible parallel tempering, for posteriors with modes that chains do not leave.

    Each chain of the result is the top of a ladder of chains, one for each power p_i from 0 to 1.
    Level i samples (1 - p_i) * log reference + p_i * log posterior with `engine` and a tuning of
    its own; at power 0 the draws are exact and independent. After every few draws, neighboring
    levels may swap their points, even pairs and odd pairs in turn, so that points from the
    reference arrive at the posterior. In warm-up, in rounds that double, the powers are chosen so
    that all neighbors swap equally often, and the number of levels is twice the barrier, the sum
    of the rejections.

    The result is that of the level of power 1. Its group `tempering` has the powers, the mean
    acceptance of swaps, the round trips of each chain, and the log ratios from which
    `infer.evidence` computes the evidence.

    Attributes:
        engine: Moves the chains of all levels: NUTS or HMC.
        levels: Number of levels above the reference; "auto" chooses it in warm-up, from 2 to 64.
        reference: "approximation" is a normal in the flat vector, fitted to where chains from many
            starts end in an untempered first round; modes that none of them finds are likely to
            be missed. "prior" needs proper priors, and more levels the more the data tell.
        swap_every: Draws of each chain between two turns of swaps.

    Source: Syed, Bouchard-Cote, Deligiannidis & Doucet (2022), Non-reversible parallel tempering;
        for the fitted reference, Surjanovic, Syed, Bouchard-Cote & Campbell (2022), Parallel
        tempering with a variational reference.
    """

    engine: Engine = NUTS()  # noqa: RUF009
    levels: int | Literal["auto"] = "auto"
    reference: Literal["prior", "approximation"] = "approximation"
    swap_every: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.engine, Whitened) or getattr(self.engine, "energy", "") != "value":
            raise EngineError(
                "Tempered",
                f"{self.engine!r} is given as the engine of its levels",
                "Give infer.NUTS() or infer.HMC().",
            )
        if self.levels != "auto":
            as_whole("Tempered(levels=)", self.levels, FEWEST_LEVELS)
        as_whole("Tempered(swap_every=)", self.swap_every, 1)
        if self.reference not in ("prior", "approximation"):
            raise EngineError(
                "Tempered",
                f"reference is {self.reference!r}",
                'Choose "prior" or "approximation".',
            )

    def refuse_unless_offered(self, density: LogDensity) -> None:
        """Raise if the reference is the prior and a site has none.

        Raises:
            EngineError: One has none.
        """
        if self.reference == "prior" and "parts" not in density.offers:
            names = ", ".join(map(repr, density.without_prior)) or "a site"
            raise EngineError(
                "Tempered",
                f"its reference is the prior, but {names} has a constraint and no prior",
                'Give it a proper prior, or choose reference="approximation".',
            )
