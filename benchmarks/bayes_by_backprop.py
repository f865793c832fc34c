"""Train networks on digits by `infer.fit`, and by a plain Adam loop of as many steps.

    python benchmarks/bayes_by_backprop.py --width 100 --prior narrow wide mixture

Both see the same 1400 of scikit-learn's 1797 digits, in minibatches of 100, with one draw of the
weights per step, and begin at the same weights with standard deviations of 0.01. The loop is that
of Blundell et al. (2015), arXiv 1505.05424, section 3.2: Adam on mean and softplus^-1 of the
standard deviation, for log q - log prior - log likelihood of the draw. Scores are those of 64
draws on the other 397 digits: error, negative log likelihood per digit in nats, and the error with
the 75 % of the weights of the lowest |mean| / sd set to zero. Rows can be made by several calls.
"""

import argparse
import time
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from jax.flatten_util import ravel_pytree
from sklearn.datasets import load_digits

import infer

TRAIN, ROWS, DRAWS, SCALE = 1400, 100, 64, 0.01
# Epochs of `infer.fit` after those of `epochs=`.
LAST = 50


class Digits(NamedTuple):
    """Pixels between 0 and 1, and digits."""

    pixels: Any
    digit: Any


def load() -> tuple[Digits, Digits]:
    given: Any = load_digits()
    pixels, digit = given.data, given.target
    order = np.random.default_rng(0).permutation(len(digit))
    pixels, digit = (pixels[order] / 16).astype(np.float32), digit[order]
    return Digits(pixels[:TRAIN], digit[:TRAIN]), Digits(pixels[TRAIN:], digit[TRAIN:])


def scale_mixture(wide: float, narrow: float) -> dist.Distribution:
    parts = dist.Normal(0.0, jnp.array([wide, narrow]))
    return dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), parts)


PRIORS = {
    "narrow": dist.Normal(0.0, 0.1),
    "wide": dist.Normal(0.0, 1.0),
    # Blundell et al.: -log of the standard deviations is 0 and 6.
    "mixture": scale_mixture(1.0, float(np.exp(-6.0))),
}


def log_likelihood(net: Any, data: Digits) -> jax.Array:
    likelihood: Any = dist.Categorical(logits=jax.vmap(net)(data.pixels))
    return likelihood.log_prob(data.digit)


def fit_by_package(net: Any, prior: Any, data: Digits, epochs: int, seed: int) -> Any:
    leaves: Any = {"layers.*.*": infer.Leaf(prior)}
    model = infer.tree_model(net, log_likelihood, leaves, data=data, minibatch=ROWS)
    start = model.initial_values()
    fit: Any = infer.fit(
        model, infer.ADVI(batch=1), starts=start, epochs=epochs, key=seed, progress=False
    )
    return fit.distribution.mean, fit.distribution.scale, -float(fit.losses.mean())


def fit_by_hand(net: Any, prior: Any, data: Digits, epochs: int, seed: int, rate: float) -> Any:
    flat, unravel = ravel_pytree(eqx.filter(net, eqx.is_array))
    optimizer, pixels, digit = optax.adam(rate), jnp.asarray(data.pixels), jnp.asarray(data.digit)

    def loss(theta, key):
        mean, rho = theta
        by_rows, by_weights = jax.random.split(key)
        seen = jax.random.choice(by_rows, TRAIN, (ROWS,), replace=False)
        q = dist.Normal(mean, jax.nn.softplus(rho))
        weights = q.rsample(by_weights)
        own = eqx.combine(unravel(weights), net)
        rows = log_likelihood(own, Digits(pixels[seen], digit[seen]))
        divergence = q.log_prob(weights).sum() - prior.log_prob(weights).sum()
        return divergence - TRAIN / ROWS * rows.sum()

    def step(carry, key):
        theta, state = carry
        value, gradient = jax.value_and_grad(loss)(theta, key)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(theta, updates), state), -value

    def run(theta, keys):
        return jax.lax.scan(step, (theta, optimizer.init(theta)), keys)

    theta = flat, jnp.full_like(flat, np.log(np.expm1(SCALE)))
    keys = jax.random.split(jax.random.key(seed), epochs * TRAIN // ROWS)
    ((mean, rho), _), elbo = jax.jit(run)(theta, keys)
    return mean, jax.nn.softplus(rho), float(elbo[-LAST * TRAIN // ROWS :].mean())


def score(net: Any, mean: Any, sd: Any, data: Digits) -> tuple[float, float, float]:
    """Return error, negative log likelihood, and the error with 75 % of the weights pruned."""
    _, unravel = ravel_pytree(eqx.filter(net, eqx.is_array))
    mean, sd = jnp.asarray(mean), jnp.asarray(sd)
    weights = mean + sd * jax.random.normal(jax.random.key(99), (DRAWS, mean.size))
    signal = jnp.abs(mean) / sd
    pruned = jnp.where(signal < jnp.quantile(signal, 0.75), 0.0, weights)

    def log_probabilities(own):
        return jax.nn.log_softmax(jax.vmap(eqx.combine(unravel(own), net))(data.pixels))

    average = jax.jit(lambda w: jax.nn.logsumexp(jax.lax.map(log_probabilities, w), axis=0))
    full, few = (np.asarray(average(own)) - np.log(DRAWS) for own in (weights, pruned))
    rows = np.arange(len(data.digit))
    wrong = [(own.argmax(1) != data.digit).mean() for own in (full, few)]
    return wrong[0], -full[rows, data.digit].mean(), wrong[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--prior", nargs="+", choices=PRIORS, default=list(PRIORS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rates", nargs="*", type=float, default=[1e-3, 3e-3, 1e-2])
    given = parser.parse_args()
    train, test = load()
    net = eqx.nn.MLP(64, 10, given.width, 2, key=jax.random.key(given.seed))
    ways: dict[str, Any] = {"infer.fit": fit_by_package}
    for rate in given.rates:
        ways[f"loop, Adam {rate:g}"] = partial(fit_by_hand, rate=rate)
    print("| width | prior | seed | by | ELBO | error | NLL | error, pruned | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for prior in given.prior:
        for name, fit in ways.items():
            begun = time.perf_counter()
            epochs = given.epochs if fit is fit_by_package else given.epochs + LAST
            mean, sd, elbo = fit(net, PRIORS[prior], train, epochs, given.seed)
            jax.block_until_ready(mean)
            seconds = time.perf_counter() - begun
            wrong, nll, pruned = score(net, mean, sd, test)
            print(
                f"| {given.width} | {prior} | {given.seed} | {name} | {elbo:.0f} | {wrong:.3f} | "
                f"{nll:.3f} | {pruned:.3f} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
