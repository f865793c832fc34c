"""Models with discrete latent sites, and their log densities by brute force."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

import infer
from infer.density.readers import FlatReader
from infer.models.protocol.reader import DelegatingReader, wrap_steps

RNG = np.random.default_rng(0)
Y = RNG.normal(size=4)


class Assigned(DelegatingReader):
    """Supplies given values of discrete sites."""

    def __init__(self, reader, values):
        super().__init__(reader)
        self.values = values

    def discrete(self, declaration):
        return self.values[declaration.name]

    def steps(self, repeated, length, reverse):
        own = {name: a for name, a in self.values.items() if a.shape[:1] == (length,)}
        return wrap_steps(self.reader.steps(repeated, length, reverse), own, Assigned)


def list_assignments(supports):
    """List all joint values of discrete sites, from the values and the shape of each."""
    sizes = [int(np.prod(shape)) for _, shape in supports.values()]
    each = [v for (v, _), n in zip(supports.values(), sizes, strict=True) for v in [list(v)] * n]
    rows = np.array(list(itertools.product(*each)))
    pieces = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    return {
        name: jnp.asarray(piece.reshape(-1, *shape))
        for (name, (_, shape)), piece in zip(supports.items(), pieces, strict=True)
    }


def log_joints(model, supports, position):
    """Compute the log density with each joint value of the discrete sites."""

    def at(values):
        reader = FlatReader(position, model.rules, {})
        account = model.run(Assigned(reader, values))
        return account.log_density() + reader.joint.log_det + reader.joint.auxiliary

    return jax.vmap(at)(list_assignments(supports))


def by_brute_force(model, supports, position):
    """Sum the density over all joint values of the discrete sites."""
    return logsumexp(log_joints(model, supports, position))


def mixture(site, y):
    weights = site("weights", dist.Dirichlet(jnp.array([2.0, 1.0, 3.0])))
    mean = site("mean", dist.Normal(0, 3).expand([3]))
    kind = site("kind", dist.Categorical(weights), shape=len(y), sum_out=True)
    site.derive("own_mean", mean[kind])
    site.observe("y", dist.Normal(mean[kind], 0.7), y)


def noisy_mixture(site, y):
    """The observations are of a continuous latent value whose prior depends on the kind."""
    scale = site("scale", dist.HalfNormal(1.0))
    with site.plate("row", len(y)):
        kind = site("kind", dist.Bernoulli(0.3), sum_out=True)
        x = site("x", dist.Normal(jnp.where(kind == 1, 2.0, -1.0), scale))
        site.observe("y", dist.Normal(x, 0.5), y)


ITEM, RATER = np.array([0, 2, 1, 1, 0, 2, 2]), np.array([0, 0, 0, 1, 1, 1, 0])
LABEL = np.array([0, 2, 1, 1, 0, 1, 2])


def raters(site, label, item, rater):
    share = site("share", dist.Dirichlet(jnp.ones(3)))
    confusion = site("confusion", dist.Dirichlet(jnp.eye(3) + 1).expand([2, 3]))
    truth = site("truth", dist.Categorical(share), shape=3, sum_out=True)
    site.observe("label", dist.Categorical(confusion[rater, truth[item]]), label)


def occupancy(site, seen):
    """Whether a site of the survey is occupied, and how many animals live there if it is."""
    rate = site("rate", dist.Beta(2.0, 2.0))
    occupied = site("occupied", dist.Bernoulli(rate), shape=3, sum_out=True)
    most = np.array([1, 3, 2])
    count = site("count", dist.Binomial(most, jnp.full(3, 0.4)), sum_out=True)
    detected = site("detected", dist.Beta(1.0, 1.0))
    site.observe("seen", dist.Poisson(0.1 + detected * occupied * count), seen)


def switched(site, y):
    """One switch for all rows, on which the kinds of the groups of rows depend."""
    mean = site("mean", dist.Normal(0, 1).expand([3]))
    switch = site("switch", dist.Bernoulli(0.4), sum_out=True)
    group = site("group", dist.Bernoulli(0.2 + 0.5 * switch), shape=2, sum_out=True)
    share = jnp.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    kind = site("kind", dist.Categorical(share[group[np.array([0, 1, 1, 0])]]), sum_out=True)
    site.observe("y", dist.Normal(mean[kind], 1.0), y)
    site.observe("total", dist.Normal(switch * mean.sum(), 1.0), 0.3)


BINARY = [0, 1]
CASES = {
    "mixture": (infer.model(mixture, y=Y), {"kind": (range(3), (4,))}),
    "noisy mixture": (infer.model(noisy_mixture, y=Y), {"kind": (BINARY, (4,))}),
    "occupancy": (
        infer.model(occupancy, seen=np.array([1, 0, 2])),
        {"occupied": (BINARY, (3,)), "count": (range(4), (3,))},
    ),
    "raters": (
        infer.model(raters, label=LABEL, item=infer.static(ITEM), rater=infer.static(RATER)),
        {"truth": (range(3), (3,))},
    ),
    "switched": (
        infer.model(switched, y=Y),
        {"switch": (BINARY, ()), "group": (BINARY, (2,)), "kind": (range(3), (4,))},
    ),
}


def hidden_markov(site, y, start=0):
    """A chain of two states with Gaussian observations, written step by step."""
    change = site("change", dist.Dirichlet(jnp.eye(2) + 1))
    mean = site("mean", dist.Normal(0, 2).expand([2]))

    def step(site, before, y):
        state = site("state", dist.Categorical(change[before]), sum_out=True)
        site.derive("level", mean[state])
        site.observe("y", dist.Normal(mean[state], 0.6), y)
        return state, None

    site.scan(step, start, y, dim="time")


def mixed_start(site, y):
    """Two chains at once, whose first states depend on a switch; each step has a random effect."""
    switch = site("switch", dist.Bernoulli(0.3), sum_out=True)
    share = site("share", dist.Beta(2.0, 2.0))
    stay = jnp.array([[0.7, 0.3], [0.2, 0.8]])

    def step(site, carry, y):
        before, time = carry
        with site.plate("series", 2):
            probability = jnp.where(time == 0, share, stay[before, 1])
            state = site("state", dist.Bernoulli(probability), sum_out=True)
            effect = site("effect", dist.Normal(0.1 * state, 1.0))
            site.observe("y", dist.Normal(effect + state - before, 1.0), y)
        site.factor("pull", -0.1 * effect**2)
        return (state, time + 1), effect

    _, effects = site.scan(step, (jnp.full(2, switch), 0), y, reverse=True)
    site.derive("effects", effects)


def capture(site, seen):
    """Cormack-Jolly-Seber: an animal that has died is not captured again."""
    survival = site("survival", dist.Beta(1.0, 1.0))
    detection = site("detection", dist.Beta(1.0, 1.0))

    def step(site, carry, seen):
        alive, known = carry
        with site.plate("animal", seen.shape[0]):
            alive = site(
                "alive", dist.Bernoulli(jnp.where(known, survival * alive, 1.0)), sum_out=True
            )
            site.observe("seen", dist.Bernoulli(jnp.where(known, detection * alive, seen)), seen)
        return (alive, known | (seen == 1)), None

    site.scan(step, (jnp.ones(seen.shape[1], int), jnp.zeros(seen.shape[1], bool)), seen)


def left_to_right(site, y):
    """A chain that never goes back, so that its last state cannot be reached at first."""
    mean = site("mean", dist.Normal(0, 1).expand([3]))
    change = jnp.log(jnp.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]))

    def step(site, before, y):
        state = site("state", dist.Categorical(logits=change[before]), sum_out=True)
        site.observe("y", dist.Normal(mean[state], 0.6), y)
        return state, None

    site.scan(step, 0, y)


def change_point(site, count):
    """The rate changes at an unknown time, one discrete site for all rows."""
    rate = site("rate", dist.Gamma(2.0, 1.0), shape=2)
    at = site("at", dist.DiscreteUniform(1, 4), sum_out=True)
    rates = jnp.where(jnp.arange(len(count)) < at, rate[0], rate[1])
    site.observe("count", dist.Poisson(rates), count)


SEEN = np.array([[1, 0], [0, 1], [1, 0]])

CASES |= {
    "hidden Markov": (infer.model(hidden_markov, y=Y), {"state": (BINARY, (4,))}),
    "left to right": (infer.model(left_to_right, y=Y[:2]), {"state": (range(3), (2,))}),
    "mixed start": (
        infer.model(mixed_start, y=np.stack([Y[:3], Y[1:]], 1)),
        {"switch": (BINARY, ()), "state": (BINARY, (3, 2))},
    ),
    "change point": (
        infer.model(change_point, count=np.array([4, 5, 1, 0, 1])),
        {"at": (range(1, 5), ())},
    ),
    "capture and recapture": (infer.model(capture, seen=SEEN), {"alive": (BINARY, (3, 2))}),
}
