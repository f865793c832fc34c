"""Write the table of all models from the rows of all environments."""

import json
from pathlib import Path
from statistics import NormalDist
from typing import Any

# A relative error of a log density or gradient that is rounding alone.
TOLERANCE = 1e-8
# Chains with a larger R-hat have no common mean that could be compared.
MIXED = 1.1
FAMILY_WISE = 0.05
# Why models disagree; each was looked into by hand.
REASONS: dict[tuple[str, str], str] = {}
DOCS = Path(__file__).parents[2] / "docs" / "everyones_models.md"

Row = dict[str, Any]


def write_pages(rows: Path, limit: float) -> None:
    """Write the page of results and that of the documentation."""
    last = {(row["library"], row["name"]): row for row in map(json.loads, rows.open())}
    found = sorted(last.values(), key=lambda row: row["library"])
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
    equal = sum(max(_errors(row)) <= TOLERANCE for row in rows)
    first = [row["means"][0] for row in rows]
    means = sum(own["comparisons"] for own in first)
    again = [row["name"] for row in rows if len(row["means"]) > 1]
    normal = NormalDist()
    chance = 2 * normal.cdf(-limit)
    needed = -normal.inv_cdf(FAMILY_WISE / (2 * means))
    worst = max(max(_errors(row)) for row in rows)
    return f"""**{good} of {count} models agree**: log densities and gradients of {equal} to a
relative error of {TOLERANCE:g} (the largest is {worst:.0e}), and all means within
{limit:g} Monte Carlo errors.

Of {means} means in the first runs, {sum(own["beyond"] for own in first)} differ by more than
{limit:g} errors. If the errors were normal and known, {means * chance:.2f} would do so by chance,
and a limit of {needed:.1f} would keep the chance of any at {FAMILY_WISE:.0%} (Bonferroni). Errors
that are estimated from few effective draws make larger differences likelier. So a model with such
a mean was run again with another seed and four times the draws, by which a real difference grows
to twice as many errors; the table has the second run. This concerned
{len(again)} models: {", ".join(again) or "none"}."""


def _errors(row: Row) -> tuple[float, float]:
    return row["errors"]["log_density"], row["errors"]["gradient"]


def _full(rows: list[Row], limit: float) -> str:
    lines = [
        "| library | model | numbers | log density | gradient | worst mean | of | ESS | R-hat | "
        "divergences | seconds | agrees |",
        "| --- | --- | --: | --: | --: | --: | --- | --: | --: | --: | --: | --- |",
    ]
    for row in rows:
        last, (value, slope) = row["means"][-1], _errors(row)
        pairs = (_pair(last[k], form) for k, form in _PAIRS)
        lines.append(
            f"| {row['library']} | {row['name']} | {row['size']} | {value:.0e} | {slope:.0e} | "
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
        value, slope = _errors(row)
        lines.append(
            f"| {row['library']} | {row['source']} | {row['size']} | {value:.0e} | {slope:.0e} | "
            f"{row['means'][-1]['worst']:.1f} | {_verdict(row, limit)} |"
        )
    return "\n".join(lines)


def _pair(values: list[float], form: str) -> str:
    return ", ".join(format(value, form) for value in values)


def _verdict(row: Row, limit: float) -> str:
    if not agrees(row, limit):
        return "**no**"
    plain = "yes" if row["errors"]["has_jacobian"] else "yes, without Jacobians"
    return plain if _is_mixed(row) else f"{plain}, weakly"


def _is_mixed(row: Row) -> bool:
    return max(row["means"][-1]["r_hat"]) <= MIXED


def _exceptions(rows: list[Row], limit: float) -> str:
    told = []
    for row in rows:
        if not agrees(row, limit) or not _is_mixed(row):
            last = row["means"][-1]
            reason = REASONS.get((row["library"], row["name"]), "")
            told.append(
                f"- {row['library']}, {row['source']}: R-hat {_pair(last['r_hat'], '.2f')}, "
                f"divergences {_pair(last['divergences'], 'd')}. {reason}".rstrip()
            )
    return "\n".join(["Exceptions (ours first, then theirs):", "", *told]) if told else ""


def _head(rows: list[Row]) -> str:
    versions = sorted({f"{row['library']}: {row['versions']}" for row in rows})
    days = sorted({row["day"] for row in rows})
    return f"""`python -m benchmarks.everyones_models` in an environment of each library, then
`--table`. {" to ".join(dict.fromkeys((days[0], days[-1])))}; {"; ".join(versions)}; float64,
2 chains of 500 draws after their library's warm-up (500 of theirs), with default settings.

Columns: numbers in our flat vector; largest relative errors at 20 points; largest difference of a
mean in Monte Carlo errors of both samplers combined, and of which site; then, ours first: smallest
ESS of a mean, largest R-hat, divergences, and wall time with compiling on a busy machine. An
agreement is weak if R-hat exceeds {MIXED:g}, since chains that stay apart have no common mean."""


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
- **The draws.** Those of its own sampler: NumPyro's NUTS, TFP's windowed adaptive NUTS, PyMC's
  NUTS, Bambi's fit, and Stan's NUTS in stanli; against our default. We compare the means of all our
  unconstrained coordinates and of the log density. All of these have moments; a half-Cauchy scale
  itself has none. The table has the largest difference in Monte Carlo errors of both samplers
  combined, by the effective sample sizes of ArviZ."""
