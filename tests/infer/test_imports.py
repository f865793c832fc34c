"""What `import infer` brings, and what is imported only when it is used."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import bijectors
import infer

# A call of `sample` for a model without distributions, apart from what ArviZ 0.x and dask import.
DECLARED = """
import json, os, sys
import jax
if not os.fork():
    sys.modules["dask"] = None
    import bijectors, infer
    from infer.output.data import versions
    versions.HAS_DATA_TREE = True
    density = lambda values: -(values["x"] ** 2).sum()
    infer.sample(infer.declared(density, {"x": bijectors.Positive(shape=(3,))}), draws=9)
    print(json.dumps(sorted(sys.modules)), flush=True)
    os._exit(0)
assert os.wait()[1] == 0
"""
STEPS = """
import numpyro
print_new, known = [], set(sys.modules)
def note(whole=False):
    global known
    found, known = set(sys.modules) - known, set(sys.modules)
    print_new.append(sorted(found if whole else {name.split(".")[0] for name in found}))
import bijectors; note()
bijectors.RULES; note()
import infer; note()
infer.model, infer.from_numpyro, infer.HMC, infer.NUTS; note()
infer.sample; note(whole=True)
Normal, Gamma = numpyro.distributions.Normal(), numpyro.distributions.Gamma(2.0, 2.0)
infer.log_density(infer.model(lambda site: (site("x", Normal), site("y", Gamma))))
print_new.append(sorted(sys.modules))
infer.fit, infer.maximize; note()
print(json.dumps([print_new, sorted(known)]))
"""
NAMES = "the face of bijectors", "bijectors", "infer", "model", "sample", "density", "call"


@pytest.fixture(scope="module")
def brought():
    """Modules that each step of a program brings, beyond those of jax and numpyro."""
    code = DECLARED + STEPS
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    declared, (steps, known) = map(json.loads, done.stdout.splitlines())
    return dict(zip(NAMES, steps, strict=True)) | {"declared": declared}, known


def test_the_version_alone_imports_no_jax():
    code = "import sys, infer; print(infer.__version__, 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [infer.__version__, "False"]


def test_bijectors_need_jax_and_equinox_alone(brought):
    ours = {name for name in brought[0]["bijectors"] if name not in sys.stdlib_module_names}
    assert ours <= {
        "bijectors",
        "equinox",
        "jax",
        "jaxtyping",
        "wadler_lindig",
        "typing_extensions",
    }


def test_the_face_alone_imports_nothing_else(brought):
    of_ours = set(brought[0]["the face of bijectors"]) - sys.stdlib_module_names
    assert of_ours <= {"bijectors", "lazy_loader"}
    assert set(brought[0]["infer"]) <= {"infer"}


def test_a_model_and_a_sampler_bring_neither_results_nor_optimizers(brought):
    new = set(brought[0]["model"])
    assert not new & {"arviz", "xarray", "pandas", "matplotlib", "optax", "scipy", "zarr"}


def test_a_call_of_sample_brings_neither_fits_nor_stores_nor_other_engines(brought):
    new = brought[0]["sample"]
    heavy = ("optax", "zarr", "blackjax", "infer.numerics.families", "infer.output.stored.run",
             "infer.store", "infer.output.predictive.rowwise", "infer.density.explanation",
             "infer.programs.row_noise")  # fmt: skip
    assert "infer.output.sample" in new
    assert not [name for name in new if name.startswith(heavy)]
    engines = {name.split(".")[2] for name in new if name.startswith("infer.engines.")}
    assert engines <= {"asking", "base", "hmc", "together"}


def test_a_model_without_distributions_brings_neither_numpyro_nor_scipy(brought):
    packages = {name.split(".")[0] for name in brought[0]["declared"]}
    assert "xarray" in packages
    assert not [name for name in brought[0]["declared"] if name.startswith("jax._src.pallas")]
    assert not packages & {"numpyro", "scipy", "arviz", "matplotlib", "optax", "zarr", "tqdm"}


def test_what_few_models_need_is_imported_by_those(brought):
    rare = ("bijectors.translate.tfp", "bijectors.testing", "bijectors.maps.box_cox",
            "infer.models.graph.", "infer.models.changes.condition",
            "infer.models.changes.do")  # fmt: skip
    assert not [name for name in brought[1] if name.startswith(rare)]


def test_arviz_and_matplotlib_are_imported_when_a_result_is_made(brought):
    assert not set(brought[1]) & {
        "arviz",
        "matplotlib",
        "blackjax",
        "zarr",
        "tensorflow_probability",
    }


@pytest.mark.parametrize("package", [bijectors, infer])
def test_each_name_of_the_face_is_there(package):
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    names = [str(alias.asname) for node in stub.body if isinstance(node, ast.ImportFrom)
             for alias in node.names]  # fmt: skip
    assert sorted(names) == sorted(package.__all__)
    for name in names:
        found = getattr(package, name)
        if isinstance(found, type | FunctionType | ModuleType):
            assert found.__name__.removeprefix("infer.") == name


def test_the_face_of_bijectors_has_every_set_and_map_of_the_table():
    for file in importlib.import_module("bijectors.table").FILES:
        rows = importlib.import_module(f"bijectors.rows.{file}")
        named = {name for name, found in vars(rows).items() if isinstance(found, type)}
        assert named <= set(bijectors.__all__)


def test_a_model_of_numbers_imports_their_sets_alone(brought):
    sets = {name.split(".")[2] for name in brought[0]["density"] if "bijectors.sets." in name}
    assert sets <= {"real", "positive", "nonnegative", "discrete"}


def test_parts_of_equinox_that_are_not_needed_are_not_run(brought):
    unread = "equinox.nn.", "equinox.internal.", "equinox.debug."
    found = [name for name in brought[0]["density"] if name.startswith(unread)]
    assert found == ["equinox.nn._inference"]


@pytest.mark.slow
def test_threads_may_use_public_names_first_at_the_same_time():
    code = (
        "import infer, threading\n"
        "failed = []\n"
        "threading.excepthook = failed.append\n"
        "ts = [threading.Thread(target=getattr, args=(infer, n)) for n in infer.__all__]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]\n"
        "assert not failed, failed[0].exc_value"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
