"""Plots of ArviZ as PNG images, with either generation of ArviZ and nothing shown on a screen."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import arviz
import numpy as np
import xarray

from ...errors import RunError
from ..data.versions import HAS_DATA_TREE, as_arviz
from .material import Material, find_divergent_numbers, to_log

# The two generations have other functions and arguments.
az: Any = arviz
EXTRA = "pushforward[report]"
DOTS_PER_INCH = 120
# Width of a picture, and height of a row of axes, in inches.
WIDTH, ROW = 10.0, 1.9
# Numbers in the plots of chains, in the pair plots, and observed variables that are checked.
MAX_PLOTTED, MAX_PAIRED, MAX_CHECKED = 6, 3, 4
PREDICTIVE_DRAWS = 50
# The colors of Okabe and Ito, which color-blind readers can tell apart.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
STYLE: dict[str, Any] = {
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "text.parse_math": False, "font.size": 9.0, "axes.titlesize": 10.0, "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0, "ytick.labelsize": 8.0, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": False, "figure.max_open_warning": 0,
}  # fmt: skip


class Picture(NamedTuple):
    """One plot.

    Attributes:
        png: The image; empty if it could not be drawn.
        alt: What the image shows, for readers who do not see it.
        caption: How to read it.
        failure: Why it could not be drawn.
    """

    png: bytes
    alt: str
    caption: str
    failure: str = ""


def library() -> Any:
    """Import matplotlib's pyplot, and what ArviZ needs to plot with it.

    Raises:
        RunError: It is not installed, or cannot be imported.
    """
    try:
        from matplotlib import pyplot

        if HAS_DATA_TREE:
            import arviz_plots  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RunError(
            "infer.report",
            f"the plots need matplotlib, which cannot be imported: {error}",
            f"Install it: pip install '{EXTRA}'.",
        ) from error
    return pyplot


def plot_traces(material: Material) -> Picture:
    """Plot the draws of the worst numbers in the order they were made, with their densities."""
    chosen = material.worst(MAX_PLOTTED)
    data = _as_result(material, chosen)
    size = (WIDTH, ROW * len(chosen))

    def draw() -> None:
        if HAS_DATA_TREE:
            az.plot_trace_dist(
                data, compact=False, backend="matplotlib", figure_kwargs={"figsize": size}
            )
        else:
            az.plot_trace(data, compact=False, figsize=size)

    return _picture(
        draw,
        f"Densities and traces of {_names(material, chosen)}, with a color for each chain.",
        "Left, the density of each chain: they should lie on each other. Right, its draws in "
        "order: they should look like noise around one level. Drifts, steps and flat stretches "
        "mean that a chain has not covered the posterior. Ticks at the bottom mark divergences.",
    )


def plot_ranks(material: Material) -> Picture:
    """Plot the ranks of the worst numbers' draws among those of all chains."""
    chosen = material.worst(MAX_PLOTTED)
    data = _as_result(material, chosen)
    rows = -(-len(chosen) // 3)
    size = (WIDTH, 2.2 * rows)

    def draw() -> None:
        if HAS_DATA_TREE:
            az.plot_rank(data, backend="matplotlib", col_wrap=3, figure_kwargs={"figsize": size})
        else:
            az.plot_rank(data, kind="bars", figsize=size, grid=(rows, min(3, len(chosen))))

    how = (
        "The lines are differences from uniform ranks: those of chains that agree stay flat, and "
        "black points mark where they do not."
        if HAS_DATA_TREE
        else "Each row has the histogram of a chain, whose bars stay near the dashed line if the "
        "chains agree."
    )
    return _picture(
        draw,
        f"Ranks of {_names(material, chosen)}, with a color for each chain.",
        f"The draws of all chains are ranked together. {how} A slope means that a chain lies too "
        "low or too high, and an arch that its spread differs.",
    )


def plot_energy(material: Material) -> Picture:
    """Plot the energies, and their changes from draw to draw."""
    data = _as_result(material, material.worst(1))

    def draw() -> None:
        if HAS_DATA_TREE:
            az.plot_energy(data, backend="matplotlib", figure_kwargs={"figsize": (WIDTH, 3)})
        else:
            az.plot_energy(data, figsize=(WIDTH, 3))

    return _picture(
        draw,
        "Density of the energy beside the density of its changes from draw to draw.",
        "If the changes are much narrower than the energies themselves, chains move slowly between "
        "the center and the tails, and E-BFMI is below 0.3.",
    )


def plot_divergences(material: Material) -> Picture:
    """Plot pairs of the numbers that differ most where transitions diverged."""
    chosen = find_divergent_numbers(material, MAX_PAIRED)
    draws, is_log = to_log(material.numbers.draws[chosen])
    names = [material.numbers.names[i] for i in chosen]
    names = [f"log {n}" if log else n for n, log in zip(names, is_log, strict=True)]
    posterior = xarray.Dataset(
        {n: (("chain", "draw"), d) for n, d in zip(names, draws, strict=True)}
    )
    posterior = posterior.assign_coords(material.select([]).coords)
    data = as_arviz({"posterior": posterior, "sample_stats": _stats(material)}, {})
    size = (WIDTH * 0.75, WIDTH * 0.7)

    def draw() -> None:
        if HAS_DATA_TREE:
            az.plot_pair(
                data,
                visuals={
                    "divergence": {"color": COLORS[5], "alpha": 0.9},
                    "scatter": {"color": COLORS[0], "alpha": 0.25, "size": 6},
                },
                backend="matplotlib", figure_kwargs={"figsize": size},
            )  # fmt: skip
        else:
            az.plot_pair(
                data, divergences=True, figsize=size, textsize=9, marginals=True,
                scatter_kwargs={"alpha": 0.25, "color": COLORS[0], "s": 6},
                divergences_kwargs={"color": COLORS[5], "markersize": 4, "alpha": 0.9},
                marginal_kwargs={"color": COLORS[0]},
            )  # fmt: skip

    return _picture(
        draw,
        f"Pairs of {', '.join(names)}, with the draws after divergent transitions marked.",
        "Marked are the draws whose transition diverged, for the quantities in which they differ "
        "most from the others. Where they gather, the posterior is too narrow or too steep for the "
        "step size, and draws beyond are missing.",
    )


def plot_predictive(material: Material, name: str, group: str) -> Picture:
    """Plot what was observed with draws of it from a predictive group."""
    wanted = {k: material.groups[k][[name]] for k in (group, "observed_data")}
    data = as_arviz(wanted, {})
    of = group.removesuffix("_predictive")

    def draw() -> None:
        if HAS_DATA_TREE:
            az.plot_ppc_dist(
                data, group=group, num_samples=PREDICTIVE_DRAWS, backend="matplotlib",
                figure_kwargs={"figsize": (WIDTH * 0.7, 3.2)},
            )  # fmt: skip
        else:
            made = wanted[group].sizes
            az.plot_ppc(
                data, group=of, num_pp_samples=min(PREDICTIVE_DRAWS, made["chain"] * made["draw"]),
                observed=True, figsize=(WIDTH * 0.7, 3.2), random_seed=0, textsize=9,
            )  # fmt: skip

    return _picture(
        draw,
        f"Distribution of the observed {name} among {PREDICTIVE_DRAWS} drawn from the {of}.",
        f"{name}: the black line is what was observed, the thin lines are data drawn from the "
        f"{of}. Where the black line leaves the others, the model does not describe the data.",
    )


def _as_result(material: Material, chosen: list[int]) -> Any:
    groups = {"posterior": material.select(chosen)}
    stats = _stats(material)
    return as_arviz(groups | ({"sample_stats": stats} if stats.data_vars else {}), {})


def _stats(material: Material) -> xarray.Dataset:
    """Return the statistics that ArviZ plots, with the coordinates of the numbers."""
    stats = material.groups.get("sample_stats", xarray.Dataset())
    kept = {
        name: (("chain", "draw"), np.asarray(stats[name].transpose("chain", "draw")))
        for name in ("energy", "diverging")
        if name in stats and set(stats[name].dims) == {"chain", "draw"}
    }
    return xarray.Dataset(kept, material.select([]).coords)


def _names(material: Material, chosen: list[int]) -> str:
    return ", ".join(material.numbers.names[i] for i in chosen)


def _picture(draw: Callable[[], Any], alt: str, caption: str) -> Picture:
    """Draw; a plot that fails says why in its place, and leaves the rest of the report as it is."""
    try:
        return Picture(_draw_png(draw), alt, caption)
    except Exception as error:
        return Picture(b"", alt, caption, f"{type(error).__name__}: {error}")


def _draw_png(draw: Callable[[], Any]) -> bytes:
    pyplot = library()
    with _figures(pyplot) as made:
        draw()
        figure = pyplot.figure(made()[-1])
        # Lets no title of a row lie on the axis above it.
        figure.set_layout_engine("constrained")
        written = io.BytesIO()
        figure.savefig(written, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight")
    return written.getvalue()


@contextmanager
def _figures(pyplot: Any) -> Iterator[Callable[[], list[int]]]:
    """Draw off the screen in our style; afterwards close the new figures and no others."""
    from cycler import cycler

    before = set(pyplot.get_fignums())
    new = lambda: [n for n in pyplot.get_fignums() if n not in before]  # noqa: E731
    style = STYLE | {"axes.prop_cycle": cycler(color=COLORS)}
    with pyplot.ioff(), pyplot.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield new
        finally:
            for number in new():
                pyplot.close(number)
