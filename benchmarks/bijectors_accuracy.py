"""How exact each map is, ours and NumPyro's, by scale and precision.

    python benchmarks/bijectors_accuracy.py            both, side by side
    python benchmarks/bijectors_accuracy.py --certificate   ours alone, as docs/certificate.md

Side by side: 200 inputs of N(0, scale^2); the share with a finite log-determinant, the largest
error of y after a round trip, and the share of values inside their own constraint.
"""

import argparse

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to, constraints

import bijectors as bj
from bijectors.testing import SCALES as SCALES_CHECKED

PAIRS = {
    "positive": (bj.Positive(), constraints.positive, ()),
    "interval(-1, 2)": (bj.Interval(-1.0, 2.0), constraints.interval(-1.0, 2.0), ()),
    "simplex(10)": (bj.Simplex(10), constraints.simplex, (10,)),
    "simplex(200)": (bj.Simplex(200), constraints.simplex, (200,)),
    "ordered(20)": (bj.Ordered(20), constraints.ordered_vector, (20,)),
    "lower Cholesky(8)": (bj.LowerCholesky(), constraints.lower_cholesky, (8, 8)),
    "correlation Cholesky(8)": (bj.CorrelationCholesky(), constraints.corr_cholesky, (8, 8)),
    "correlation Cholesky(50)": (bj.CorrelationCholesky(), constraints.corr_cholesky, (50, 50)),
    "correlation(8)": (bj.Correlation(), constraints.corr_matrix, (8, 8)),
    "covariance(8)": (bj.PositiveDefinite(), constraints.positive_definite, (8, 8)),
    "zero sum(10)": (bj.ZeroSum(), constraints.zero_sum(1), (10,)),
    "L1 ball(10)": (bj.Ball(order=1), constraints.l1_ball, (10,)),
}
SCALES = (1.0, 3.0, 10.0, 30.0)
POINTS = 200


def ours(pair, inputs):
    constraint, _, shape = pair
    bijector = bj.bijector_for(constraint, shape)
    images = jax.jit(jax.vmap(bijector.image))(inputs)
    back = jax.jit(jax.vmap(bijector.inverse))(images.value)
    return images.log_det, back, constraint.contains(images.value)


def theirs(pair, inputs):
    _, constraint, _ = pair
    transform = biject_to(constraint)
    values = jax.jit(jax.vmap(transform))(inputs)
    log_det = jax.jit(jax.vmap(transform.log_abs_det_jacobian))(inputs, values)
    return log_det, jax.jit(jax.vmap(transform.inv))(values), constraint(values)


def side_by_side() -> None:
    columns = ("finite", "round trip", "inside")
    print("| set | dtype | scale | " + " | ".join(f"{c}: ours | theirs" for c in columns) + " |")
    print("| --- | --- |" + " --: |" * 7)
    for name, pair in PAIRS.items():
        shape = bj.bijector_for(pair[0], pair[2]).unconstrained_shape(pair[2])
        for dtype in (jnp.float32, jnp.float64):
            # NumPyro allocates in the default precision, so single precision is tried as such.
            jax.config.update("jax_enable_x64", dtype == jnp.float64)
            for scale in SCALES:
                rng = np.random.default_rng(0)
                inputs = jnp.asarray(scale * rng.standard_normal((POINTS, *shape)), dtype)
                cells = [describe(find(pair, inputs), inputs) for find in (ours, theirs)]
                row = " | ".join(f"{a} | {b}" for a, b in zip(*cells, strict=True))
                print(f"| {name} | {jnp.dtype(dtype).name} | {scale:g} | {row} |")


def describe(found, inputs) -> tuple[str, str, str]:
    log_det, back, inside = (np.asarray(a) for a in found)
    trip = np.abs(back - np.asarray(inputs)).reshape(POINTS, -1).max(-1)
    worst = f"{trip.max():.0e}" if np.isfinite(trip).all() else "not finite"
    return f"{np.isfinite(log_det).mean():.0%}", worst, f"{inside.mean():.0%}"


def certificate() -> None:
    print("# Certificate of the maps\n")
    print("Largest errors over the cases of each rule, at every scale of normal inputs, as")
    print("`python benchmarks/bijectors_accuracy.py --certificate` prints them. The round trip is")
    print("that of points inside the declared domain; log-determinants are compared with autodiff")
    print("near zero and between the precisions further out, relative to 1 + |log-determinant|.\n")
    scales = " | ".join(f"scale {s:g}" for s in SCALES_CHECKED)
    print(f"| set | map | precision | domain | {scales} |")
    print("| --- | --- | --- | --: |" + " --: |" * len(SCALES_CHECKED))
    for rule in bj.RULES:
        rows = bj.check_rule(rule)
        for dtype in ("float32", "float64"):
            cells = []
            for scale in SCALES_CHECKED:
                mine = [r for r in rows if r.dtype == dtype and r.scale == scale]
                trip, volume = max(r.round_trip for r in mine), max(r.log_det for r in mine)
                cells.append(f"{trip:.0e}, {volume:.0e}")
            radius = getattr(rule, dtype).radius
            print(
                f"| {rule.constraint.__name__} | {rule.name} | {dtype} | ±{radius:g} | "
                + " | ".join(cells) + " |"
            )  # fmt: skip
    print("\nEach cell: round trip, log-determinant.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", action="store_true")
    certificate() if parser.parse_args().certificate else side_by_side()
