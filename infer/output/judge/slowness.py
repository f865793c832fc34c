"""Where the time of a run went, and how close it came to the cost of its gradients."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...calls import check_arguments
from ...density.base import LogDensity
from ...engines.base import Engine
from ...programs.native import CompiledProgram, Refusal, compile_program
from ...run.run import Run
from ...types import Vector
from ..data.metric import name_engine
from ..data.origin import find_run
from ..data.recorded import read_stats
from ..remedy import advise_non_centered, join_advice

# Duration of the timing loop, far longer than the overhead of a call.
TIMED_SECONDS = 0.2
# Share of trajectories cut short that is reported.
OFTEN = 0.01
LONGER = "warm up longer (warmup=)"


@dataclass(frozen=True)
class Slowness:
    """Where the time of a run went.

    Attributes:
        seconds: Wall time of each part of the run.
        gradient_seconds: Time of one gradient of one chain, with the log density, in a tight
            compiled loop.
        sampled: Gradients of all chains in sampling.
        executed: Gradients that the programs executed in sampling, including those for chains
            that already had their draws.
        warmed: Gradients of all chains in warm-up.
        threads: Programs that ran at the same time; each runs its chains in turn, at best.
        histogram: Number of draws by number of leapfrog steps: pairs of (maximum, count), where
            maxima are powers of two minus one.
        at_limit: Share of the draws whose trajectory was cut short by the engine's limit.
        why_not_native: Why there is no native loop, or None if there is one.
        advice: What may help if trajectories were cut short.
        has_gradients: Whether the engine evaluated gradients; if not, "gradients" above are log
            densities, and steps are evaluations.
    """

    seconds: dict[str, float]
    gradient_seconds: float
    sampled: int
    executed: int
    warmed: int
    threads: int
    histogram: tuple[tuple[int, int], ...]
    at_limit: float
    why_not_native: str | None
    advice: str = ""
    has_gradients: bool = True

    @property
    def gradient_share(self) -> float:
        """Share of the sampling time that the gradients alone would take."""
        alone = self.gradient_seconds * self.sampled / self.threads
        return alone / max(self.seconds["sampling"], 1e-9)

    @property
    def waste(self) -> float:
        """Ratio of gradients executed to gradients used in sampling."""
        return self.executed / max(self.sampled, 1)

    def __str__(self) -> str:
        whole = sum(self.seconds.values())
        parts = ", ".join(f"{n} {s:.2f} s ({s / whole:.0%})" for n, s in self.seconds.items())
        draws = sum(count for _, count in self.histogram)
        shares = ", ".join(f"up to {n}: {count / draws:.0%}" for n, count in self.histogram)
        unit = "gradients" if self.has_gradients else "log densities"
        steps = "leapfrog steps" if self.has_gradients else "evaluations"
        lines = [
            f"{whole:.2f} s: {parts}",
            f"{unit}: {self.sampled} in sampling, {self.warmed} in warm-up; one takes "
            f"{1e6 * self.gradient_seconds:.1f} µs in a tight loop, which is "
            f"{self.gradient_share:.0%} of the sampling time",
            f"{steps} per draw: {shares}",
        ]
        if self.waste > 1.01:
            lines.append(
                f"chains of one program waited for the slowest: {self.waste:.2f} {unit} were "
                "executed for each one used"
            )
        if self.why_not_native:
            lines.append(f"no native loop: {self.why_not_native}")
        if self.at_limit > OFTEN:
            lines.append(
                f"{self.at_limit:.0%} of the trajectories were cut short: the posterior is badly "
                f"scaled or strongly curved. {self.advice}"
            )
        return "\n".join(lines)


@check_arguments("infer.why_slow")
def why_slow(run: Any) -> Slowness:
    """Report where the time of a run went; times the gradient, which takes a fifth of a second.

    For an engine without gradients, it times the log density.

    Args:
        run: A run of a sampler with draws, or what `infer.sample` returned.

    Raises:
        RunError: There is no draw yet, or the run of a result is not known, as for one that was
            read from a file.
    """
    result, run = run, find_run(run)
    draws, stats = run.draws(), read_stats(run, result)
    steps = stats.get("n_steps", np.ones((run.chains, run.fewest()), int))
    largest = 2 ** np.ceil(np.log2(np.maximum(steps, 1) + 1)).astype(int) - 1
    sizes, counts = np.unique(largest, return_counts=True)
    at_limit = float(np.mean(find_cut_short(run.engine, stats)))
    return Slowness(
        asdict(run.timing),
        _time_gradient(run, draws.positions[0, -1, : run.density.size]),
        round(steps.mean() * run.chains * run.fewest()),
        run.executed,
        run.warmup.gradients,
        run.plan.threads,
        tuple(zip(sizes.tolist(), counts.tolist(), strict=True)),
        at_limit,
        run.why_not_native,
        _advise(run) if at_limit > OFTEN else "",
        run.engine.needs.gradient,
    )


def _advise(run: Run) -> str:
    return join_advice(LONGER, advise_non_centered(run.density, name_engine(run)))


def find_cut_short(engine: Engine, stats: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which trajectories the engine's limit cut short, in the shape of a statistic."""
    for setting, stat in (("max_depth", "tree_depth"), ("max_steps", "n_steps")):
        limit = getattr(engine, setting, None)
        if limit is not None and stat in stats:
            return np.asarray(stats[stat] >= limit)
    return np.zeros(1, bool)


def _time_gradient(run: Run, position: np.ndarray) -> float:
    count, repeat = 100, _repeat_gradient if run.engine.needs.gradient else _repeat_value
    while True:
        arguments = (run.density, position, np.int32(count))
        made, _ = compile_program(repeat, (), arguments, run.plan.form)
        if isinstance(made, Refusal):
            made, _ = compile_program(repeat, (), arguments, "kernels")
        assert isinstance(made, CompiledProgram)
        jax.block_until_ready(made.call(*arguments))
        began = time.perf_counter()
        jax.block_until_ready(made.call(*arguments))
        spent = time.perf_counter() - began
        if spent > TIMED_SECONDS / 4:
            return spent / count
        count = int(count * min(TIMED_SECONDS / max(spent, 1e-6), 1000))


def _repeat_gradient(density: LogDensity, position: Vector, count: Array) -> Vector:
    # Each step depends on the last value and gradient, so that XLA removes neither.
    def step(_: Array, position: Vector) -> Vector:
        value, gradient = density.evaluate(position) if density.gradient else (density(position), 0)
        return position + 1e-20 * jnp.clip(value + gradient, -1, 1)

    return jax.lax.fori_loop(0, count, step, position)


def _repeat_value(density: LogDensity, position: Vector, count: Array) -> Vector:
    step = lambda _, position: position + 1e-20 * jnp.clip(density(position), -1, 1)  # noqa: E731
    return jax.lax.fori_loop(0, count, step, position)
