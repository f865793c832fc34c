"""Compare variants of the warm-up of NUTS, in effective draws per gradient; prints a table.

    python -m benchmarks.warmup_variants [--seeds 3] [--model radon ...] [--variant capped-4/2 ...]

Each run has four chains of 1000 draws in float64. Columns: the geometric mean over the seeds of
the smallest bulk ESS per 1000 gradients, warm-up and searches included, with its standard error in
per cent; that relative to the default; the smallest ESS, and the mean gradients of warm-up in
thousands; divergent draws of all seeds, and the mean acceptance in sampling.

The variants: in "capped-D/W" trees have at most D doublings in the first W windows. In "lbfgs-N"
starts, of chains and scouts, are improved by N iterations of L-BFGS in the coordinates of the
chains. "diagonal" has rank 0. "goes on" repeats the last window while more than 2 % of its draws
diverge, aiming closer to 1, or while the step size differs by more than a third from that of the
window before, up to twice the planned warm-up.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import arviz as az
from scipy.optimize import minimize

import infer
from benchmarks import geometry, learned_whitening
from benchmarks.bad_starts import PELTS, predators
from benchmarks.peers.suite import SUITE
from infer.density.points import Points
from infer.density.recentered import recenter
from infer.engines.base import Draws, Tick, WindowEnd
from infer.engines.nuts import UNIFORMS, NUTSState, _begin_if_done, _forget_trial, _stats
from infer.numerics import hamiltonian, no_u_turn
from infer.numerics.hamiltonian import HamiltonianTuning
from infer.numerics.shared_step import HIGHEST_TARGET, median_step, tighten
from infer.run import start as starting
from infer.run.coordinates import move_positions
from infer.types import Scratch

DIVERGENT_SHARE, STEP_RATIO = 0.02, 4 / 3


class CappedTuning(eqx.Module):
    """The tuning of NUTS, and how deep trees may become now.

    Attributes:
        shared: The tuning of NUTS.
        most: Maximum number of doublings.
        window: Windows made so far; read on the host only.
    """

    shared: HamiltonianTuning
    most: Any
    window: Any


@dataclass(frozen=True)
class Capped(infer.NUTS):
    """NUTS with shallow trees in its first windows."""

    cap: int = 5
    capped_windows: int = 2

    def _complete(self, shared: HamiltonianTuning, size: int) -> Any:
        return CappedTuning(shared, np.int32(self.cap), np.int32(0))

    def end_window(
        self, tuning: Any, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        end = super().end_window(tuning, recent, windows)
        done = int(tuning.window) + 1
        most = self.cap if done < self.capped_windows and len(end.windows) > 1 else self.max_depth
        own = CappedTuning(end.tuning.shared, np.int32(most), np.int32(done))
        return WindowEnd(own, end.windows, end.relocation)

    def tick(self, key: Any, target: Any, tuning: Any, state: NUTSState) -> tuple[Any, Any]:
        shared = tuning.shared
        key = jax.random.fold_in(key, state.ticks)
        uniforms = jax.random.uniform(key, (UNIFORMS,), state.step_size.dtype)
        state = _begin_if_done(key, shared.metric, state)
        start, reference, step_size = state.tree.chosen, state.reference, state.step_size
        tree, end, sign = no_u_turn.find_growing_end(state.tree, uniforms[0])
        point = self._advance(target, reference, end, sign * step_size, shared.metric)
        tree, slots = no_u_turn.join(tree, state.slots.memory, point, uniforms[1:])
        whole = tree.subtree.leaf == 0
        tree = tree._replace(done=tree.done | (whole & (tree.depth >= tuning.most)))
        searching = state.step.searching
        complete = tree.done & ~searching
        acceptance = tree.acceptance_sum / tree.n_steps.astype(step_size.dtype)
        step = hamiltonian.learn(state.step, shared, complete, acceptance)
        ticks = jnp.where(complete, 0, state.ticks + 1)
        tree = tree._replace(done=tree.done | searching)
        stats = _stats(tree, acceptance, state, step) | self._path_stats(
            reference, tree.chosen.log_density, tree.ends.path
        )
        tick = Tick(complete, tree.chosen.position, tree.chosen.gradient, stats)
        tree = _forget_trial(searching, tree, start)
        return NUTSState(tree, Scratch(slots), step, step_size, reference, ticks), tick


@dataclass(frozen=True)
class GoesOn(infer.NUTS):
    """NUTS that repeats its last window while draws diverge or the step size has changed."""

    def end_window(
        self, tuning: Any, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        end = super().end_window(tuning, recent, windows)
        if windows or end.windows:
            return end
        last, learned = recent[-1], end.tuning
        share = float(last.stats["diverging"].mean())
        before = float(tuning.step_size)
        ratio = float(learned.step_size) / before
        can_tighten = float(tuning.target_acceptance) < HIGHEST_TARGET
        diverges = share > DIVERGENT_SHARE and can_tighten
        changed = abs(np.log(ratio)) > np.log(STEP_RATIO)
        if not (diverges or changed):
            return end
        target = tighten(np.asarray(tuning.target_acceptance)) if diverges else None
        steps = last.stats["step_size_bar"][..., -1]
        size = median_step(steps).astype(np.asarray(tuning.step_size).dtype)
        learned = eqx.tree_at(lambda t: t.step_size, learned, np.asarray(size))
        if target is not None:
            learned = eqx.tree_at(lambda t: t.target_acceptance, learned, target)
        return WindowEnd(learned, (last.positions.shape[1],), end.relocation)


@contextmanager
def improve_starts(iterations: int) -> Iterator[list[int]]:
    """Let every run improve its starts by L-BFGS; yields a list of the gradients it took."""
    find, spent = starting._find, []

    def find_better(setup: Any) -> Any:
        found = find(setup)
        family, centering = setup.family, setup.centering
        own = family if centering is None else recenter(family, centering)
        density, plain = own.member(0), family.member(0)
        value = jax.jit(density.evaluate)
        evaluate = jax.jit(jax.vmap(plain.evaluate))

        def loss(position: np.ndarray) -> tuple[float, np.ndarray]:
            height, gradient = value(jnp.asarray(position))
            return -float(height), -np.asarray(gradient, np.float64)

        def improve(points: Points) -> Points:
            rows = move_positions(family, centering, points.positions, into=True)
            better = []
            for row in rows:
                made = minimize(
                    loss, np.asarray(row, float), jac=True, method="L-BFGS-B",
                    options={"maxiter": iterations},
                )  # fmt: skip
                spent.append(int(made.nfev))
                better.append(made.x if np.isfinite(made.fun) else row)
            rows = np.asarray(better, points.positions.dtype)
            positions = np.asarray(move_positions(family, centering, rows, into=False))
            heights, gradients = map(np.asarray, evaluate(positions))
            return Points(positions, heights, gradients, np.zeros_like(gradients))

        spare = found.spare and improve(found.spare)
        return found._replace(points=improve(found.points), spare=spare)

    starting._find = find_better
    try:
        yield spent
    finally:
        starting._find = find


def make_models() -> dict[str, Callable[[], infer.Model]]:
    """Return the models by name: those of the peers' benchmark, and hard ones."""

    def of_suite(name: str) -> infer.Model:
        case = SUITE[name]
        return infer.from_numpyro(case.numpyro, **case.data())

    def of_whitening(name: str) -> infer.Model:
        function, given = learned_whitening.CASES[name]
        return infer.model(function, way=infer.static("auto"), **given)

    hard = ("GP of 66 numbers, weak data", "GP of 66 numbers, strong data")
    return {
        **{name: lambda name=name: of_suite(name) for name in SUITE},
        **{name: lambda name=name: of_whitening(name) for name in hard},
        "counts": lambda: geometry.counts("auto"),
        "hares and lynxes": lambda: infer.model(predators, pelts=PELTS),
    }


MODELS = make_models()
VARIANTS: dict[str, tuple[infer.Engine, int]] = {
    "default": (infer.NUTS(), 0),
    "capped-4/2": (Capped(cap=4, capped_windows=2), 0),
    "capped-6/3": (Capped(cap=6, capped_windows=3), 0),
    "lbfgs-5": (infer.NUTS(), 5),
    "lbfgs-20": (infer.NUTS(), 20),
    "diagonal": (infer.NUTS(rank=0), 0),
    "goes on": (GoesOn(), 0),
}


class Measured(NamedTuple):
    """One run: smallest ESS; gradients of warm-up, and in all; divergences; acceptance."""

    ess: float
    warmed: int
    gradients: int
    divergent: int
    acceptance: float


def measure(model: infer.Model, variant: str, seed: int) -> Measured:
    engine, iterations = VARIANTS[variant]
    with improve_starts(iterations) if iterations else contextmanager(lambda: iter([[]]))() as own:
        found = infer.sample(model, engine, key=seed, progress=False)
    stats = found["sample_stats"]
    names = [site.name for site in infer.log_density(model).latent]
    ess = az.ess(found, var_names=names, method="bulk")
    warmed = found.attrs["warmup_gradients"] + sum(own)
    return Measured(
        min(float(np.nanmin(ess[name].values)) for name in names),
        warmed,
        warmed + int(stats["n_steps"].sum()),
        int(stats["diverging"].sum()),
        float(stats["acceptance_rate"].mean()),
    )


def row(name: str, variant: str, runs: list[Measured], reference: float) -> str:
    logs = np.log([1000 * run.ess / run.gradients for run in runs])
    error = 100 * logs.std(ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else np.nan
    rate = float(np.exp(logs.mean()))
    cells = [
        name, variant, f"{rate:.2f} ± {error:.0f} %", f"{rate / reference:.2f}",
        f"{min(run.ess for run in runs):.0f}", f"{np.mean([run.warmed for run in runs]) / 1e3:.1f}",
        str(sum(run.divergent for run in runs)), f"{np.mean([r.acceptance for r in runs]):.2f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--variant", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| model | variant | ESS / 1000 gradients | of default | least ESS |", end="")
    print(" warm-up, k | divergent | acceptance |\n" + "| --- " * 8 + "|")
    for name in given.model:
        model, reference = MODELS[name](), np.nan
        for variant in given.variant:
            runs = [measure(model, variant, seed) for seed in range(given.seeds)]
            rates = np.log([1000 * run.ess / run.gradients for run in runs])
            reference = float(np.exp(rates.mean())) if variant == "default" else reference
            print(row(name, variant, runs, reference), flush=True)


if __name__ == "__main__":
    main()
