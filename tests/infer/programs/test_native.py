"""Rarely called programs are compiled with the fastest compile."""

import time
from collections import OrderedDict
from functools import partial
from math import inf

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax.linalg import triangular_solve

from infer.programs import forms, marked, native
from infer.programs.cached import compile_or_load
from infer.programs.marked import compile_natively, mark_as_native
from infer.programs.native import CompiledProgram, compile_program
from infer.programs.work import count_work


@pytest.mark.parametrize(
    ("function", "arguments", "numbers"),
    [
        (lambda x: jnp.sin(x) + x, (np.ones(5),), 2 * 5),
        (lambda a, b: a @ b, (np.ones((3, 4)), np.ones((4, 5))), 3 * 4 * 5),
        (lambda x: jax.lax.map(jnp.sin, x), (np.ones((7, 5)),), 7 * 5),
        (lambda x: jax.lax.map(lambda y: jax.lax.map(jnp.sin, y), x), (np.ones((7, 5)),), 7 * 5),
        (jax.jit(lambda x: x + 1), (np.ones(5),), 5),
        (lambda x: jax.lax.while_loop(lambda x: x[0] < 9, jnp.exp, x), (np.ones(5),), inf),
        (partial(triangular_solve, left_side=True), (np.eye(6), np.ones((6, 4))), 6 * 6 * 4),
    ],
)
def test_work_is_counted_without_compiling(function, arguments, numbers):
    assert count_work(jax.make_jaxpr(function)(*arguments)) == numbers


@pytest.mark.parametrize("count", [5, 100])
def test_only_programs_with_little_work_get_the_fast_compile(count, monkeypatch):
    monkeypatch.setattr(forms, "FAST_COMPILE_WORK", 100)

    def function(x):
        return jnp.cumsum(jnp.sin(x[0]) * jnp.ones(count))[:3]

    made, _ = compile_program(function, (), (np.array([0.5]),), "fast_compile")
    assert isinstance(made, CompiledProgram)
    assert made.is_native == (count == 5)
    expected = np.sin(0.5) * np.arange(1, 4)
    np.testing.assert_allclose(made.call(np.array([0.5])), expected, rtol=1e-6)


def test_a_brief_loop_gets_the_fast_compile_if_its_turns_do_little_work(monkeypatch):
    fast = []
    compile_it = native.compile_natively

    def note(lowered, is_fast, *rest):
        fast.append(is_fast)
        return compile_it(lowered, is_fast, *rest)

    monkeypatch.setattr(native, "compile_natively", note)
    monkeypatch.setattr(forms, "BRIEF_WORK", 50)

    def function(x):
        return jax.lax.while_loop(lambda x: x[0] < 9, lambda x: x + jnp.exp(0 * x), x)

    wanted: list[tuple[native.Form, int]] = [("brief", 5), ("brief", 100), ("native", 5)]
    for form, count in wanted:
        made, _ = compile_program(function, (), (np.zeros(count),), form)
        assert isinstance(made, CompiledProgram)
        assert made.is_native
        np.testing.assert_allclose(made.call(np.zeros(count)), 9.0)
    assert fast == [True, False, False]


def largest_first(x):
    """XLA calls a library for it."""
    return jax.lax.top_k(x, 2)[0]


def test_either_form_is_native_if_there_is_a_native_one():
    for function, is_native in [(jnp.exp, True), (largest_first, False)]:
        made, _ = compile_program(function, (), (np.array([2.0, 1.0]),), "either")
        assert isinstance(made, CompiledProgram)
        assert made.is_native == is_native
        np.testing.assert_allclose(made.call(np.array([2.0, 1.0])), function(np.array([2.0, 1.0])))


@pytest.mark.parametrize("form", ["native", "brief"])
def test_a_required_native_form_is_refused_if_there_is_none(form):
    made, _ = compile_program(largest_first, (), (np.array([2.0, 1.0]),), form)
    assert not isinstance(made, CompiledProgram)


def repeat_lgamma(x):
    return jax.lax.scan(lambda y, _: (jax.lax.lgamma(y), ()), x, length=3)[0]


def sum_rows(x):
    return jax.lax.map(jnp.sum, x)


@pytest.mark.parametrize("form", ["native", "fast_compile"])
@pytest.mark.parametrize(
    # The rows have 256 KiB, as those of four starts at 8192 coordinates.
    ("function", "shape"),
    [(repeat_lgamma, 3000), (sum_rows, (2, 2**15))],
)
def test_large_operations_of_loops_are_native_too(function, shape, form):
    """Before jaxlib 0.11, XLA would divide the only result of a turn, or the copy of its row."""
    x = np.full(shape, 5.0)
    with jax.enable_x64(True):
        made, _ = compile_program(function, (), (x,), form)
        assert isinstance(made, CompiledProgram)
        assert made.is_native
        np.testing.assert_allclose(made.call(x), jax.jit(function)(x))


def test_programs_without_native_form_are_compiled_kernel_by_kernel():
    made, _ = compile_program(largest_first, (), (np.array([2.0, 1.0]),), "fast_compile")
    assert isinstance(made, CompiledProgram)
    assert not made.is_native
    np.testing.assert_array_equal(made.call(np.array([1.0, 2.0])), [2.0, 1.0])


def test_programs_that_xla_refuses_natively_are_compiled_kernel_by_kernel(monkeypatch):
    def refuse(*_):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no such thunk")

    monkeypatch.setattr(native, "compile_natively", refuse)
    made, _ = compile_program(lambda x: jnp.expm1(x), (), (np.ones(3),), "fast_compile")
    assert isinstance(made, CompiledProgram)
    assert not made.is_native
    np.testing.assert_allclose(made.call(np.ones(3)), np.expm1(np.ones(3)), rtol=1e-6)


def test_only_the_option_that_xla_does_not_know_is_left_out(monkeypatch):
    options = {"xla_unheard_of": True} | marked.UNDIVIDED
    asked = []

    def note(lowered, given, described=None):
        asked.append(given)
        return compile_or_load(lowered, given, described)

    monkeypatch.setattr(marked, "choose_native_options", lambda is_fast: options)
    monkeypatch.setattr(marked, "compile_or_load", note)
    program = jax.jit(lambda x: x + 1).trace(np.ones(3))
    compiled = compile_natively(mark_as_native(program).lower(np.ones(3)), is_fast=True)
    np.testing.assert_array_equal(compiled.call(np.ones(3)), 2)
    assert asked == [options, marked.UNDIVIDED]


def test_xla_still_knows_the_mark_of_the_native_form():
    """If XLA drops it, the mark means nothing, and this compiles; see docs/native.md."""
    program = jax.jit(largest_first).trace(np.ones(3))
    with pytest.raises(jax.errors.JaxRuntimeError):
        compile_natively(mark_as_native(program).lower(np.ones(3)), is_fast=True)


def test_a_failure_in_the_thread_is_not_kept(monkeypatch):
    def raise_memory_error():
        raise MemoryError

    monkeypatch.setattr(native, "_kept", OrderedDict())
    monkeypatch.setattr(native, "_trace", lambda *_: raise_memory_error)
    native.prepare(jnp.sinh, (), (np.ones(7),), "kernels")
    wait_until(lambda: not native._kept)
    monkeypatch.undo()
    made, _ = native.compile_program(jnp.sinh, (), (np.ones(7),), "kernels")
    assert isinstance(made, CompiledProgram)


def wait_until(holds):
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holds()
