"""A mode in which only scouts of warm-up ended is reported with its mass."""

from types import SimpleNamespace

import numpy as np
import pytest

from infer.engines.base import Draws
from infer.output.judge.scouted import find_modes_of_scouts

CHAINS, SCOUTS, SIZE = 4, 4, 3


def draw(rng, at, count, level=0.0):
    """Draw from a standard normal at a place, whose log density is raised by a level."""
    positions = at + rng.normal(size=(len(at), count, SIZE))
    lp = level - 0.5 * ((positions - at) ** 2).sum(2)
    return Draws(positions, positions[..., :0], {"lp": lp})


def name_numbers():
    return [f"x[{i}]" for i in range(SIZE)]


def find(scouts_at, level=0.0, labels=name_numbers):
    rng = np.random.default_rng(1)
    scouted = draw(rng, np.full((SCOUTS, 1, SIZE), -3.0) + np.reshape(scouts_at, (-1, 1, 1)), 30)
    scouted.stats["lp"] += level * (np.reshape(scouts_at, (-1, 1)) != 0)
    run = SimpleNamespace(
        warmup=SimpleNamespace(scouted=scouted, centering=None), family=None, chains=CHAINS,
        density=SimpleNamespace(labels=labels),
    )  # fmt: skip
    return list(find_modes_of_scouts(run, draw(rng, np.full((CHAINS, 1, SIZE), -3.0), 500)))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_scouts_in_another_mode_are_reported_with_its_place_and_mass(count):
    (found,) = find([6.0] * count + [0.0] * (SCOUTS - count), level=np.log(4.0))
    assert found.kind == "unvisited_mode"
    assert f"{count} of {SCOUTS} chains that scouted" in found
    assert "infer.Tempered()" in found.advice
    assert abs(float(found.split(" = ")[1].split()[0]) - 3) < 0.7
    assert abs(int(found.split("about ")[1].split("%")[0]) - 80) < 12


def test_scouts_among_the_chains_or_at_negligible_mass_are_not_reported():
    assert not find([0.0] * SCOUTS)
    assert not find([6.0, 0.0, 0.0, 0.0], level=-8.0)


def test_the_numbers_are_named_only_if_there_is_something_to_report():
    # Naming them traces the model.
    assert not find([0.0] * SCOUTS, labels=lambda: pytest.fail("named"))


def test_a_run_without_scouts_has_nothing_to_report():
    run = SimpleNamespace(warmup=SimpleNamespace(scouted=None))
    assert not list(find_modes_of_scouts(run, Draws(np.zeros((4, 9, 1)), np.zeros((4, 9, 0)), {})))
