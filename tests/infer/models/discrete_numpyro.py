"""Models of NumPyro whose discrete sites are to be enumerated, as its examples write them."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.control_flow import scan
from numpyro.ops.indexing import Vindex

import infer

from .discrete_models import BINARY, SEEN, Y

ENUMERATE = {"enumerate": "parallel"}


def dawid_skene(positions, annotations):
    """The example `annotation` of NumPyro; Dawid & Skene (1979)."""
    items, raters = annotations.shape[0], int(positions.max()) + 1
    with numpyro.plate("annotator", raters, dim=-2), numpyro.plate("class", 3):
        beta = numpyro.sample("beta", dist.Dirichlet(jnp.ones(3)))
    share = numpyro.sample("pi", dist.Dirichlet(jnp.ones(3)))
    with numpyro.plate("item", items, dim=-2):
        truth = numpyro.sample("c", dist.Categorical(share), infer=ENUMERATE)
        with numpyro.plate("position", positions.shape[0]):
            shares = Vindex(beta)[positions, truth, :]
            numpyro.sample("y", dist.Categorical(shares), obs=annotations)


def hidden_markov(y):
    """The shape of the example `hmm_enum` of NumPyro, with Gaussian observations."""
    with numpyro.plate("from", 2):
        change = numpyro.sample("change", dist.Dirichlet(jnp.ones(2)))
    mean = numpyro.sample("mean", dist.Normal(0, 2).expand([2]).to_event(1))

    def step(carry, y):
        before, time = carry
        state = numpyro.sample("state", dist.Categorical(change[before]), infer=ENUMERATE)
        numpyro.sample("y", dist.Normal(mean[state], 0.6), obs=y)
        return (state, time + 1), None

    scan(step, (0, 0), y)


def cormack_jolly_seber(seen):
    """The example `capture_recapture` of NumPyro, for animals that are all known from the start."""
    survival = numpyro.sample("phi", dist.Uniform(0.0, 1.0))
    detection = numpyro.sample("rho", dist.Uniform(0.0, 1.0))

    def step(alive, seen):
        with numpyro.plate("animal", seen.shape[0], dim=-1):
            alive = numpyro.sample("z", dist.Bernoulli(0.9 * survival * alive), infer=ENUMERATE)
            numpyro.sample("seen", dist.Bernoulli(0.9 * detection * alive), obs=seen)
        return alive, None

    scan(step, jnp.ones(seen.shape[1], int), seen)


POSITIONS = np.array([0, 0, 1])
ANNOTATIONS = jnp.array([[0, 1, 0], [2, 2, 1]])

CASES = {
    "Dawid and Skene": (
        infer.from_numpyro(dawid_skene, infer.static(POSITIONS), ANNOTATIONS),
        {"c": (range(3), (2, 1))},
    ),
    "hidden Markov": (infer.from_numpyro(hidden_markov, Y), {"state": (BINARY, (4,))}),
    "capture and recapture": (
        infer.from_numpyro(cormack_jolly_seber, SEEN),
        {"z": (BINARY, (3, 2))},
    ),
}
