"""Compare default fits of hierarchical models with sites centered, non-centered and learned.

    python -m benchmarks.centered_fits [--seeds 2] [--model "eight schools, errors x 1.0" ...]

Prints for each fit the largest error of a mean, in standard deviations, and of a log standard
deviation, over all values, against 16,000 draws of NUTS; the same for draws that are resampled by
importance; the effective share of importance weights; k-hat; gradients; and the findings.
"""

import argparse
import os
import warnings
from typing import Any

import numpy as np

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

import infer

from .geometry import MODELS, WAYS

DRAWS = 8000


def draw_reference(name: str) -> dict[str, np.ndarray]:
    """Draw from the posterior, by name."""
    found: Any = infer.sample(
        MODELS[name]("auto"), infer.NUTS(), draws=4000, key=99, progress=False
    )
    return {site: np.asarray(found["posterior"][site]) for site in found["posterior"].data_vars}


def measure_errors(fit: Any, reference: dict[str, np.ndarray], resample: str | None) -> str:
    """Return the largest errors of a mean and of a log standard deviation."""
    drawn, shifts, growths = fit.sample(DRAWS, resample=resample)["posterior"], [], []
    for name, theirs in reference.items():
        ours, sd = np.asarray(drawn[name]), theirs.std((0, 1))
        shifts.append(np.abs((ours.mean((0, 1)) - theirs.mean((0, 1))) / sd).max())
        growths.append(np.abs(np.log(ours.std((0, 1)) / sd)).max())
    return f"{max(shifts):.2f}, {max(growths):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=list(MODELS), choices=list(MODELS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore", infer.FitWarning)
    print("| model | sites | seed | errors | PSIS | ESS | k-hat | ELBO | gradients | findings |")
    print("| --- | --- | ---: | --- | --- | ---: | ---: | ---: | ---: | --- |")
    for name in asked.model:
        reference = draw_reference(name)
        for seed in range(asked.seeds):
            for label, way in WAYS.items():
                fit: Any = infer.fit(MODELS[name](way), key=seed, progress=False)
                errors = [measure_errors(fit, reference, how) for how in (None, "psis")]
                kinds = ", ".join(getattr(one, "kind", "?") for one in fit.findings)
                cells = [name, label, seed, *errors, f"{fit.ratios.ess:.2f}", f"{fit.khat:.2f}",
                         f"{fit.elbo:.2f}", fit.n_gradients, kinds]  # fmt: skip
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
