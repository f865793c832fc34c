"""Choose whether programs may be compiled in the native form."""

import os

VARIABLE = "PUSHFORWARD_NATIVE"
OFF = ("0", "off", "false", "no")
TURNED_OFF = f"it is turned off, by infer.native(False) or {VARIABLE}"
_chosen: list[bool] = []


def native(is_on: bool = True) -> bool:
    """Choose whether programs on a CPU may be compiled as one native function.

    By default they are, since chains of small models then take a fraction of the time; the
    environment variable PUSHFORWARD_NATIVE=0 turns this off. Without it, XLA compiles each
    operation by itself, and several chains share a program. Draws are as good, but not the same.

    Args:
        is_on: Whether they may.

    Returns:
        Whether they may from now on.
    """
    _chosen[:] = [bool(is_on)]
    return _chosen[0]


def is_native_allowed() -> bool:
    """Return what was chosen; by default what the environment says."""
    return _chosen[0] if _chosen else os.environ.get(VARIABLE, "").lower() not in OFF
