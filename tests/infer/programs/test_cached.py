"""Compiled programs are kept on disk, and loaded only if all that they depend on is the same."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.programs import cached, native
from infer.programs.cached import compile_or_load

OPTIONS = {"xla_backend_optimization_level": 0}


def lower(function, *arguments):
    return jax.jit(function).lower(*arguments)


def add(first, second):
    return {"sum": first["x"] + 2 * second}


X, Y = {"x": jnp.arange(3.0)}, jnp.ones(3)


def files(folder):
    return sorted(folder.glob("*.executable"))


def test_a_program_that_was_compiled_before_is_loaded(folder):
    assert not compile_or_load(lower(add, X, Y), OPTIONS).is_loaded
    made, is_loaded = compile_or_load(lower(add, X, Y), OPTIONS)
    assert is_loaded
    np.testing.assert_array_equal(made(X, Y)["sum"], [2.0, 3.0, 4.0])


LOAD = """
import sys, jax, numpy as np
from infer.programs.cached import load_now
jax.config.update("jax_compilation_cache_dir", None)
trees = [jax.tree.structure(tree) for tree in (((0,), {}), 0)]
print(load_now(sys.argv[1], *trees)(np.float32([[4.0]])))
"""


def test_a_process_that_lowers_no_call_of_lapack_may_load_one(folder):
    """It would call the address 0."""
    compile_or_load(lower(jnp.linalg.cholesky, jnp.eye(1, dtype=jnp.float32)), OPTIONS)
    (path,) = files(folder)
    command = [sys.executable, "-c", LOAD, path.name]
    environment = os.environ | {cached.VARIABLE: str(folder)}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "[[2.]]\n"), found.stderr


def test_other_options_and_shapes_are_compiled(folder):
    compile_or_load(lower(add, X, Y), OPTIONS)
    assert not compile_or_load(lower(add, X, Y), {}).is_loaded
    assert not compile_or_load(lower(add, {"x": jnp.ones(4)}, jnp.ones(4)), OPTIONS).is_loaded
    assert len(files(folder)) == 3


def test_programs_that_use_another_argument_are_told_apart(folder):
    """Their texts are equal, since JAX removes the argument that is not used."""
    first, second = lower(lambda a, b: a + 1, Y, 2 * Y), lower(lambda a, b: b + 1, Y, 2 * Y)
    if first.as_text() != second.as_text():
        pytest.skip("this version of JAX writes the arguments into the text")
    compile_or_load(first, OPTIONS)
    made, is_loaded = compile_or_load(second, OPTIONS)
    assert not is_loaded
    np.testing.assert_array_equal(made(Y, 2 * Y), 3.0)


def test_the_types_of_unused_arguments_are_told_apart(folder):
    """An executable checks them when it is called."""
    compile_or_load(lower(lambda a, b: a + 1, Y, X["x"]), OPTIONS)
    made, is_loaded = compile_or_load(lower(lambda a, b: a + 1, Y, jnp.ones(7, int)), OPTIONS)
    assert not is_loaded
    np.testing.assert_array_equal(made(Y, jnp.ones(7, int)), 2.0)


def test_another_processor_or_version_is_another_file(folder, monkeypatch):
    compile_or_load(lower(add, X, Y), OPTIONS)
    monkeypatch.setattr(cached, "_describe_machine", lambda: ("another",))
    assert not compile_or_load(lower(add, X, Y), OPTIONS).is_loaded


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:99] + b"?" + b[100:], bytes.upper]
)
def test_a_damaged_file_is_compiled_again_and_mended(folder, damage):
    compile_or_load(lower(add, X, Y), OPTIONS)
    (path,) = files(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert not compile_or_load(lower(add, X, Y), OPTIONS).is_loaded
    assert compile_or_load(lower(add, X, Y), OPTIONS).is_loaded


def test_the_least_recently_used_files_are_deleted(folder, monkeypatch):
    compile_or_load(lower(add, X, Y), OPTIONS)
    (first,) = files(folder)
    os.utime(first, (1.0, 1.0))
    monkeypatch.setattr(cached, "LIMIT", int(1.5 * first.stat().st_size))
    compile_or_load(lower(add, {"x": jnp.ones(4)}, jnp.ones(4)), OPTIONS)
    assert first not in files(folder)
    assert len(files(folder)) == 1


def test_the_cache_of_jax_goes_first(folder, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "jax"))
    compile_or_load(lower(add, X, Y), OPTIONS)
    assert files(folder) == []


def test_calls_of_python_functions_are_not_kept(folder):
    def call(x):
        return jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    compile_or_load(lower(call, Y), OPTIONS)
    assert files(folder) == []


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(cached, "_chosen", [])
    tmp_path.chmod(0o777)
    assert infer.cache(tmp_path) is None
    assert "others may write" in caplog.text


@pytest.mark.parametrize(("value", "is_on"), [("0", False), ("off", False), ("here", True)])
def test_the_environment_chooses_the_folder(tmp_path, monkeypatch, value, is_on):
    monkeypatch.setattr(cached, "_chosen", [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cached.VARIABLE, value)
    assert (cached.find_folder() is not None) == is_on


def test_a_folder_stays_where_it_was_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(cached, "_chosen", [])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert infer.cache("here") == tmp_path / "here"
    assert infer.cache("~/there") == tmp_path / "there"


def test_a_full_disk_is_no_error(folder, monkeypatch):
    def fail(made):
        raise OSError("no space left")

    monkeypatch.setattr(cached, "serialize", fail)
    made, _ = compile_or_load(lower(add, X, Y), OPTIONS)
    np.testing.assert_array_equal(made(X, Y)["sum"], [2.0, 3.0, 4.0])


def test_a_disk_that_is_full_has_no_more_files(folder, monkeypatch):
    def fail(path, payload):
        with open(path, "wb") as file:
            file.write(payload[:1])
        raise OSError("no space left")

    monkeypatch.setattr(cached.Path, "write_bytes", fail)
    cached.keep("found", 1)
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_deleted(folder, monkeypatch):
    left = folder / f"left{cached.UNFINISHED}"
    left.write_bytes(b"?" * 9)
    os.utime(left, (1.0, 1.0))
    cached.keep("found", 1)
    assert left.exists()
    monkeypatch.setattr(cached, "LIMIT", 40)
    cached.keep("found", 1)
    assert not left.exists()
    assert cached.find_out("found") == 1


def test_two_threads_may_write_the_same_file(folder, monkeypatch):
    """The slower one changes nothing that the other has written."""
    real, found = cached.Path.write_bytes, []

    def write_slowly(path, payload):
        monkeypatch.setattr(cached.Path, "write_bytes", real)
        path.touch()
        cached.keep("found", 2)
        found.append(cached.find_out("found"))
        return real(path, payload)

    monkeypatch.setattr(cached.Path, "write_bytes", write_slowly)
    cached.keep("found", 1)
    assert found == [2]
    assert cached.find_out("found") == 1


def test_a_user_without_a_home_keeps_nothing(caplog, monkeypatch):
    monkeypatch.setattr(cached, "_chosen", [])
    assert infer.cache("~no_such_user/programs") is None
    assert "not kept on disk" in caplog.text


def test_an_unknown_processor_is_that_of_one_machine(monkeypatch):
    monkeypatch.setattr(cached.Path, "read_text", lambda *_: "cpu : unknown\n")
    monkeypatch.setattr(cached.platform, "node", lambda: "here")
    assert cached._processor().endswith("here")


def test_a_sampler_that_was_compiled_before_is_loaded(folder, monkeypatch):
    """And makes the same draws, in a process that has kept no program."""
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0), shape=(2,)))
    options = {"draws": 20, "warmup": 20, "chains": 1, "progress": False}
    drawn = []
    for expected in (1, 0):
        monkeypatch.setattr(native, "_kept", type(native._kept)())
        found = infer.sample(model, infer.HMC(), **options)
        assert found.attrs["compilations"] == expected
        drawn.append(found["posterior"]["x"].values)
    np.testing.assert_array_equal(*drawn)


def test_an_executable_keeps_no_places_of_the_source(folder):
    """They would take a fifth of the time in which it is loaded."""
    lowered = lower(lambda *own: add(*own), X, Y)
    assert __file__ in lowered.as_text(debug_info=True)
    made = compile_or_load(lowered, OPTIONS).call
    assert __file__ not in lowered.as_text(debug_info=True)
    np.testing.assert_array_equal(made(X, Y)["sum"], [2.0, 3.0, 4.0])
