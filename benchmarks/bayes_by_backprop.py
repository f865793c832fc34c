"""Train networks on digits by `infer.fit`, and by a plain Adam loop of as many steps.

    python -m benchmarks.bayes_by_backprop --out rows.jsonl --seeds 3 --units 100 400 --page
    python -m benchmarks.bayes_by_backprop --out rows.jsonl --quick --from-mode --page
    python -m benchmarks.bayes_by_backprop --out rows.jsonl --units 400 --prior wide --longer 4
    python -m benchmarks.bayes_by_backprop --prior narrow --rates --from-mode
    python -m benchmarks.bayes_by_backprop --units 400 --prior wide --rates --warmup 20 50 75

Fits that are in the file of rows already are not repeated. `--page` writes all rows of the file to
results/bayes_by_backprop.md.

Both see the same 1400 of scikit-learn's 1797 digits, in minibatches of 100, with one draw of the
weights per step, and begin at the same weights with standard deviations of 0.01. Networks have two
hidden layers. The loop is that of Blundell et al. (2015), arXiv 1505.05424, section 3.2: Adam on
mean and softplus^-1 of the standard deviation, for log q - log prior - log likelihood of the draw.
It takes as many steps. Scores are those of 256 draws on the other 397 digits: error, negative log
likelihood per digit in nats, expected calibration error, and the error with the 75 % of the weights
of the lowest |mean| / sd set to zero. The standard error of an error of 0.015 is 0.006.
The first table has means over seeds; of the rates of the loop it takes the one with the highest
ELBO, which needs no held-out digits. `--longer` adds a fit and a loop of more steps, the loop at
the last rate, to show what they tend to. Seconds are those of the clock, on a machine that others
use as well.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from jax.flatten_util import ravel_pytree
from sklearn.datasets import load_digits

import infer

from . import page

TRAIN, ROWS, DRAWS, SCALE = 1400, 100, 256, 0.01
# Epochs of `infer.fit` after those of `epochs=`, and those of the search for a mode.
LAST, SEARCH = 50, 40
# Epochs by number of units, if none are given.
EPOCHS = {100: 300, 400: 100}
PAGE = Path(__file__).parent / "results" / "bayes_by_backprop.md"
HEAD = (
    "| units | prior | seed | by | ELBO | error | NLL | calibration error | error, pruned | s |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)
RATES = {100: (1e-3, 3e-3, 1e-2), 400: (1e-3, 1e-2)}


class Digits(NamedTuple):
    """Pixels between 0 and 1, and digits."""

    pixels: Any
    digit: Any


class Task(NamedTuple):
    """What is fitted."""

    net: Any
    prior: Any
    data: Digits
    epochs: int
    seed: int


class Row(NamedTuple):
    """One row of the table."""

    units: int
    prior: str
    seed: int
    by: str
    elbo: float
    error: float
    nll: float
    calibration: float
    pruned: float
    seconds: float

    def __str__(self) -> str:
        scores = f"{self.error:.3f} | {self.nll:.3f} | {self.calibration:.3f} | {self.pruned:.3f}"
        start = f"| {self.units} | {self.prior} | {self.seed} | {self.by} | {self.elbo:.0f}"
        return f"{start} | {scores} | {self.seconds:.0f} |"


def load() -> tuple[Digits, Digits]:
    given: Any = load_digits()
    pixels, digit = given.data, given.target
    order = np.random.default_rng(0).permutation(len(digit))
    pixels, digit = (pixels[order] / 16).astype(np.float32), digit[order]
    return Digits(pixels[:TRAIN], digit[:TRAIN]), Digits(pixels[TRAIN:], digit[TRAIN:])


def scale_mixture(wide: float, narrow: float) -> dist.Distribution:
    parts = dist.Normal(0.0, jnp.array([wide, narrow]))
    return dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), parts)


PRIORS = {
    "narrow": dist.Normal(0.0, 0.1),
    "wide": dist.Normal(0.0, 1.0),
    # Blundell et al.: -log of the standard deviations is 0 and 6.
    "mixture": scale_mixture(1.0, float(np.exp(-6.0))),
}


def log_likelihood(net: Any, data: Digits) -> jax.Array:
    likelihood: Any = dist.Categorical(logits=jax.vmap(net)(data.pixels))
    return likelihood.log_prob(data.digit)


def make_model(net: Any, prior: Any, data: Digits) -> infer.Model:
    leaves: Any = {"layers.*.*": infer.Leaf(prior)}
    return infer.tree_model(net, log_likelihood, leaves, data=data, minibatch=ROWS)


def fit_by_package(task: Task, mode: bool = False, **settings: Any) -> tuple[Any, Any, float]:
    """Fit with the defaults, from the weights given or from a mode, found in `SEARCH` epochs."""
    model, epochs = make_model(task.net, task.prior, task.data), task.epochs
    starts: Any = model.initial_values()
    if mode:
        search = infer.MAP("unconstrained", optax.adam(1e-3), max_steps=SEARCH * TRAIN // ROWS)
        starts, epochs = infer.maximize(model, search, starts=starts), epochs - SEARCH
    engine = infer.ADVI(batch=1, **settings)
    fit: Any = infer.fit(model, engine, starts=starts, epochs=epochs, key=task.seed, progress=False)
    return fit.distribution.mean, fit.distribution.scale, -float(fit.losses.mean())


def fit_by_hand(task: Task, rate: float) -> tuple[Any, Any, float]:
    flat, unravel = ravel_pytree(eqx.filter(task.net, eqx.is_array))
    pixels, digit = jnp.asarray(task.data.pixels), jnp.asarray(task.data.digit)
    optimizer, steps = optax.adam(rate), (task.epochs + LAST) * TRAIN // ROWS

    def loss(theta, key):
        mean, rho = theta
        by_rows, by_weights = jax.random.split(key)
        seen = jax.random.choice(by_rows, TRAIN, (ROWS,), replace=False)
        q = dist.Normal(mean, jax.nn.softplus(rho))
        weights = q.rsample(by_weights)
        own = eqx.combine(unravel(weights), task.net)
        rows = log_likelihood(own, Digits(pixels[seen], digit[seen]))
        divergence = q.log_prob(weights).sum() - task.prior.log_prob(weights).sum()
        return divergence - TRAIN / ROWS * rows.sum()

    def step(carry, key):
        theta, state = carry
        value, gradient = jax.value_and_grad(loss)(theta, key)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(theta, updates), state), -value

    def run(theta, keys):
        return jax.lax.scan(step, (theta, optimizer.init(theta)), keys)

    theta = flat, jnp.full_like(flat, np.log(np.expm1(SCALE)))
    ((mean, rho), _), elbo = jax.jit(run)(theta, jax.random.split(jax.random.key(task.seed), steps))
    return mean, jax.nn.softplus(rho), float(elbo[-LAST * TRAIN // ROWS :].mean())


def score(task: Task, mean: Any, sd: Any, test: Digits) -> tuple[float, float, float, float]:
    """Return error, negative log likelihood, calibration error, and the error if pruned."""
    _, unravel = ravel_pytree(eqx.filter(task.net, eqx.is_array))
    mean, sd = jnp.asarray(mean), jnp.asarray(sd)
    weights = mean + sd * jax.random.normal(jax.random.key(99), (DRAWS, mean.size))
    signal = jnp.abs(mean) / sd
    pruned = jnp.where(signal < jnp.quantile(signal, 0.75), 0.0, weights)
    held_out = make_model(task.net, task.prior, test)
    names = [site.name for site in infer.log_density(held_out).latent]

    def score_draws(own: Any) -> infer.PredictionScores:
        leaves = jax.tree.leaves(jax.vmap(unravel)(own))
        values = {name: leaf[None] for name, leaf in zip(names, leaves, strict=True)}
        return infer.score_predictions(held_out, values)

    full, few = score_draws(weights), score_draws(pruned)
    nll = -full.log_density / full.observations
    return 1 - full.accuracy, nll, full.calibration_error, 1 - few.accuracy


def measure(units: int, prior: str, seed: int, by: str, fit: Callable, epochs: int) -> Row:
    train, test = load()
    net = eqx.nn.MLP(64, 10, units, 2, key=jax.random.key(seed))
    task = Task(net, PRIORS[prior], train, epochs, seed)
    begun = time.perf_counter()
    mean, sd, elbo = fit(task)
    jax.block_until_ready(mean)
    seconds = time.perf_counter() - begun
    return Row(units, prior, seed, by, elbo, *score(task, mean, sd, test), seconds)


def fit_longer(task: Task, fit: Callable, factor: int) -> tuple[Any, Any, float]:
    return fit(task._replace(epochs=factor * (task.epochs + LAST) - LAST))


def list_ways(rates: Any, from_mode: bool, longer: int, warmups: Any) -> dict[str, Callable]:
    ways: dict[str, Any] = {"infer.fit": fit_by_package}
    for epochs in warmups:
        name = f"infer.fit, {epochs} epochs of warm-up"
        ways[name] = partial(fit_by_package, kl_warmup=epochs)
    if longer:
        name = f"a loop of {longer} times the steps, Adam {rates[-1]:g}"
        loop = partial(fit_by_hand, rate=rates[-1])
        ways[name] = partial(fit_longer, fit=loop, factor=longer)
        name = f"infer.fit of {longer} times the steps"
        ways[name] = partial(fit_longer, fit=fit_by_package, factor=longer)
    if from_mode:
        ways["infer.fit from a mode"] = partial(fit_by_package, mode=True)
        ways["the same, no warm-up"] = partial(fit_by_package, mode=True, kl_warmup=0)
    return ways | {f"loop, Adam {rate:g}": partial(fit_by_hand, rate=rate) for rate in rates}


def summarize(rows: list[Row]) -> list[str]:
    """Return a table of means over seeds, for the package and the loop whose ELBO is highest."""
    lines = [
        "| units | prior | seeds | by | error | NLL | calibration error | error, pruned |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for units, prior in dict.fromkeys((row.units, row.prior) for row in rows):
        own = [row for row in rows if (row.units, row.prior) == (units, prior)]
        seeds = {row.seed for row in own}
        loops = [[r for r in own if r.seed == seed and r.by.startswith("loop")] for seed in seeds]
        best = [max(each, key=lambda row: row.elbo) for each in loops if each]
        ways = {by: [r for r in own if r.by == by] for by in dict.fromkeys(r.by for r in own)}
        kept = {by: each for by, each in ways.items() if not by.startswith("loop")}
        for by, each in (kept | ({"the best loop": best} if best else {})).items():
            table = np.array([[r.error, r.nll, r.calibration, r.pruned] for r in each])
            mean = " | ".join(f"{value:.3f}" for value in table.mean(0))
            lines.append(f"| {units} | {prior} | {len(each)} | {by} | {mean} |")
    return lines


def read_rows(file: Path | None) -> list[Row]:
    """Return the rows of earlier runs."""
    if file is None or not file.exists():
        return []
    return [Row(**json.loads(line)) for line in file.read_text().splitlines()]


def add_row(row: Row, file: Path | None) -> None:
    """Print a row, and append it to the file."""
    print(row, flush=True)
    if file is not None:
        with file.open("a") as opened:
            opened.write(json.dumps(row._asdict()) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[100])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--prior", nargs="+", choices=PRIORS, default=list(PRIORS))
    parser.add_argument("--epochs", type=int, help="by default 300 for 100 units, 100 for 400")
    parser.add_argument("--rates", nargs="*", type=float, help="of the loop")
    parser.add_argument("--from-mode", action="store_true", help="also begin at a mode")
    parser.add_argument(
        "--longer", type=int, default=0, help="also a fit and a loop of so many times the steps"
    )
    parser.add_argument("--warmup", nargs="*", type=int, default=[], help="also of these epochs")
    parser.add_argument("--quick", action="store_true", help="16 units and 50 epochs")
    parser.add_argument("--out", type=Path, help="the file of rows")
    parser.add_argument("--page", action="store_true", help="write the page of results")
    given = parser.parse_args()
    units, rows = ([16] if given.quick else given.units), read_rows(given.out)
    print("\n".join(HEAD))
    for seed, width, prior in (
        (s, w, p) for s in range(given.seeds) for w in units for p in given.prior
    ):
        epochs = given.epochs or (50 if given.quick else EPOCHS.get(width, 100))
        rates = RATES.get(width, (1e-3, 1e-2)) if given.rates is None else given.rates
        for by, fit in list_ways(rates, given.from_mode, given.longer, given.warmup).items():
            if (width, prior, seed, by) not in {row[:4] for row in rows}:
                rows.append(measure(width, prior, seed, by, fit, epochs))
                add_row(rows[-1], given.out)
    rows.sort(key=lambda row: row[:3])
    means = summarize(rows)
    print("\n".join(means))
    if given.page:
        lines = [*means, "\n## Each fit\n", *HEAD, *map(str, rows)]
        page.write(PAGE, "Bayes by Backprop on digits", __doc__, lines)


if __name__ == "__main__":
    main()
