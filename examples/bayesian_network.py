"""Classify handwritten digits by a small network with uncertain weights: Bayes by Backprop.

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
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
from sklearn.datasets import load_digits

import infer


def log_likelihood(net, data):
    """Return the log probability of each digit of a minibatch."""
    return dist.Categorical(logits=jax.vmap(net)(data["pixels"])).log_prob(data["digit"])


def scale_mixture(share: float, wide: float, narrow: float) -> dist.Distribution:
    parts = dist.Normal(0.0, jnp.array([wide, narrow]))
    return dist.MixtureSameFamily(dist.Categorical(jnp.array([share, 1 - share])), parts)


def plot_reliability(probabilities, digit) -> None:
    """Plot how often predictions of each confidence are right: on the diagonal if calibrated."""
    sure, right = probabilities.max(1), probabilities.argmax(1) == digit
    bins = np.clip((sure * 10).astype(int), 0, 9)
    shown = [i for i in range(10) if (bins == i).any()]
    plt.plot([0, 1], [0, 1], color="gray")
    for i in shown:
        here = bins == i
        share = right[here].mean()
        error = np.sqrt(max(share * (1 - share), 0.25 / here.sum()) / here.sum())
        plt.errorbar(sure[here].mean(), share, 2 * error, fmt="o", color="C0")
    plt.xlabel("confidence")
    plt.ylabel("share that is right")
    path = Path(__file__).parent / "figures" / "bayesian_network.png"
    path.parent.mkdir(exist_ok=True)
    plt.savefig(path, dpi=100, bbox_inches="tight")
    print(f"Plot: {path}")


def main(epochs: int = 400) -> None:
    pixels, digit = load_digits(return_X_y=True)
    data = {"pixels": pixels / 16, "digit": digit}
    train, test = (
        {k: a[rows] for k, a in data.items()} for rows in np.split(np.arange(1797), [1400])
    )

    net = eqx.nn.MLP(64, 10, 32, 1, key=jax.random.key(0))
    leaves = {"layers.*.*": infer.Leaf(scale_mixture(0.5, 0.5, 0.05))}
    model = infer.tree_model(net, log_likelihood, leaves, data=train, minibatch=100)
    fit = infer.fit(model, starts=model.initial_values(), epochs=epochs, key=1)

    weights, each = fit.density.size, fit.per_datum
    print(f"{weights} weights; per digit: ELBO {each.elbo:.2f} ± {each.error:.2f} nats,")
    print(f"log likelihood {each.likelihood:.2f}, divergence from the prior {each.divergence:.2f}")
    for pruned in (0.0, 0.75):
        posterior = fit.sample(64, key=2, prune=pruned)
        each = infer.map_trees(lambda net: jax.vmap(net)(test["pixels"]), model, posterior)[0]
        probabilities = np.asarray(jax.nn.softmax(each).mean(0))
        rows = infer.log_likelihood(model.with_data(test), posterior)["log_likelihood"]
        per_row = np.asarray(rows["log_likelihood"])[0]
        score = -(jax.nn.logsumexp(per_row, axis=0) - np.log(64)).mean()
        right = (probabilities.argmax(1) == test["digit"]).mean()
        print(f"{pruned:.0%} pruned: accuracy {right:.3f}, {score:.3f} nats per digit")
        if not pruned:
            plot_reliability(probabilities, test["digit"])


if __name__ == "__main__":
    main()
