"""Refuse to run in a child forked from a process that has started JAX: it would hang."""

import os
import sys

from ..errors import RunError

# Threads do not survive a fork, and JAX would wait for its own.
_forked: list[bool] = []


def refuse_if_forked() -> None:
    """Raise in a child that was forked after JAX had started.

    Raises:
        RunError: This process is such a child.
    """
    if _forked:
        raise RunError(
            "process",
            "it was forked after JAX had started; JAX's threads do not survive a fork, so the "
            "first computation would hang",
            'Start it with multiprocessing.get_context("spawn"), or fork before the first use of '
            "JAX.",
        )


def _mark() -> None:
    bridge = sys.modules.get("jax._src.xla_bridge")
    has_started = getattr(bridge, "backends_are_initialized", None)
    if has_started is not None and has_started():
        _forked.append(True)


if hasattr(os, "register_at_fork"):
    # Windows has no fork.
    os.register_at_fork(after_in_child=_mark)
