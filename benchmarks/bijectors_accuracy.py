"""Measure the accuracy of our maps, NumPyro's and TFP's, by scale and precision.

    python benchmarks/bijectors_accuracy.py            all three, side by side
    python benchmarks/bijectors_accuracy.py --certificate   print docs/certificate.md, ours alone

Side by side: for 200 inputs from N(0, scale^2), or fewer for large values, the share whose
log-determinant and its gradient are finite, the largest error of y after a round trip, and the
share of values in the set. Membership is always that of our set. TFP's map is the default of its
distributions.
"""

import argparse

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to, constraints

import bijectors as bj
from bijectors.membership import is_member
from bijectors.testing import SCALES as SCALES_CHECKED
from bijectors.translate.tfp_import import load_tfp

tfb = load_tfp().bijectors

PAIRS = {
    "positive": (bj.Positive(), (), constraints.positive, tfb.Softplus()),
    "interval(-1, 2)": (
        bj.Interval(-1.0, 2.0),
        (),
        constraints.interval(-1.0, 2.0),
        tfb.Sigmoid(-1.0, 2.0),
    ),
    "circular": (bj.Circular(), (), constraints.circular, tfb.Sigmoid(-np.pi, np.pi)),
    "simplex(10)": (bj.Simplex(), (10,), constraints.simplex, tfb.SoftmaxCentered()),
    "simplex(200)": (bj.Simplex(), (200,), constraints.simplex, tfb.SoftmaxCentered()),
    "ordered(20)": (bj.Ordered(), (20,), constraints.ordered_vector, tfb.Ascending()),
    "lower Cholesky(8)": (
        bj.LowerCholesky(),
        (8, 8),
        constraints.lower_cholesky,
        tfb.FillScaleTriL(diag_shift=None),
    ),
    "correlation Cholesky(8)": (
        bj.CorrelationCholesky(),
        (8, 8),
        constraints.corr_cholesky,
        tfb.CorrelationCholesky(),
    ),
    "correlation Cholesky(50)": (
        bj.CorrelationCholesky(),
        (50, 50),
        constraints.corr_cholesky,
        tfb.CorrelationCholesky(),
    ),
    "correlation Cholesky(200)": (
        bj.CorrelationCholesky(),
        (200, 200),
        constraints.corr_cholesky,
        tfb.CorrelationCholesky(),
    ),
    "correlation(8)": (
        bj.Correlation(),
        (8, 8),
        constraints.corr_matrix,
        tfb.Chain([tfb.CholeskyOuterProduct(), tfb.CorrelationCholesky()]),
    ),
    "covariance(8)": (
        bj.PositiveDefinite(),
        (8, 8),
        constraints.positive_definite,
        tfb.Chain([tfb.CholeskyOuterProduct(), tfb.FillScaleTriL(diag_shift=None)]),
    ),
    "zero sum(10)": (bj.ZeroSum(), (10,), constraints.zero_sum(1), None),
    "L1 ball(10)": (bj.Ball(order=1), (10,), constraints.l1_ball, None),
}
SCALES = (1.0, 3.0, 10.0, 30.0)
POINTS, NUMBERS = 200, 400_000
# Largest size of the cases for which members are counted.
LARGEST = 50
PREAMBLE = f"""# Certificate of the maps

The largest errors over the cases of each rule, at every scale of normal inputs, as printed by
`python benchmarks/bijectors_accuracy.py --certificate`. Round trips are those of points in the
declared domain. Log-determinants are compared with autodiff near zero, and between the two
precisions further out, relative to 1 + |log-determinant|. The share of members is determined by
NumPy in double precision (`bijectors/membership.py`): in the domain, and for 200 vectors uniform
on (-2, 2), where chains start, in the case of size up to {LARGEST} with the fewest members.
"""
LEGEND = """
Each cell: error of the round trip, error of the log-determinant. A domain in parentheses is that
of the largest case, if it is smaller."""


def ours(pair):
    constraint, shape, *_ = pair
    bijector = bj.bijector_for(constraint, shape)
    shape = bijector.unconstrained_shape(shape)
    return shape, bijector.forward, lambda y: bijector.image(y).log_det, bijector.inverse


def numpyros(pair):
    transform = biject_to(pair[2])
    log_det = lambda y: transform.log_abs_det_jacobian(y, transform(y))  # noqa: E731
    return transform.inverse_shape(pair[1]), transform, log_det, transform.inv


def tfps(pair):
    bijector, ndims = pair[3], 1 if pair[1] else 0
    log_det = lambda y: bijector.forward_log_det_jacobian(y, ndims)  # noqa: E731
    shape = tuple(bijector.inverse_event_shape(pair[1])) if pair[1] else ()
    return shape, bijector.forward, log_det, bijector.inverse


def side_by_side() -> None:
    names = {"ours": ours, "NumPyro": numpyros, "TFP": tfps}
    columns = ("finite", "round trip", "inside")
    print("| set | dtype | scale | " + " | ".join(f"{c}: {n}" for c in columns for n in names), "|")
    print("| --- | --- |" + " --: |" * 10)
    for name, pair in PAIRS.items():
        for dtype in (jnp.float32, jnp.float64):
            # The others allocate in the default precision, so set it to the one measured.
            jax.config.update("jax_enable_x64", dtype == jnp.float64)
            for scale in SCALES:
                cells = [describe(make, pair, scale, dtype) for make in names.values()]
                row = " | ".join(cell for column in zip(*cells, strict=True) for cell in column)
                print(f"| {name} | {jnp.dtype(dtype).name} | {scale:g} | {row} |", flush=True)


def describe(make, pair, scale, dtype) -> tuple[str, str, str]:
    """Return share of finite log-determinants and gradients, worst round trip, share of members."""
    if make is tfps and pair[3] is None:
        return "", "", ""
    shape, forward, log_det, inverse = make(pair)
    points = int(np.clip(NUMBERS // max(np.prod(shape), 1), 8, POINTS))
    normal = np.random.default_rng(0).standard_normal((points, *shape))
    inputs = jnp.asarray(scale * normal, dtype)
    values = jax.jit(jax.vmap(forward))(inputs)
    volume, slope = jax.jit(jax.vmap(jax.value_and_grad(log_det)))(inputs)
    back = np.asarray(jax.jit(jax.vmap(inverse))(values))
    rows = lambda a: np.asarray(a).reshape(len(inputs), -1)  # noqa: E731
    finite = np.isfinite(np.asarray(volume)) & np.isfinite(rows(slope)).all(-1)
    inside = np.asarray(pair[0].contains(values)).reshape(len(inputs), -1).all(-1)
    # For a redundant map, under which many y have the same x, the round trip starts at x.
    redundant = make is ours and bj.bijector_for(pair[0], pair[1]).is_redundant
    again = jax.jit(jax.vmap(forward))(back) if redundant else back
    trip = np.abs(rows(again) - rows(values if redundant else inputs)).max(-1)
    worst = f"{trip.max():.0e}" if np.isfinite(trip).all() else "not finite"
    return f"{finite.mean():.0%}", worst, f"{inside.mean():.0%}"


def certificate() -> None:
    print(PREAMBLE)
    scales = " | ".join(f"scale {s:g}" for s in SCALES_CHECKED)
    print(f"| set | map | precision | domain | members, domain | members, start | {scales} |")
    print("| --- | --- | --- | --: | --: | --: |" + " --: |" * len(SCALES_CHECKED))
    for rule in bj.RULES:
        rows = bj.check_rule(rule)
        for dtype in ("float32", "float64"):
            cells = []
            for scale in SCALES_CHECKED:
                mine = [r for r in rows if r.dtype == dtype and r.scale == scale]
                trip, volume = max(r.round_trip for r in mine), max(r.log_det for r in mine)
                cells.append(f"{trip:.0e}, {volume:.0e}")
            inside = min(row.members for row in rows if row.dtype == dtype)
            at_starts = members_where_chains_start(rule, dtype)
            shares = f"{100 * inside:g}% | {100 * at_starts:g}%"
            print(
                f"| {rule.constraint.__name__} | {rule.name} | {dtype} | {domain(rule, dtype)} | "
                + " | ".join([shares, *cells]) + " |", flush=True
            )  # fmt: skip
    print(LEGEND)


def domain(rule: bj.Rule, dtype: str) -> str:
    """Return the radius of a rule in one precision, and that of its largest case if smaller."""
    radius = getattr(rule, dtype).radius
    smallest = min(rule.domains(case)[dtype].radius for case in rule.cases)
    return f"±{radius:g}" + (f" (±{smallest:g})" if smallest < radius else "")


def members_where_chains_start(rule: bj.Rule, dtype: str) -> float:
    """Return the smallest share of members over the cases of one rule."""
    cases = [case for case in rule.cases if max((1, *case.shape)) <= LARGEST]
    return min(share_of_members(rule, case, dtype) for case in cases)


def share_of_members(rule: bj.Rule, case: bj.Case, dtype: str) -> float:
    bijector = bj.bijector_for(case.constraint, case.shape, rule.name)
    shape = (POINTS, *bijector.unconstrained_shape(case.shape))
    inputs = np.random.default_rng(0).uniform(-2.0, 2.0, shape)
    values = jax.jit(jax.vmap(bijector.forward))(jnp.asarray(inputs, dtype))
    return float(is_member(case.constraint, values).reshape(POINTS, -1).all(-1).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", action="store_true")
    certificate() if parser.parse_args().certificate else side_by_side()
