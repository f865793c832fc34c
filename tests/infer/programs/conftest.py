"""What tests of programs on disk share."""

from math import inf

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

import infer
from infer.programs import cached, outlined


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for programs, in a process without JAX's own cache."""
    monkeypatch.setattr(cached, "_chosen", [])
    monkeypatch.setattr(cached, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(cached, "LOOK_BYTES", 0)
    # The files of this repository may have been checked out a moment ago.
    monkeypatch.setattr(outlined, "_imported", inf)
    outlined._describe_sources.cache_clear()
    jax_keeps = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield infer.cache(tmp_path / "programs")
    jax.config.update("jax_compilation_cache_dir", jax_keeps)
