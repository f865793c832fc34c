"""Rewrite a traced program: operations without native code in XLA become loops that have it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jaxtyping import Array

from ..equations import find_called
from .batches import LAPACK, split_batch
from .loops import Loop, choose_loop
from .once import Compared, find_compared, select_solver_operands, store

# Scans of fewer steps are left as they are.
LONG_SCAN = 32

# Other primitives that call external functions, and those that XLA lowers to a scatter.
NEITHER_NATIVE = frozenset(
    ("approx_top_k", "fft", "sort", "top_k", "select_and_scatter", "select_and_scatter_add")
    + ("buffer_callback", "debug_callback", "debug_print", "ffi_call")
    + ("io_callback", "pure_callback")
)

CONTROL = {"while": ("cond_jaxpr", "body_jaxpr"), "scan": ("jaxpr",), "cond": ("branches",)}


class Plan(NamedTuple):
    """How a program is rewritten.

    Attributes:
        choose: Returns the replacement of an equation.
        compared: What it compares, and must compute once.
        stores_rows: Whether long scans read rows that are stored.
    """

    choose: Callable[[JaxprEqn], Loop]
    compared: Compared
    stores_rows: bool = False

    def changes(self, equation: JaxprEqn) -> bool:
        """Return whether an equation, apart from the programs in it, is rewritten."""
        is_stored = self.stores_rows and _is_long_scan(equation)
        return is_stored or self.compared.changes(equation) or self.choose(equation) is not None


class Analysis(NamedTuple):
    """What determines whether a traced program has a native form.

    Attributes:
        rewritten: Names of the primitives that become loops.
        missing: Names of the primitives that have no native form and are not rewritten.
        has_lapack_calls: Whether the original program calls LAPACK.
        has_large_batches: Whether it has batches of matrices that jaxlib distributes over XLA's
            threads, and waits for.
        has_transforms: Whether it has Fourier transforms, which XLA may distribute likewise.
        compares_itself: Whether it compares numbers that must be computed once.
    """

    rewritten: tuple[str, ...]
    missing: tuple[str, ...]
    has_lapack_calls: bool
    has_large_batches: bool
    has_transforms: bool
    compares_itself: bool


def analyze(program: Any) -> Analysis:
    """Find which primitives of a jaxpr must be rewritten, and which prevent a native form."""
    loops, others, has_large_batches = set(), set(), False
    for equation in list_equations(program):
        (loops if choose_loop(equation) else others).add(equation.primitive.name)
        others |= {sealed.primitive.name for sealed in _sealed_equations(equation)}
        has_large_batches = has_large_batches or split_batch(equation) is not None
    missing = others & (LAPACK.keys() | NEITHER_NATIVE)
    has_lapack_calls = bool((loops | others) & LAPACK.keys())
    return Analysis(
        tuple(sorted(loops)),
        tuple(sorted(missing)),
        has_lapack_calls,
        has_large_batches,
        has_transforms="fft" in others,
        compares_itself=any(find_compared(program)),
    )


def rewrite_as_loops(traced: jax.stages.Traced) -> Callable[..., Any]:
    """Return a function that computes the same, with loops for the primitives of the table."""
    return _replay(traced, choose_loop, stores_rows=True)


def split_batches(traced: jax.stages.Traced) -> Callable[..., Any]:
    """Return a function that computes the same, without waiting for threads of XLA."""
    return _replay(traced, split_batch)


def compute_once(traced: jax.stages.Traced) -> Callable[..., Any]:
    """Return a function that computes the same, and what it compares with itself only once."""
    return _replay(traced, lambda _: None)


def _replay(
    traced: jax.stages.Traced, choose: Callable[[JaxprEqn], Loop], stores_rows: bool = False
) -> Callable[..., Any]:
    structure = jax.tree.structure(traced.out_info)
    plan = Plan(choose, find_compared(traced.jaxpr), stores_rows)

    def replay(*arguments: Any) -> Any:
        outputs = _evaluate(traced.jaxpr, jax.tree.leaves(arguments), plan)
        return jax.tree.unflatten(structure, outputs)

    return replay


def _evaluate(program: Any, arguments: Sequence[Any], plan: Plan) -> list[Any]:
    """Evaluate a jaxpr, closed or not, replacing each equation as a plan says."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        with equation.ctx.manager:
            if own := plan.compared.instead.get(equation.outvars[0] if equation.outvars else None):
                results = [getattr(jax.lax, own[0])(*map(read, own[1:]))]
            else:
                results = _apply(equation, [read(atom) for atom in equation.invars], plan)
            pairs = zip(equation.outvars, results, strict=True)
            once, copies = plan.compared.once, plan.compared.copies
            values.update((v, store(own) if v in once else own) for v, own in pairs)
            values.update((v, read(copies[v])) for v in equation.outvars if v in copies)
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: JaxprEqn, operands: list[Any], plan: Plan) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    if (called := find_called(equation)) is not None:
        return _evaluate(called, operands, plan)
    if name == "custom_linear_solve":
        return _evaluate(params["jaxprs"].solve, select_solver_operands(params, operands), plan)
    if loop := plan.choose(equation):
        # Constants of a program may be arrays of NumPy.
        results = loop(*map(jnp.asarray, operands))
    else:
        if plan.stores_rows and _is_long_scan(equation):
            operands = _store_rows(equation, operands)
        rewrite_inner = partial(_rewrite_inner, plan=plan)
        inner = {own: jax.tree.map(rewrite_inner, params[own]) for own in CONTROL.get(name, ())}
        results = equation.primitive.bind(*operands, **(params | inner))
    return results if equation.primitive.multiple_results else [results]


def _rewrite_inner(program: Any, plan: Plan) -> Any:
    """Rewrite the body of a loop or branch, and leave the loop or branch itself."""
    if not any(map(plan.changes, list_equations(program))):
        return program
    kinds = [
        jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=getattr(kind, "weak_type", False))
        for kind in program.in_avals
    ]
    return jax.make_jaxpr(lambda *arguments: _evaluate(program, arguments, plan))(*kinds)


def list_equations(program: Any, wanted: Sequence[bool] | None = None) -> Iterator[JaxprEqn]:
    """Yield the equations that the wanted results depend on, including those of inner programs."""
    jaxpr = getattr(program, "jaxpr", program)
    results = jaxpr.outvars if wanted is None else compress(jaxpr.outvars, wanted)
    used = {atom for atom in results if not isinstance(atom, Literal)}
    for equation in reversed(jaxpr.eqns):
        used_here = [result in used for result in equation.outvars]
        if any(used_here) or equation.effects:
            used |= {atom for atom in equation.invars if not isinstance(atom, Literal)}
            yield equation
            for inner in list_inner_programs(equation):
                yield from list_equations(inner, used_here if find_called(equation) else None)


def list_inner_programs(equation: JaxprEqn) -> list[Any]:
    """List the programs that an equation calls, repeats or chooses from."""
    name, params = equation.primitive.name, equation.params
    if (called := find_called(equation)) is not None:
        return [called]
    if name in CONTROL:
        return jax.tree.leaves([params[own] for own in CONTROL[name]])
    return [params["jaxprs"].solve] if name == "custom_linear_solve" else []


def _sealed_equations(equation: JaxprEqn) -> Iterator[JaxprEqn]:
    """Yield the equations inside an equation that is no known call, loop or branch."""
    if not list_inner_programs(equation):
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, Jaxpr | ClosedJaxpr):
                    yield from list_equations(inner)


def _is_long_scan(equation: JaxprEqn) -> bool:
    return equation.primitive.name == "scan" and equation.params["length"] >= LONG_SCAN


def _store_rows(equation: JaxprEqn, operands: Sequence[Array]) -> list[Array]:
    """Store the rows that a scan reads.

    XLA moves an array of equal numbers, such as the gradient of a sum, into the body: each step of
    a native function would fill all of it to read one row.
    """
    numbers = [jnp.asarray(own) for own in operands]
    pairs = zip(numbers, equation.params["jaxpr"].in_avals, strict=True)
    is_row = [own.shape != of_step.shape for own, of_step in pairs]
    store_row = jax.lax.optimization_barrier
    return [store_row(n) if own else n for n, own in zip(numbers, is_row, strict=True)]
