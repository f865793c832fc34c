"""A fitted approximation: its draws, its log density, and how far to trust it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from ...counts import as_whole
from ...density.base import LogDensity
from ...density.family import singleton
from ...engines.base import Draws
from ...models.html import html_table, rounded
from ...numerics.families.base import Distribution
from ...numerics.families.named import find_family
from ...numerics.keys import make_key
from ...numerics.trace import list_recorded_steps
from ...programs.native import call_compiled, prepare
from ...run.run import Run
from ..advance.interrupt import advance_to
from ..data.arviz import describe_run, make_arviz
from ..data.drawn import Drawn
from ..data.pareto import pareto_k
from ..data.values import constrain_all
from ..finding import Finding

# Draws for the Pareto k estimate; Vehtari et al. advise 1000 or more.
TRUST_DRAWS = 2000
# Draws evaluated together; each may need memory for all rows of the data.
BATCH = 16
# Vehtari et al. (2024), Pareto smoothed importance sampling.
LARGEST_KHAT = 0.7
# Rounding error of a log density, in nats, above which it makes a tail of its own.
LARGEST_ROUNDING = 0.1
# Epochs averaged after the fit has settled; the error of the mean falls with their square root.
FINAL_EPOCHS = 50


class ElboTrace(NamedTuple):
    """How the ELBO rose.

    Attributes:
        epoch: Numbers of the epochs, from 0, shape (epochs,).
        elbo: Mean ELBO of the steps of each, in nats; NaN if the density has no value.
        error: Standard error of that mean.
    """

    epoch: np.ndarray
    elbo: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Approximation:
    """An approximation of the posterior by a distribution in the unconstrained space.

    Attributes:
        density: The log density it approximates.
        distribution: The distribution, averaged over 50 epochs after the fit has settled; for
            normals it has `mean` and `scale`, standard deviations or a factor of the covariance.
        family: "mean_field" or "full_rank".
        losses: Minus the mean ELBO of the steps of each of the last epochs, in nats; NaN if the
            density has no value. Those of single steps are noisier than `distribution`; their ELBO
            is lower.
        initial_elbo: ELBO of the first step, in nats; NaN if unknown.
        converged: Whether the stopping rule was met, and the ELBO is finite and does not end below
            `initial_elbo`.
        attributes: How the fit was made.
        trace: ELBO of the epochs from the first to the last, by number; at most 256 of them,
            evenly spaced.
    """

    density: LogDensity
    distribution: Distribution
    family: str
    losses: np.ndarray
    initial_elbo: float
    converged: bool
    attributes: dict[str, Any]
    trace: ElboTrace | None = None

    @property
    def elbo(self) -> float:
        """Evidence lower bound in nats, the mean of log p - log q over 2000 draws.

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

    def sample(self, draws: int = 1000, key: int | Array = 0) -> Any:
        """Draw from the approximation, as ArviZ data of one chain.

        The attribute `verdict` has the findings, a line each.
        """
        positions = self.positions(draws, key)
        values = constrain_all(self.density, positions[None])
        stats = {"log_q": self.log_prob(positions)[None]}
        attributes = self.attributes | {"verdict": "\n".join(self.findings)}
        return make_arviz(singleton(self.density), Drawn(values, stats), attributes)

    def positions(self, draws: int, key: int | Array = 0) -> np.ndarray:
        """Draw flat unconstrained vectors, shape (draws, size)."""
        draws, root = as_whole("draws", draws, 1), make_key(key)
        return np.asarray(
            call_compiled(_draw, self.distribution, root, static=(draws,), form="fast_compile")
        )

    def log_prob(self, positions: np.ndarray) -> np.ndarray:
        """Compute the log density in nats of flat unconstrained vectors, shape (draws, size).

        This is done on the host in double precision, so that the difference from another log
        density keeps its digits.
        """
        return self.distribution.log_density_on_host(positions)

    @cached_property
    def khat(self) -> float:
        """Pareto k of the importance ratios p / q, from 2000 draws.

        Below 0.5 the approximation is good, up to 0.7 it is usable with importance weights, and
        above it should not be trusted; minus infinity means exact to rounding. It is NaN if the
        density has no value, or too few digits for the ratios: in single precision they are lost
        for a log density of 10^7 nats.

        Source: Yao et al. (2018), Yes, but did it work?
        """
        if not self.density.has_value:
            return float("nan")
        log_ratios, rounding = self._log_ratios
        return float("nan") if rounding > LARGEST_ROUNDING else pareto_k(log_ratios)

    @cached_property
    def _log_ratios(self) -> tuple[np.ndarray, float]:
        """Compute log p - log q at 2000 draws, and the median rounding error of log p, in nats."""
        positions = self.positions(TRUST_DRAWS, key=1)
        log_densities = np.asarray(
            call_compiled(_log_densities, self.density, positions, form="fast_compile")
        )
        rounding = np.finfo(log_densities.dtype).eps * np.abs(log_densities)
        log_ratios = log_densities.astype(np.float64) - self.log_prob(positions)
        finite = rounding[np.isfinite(rounding)]
        return log_ratios, float(np.median(finite)) if finite.size else 0.0

    @property
    def _elbo_terms(self) -> np.ndarray:
        """Numbers whose mean is `elbo`."""
        return self._log_ratios[0] if is_affordable(self.density) else -self.losses

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the fit, and what to do; `fit` warns of it.

        With a minibatch `khat` is not computed, since it would evaluate all rows 2000 times.
        """
        return tuple(self._find_problems())

    def _find_problems(self) -> Iterator[Finding]:
        if not self.converged:
            yield self._describe_unconverged()
        if not is_affordable(self.density):
            return
        if self.converged and not np.isfinite(self.elbo):
            yield self._describe_infinite()
        if not self.khat <= LARGEST_KHAT:
            yield self._describe_untrusted()

    def __repr__(self) -> str:
        return f"Approximation({', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        values = constrain_all(self.density, self.positions(TRUST_DRAWS)[None])
        rows = [(n, rounded(v[0].mean(0)), rounded(v[0].std(0))) for n, v in values.items()]
        heads = ("name", "mean", "sd")
        return html_table("Approximation", rows, (*self._facts(), *self.findings), heads)

    @property
    def _kind(self) -> str:
        return self.family if self.family == "flow" else f"{self.family} normal"

    def _facts(self) -> list[str]:
        sites = ", ".join(site.name for site in self.density.latent)
        found = "converged" if self.converged else "not converged"
        known = f", khat={self.khat:.2f}" if "khat" in self.__dict__ else ""
        return [
            f"{self._kind} of {self.distribution.size} coordinates: {sites}",
            f"{found}, elbo={self.elbo:.6g}{known}",
        ]

    def _describe_unconverged(self) -> Finding:
        ended = -self.losses.mean()
        if self.density.has_value and not np.isfinite(ended):
            return Finding(
                "elbo_not_finite",
                "the ELBO is not finite, so the fit reached a region where the log density is not "
                "finite.",
                "Give other starts=, or look at infer.check(model).",
            )
        if ended < self.initial_elbo:
            return Finding(
                "diverged_fit",
                f"the ELBO ended at {ended:.4g} nats, below the initial "
                f"{self.initial_elbo:.4g}, so the fit has diverged.",
                "Give a smaller learning_rate, or more draws per step (batch=).",
            )
        return Finding(
            "unsettled_fit",
            "the fit did not settle: its parameters were still changing at the last epoch.",
            "Give more epochs=, or a larger tolerance if this is accurate enough.",
        )

    def _describe_infinite(self) -> Finding:
        lost = np.count_nonzero(~np.isfinite(self._log_ratios[0]))
        return Finding(
            "elbo_not_finite",
            f"the ELBO is {self.elbo:.4g}: the log density is not finite at {lost} of "
            f"{TRUST_DRAWS} draws from the approximation.",
            "If values there are impossible, declare the set of the possible ones as a "
            "constraint; otherwise look at infer.check(model).",
        )

    def _describe_untrusted(self) -> Finding:
        if np.isnan(self.khat):
            return Finding(
                "unknown_khat",
                "k-hat is unknown: the log density is so large that the importance ratios are "
                "lost to rounding.",
                "Remove constant terms from it, or compute in double precision: "
                'jax.config.update("jax_enable_x64", True).',
            )
        other = (
            'infer.ADVI("full_rank") follows correlations'
            if self.family == "mean_field"
            else "Other maps or priors may make the posterior more nearly normal"
        )
        return Finding(
            "high_khat",
            f"k-hat is {self.khat:.2f} (above {LARGEST_KHAT}): the approximation misses part of "
            "the posterior, so its means and standard deviations cannot be trusted.",
            f"{other}; infer.sample draws from the posterior itself.",
        )


def is_affordable(density: LogDensity) -> bool:
    """Return whether a fit evaluates the density at 2000 draws: it has a value and no minibatch."""
    return density.has_value and "minibatch" not in density.offers


def prepare_findings(density: LogDensity) -> None:
    """Start to compile what `khat` and `elbo` call, if they will be computed."""
    if is_affordable(density):
        dtype = jax.dtypes.canonicalize_dtype(float)
        prepare(
            _log_densities,
            (),
            (density, np.zeros((TRUST_DRAWS, density.size), dtype)),
            "fast_compile",
        )


def _draw(draws: int, distribution: Distribution, key: Array) -> Array:
    shape = (draws, distribution.size)
    noise = jax.random.normal(key, shape, distribution.location.dtype)
    return jax.vmap(distribution.forward)(noise)


def _log_densities(density: LogDensity, positions: Array) -> Array:
    return jax.lax.map(density, positions, batch_size=BATCH)


def read_approximations(run: Run) -> list[Approximation]:
    """Run a fit to its end and average its last epochs; return one result for each density."""
    advance_to(run, FINAL_EPOCHS)
    draws, tunings, traces = run.draws(), run.warmup.split_tuning(), _read_traces(run)
    return [
        replace(_read_approximation(run, draws, tunings[i], i), trace=traces[i])
        for i in range(run.family.count)
    ]


def _read_traces(run: Run) -> list[ElboTrace]:
    """Read the ELBO of every density's epochs from the states of the chains."""
    # On the host: slices of JAX arrays would compile a program for every leaf of the states.
    states = [jax.tree.map(np.asarray, group.state).unpack() for group in run.groups]
    pairs = [p for state in states for p in zip(state.trace, state.epochs, strict=True)]
    steps = [list_recorded_steps(int(epochs)) for _, epochs in pairs]
    return [ElboTrace(own, *p[0][:, : len(own)]) for own, p in zip(steps, pairs, strict=True)]


def _read_approximation(run: Run, draws: Draws, tuning: Any, index: int) -> Approximation:
    """Read the approximation of one density from its one chain, which has the same index."""
    engine: Any = run.engine
    density, elbo = run.family.member(index), draws.stats["elbo"][index]
    family = find_family("ADVI", engine.family)
    distribution = family.average(draws.positions[index], density.size)
    begun = float(tuning.begun)
    # The first ELBO is an estimate from few draws; a diverged fit ends far below it.
    below = elbo.mean() < begun - 1 - 0.01 * abs(begun)
    sound = not density.has_value or bool(np.isfinite(elbo).all() and not below)
    return Approximation(
        density,
        distribution,
        family.name,
        -elbo,
        begun,
        bool(tuning.settled) and sound,
        describe_run(run),
    )
