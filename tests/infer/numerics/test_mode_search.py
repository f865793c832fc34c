"""L-BFGS and Newton-CG find minima, and say why they stopped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics import mode_search
from infer.numerics.host_memory import HostMemory
from infer.numerics.host_search import HostSearch
from infer.numerics.lbfgs import FEWEST_PAIRS, empty_memory, multiply_inverse, remember
from infer.numerics.newton_cg import begin_newton, step_along, turn


@pytest.mark.parametrize("count", [3, FEWEST_PAIRS + 4])
def test_the_memory_is_the_bfgs_update_of_its_last_pairs(count):
    """Nocedal & Wright (2006), equation 6.17, applied to each pair in turn."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(6, 6))
    hessian = matrix @ matrix.T + np.eye(6)
    steps = random.normal(size=(count, 6))
    memory, add = empty_memory(jnp.zeros(6)), jax.jit(remember)
    on_host = HostMemory.empty(np.zeros(6))
    for step in steps:
        memory = add(memory, step, hessian @ step, True)
        on_host.remember(step, hessian @ step)
    inverse = (steps[-1] @ hessian @ steps[-1]) / ((hessian @ steps[-1]) ** 2).sum() * np.eye(6)
    for step in steps[-FEWEST_PAIRS:]:
        change = hessian @ step
        turned = np.eye(6) - np.outer(step, change) / (step @ change)
        inverse = turned @ inverse @ turned.T + np.outer(step, step) / (step @ change)
    vector = random.normal(size=6)
    found = jax.jit(multiply_inverse)(memory, vector)
    np.testing.assert_allclose(found, inverse @ vector, rtol=1e-9)
    np.testing.assert_allclose(on_host.multiply(vector), inverse @ vector, rtol=1e-9)
    moved = on_host.to_loop()
    np.testing.assert_allclose(jax.jit(multiply_inverse)(moved, vector), found, rtol=1e-9)
    again = HostMemory.from_loop(moved).to_loop()
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_step_against_the_curvature_is_not_remembered():
    memory = empty_memory(jnp.zeros(2))
    same = remember(memory, jnp.array([1.0, 0.0]), jnp.array([-1.0, 0.0]), jnp.asarray(True))
    for a, b in zip(jax.tree.leaves(memory), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)


def solve_newton(multiply, gradient, radius):
    """Compute a whole step, given a function that multiplies the Hessian by a vector."""

    def advance(carry):
        newton, memory = carry
        image = multiply(newton.direction)
        memory = remember(memory, newton.direction, image, jnp.asarray(True))
        moved = step_along(newton, image, radius)
        found = multiply_inverse(memory, moved.residual)
        return turn(moved, found, moved.residual @ found, jnp.asarray(0.0), 200), memory

    begun = begin_newton(gradient, gradient, gradient @ gradient), empty_memory(gradient)
    return jax.lax.while_loop(lambda carry: ~carry[0].is_done, advance, begun)[0]


def test_a_newton_step_solves_its_equations():
    """Near the minimum; further away, a small part of the decrease is left to the next step."""
    random = np.random.default_rng(1)
    matrix = random.normal(size=(20, 20))
    hessian, gradient = matrix @ matrix.T + np.eye(20), 1e-9 * matrix[0]
    solve = jax.jit(lambda *numbers: solve_newton(lambda v: hessian @ v, *numbers))
    found = solve(gradient, 1e6)
    wanted = -np.linalg.solve(hessian, gradient)
    np.testing.assert_allclose(found.step, wanted, atol=1e-14)
    np.testing.assert_allclose(found.decrease, -0.5 * gradient @ wanted, rtol=1e-6)
    assert found.is_convex
    assert found.is_inside


@pytest.mark.parametrize("curvature", [-1.0, 1e-6])
def test_a_newton_step_ends_at_the_edge_of_the_trust_region(curvature):
    solve = jax.jit(lambda *numbers: solve_newton(lambda v: curvature * v, *numbers))
    found = solve(np.array([1.0, 0.0]), 3.0)
    np.testing.assert_allclose(found.step, [-3.0, 0.0], rtol=1e-6)
    assert bool(found.is_convex) is (curvature > 0)
    assert not found.is_inside


def search(loss, start, tolerance=1e-6, max_steps=500):
    """Search to the end, in one loop."""
    evaluate = jax.value_and_grad(loss)

    def advance(state):
        here = evaluate(state.next_point())
        return mode_search.advance(state, *here, jnp.asarray(tolerance), jnp.int32(max_steps))

    @jax.jit
    def run(start):
        begun = mode_search.begin_search(start, evaluate(start)[1])
        return jax.lax.while_loop(lambda s: s.reason == 0, advance, begun)

    return run(start)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


LOSSES = {
    "quadratic": (lambda x: 0.5 * ((x - 1) ** 2 * jnp.array([1.0, 1e4])).sum(), 2, 1),
    "rosenbrock": (rosenbrock, 10, 1),
    "kink": (lambda x: 50 * jnp.abs(x - 0.3).sum(), 1, 4),
    "linear": (lambda x: x.sum(), 2, 5),
    "wall": (lambda x: -jnp.log(1 - x[0] ** 2) - 5 * x[0], 1, 1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_search_says_why_it_ended(name):
    loss, size, reason = LOSSES[name]
    found = search(loss, jnp.zeros(size), tolerance=1e-9)
    assert found.reason == reason
    if reason == mode_search.CONVERGED:
        minimum = {"wall": (np.sqrt(104) - 2) / 10}.get(name, 1.0)
        np.testing.assert_allclose(found.position, minimum, atol=1e-5)
        # The promise is on the loss.
        assert loss(found.position) <= loss(jnp.full(size, minimum)) + 1e-9


def test_a_curved_valley_is_followed_by_quasi_newton_steps():
    """Newton steps that do not pay are tried less and less often; always tried, 1316 gradients."""
    start = np.random.default_rng(1).uniform(-2, 2, 100)
    found = search(rosenbrock, jnp.asarray(start), max_steps=2000)
    assert found.reason == mode_search.CONVERGED
    # About 650, by the last bits; L-BFGS-B of SciPy takes 600.
    assert found.n_gradients < 1000
    assert found.loss < 1e-6


def product_of_factors(weights):
    """A matrix as a product of more columns and rows than its rank, with a normal prior on both.

    The Hessian is singular at the minimum along those that vanish there.
    """
    random = np.random.default_rng(0)
    wanted = random.normal(size=(30, 3)) @ random.normal(size=(3, 20))
    wanted += 0.3 * random.normal(size=(30, 20))
    left, right = weights[:360].reshape(30, 12), weights[360:].reshape(12, 20)
    rest = left @ right - wanted
    loss = 0.5 * (rest**2).sum() + 0.5 * (weights**2).sum()
    return loss, weights + np.concatenate([(rest @ right.T).ravel(), (left.T @ rest).ravel()])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_newton_steps_that_do_not_square_the_error_are_tried_less():
    """Where each one predicts as much as the one before it, more of them waste gradients."""
    start = np.random.default_rng(4).normal(size=600)
    found = HostSearch.begin(start, *product_of_factors(start), 2000)
    while not found.reason:
        here = product_of_factors(found.next_point())
        found.advance(*here, np.float64(1e-6), np.int32(2000))
    assert found.reason == mode_search.CONVERGED
    assert found.n_gradients < 300
    np.testing.assert_allclose(found.loss, 81.134974, atol=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_small_estimate_is_checked_even_if_newton_steps_never_paid():
    """Otherwise quasi-Newton steps go on until losses differ by rounding alone."""
    start = np.random.default_rng(4).normal(size=600)
    found = HostSearch.begin(start, *product_of_factors(start), 2000)
    found.near, found.patience = np.float64(0), np.int32(10**6)
    while not found.reason:
        estimate = found.decrement
        here = product_of_factors(found.next_point())
        found.advance(*here, np.float64(1e-6), np.int32(2000))
    assert found.reason == mode_search.CONVERGED
    assert estimate > 1e-9
    np.testing.assert_allclose(found.loss, 81.134974, atol=1e-5)


@pytest.mark.parametrize("max_steps", [1, 2])
def test_a_search_on_the_host_knows_the_gradient_at_its_start(max_steps):
    """The first trial point is a step of length 1 along it, unless the start is all."""
    start = np.random.default_rng(4).normal(size=600)
    loss, gradient = product_of_factors(start)
    found = HostSearch.begin(start, loss, gradient, max_steps)
    assert (found.n_steps, found.n_gradients, found.loss) == (1, 1, loss)
    trial = start - gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(found.next_point(), trial, rtol=1e-12)
    assert found.reason == (mode_search.STEPS if max_steps == 1 else 0)
    found.advance(*product_of_factors(trial), np.float64(1e-6), np.int32(max_steps))
    assert found.n_gradients == max_steps


def test_a_search_at_the_minimum_takes_one_step():
    found = search(lambda x: 0.5 * (x**2).sum(), jnp.zeros(3))
    assert (int(found.n_steps), int(found.reason)) == (1, mode_search.CONVERGED)


def test_a_search_never_goes_up():
    """Followed step by step, from a start that is far away."""
    evaluate = jax.jit(jax.value_and_grad(rosenbrock))
    advance = jax.jit(mode_search.advance)
    start = np.full(4, -3.0)
    state = jax.jit(mode_search.begin_search)(start, evaluate(start)[1])
    losses = []
    while not state.reason:
        here = evaluate(state.next_point())
        state = advance(state, *here, jnp.asarray(1e-6), jnp.int32(200))
        losses.append(float(state.loss))
    assert np.isfinite(losses[0])
    assert (np.diff(losses) <= 0).all()
