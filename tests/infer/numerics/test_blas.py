"""BLAS runs on one thread inside the block, and on as many as before afterward."""

import threading

import numpy as np
from threadpoolctl import threadpool_info

from infer.numerics import blas
from infer.numerics.blas import one_blas_thread


def threads():
    np.eye(2) @ np.eye(2)
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


def test_blas_uses_one_thread_inside_the_block_and_as_before_after_it():
    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before


def test_libraries_are_not_sought_in_the_main_thread(monkeypatch):
    """An interrupt reaches the main thread, and callbacks of ctypes lose it."""
    monkeypatch.setattr(blas, "ThreadpoolController", threading.current_thread)
    assert blas._controller.__wrapped__() is not threading.main_thread()
