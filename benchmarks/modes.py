"""Time searches for a mode, ours and SciPy's L-BFGS-B, in alternating processes.

    python -m benchmarks.modes --out rows.jsonl [--repeats 3] [--only NAME ...] [--page]

What is in the file of rows already is not measured again. `--page` writes results/modes.md.

Both start at the same point and maximize the same log density, with a tolerance of 1e-6 nats (1e-5
in single precision): ours by the Newton decrement, SciPy's L-BFGS-B until a step gains less than
that. Often this is far below the mode, so SciPy's also searches without a stopping rule, to within
1e-4 nats of the height that ours reached ("as high"). Ours also checks what it found (saddle, edge,
rise). Seconds are of the processor, all threads together, from a built model to the result. A cold
search is the first of a process and compiles: `infer.maximize`, or `jax.jit` of value and gradient.
Searches after it are warm; our third search of a cheap density compiles its loop, as its column
shows. Warm is the median of searches 2 to 7, of the regression 2 and 3.

The Hessian of the network is almost singular at its modes, because some hidden units have almost no
weight: over the last 2e-3 nats, where SciPy's has stopped, Newton steps halve the distance instead
of squaring it. There "as high" compares like with like. The regression is in single precision, in
which its log densities are 0.004 nats apart: there "as high" asks for equal ones.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from . import page

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

PAGE = Path(__file__).parent / "results" / "modes.md"
# Searches of a process after its first, and of the large regression.
WARM, FEW = 6, 2
# Nats from our height at which SciPy has reached it.
AS_HIGH = 1e-4
HEAD = (
    "| posterior | who | cold, s | third, s | warm, s | log density | steps | gradients | says |",
    "| --- | --- |" + " ---: |" * 6 + " --- |",
)
RATIOS = (
    "| posterior | cold | warm | cold, as high | warm, as high |",
    "| --- |" + " ---: |" * 4,
)
WHO = ("ours", "SciPy", "SciPy, as high")


def regression():
    """A logistic regression of 5·10^4 rows on 10^4 columns, in single precision."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    import infer

    rng = np.random.default_rng(0)
    x = rng.standard_normal((50_000, 10_000), dtype=np.float32) / 100
    y = (rng.random(50_000) < 1 / (1 + np.exp(-x @ rng.standard_normal(10_000)))).astype("f4")

    def model(site, x, y):
        b = site("b", dist.Normal(0, 1), shape=(10_000,))
        site.observe("y", dist.Bernoulli(logits=x @ b), y)

    return infer.model(model, x=jnp.asarray(x), y=y), {"b": np.zeros(10_000, "f4")}


def rosenbrock():
    """The Rosenbrock function of 100 coordinates."""
    import bijectors as bj
    import infer

    def density(values):
        x = values["x"]
        return -(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    start = np.random.default_rng(1).uniform(-2, 2, 100)
    return infer.declared(density, {"x": bj.Real(shape=(100,))}), {"x": start}


def normal():
    """A normal of 60 coordinates, rotated, with standard deviations from 0.03 to 30."""
    import jax.numpy as jnp

    import bijectors as bj
    import infer

    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    precision = jnp.asarray((turn * np.logspace(-3, 3, 60)) @ turn.T)

    def density(values):
        return -0.5 * values["x"] @ precision @ values["x"]

    return infer.declared(density, {"x": bj.Real(shape=(60,))}), {"x": rng.uniform(-2, 2, 60)}


def process():
    """A Gaussian process on 200 points of five columns, with a length scale for each."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    import infer

    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 5))
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] + 0.1 * rng.normal(size=200)

    def model(site, x, y):
        length = site("length", dist.LogNormal(0.0, 1.0), shape=(5,))
        height = site("height", dist.LogNormal(0.0, 1.0))
        noise = site("noise", dist.LogNormal(-1.0, 1.0))
        scaled = x / length
        square = ((scaled[:, None] - scaled) ** 2).sum(-1)
        covariance = height**2 * jnp.exp(-0.5 * square) + noise**2 * jnp.eye(len(x))
        site.observe("y", dist.MultivariateNormal(0.0, covariance), y)

    start = {"length": np.ones(5), "height": np.array(1.0), "noise": np.array(0.5)}
    return infer.model(model, x=x, y=y), start


def network():
    """A network of 10^4 weights with one hidden layer, on 1000 rows of 98 columns."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    import infer

    rng = np.random.default_rng(4)
    x = rng.normal(size=(1000, 98))
    y = np.tanh(x[:, :5].sum(1)) + 0.1 * rng.normal(size=1000)

    def model(site, x, y):
        first = site("first", dist.Normal(0, 1), shape=(98, 100))
        offset = site("offset", dist.Normal(0, 1), shape=(100,))
        last = site("last", dist.Normal(0, 1), shape=(100,))
        hidden = jnp.tanh(x @ first / 10 + offset)
        site.observe("y", dist.Normal(hidden @ last / 10, 0.3), y)

    start = {"first": rng.normal(size=(98, 100)), "offset": np.zeros(100)}
    return infer.model(model, x=x, y=y), start | {"last": rng.normal(size=100)}


PROBLEMS = {
    "regression, 10^4 of 5·10^4 rows": regression,
    "Rosenbrock, 100": rosenbrock,
    "ill-conditioned normal, 60": normal,
    "Gaussian process, 200 points": process,
    "network, 10^4 weights": network,
}


def search_ours(model, start):
    import infer

    def search():
        found = infer.maximize(model, infer.MAP("constrained"), starts=start)
        return found.lp, found.n_steps, found.n_gradients, found.reason

    return search


def search_scipy(model, start, height=None):
    import jax
    from scipy.optimize import minimize

    import infer

    density = jax.tree.map(jax.numpy.asarray, infer.log_density(model, jacobian=False))
    tolerance = 1e-6 if jax.config.read("jax_enable_x64") else 1e-5
    begin = np.asarray(density.unconstrain(start))
    evaluate = jax.jit(lambda density, position: density.evaluate(position))

    def loss(position):
        value, gradient = evaluate(density, position.astype(begin.dtype))
        return -float(value), -np.asarray(gradient, np.float64)

    def search():
        losses = [loss(begin)[0]]

        def stop(intermediate_result):
            losses.append(float(intermediate_result.fun))
            gains = losses[-2] - losses[-1]
            if gains < tolerance if height is None else losses[-1] <= AS_HIGH - height:
                raise StopIteration

        found = minimize(
            loss, begin.astype(float), jac=True, method="L-BFGS-B", callback=stop,
            options={"ftol": 0.0, "gtol": 0.0, "maxiter": 10_000, "maxfun": 20_000},
        )  # fmt: skip
        return -float(found.fun), int(found.nit), int(found.nfev) + 1, str(found.message).lower()

    return search


def search_in_turn(name: str, who: str, height: float | None) -> dict:
    import jax

    make: Any = PROBLEMS[name]
    single = make is regression
    jax.config.update("jax_enable_x64", not single)
    warnings.simplefilter("ignore")
    model, start = make()
    search = search_ours(model, start) if who == WHO[0] else search_scipy(model, start, height)
    seconds: list[float] = []
    found: Any = None
    for _ in range(1 + (FEW if single else WARM)):
        began = time.process_time()
        found = search()
        seconds.append(time.process_time() - began)
    lp, steps, gradients, reason = found
    return {
        "cold": seconds[0], "third": seconds[2], "warm": statistics.median(seconds[1:]),
        "lp": lp, "steps": steps, "gradients": gradients, "reason": reason,
    }  # fmt: skip


def run(name: str, who: str, height: float | None = None) -> dict:
    """Search in a fresh process, and return its row."""
    # On few cores, threads of BLAS wait for those of XLA.
    own = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    own.pop("JAX_COMPILATION_CACHE_DIR", None)
    given = ["--one", name, who, json.dumps([height])]
    command = [sys.executable, "-m", "benchmarks.modes", *given]
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    if made.returncode:
        raise SystemExit(made.stderr[-3000:])
    return {"name": name, "who": who, **json.loads(made.stdout.splitlines()[-1])}


def add_rows(names: list[str], repeats: int, file: Path) -> None:
    """Measure in turn what the file of rows does not have yet."""
    lines = file.read_text().splitlines() if file.exists() else []
    rows = {(row["name"], row["who"], row["repeat"]): row for row in map(json.loads, lines)}
    for name, repeat, who in ((n, r, w) for n in names for r in range(repeats) for w in WHO):
        if (name, who, repeat) not in rows:
            height = rows[name, WHO[0], repeat]["lp"] if who == WHO[2] else None
            rows[name, who, repeat] = row = run(name, who, height) | {"repeat": repeat}
            print(row, flush=True)
            with file.open("a") as opened:
                opened.write(json.dumps(row) + "\n")


def make_table(rows: list[dict]) -> list[str]:
    """Return medians over the repeats, and ratios of ours to SciPy's."""
    lines, ratios = [*HEAD], [*RATIOS]
    logs = []
    for name in (name for name in PROBLEMS if any(row["name"] == name for row in rows)):
        middle = {}
        for who in WHO:
            own = [row for row in rows if (row["name"], row["who"]) == (name, who)]
            cold, third, warm = (
                statistics.median(row[key] for row in own) for key in ("cold", "third", "warm")
            )
            middle[who], last = (cold, warm), own[-1]
            says = last["reason"] if who == WHO[0] else ""
            lines.append(
                f"| {name} | {who} | {cold:.3g} | {third:.3g} | {warm:.3g} | {last['lp']:.8g} | "
                f"{last['steps']} | {last['gradients']} | {says} |"
            )
        ours, *peers = (np.array(middle[who]) for who in WHO)
        own = np.concatenate([ours / peer for peer in peers])
        logs.append(np.log(own))
        ratios.append(f"| {name} | " + " | ".join(f"{x:.2f}" for x in own) + " |")
    mean = np.exp(np.mean(logs, axis=0))
    ratios.append("| geometric mean | " + " | ".join(f"{x:.2f}" for x in mean) + " |")
    return [*lines, "\n## Ours over SciPy's\n", *ratios]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="the file of rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--page", action="store_true", help="write the page of results")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        name, who, height = asked.one
        print(json.dumps(search_in_turn(name, who, json.loads(height)[0])))
        return
    if asked.out is None:
        parser.error("--out is missing")
    names = [name for name in PROBLEMS if any(own in name for own in asked.only)]
    add_rows(names, asked.repeats, asked.out)
    rows = [json.loads(line) for line in asked.out.read_text().splitlines()]
    table = make_table(rows)
    print("\n".join(table))
    if asked.page:
        repeats = 1 + max(row["repeat"] for row in rows)
        how = f"Ran with `--repeats {repeats}`.\n"
        page.write(PAGE, "Searches for a mode", __doc__, [how, *table])


if __name__ == "__main__":
    main()
