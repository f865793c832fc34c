"""Refuse NumPyro's primitives in a function that is given `site`."""

from typing import Any

import numpyro
from numpyro.primitives import _PYRO_STACK, Messenger

from ....errors import ModelError

_OURS = {
    "sample": "Write site(name, prior) and site.observe(name, prior, value)",
    "deterministic": "Write site.derive(name, value)",
    "param": "Write site.param(name, constraint)",
    "plate": "Write site.plate(name, size)",
}


class PrimitiveRefusal(Messenger):
    """A handler that refuses messages for which the user has no handler.

    Without it, NumPyro would silently return observed values and drop their densities. The
    function may still run a model of NumPyro under handlers of its own.
    """

    def process_message(self, msg: dict[str, Any]) -> None:
        """Refuse a message unless a handler of the user is around it."""
        around = [h for h in _PYRO_STACK if not isinstance(h, PrimitiveRefusal | numpyro.plate)]
        if around or msg["type"] not in _OURS:
            return
        raise ModelError(
            msg["name"],
            f"numpyro.{msg['type']} is called in a function of `site`, where it has no effect",
            f"{_OURS[msg['type']]}; a function written for NumPyro goes to "
            "infer.from_numpyro(f, y=y).",
        )
