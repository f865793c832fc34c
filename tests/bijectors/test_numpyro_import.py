"""NumPyro works after `import infer`, even if another library has imported it lazily before."""

import subprocess
import sys

import pytest

# ArviZ 1 does this to NumPyro; with ArviZ 0 installed only this script does.
LAZILY = """
import importlib.util, sys
spec = importlib.util.find_spec("numpyro")
spec.loader = importlib.util.LazyLoader(spec.loader)
sys.modules["numpyro"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["numpyro"])
"""
USE = """
import numpyro

def model(y):
    numpyro.sample("x", numpyro.distributions.Normal(0.0, 1.0))
    numpyro.factor("y", -y)

infer.log_density(infer.from_numpyro(model, 2.0))
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [("import arviz", "import numpyro.distributions, infer"), (LAZILY, "import infer")],
    ids=["arviz", "lazily"],
)
def test_a_lazily_imported_numpyro_has_all_its_submodules(first, second):
    code = "\n".join([first, second, USE])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
