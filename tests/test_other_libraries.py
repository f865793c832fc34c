"""The page about other libraries is right: what it prints, and the pieces that `make test` skips.

flowjax and jaxns are no part of an extra: jaxns needs a nightly build of TFP.
"""

import jax
import numpy as np
import pytest
from scipy.integrate import dblquad

from .test_docs import BLOCK, PAGES

PAGE = next(page for page in PAGES if page.stem == "other_libraries").read_text()


def piece(library):
    """Run the page up to our density, then the part about a library; return its names."""
    before, _, rest = PAGE.partition("### BlackJAX")
    part = rest.partition(f"### {library}\n")[2].partition("\n### ")[0]
    names: dict = {}
    for code in (*BLOCK.findall(before), *BLOCK.findall(part.replace("```py\n", "```python\n"))):
        exec(code, names)
    return names


def exact(density):
    """Integrate over the plane: the evidence, and the mean of `mu`, by quadrature."""
    weigh = jax.jit(lambda mu, log_sigma: jax.numpy.exp(density(jax.numpy.array([mu, log_sigma]))))
    total = dblquad(lambda s, m: float(weigh(m, s)), -8, 12, -4, 3, epsabs=1e-7, epsrel=1e-4)[0]
    mean = dblquad(lambda s, m: m * float(weigh(m, s)), -8, 12, -4, 3, epsabs=1e-7, epsrel=1e-4)[0]
    return np.log(total), mean / total


@pytest.mark.slow
def test_a_flow_of_flowjax_fits_our_density():
    pytest.importorskip("flowjax", reason="flowjax is no part of an extra")
    names = piece("flowjax")
    mean = float(names["values"]["mu"].mean())
    # The spread is 0.5, so that a standard error of 2000 draws is 0.01; the fit is not exact.
    assert abs(mean - exact(names["density"])[1]) < 0.1


@pytest.mark.slow
def test_nested_sampling_of_jaxns_finds_our_evidence(tmp_path, monkeypatch):
    pytest.importorskip("jaxns", reason="jaxns needs a nightly build of TFP")
    # jaxns writes a log beside the caller.
    monkeypatch.chdir(tmp_path)
    with jax.enable_x64(True):
        names = piece("jaxns")
        nested = names["nested"]
        away = float(nested.log_Z_mean) - exact(names["density"])[0]
    assert abs(away) < 4 * float(nested.log_Z_uncert) + 0.02
