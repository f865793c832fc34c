"""Make the pictures of docs/comparing_models.md.

    python benchmarks/comparing_models.py

The code blocks of the page run first, so that the pictures show its models.
"""

import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "comparing_models.md"


def run_page() -> dict[str, Any]:
    """Run the code blocks of the page and return their variables."""
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)), names)
    return names


def save(name: str) -> None:
    """Save the current figure as a small picture."""
    figure = plt.gcf()
    figure.set_size_inches(5, 3)
    figure.tight_layout()
    (DOCS / "pictures").mkdir(exist_ok=True)
    figure.savefig(DOCS / "pictures" / f"{name}.png", dpi=80)
    plt.close("all")


def plot_prior(names: dict[str, Any]) -> None:
    """Plot a posterior weighted by powers of its prior, as power-scaling does."""
    np, data = names["np"], names["results"]["student"]
    log_prior = np.ravel(np.sum([np.asarray(a) for a in data["log_prior"].values()], axis=0))
    slope = np.asarray(data["posterior"]["slope"]).ravel()
    for power in (0.5, 1.0, 2.0):
        weights = np.exp((power - 1) * (log_prior - log_prior.max()))
        plt.hist(
            slope, 60, weights=weights, density=True, histtype="step", label=f"prior^{power:g}"
        )
    plt.xlabel("slope")
    plt.legend()
    save("prior")


def main() -> None:
    names = run_page()
    az, data = names["az"], names["data"]
    if hasattr(az, "plot_ppc"):
        az.plot_ppc(data, num_pp_samples=100)
        save("ppc")
        az.plot_loo_pit(data, y="y")
    else:
        az.plot_ppc_dist(data, num_samples=100)
        save("ppc")
        az.plot_loo_pit(data)
    save("loo_pit")
    plot_prior(names)


if __name__ == "__main__":
    main()
