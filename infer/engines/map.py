"""Find a mode; the one draw of a chain is the point at which its search ended."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..errors import EngineError
from ..numerics.descent import asks_for_value, choose_huge, make_loss, measure_steepness
from ..numerics.host_search import HostSearch
from ..numerics.loop_search import advance_in_loop
from ..numerics.minimizers import OTHERS, as_transformation, has_ended, is_exact, is_optimizer
from ..numerics.mode_search import CONVERGED, ROUNDING, STEPS, Search, begin_search
from ..numerics.namespace import Scalar, Vector
from ..numerics.trace import LENGTH, make_trace, record
from ..target import Components, Target
from .asking import AskingEngine, Best
from .base import Examples, Needs, Tick, WarmupPlan

SPACES = ("constrained", "unconstrained")
# Nats from the mode, estimated in the Hessian's metric, at which a search has converged: a
# thousandth of a standard deviation, and the least that single precision resolves.
TOLERANCE, SINGLE_TOLERANCE = 1e-6, 1e-5
# If the target has no value, the steepness of the best position counts double after 20 steps.
FORGOTTEN = 2.0 ** (1 / 20)


class MAPTuning(eqx.Module):
    """The tuning of the search for a mode; traced."""

    tolerance: Scalar | np.ndarray
    max_steps: Int[Array, ""] | np.ndarray


class SearchState(NamedTuple):
    """One search by L-BFGS and Newton-CG between two gradients.

    Attributes:
        search: The search for the minimum of minus the log density; traced, or on the host.
        trace: As in `MAPState`.
    """

    search: Any
    trace: Float[Array | np.ndarray, "2 steps"]

    @property
    def n_steps(self) -> Any:
        """Steps taken."""
        return self.search.n_steps


class MAPState(NamedTuple):
    """One search by an optax optimizer between two steps.

    Attributes:
        position: Where the next step begins.
        optimizer: The state of the optax optimizer.
        best: Best position so far; with a minibatch, the mean of the later positions.
        merit: The log density at the best position, in nats. If the target has no value, minus
            the steepness there, which counts for more with every step.
        best_gradient: Gradient at the best position.
        n_steps: Steps taken.
        trace: Log density and steepness where each step began; see `numerics.trace`.
    """

    position: Vector
    optimizer: Any
    best: Vector
    merit: Scalar
    best_gradient: Vector
    n_steps: Int[Array, ""]
    trace: Float[Array, "2 steps"]


@dataclass(frozen=True)
class MAP(AskingEngine):
    """Maximum a posteriori, from several starts.

    Attributes:
        space: "constrained" maximizes the density of the constrained values, without the
            maps' log-determinants; "unconstrained" that of the flat vector, with them.
            The modes differ, so there is no default.
        optimizer: "lbfgs", for L-BFGS that Newton steps by conjugate gradients finish; any optax
            optimizer, such as `optax.adam(0.05)`; or any minimizer of optimistix, such as
            `optimistix.BFGS(rtol=1e-8, atol=1e-8)`, whose own rule may end the search as well.
        tolerance: With "lbfgs", a search ends when the mode is at most so many nats higher than
            the point it has reached, by the Newton decrement: half the squared length of the
            gradient in the metric of the Hessian. The default is 1e-6 nats, 0.0014 standard
            deviations, and 1e-5 in single precision; one more Newton step is then taken, which
            usually leaves much less. With an optax optimizer, a search ends when the steepness,
            max |gradient| times max(1, |position|), does not exceed the tolerance; the default is
            the square root of the machine precision.
        max_steps: Maximum number of steps of the optimizer. With "lbfgs", a step takes a gradient
            or a few, and a Newton step one more for each product with the Hessian.

    If the target has no value, the search follows the gradient alone, with an optax optimizer
    that needs no value, such as Adam. The best position is then the least steep one; the
    steepness of an earlier position counts double after 20 steps, so that a flat region on the
    way is forgotten.

    If the density is an estimate from a minibatch, no value shows which position is best, and no
    gradient vanishes: the search takes `max_steps` steps, and returns the mean of the positions
    of the last half of them (Polyak & Juditsky 1992). Such a search never counts as converged.

    An optax optimizer equals only itself. Keep one, instead of making a new one for each call:
    each new optimizer compiles a new program.
    """

    # An empty value is refused with an explanation.
    space: Literal["constrained", "unconstrained"] = ""  # pyright: ignore[reportAssignmentType]
    optimizer: Any = "lbfgs"
    tolerance: float | None = field(default=None, compare=False)
    max_steps: int = field(default=2000, compare=False)
    result: ClassVar[Literal["draws", "optimum", "approximation"]] = "optimum"
    without_value: ClassVar[str] = "MAP(space, optax.adam(0.05))"
    examples: ClassVar[Examples] = Examples(
        valid={"space": "constrained"}, invalid={"optimizer": "newton"}
    )

    def __post_init__(self) -> None:
        if not self.space:
            raise EngineError(
                "MAP",
                "no space is named, and the modes of the two differ",
                'Write MAP(space="constrained") for the highest density of the values as the model '
                'declares them, or MAP(space="unconstrained") for that of the flat vector, with '
                "the maps' log-determinants.",
            )
        if self.space not in SPACES:
            raise EngineError("MAP", f"space is {self.space!r}", f"Choose one of {SPACES}.")
        if self.max_steps < 1:
            raise EngineError("MAP", f"max_steps is {self.max_steps}", "Give one or more.")
        if self.optimizer != "lbfgs" and not is_optimizer(self.optimizer):
            raise EngineError(
                "MAP",
                f"optimizer is {self.optimizer!r}",
                f'Choose "lbfgs", or give an optax optimizer such as optax.adam(0.05). {OTHERS}',
            )

    @property
    def needs(self) -> Needs:
        return Needs(
            value=isinstance(self.optimizer, str) or asks_for_value(self.optimizer),
            exact=is_exact(self.optimizer),
            jacobian=self.space == "unconstrained",
        )

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return WarmupPlan(draws or 0, ())

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> MAPTuning:
        dtype = gradients.dtype
        tolerance = self._default_tolerance(dtype) if self.tolerance is None else self.tolerance
        return MAPTuning(np.asarray(tolerance, dtype), np.asarray(self.max_steps, np.int32))

    def init(self, position: Vector, here: Components) -> MAPState | SearchState:
        if isinstance(self.optimizer, str):
            return SearchState(begin_search(position, -here.gradient), make_trace(here.value, 2))
        # The first step finds how good the start is.
        unknown = jnp.full_like(here.value, -jnp.inf)
        return MAPState(
            position,
            as_transformation(self.optimizer).init(position),
            position,
            unknown,
            here.gradient,
            jnp.int32(0),
            make_trace(here.value, 2),
        )

    @property
    def asks(self) -> bool:
        return isinstance(self.optimizer, str)

    def begin(self, position: np.ndarray, here: Components) -> SearchState:
        value, gradient = map(np.asarray, here[:2])
        trace = np.zeros((2, LENGTH), position.dtype)
        trace[:, 0] = value, measure_steepness(position, gradient)
        return SearchState(HostSearch.begin(position, -value, -gradient, self.max_steps), trace)

    def ask(self, state: SearchState) -> Vector:
        return state.search.next_point()

    def tell(
        self, tuning: MAPTuning, state: SearchState, log_density: Scalar, gradient: Vector
    ) -> tuple[SearchState, Tick]:
        tell = _tell_on_host if isinstance(state.search, HostSearch) else _tell_search
        return tell(tuning, state, log_density, gradient)

    def best(self, state: SearchState) -> Best:
        own = state.search
        return Best(own.position, np.asarray(-own.loss), -own.gradient, int(own.n_gradients))

    def to_loop(self, state: SearchState) -> SearchState:
        return state._replace(search=state.search.to_loop())

    def to_host(self, state: SearchState) -> SearchState:
        return state._replace(search=HostSearch.from_loop(state.search))

    def tick(self, key: Array, target: Target, tuning: MAPTuning, state: Any) -> tuple[Any, Tick]:
        if self.asks:
            return super().tick(key, target, tuning, state)
        if "minibatch" in target.offers:
            seen = target.at(jax.random.fold_in(key, state.n_steps))
            return self._tick_by_minibatch(seen, tuning, state)
        if target.has_value:
            return self._tick_by_value(target, tuning, state)
        return self._tick_by_gradient(target, tuning, state)

    def _tick_by_value(
        self, target: Target, tuning: MAPTuning, state: MAPState
    ) -> tuple[MAPState, Tick]:
        loss = make_loss(target)
        value, gradient = jax.value_and_grad(loss)(state.position)
        updates, optimizer = self._update(
            gradient, state, value=value, grad=gradient, value_fn=loss
        )
        steepness = measure_steepness(state.position, gradient)
        # If the density is not finite the loss is flat, but this is not a mode.
        ended = (steepness <= tuning.tolerance) | has_ended(state.optimizer)
        converged = ended & (value < choose_huge(value))
        state = _keep_best(
            _record(state, -value, steepness), -value > state.merit, -value, -gradient
        )
        complete = converged | (state.n_steps >= tuning.max_steps)
        return _move(state, updates, optimizer), _report(state, complete, converged, state.merit)

    def _tick_by_gradient(
        self, target: Target, tuning: MAPTuning, state: MAPState
    ) -> tuple[MAPState, Tick]:
        unknown, ascent = target.evaluate(state.position)
        usable = jnp.isfinite(ascent).all()
        gradient = jnp.where(usable, ascent, 0.0)
        updates, optimizer = self._update(-gradient, state)
        steepness = measure_steepness(state.position, gradient)
        converged = usable & (steepness <= tuning.tolerance)
        state = _record(state, unknown, steepness)._replace(merit=state.merit * FORGOTTEN)
        state = _keep_best(state, usable & (-steepness > state.merit), -steepness, gradient)
        complete = converged | (state.n_steps >= tuning.max_steps)
        return _move(state, updates, optimizer), _report(state, complete, converged, unknown)

    def _tick_by_minibatch(
        self, target: Target, tuning: MAPTuning, state: MAPState
    ) -> tuple[MAPState, Tick]:
        value, ascent = target.evaluate(state.position)
        gradient = jnp.where(jnp.isfinite(ascent).all(), ascent, 0.0)
        updates, optimizer = self._update(-gradient, state, value=-value, grad=-gradient)
        averaged = _record(state, value, measure_steepness(state.position, ascent))._replace(
            best=_average(state, tuning), best_gradient=gradient, n_steps=state.n_steps + 1
        )
        complete = averaged.n_steps >= tuning.max_steps
        report = _report(averaged, complete, jnp.asarray(False), value)
        return _move(averaged, updates, optimizer), report

    def _default_tolerance(self, dtype: np.dtype) -> float:
        if isinstance(self.optimizer, str):
            return TOLERANCE if dtype == np.float64 else SINGLE_TOLERANCE
        return float(np.sqrt(np.finfo(dtype).eps))

    def _update(self, gradient: Vector, state: MAPState, **more: Any) -> tuple[Any, Any]:
        optimizer = as_transformation(self.optimizer)
        return optimizer.update(gradient, state.optimizer, state.position, **more)


def _tell_search(
    tuning: MAPTuning, state: SearchState, log_density: Scalar, gradient: Vector
) -> tuple[SearchState, Tick]:
    limits = jnp.asarray(tuning.tolerance), jnp.asarray(tuning.max_steps)
    search = advance_in_loop(state.search, -log_density, -gradient, *limits)
    steepness = measure_steepness(search.position, search.gradient)
    recorded = record(state.trace, state.search.n_steps, jnp.stack([-search.loss, steepness]))
    trace = jnp.where(search.n_steps > state.search.n_steps, recorded, state.trace)
    return SearchState(search, trace), _report_search(search, steepness)


def _tell_on_host(
    tuning: MAPTuning, state: SearchState, log_density: Scalar, gradient: Vector
) -> tuple[SearchState, Tick]:
    search, trace, n_steps = state.search, state.trace, state.n_steps
    search.advance(-log_density, -gradient, tuning.tolerance, tuning.max_steps)
    steepness = search.loss
    if search.n_steps > n_steps or search.reason:
        steepness = measure_steepness(search.position, search.gradient)
    if search.n_steps > n_steps:
        trace = record(trace, n_steps, np.array([-search.loss, steepness]))
    return SearchState(search, trace), _report_search(search, steepness)


def _report_search(search: Search | HostSearch, steepness: Scalar) -> Tick:
    stats = {
        "lp": -search.loss,
        "converged": (search.reason == CONVERGED) | (search.reason == ROUNDING),
        "reason": search.reason,
        "decrement": search.decrement,
        "n_steps": search.n_steps,
        "n_gradients": search.n_gradients,
        "steepness": steepness,
    }
    return Tick(search.reason > 0, search.position, -search.gradient, stats)


def _average(state: MAPState, tuning: MAPTuning) -> Vector:
    """Return the mean of the positions of the last half of the steps, or the current position."""
    count = jnp.maximum(1, state.n_steps + 1 - jnp.asarray(tuning.max_steps) // 2)
    return state.best + (state.position - state.best) / count.astype(state.position.dtype)


def _record(state: MAPState, lp: Scalar, steepness: Scalar) -> MAPState:
    values = jnp.stack([lp, steepness])
    return state._replace(trace=record(state.trace, state.n_steps, values))


def _keep_best(
    state: MAPState, better: Bool[Array, ""], merit: Scalar, gradient: Vector
) -> MAPState:
    """Replace the best position by the current one if that is better, and count the step."""
    return state._replace(
        best=jnp.where(better, state.position, state.best),
        merit=jnp.where(better, merit, state.merit),
        best_gradient=jnp.where(better, gradient, state.best_gradient),
        n_steps=state.n_steps + 1,
    )


def _move(state: MAPState, updates: Any, optimizer: Any) -> MAPState:
    import optax

    position = jnp.asarray(optax.apply_updates(state.position, updates))
    return state._replace(position=position, optimizer=optimizer)


def _report(
    state: MAPState, complete: Bool[Array, ""], converged: Bool[Array, ""], lp: Scalar
) -> Tick:
    stats = {
        "lp": lp,
        "converged": converged,
        "reason": jnp.where(converged, CONVERGED, STEPS).astype(jnp.int32),
        "decrement": jnp.full_like(state.merit, jnp.nan),
        "n_steps": state.n_steps,
        "n_gradients": state.n_steps,
        "steepness": measure_steepness(state.best, state.best_gradient),
    }
    return Tick(complete, state.best, state.best_gradient, stats)
