"""Every extra is resolved on every Python, and one that is not makes the command fail."""

import subprocess
import tomllib

from . import extras


def test_the_command_tells_which_extra_has_no_versions(monkeypatch, capsys):
    asked = []

    def answer(python, extra):
        asked.append((python, extra))
        fails = (python, extra) == ("3.12", "tfp")
        return subprocess.CompletedProcess((), int(fails), "" if fails else "a==1\nb==2\n", "why\n")

    monkeypatch.setattr(extras, "resolve", answer)
    assert extras.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["extra", "3.11", "3.12", "3.13"]
    assert ["tfp", "2", "-", "2"] in [line.split() for line in lines]
    assert lines[-1] == "why"
    project = tomllib.loads(extras.PYPROJECT.read_text())["project"]
    named = project["optional-dependencies"]
    assert sorted(asked) == sorted((v, e) for v in ("3.11", "3.12", "3.13") for e in named)
