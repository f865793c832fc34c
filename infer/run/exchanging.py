"""Processes that have chains of their own and store them exchange these between blocks.

An interrupt that reaches one of them stops all, after the same exchange.
"""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from .progress import Progress


def collect_together(run: Any, draws: int, bar: Progress) -> None:
    """Run blocks until every chain of all processes has `draws` draws in the present window.

    Args:
        run: The run; `after_block` is called after each exchange, by all processes.
        draws: Number of draws.
        bar: Notified after each block.

    Raises:
        KeyboardInterrupt: This process or another one was interrupted.
    """
    pace, is_interrupted = run.places.pace, False
    while True:
        made = min(int(own.drawn.min()) for own in run.warmup.active)
        stretch = min(pace.draws, run.most_ahead or draws)
        aim = min(made + _agree(run.places.processes, stretch, is_interrupted), draws)
        if made >= draws:
            return
        began = time.monotonic()
        run.places.begin(run.warmup)
        try:
            run.run_blocks(aim, draws, bar)
        except KeyboardInterrupt:
            is_interrupted = True
        is_interrupted |= _finish(lambda: _exchange(run))
        pace.update(aim - made, time.monotonic() - began)


def _agree(processes: Any, stretch: int, is_interrupted: bool) -> int:
    """Return the number of draws until the next exchange, which the first process decides.

    Raises:
        KeyboardInterrupt: A process was interrupted.
    """
    told = [int(own) for own in processes.tell(b"0" if is_interrupted else b"%d" % stretch)]
    if not all(told):
        raise KeyboardInterrupt
    return told[0]


def _exchange(run: Any) -> None:
    run.places.exchange(run.warmup)
    run.after_block(run)


def _finish(call: Callable[[], None]) -> bool:
    """Make a call to its end; return whether it was interrupted. A second interrupt is raised."""
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    # Other handlers are not ours to replace, and only the main thread is interrupted.
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        call()
        return False
    signal.signal(signal.SIGINT, note)
    try:
        call()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return bool(noted)
