"""Samplers of many chains: compiled first, then warmed up, then drawing a few draws at a time."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks.peers.suite import Case

from .loop_body import count_loop_body
from .quality import count_superchains

# Draws of warm-up of the peers' NUTS: their default for few chains, and fewer for many, as users
# of many chains choose. ChEES takes as many as ours does.
FEW_CHAINS, WARMUP, WARMUP_OF_MANY, CHEES_WARMUP = 16, 1000, 300, 400
# Gradients of both phases of LAPS, which ends the first one when it has converged.
LAPS_STEPS = 1000, 600


class Problem(NamedTuple):
    """A model and the points at which chains begin.

    Attributes:
        case: The model with its data.
        data: The data.
        chains: Number of chains.
        points: Flat unconstrained starts, shape (chains, size); those of a superchain are the same.
        log_density: Log density of the flat vector.
        unravel: Splits the flat vector into unconstrained values by name.
        constrain: Maps the latter to the values of the sites.
        read: Maps flat vectors (chains, draws, size) to all numbers of the compared sites.
    """

    case: Case
    data: dict[str, Any]
    chains: int
    points: jax.Array
    log_density: Callable[[jax.Array], jax.Array]
    unravel: Callable[[jax.Array], dict[str, jax.Array]]
    constrain: Callable[[dict[str, jax.Array]], dict[str, Any]]
    read: Callable[[np.ndarray], np.ndarray]


class Sampler(Protocol):
    """Chains of one sampler, compiled.

    Attributes:
        compiling: Seconds of tracing and compiling.
        used: Gradients that moved a chain, after warm-up.
        executed: The same with those of chains that waited for others.
        read: Maps draws to numbers of the sites, shape (chains, draws, numbers).
    """

    compiling: float
    used: int
    executed: int
    read: Callable[[np.ndarray], np.ndarray]

    def warm_up(self) -> None:
        """Make the whole warm-up."""
        ...

    def draw(self) -> np.ndarray:
        """Make some more draws, flat vectors of shape (chains, draws, size)."""
        ...


def pose(case: Case, chains: int, seed: int = 0) -> Problem:
    """Pose a problem: superchains begin at points of NumPyro's default, uniform within (-2, 2)."""
    from numpyro.infer.util import initialize_model

    data = dict(case.data())
    model = initialize_model(jax.random.key(seed), case.numpyro, model_kwargs=data)
    flat, unravel = ravel_pytree(model.param_info.z)
    groups = count_superchains(chains)
    starts = jax.random.uniform(jax.random.key(seed + 1), (groups, flat.size), flat.dtype, -2, 2)
    points = jnp.repeat(starts, chains // groups, axis=0)
    log_density = lambda q: -model.potential_fn(unravel(q))  # noqa: E731
    read = make_reader(lambda q: model.postprocess_fn(unravel(q)), case.sites)
    return Problem(case, data, chains, points, log_density, unravel, model.postprocess_fn, read)


def make_reader(
    constrain: Callable[[jax.Array], dict[str, Any]], sites: tuple[str, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """Make the function that maps flat vectors of many draws to the numbers of some sites."""

    def values(position: jax.Array) -> jax.Array:
        found = constrain(position)
        return jnp.concatenate([jnp.ravel(found[name]) for name in sites])

    program = jax.jit(jax.vmap(jax.vmap(values)))
    return lambda positions: np.asarray(program(positions))


def choose_chunk(chains: int) -> int:
    """Return draws of a chain between two looks at R-hat: half of 10,000, two at least."""
    return max(2, -(-5000 // chains))


class Ours:
    """An engine of ours; all chains share one program, as on an accelerator.

    Attributes:
        kernels: What one tick launches.
    """

    def __init__(self, engine: str, problem: Problem, chunk: int) -> None:
        import infer
        from infer.run.blocks import compile_loop

        began = time.perf_counter()
        self._chunk = chunk
        model = infer.from_numpyro(problem.case.numpyro, **problem.data)
        values = jax.vmap(lambda q: problem.constrain(problem.unravel(q)))(problem.points)
        names = [site.name for site in infer.log_density(model).latent]
        self.run = infer.start(
            model, infer.NUTS() if engine == "nuts" else infer.BlackJAX(engine),
            chains=problem.chains, group=problem.chains, progress=False,
            starts={name: np.asarray(values[name]) for name in names},
        )  # fmt: skip
        run = self.run
        program: Any = compile_loop(run.engine, run.family, run.warmup, run.plan)[0]
        self.compiling = time.perf_counter() - began
        self.read = make_reader(self.run.density.constrain, problem.case.sites)
        self.kernels = count_loop_body(program.call.as_text()).kernels
        self.used = self.executed = 0

    def warm_up(self) -> None:
        self.run.advance(0)

    def draw(self) -> np.ndarray:
        self.run.advance(self._chunk)
        draws = self.run.draws(gradients=False)
        self.used = int(draws.stats["n_steps"].sum())
        # A tick of ChEES is a whole trajectory, and no chain waits for another.
        self.executed = self.run.executed if self.run.engine.scope == "chain" else self.used
        return draws.positions[:, -self._chunk :]


class Jitted:
    """A sampler of another library as two compiled programs.

    Args:
        problem: The problem.
        warm: Takes a key and starts (chains, size); returns what `draw` continues from.
        draw: Takes a key and that; returns it, positions (chains, draws, size) and gradients of
            each transition (chains, transitions).
    """

    def __init__(
        self, problem: Problem, warm: Callable[..., Any], draw: Callable[..., Any], starts: Any
    ) -> None:
        began = time.perf_counter()
        self._key, self._starts, self.read = jax.random.key(7), starts, problem.read
        lowered = jax.jit(warm).lower(self._key, starts)
        self._warm = lowered.compile()
        self._draw = jax.jit(draw).lower(self._key, lowered.out_info).compile()
        self.compiling = time.perf_counter() - began
        self.used = self.executed = self._calls = 0

    def warm_up(self) -> None:
        self._carry = jax.block_until_ready(self._warm(self._key, self._starts))

    def draw(self) -> np.ndarray:
        self._calls += 1
        key = jax.random.fold_in(self._key, self._calls)
        self._carry, positions, steps = jax.block_until_ready(self._draw(key, self._carry))
        steps = np.asarray(steps, np.int64)
        self.used += int(steps.sum())
        self.executed += int(steps.max(0).sum()) * len(steps)
        return np.asarray(positions)


def numpyro_nuts(problem: Problem, chunk: int) -> Sampler:
    """Return NumPyro's NUTS, with its chains in one batch as `chain_method="vectorized"` has."""
    from numpyro.infer import NUTS

    kernel, data = NUTS(problem.case.numpyro), problem.data
    keys = jax.random.split(jax.random.key(3), problem.chains)
    starts = jax.vmap(problem.unravel)(problem.points)
    warmup = _choose_warmup(problem.chains)
    begun = kernel.init(keys, warmup, starts, model_args=(), model_kwargs=data)
    one = lambda state: kernel.sample(state, (), data)  # noqa: E731

    def warm(key, state):
        return jax.lax.fori_loop(0, warmup, lambda _, state: one(state), state)

    def draw(key, state):
        def step(state, _):
            state = one(state)
            return state, (jax.vmap(lambda z: ravel_pytree(z)[0])(state.z), state.num_steps)

        state, found = jax.lax.scan(step, state, length=chunk)
        return state, *(a.swapaxes(0, 1) for a in found)

    return Jitted(problem, warm, draw, begun)


def blackjax_nuts(problem: Problem, chunk: int) -> Sampler:
    """Return BlackJAX's NUTS with window adaptation, chains batched by vmap."""
    import blackjax
    from blackjax.adaptation.base import get_filter_adapt_info_fn

    adaptation: Any = blackjax.window_adaptation(
        blackjax.nuts, problem.log_density, adaptation_info_fn=get_filter_adapt_info_fn()
    )
    warmup = _choose_warmup(problem.chains)

    def warm(key, starts):
        run = lambda key, start: tuple(adaptation.run(key, start, warmup)[0])  # noqa: E731
        return jax.vmap(run)(jax.random.split(key, problem.chains), starts)

    def draw(key, carry):
        def chain(key, state, settings):
            step = blackjax.nuts(problem.log_density, **settings).step
            return _scan(step, state, jax.random.split(key, chunk))

        states, settings = carry
        keys = jax.random.split(key, problem.chains)
        states, *found = jax.vmap(chain)(keys, states, settings)
        return (states, settings), *found

    return Jitted(problem, warm, draw, problem.points)


def blackjax_chees(problem: Problem, chunk: int) -> Sampler:
    """Return BlackJAX's HMC whose length ChEES learns; it has no metric by default."""
    import blackjax
    import optax
    from blackjax.adaptation.base import get_filter_adapt_info_fn
    from blackjax.mcmc import dynamic_hmc

    bits = int(np.ceil(np.log2(2 * CHEES_WARMUP)))
    log_averages = {"log_step_size_moving_average", "log_trajectory_length_moving_average"}
    adaptation: Any = blackjax.chees_adaptation(
        problem.log_density, problem.chains,
        adaptation_info_fn=get_filter_adapt_info_fn(adapt_state_keys=log_averages),
    )  # fmt: skip

    def warm(key, starts):
        # The first step size and the optimizer are those of BlackJAX's own tests.
        (states, settings), info = adaptation.run(
            key, starts, step_size=0.1, optim=optax.adam(0.05), num_steps=CHEES_WARMUP,
            max_sampling_steps=CHEES_WARMUP,
        )  # fmt: skip
        last = info.adaptation_state
        longest = last.log_trajectory_length_moving_average - last.log_step_size_moving_average
        return states, (settings["step_size"], jnp.exp(longest[-1]))

    def draw(key, carry):
        def count_steps(turn, longest):
            return jnp.ceil(dynamic_hmc.halton_sequence(turn, bits) * longest).astype(int)

        kernel = dynamic_hmc.build_kernel(
            next_random_arg_fn=lambda turn: turn + 1, integration_steps_fn=count_steps
        )
        states, (step_size, longest) = carry
        ones = jnp.ones(problem.points.shape[1])

        def chain(key, state):
            step = lambda key, state: kernel(  # noqa: E731
                key, state, problem.log_density, step_size, ones,
                integration_steps_params=(longest,),
            )  # fmt: skip
            return _scan(step, state, jax.random.split(key, chunk))

        states, *found = jax.vmap(chain)(jax.random.split(key, problem.chains), states)
        return (states, (step_size, longest)), *found

    return Jitted(problem, warm, draw, problem.points)


def _scan(step: Callable[..., Any], state: Any, keys: Any) -> tuple[Any, ...]:
    def one(state, key):
        state, info = step(key, state)
        return state, (state.position, info.num_integration_steps)

    state, found = jax.lax.scan(one, state, keys)
    return state, *found


class Laps:
    """BlackJAX's LAPS: an ensemble that is corrected only at the end, in one call.

    It is called twice, since it compiles inside the call: the second call counts, less the time in
    which it traces again and finds the programs of the first. It has a draw of each chain, the last
    one, and its chains begin at points of their own.
    """

    def __init__(self, problem: Problem, chunk: int) -> None:
        from benchmarks.peers.clock import Clock

        self._problem, self._clock, self.read = problem, Clock, problem.read
        self.used = self.executed = 0
        self._folder = tempfile.TemporaryDirectory()
        jax.config.update("jax_compilation_cache_dir", self._folder.name)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        with Clock() as clock:
            self._call(0)
        self.compiling = clock.found[1]

    def warm_up(self) -> None:
        with self._clock() as clock:
            self._found = self._call(1)
        self.again = clock.found[1]

    def draw(self) -> np.ndarray:
        return self._found

    def _call(self, seed: int) -> np.ndarray:
        import blackjax.adaptation.laps as library

        problem = self._problem
        size = problem.points.shape[1]
        mesh = jax.sharding.Mesh(jax.devices()[:1], "chains")
        found: Any = library.laps(
            problem.log_density, lambda key: jax.random.uniform(key, (size,), minval=-2, maxval=2),
            size, *LAPS_STEPS, problem.chains, mesh, jax.random.key(seed),
        )  # fmt: skip
        made = np.asarray(found[-1].position)[:, None]
        self.used = self.executed = len(made)
        return made


def _choose_warmup(chains: int) -> int:
    return WARMUP if chains <= FEW_CHAINS else WARMUP_OF_MANY


SAMPLERS: dict[str, Callable[[Problem, int], Sampler]] = {
    "ours, NUTS": partial(Ours, "nuts"),
    "NumPyro, NUTS": numpyro_nuts,
    "BlackJAX, LAPS": Laps,
    "BlackJAX, ChEES": blackjax_chees,
    "ours, ChEES": partial(Ours, "chees"),
    "BlackJAX, NUTS": blackjax_nuts,
}
