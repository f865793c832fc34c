"""Count gradients executed per gradient used, for chains that share a program and in lockstep.

    python -m benchmarks.waste [--models radon ...] [--chains 64 512] [--draws 1000]

Writes benchmarks/results/waste.md. All chains share one program (`group=chains`), as on an
accelerator. The loop itself counts ticks, in sampling only: at each tick every chain of the program
computes a gradient, even if it has all its draws. Lockstep is what the same trajectories would have
cost if every draw had waited for the longest one: the number of chains times the sum over draws of
the maximum number of leapfrog steps of any chain, divided by the leapfrog steps of all chains.
Counts are the same on every machine, up to the effects of rounding.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import jax

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from benchmarks.peers.suite import SUITE

RESULTS = Path(__file__).parent / "results" / "waste.md"


class Waste(NamedTuple):
    """The cost of one run.

    Attributes:
        mean: Mean leapfrog steps per draw.
        ours: Gradients executed per gradient used.
        lockstep: The same, if every draw had waited for the longest trajectory.
        blocks: Number of calls of the program.
        seconds: Seconds of sampling.
    """

    mean: float
    ours: float
    lockstep: float
    blocks: int
    seconds: float


def measured(name: str, chains: int, draws: int) -> Waste:
    case = SUITE[name]
    model = infer.from_numpyro(case.numpyro, **case.data())
    run = infer.start(model, infer.NUTS(), chains=chains, group=chains, progress=False)
    steps = run.advance(draws).draws().stats["n_steps"]
    used = int(steps.sum())
    lockstep = chains * int(steps.max(0).sum()) / used
    blocks = max(len(own) for group in run.groups for own in group.rows)
    mean = used / steps.size
    return Waste(mean, run.executed / used, lockstep, blocks, run.timing.sampling)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["eight schools", "radon"])
    parser.add_argument("--chains", type=int, nargs="*", default=[64, 512])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    lines = [
        "| model | chains | draws | leapfrogs a draw | executed / used | lockstep / used | "
        "blocks |",
        "| --- |" + " --: |" * 6,
    ]
    for name in asked.models:
        for chains in asked.chains:
            found = measured(name, chains, asked.draws)
            lines.append(
                f"| {name} | {chains} | {asked.draws} | {found.mean:.1f} | {found.ours:.3f} | "
                f"{found.lockstep:.2f} | {found.blocks} |"
            )
            print(f"{lines[-1]} {found.seconds:.1f} s", flush=True)
    page.write(asked.results, "Waste", __doc__, lines)


if __name__ == "__main__":
    main()
