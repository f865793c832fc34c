"""Describe the chains that warm-up relocated, and how to check that."""

from collections.abc import Iterator

import numpy as np

from ...numerics.stray import relocation_gap
from ...run.run import Run
from ...run.warmup import Move
from ..data.arviz import make_dataset
from ..data.values import constrain_all
from ..finding import Finding
from .suspects import Numbers, lay_out_numbers

# Maximum number of moves that are described, and of quantities that describe each place.
MAX_DESCRIBED, MAX_NUMBERS = 3, 4


def describe_moves(run: Run) -> Iterator[Finding]:
    """Describe the moves, if any: both places, by the quantities that differ most."""
    moves = run.warmup.moves
    if not moves:
        return
    described = " ".join(_describe_move(run, move) for move in moves[:MAX_DESCRIBED])
    rest = f" {len(moves) - MAX_DESCRIBED} more were moved." if len(moves) > MAX_DESCRIBED else ""
    bound = np.exp(-relocation_gap(run.density.size))
    yield Finding(
        "relocated_chains",
        f"warm-up moved chains out of regions of negligible posterior mass. {described}{rest} Each "
        f"region left has less than {bound:.0e} of the mass of the new "
        "one, by conservative bounds, so the draws miss nothing.",
        "To check, sample from there (starts=) and compare lp.",
    )


def _describe_move(run: Run, move: Move) -> str:
    each = run.chains // run.family.count
    several = f" of data set {move.chain // each}" if run.family.count > 1 else ""
    numbers = _select_numbers(run, move)
    left, reached = (_format_numbers(numbers, i) for i in (0, 1))
    return f"Chain {move.chain % each}{several} went from {left} to {reached}."


def _select_numbers(run: Run, move: Move) -> Numbers:
    """Find the quantities that differ most between both places, relative to their size."""
    density = run.family.member(move.chain // (run.chains // run.family.count))
    values = constrain_all(density, np.stack([move.left, move.reached])[None, :, : density.size])
    latent = {site.name: values[site.name] for site in density.latent}
    names = {site.name: site.dims for site in density.sites}
    numbers = lay_out_numbers(make_dataset(names, density.model.labels.coords, latent))
    left, reached = numbers.draws[:, 0, 0], numbers.draws[:, 0, 1]
    far = np.abs(left - reached) / (np.abs(left) + np.abs(reached))
    worst = np.argsort(-far, kind="stable")[:MAX_NUMBERS]
    return Numbers([numbers.names[i] for i in worst], numbers.draws[worst])


def _format_numbers(numbers: Numbers, place: int) -> str:
    pairs = zip(numbers.names, numbers.draws[:, 0, place], strict=True)
    return ", ".join(f"{name} = {number:.3g}" for name, number in pairs)
