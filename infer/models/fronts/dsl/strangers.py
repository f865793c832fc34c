"""Refuse a primitive of NumPyro in a model that is no model of NumPyro."""

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


class Strangers(Messenger):
    """A handler that refuses the messages that no other handler is there to answer.

    Without one, NumPyro would return observed values, drop their densities and say nothing. A
    function may still run a model of NumPyro inside under handlers of its own.
    """

    def process_message(self, msg: dict[str, Any]) -> None:
        """Refuse a message, unless handlers of the user's own are around it."""
        around = [h for h in _PYRO_STACK if not isinstance(h, Strangers | numpyro.plate)]
        if around or msg["type"] not in _OURS:
            return
        raise ModelError(
            msg["name"],
            f"numpyro.{msg['type']} is called in a function that is given `site`, which does not "
            "hear of it",
            f"{_OURS[msg['type']]}; a function written for NumPyro goes to "
            "infer.from_numpyro(f, y=y).",
        )
