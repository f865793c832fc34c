"""Draw the numbers of the site's first page, from the results of `python -m benchmarks.peers`.

python -m benchmarks.landing
"""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from .gallery import save
from .peers.__main__ import median

RESULTS = Path(__file__).with_name("results") / "peers.json"
# Each sampler, its marker, and its place in the cycle of colors.
SAMPLERS = {
    "ours": ("o", 1),
    "NumPyro vectorized": ("s", 0),
    "BlackJAX": ("D", 4),
    "nutpie": ("^", 2),
}


def main() -> None:
    plt.style.use(Path(__file__).with_name("site.mplstyle"))
    found = json.loads(RESULTS.read_text())
    figure, (cold, warm) = plt.subplots(1, 2, figsize=(8.4, 3.6), sharey=True)
    for sampler, (marker, color) in SAMPLERS.items():
        style = {"marker": marker, "linestyle": "", "color": f"C{color}", "label": named(sampler)}
        runs = [model[sampler] for model in found.values()]
        cold.plot([median(r, "cold to 1000") for r in runs], list(found), **style)
        speeds = [[{"ESS / s": run["ess"] / run["warm"]} for run in r if run] for r in runs]
        warm.plot([median(r, "ESS / s") for r in speeds], list(found), **style)
    cold.set(xscale="log", title="Seconds from a written model to an ESS of 1000")
    cold.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    cold.minorticks_off()
    warm.set(xscale="log", title="ESS per second, once compiled")
    for axis in (cold, warm):
        axis.grid(axis="y")
        axis.tick_params(axis="y", length=0)
    figure.legend(*cold.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save(figure, "peers")


def named(sampler: str) -> str:
    return {"ours": "Pushforward", "NumPyro vectorized": "NumPyro"}.get(sampler, sampler)


if __name__ == "__main__":
    main()
