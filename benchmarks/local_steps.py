"""Measure NUTS with step sizes chosen within the trajectory (WALNUTS) against NUTS, by gradients.

    python -m benchmarks.local_steps [--seeds 3] [--model funnel ...] [--sampler ...] [--check]

A trajectory of WALNUTS grows by macro steps of one duration. Each is made of 2^level leapfrog
steps, and level is the least for which the energy varies by at most `tolerance` nats along them.
For the trajectory to be as probable from its other points, the level must be the least seen from
the end of the macro step too: otherwise the trajectory ends there (`finer=0`). With `finer > 0` a
macro step is made one level finer than necessary with this probability, and the weights of the
points beyond it are multiplied by the probability of its level seen from its end over that seen
from its start.

Every model is an `infer.declared` log density, sampled at defaults (4 chains of 1000 draws,
float64). Prints the median over the seeds of the smallest bulk ESS per 1000 gradients, warm-up
included; the smallest ESS, the most gradients, the largest R-hat and the divergent draws of all
seeds; and for the funnel its tails. All gradients count: of attempts that failed, and of those that
look back.

`--check` begins 4000 chains at exact draws of a small funnel, and prints the p-value of a
Kolmogorov-Smirnov test of its log scale after five draws: for both kinds of steps, which must keep
the distribution, and for one that never looks back, which does not.

Source: Bou-Rabee, Carpenter, Kleppe & Liu (2025), arXiv 2506.18746.
"""

import argparse
import statistics
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax import Array

import infer
from benchmarks import hierarchical
from bijectors import Real
from infer.engines.base import Tick
from infer.engines.nuts import UNIFORMS, NUTSState, _begin_if_done, _forget_trial, _stats
from infer.numerics import hamiltonian, no_u_turn
from infer.numerics.leapfrog import PhasePoint, energy
from infer.types import Scratch

Scalar = Any
SEEKING, REFINING, LOOKING_BACK = range(3)


class Macro(NamedTuple):
    """A macro step in the making.

    Attributes:
        origin: Where the present attempt began.
        point: Where it is.
        end: End of the macro step, once it is known.
        origin_energy: Energy at the origin, in nats.
        low: Least energy of the present attempt.
        high: Largest.
        level: The present attempt takes 2^level leapfrog steps.
        taken: Leapfrog steps taken in it.
        least: Least level seen from the start.
        chosen: Level of the macro step.
        stage: Whether the attempt seeks a level, makes a finer one or looks back from the end.
        near: Whether the level below the chosen one is fine enough seen from the end.
        coarse: Acceptance of the attempt of level 0.
    """

    origin: PhasePoint
    point: PhasePoint
    end: PhasePoint
    origin_energy: Scalar
    low: Scalar
    high: Scalar
    level: Array
    taken: Array
    least: Array
    chosen: Array
    stage: Array
    near: Array
    coarse: Scalar


def begin(point: PhasePoint, start_energy: Scalar) -> Macro:
    none = jnp.int32(0)
    return Macro(
        point, point, point, start_energy, start_energy, start_energy, none, none, none, none,
        none, jnp.asarray(False), jnp.ones_like(start_energy),
    )  # fmt: skip


def attempt(
    macro: Macro, origin: PhasePoint, start_energy: Scalar, level: Any, stage: int
) -> Macro:
    """Begin another attempt."""
    return macro._replace(
        origin=origin, point=origin, origin_energy=start_energy, low=start_energy,
        high=start_energy, level=jnp.int32(level), taken=jnp.int32(0), stage=jnp.int32(stage),
    )  # fmt: skip


def advance(
    macro: Macro, point: PhasePoint, uniform: Scalar, tolerance: float, levels: int, finer: float
) -> tuple[Macro, Array, Scalar]:
    """Take note of one leapfrog step.

    Returns:
        The macro step, whether it has ended, and the logarithm of its probability seen from its
        end over that seen from its start.
    """
    here = energy(point)
    here = jnp.where(here < jnp.inf, here, jnp.inf)
    low, high = jnp.minimum(macro.low, here), jnp.maximum(macro.high, here)
    fits = high - low <= tolerance
    taken = macro.taken + 1
    full = taken == jnp.left_shift(1, macro.level)
    first = (macro.stage == SEEKING) & (macro.level == 0)
    coarse = jnp.where(first, jnp.exp(-(high - low)), macro.coarse)
    macro = macro._replace(point=point, low=low, high=high, taken=taken, coarse=coarse)
    no, one = jnp.asarray(False), jnp.zeros_like(here)
    never = jnp.full_like(here, -jnp.inf)

    def turn(macro: Macro, least: Any) -> Macro:
        macro = macro._replace(end=point, least=least, chosen=macro.level, near=no)
        return attempt(macro, point, here, macro.level - 1, LOOKING_BACK)

    def weigh(macro: Macro) -> Scalar:
        top = macro.chosen == levels
        rest = jnp.where(top, 1.0, 1 - finer)
        there = jnp.where(macro.least == macro.chosen, rest, finer)
        back = jnp.where(macro.near, finer, rest)
        return (jnp.log(back) - jnp.log(there)).astype(here.dtype)

    def seek() -> tuple[Macro, Any, Any]:
        again = attempt(macro, macro.origin, macro.origin_energy, macro.level + 1, SEEKING)
        fine = attempt(macro, macro.origin, macro.origin_energy, macro.level + 1, REFINING)
        fine = fine._replace(least=macro.level)
        refines = (uniform < finer) & (macro.level < levels)
        turned = turn(macro, macro.level)
        lost = ~fits & (macro.level == levels)
        found = full & fits
        moved = _select(found & refines, fine, macro)
        moved = _select(found & ~refines, turned, moved)
        moved = _select(~fits & ~lost, again, moved)
        ended = lost | (found & ~refines & (macro.level == 0))
        return moved._replace(end=_select(lost, point, moved.end)), ended, weigh(turned)

    def refine() -> tuple[Macro, Any, Any]:
        return _select(full, turn(macro, macro.least), macro), no, one

    def look_back() -> tuple[Macro, Any, Any]:
        found = full & fits
        is_near = found & (macro.level == macro.chosen - 1)
        near = macro.near | is_near
        irreversible = found & ~is_near if finer else found
        over = ~fits | found
        now = macro._replace(near=near)
        next_ = attempt(now, macro.origin, macro.origin_energy, macro.level - 1, LOOKING_BACK)
        ended = irreversible | (over & (macro.level == 0))
        return _select(over, next_, now), ended, jnp.where(irreversible, never, weigh(now))

    return jax.lax.switch(macro.stage, (seek, refine, look_back))


def _select(condition: Any, one: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


class LocalState(NamedTuple):
    """As `NUTSState`, with the macro step.

    Attributes:
        own: State of NUTS.
        macro: The macro step in the making.
        idle: Whether none is in the making.
        energies: At both ends of the tree, in nats.
        ratios: Logarithm of the probability of the levels on either side of the start, seen from
            the ends, over that seen from the start.
        coarse: Sum of the acceptances of level 0 over the macro steps of the trajectory.
        gradients: Number of gradients of the trajectory.
        irreversible: Whether the last macro step was irreversible.
    """

    own: NUTSState
    macro: Macro
    idle: Array
    energies: Array
    ratios: Array
    coarse: Scalar
    gradients: Array
    irreversible: Array

    @property
    def step(self) -> Any:
        return self.own.step


@dataclass(frozen=True)
class LocalNUTS(infer.NUTS):
    """NUTS whose macro steps are halved where the energy varies.

    Attributes:
        tolerance: Largest variation of the energy along a macro step, in nats.
        levels: Maximum number of halvings.
        finer: Probability of one more halving.
        looks_back: Whether the level is sought from the end too; only for `--check`.
    """

    tolerance: float = 0.5
    levels: int = 8
    finer: float = 0.0
    looks_back: bool = True
    examples = infer.NUTS.examples

    def init(self, position: Any, here: Any) -> LocalState:  # pyright: ignore
        own = super().init(position, here)
        tree, none = own.tree, jnp.zeros_like(own.reference)
        point = _tree_end(tree, jnp.int32(0))
        return LocalState(
            own, begin(point, none), jnp.asarray(True), jnp.stack([none, none]),
            jnp.stack([none, none]), none, jnp.int32(0), jnp.asarray(False),
        )  # fmt: skip

    def enter(self, tuning: Any, state: LocalState, warming: Any) -> LocalState:
        return state._replace(own=super().enter(tuning, state.own, warming))

    def tick(self, key: Any, target: Any, tuning: Any, state: LocalState) -> Any:  # pyright: ignore
        own = state.own
        key = jax.random.fold_in(key, own.ticks)
        uniforms = jax.random.uniform(key, (UNIFORMS + 1,), own.step_size.dtype)
        fresh = own.tree.done
        # Momenta come after the uniform numbers of the same key.
        own = _begin_if_done(jax.random.fold_in(key, 1), tuning.metric, own)
        tree, reference, step_size = own.tree, own.reference, own.step_size
        start, searching = tree.chosen, own.step.searching
        zero = jnp.zeros_like(state.coarse)
        idle = state.idle | fresh
        energies = jnp.where(fresh, tree.start_energy, state.energies)
        ratios = jnp.where(fresh, 0.0, state.ratios)
        coarse = jnp.where(fresh, zero, state.coarse)
        gradients = jnp.where(fresh, 0, state.gradients) + 1
        coin = (uniforms[0] < 0.5).astype(jnp.int32)
        side = jnp.where(idle & (tree.subtree.leaf == 0), coin, tree.side)
        tree = tree._replace(side=side)
        macro = _select(idle, begin(_tree_end(tree, side), energies[side]), state.macro)
        sign = (2 * side - 1) * jnp.where(macro.stage == LOOKING_BACK, -1, 1)
        micro = sign * step_size / jnp.left_shift(1, macro.level)
        point = self._advance(target, reference, macro.point, micro, tuning.metric)
        volume = jnp.zeros_like(zero) if point.log_volume is None else point.log_volume
        point = point._replace(log_volume=volume)
        macro, ended, log_ratio = advance(
            macro, point, uniforms[3], self.tolerance, self.levels, self.finer
        )
        if not self.looks_back:
            begun = ~ended & (macro.stage == LOOKING_BACK)
            ended, log_ratio = ended | begun, jnp.where(begun, 0.0, log_ratio)
        ended = ended | searching
        end = _select(searching, point, macro.end)
        coarse = coarse + jnp.where(ended, macro.coarse, 0.0)
        ratios = ratios.at[side].add(jnp.where(ended & ~searching, log_ratio, 0.0))
        here = energy(end)
        energies = energies.at[side].set(jnp.where(ended, here, energies[side]))
        lost = macro.high - macro.low > self.tolerance
        lost = ended & lost & (macro.stage == SEEKING) & ~searching
        irreversible = ended & (log_ratio == -jnp.inf) & ~lost
        offset = jnp.where(lost, -jnp.inf, ratios[side])
        leaf = end._replace(log_volume=end.log_volume + offset)
        # The side is drawn already.
        joined = lambda: no_u_turn.join(tree, own.slots.memory, leaf, uniforms[1:3])  # noqa: E731
        tree, slots = jax.lax.cond(ended, joined, lambda: (tree, own.slots.memory))
        complete = ended & tree.done & ~searching
        tree = tree._replace(diverging=tree.diverging & ~irreversible)
        steps = jnp.maximum(tree.n_steps, 1).astype(step_size.dtype)
        trial = jnp.minimum(1.0, jnp.exp(tree.start_energy - here))
        acceptance = jnp.where(searching, jnp.nan_to_num(trial), coarse / steps)
        step = hamiltonian.learn(own.step, tuning, complete, acceptance)
        ticks = jnp.where(complete, 0, own.ticks + 1)
        tree = tree._replace(done=tree.done | searching)
        stats = _stats(tree, acceptance, own, step) | {
            "lp": reference + tree.chosen.log_density,
            "n_steps": gradients,
            "macro_steps": tree.n_steps,
            "irreversible": irreversible,
        }
        tick = Tick(complete, tree.chosen.position, tree.chosen.gradient, stats)
        tree = _forget_trial(searching, tree, start)
        own = NUTSState(tree, Scratch(slots), step, step_size, reference, ticks)
        moved = LocalState(own, macro, ended, energies, ratios, coarse, gradients, irreversible)
        return moved, tick


def _tree_end(tree: Any, side: Any) -> PhasePoint:
    end = jax.tree.map(lambda a: a[side], tree.ends)
    unread = tree.chosen.gradient, tree.chosen.log_density
    return PhasePoint(
        end.position, end.momentum, unread[0], end.whitened_gradient, unread[1], end.path,
        jnp.zeros_like(tree.chosen.log_density),
    )  # fmt: skip


def banana() -> infer.Model:
    def log_density(q):
        return -0.5 * ((q["x"] - 1) ** 2 / 10 + (q["y"] - q["x"] ** 2) ** 2 / 0.05)

    return infer.declared(log_density, {"x": Real(), "y": Real()})


MODELS = hierarchical.MODELS | {"banana": banana}
ASKED = "funnel", "banana", "eight schools, errors x 1.0", "three levels", "horseshoe"
SAMPLERS: dict[str, Any] = {
    "Euclidean": infer.NUTS(),
    "Euclidean, local to 0.5": LocalNUTS(),
    "Euclidean, local to 0.5, random": LocalNUTS(finer=1 / 3),
    "Euclidean, local to 3": LocalNUTS(tolerance=3.0),
    "hierarchical": infer.NUTS(metric="hierarchical"),
    "hierarchical, local to 3": LocalNUTS(metric="hierarchical", tolerance=3.0),
}


def report(name: str, sampler: str, seeds: int) -> None:
    runs = (hierarchical.measure(MODELS[name](), SAMPLERS[sampler], s) for s in range(1, seeds + 1))
    ess, gradients, rhat, diverging, tails = zip(*runs, strict=True)
    rate = statistics.median(1000 * e / g for e, g in zip(ess, gradients, strict=True))
    print(
        f"| {name} | {sampler} | {rate:.2f} | {min(ess):.0f} | {max(gradients):,} | "
        f"{max(rhat):.3f} | {sum(diverging)} | {list(tails) if tails[0] else ''} |",
        flush=True,
    )


CHAINS, LATENTS, SPREAD = 4000, 3, 2.0


def check(name: str, engine: LocalNUTS) -> None:
    """Print the p-value of the log scale of a small funnel, and what the steps did."""

    def log_density(q):
        normal = hierarchical.normal
        return normal(q["v"], 0.0, SPREAD) + normal(q["z"], 0.0, jnp.exp(q["v"] / 2)).sum()

    model = infer.declared(log_density, {"v": Real(), "z": Real(shape=(LATENTS,))})
    rng = np.random.default_rng(0)
    v = rng.normal(0, SPREAD, CHAINS)
    z = np.exp(v / 2)[:, None] * rng.normal(size=(CHAINS, LATENTS))
    result = infer.sample(
        model, engine, chains=CHAINS, draws=5, warmup=0, starts={"v": v, "z": z}, group=CHAINS,
        progress=False, key=1,
    )  # fmt: skip
    last, stats = np.asarray(result["posterior"]["v"])[:, -1], result["sample_stats"]
    p = scipy.stats.kstest(last / SPREAD, "norm").pvalue
    cost = float(stats["n_steps"].sum() / stats["macro_steps"].sum())
    ended = float(stats["irreversible"].mean())
    print(f"{name}: p = {p:.2g}; {cost:.1f} gradients per macro step; {ended:.2f} irreversible")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", nargs="*", choices=MODELS, default=ASKED)
    parser.add_argument("--sampler", nargs="*", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        settings: dict[str, Any] = {"step_size": 1.0, "tolerance": 0.3}
        check("least level", LocalNUTS(**settings))
        check("random level", LocalNUTS(finer=1 / 3, **settings))
        check("never looks back", LocalNUTS(looks_back=False, **settings))
        return
    for name in options.model:
        for sampler in options.sampler:
            report(name, sampler, options.seeds)


if __name__ == "__main__":
    main()
