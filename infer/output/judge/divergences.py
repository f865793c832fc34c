"""Where divergent transitions start and end, and along which coordinates they diverge."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...calls import check_arguments
from ...density.base import LogDensity
from ...density.recentered import recenter
from ...engines.base import Engine, State, Tuning
from ...errors import RunError
from ...numerics.keys import wrap_key
from ...programs.native import call_compiled
from ...run.coordinates import move_positions
from ...run.loop import SAMPLING
from ...run.run import Run
from ...target import Target
from ...types import Scalar, Vector
from ..data.metric import name_engine
from ..data.origin import find_run
from ..data.recorded import read_places, read_positions, read_stats
from ..data.values import constrain_all
from ..remedy import advise_non_centered, advise_shorter_steps, join_advice

# Maximum number of coordinates that are named.
MAX_NAMED = 5


@dataclass(frozen=True)
class Divergences:
    """Divergent transitions of a run, those of the first chain first.

    Attributes:
        chain: Chain of each, shape (n,).
        draw: Index of its draw, shape (n,).
        start: Values where each started, by site, shape (n, *site); empty if n is zero.
        end: Values at the point whose energy was too high, likewise; not finite if a map
            overflows.
        away: Distance of the end from the mean of the draws, in their standard deviations, for
            each coordinate of the unconstrained space, shape (n, size).
        labels: Names of the coordinates.
        total: Number of divergent transitions in the whole run.
        draws: Number of transitions in the whole run.
        advice: What may help.
    """

    chain: np.ndarray
    draw: np.ndarray
    start: dict[str, np.ndarray]
    end: dict[str, np.ndarray]
    away: np.ndarray
    labels: tuple[str, ...]
    total: int
    draws: int
    advice: str = ""

    def __str__(self) -> str:
        head = f"{self.total} of {self.draws} transitions diverged"
        if not len(self.chain):
            return f"{head}."
        middle = np.nanmedian(self.away, 0)
        worst = np.argsort(-np.abs(middle))[:MAX_NAMED]
        width = max(len(self.labels[i]) for i in worst)
        lines = [
            f"  {self.labels[i]:{width}s}  median {middle[i]:+.1f} sd, "
            f"from {np.nanmin(self.away[:, i]):+.1f} to {np.nanmax(self.away[:, i]):+.1f}"
            for i in worst
        ]
        return "\n".join(
            [
                f"{head}. Ends of {len(self.chain)} of them, as distances from the mean of the "
                "draws in the unconstrained space:",
                *lines,
                self.advice,
            ]
        )


@check_arguments("infer.explain_divergences")
def explain_divergences(run: Any, most: int = 20) -> Divergences:
    """Repeat divergent transitions to find where they started and ended.

    A draw depends only on the seed, the chain, and the draw before it, so a transition can be
    repeated, and sampling stores nothing for it. If that draw has left the memory for a store, it
    is computed from the values there, so it is known up to rounding.

    Args:
        run: A run of HMC or NUTS with draws, or what `infer.sample` returned.
        most: Maximum number of transitions of each chain; the first ones are taken.

    Raises:
        RunError: There is no draw yet, the engine's transitions cannot diverge, the run has
            several models, the run of a result is not known, as for one read from a file, or its
            store lacks sites or draws (keep=, drop=, thin=).
    """
    result, run = run, find_run(run)
    if run.family.count > 1:
        raise RunError(
            "run",
            f"it has {run.family.count} models",
            "Sample only the model whose transitions diverge, and give that run.",
        )
    stats = read_stats(run, result)
    if "diverging" not in stats:
        raise RunError(
            type(run.engine).__name__, "its draws cannot diverge", "Give a run of HMC or NUTS."
        )
    diverging = stats["diverging"]
    # The first draw started at a point of warm-up, which is not kept.
    every = np.argwhere(diverging[:, 1:]) + [0, 1]
    chosen = np.concatenate([every[every[:, 0] == c][:most] for c in range(run.chains)])
    starts = read_places(run, result, chosen[:, 0], chosen[:, 1] - 1)
    positions = read_positions(run, result)
    ends = _find_ends(run, chosen, starts) if len(chosen) else starts
    return Divergences(
        chosen[:, 0],
        chosen[:, 1],
        constrain_all(run.density, starts) if len(chosen) else {},
        constrain_all(run.density, ends) if len(chosen) else {},
        (ends - positions.mean((0, 1))) / positions.std((0, 1)),
        tuple(run.density.labels()),
        int(diverging.sum()),
        diverging.size,
        join_advice(
            advise_non_centered(run.density, name_engine(run)), advise_shorter_steps(run.engine)
        ),
    )


def _find_ends(run: Run, chosen: np.ndarray, starts: np.ndarray) -> np.ndarray:
    keys = np.concatenate([group.keys for group in run.groups])[chosen[:, 0]]
    family, tuning, centering = run.family, run.warmup.tuning, run.warmup.centering
    density = recenter(family, centering).member(0)
    with jax.threefry_partitionable(True):
        starts = move_positions(family, centering, starts, into=True)
        each = (jnp.asarray(keys), jnp.asarray(chosen[:, 1], jnp.uint32), jnp.asarray(starts))
        ends = np.asarray(call_compiled(_follow, density, tuning, *each, static=(run.engine,)))
    return move_positions(family, centering, ends, into=False)


def _follow(
    engine: Engine, density: LogDensity, tuning: Tuning, keys: Array, draws: Array, starts: Array
) -> Array:
    def one(key_data: Array, draw: Array, start: Vector) -> Vector:
        key = wrap_key(key_data)
        key = jax.random.fold_in(jax.random.fold_in(key, SAMPLING), draw)
        state = engine.init(start, density.components(start))
        state = engine.enter(tuning, state, jnp.asarray(False))

        def step(carry: tuple[State, Vector, Array]) -> tuple[State, Vector, Array]:
            spy = _RecordingTarget(density)
            state, tick = engine.tick(key, spy, tuning, carry[0])
            return state, spy.seen[-1], tick.complete

        going = lambda carry: ~carry[2]  # noqa: E731
        return jax.lax.while_loop(going, step, (state, start, jnp.asarray(False)))[1]

    return jax.vmap(one)(keys, draws, starts)


class _RecordingTarget(Target):
    """A target that records where it is evaluated, within one trace."""

    target: Target
    seen: list[Vector] = eqx.field(static=True, default_factory=list)

    @property
    def size(self) -> int:
        return self.target.size

    @property
    def offers(self) -> frozenset[str]:
        return self.target.offers

    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        self.seen.append(position)
        return self.target.evaluate(position)

    def evaluate_from(self, position: Vector, reference: Scalar) -> tuple[Scalar, Vector]:
        self.seen.append(position)
        return self.target.evaluate_from(position, reference)
