"""Traced programs are described exactly, or not at all; what was compiled from one is recalled."""

import subprocess
import sys
from types import ModuleType

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.random import define_prng_impl, threefry_prng_impl

from infer.programs import native, recalled
from infer.programs.described import describe_program

X = jax.ShapeDtypeStruct((3,), np.float64)


def describe(function, *arguments):
    return describe_program(jax.make_jaxpr(function)(*arguments or (X,)))


def body(scale, unroll=1, turn=jnp.sin):
    def walk(x):
        step = lambda c, _: (turn(c) * scale, c.sum())  # noqa: E731
        ends, sums = jax.lax.scan(step, x, length=4, unroll=unroll)
        return jax.lax.cond(sums[0] > 0, lambda a: a, lambda a: -a, ends)

    return walk


def marked(x):
    with set_xla_metadata(mark="1"):
        return x + 1.0


OTHERS = {
    "another literal": body(2.5),
    "another constant": body(np.arange(3.0) + 1e-12),
    "a constant": body(np.arange(3.0)),
    "another parameter": body(2.0, 2),
    "another operation": body(2.0, 1, jnp.cos),
    "order": lambda x: (x - x[::-1]) * 2.0,
    "the other order": lambda x: (x[::-1] - x) * 2.0,
    "one axis": lambda x: x.reshape(3, 1).sum(0),
    "the other axis": lambda x: x.reshape(3, 1).sum(1),
    "no mark": lambda x: x + 1.0,
    "a mark": marked,
    "random numbers": lambda x: x + jax.random.normal(jax.random.key(1), (3,)),
    "another generator": lambda x: x + jax.random.normal(jax.random.key(1, impl="rbg"), (3,)),
    "both results": lambda x: (x, x),
    "added by index": lambda x: x.at[np.array([0, 9])].add(1.0, mode="drop"),
    "added elsewhere": lambda x: x.at[np.array([0, 9])].add(1.0, mode="clip"),
}


def test_the_same_program_has_the_same_description_and_others_have_others():
    assert describe(body(2.0)) == describe(body(2.0))
    found = [describe(function) for function in (body(2.0), *OTHERS.values())]
    assert None not in found
    assert len(set(found)) == len(found)


def test_types_of_arguments_are_described_used_or_not():
    first = lambda x, y: x + 1.0  # noqa: E731
    second = lambda x, y: y + 1.0  # noqa: E731
    single = jax.ShapeDtypeStruct((3,), np.float32)
    found = [describe(first, X, X), describe(second, X, X), describe(first, X, single)]
    assert len({*found, describe(first, X, 1.0), describe(first, X, np.float64(1.0))}) == 5


def test_what_another_process_may_do_differently_is_not_described():
    def of_python(x):
        return jax.pure_callback(lambda a: a, X, x)

    def printing(x):
        jax.debug.print("{}", x)
        return x

    own = jax.extend.core.Primitive("sin")
    own.def_abstract_eval(lambda x: x)
    assert [describe(f) for f in (of_python, printing, own.bind)] == [None] * 3
    derived = jax.custom_jvp(jnp.sin)
    derived.defjvp(lambda x, t: (jnp.sin(x[0]), t[0]))
    assert describe(derived) is not None


def test_keys_of_a_generator_that_is_not_of_jax_are_not_described():
    own = threefry_prng_impl
    named = {name: getattr(own, name) for name in ("key_shape", "seed", "split", "fold_in", "name")}
    other = define_prng_impl(**named, random_bits=lambda *a: own.random_bits(*a) + 1, tag="fry")
    keys = jax.random.key(1), jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32), impl=other)
    found = [describe(lambda key: jax.random.bits(key, (3,)), key) for key in keys]
    assert found[0] is not None
    assert found[1] is None


def test_modules_may_be_imported_while_operations_are_looked_up(monkeypatch):
    class Importing(ModuleType):
        def __getattr__(self, name):
            monkeypatch.setitem(sys.modules, f"imported_for_{name}", self)
            raise AttributeError(name)

    monkeypatch.setitem(sys.modules, "jax._src.importing", Importing("importing"))
    monkeypatch.setitem(sys.modules, "jax._src.importing_too", Importing("importing_too"))
    own = jax.extend.core.Primitive("not_of_jax")
    own.def_abstract_eval(lambda x: x)
    assert describe(own.bind) is None


@pytest.mark.slow
def test_a_description_is_the_same_in_another_process():
    code = (
        "import jax; jax.config.update('jax_enable_x64', True)\n"
        "from tests.infer.programs.test_described import OTHERS, describe\n"
        "print([describe(f) for f in OTHERS.values()])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([describe(f) for f in OTHERS.values()])


def double(x):
    return {"twice": 2.0 * x["x"]}


def count_up():
    return jnp.arange(3.0)


def compile_anew(monkeypatch, form):
    monkeypatch.setattr(native, "_kept", type(native._kept)())
    return native.compile_program(double, (), ({"x": jnp.arange(3.0)},), form)[0]


@pytest.mark.parametrize("form", ["native", "kernels", "fast_compile"])
def test_a_program_is_recalled_without_lowering(folder, monkeypatch, form):
    first = compile_anew(monkeypatch, form)
    monkeypatch.setattr(jax.stages.Traced, "lower", None)
    again = compile_anew(monkeypatch, form)
    assert (first.is_loaded, again.is_loaded) == (False, True)
    assert (again.is_native, again.rewritten) == (first.is_native, first.rewritten)
    np.testing.assert_array_equal(again.call({"x": jnp.arange(3.0)})["twice"], [0.0, 2.0, 4.0])


@pytest.mark.parametrize("form", ["native", "kernels", "fast_compile"])
def test_a_program_without_arguments_is_recalled(folder, monkeypatch, form):
    for is_loaded in (False, True):
        monkeypatch.setattr(native, "_kept", type(native._kept)())
        made = native.compile_program(count_up, (), (), form)[0]
        assert made.is_loaded == is_loaded
        np.testing.assert_array_equal(made.call(), [0.0, 1.0, 2.0])


def test_a_damaged_program_is_compiled_again_after_its_thread(folder, monkeypatch):
    compile_anew(monkeypatch, "kernels")
    for is_loaded in (False, True):
        (file,) = folder.glob("*.executable")
        file.write_bytes(file.read_bytes() + b" " * (not is_loaded))
        monkeypatch.setattr(native, "_kept", type(native._kept)())
        asked = double, (), ({"x": jnp.arange(3.0)},), "kernels"
        native.prepare(*asked)
        made, is_new = native.compile_program(*asked)
        assert (is_new, made.is_loaded) == (True, is_loaded)
        np.testing.assert_array_equal(made.call(*asked[2])["twice"], [0.0, 2.0, 4.0])


def test_without_sources_no_program_is_recalled_by_its_trace(folder, monkeypatch):
    assert recalled.describe_trace(jax.jit(double).trace({"x": X}), "kernels")
    monkeypatch.setattr(recalled, "SOURCES", (*recalled.SOURCES, "elsewhere/*.py"))
    recalled._hash_sources.cache_clear()
    assert recalled.describe_trace(jax.jit(double).trace({"x": X}), "kernels") is None
    recalled._hash_sources.cache_clear()


@pytest.mark.parametrize("part", ["describe_settings", "_hash_sources"])
def test_other_settings_and_sources_are_compiled(folder, monkeypatch, part):
    compile_anew(monkeypatch, "kernels")
    monkeypatch.setattr(f"infer.programs.recalled.{part}", lambda: "another")
    assert not compile_anew(monkeypatch, "kernels").is_loaded
