"""Measure the speed of the maps, value with log-determinant and gradient, against three peers.

    python benchmarks/bijectors_speed.py [--repeats 15]

Batches of 10^6 scalars, 10^5 simplexes of 10, and 10^4 correlation factors of 20, in float32,
ours and those of NumPyro, TFP and flowjax (if it is installed and has such a map), alternating
in one process. Prints medians of the repeats, and medians of the ratios of each round. The last
column is our time as a multiple of the time to copy the same array.
"""

import argparse
import importlib.util
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to, constraints

import bijectors as bj
from bijectors.translate.tfp_import import load_tfp

tfb = load_tfp().bijectors

CASES = {
    "positive, 10^6": (bj.Positive(), (), 10**6, None),
    "interval, 10^6": (bj.Interval(-1.0, 2.0), (), 10**6, None),
    "simplex(10), 10^5": (bj.Simplex(), (10,), 10**5, None),
    "simplex(10), 10^5, additive": (bj.Simplex(), (10,), 10**5, "alr"),
    "ordered(10), 10^5": (bj.Ordered(), (10,), 10**5, None),
    "correlation Cholesky(20), 10^4": (bj.CorrelationCholesky(), (20, 20), 10**4, None),
}
NUMPYRO = (
    constraints.positive,
    constraints.interval(-1.0, 2.0),
    constraints.simplex,
    constraints.simplex,
    constraints.ordered_vector,
    constraints.corr_cholesky,
)
# TFP's default for positive numbers is Softplus; its map of a simplex is our additive one.
TFP = (
    tfb.Exp(),
    tfb.Sigmoid(-1.0, 2.0),
    tfb.SoftmaxCentered(),
    tfb.SoftmaxCentered(),
    tfb.Ascending(),
    tfb.CorrelationCholesky(),
)


def ours(constraint, shape, choice):
    bijector = bj.bijector_for(constraint, shape, choice)

    def both(y):
        image = jax.vmap(bijector.image)(y)
        return image.value, image.log_det

    return both


def numpyros(constraint):
    transform = biject_to(constraint)

    def both(y):
        value = transform(y)
        return value, transform.log_abs_det_jacobian(y, value)

    return both


def tfps(bijector, rank):
    return lambda y: (bijector.forward(y), bijector.forward_log_det_jacobian(y, rank))


def flowjaxs() -> dict:
    """Return flowjax's maps; for the sets here, it has only those of scalars."""
    if importlib.util.find_spec("flowjax") is None:
        return {}
    from flowjax import bijections

    sigmoid = bijections.Chain([bijections.Sigmoid(()), bijections.Affine(-1.0, 3.0)])
    maps = {"positive, 10^6": bijections.Exp(()), "interval, 10^6": sigmoid}
    return {name: jax.vmap(each.transform_and_log_det) for name, each in maps.items()}


def peers() -> dict:
    """Return for each batch the programs of the libraries that have such a map."""
    flowjax = flowjaxs()
    found = {}
    for (name, case), theirs, tfp in zip(CASES.items(), NUMPYRO, TFP, strict=True):
        found[name] = {"NumPyro": numpyros(theirs), "TFP": tfps(tfp, 1 if case[1] else 0)}
        if name in flowjax:
            found[name]["flowjax"] = flowjax[name]
    return found


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


def in_turn(programs, y, first: int) -> dict[str, float]:
    """Time each program once; each round begins with another, as the first finds cold caches."""
    names = list(programs)
    first %= len(names)
    return {n: seconds(programs[n], y) for n in names[first:] + names[:first]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    names = ("NumPyro", "TFP", "flowjax")
    print("| batch | what | ours ms | " + " | ".join(f"{n} / ours" for n in names), end="")
    print(" | ours / copy |\n| --- | --- | --: |" + " --: |" * 4)
    logs = []
    theirs = peers()
    for name, (constraint, shape, count, choice) in CASES.items():
        inner = bj.unconstrained_shape(constraint, shape)
        y = jnp.asarray(np.random.default_rng(0).standard_normal((count, *inner)), jnp.float32)
        all_of = {"ours": ours(constraint, shape, choice), **theirs[name]}
        for what, change in (("forward", lambda f: f), ("gradient", with_gradient)):
            programs = {n: jax.jit(change(both)) for n, both in all_of.items()}
            programs["copy"] = jax.jit(lambda y: y + 1.0)
            for program in programs.values():
                seconds(program, y)
            rounds = [in_turn(programs, y, first) for first in range(repeats)]
            ratio = lambda n, r=rounds: statistics.median(one[n] / one["ours"] for one in r)  # noqa: E731
            logs += [np.log(ratio(n)) for n in theirs[name]]
            cells = [f"{ratio(n):.2f}" if n in theirs[name] else "" for n in names]
            mine = statistics.median(one["ours"] for one in rounds)
            print(
                f"| {name} | {what} | {1e3 * mine:.2f} | " + " | ".join(cells),
                f"| {1 / ratio('copy'):.1f} |",
                flush=True,
            )
    print(f"\nGeometric mean of peer / ours: {np.exp(np.mean(logs)):.2f}")


if __name__ == "__main__":
    main()
