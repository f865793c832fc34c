"""Write the table of all models from the rows of all environments."""

import json
from pathlib import Path
from statistics import NormalDist
from textwrap import fill
from typing import Any

# A relative error of a log density or gradient that is rounding alone.
TOLERANCE = 1e-8
# With a larger R-hat or fewer effective draws, the errors of means are known poorly.
MIXED, ENOUGH = 1.05, 50
FAMILY_WISE = 0.05
# Likely reasons why models are hard to compare, from how they and their data are made.
_FUNNEL = "Their chains hang in the neck of the funnel; ours learn the centering."
REASONS = {
    ("NumPyro", "eight_schools"): _FUNNEL,
    ("PyMC", "eight_schools"): _FUNNEL,
    ("NumPyro", "baseball"): "Four players leave the concentration open.",
    ("NumPyro", "varying_effects"): (
        "Seven waits for six cells: the noise may go to zero, where both samplers diverge and miss "
        "part of the posterior. Which one misses more is not settled."
    ),
    ("NumPyro", "mixture"): "Three clusters for data in two groups.",
    ("NumPyro", "horseshoe_regression"): "A horseshoe has funnels.",
    ("NumPyro", "lung_decline"): (
        "Four patients whose slopes hardly differ: a funnel. The first runs differed by more than "
        "4 errors, the second do not."
    ),
    ("NumPyro", "neural_network"): "Hidden units may be exchanged: many modes.",
    ("TFP", "chain"): "A Gamma of shape and rate near 0.01 is the scale of a normal: a funnel.",
    ("TFP", "varying_intercepts"): "Six houses in three counties leave the scales open.",
    ("TFP", "switchpoint"): "The log density jumps at each year, so steps get tiny.",
    ("PyMC", "mixture"): "Three clusters for four numbers.",
    ("TFP", "principal_components"): "A mirror image has the same density.",
    ("Stan", "radon"): "The counties of the made data do not differ: a funnel.",
    ("Stan", "moving_average"): "Both coefficients may cancel: a ridge.",
    ("PyMC", "gaussian_process"): "The data have no noise, so its scale goes to zero.",
}
DOCS = Path(__file__).parents[2] / "docs" / "everyones_models.md"

ORDER = ("NumPyro", "TFP", "PyMC", "Bambi", "Stan")

Row = dict[str, Any]


def write_pages(rows: Path, limit: float) -> None:
    """Write the page of results and that of the documentation."""
    last = {(row["library"], row["name"]): row for row in map(json.loads, rows.open())}
    found = sorted(last.values(), key=lambda row: ORDER.index(row["library"]))
    summary = summarize(found, limit)
    whole = [_TITLE, _head(found), summary, _full(found, limit), _exceptions(found, limit)]
    rows.with_suffix(".md").write_text("\n\n".join(filter(None, whole)) + "\n")
    page = [_TITLE, _PAGE, summary, _short(found, limit), _exceptions(found, limit)]
    DOCS.write_text("\n\n".join(filter(None, page)) + "\n")
    print(summary)


def agrees(row: Row, limit: float) -> bool:
    """Return whether densities, gradients and means are equal up to their errors."""
    errors = max(row["errors"]["log_density"], row["errors"]["gradient"])
    return errors <= TOLERANCE and row["means"][-1]["worst"] <= limit


def summarize(rows: list[Row], limit: float) -> str:
    """Say how many agree, and how many false alarms are to be expected."""
    good, count = sum(agrees(row, limit) for row in rows), len(rows)
    strong = sum(agrees(row, limit) and _is_mixed(row) for row in rows)
    equal = sum(max(_errors(row)) <= TOLERANCE for row in rows)
    first = [row["means"][0] for row in rows]
    means = sum(own["comparisons"] for own in first)
    again = [row["name"] for row in rows if len(row["means"]) > 1]
    normal = NormalDist()
    chance = 2 * normal.cdf(-limit)
    needed = -normal.inv_cdf(FAMILY_WISE / (2 * means))
    close = sum(row["means"][-1]["worst"] <= limit for row in rows)
    worst = max(max(_errors(row)) for row in rows)
    told = (
        f"**{good} of {count} models agree**, {good - strong} of them weakly. Log densities and "
        f"gradients of {equal} are equal to a relative error of {TOLERANCE:g}; the largest is "
        f"{worst:.0e}. Of {close}, all means are within {limit:g} Monte Carlo errors.",
        f"Of {means} means in the first runs, {sum(own['beyond'] for own in first)} differ by more "
        f"than {limit:g} errors. If the errors were normal and known, {means * chance:.2f} would "
        f"do so by chance, and a limit of {needed:.1f} would keep the chance of any at "
        f"{FAMILY_WISE:.0%} (Bonferroni). Errors that are estimated from few effective draws make "
        f"larger differences likelier. So a model with such a mean was run again with another seed "
        f"and four times the draws, by which a real difference grows to twice as many errors; the "
        f"table has the second run. Models run again: {', '.join(again) or 'none'}.",
    )
    return "\n\n".join(fill(paragraph, 100) for paragraph in told)


def _errors(row: Row) -> tuple[float, float]:
    return row["errors"]["log_density"], row["errors"]["gradient"]


def _full(rows: list[Row], limit: float) -> str:
    lines = [
        "| library | model | numbers | log density | gradient | worst mean | of | ESS | R-hat | "
        "divergences | seconds | agrees |",
        "| --- | --- | --: | --: | --: | --: | --- | --: | --: | --: | --: | --- |",
    ]
    for row in rows:
        last, errors = row["means"][-1], " | ".join(map(_brief, _errors(row)))
        pairs = (_pair(last[k], form) for k, form in _PAIRS)
        lines.append(
            f"| {row['library']} | {row['name']} | {row['size']} | {errors} | "
            f"{last['worst']:.1f} | {last['of']} | {' | '.join(pairs)} | {_verdict(row, limit)} |"
        )
    return "\n".join(lines)


_PAIRS = (("ess", ".0f"), ("r_hat", ".2f"), ("divergences", "d"), ("seconds", ".1f"))


def _short(rows: list[Row], limit: float) -> str:
    lines = [
        "| library | follows | numbers | log density | gradient | worst mean | agrees |",
        "| --- | --- | --: | --: | --: | --: | --- |",
    ]
    for row in rows:
        errors = " | ".join(map(_brief, _errors(row)))
        lines.append(
            f"| {row['library']} | {row['source']} | {row['size']} | {errors} | "
            f"{row['means'][-1]['worst']:.1f} | {_verdict(row, limit)} |"
        )
    return "\n".join(lines)


def _brief(error: float) -> str:
    return f"{error:.0e}" if error else "0"


def _pair(values: list[float], form: str) -> str:
    return ", ".join(format(value, form) for value in values)


def _verdict(row: Row, limit: float) -> str:
    if not agrees(row, limit):
        return "**no**"
    plain = "yes" if row["errors"]["has_jacobian"] else "yes, without Jacobians"
    return plain if _is_mixed(row) else f"{plain}, weakly"


def _is_mixed(row: Row) -> bool:
    last = row["means"][-1]
    return max(last["r_hat"]) <= MIXED and min(last["ess"]) >= ENOUGH


def _exceptions(rows: list[Row], limit: float) -> str:
    told = []
    for row in rows:
        if not agrees(row, limit) or not _is_mixed(row):
            last = row["means"][-1]
            reason = REASONS.get((row["library"], row["name"]), "")
            told.append(
                f"- {row['library']}, {row['source']}: R-hat {_pair(last['r_hat'], '.2f')}, "
                f"ESS {_pair(last['ess'], '.0f')}, "
                f"divergences {_pair(last['divergences'], 'd')}. {reason}".rstrip()
            )
    return "\n".join([_WEAK, "", *told]) if told else ""


_WEAK = f"""## Without agreement, or with a weak one

If R-hat is above {MIXED:g}, or a mean has fewer than {ENOUGH} effective draws, in either
library, the errors are known poorly, and the comparison is called weak. Ours first, then theirs:"""


def _head(rows: list[Row]) -> str:
    versions = sorted({f"{row['library']}: {row['versions']}" for row in rows})
    days = sorted({row["day"] for row in rows})
    return f"""`python -m benchmarks.everyones_models` in an environment of each library, then
`--table`. {", ".join(days)}; {"; ".join(versions)}; float64,
2 chains of 500 draws after their library's warm-up (500 of theirs), with default settings.

Columns: numbers in our flat vector; largest relative errors at 20 points; largest difference of a
mean in Monte Carlo errors of both samplers combined, and of which site; then, ours first: smallest
ESS of a mean, largest R-hat, divergences, and wall time with compiling on a busy machine."""


_TITLE = "# Everyone's models"
_PAGE = """Sixty public models of NumPyro, TFP, PyMC, Bambi and Stan run here unchanged. They follow
the libraries' documentation and examples, and posteriordb, on data small enough to read; they are
in `tests/infer/models`. `python -m benchmarks.everyones_models --table` writes this page.

For each model we ask two things of the library that it comes from:

- **The density.** Its log density and gradient at 20 points of its own flat vector, with the
  log-determinants of its own maps. Ours is carried over by the change of variables between both
  flat vectors, whose log-determinant autodiff computes, so both libraries' maps must be right.
  The errors are relative to the log density and to the largest entry of the gradient. Programs of
  Stan are evaluated by Stan on both sides, so theirs show only that nothing is lost on the way.
  PyTensor takes the logarithm of a constant such as 5 in single precision, so that PyMC's density
  of a normal with that scale is off by 3e-8 nats; this is what makes PyMC's errors larger.
- **The draws.** Those of its own sampler: NumPyro's NUTS, TFP's windowed adaptive NUTS, PyMC's
  NUTS, Bambi's fit, and Stan's NUTS in stanli; against our default. We compare the means of all our
  unconstrained coordinates and of the log density. All of these have moments; a half-Cauchy scale
  itself has none. The table has the largest difference in Monte Carlo errors of both samplers
  combined, by the effective sample sizes of ArviZ."""
