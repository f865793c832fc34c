"""Fit curved posteriors by each family and engine, and a time series with two modes by the default.

    python -m benchmarks.shapes_of_fits [--only banana funnel series] [--seeds 0 1 2]

Prints, for each fit, the largest error of a logarithm of a width, the ELBO less the log evidence in
nats, seconds, and what the library says. The width of a number is that of its central 90 %, which
is known even where the standard deviation is a matter of the far tail, as for the funnel's z. For
the time series it prints the largest error of a mean, in standard deviations of a long run of NUTS.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

DRAWS = 20_000
METHODS: dict[str, Callable[[], Any]] = {
    "default": lambda: None,
    "flow, 256 draws a step": lambda: infer.ADVI(infer.Flow(), batch=256),
    "full rank": lambda: infer.ADVI("full_rank"),
    "mean field": lambda: infer.ADVI("mean_field"),
    "low rank": lambda: infer.ADVI("low_rank"),
    "Laplace": infer.Laplace,
    "DADVI": infer.DADVI,
    "BatchAndMatch": infer.BatchAndMatch,
    "Pathfinder": infer.Pathfinder,
}


class Shape(NamedTuple):
    """A posterior that is known exactly.

    Attributes:
        model: Its model.
        draw: Makes independent draws.
        evidence: Its log evidence in nats.
    """

    model: infer.Model
    draw: Callable[[np.random.Generator], dict[str, np.ndarray]]
    evidence: float


def make_banana() -> Shape:
    def log_density(values: Any) -> Any:
        x, y = values["x"], values["y"]
        return -0.5 * x**2 - 0.5 * ((y - x**2) / 0.5) ** 2

    def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
        x = rng.normal(size=DRAWS)
        return {"x": x, "y": rng.normal(x**2, 0.5)}

    model = infer.declared(log_density, {"x": bj.Real(), "y": bj.Real()})
    return Shape(model, draw, float(np.log(2 * np.pi * 0.5)))


def make_funnel() -> Shape:
    """Make Neal's funnel of ten numbers."""

    def log_density(values: Any) -> Any:
        v, z = values["v"], values["z"]
        return -0.5 * (v / 3) ** 2 - 0.5 * jnp.exp(-v) * (z**2).sum() - 4.5 * v

    def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
        v = rng.normal(0, 3, size=DRAWS)
        return {"v": v, "z": rng.normal(size=(DRAWS, 9)) * np.exp(v / 2)[:, None]}

    model = infer.declared(log_density, {"v": bj.Real(), "z": bj.Real(shape=(9,))})
    return Shape(model, draw, float(5 * np.log(2 * np.pi) + np.log(3)))


def moving_average(site: Any, y: Any) -> None:
    """A moving average whose coefficient has one mode below 1 and one above."""
    theta = site("theta", dist.Normal(0.0, 2.0))
    sigma = site("sigma", dist.HalfNormal(5.0))

    def step(error: Any, value: Any) -> tuple[Any, Any]:
        new = value - theta * error
        return new, new

    _, errors = jax.lax.scan(step, 0.0, y)
    site.factor("y", dist.Normal(0.0, sigma).log_prob(errors).sum())


def make_series() -> infer.Model:
    rng = np.random.default_rng(4)
    noise = rng.normal(size=201)
    return infer.model(moving_average, y=noise[1:] + 0.6 * noise[:-1])


def measure_widths(values: dict[str, np.ndarray]) -> np.ndarray:
    flat = np.concatenate([a.reshape(DRAWS, -1) for a in values.values()], axis=1)
    low, high = np.quantile(flat, (0.05, 0.95), axis=0)
    return high - low


def fit_quietly(model: infer.Model, method: str, seed: int) -> tuple[Any, float, int]:
    """Return a fit, its seconds, and the number of warnings."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = infer.fit(model, METHODS[method](), key=seed, progress=False)
    return fit, time.perf_counter() - began, len(caught)


def compare_shape(name: str, shape: Shape, seeds: list[int]) -> None:
    exact = measure_widths(shape.draw(np.random.default_rng(0)))
    for method in METHODS:
        for seed in seeds:
            fit, seconds, warned = fit_quietly(shape.model, method, seed)
            drawn = fit.sample(DRAWS, key=seed)["posterior"]
            found = measure_widths({site: np.asarray(drawn[site]) for site in drawn})
            error = np.abs(np.log(found / exact)).max()
            said = ", ".join(one.kind for one in fit.findings) if warned else "nothing"
            print(f"| {name} | {method} | {seed} | {error:.2f} | {fit.elbo - shape.evidence:.3f} | "
                  f"{seconds:.0f} | {said} |", flush=True)  # fmt: skip


def compare_series(seeds: list[int]) -> None:
    model = make_series()
    start = {"theta": 0.6, "sigma": 1.0}
    long = infer.sample(model, draws=5000, starts=start, key=9, progress=False)["posterior"]
    for seed in seeds:
        fit, seconds, warned = fit_quietly(model, "default", seed)
        drawn = fit.sample(DRAWS, key=seed)["posterior"]
        error = max(
            abs(float(drawn[site].mean() - long[site].mean()) / float(long[site].std()))
            for site in ("theta", "sigma")
        )
        said = ", ".join(one.kind for one in fit.findings) if warned else "nothing"
        print(f"| series | default | {seed} | {error:.2f} | | {seconds:.0f} | {said} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    shapes = {"banana": make_banana, "funnel": make_funnel}
    parser.add_argument("--only", nargs="+", default=[*shapes, "series"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print("| posterior | method | seed | error | ELBO - log evidence | s | says |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for name, make in shapes.items():
        if name in asked.only:
            compare_shape(name, make(), asked.seeds)
    if "series" in asked.only:
        compare_series(asked.seeds)


if __name__ == "__main__":
    main()
