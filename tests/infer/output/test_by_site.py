"""Sites move by optimizers of their own."""

import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import infer


def two_scales(site):
    site("near", dist.Normal(0.0, 1.0), shape=(2,))
    site("far", dist.LogNormal(0.0, 1.0))


def test_sites_have_step_sizes_of_their_own():
    """By gradient descent: after one step, each site has moved by its rate times its gradient."""
    model = infer.model(two_scales)
    sgd = infer.optimize_by_site(model, {"near": optax.sgd(0.1)}, optax.sgd(0.5))
    engine, start = infer.MAP("unconstrained", sgd, max_steps=2), {"near": np.ones(2), "far": np.e}
    found = infer.maximize(model, engine, starts=start)
    np.testing.assert_allclose(found.values["near"], 0.9)
    np.testing.assert_allclose(np.log(found.values["far"]), 0.5)


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        ({"naer": optax.sgd(1.0)}, "naer: an optimizer is given.*Did you mean 'near'"),
        ({"near": optax.sgd(1.0)}, "far: no optimizer is given"),
        ({"near": optax.sgd(1.0), "*": optax.sgd(1.0)}, "near: it is matched by near, \\*"),
        ({"*": optax.lbfgs()}, "\\*: its optimizer needs the loss"),
    ],
)
def test_optimizers_of_unknown_or_forgotten_sites_are_refused(optimizers, message):
    with pytest.raises(infer.ModelError, match=message):
        infer.optimize_by_site(infer.model(two_scales), optimizers)
