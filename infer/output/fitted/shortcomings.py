"""What is wrong with an approximation, and what to do about it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...engines.approximating import has_fallen
from ..finding import Finding
from ..remedy import advise_non_centered, join_advice
from .audited import find_departures
from .ratios import Ratios, is_affordable

# Vehtari et al. (2024), Pareto smoothed importance sampling.
LARGEST_KHAT = 0.7
# Share of effective draws below which importance weights rest on few of them.
SMALLEST_ESS = 0.05
# Advice by family, and the advice for all others.
NARROW = {"mean_field": 'infer.ADVI("full_rank") follows correlations'}
WIDE = "Another parametrization or prior may make the posterior more nearly normal"


def find_shortcomings(fit: Any) -> Iterator[Finding]:
    """Yield the problems of a fit: not settled, not finite, or not like the posterior.

    The audit decides whether means and standard deviations can be trusted. Pareto's k alone would
    not do: it exceeds 0.7 for approximations with 98 % of effective draws, and stays below for
    others whose standard deviations are half of the right ones.

    Args:
        fit: An `Approximation`.
    """
    # A normal distribution may describe most of the mass beside a peak without bound.
    problems = [p for p in fit.problems if p.kind != "unbounded_density" or not fit.converged]
    is_unbounded = any(p.kind == "unbounded_density" for p in problems)
    # A density that grows without bound is why a fit does not settle.
    yield from (p for p in problems if not is_unbounded or p.kind != "unsettled_fit")
    is_explained = is_unbounded or (problems and not fit.is_finite)
    is_named = any(p.kind == "unsettled_fit" for p in problems)
    # Engines without epochs have no losses, and say themselves why they have not converged.
    if not fit.converged and not is_explained and not is_named and fit.losses.size:
        yield _describe_unconverged(fit)
    if not is_affordable(fit.density) or is_explained:
        return
    failed = fit.departures and tuple(find_departures(fit.density, fit.departures, _advise(fit)))
    # No k-hat could mend a failed audit, so that nothing needs more draws.
    ratios = fit.first_ratios if failed else fit.ratios
    if fit.converged and not np.isfinite(ratios.log_ratios).all():
        yield _describe_infinite(ratios)
    if ratios.is_rounded:
        yield describe_rounding()
    if failed:
        yield from failed
    elif not ratios.is_rounded and has_heavy_tail(ratios):
        yield describe_heavy_ratios(ratios.khat, ratios.ess, _advise(fit))


def describe_known(fit: Any) -> Iterator[str]:
    """Describe the ELBO and k-hat of a fit if they are computed already; draws nothing."""
    known = vars(fit).get("ratios", vars(fit).get("first_ratios"))
    if known is not None:
        yield f"elbo={known.log_ratios.mean():.6g}"
        yield f"khat={np.nan if known.is_rounded else known.khat:.2f}"
    elif fit.losses.size and not is_affordable(fit.density):
        yield f"elbo={fit.elbo:.6g}"


def _describe_unconverged(fit: Any) -> Finding:
    ended = -float(fit.losses.mean())
    if fit.density.has_value and not np.isfinite(ended):
        return Finding(
            "elbo_not_finite",
            "the ELBO is not finite, so the fit reached a region where the log density is not "
            "finite.",
            "Give other starts=, or look at infer.check(model).",
        )
    if has_fallen(ended, fit.initial_elbo):
        return Finding(
            "diverged_fit",
            f"the ELBO ended at {ended:.4g} nats, below the initial "
            f"{fit.initial_elbo:.4g}, so the fit has diverged.",
            "Give a smaller learning_rate, or more draws per step (batch=).",
        )
    return Finding(
        "unsettled_fit",
        "the fit did not settle: its parameters were still changing at the last epoch.",
        "Give more epochs=, or a larger tolerance if this is accurate enough.",
    )


def _describe_infinite(ratios: Ratios) -> Finding:
    lost, draws = np.count_nonzero(~np.isfinite(ratios.log_ratios)), ratios.log_ratios.size
    elbo = ratios.log_ratios.mean()
    return Finding(
        "elbo_not_finite",
        f"the ELBO is {elbo:.4g}: the log density is not finite at {lost} of {draws} draws from "
        "the approximation.",
        "If values there are impossible, declare the set of the possible ones as a constraint; "
        "otherwise look at infer.check(model).",
    )


def has_heavy_tail(ratios: Ratios) -> bool:
    """Return whether importance weights rest on few draws."""
    return ratios.khat > LARGEST_KHAT and ratios.ess < SMALLEST_ESS


def describe_rounding() -> Finding:
    """Describe ratios that have too few digits."""
    return Finding(
        "unknown_khat",
        "k-hat is unknown: the log density is so large that the importance ratios are lost to "
        "rounding.",
        "Remove constant terms from it, or compute in double precision: "
        'jax.config.update("jax_enable_x64", True).',
    )


def describe_heavy_ratios(khat: float, ess: float, advice: str) -> Finding:
    """Describe importance weights that rest on few draws."""
    return Finding(
        "high_khat",
        f"k-hat is {khat:.2f} (above {LARGEST_KHAT}), and {ess:.1%} of the draws are effective: "
        "importance weights rest on few of them, and tails cannot be trusted.",
        advice,
    )


def _advise(fit: Any) -> str:
    reparametrize = join_advice(advise_non_centered(fit.density, None))
    other = f"{NARROW.get(fit.family, WIDE)}; infer.sample draws from the posterior itself."
    return f"{reparametrize} {other}".lstrip()
