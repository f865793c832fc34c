"""An interrupt of one process that shares chains stops all of them, after the same exchange."""

import os
import signal
import time

import pytest

from infer.run import exchanging
from infer.run.processes import Processes

from .in_threads import call_on_two


def test_an_interrupt_waits_for_an_exchange_that_has_begun():
    ended = []

    def exchange():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        ended.append(True)

    assert exchanging._finish(exchange)
    assert ended == [True]
    assert not exchanging._finish(lambda: None)


def test_a_second_interrupt_gives_up_an_exchange_without_an_answer():
    def exchange():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        exchanging._finish(exchange)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_an_exchange_is_raised():
    with pytest.raises(OSError, match="lost"):
        exchanging._finish(lambda: (_ for _ in ()).throw(OSError("lost")))


@pytest.mark.parametrize("who", [0, 1])
def test_an_interrupt_of_one_process_is_raised_by_all(monkeypatch, who):
    heard = [[], []]

    def call(index):
        for number in (3, 4):
            is_interrupted = number == 4 and index == who
            heard[index].append(
                exchanging._agree(Processes(2, index), number + index, is_interrupted)
            )

    errors = call_on_two(monkeypatch, call)
    assert [type(own) for own in errors] == [KeyboardInterrupt] * 2
    assert heard == [[3], [3]]
