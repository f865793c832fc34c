"""The Nile at Aswan: a level that wanders, measured with noise, and where it goes next.

The level takes a random step each year. Its path is sampled together with the sizes of the steps
and of the noise. A model with more years continues each path: the forecast.

Data: Durbin & Koopman (2012), Time Series Analysis by State Space Methods, 2.2.5: annual flow from
1871 to 1970, in 10^8 m^3. Their estimates by maximum likelihood are in 2.10.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import infer

YEARS = np.arange(1871, 1971)
FLOW = np.array([
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
    799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833,
    701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768,
    845, 864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010,
    771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918,
    986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
], float)  # fmt: skip
# Variances 15,099 and 1,469.
KNOWN = {"noise": 122.9, "step": 38.3}


def local_level(site, flow, years):
    noise = site("noise", dist.HalfNormal(200.0))
    step = site("step", dist.HalfNormal(100.0))

    def year(site, level, flow):
        level = site("level", dist.Normal(level, step), centered=False)
        site.observe("flow", dist.Normal(level, noise), flow)
        return level, None

    start = site("start", dist.Normal(1000.0, 300.0))
    site.scan(year, start, flow, length=years, dim="year")


def main() -> None:
    model = infer.model(local_level, flow=FLOW, years=100, coords={"year": YEARS})
    result = infer.sample(
        model, infer.NUTS(target_acceptance=0.95), draws=1500, key=0, progress=False
    )
    for name, known in KNOWN.items():
        value = result["posterior"][name]
        print(
            f"{name}: {float(value.mean()):.0f} ± {float(value.std()):.0f}, by likelihood {known}"
        )
        assert abs(float(value.mean()) - known) < float(value.std()), name
    longer = model.with_coords(year=np.arange(1871, 1991)).with_data(flow=None, years=120)
    ahead = infer.predict(longer, result, key=1)["predictions"]
    before = float(result["posterior"]["level"].sel(year=slice(1872, 1897)).mean())
    after = float(result["posterior"]["level"].sel(year=slice(1900, 1970)).mean())
    print(f"level before 1898: {before:.0f}, since 1900: {after:.0f}")
    plot(ahead)


def plot(ahead) -> None:
    """Draw the level and what would be measured, also in the twenty years to come."""
    figure, axis = plt.subplots(layout="constrained")
    for name, color, alpha in (("flow", "C0", 0.15), ("level", "C1", 0.35)):
        low, middle, high = np.quantile(ahead[name], [0.05, 0.5, 0.95], axis=(0, 1))
        axis.fill_between(ahead["year"], low, high, color=color, alpha=alpha, label=f"{name}, 90 %")
    axis.plot(ahead["year"], middle, color="C1")
    axis.plot(YEARS, FLOW, "o", markersize=3, color="C0", label="measured")
    axis.axvline(1970.5, alpha=0.3, linestyle=":")
    axis.set(ylabel="flow, 10$^8$ m$^3$ a year", xlim=(1870, 1990))
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
