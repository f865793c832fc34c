"""A part of a package that is postponed is a module like any other once a name is read."""

import importlib
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from bijectors import postponed

INIT = """
import builtins, time
builtins.runs_of_part.append(1)
time.sleep(0.02)
from . import _other
from ._early import early
value, _private = 3, 4
"""


@pytest.fixture
def part(tmp_path, monkeypatch):
    """A package with a part that is postponed; `builtins.runs_of_part` counts its runs."""
    package = tmp_path / "postponing"
    (package / "part").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import part\nfrom .part import early\n")
    (package / "part" / "__init__.py").write_text(INIT)
    (package / "part" / "_early.py").write_text("def early(): return 1\n")
    (package / "part" / "_other.py").write_text(
        "from postponing import part\nis_there = hasattr(part, 'value')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("builtins.runs_of_part", [], raising=False)
    monkeypatch.setitem(postponed.PARTS, "postponing.part", {"early": "_early"})
    monkeypatch.setattr(sys, "meta_path", [postponed._Finder(), *sys.meta_path])
    yield importlib.import_module("postponing").part
    for name in [name for name in sys.modules if name.split(".")[0] == "postponing"]:
        del sys.modules[name]


def count_runs():
    return len(sys.modules["builtins"].__dict__["runs_of_part"])


def test_a_part_runs_once_when_a_name_is_read_first(part):
    assert part.early() == 1
    assert not hasattr(part, "__wrapped__")
    assert count_runs() == 0
    assert part.value == 3
    assert "value" in dir(part)
    assert count_runs() == 1
    assert type(part) is ModuleType
    assert type(part.__spec__.loader) is not postponed._Postponing
    with pytest.raises(AttributeError, match="'postponing.part' has no attribute 'missing'"):
        _ = part.missing
    assert not part._other.is_there


def test_no_finder_stays_once_equinox_is_imported():
    code = (
        "import sys\n"
        "before = list(sys.meta_path)\n"
        "import bijectors\n"
        "assert sys.meta_path == before and 'equinox' not in sys.modules\n"
        "bijectors.Positive\n"
        "assert sys.meta_path == before and 'equinox.nn._linear' not in sys.modules\n"
        "import equinox\n"
        "assert equinox.nn.Linear.__module__ == 'equinox.nn._linear'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_list_of_finders_may_be_another_after_the_import(monkeypatch):
    others = list(sys.meta_path)
    monkeypatch.setattr(sys, "meta_path", list(others))
    monkeypatch.delitem(sys.modules, "equinox")
    monkeypatch.setattr(postponed, "import_module", lambda _: setattr(sys, "meta_path", others))
    postponed.import_equinox()
    assert sys.meta_path is others


def test_a_missing_name_runs_a_part_and_is_an_error(part):
    with pytest.raises(AttributeError, match="'postponing.part' has no attribute 'missing'"):
        _ = part.missing
    assert count_runs() == 1


def test_all_public_names_of_a_part_can_be_imported(part):
    found = {}
    exec("from postponing.part import *", found)
    assert found["value"] == 3
    assert pickle.loads(pickle.dumps(found["early"])) is part.early


def test_threads_wait_for_the_run_of_a_part(part):
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: part.value, range(4))) == [3] * 4
    assert count_runs() == 1


def test_a_part_whose_file_fails_runs_again(part, monkeypatch):
    monkeypatch.delattr("builtins.runs_of_part")
    with pytest.raises(AttributeError, match="runs_of_part"):
        _ = part.value
    monkeypatch.setattr("builtins.runs_of_part", [], raising=False)
    assert part.value == 3
