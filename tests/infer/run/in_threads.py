"""Two threads that take the part of processes, which give each other what they have."""

from threading import Barrier, Thread, current_thread

from infer.run import processes


class Killed(BaseException):
    """The end of a process, of which it says nothing."""


def call_on_two(monkeypatch, call):
    """Call a function with 0 and with 1, in two threads; return what each raised.

    If one is killed, the other finds out when it waits for it.
    """
    given, barrier, errors = [None, None], Barrier(2), [None, None]

    def run(index):
        try:
            call(index)
        except Killed as error:
            errors[index] = error
            barrier.abort()
        except BaseException as error:
            errors[index] = error

    def gather(data):
        index = threads.index(current_thread())
        given[index] = data
        barrier.wait(10)
        every = list(given)
        barrier.wait(10)
        return every

    threads = [Thread(target=run, args=(index,)) for index in range(2)]
    monkeypatch.setattr(processes, "gather", gather)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
