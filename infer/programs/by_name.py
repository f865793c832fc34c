"""Name the operations that JAX cannot trace, or XLA cannot compile as one native function."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from ..errors import ExplainedError, ModelError
from ..models.inputs.mistakes import line_of

_log = logging.getLogger("infer")

NO_BATCH = "JAX cannot map it over chains and draws"
NO_DERIVATIVE = "JAX cannot differentiate it, and the log density depends on it"
NO_PARTIAL_DERIVATIVE = "JAX cannot differentiate it with respect to"
GIVE_DERIVATIVE = (
    "Give its derivative with jax.custom_jvp or jax.custom_vjp, write it with other operations, or "
    "pass what it depends on through jax.lax.stop_gradient if it has no derivative. Or sample "
    "without a gradient: infer.sample(model.with_gradient(None))."
)

# JAX's message; name of the operation, or "" to take the first group; what was found; the mend.
KNOWN_ERRORS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"Batching rule for '([^']+)' not implemented",
        "",
        f"{NO_BATCH}: it has no batching rule",
        "Wrap it in jax.custom_batching.sequential_vmap, or write it with other operations.",
    ),
    (
        r"Cannot `vmap` ordered IO callback",
        "ordered io_callback",
        f"{NO_BATCH}, which have no order",
        "Use ordered=False.",
    ),
    (
        r"IO effects? not supported in (?:vmap|while_loop)",
        "io_callback",
        f"{NO_BATCH} inside a branch or a loop",
        "Take it out of cond, switch and while_loop, or use jax.pure_callback.",
    ),
    (
        r"Effects not supported in (?:(?:partial-eval|AD) of )?`(\w+)`",
        "",
        "JAX cannot differentiate it, since it contains a callback with effects",
        "Take the callback out of it, or use jax.pure_callback.",
    ),
    (
        r"vmap is only supported for the (\w+) primitive when vmap_method",
        "",
        f"{NO_BATCH} without a vmap_method",
        'Give it vmap_method="sequential", or "broadcast_all" if it takes batches.',
    ),
    (r"(Pure|IO) callbacks do not support JVP", "", NO_DERIVATIVE, GIVE_DERIVATIVE),
    (r"FFI call to `([^`]+)` cannot be differentiated", "", NO_DERIVATIVE, GIVE_DERIVATIVE),
    (r"Differentiation rule for '([^']+)' not implemented", "", NO_DERIVATIVE, GIVE_DERIVATIVE),
    (r"Transpose rule .* for '([^']+)' not implemented", "", NO_DERIVATIVE, GIVE_DERIVATIVE),
    (
        r"scatter_apply JVP not implemented",
        "x.at[i].apply(f)",
        NO_DERIVATIVE,
        "Write x.at[i].set(f(x[i])), or x.at[i].multiply or .add, which have derivatives.",
    ),
    (
        r"scatter_mul gradients are only implemented if `unique_indices=True`",
        "x.at[i].multiply",
        f"{NO_DERIVATIVE}, unless all indices are unique",
        "If they are, pass unique_indices=True to .multiply, .divide or .power.",
    ),
    (
        r"Betainc gradient with respect to a and b",
        "betainc",
        f"{NO_PARTIAL_DERIVATIVE} a and b, and the log density depends on them",
        GIVE_DERIVATIVE,
    ),
    (
        r"polygamma gradient with respect to m",
        "polygamma",
        f"{NO_PARTIAL_DERIVATIVE} n, and the log density depends on it",
        GIVE_DERIVATIVE,
    ),
)
LEAK = (
    "it uses an array that was computed in an earlier call of it and kept, by functools.cache, an "
    "attribute or a global variable. JAX keeps no numbers while it traces a function"
)
KEEP_NUMBERS = (
    "Compute what is kept with NumPy, or under `with jax.ensure_compile_time_eval():`, or compute "
    "it before and pass it to the model as data."
)
CALLBACKS = {"Pure": "pure_callback", "IO": "io_callback"}


@contextmanager
def name_errors() -> Iterator[None]:
    """Replace errors of JAX, inside the block, by ones that name what it cannot trace.

    Raises:
        ModelError: JAX raised an error that `KNOWN_ERRORS` lists, or failed an assertion of its
            own without a message. Other errors are passed on.
    """
    try:
        yield
    except ExplainedError:
        raise
    except Exception as error:
        for pattern, name, found, mend in KNOWN_ERRORS:
            if said := re.search(pattern, str(error)):
                name = name or CALLBACKS.get(said[1], said[1])
                raise ModelError(name, found, mend) from error
        if isinstance(error, AssertionError) and not str(error):
            line = line_of(error.__traceback__)
            if not line.code.startswith("assert"):
                found = "an assertion of JAX fails without a message while JAX differentiates it"
                raise ModelError("model", f"{found}{line.place}", GIVE_DERIVATIVE) from error
        raise


def refuse_leaks(program: jax.stages.Traced) -> None:
    """Refuse a program that uses an array of an earlier trace, which no longer has a value.

    Raises:
        ModelError: It does; JAX says only that the number of inputs is another.
    """
    # JAX then makes inputs of all arrays that the program closes over.
    if len(program.jaxpr.in_avals) > program.in_tree.num_leaves:
        raise ModelError("model", LEAK, KEEP_NUMBERS)


def explain_refusal(error: Exception) -> str:
    """Say in plain words why XLA refuses the native form; its own message goes to the log."""
    _log.debug("XLA refuses the native form: %s", error)
    if said := re.search(r"Unhandled opcode .*: ([\w-]+)", str(error)):
        return f"no native form of {said[1]}"
    return "XLA cannot compile this program as one native function; the log (DEBUG) has its reason"
