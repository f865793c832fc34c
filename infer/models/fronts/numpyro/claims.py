"""What may be declared: unique names, in code that JAX does not transform, without a state."""

from collections.abc import Collection
from typing import Any, NoReturn

from jax.extend.core import get_opaque_trace_state
from numpyro.handlers import do
from numpyro.primitives import _PYRO_STACK

from ....errors import ModelError
from ...inputs.units import refuse_units
from .axes import own_name
from .scan import Message


def refuse_taken(name: str, taken: Collection[str]) -> None:
    """Raise if a name is empty, or another quantity has it."""
    if name in taken or not name:
        raise ModelError(
            name or repr(name),
            "the name is declared twice" if name else "a name must not be empty",
            'Give every site its own name; numpyro.handlers.scope(prefix="...") gives copies '
            "different names. In a scan, use it inside the function that is repeated.",
        )


def refuse_transformed(name: str, trace: Any) -> None:
    """Raise if a site is declared under another trace than that of its model."""
    if get_opaque_trace_state() != trace:
        raise ModelError(
            name,
            "the site is declared inside a function that JAX transforms, such as one given to "
            "lax.cond, lax.scan, vmap or jit",
            "Use cond and scan of numpyro.contrib.control_flow in place of lax.cond, lax.scan and "
            "fori_loop, and a plate in place of vmap. For other functions, such as a while_loop, "
            "declare it outside and use its value inside.",
        )


def refuse_units_of_do(msg: Message) -> None:
    """Raise if `numpyro.handlers.do` sets a site to a value with units, which no message brings."""
    for handler in _PYRO_STACK:
        if isinstance(handler, do) and handler._intervener_id == msg.get("_intervener_id"):
            for name, value in (handler.data or {}).items():
                refuse_units(name.replace("/", "."), value, "what do sets it to")


def refuse_random() -> NoReturn:
    """Raise since a model needs a random key."""
    raise ModelError(
        "model",
        "it needs a random key, so its density would be random",
        "Fix the key with numpyro.handlers.seed(model, rng_seed=0), or draw the random "
        "numbers before and pass them as data.",
    )


def refuse_mutable(msg: Message) -> NoReturn:
    """Raise since a model has a state that outlasts a run."""
    raise ModelError(
        own_name(msg),
        "numpyro.mutable carries a state from one run of the model to the next",
        "Pass the state as an argument of the model.",
    )
