"""What `site.vmap` and a `site.scan` without a carry refuse, and in whose name."""

import re

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import infer

X = np.arange(3.0)


def refuses(function, *words, **data):
    with pytest.raises(infer.ModelError) as caught:
        infer.log_density(infer.model(function, **data))
    for word in words:
        assert re.search(word, str(caught.value)), (word, str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("depends", [False, True])
def test_a_carry_that_changes_its_structure_is_refused(depends):
    def function(site):
        def step(site, carry, x):
            z = site("z", dist.Normal(0.0 if carry is None else carry, 1.0))
            return z if depends else 5.0, z

        site.scan(step, None, X)

    refuses(function, "^scan: its first carry .*None.*", r"such as 0\.0")


def test_a_carry_of_a_number_that_never_changes_is_beside_summed_states():
    def function(site, y):
        mu = site("mu", dist.Normal(0.0, 1.0))

        def step(site, carry, y):
            k = site("k", dist.Bernoulli(0.3), sum_out=True)
            site.observe("y", dist.Normal(mu + carry + k, 1.0), y)
            return carry, None

        site.scan(step, 0.5, y)

    density = infer.log_density(infer.model(function, y=X))
    each = 0.7 * stats.norm.pdf(X, 0.7) + 0.3 * stats.norm.pdf(X, 1.7)
    truth = stats.norm.logpdf(0.2) + np.log(each).sum()
    np.testing.assert_allclose(density(jnp.array([0.2])), truth, rtol=1e-12)
