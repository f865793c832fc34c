"""A fitted approximation: its draws, its log density, and how far to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ...counts import as_whole
from ...density.base import LogDensity
from ...density.family import singleton
from ...engines.approximating import ElboTrace
from ...engines.base import Engine
from ...engines.nuts import NUTS
from ...errors import FitWarning, RunError, warn
from ...models.html import html_table, rounded
from ...numerics.families.base import Distribution, Family
from ...numerics.keys import make_key
from ..data.arviz import make_arviz
from ..data.drawn import Drawn
from ..data.values import constrain_all
from ..finding import Finding
from .audited import Departures, prepare_audit, run_audit
from .handover import DRAWS as METRIC_DRAWS, make_tuning_from
from .mixture import draw_from_mixture, draw_positions
from .pruned import find_signal, prune as set_to_zero
from .ratios import (
    BATCH_DRAWS,
    Ratios,
    choose_candidates,
    is_affordable,
    prepare_ratios,
    weigh,
)
from .shortcomings import (
    describe_heavy_ratios,
    describe_known,
    describe_rounding,
    find_shortcomings,
    has_heavy_tail,
)
from .split import PerDatum, split_elbo

# Above this k, ten times as many draws are weighed.
DOUBTFUL_KHAT, MORE_BATCHES = 0.5, 10
# Draws that the table of a notebook is made from.
SHOWN_DRAWS = 2000


@dataclass(frozen=True)
class Approximation:
    """An approximation of the posterior by a distribution in the unconstrained space.

    Attributes:
        density: The log density it approximates, in the coordinates of the fit: if those are
            learned, sites are centered to the degrees that it has as `degrees`; see
            docs/centering.md.
        distribution: The distribution, averaged over 50 epochs after the fit has settled; for
            normals it has `mean` and `scale`, standard deviations or a factor of the covariance.
        family: Name of the family, such as "mean_field" or "low_rank".
        losses: Minus the mean ELBO of the steps of each of the last epochs, in nats; NaN if the
            density has no value, and empty if the engine has no epochs. Those of single steps are
            noisier than `distribution`; their ELBO is lower.
        initial_elbo: ELBO of the first step, or with minibatches of the first epoch, in nats; NaN
            if unknown.
        converged: Whether the stopping rule was met, and the ELBO is finite and does not end below
            `initial_elbo`.
        attributes: How the fit was made.
        trace: ELBO of the epochs from the first to the last, by number; at most 256 of them,
            evenly spaced; None if the engine has no epochs.
        problems: What the engine itself knows to be wrong; part of `findings`.
        facts: What else the `repr` says, in a few words each.
        n_gradients: Gradients that the engine took, with those of searches from whose ends it
            began, and without those of the audit; 0 if unknown.
        reasons: Why this engine, one sentence each, if `infer.fit` chose it.
        paths: The distributions of all paths of `Pathfinder`, from which draws are resampled.
    """

    density: LogDensity
    distribution: Distribution
    family: str
    losses: np.ndarray
    initial_elbo: float
    converged: bool
    attributes: dict[str, Any]
    trace: ElboTrace | None = None
    problems: tuple[Finding, ...] = ()
    facts: tuple[str, ...] = ()
    n_gradients: int = 0
    reasons: tuple[str, ...] = ()
    paths: tuple[Distribution, ...] = ()

    @property
    def elbo(self) -> float:
        """Evidence lower bound in nats, the mean of log p - log q over the draws of `ratios`.

        It is minus infinity if the log density is so at one of the draws, and NaN if the density
        has no value. With a minibatch it is the mean over the last epochs, which is lower, since
        2000 draws would evaluate all rows 2000 times.
        """
        return float(self._elbo_terms.mean())

    @property
    def elbo_se(self) -> float:
        """Monte Carlo standard error of `elbo` in nats.

        With a minibatch it takes the last epochs for independent, and does not include their bias.
        """
        terms = self._elbo_terms
        return float(terms.std() / np.sqrt(terms.size)) if np.isfinite(terms).all() else np.nan

    @cached_property
    def per_datum(self) -> PerDatum:
        """ELBO, expected log likelihood and divergence from the prior per observation, in nats.

        Raises:
            RunError: The model has no rows of observations.
        """
        return split_elbo(self.density, self.distribution, self.elbo, self.elbo_se)

    @property
    def signal_to_noise(self) -> Mapping[str, np.ndarray]:
        """|mean| / sd of every number of the sites on the real line, by name."""
        return find_signal(self.density, self.distribution)

    def sample(
        self,
        draws: int = 1000,
        key: int | Array = 0,
        resample: str | None = None,
        prune: float = 0.0,
    ) -> Any:
        """Draw from the approximation, as ArviZ data of one chain.

        The attribute `verdict` has the findings, a line each.

        Args:
            draws: Number of draws.
            key: A seed or a JAX key.
            resample: "psis" chooses the draws among ten times as many by Pareto smoothed importance
                weights, so that they follow the posterior as far as k-hat is below 0.7. Some are
                then chosen more than once. With `Pathfinder` the candidates come from all paths.
                By default draws of the approximation itself.
            prune: Share of the numbers on the real line, those of the lowest `signal_to_noise`,
                that are zero in every draw, such as 0.75 of the weights of a network.

        Raises:
            RunError: The density has no value, or minibatches, so draws cannot be weighed. Or
                `prune` is not a share.

        Warns:
            FitWarning: k-hat of the weights is above 0.7 and few draws hold nearly all weight,
                or the weights are lost to rounding.
        """
        attributes = self.attributes | {"verdict": "\n".join(self.findings)}
        if resample is None:
            positions = self.positions(draws, key)
        else:
            positions, ratios = self._resample(draws, key, resample)
            khat = np.nan if ratios.is_rounded else ratios.khat
            attributes |= {"resampled_khat": khat, "resampled_ess": ratios.ess}
        if prune:
            positions = set_to_zero(positions, self.density, self.distribution, prune)
        values = constrain_all(self.density, positions[None])
        stats = {"log_q": self.log_prob(positions)[None]}
        return make_arviz(singleton(self.density), Drawn(values, stats), attributes)

    def starts(self, chains: int = 4, key: int | Array = 0) -> Mapping[str, np.ndarray]:
        """Choose a start for each chain of a sampler: `infer.sample(model, starts=fit.starts())`.

        They are draws of the approximation, by importance weights if the density has a value.

        Args:
            chains: Number of chains.
            key: A seed or a JAX key.

        Returns:
            Constrained values of the latent sites, by name, with a leading axis of chains.
        """
        chains = as_whole("chains", chains, 1)
        positions, log_q = self._draw_candidates(max(chains, BATCH_DRAWS), key)
        ratios = weigh(self.density, positions, log_q) if is_affordable(self.density) else None
        if ratios is not None and not ratios.is_rounded:
            rng = np.random.default_rng(0)
            # Distinct ones: chains that begin alike could not tell whether they agree.
            chosen = np.unique(ratios.resample(len(positions), rng))
            positions = positions[rng.permutation(chosen)] if chosen.size >= chains else positions
        values = constrain_all(self.density, positions[None, :chains])
        return {site.name: values[site.name][0] for site in self.density.latent}

    def tuning(self, engine: Engine | None = None) -> Any:
        """Make the tuning of a sampler from the approximation's covariance.

        `infer.sample(model, engine, starts=fit.starts(), tuning=fit.tuning(engine))` begins its
        warm-up with it, and so ends it sooner.

        Args:
            engine: The sampler; by default `NUTS()`.

        Raises:
            EngineError: The engine has no metric.
        """
        positions = self.positions(METRIC_DRAWS)
        engine = NUTS() if engine is None else engine
        return make_tuning_from(self.density, self.distribution, positions, engine)

    def positions(self, draws: int, key: int | Array = 0) -> np.ndarray:
        """Draw flat unconstrained vectors, shape (draws, size)."""
        return draw_positions(self.distribution, as_whole("draws", draws, 1), key)

    def log_prob(self, positions: np.ndarray) -> np.ndarray:
        """Compute the log density in nats of flat unconstrained vectors, shape (draws, size).

        This is done on the host in double precision, so that the difference from another log
        density keeps its digits.

        Raises:
            RunError: The positions are not of shape (draws, size), nor one vector of shape (size,).
        """
        own = () if isinstance(positions, Mapping) else np.shape(positions)
        if own[-1:] != (self.density.size,) or len(own) > 2:
            mend = "Give flat unconstrained vectors: jax.vmap(fit.density.unconstrain)(values)."
            found = f"they are not of shape (draws, {self.density.size})"
            raise RunError("positions", found, mend)
        return self.distribution.log_density_on_host(positions)

    @cached_property
    def khat(self) -> float:
        """Pareto k of the importance ratios p / q, from 2000 draws, or 20,000 if it exceeds 0.5.

        Below 0.5 importance weights are reliable, up to 0.7 they are usable, and above it they are
        not; minus infinity means exact to rounding. The audit judges means and standard deviations;
        see `departures`. It is NaN if the density has no value, or too few digits for the ratios:
        in single precision they are lost for a log density of 10^7 nats.

        Source: Yao et al. (2018), Yes, but did it work?; Vehtari et al. (2024), section 3.2.4.
        """
        ratios = self.ratios
        return float("nan") if ratios is None or ratios.is_rounded else ratios.khat

    @cached_property
    def ratios(self) -> Ratios | None:
        """Importance ratios p / q, with all rows of the data; None if the density has no value."""
        first = self.first_ratios
        if first is None or first.is_rounded or not DOUBTFUL_KHAT < first.khat < np.inf:
            return first
        keys = range(2, 1 + MORE_BATCHES)
        return first.join(self._weigh(self.positions(BATCH_DRAWS, key=key)) for key in keys)

    @cached_property
    def first_ratios(self) -> Ratios | None:
        """Ratios of the first 2000 draws, which show whether all are finite and exact enough."""
        has_value = self.density.has_value
        return self._weigh(self.positions(BATCH_DRAWS, key=1)) if has_value else None

    @cached_property
    def departures(self) -> Departures | None:
        """How short chains of HMC that began at its draws departed from it.

        None if the density has no value or too few digits, or if the approximation is not finite.
        """
        first = self.first_ratios
        if first is None or first.is_rounded or not self.is_finite:
            return None
        return run_audit(self.density, self.distribution)

    @cached_property
    def is_finite(self) -> bool:
        """Whether all parameters of the distribution are finite."""
        return bool(np.isfinite(np.asarray(self.distribution.pack())).all())

    def _weigh(self, positions: np.ndarray) -> Ratios:
        return weigh(self.density, positions, self.log_prob(positions))

    def _draw_candidates(self, draws: int, key: int | Array) -> tuple[np.ndarray, np.ndarray]:
        """Draw from all paths, if there are several, with the log density of their mixture."""
        return draw_from_mixture(self.paths or (self.distribution,), draws, key)

    def _resample(self, draws: int, key: int | Array, how: str) -> tuple[np.ndarray, Ratios]:
        draws = as_whole("draws", draws, 1)
        if how != "psis":
            raise RunError("resample", f"{how!r} is given", 'Choose "psis", or leave it out.')
        if not is_affordable(self.density):
            raise RunError(
                "resample",
                "the log density has no value, or minibatches, so draws cannot be weighed",
                "Leave out resample=.",
            )
        candidates = choose_candidates(draws, self.density.size)
        positions, log_q = self._draw_candidates(candidates, key)
        ratios = weigh(self.density, positions, log_q)
        if ratios.is_rounded:
            warn(describe_rounding(), FitWarning)
        elif has_heavy_tail(ratios):
            advice = "Leave out resample=, or fit a wider family."
            warn(describe_heavy_ratios(ratios.khat, ratios.ess, advice), FitWarning)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(make_key(key))))
        return positions[ratios.resample(draws, rng)], ratios

    @property
    def _elbo_terms(self) -> np.ndarray:
        """Numbers whose mean is `elbo`."""
        ratios = self.ratios if is_affordable(self.density) else None
        return -self.losses if ratios is None else ratios.log_ratios

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the fit, and what to do; `fit` warns of it.

        With a minibatch neither `khat` nor `departures` is computed, since they would evaluate all
        rows thousands of times.
        """
        return tuple(find_shortcomings(self))

    def __repr__(self) -> str:
        return f"Approximation({', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        values = constrain_all(self.density, self.positions(SHOWN_DRAWS)[None])
        rows = [(n, rounded(v[0].mean(0)), rounded(v[0].std(0))) for n, v in values.items()]
        heads = ("name", "mean", "sd")
        return html_table(
            "Approximation", rows, (*self._facts(), *self.reasons, *self.findings), heads
        )

    @property
    def _kind(self) -> str:
        return self.family if self.family == "flow" else f"{self.family} normal"

    def _facts(self) -> list[str]:
        sites = ", ".join(site.name for site in self.density.latent)
        found = "converged" if self.converged else "not converged"
        return [
            f"{self._kind} of {self.distribution.size} coordinates: {sites}",
            ", ".join([found, *describe_known(self)]),
            *self.facts,
        ]


def prepare_findings(density: LogDensity, family: Family) -> None:
    """Start to compile what the findings call, if they will be computed."""
    if is_affordable(density):
        location = np.zeros(density.size, jax.dtypes.canonicalize_dtype(float))
        prepare_ratios(density, location.dtype)
        prepare_audit(density, jax.eval_shape(family.begin, location, location))
