"""Parameters of NumPyro, which have an initial value instead of a shape."""

from typing import Any

import jax

from bijectors.base import Shape

from ....errors import ModelError
from ...inputs.units import refuse_units_inside
from .scan import Message


def find_initial_shape(msg: Message, name: str) -> Shape:
    """Return the shape of the initial value of a parameter, which is not computed.

    Args:
        msg: The message of `numpyro.param`.
        name: The parameter, for errors.

    Raises:
        ModelError: The initial value has units, or is not one array.
    """

    def make() -> Any:
        value = msg["fn"](*msg["args"], **msg["kwargs"])
        refuse_units_inside(name, value, "its initial value")
        return value

    initial = jax.eval_shape(make)
    if not isinstance(initial, jax.ShapeDtypeStruct):
        raise ModelError(
            name,
            "the value of numpyro.param is not an array, but the weights of a module or None",
            "Declare each weight by numpyro.sample with a prior, or fix them all with "
            f"numpyro.handlers.substitute(model, data={{{name!r}: weights}}).",
        )
    return initial.shape
