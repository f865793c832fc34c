"""`python -m infer` describes the installation and tests it."""

import tomllib
from pathlib import Path

import pytest

import infer
from infer.output import self_test

ROOT = Path(__file__).parents[3]


def test_versions_devices_and_settings_are_described(monkeypatch):
    monkeypatch.setenv("PUSHFORWARD_EXAMPLE", "7")
    described = dict(self_test.describe_installation())
    assert described["pushforward"] == infer.__version__
    assert {"python", "jax", "arviz", "devices", "native form", "PUSHFORWARD_EXAMPLE"} <= set(
        described
    )
    assert described["compiled programs"] == "not kept on disk"


def test_a_failing_test_is_reported_and_sets_the_exit_status(monkeypatch, capsys):
    def fail(_):
        raise ValueError("no such symbol")

    monkeypatch.setattr(self_test, "_sample", fail)
    monkeypatch.setattr(self_test, "_fit", lambda _: (0.5, ""))
    monkeypatch.setattr(self_test, "_maximize", lambda _: (0.01, ""))
    assert self_test.main() == 1
    printed = capsys.readouterr().out
    assert "FAILED: ValueError: no such symbol" in printed
    assert "FAILED: off by 0.500" in printed
    assert "ok: off by 0.010" in printed


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.slow
def test_a_sound_installation_passes(capsys):
    assert self_test.main() == 0
    assert capsys.readouterr().out.count(" ok: off by ") == 3
