"""Advice for a posterior with difficult geometry."""

from ..density.base import LogDensity
from ..density.funnels import find_funnel_sites
from ..density.recentered import find_centering
from ..engines.base import Engine
from ..models.inputs.names import join_names

# Maximum number of sites that are named.
MAX_NAMED = 5


def advise_non_centered(density: LogDensity | None, engine: Engine | None) -> str:
    """Advise to non-center sites whose scale depends on other sites; "" if there are none.

    Sites whose centering the engine learns, or a fit has learned, need no advice; no engine learns
    none. For sites without a prior it is not known on what their scale depends, so the metric
    should learn that.
    """
    if density is None:
        return ""
    learns = engine is not None and engine.plan_warmup(1).recenters
    learned = {site.name for site in density.latent if learns and site.learns_centering}
    centering = find_centering(density)
    learned |= set() if centering is None else {piece.name for piece in centering.pieces}
    names = tuple(name for name in find_funnel_sites(density) if name not in learned)
    if not names:
        return _advise_hierarchical(density, engine)
    them = "it" if len(names) == 1 else "them"
    return (
        f"the scale of {join_names(names, MAX_NAMED)} depends on other sites: write {them} "
        "non-centered (centered=False, or LocScaleReparam in a NumPyro model)"
    )


def _advise_hierarchical(density: LogDensity, engine: Engine | None) -> str:
    is_constant = getattr(engine, "metric", "") in ("auto", "euclidean")
    fits = is_constant and getattr(engine, "energy", "") == "value"
    if not (density.without_prior and fits):
        return ""
    return (
        "let warm-up learn which coordinates set the scale of others: "
        f'{type(engine).__name__}(metric="hierarchical")'
    )


def advise_shorter_steps(engine: Engine) -> str:
    """Advise to raise the target acceptance, if the engine has one."""
    target = getattr(engine, "target_acceptance", None)
    return "" if target is None else f"raise target_acceptance (it is {target:g})"


def join_advice(*ways: str) -> str:
    """Join alternatives into a sentence."""
    whole = ", or ".join(way for way in ways if way)
    return f"{whole[:1].upper()}{whole[1:]}." if whole else ""
