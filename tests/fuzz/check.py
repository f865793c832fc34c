"""Compare one model with plain JAX: value and gradient in both forms, draws, and moments."""

import os
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj
import infer
from bijectors.errors import ExplainedError
from infer.density.base import LogDensity, log_density
from infer.programs.by_numpy import NoRuleError, evaluate_by_numpy
from infer.programs.native import Refusal, compile_program

from .families import SIZE
from .model import Case, draw
from .programs import Program, draw_program

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
    """Check one model, of which every third is a program of the DSL; return name and outcome."""
    warnings.simplefilter("ignore")
    if seed % 3 == 2:
        return check_program(draw_program(seed), has_draws=seed % 4 == 0)
    case = draw(seed)
    jax.config.update("jax_enable_x64", case.double)
    plain = jax.jit(jax.value_and_grad(case.log_density))
    return case.name, _explain_errors(
        lambda: _compare(case),
        lambda: plain(jnp.asarray(_make_points(case)[0]), jnp.asarray(case.data)),
    )


def check_program(program: Program, has_draws: bool) -> tuple[str, Outcome]:
    """Check one program of the DSL; return its name and the outcome."""
    jax.config.update("jax_enable_x64", program.double)
    density: list[LogDensity] = []

    def compare() -> Outcome:
        density.append(log_density(program.model))
        return _compare_program(program, density[0], has_draws)

    def plain() -> None:
        jax.jit(jax.grad(partial(_sum_plainly, program, density[0])))(_points_of(density[0])[0])

    return program.name, _explain_errors(compare, plain)


def _explain_errors(compare: Callable[[], Outcome], plain: Callable[[], Any]) -> Outcome:
    """Compare a model; an error must explain itself, unless JAX alone raises the same one."""
    try:
        return compare()
    except ExplainedError as error:
        return _refusal(str(error))
    except Exception as error:
        line = _first_line(error)
        try:
            plain()
        except Exception as other:
            if _first_line(other) == line:
                return Outcome("refused", f"JAX alone does not compute it: {line}")
        return Outcome("raw", line)


def _points_of(density: LogDensity) -> np.ndarray:
    dtype = jnp.result_type(float)
    return (0.7 * np.random.default_rng(7).normal(size=(3, density.size))).astype(dtype)


def _sum_plainly(program: Program, density: LogDensity, point):
    """Sum the terms without a density of ours; only values and Jacobian are those of the maps."""
    return program.expected(density.constrain(point)) + density.terms(point)["jacobian"]


def _compare_program(program: Program, density: LogDensity, has_draws: bool) -> Outcome:
    points = _points_of(density)
    plain = jax.value_and_grad(partial(_sum_plainly, program, density))
    kind = "double" if program.double else "single"
    notes, why, expected = _compare_with_plain(kind, density, points, plain)
    if has_draws and np.isfinite(expected[0]).all():
        run = infer.start(program.model, infer.NUTS(), key=3, warmup=20, progress=False)
        draws = run.advance(5).draws()
        few, stated = draws.positions[:, -1], draws.stats["lp"][:, -1]
        notes += _compare_stated(kind, plain, few, stated.astype(few.dtype))
    return _conclude(notes, why)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"


def _refusal(message: str) -> Outcome:
    return Outcome("raw" if RAW.search(message) else "refused", message)


def _make_points(case: Case) -> np.ndarray:
    dtype = np.float64 if case.double else np.float32
    return np.random.default_rng(7).normal(size=(3, SIZE)).astype(dtype)


def _plain(case: Case):
    """Return value and gradient at a point with JAX alone."""
    data = jnp.asarray(case.data)
    return lambda point: jax.value_and_grad(case.log_density)(point, data)


def _evaluate(plain, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and gradients at points."""
    values, slopes = zip(*(plain(jnp.asarray(point)) for point in points), strict=True)
    return np.array(values), np.array(slopes)


def _evaluate_stepwise(plain, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do as `_evaluate`, with each operation compiled by itself, also those of loops."""
    with jax.disable_jit():
        return _evaluate(plain, points)


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
    kind = "few" if case.digits == "few" else "double" if case.double else "single"
    notes, why, expected = _compare_with_plain(kind, density, points, _plain(case))
    if case.sampled and np.isfinite(expected[0]).all() and np.isfinite(expected[1]).all():
        notes += _compare_draws(case, kind, model)
    return _conclude(notes, why)


def _conclude(notes: list[str], why: str) -> Outcome:
    if notes:
        return Outcome("wrong", "; ".join(notes))
    if RAW.search(why):
        return Outcome("raw", why)
    return Outcome("ok", f"not native: {why}" if why else "")


def _compare_with_plain(kind: str, density, points, plain):
    """Compare a density with JAX alone; return differences, why not native, and what is expected.

    JAX's compiled form can be wrong: XLA may compute a number twice with other last bits, and then
    a derivative that asks whether the two are equal, like that of a scatter's minimum, is lost. So
    if something differs from it, what JAX computes step by step decides.
    """
    expected = _evaluate(jax.jit(plain), points)
    notes, why = _compare_forms(kind, density, points, expected)
    if notes:
        notes, why = _compare_forms(kind, density, points, _evaluate_stepwise(plain, points))
    return notes, why, expected


def _compare_forms(kind: str, density, points, expected) -> tuple[list[str], str]:
    """Compare both forms and NumPy with what is expected; also say why there is no native form."""
    why, notes = "", []
    for form, function in {"native": _in_turn, "kernels": _at_once}.items():
        made, _ = compile_program(function, (), (density, points), form)
        if isinstance(made, Refusal):
            why = made.reason
            continue
        notes += _compare_pair(kind, form, made.call(density, points), expected)
    return notes + _compare_numpy(kind, density, points, expected), why


def _compare_pair(kind: str, form: str, found, expected) -> list[str]:
    """Compare values and gradients; return their differences."""
    pairs = zip(("value", "gradient"), found, expected, strict=True)
    each = [_difference(kind, f"{name}, {form}", np.asarray(a), b) for name, a, b in pairs]
    return sum(each, [])


def _compare_numpy(kind: str, density, points, expected) -> list[str]:
    """Compare what NumPy makes of the traced density, which is what runs are checked with."""
    traced = jax.jit(_in_turn).trace(density, points)
    try:
        found = evaluate_by_numpy(traced.jaxpr, (density, points))
    except NoRuleError:
        return []
    return _compare_pair(kind, "NumPy", found, expected)


def _difference(kind: str, name: str, found: np.ndarray, expected: np.ndarray) -> list[str]:
    if found.dtype != expected.dtype or (np.isnan(found) != np.isnan(expected)).any():
        return [f"{name}: {found} for {expected}"]
    scale = max(1.0, np.nanmax(np.abs(np.where(np.isinf(expected), 0, expected))))
    apart = np.abs(np.where(found == expected, 0, found - expected)) / scale
    return [f"{name} off by {np.nanmax(apart):.1e}"] if np.nanmax(apart) > TOLERANCE[kind] else []


def _compare_draws(case: Case, kind: str, model) -> list[str]:
    known = case.target is not None
    options = {"warmup": 100, "draws": 100} if known else {"warmup": 20, "draws": 10}
    result = infer.sample(model, key=3, progress=False, **options)
    draws = result["posterior"]["x"].values
    if not known:
        few = draws[:2, :3].reshape(-1, SIZE)
        stated = result["sample_stats"]["lp"].values[:2, :3].ravel().astype(few.dtype)
        return _compare_stated(kind, _plain(case), few, stated)
    flat = draws.reshape(-1, SIZE)
    dtype = float if case.double else np.float32
    mean = np.concatenate([np.asarray(case.target(jnp.asarray(case.data, dtype))), np.zeros(2)])
    off = max(np.abs(flat.mean(0) - mean).max(), np.abs(flat.std(0) - 1).max())
    return [f"moments off by {off:.2f}"] if off > MOMENTS else []


def _compare_stated(kind: str, plain, draws: np.ndarray, stated: np.ndarray) -> list[str]:
    """Compare the log densities that a run states of its draws with JAX alone."""
    name = "lp of draws"
    notes = _difference(kind, name, stated, _evaluate(jax.jit(plain), draws)[0])
    return notes and _difference(kind, name, stated, _evaluate_stepwise(plain, draws)[0])


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
