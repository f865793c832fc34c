"""Capture and recapture of posteriordb (Mtbh): who belongs to the population is summed out."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from bijectors import Interval, Real

# Four animals of nine were seen, on three days.
Y = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1], *[[0, 0, 0]] * 5], float)
BEFORE = np.concatenate([np.zeros((len(Y), 1)), Y[:, :-1]], 1)


def augmented(site, y):
    """Animals that were not seen may belong to the population or not."""
    share, mean = site("share", dist.Uniform(0, 1)), site("mean", dist.Uniform(0, 1), shape=(3,))
    trapped, spread = site("trapped", dist.Normal(0, 10)), site("spread", dist.Uniform(0, 3))
    animal = site("animal", dist.Normal(0, 1), shape=(len(Y),))
    belongs = site("belongs", dist.Bernoulli(share), shape=(len(Y),), sum_out=True)
    odds = jnp.log(mean) - jnp.log1p(-mean) + spread * animal[:, None] + trapped * BEFORE
    site.observe("y", dist.Bernoulli(belongs[:, None] * jax.nn.sigmoid(odds)), y)


def by_hand(values, y):
    """The model of posteriordb, with all constants."""
    mean, share = values["mean"], values["share"]
    odds = jnp.log(mean) - jnp.log1p(-mean) + values["trapped"] * BEFORE
    odds = odds + values["spread"] * values["animal"][:, None]
    member = jnp.log(share) + (y * odds - jax.nn.softplus(odds)).sum(1)
    other = jnp.where(y.sum(1) > 0, -jnp.inf, jnp.log1p(-share))
    normal = dist.Normal(0, 1).log_prob(values["animal"]).sum()
    normal += dist.Normal(0, 10).log_prob(values["trapped"]) - jnp.log(3.0)
    return jnp.logaddexp(member, other).sum() + normal


def test_augmented_capture_and_recapture_is_the_model_summed_by_hand():
    unit = Interval(0.0, 1.0)
    sets = {"share": unit, "mean": Interval(0.0, 1.0, shape=(3,)), "trapped": Real()}
    sets |= {"spread": Interval(0.0, 3.0), "animal": Real(shape=(len(Y),))}
    models = infer.model(augmented, y=Y), infer.declared(by_hand, sets, data=Y)
    both = [jax.jit(jax.value_and_grad(infer.log_density(model))) for model in models]
    positions = np.random.default_rng(0).normal(size=(4, 15))
    for position in positions:
        (one, slope), (other, gradient) = (evaluate(position) for evaluate in both)
        np.testing.assert_allclose(one, other, rtol=1e-12)
        np.testing.assert_allclose(slope, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_animals_that_were_seen_belong_to_the_population():
    model = infer.model(augmented, y=Y)
    result = infer.sample(model, draws=50, warmup=100, key=0, progress=False)
    drawn = np.asarray(infer.recover(model, result)["posterior"]["belongs"])
    assert drawn[..., :4].all()
    assert 0 < drawn[..., 4:].mean() < 1
