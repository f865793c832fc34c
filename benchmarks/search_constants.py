"""Count the gradients of searches for a minimum while one constant of the method is changed.

    python benchmarks/search_constants.py

Seven losses: Rosenbrock of 100 and 10 coordinates, an ill-conditioned normal, a small network, a
logistic regression, a Gaussian process and a funnel. "!" marks a search that did not converge. The
comments beside the constants in infer/numerics cite the totals of a run.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from infer.numerics import lbfgs, line_search, mode_search, newton_cg

TOLERANCE, MAX_STEPS = 1e-6, 2000
VARIATIONS = (
    (mode_search, "NEAR", (0.1, 0.001)),
    (mode_search, "FIRST_STEPS", (10, 20)),
    (mode_search, "NEARER", (1.0, 0.01)),
    (mode_search, "LATER", (1, 2, 4)),
    (mode_search, "FIRST_RADIUS", (10.0, 1000.0)),
    (mode_search, "FEWEST_DIRECTIONS", (100, 200)),
    (mode_search, "QUADRATIC", (0.02, 0.5)),
    (mode_search, "STEEPEST", (0.9, 0.5, 0.1)),
    (mode_search, "SETTLED", (0.1, 0.9)),
    (mode_search, "NEGLIGIBLE", (1.0, 0.01)),
    (newton_cg, "SMALLEST_SHARE", (0.3, 0.03)),
    (newton_cg, "SOLVED", (1.0, 0.01)),
    (lbfgs, "MOST_PAIRS", (10, 26, 100)),
    (mode_search, "CURVATURE", (0.5, 0.1)),
    (line_search, "LEAST_GROWTH", (1.1, 4.0)),
    (line_search, "LARGEST_GROWTH", (4.0, 100.0)),
    (line_search, "MARGIN", (0.01, 0.2)),
)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def make_normal():
    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    precision = jnp.asarray((turn * np.logspace(-3, 3, 60)) @ turn.T)
    return lambda x: 0.5 * x @ precision @ x, rng.uniform(-2, 2, 60)


def make_network():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 30))
    y = np.tanh(x[:, :5].sum(1)) + 0.1 * rng.normal(size=300)

    def loss(weights):
        first, offset, last = jnp.split(weights, [900, 930])
        found = jnp.tanh(x @ first.reshape(30, 30) / 5 + offset) @ last / 5
        return 0.5 * (weights**2).sum() + 0.5 * (((y - found) / 0.3) ** 2).sum()

    return loss, np.concatenate([rng.normal(size=900), np.zeros(30), rng.normal(size=30)])


def make_regression():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1000, 200)) / 5 * np.logspace(0, -1.5, 200)
    y = rng.random(1000) < 1 / (1 + np.exp(-3 * x @ rng.normal(size=200)))

    def loss(b):
        return (b**2).sum() / 18 + jnp.sum(jnp.logaddexp(0, x @ b) - y * (x @ b))

    return loss, np.zeros(200)


def make_process():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 5))
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] + 0.1 * rng.normal(size=60)

    def loss(logs):
        scaled = x / jnp.exp(logs[:5])
        square = ((scaled[:, None] - scaled) ** 2).sum(-1)
        covariance = jnp.exp(2 * logs[5] - 0.5 * square) + jnp.exp(2 * logs[6]) * jnp.eye(60)
        root = jnp.linalg.cholesky(covariance)
        white = jax.scipy.linalg.solve_triangular(root, y, lower=True)
        return 0.5 * white @ white + jnp.log(jnp.diag(root)).sum() + 0.5 * (logs**2).sum()

    return loss, np.zeros(7)


def funnel(x):
    rest = 0.5 * (x[1:] ** 2).sum() * jnp.exp(-x[0]) + 9.5 * x[0]
    return x[0] ** 2 / 18 + rest + 5 * jnp.cosh(x[0] / 3) + 0.01 * ((x[1:] - 1) ** 2).sum()


def make_losses() -> list[Any]:
    start = np.random.default_rng(1).uniform(-2, 2, 100)
    made = [make_normal(), make_network(), make_regression(), make_process()]
    return [(rosenbrock, start), (rosenbrock, np.zeros(10)), *made, (funnel, np.full(20, 0.5))]


def count_gradients(loss, start) -> tuple[int, bool]:
    """Search to the end; return the number of gradients, and whether it converged."""
    evaluate = jax.value_and_grad(loss)

    def advance(state):
        here = evaluate(state.next_point())
        return mode_search.advance(state, *here, jnp.asarray(TOLERANCE), jnp.int32(MAX_STEPS))

    begun = mode_search.begin_search(jnp.asarray(start), evaluate(jnp.asarray(start))[1])
    run = jax.jit(lambda state: jax.lax.while_loop(lambda s: s.reason == 0, advance, state))
    found = run(begun)
    return int(found.n_gradients), int(found.reason) == mode_search.CONVERGED


def describe(losses) -> str:
    found = [count_gradients(*each) for each in losses]
    each = " ".join(f"{count}{'' if good else '!'}" for count, good in found)
    return f"{sum(count for count, _ in found)} gradients: {each}"


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    losses = make_losses()
    print("as they are:", describe(losses), flush=True)
    for module, name, values in VARIATIONS:
        kept = getattr(module, name)
        for value in values:
            setattr(module, name, value)
            print(f"{name} = {value}, not {kept}: {describe(losses)}", flush=True)
        setattr(module, name, kept)


if __name__ == "__main__":
    main()
