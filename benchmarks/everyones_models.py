"""Run 60 public models of five libraries unchanged, beside the libraries that they come from.

    python -m benchmarks.everyones_models [--libraries NumPyro TFP ...] [--only radon ...]
    python -m benchmarks.everyones_models --table

The first appends a row for each model to results/everyones_models.jsonl; libraries that are not
installed are skipped, so that several environments can add rows. The second writes
results/everyones_models.md and docs/everyones_models.md from all rows.
"""

import argparse
import json
import time
import traceback
import warnings
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

import infer

from .everyones.agreement import compare_densities, compare_means
from .everyones.home import CHAINS, Case, Home
from .everyones.table import write_pages

ROWS = Path(__file__).parent / "results" / "everyones_models.jsonl"
# The file of each library's cases, and the package that it needs.
LIBRARIES = {
    "NumPyro": ("numpyro_home", "numpyro"),
    "TFP": ("tfp_home", "tensorflow-probability"),
    "PyMC": ("pymc_home", "pymc"),
    "Bambi": ("pymc_home", "bambi"),
    "Stan": ("stan_home", "stanli"),
}
DRAWS = 500
# Means that differ by more than so many Monte Carlo errors do not agree.
LIMIT = 4.0


def cases_of(library: str) -> list[Case]:
    """Return the models of a library; none, with a word, if it cannot be imported."""
    file, package = LIBRARIES[library]
    try:
        found = import_module(f".everyones.{file}", __package__).CASES
    except ImportError as error:
        print(f"{library} is skipped: {package} cannot be imported ({error})", flush=True)
        return []
    return [case for case in found if case.library == library]


def run(case: Case) -> dict[str, Any]:
    """Compare one model in both libraries, and its means again if they do not agree at once."""
    home = case.make()
    density = infer.log_density(home.model)
    row: dict[str, Any] = {
        "library": case.library,
        "name": case.name,
        "source": case.source,
        "size": density.size,
        "day": str(date.today()),
        "versions": f"jax {jax.__version__}, {_version(case.library)}",
    }
    row |= {"errors": compare_densities(home, density)._asdict(), "means": []}
    # A difference by chance does not come again; a real one is twice as many errors.
    for attempt, draws in enumerate((DRAWS, 4 * DRAWS)):
        row["means"].append(_means(home, density, seed=attempt + 1, draws=draws))
        if row["means"][-1]["worst"] <= LIMIT:
            break
    return row


def _means(home: Home, density: infer.LogDensity, seed: int, draws: int) -> dict[str, Any]:
    began = time.perf_counter()
    theirs = home.sample(seed, draws)
    between = time.perf_counter()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found: Any = infer.sample(home.model, draws=draws, chains=CHAINS, key=seed, progress=False)
    ended = time.perf_counter()
    compared = compare_means(density, _latent_draws(found, density), theirs.values)
    worst = int(np.argmax(np.abs(compared.z)))
    return {
        "draws": draws,
        "worst": float(np.abs(compared.z[worst])),
        "of": compared.labels[worst],
        "comparisons": len(compared.z),
        "beyond": int((np.abs(compared.z) > LIMIT).sum()),
        "squares": float(np.mean(compared.z**2)),
        "ess": compared.ess,
        "r_hat": compared.r_hat,
        "divergences": [int(found["sample_stats"]["diverging"].sum()), theirs.divergences],
        "seconds": [ended - between, between - began],
        "warned": sorted({str(w.message).split(":")[0] for w in heard if _is_ours(w)}),
    }


def _latent_draws(found: Any, density: infer.LogDensity) -> dict[str, np.ndarray]:
    """Read the draws of latent sites; the flat vector of a Stan program has its own group."""
    groups = (found["posterior"], found.get("unconstrained_posterior", {}))
    return {
        site.name: next(group[site.name].values for group in groups if site.name in group)
        for site in density.latent
    }


def _is_ours(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, infer.SamplingWarning)


def _version(library: str) -> str:
    package = LIBRARIES[library][1]
    return f"{package} {version(package)}"


def main() -> None:
    """Run models, or write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", nargs="*", default=list(LIBRARIES))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--missing", action="store_true", help="only models without a row")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        write_pages(ROWS, LIMIT)
        return
    jax.config.update("jax_enable_x64", True)
    done = {(r["library"], r["name"]) for r in _rows()} if asked.missing else set()
    for case in (case for library in asked.libraries for case in cases_of(library)):
        if (asked.only and case.name not in asked.only) or (case.library, case.name) in done:
            continue
        try:
            row = run(case)
        except Exception as error:  # the other models are run all the same
            traceback.print_exc(limit=-3)
            print(f"{case.library} {case.name} fails: {error}", flush=True)
            continue
        with ROWS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(_brief(row), flush=True)


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def _brief(row: dict[str, Any]) -> str:
    errors, last = row["errors"], row["means"][-1]
    told = f"{row['library']} {row['name']}: {errors['log_density']:.0e} {errors['gradient']:.0e}"
    told += f", worst {last['worst']:.1f} ({last['of']}), ESS {last['ess'][0]:.0f} and "
    return told + f"{last['ess'][1]:.0f}, {last['seconds'][0]:.0f} and {last['seconds'][1]:.0f} s"


if __name__ == "__main__":
    main()
