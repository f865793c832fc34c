"""Double precision everywhere, and shapes in signatures checked while tests run."""

import gc
import os
import signal
import sys
from pathlib import Path

import jax
import jaxlib
import pytest

from . import checked, contexts

# `make test-all` compiles as a user's process does.
AS_RELEASED = bool(os.environ.get("TESTS_COMPILE_AS_RELEASED"))
# Nearly all the time goes into compiling small programs, and these halve it. Flags of the user's
# own come last, so they win.
QUICK_TO_COMPILE = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if jaxlib.version.__version_info__ < (0, 11):
    # These emitters recompute a product in each of its uses, and may round it differently if one of
    # the uses is contracted to a fused multiply-add: AVX has none.
    QUICK_TO_COMPILE += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_max_isa=AVX"]
if not AS_RELEASED:
    contexts.install()
    os.environ["XLA_FLAGS"] = " ".join([*QUICK_TO_COMPILE, os.environ.get("XLA_FLAGS", "")])

# A shell lets what it runs in the background ignore Ctrl-C, which tests send to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests keep no programs in the folder of the user.
os.environ["PUSHFORWARD_CACHE"] = "0"
jax.config.update("jax_enable_x64", True)
# Programs compiled by an earlier run, or by another worker of this one, are read from disk.
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    folder = Path(__file__).parents[1] / ".pytest_cache" / "jax"
    jax.config.update("jax_compilation_cache_dir", str(folder))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
checked.install()
# Tracing and imports make millions of objects, and few cycles among them.
gc.set_threshold(100_000, 20, 20)


def pytest_configure(config):
    """Fail if a sound model is warned of; here, since the hook must come before the import."""
    # The process that only hands out tests to workers imports nothing.
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    from infer.programs import marked

    if not AS_RELEASED:
        marked.NATIVE_OPTIONS.update(marked.FAST_COMPILE)
    config.addinivalue_line("filterwarnings", "error::infer.ModelWarning")


@pytest.fixture
def compiled_as_released(monkeypatch):
    """Optimize native loops as users do, for tests whose runs take longer than compiling them."""
    from infer.programs import marked

    monkeypatch.setattr(marked, "NATIVE_OPTIONS", marked.GENERATION | marked.WITHOUT_LIBRARY)


def pytest_collection_modifyitems(items):
    """Begin with the files that run scripts or start processes of their own: they take longest."""
    items.sort(key=lambda item: vars(item.module).keys().isdisjoint({"subprocess", "run_script"}))


def pytest_collection_finish():
    """Look for no garbage among what has been imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_search_is_a_repeated_one():
    """Forget how often searches for modes ran, since the third one of a model is compiled.

    Its last digits differ, and a test must not depend on the tests before it in its process.
    """
    if stepped := sys.modules.get("infer.run.stepped"):
        stepped._runs.clear()


@pytest.fixture(autouse=True)
def native_form_stays_on():
    """Fail the test that finds the native form wrong, or leaves it off for the tests after it."""
    yield
    switch = sys.modules.get("infer.programs.switch")
    if switch is None:
        return
    left = switch._chosen.copy()
    switch._chosen.clear()
    assert left != [False], "the native form was turned off, by the test or by the self-check"
