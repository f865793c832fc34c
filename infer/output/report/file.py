"""Write what a result holds and what is wrong with it to one HTML file."""

from os import PathLike
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np

from ...calls import check_arguments
from ...errors import RunError
from ...models.html import rounded
from ..data.versions import as_arviz
from ..fitted.approximation import Approximation
from ..judge.transitions import compute_bfmi
from ..judge.unmixed import LARGEST_RHAT, MANY_CHAINS, SMALLEST_ESS
from . import page
from .material import Material, read_material
from .plots import (
    MAX_CHECKED,
    MAX_PLOTTED,
    library,
    plot_divergences,
    plot_energy,
    plot_predictive,
    plot_ranks,
    plot_traces,
)

# Numbers in the table, and characters of an attribute.
MAX_ROWS, MAX_TEXT = 60, 4000


@check_arguments("infer.report")
def report(
    data: Any,
    path: str | PathLike[str] = "report.html",
    *,
    title: str = "Posterior report",
    dataset: int | None = None,
) -> Path:
    """Write a report of a result: one HTML file, which loads nothing and can be sent and printed.

    It has the verdict, a table of the quantities, rank and trace plots, energies, pair plots of
    what diverged, predictive checks, timing and provenance, as far as the result has them. The
    plots are ArviZ's. If there are many quantities, the worst by R-hat and ESS are shown.

    Args:
        data: What `sample` returned or `Approximation.sample`, an `Approximation`, or other ArviZ
            data with a posterior. With the groups `posterior_predictive` or `prior_predictive` and
            `observed_data` there are predictive checks, and with `log_likelihood` the expected log
            predictive density by leave-one-out.
        path: Where to write the file; one of the same name is replaced.
        title: Heading of the page.
        dataset: Which data set to show, for a result of several; by default the one with the
            largest R-hat.

    Returns:
        The path of the file.

    Raises:
        RunError: `data` is no such result, there is no such data set, the folder does not exist, or
            matplotlib is not installed, which the extra `report` brings.
    """
    goal = _check_path(path)
    library()
    material = read_material(data, dataset)
    findings = _find(data, material)
    sections = [
        ("Verdict", _write_verdict(material, findings)),
        ("Summary", _write_summary(material)),
        ("Chains", _write_chains(material)),
        ("Energy", _write_energy(material)),
        ("Divergences", _write_divergences(material)),
        ("Predictive checks", _write_predictive(material)),
        ("Timing", _write_timing(material)),
        ("Provenance", _write_provenance(material)),
    ]
    made = page.page(title, _lead(material), [(head, html) for head, html in sections if html])
    goal.write_text(made, encoding="utf-8")
    return goal


def _check_path(path: Any) -> Path:
    goal = Path(path)
    if goal.is_dir():
        raise RunError("path", f"{str(goal)!r} is a folder", "Name a file, such as 'report.html'.")
    if not goal.parent.is_dir():
        raise RunError(
            "path",
            f"the folder {str(goal.parent)!r} does not exist",
            "Make it first, or name another file.",
        )
    return goal


def _find(data: Any, material: Material) -> list[str] | None:
    """Return the findings that a result carries, or `None` if nobody has judged it."""
    if isinstance(data, Approximation):
        return list(data.findings)
    if "verdict" not in material.attributes:
        return None
    return [line for line in str(material.attributes["verdict"]).splitlines() if line.strip()]


def _lead(material: Material) -> str:
    engine = material.attributes.get("engine")
    how = f", made by {engine}" if engine else ""
    if material.is_fit:
        return f"{material.chains * material.draws} independent draws of an approximation{how}."
    chains = f"{material.chains} chain{'s' * (material.chains > 1)}"
    which = "" if material.dataset is None else f"Data set {material.dataset}: "
    return f"{which}{chains} of {material.draws} draws{how}."


def _write_verdict(material: Material, findings: list[str] | None) -> str:
    if findings is None:
        head = "Nobody has judged these draws: the result has no attribute `verdict`."
        box = page.verdict_box(head + " R-hat and ESS are below.", (), is_bad=False)
    elif findings:
        count = f"{len(findings)} problem{'s were' if len(findings) > 1 else ' was'} found."
        box = page.verdict_box(count, findings, is_bad=True)
    else:
        box = page.verdict_box("No problems found.", (), is_bad=False)
    unseen = str(material.attributes.get("verdict_not_checked", ""))
    box += page.paragraph(unseen) if unseen else ""
    return box + page.facts(_facts(material)) + _say_which_dataset(material)


def _say_which_dataset(material: Material) -> str:
    if material.dataset is None:
        return ""
    why = ", the one with the largest R-hat" if material.is_chosen else ""
    return page.paragraph(
        f"The result has {material.datasets} data sets, and the verdict is on all of them. The "
        f"rest of this page shows data set {material.dataset}{why}; "
        "infer.report(data, path, dataset=i) shows another."
    )


def _facts(material: Material) -> dict[str, str]:
    found = material.diagnostics
    least = {name: _extreme(np.nanmin, found[f"ess_{name}"]) for name in ("bulk", "tail")}
    named = {
        "largest R-hat": _extreme(np.nanmax, found["r_hat"]),
        "smallest bulk ESS": least["bulk"],
        "smallest tail ESS": least["tail"],
        "divergent transitions": f"{material.diverging.sum()}" * _has(material, "diverging"),
        "smallest E-BFMI": f"{_bfmi(material):.2f}" if _has(material, "energy") else "",
    }  # fmt: skip
    return {name: text for name, text in named.items() if text}


def _extreme(pick: Any, values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not known.size:
        return ""
    return f"{pick(known):.3f}" if pick is np.nanmax else f"{pick(known):.0f}"


def _has(material: Material, stat: str) -> bool:
    return stat in material.groups.get("sample_stats", {})


def _bfmi(material: Material) -> float:
    energy = material.groups["sample_stats"]["energy"].transpose("chain", "draw")
    return float(np.nanmin(compute_bfmi(np.asarray(energy)), initial=np.inf))


def _write_summary(material: Material) -> str:
    shown = material.worst(MAX_ROWS)
    if not shown:
        return page.paragraph("No quantity varies.")
    # ArviZ rounds to a fixed number of decimals otherwise, which small numbers do not survive.
    made: Any = az.summary(material.select(shown), round_to="none")
    table = made.dropna(axis="columns", how="all")
    rows = [
        (str(name), [_cell(material, str(head), value) for head, value in row.items()])
        for name, row in table.iterrows()
    ]
    limit = (
        f"Marked: R-hat above {LARGEST_RHAT}, or ESS below {SMALLEST_ESS} per chain."
        if _is_marked(material)
        else ""
    )
    return (
        page.number_table(["quantity", *map(str, table.columns)], rows)
        + page.paragraph(f"{_say_how_many(material, len(shown))} {limit}".strip())
    )  # fmt: skip


def _is_marked(material: Material) -> bool:
    return not material.is_fit and 1 < material.chains <= MANY_CHAINS


def _cell(material: Material, head: str, value: Any) -> tuple[str, bool]:
    value = float(value)
    if head == "r_hat":
        return f"{value:.3f}", _is_marked(material) and value > LARGEST_RHAT
    if head.startswith("ess_"):
        return f"{value:.0f}", _is_marked(material) and value < SMALLEST_ESS * material.chains
    return rounded(value), False


def _say_how_many(material: Material, shown: int) -> str:
    found, total = len(material.numbers.names), material.total
    parts = []
    if shown < found:
        parts.append(f"{shown} of {found} quantities are shown, the worst by R-hat and ESS.")
    if found < total and found < 900:
        parts.append(
            f"{total - found} of {total} quantities are constant or not finite and are left out."
        )
    elif found < total:
        parts.append(f"{found} evenly spaced ones of {total} quantities were looked at.")
    return " ".join(parts)


def _write_chains(material: Material) -> str:
    if material.is_fit:
        return page.paragraph("The draws are independent, so there are no chains to compare.")
    if not len(material.numbers.names):
        return ""
    pictures = [plot_ranks(material)] if material.chains > 1 else []
    note = (
        page.paragraph(
            f"The plots show the {MAX_PLOTTED} worst of {len(material.numbers.names)} quantities "
            "by R-hat and ESS."
        )
        if len(material.numbers.names) > MAX_PLOTTED
        else ""
    )
    return note + "".join(map(page.figure, [*pictures, plot_traces(material)]))


def _write_energy(material: Material) -> str:
    has = _has(material, "energy") and len(material.numbers.names)
    return page.figure(plot_energy(material)) if has else ""


def _write_divergences(material: Material) -> str:
    count = int(material.diverging.sum())
    if not count:
        return ""
    said = page.paragraph(
        f"{count} of {material.diverging.size} transitions after warm-up diverged "
        f"({100 * count / material.diverging.size:.2g}%)."
    )
    return said + (
        page.figure(plot_divergences(material))
        if len(material.numbers.names) > 1
        else page.paragraph("There is only one quantity, so there are no pairs to plot.")
    )


def _write_predictive(material: Material) -> str:
    observed = material.groups.get("observed_data", {})
    parts = []
    for group in ("posterior_predictive", "prior_predictive"):
        names = [str(name) for name in material.groups.get(group, {}) if name in observed]
        for name in names[:MAX_CHECKED]:
            parts.append(page.figure(plot_predictive(material, name, group)))
        if len(names) > MAX_CHECKED:
            parts.append(page.paragraph(f"{MAX_CHECKED} of {len(names)} observations are shown."))
    return "".join([*parts, *_write_loo(material)])


def _write_loo(material: Material) -> list[str]:
    """Write what ArviZ says of leave-one-out, for each observation with a log likelihood."""
    groups = {
        n: material.groups[n] for n in ("posterior", "log_likelihood") if n in material.groups
    }
    parts = []
    for name in map(str, groups.get("log_likelihood", {})):
        try:
            said = str(az.loo(as_arviz(groups, {}), var_name=name))
        except Exception as error:
            said = f"ArviZ could not compute it ({type(error).__name__}: {error})."
        parts += [page.subheading(f"Leave-one-out for {name}"), page.plain(said)]
    return parts


def _write_timing(material: Material) -> str:
    seconds = {
        name.removesuffix("_seconds"): float(value)
        for name, value in material.attributes.items()
        if name.endswith("_seconds") and np.ndim(value) == 0
    }
    if not seconds:
        return ""
    total = sum(seconds.values())
    rows = [
        (name, [(f"{s:.3g}", False), (f"{s / total:.0%}", False)]) for name, s in seconds.items()
    ]
    rows.append(("total", [(f"{total:.3g}", False), ("", False)]))
    return page.number_table(["part", "seconds", "share"], rows)


def _write_provenance(material: Material) -> str:
    attributes = material.groups["posterior"].attrs | dict(material.attributes)
    shown = {
        str(name): _shorten(str(value))
        for name, value in attributes.items()
        if not str(name).startswith("verdict")
        and not str(name).endswith("_seconds")
        and str(value).strip()
    }
    return page.text_table(shown) if shown else page.paragraph("The result has no attributes.")


def _shorten(text: str) -> str:
    rest = len(text) - MAX_TEXT
    return text if rest <= 0 else f"{text[:MAX_TEXT]} … and {rest} more characters"
