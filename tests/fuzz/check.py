"""Compare one model with plain JAX: value and gradient in both forms, draws, and moments."""

import os
import re
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj
import infer
from bijectors.errors import ExplainedError
from infer.density.base import log_density
from infer.programs.by_numpy import NoRuleError, evaluate_by_numpy
from infer.programs.native import Refusal, compile_program

from .families import SIZE
from .model import Case, draw

# Relative to the largest number; allows for rounding and for the loss in badly scaled sums.
TOLERANCE = {"double": 1e-8, "single": 1e-3, "few": 0.05}
# For means and sds of 400 draws of NUTS, with an effective size of about 300: six standard errors.
MOMENTS = 0.35
# Words of compilers, which must not appear in a message.
RAW = re.compile(r"INTERNAL|UNIMPLEMENTED|symbols|LLVM|thunk|HLO|0x|<lambda>|_kernel", re.I)
NOISE = re.compile(r"LLVM|execution_engine|ir_emitter|Symbols not found")


class Outcome(NamedTuple):
    """The result of a check: "ok", "refused", "wrong" or "raw"; and details in words."""

    status: str
    detail: str = ""


def check(seed: int) -> tuple[str, Outcome]:
    """Check one model; return its name and the outcome."""
    case = draw(seed)
    jax.config.update("jax_enable_x64", case.double)
    warnings.simplefilter("ignore")
    try:
        return case.name, _compare(case)
    except ExplainedError as error:
        return case.name, _refusal(str(error))
    except Exception as error:
        line = _first_line(error)
        if _without_us(case) == line:
            return case.name, Outcome("refused", f"JAX alone does not compute it: {line}")
        return case.name, Outcome("raw", line)


def _without_us(case: Case) -> str:
    """Return the error that JAX alone raises for the log density, or an empty string."""
    try:
        jax.jit(case.log_density)(jnp.asarray(_make_points(case)[0]), jnp.asarray(case.data))
    except Exception as error:
        return _first_line(error)
    return ""


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"


def _refusal(message: str) -> Outcome:
    return Outcome("raw" if RAW.search(message) else "refused", message)


def _make_points(case: Case) -> np.ndarray:
    dtype = np.float64 if case.double else np.float32
    return np.random.default_rng(7).normal(size=(3, SIZE)).astype(dtype)


def _plain(case: Case, points: np.ndarray):
    """Compute value and gradient at each point with JAX alone."""
    data = jnp.asarray(case.data)
    compiled = jax.jit(jax.value_and_grad(case.log_density))
    found = [compiled(jnp.asarray(point), data) for point in points]
    return np.array([value for value, _ in found]), np.array([slope for _, slope in found])


def _in_turn(density, points):
    return jax.lax.map(density.evaluate, points)


def _at_once(density, points):
    return jax.vmap(density.evaluate)(points)


def _compare(case: Case) -> Outcome:
    model = infer.declared(
        lambda values, data: case.log_density(values["x"], data["own"]),
        {"x": bj.Real(shape=(SIZE,))},
        data={"own": case.data},
    )
    points = _make_points(case)
    density = log_density(model)
    why, notes = "", []
    forms = {"native": _in_turn, "kernels": _at_once}
    made = {form: compile_program(f, (), (density, points), form)[0] for form, f in forms.items()}
    expected = _plain(case, points)
    for form, own in made.items():
        if isinstance(own, Refusal):
            why = own.reason
            continue
        for name, a, b in zip(
            ("value", "gradient"), own.call(density, points), expected, strict=True
        ):
            notes += _difference(case, f"{name}, {form}", np.asarray(a), b)
    notes += _compare_numpy(case, density, points, expected)
    if case.sampled and np.isfinite(expected[0]).all() and np.isfinite(expected[1]).all():
        notes += _compare_draws(case, model)
    if notes:
        return Outcome("wrong", "; ".join(notes))
    if RAW.search(why):
        return Outcome("raw", why)
    return Outcome("ok", f"not native: {why}" if why else "")


def _compare_numpy(case: Case, density, points, expected) -> list[str]:
    """Compare what NumPy makes of the traced density, which is what runs are checked with."""
    traced = jax.jit(_in_turn).trace(density, points)
    try:
        found = evaluate_by_numpy(traced.jaxpr, (density, points))
    except NoRuleError:
        return []
    pairs = zip(("value", "gradient"), found, expected, strict=True)
    return [note for name, a, b in pairs for note in _difference(case, f"{name}, NumPy", a, b)]


def _difference(case: Case, name: str, found: np.ndarray, expected: np.ndarray) -> list[str]:
    kind = "few" if case.digits == "few" else "double" if case.double else "single"
    if found.dtype != expected.dtype or (np.isnan(found) != np.isnan(expected)).any():
        return [f"{name}: {found} for {expected}"]
    scale = max(1.0, np.nanmax(np.abs(np.where(np.isinf(expected), 0, expected))))
    apart = np.abs(np.where(found == expected, 0, found - expected)) / scale
    return [f"{name} off by {np.nanmax(apart):.1e}"] if np.nanmax(apart) > TOLERANCE[kind] else []


def _compare_draws(case: Case, model) -> list[str]:
    known = case.target is not None
    options = {"warmup": 100, "draws": 100} if known else {"warmup": 20, "draws": 10}
    result = infer.sample(model, key=3, progress=False, **options)
    draws = result["posterior"]["x"].values
    if not known:
        few = draws[:2, :3].reshape(-1, SIZE)
        stated = result["sample_stats"]["lp"].values[:2, :3].ravel().astype(few.dtype)
        return _difference(case, "lp of draws", stated, _plain(case, few)[0])
    flat = draws.reshape(-1, SIZE)
    dtype = float if case.double else np.float32
    mean = np.concatenate([np.asarray(case.target(jnp.asarray(case.data, dtype))), np.zeros(2)])
    off = max(np.abs(flat.mean(0) - mean).max(), np.abs(flat.std(0) - 1).max())
    return [f"moments off by {off:.2f}"] if off > MOMENTS else []


def noise(text: str) -> str:
    """Return the first line that a compiler wrote among what a model printed."""
    return next((line for line in text.splitlines() if NOISE.search(line)), "")


def in_child(seed: int, result: int, printed: int) -> None:
    """Check a model in a forked process; write the outcome, and exit at once."""
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    name, outcome = check(seed)
    os.write(result, "\n".join((name, *outcome)).encode())
    os._exit(0)
