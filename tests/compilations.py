"""List the programs that XLA compiles while a test runs."""

import threading

import jax


def list_compilations(*, own_thread: bool = False) -> list[str]:
    """Return a list that grows by one event whenever XLA compiles a program, from now on.

    A run compiles in threads of its own, some of which outlive the call that began them.
    For a claim about the caller alone, `own_thread` leaves out what other threads compile.
    """
    events: list[str] = []
    caller = threading.get_ident()

    def record(event: str, duration_secs: float, **_: object) -> None:
        if "backend_compile" in event and not (own_thread and threading.get_ident() != caller):
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(record)
    return events
