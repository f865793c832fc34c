"""Handwritten digits: a small network with uncertain weights (Bayes by Backprop).

The prior of each weight is a mixture of a wide and a narrow normal. The approximation is a
normal with a mean and a scale for each weight, trained by minibatches. Predictions average over
draws of the weights, so that their confidence reflects how uncertain the weights are; three
quarters of the weights can be left out.

Source: Blundell, Cornebise, Kavukcuoglu & Wierstra (2015), Weight uncertainty in neural
networks, arXiv 1505.05424. Data: Alpaydin & Kaynak (1998), 1797 digits of 8 x 8 pixels,
bundled with scikit-learn.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from sklearn.datasets import load_digits

import infer

TRAIN = 1400


def log_likelihood(net, data):
    """Return the log probability of each digit of a minibatch."""
    return dist.Categorical(logits=jax.vmap(net)(data["pixels"])).log_prob(data["digit"])


def main(epochs: int = 400) -> None:
    pixels, digit = load_digits(return_X_y=True)
    train = {"pixels": pixels[:TRAIN] / 16, "digit": digit[:TRAIN]}
    test = {"pixels": pixels[TRAIN:] / 16, "digit": digit[TRAIN:]}

    net = eqx.nn.MLP(64, 10, 32, 1, key=jax.random.key(0))
    parts = dist.Normal(0.0, jnp.array([0.5, 0.05]))
    prior = dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), parts)
    leaves = {"layers.*.*": infer.Leaf(prior)}
    model = infer.tree_model(net, log_likelihood, leaves, data=train, minibatch=100)
    fit = infer.fit(model, epochs=epochs, key=1)
    held_out = model.with_data(test)
    scores = infer.score_predictions(held_out, fit, draws=64)
    pruned = infer.score_predictions(held_out, fit.sample(64, key=2, prune=0.75))
    figure = scores.plot()

    each = fit.per_datum
    print(f"{fit.density.size} weights; per digit: ELBO {each.elbo:.2f} ± {each.error:.2f} nats,")
    print(f"log likelihood {each.likelihood:.2f}, divergence from the prior {each.divergence:.2f}")
    print(f"held out: {scores}")
    print(f"75% pruned: {pruned}")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
