"""Measure the wall time of a block of code, and the part in which JAX traced or compiled."""

import sys
import time
from typing import Any

COMPILE = "/jax/core/compile/"


class Clock:
    """Times what runs inside it.

    In a second run, some samplers trace and compile parts again. That is not part of the cost of
    a compiled sampler, so it is measured separately, from the events that JAX reports. A process
    that has not imported JAX is not made to.

    Attributes:
        found: Seconds of wall time, and the part of them in which JAX traced or compiled.
    """

    found: tuple[float, float]

    def __enter__(self) -> "Clock":
        self._spans: list[tuple[float, float]] = []
        self._jax: Any = sys.modules.get("jax")
        if self._jax is not None:
            self._jax.monitoring.register_event_time_span_listener(self._heard)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._began
        if self._jax is not None:
            self._jax.monitoring.unregister_event_time_span_listener(self._heard)
        self.found = seconds, covered(self._spans)

    def _heard(self, event: str, start_time: float, end_time: float, **_: object) -> None:
        if event.startswith(COMPILE):
            self._spans.append((start_time, end_time))


def covered(spans: list[tuple[float, float]]) -> float:
    """Return the length of a union of intervals; they overlap, as tracing nests."""
    length, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length
