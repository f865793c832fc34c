"""Samplers of BlackJAX on the density of a NumPyro program, compiled with their warm-up."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .clock import Clock
from .draws import CHAINS, Draws, Sampler
from .suite import Case

WARMUP = 1000
# A transition of adjusted MCLMC takes two steps; that many make a draw.
THIN = 10

# Takes keys, a log density, a start of each chain and a number of draws; returns positions, the
# gradients of each draw, which of them diverge, and gradients of warm-up; chains come first.
Program = Callable[[Any, Callable[[Any], Any], Any, int], tuple[Any, Any, Any, Any]]


def nuts(case: Case) -> Sampler:
    """Return NUTS with window adaptation and chains batched by vmap."""
    import blackjax
    import jax

    def chain(key, log_density, start, draws: int):
        keys = jax.random.split(key, 2)
        adaptation: Any = blackjax.window_adaptation(blackjax.nuts, log_density)
        (state, settings), warmed = adaptation.run(keys[0], start, WARMUP)
        step = blackjax.nuts(log_density, **settings).step
        _, found = jax.lax.scan(_keep(step), state, jax.random.split(keys[1], draws))
        return *found, warmed.info.num_integration_steps

    return _sampler(case, _batched(chain))


def adjusted_mclmc(case: Case) -> Sampler:
    """Return adjusted MCLMC with random lengths, tuned as BlackJAX does by default.

    Its draws are every 10th of 10,000 transitions.
    """
    import blackjax
    import jax
    import jax.numpy as jnp
    from blackjax.mcmc import adjusted_mclmc_dynamic as dynamic

    kernel = dynamic.build_kernel(dynamic.make_random_trajectory_length_fn(True))

    def chain(key, log_density, start, draws: int):
        keys = jax.random.split(key, 3)
        state, tuned, warmed = blackjax.adjusted_mclmc_find_L_and_step_size(
            kernel, log_density, THIN * WARMUP, dynamic.init(start, log_density, keys[0]),
            keys[1], target=0.65,
        )  # fmt: skip
        mean = (tuned.L / tuned.step_size,)

        def step(key, state):
            return kernel(
                key, state, log_density, tuned.step_size,
                inverse_mass_matrix=tuned.inverse_mass_matrix, integration_steps_params=mean,
            )  # fmt: skip

        def several(state, key):
            state, (positions, steps, diverging) = jax.lax.scan(
                _keep(step), state, jax.random.split(key, THIN)
            )
            last = jax.tree.map(lambda x: x[-1], positions)
            # Each step of the integrator takes two gradients.
            return state, (last, 2 * steps.sum(), diverging.any())

        _, found = jax.lax.scan(several, state, jax.random.split(keys[2], draws))
        return *found, 2 * jnp.asarray(warmed)

    return _sampler(case, _batched(chain))


def chees(case: Case) -> Sampler:
    """Return HMC whose length ChEES learns from all chains; four are fewer than it is made for."""
    import blackjax
    import jax
    import optax

    def program(key, log_density, starts, draws: int):
        keys = jax.random.split(key, 2)
        adaptation: Any = blackjax.chees_adaptation(log_density, CHAINS)
        # The first step size and the optimizer are those of BlackJAX's own tests.
        (states, settings), warmed = adaptation.run(
            keys[0], starts, step_size=0.1, optim=optax.adam(0.05), num_steps=WARMUP
        )
        step = jax.vmap(blackjax.dynamic_hmc(log_density, **settings).step)

        batched = _keep(lambda key, states: step(jax.random.split(key, CHAINS), states))
        _, found = jax.lax.scan(batched, states, jax.random.split(keys[1], draws))
        positions, steps, diverging = jax.tree.map(lambda x: x.swapaxes(0, 1), found)
        return positions, steps, diverging, warmed.info.num_integration_steps

    return _sampler(case, program)


def _keep(step: Callable[..., Any]) -> Callable[..., Any]:
    """Make a step of a scan that returns the position and the cost of a transition."""

    def one(state, key):
        state, info = step(key, state)
        return state, (state.position, info.num_integration_steps, info.is_divergent)

    return one


def _batched(chain: Callable[..., Any]) -> Program:
    import jax

    def program(key, log_density, starts, draws: int):
        keys = jax.random.split(key, CHAINS)
        return jax.vmap(lambda key, start: chain(key, log_density, start, draws))(keys, starts)

    return program


def _sampler(case: Case, program: Program) -> Sampler:
    """Compile a program once for each number of draws."""
    import jax
    from numpyro.infer.util import initialize_model

    data = case.data()
    kept: list[Any] = []

    def whole(key, draws: int):
        model = kept[0]
        keys = jax.random.split(key, 2)
        like = model.param_info.z
        names = dict(zip(like, jax.random.split(keys[0], len(like)), strict=True))
        starts = {
            name: jax.random.uniform(names[name], (CHAINS, *x.shape), x.dtype, -2, 2)
            for name, x in like.items()
        }
        positions, *counts = program(keys[1], lambda z: -model.potential_fn(z), starts, draws)
        return jax.vmap(jax.vmap(model.postprocess_fn))(positions), *counts

    programs: dict[int, Any] = {}

    def run(seed: int, draws: int) -> Draws:
        with Clock() as clock:
            if not kept:
                key = jax.random.key(0)
                kept.append(initialize_model(key, case.numpyro, model_kwargs=data))
            if draws not in programs:
                programs[draws] = jax.jit(lambda key: whole(key, draws))
            found = jax.block_until_ready(programs[draws](jax.random.key(seed)))
        values, steps, diverging, warmed = found
        arrays = {name: np.asarray(values[name]) for name in case.sites}
        counts = (int(count.sum()) for count in (steps, warmed, diverging))
        return Draws(*clock.found, arrays, *counts)

    return run
