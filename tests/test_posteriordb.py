"""Real models reach their reference posteriors, where a tree of them is at hand.

The tree is named by POSTERIORDB, or lies in shared/posteriordb beside the repository; with
it comes the checker, whose false-alarm rate is 1e-4 a posterior.
"""

import importlib.util
import os
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
TREE = Path(os.environ.get("POSTERIORDB", HERE.parent / "shared" / "posteriordb"))
# Each set of the catalogue occurs, and two models, one of them hierarchical.
QUICK = [
    "Rate_2_data-Rate_2_model",
    "exact-bounds",
    "exact-dirichlet_batch",
    "exact-lkj4",
    "exact-ordered_normal",
    "exact-positive_ordered_exponential",
    "exact-triangle",
    "eight_schools-eight_schools_noncentered",
]
SLOW = [
    "kidiq_with_mom_work-kidscore_interaction_c",
    "low_dim_gauss_mix-low_dim_gauss_mix",
    "sblri-blr",
    "gp_pois_regr-gp_regr",
    "arK-arK",
    "diamonds-diamonds",
    "dogs-dogs_nonhierarchical",
    "dugongs_data-dugongs_model",
    "hmm_example-hmm_example",
    "Mtbh_data-Mtbh_model",
    "nes1996-nes",
    "radon_mn-radon_hierarchical_intercept_noncentered",
    "earnings-logearn_interaction",
]

pytestmark = pytest.mark.skipif(
    not (TREE / "check.py").exists(), reason=f"no posteriors with references at {TREE}"
)


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdict(name: str) -> dict:
    check = load(TREE / "check.py")
    adapter = load(HERE / "benchmarks" / "posteriordb.py")
    return check.run_tree(str(TREE / "public"), adapter.sample, only=[name], seed=0)[0]


@pytest.mark.parametrize("name", QUICK)
def test_posterior_agrees_with_its_reference(name):
    found = verdict(name)
    assert found["verdict"] == "PASS", found


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_larger_posterior_agrees_with_its_reference(name):
    found = verdict(name)
    assert found["verdict"] == "PASS", found
