"""NumPyro works after `import infer` even if imported lazily before; TFP is imported on demand."""

import importlib.metadata
import json
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
import infer
"""
BY_ARVIZ = """
import arviz
import numpyro.distributions, infer
"""
USE = """
import numpyro

def model(y):
    numpyro.sample("x", numpyro.distributions.Normal(0.0, 1.0))
    numpyro.factor("y", -y)

infer.log_density(infer.from_numpyro(model, 2.0))
"""
# In the same process, since importing takes seconds.
THEN_TFP = """
import json, sys, warnings
import infer.models.priors.from_tfp, bijectors.translate.tfp
early = [name for name in sys.modules if name.startswith("tensorflow_probability")]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    tfp = bijectors.translate.tfp_import.load_tfp()
import tensorflow_probability.substrates.jax as again
shape = tfp.bijectors.SoftmaxCentered().forward([0.0, 0.0]).shape
print(json.dumps([early, len(caught), again is tfp, shape]))
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def of_tfp():
    early, warned, is_the_same, shape = json.loads(run(LAZILY + USE + THEN_TFP))
    return {"early": early, "warned": warned, "is_the_same": is_the_same, "shape": shape}


def test_a_lazily_imported_numpyro_has_all_its_submodules(of_tfp):
    assert of_tfp


@pytest.mark.skipif(
    importlib.metadata.version("arviz").startswith("0"), reason="ArviZ 0 imports nothing lazily."
)
def test_numpyro_has_all_its_submodules_after_arviz():
    run(BY_ARVIZ + USE)


def test_importing_the_packages_does_not_import_tfp(of_tfp):
    assert of_tfp["early"] == []


def test_the_import_of_tfp_works_without_warnings(of_tfp):
    assert (of_tfp["warned"], of_tfp["is_the_same"], of_tfp["shape"]) == (0, True, [3])
