"""The trajectory grown leaf by leaf equals the one grown by recursion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics import no_u_turn, turns
from infer.numerics.leapfrog import PhasePoint

from ...oracles.trees import RecursiveTree

MAX_DEPTH = 6
REACH = 2**MAX_DEPTH
TRAJECTORIES = 300


def walk(momenta, log_weights, uniforms):
    """Grow a tree over the integers, with momenta and weights from tables."""

    def point(z):
        momentum = momenta[z + REACH]
        log_density = log_weights[z + REACH] + 0.5 * (momentum**2).sum()
        position = jnp.zeros_like(momentum).at[0].set(z)
        none = jnp.zeros_like(momentum)
        return PhasePoint(position, momentum, none, none, log_density)

    def tick(carry):
        tree, slots, visited = carry
        u = uniforms[tree.n_steps]
        tree, end, sign = no_u_turn.find_growing_end(tree, u[0])
        z = (end.position[0] + sign).astype(int)
        visited = visited.at[tree.n_steps].set(z)
        return *no_u_turn.join(tree, slots, point(z), u[1:]), visited

    slots = turns.make_slots(MAX_DEPTH, momenta[0])
    start = (no_u_turn.begin(point(0)), slots, jnp.zeros(REACH, int))
    return jax.lax.while_loop(lambda c: ~c[0].done, tick, start)


def grow(*tables):
    """Grow every tree of the tables; returns arrays on the host, whose parts cost no program."""
    trees, _, visited = jax.jit(jax.vmap(walk))(*tables)
    return jax.tree.map(np.asarray, (trees, visited))


def tables(size, seed):
    """Make momenta that turn slowly enough for deep trees, and uneven weights."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(TRAJECTORIES, 2 * REACH + 1, size))
    drift = rng.uniform(0.0, 2.0, size=(TRAJECTORIES, 1, 1))
    momenta = drift + steps.cumsum(1) * rng.uniform(0, 0.5, size=(TRAJECTORIES, 1, 1)) + 0.3 * steps
    log_weights = rng.normal(size=(TRAJECTORIES, 2 * REACH + 1)) * 2
    log_weights[rng.random(log_weights.shape) < 0.003] = -1e4
    log_weights[:, REACH] = 0.0
    uniforms = rng.random((TRAJECTORIES, REACH, 3))
    return momenta, log_weights, uniforms


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("tested", ["_has_turned_in_loop", "_has_turned_at_once"])
def test_trajectory_equals_that_of_the_recursion(size, tested, monkeypatch):
    """A CPU tests for U-turns in a loop, an accelerator tests all levels at once."""
    monkeypatch.setattr(turns, "_has_turned_in_loop", getattr(turns, tested))
    momenta, log_weights, uniforms = tables(size, seed=size)
    trees, visited = grow(momenta, log_weights, uniforms)
    depths = []
    for i in range(TRAJECTORIES):
        at = {z: momenta[i, z + REACH] for z in range(-REACH, REACH + 1)}
        weights = {z: log_weights[i, z + REACH] for z in range(-REACH, REACH + 1)}
        oracle = RecursiveTree(at, weights, uniforms[i], MAX_DEPTH).grow()
        n = len(oracle.visited)
        assert trees.n_steps[i] == n
        np.testing.assert_array_equal(visited[i, :n], oracle.visited)
        assert trees.depth[i] == oracle.depth
        assert trees.chosen.position[i, 0] == oracle.chosen
        assert trees.diverging[i] == oracle.diverging
        accepted = np.minimum(1, np.exp([weights[z] for z in oracle.visited])).sum()
        np.testing.assert_allclose(trees.acceptance_sum[i], accepted, rtol=1e-12)
        depths.append(oracle.depth)
    # The comparison is meaningful only if trees of every depth occur.
    assert set(depths) >= set(range(MAX_DEPTH + 1)) - {0}


def test_leaves_are_adjacent_integers():
    trees, visited = grow(*tables(2, seed=7))
    for n, leaves in zip(trees.n_steps, visited, strict=True):
        seen = np.sort(np.append(leaves[:n], 0))
        np.testing.assert_array_equal(np.diff(seen), 1)


def test_a_straight_line_never_turns():
    momenta, uniforms = np.ones((2 * REACH + 1, 1)), np.random.default_rng(0).random((REACH, 3))
    tree, _, _ = jax.jit(walk)(momenta, np.zeros(2 * REACH + 1), uniforms)
    assert (tree.depth, tree.n_steps) == (MAX_DEPTH, REACH - 1)


def test_draws_are_biased_toward_the_new_half():
    """With equal weights every doubling chooses from the new half, so the draw is in the last."""
    uniforms = np.random.default_rng(1).random((200, REACH, 3))
    trees, visited = grow(
        np.ones((200, 2 * REACH + 1, 1)), np.zeros((200, 2 * REACH + 1)), uniforms
    )
    last = visited[:, REACH // 2 - 1 : REACH - 1]
    assert all(z in own for z, own in zip(trees.chosen.position[:, 0], last, strict=True))
