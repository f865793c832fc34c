"""Wall time of a block of code, and the part of it in which JAX traced or compiled."""

import time

import jax

COMPILE = "/jax/core/compile/"


class Clock:
    """Times what runs inside it.

    A second run of some samplers traces and compiles parts again, which is no part of what they
    take once compiled; JAX reports when.

    Attributes:
        found: Seconds of wall time, and of them seconds in which JAX traced or compiled.
    """

    found: tuple[float, float]

    def __enter__(self) -> "Clock":
        self._spans: list[tuple[float, float]] = []
        jax.monitoring.register_event_time_span_listener(self._heard)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._began
        jax.monitoring.unregister_event_time_span_listener(self._heard)
        self.found = seconds, covered(self._spans)

    def _heard(self, event: str, begin: float, end: float, **_: object) -> None:
        if event.startswith(COMPILE):
            self._spans.append((begin, end))


def covered(spans: list[tuple[float, float]]) -> float:
    """Length of a union of intervals: tracing one function may trace another."""
    length, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length
