"""How fast the maps are: value with log-determinant, and its gradient, ours against NumPyro's.

    python benchmarks/bijectors_speed.py [--repeats 7]

Batches of 10^6 scalars, 10^5 simplexes of 10, and 10^4 correlation factors of 20, in float32,
alternating in one process; medians of the repeats, and the median of the ratios pair by pair.
The last column is ours as a multiple of the time to copy the same bytes in and out.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to, constraints

import bijectors as bj

CASES = {
    "positive, 10^6": (bj.Positive(), constraints.positive, (), 10**6),
    "interval, 10^6": (bj.Interval(-1.0, 2.0), constraints.interval(-1.0, 2.0), (), 10**6),
    "simplex(10), 10^5": (bj.Simplex(10), constraints.simplex, (10,), 10**5),
    "ordered(10), 10^5": (bj.Ordered(10), constraints.ordered_vector, (10,), 10**5),
    "correlation Cholesky(20), 10^4": (
        bj.CorrelationCholesky(),
        constraints.corr_cholesky,
        (20, 20),
        10**4,
    ),
}


def ours(constraint, shape):
    bijector = bj.bijector_for(constraint, shape)

    def both(y):
        image = jax.vmap(bijector.image)(y)
        return image.value, image.log_det

    return both


def theirs(constraint):
    transform = biject_to(constraint)

    def both(y):
        value = transform(y)
        return value, transform.log_abs_det_jacobian(y, value)

    return both


def with_gradient(both):
    """Differentiate a sum of squared values and log-determinants, as a density does."""

    def total(y):
        value, log_det = both(y)
        # Quadratic, so that no cotangent is a constant that XLA folds away.
        return (value**2).sum() + log_det.sum()

    return jax.grad(total)


def seconds(program, y) -> float:
    began = time.perf_counter()
    jax.block_until_ready(program(y))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    print("| batch | what | ours ms | NumPyro ms | NumPyro / ours | ours / copy |")
    print("| --- | --- | --: | --: | --: | --: |")
    logs = []
    for name, (constraint, other, shape, count) in CASES.items():
        inner = bj.bijector_for(constraint, shape).unconstrained_shape(shape)
        y = jnp.asarray(np.random.default_rng(0).standard_normal((count, *inner)), jnp.float32)
        pair = (ours(constraint, shape), theirs(other))
        for what, change in (("forward", lambda f: f), ("gradient", with_gradient)):
            programs = [jax.jit(change(both)) for both in pair]
            copy = jax.jit(lambda y: y + 1.0)
            for program in (*programs, copy):
                seconds(program, y)
            rows = [[seconds(p, y) for p in (*programs, copy)] for _ in range(repeats)]
            mine, peer, bare = (statistics.median(column) for column in zip(*rows, strict=True))
            ratio = statistics.median(b / a for a, b, _ in rows)
            logs.append(np.log(ratio))
            print(
                f"| {name} | {what} | {1e3 * mine:.2f} | {1e3 * peer:.2f} | {ratio:.2f} "
                f"| {mine / bare:.1f} |"
            )
    print(f"\nGeometric mean of NumPyro / ours: {np.exp(np.mean(logs)):.2f}")


if __name__ == "__main__":
    main()
