"""What `site.vmap` and a `site.scan` without a carry refuse, and in whose name."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import infer

X = np.arange(3.0)


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
