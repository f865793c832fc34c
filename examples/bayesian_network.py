"""Classify handwritten digits by a small network with uncertain weights: Bayes by Backprop.

The prior of each weight is a mixture of a wide and a narrow normal. The approximation is a
normal with a mean and a scale for each weight, fitted to minibatches. Predictions average over
draws of the weights, so that their confidence reflects how uncertain the weights are.

Source: Blundell, Cornebise, Kavukcuoglu & Wierstra (2015), Weight uncertainty in neural
networks, arXiv 1505.05424. Data: Alpaydin & Kaynak (1998), 1797 digits of 8 x 8 pixels,
bundled with scikit-learn.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from sklearn.datasets import load_digits

import infer


def log_likelihood(net, data):
    """Return the log probability of each digit of a minibatch."""
    logits = jax.vmap(net)(data["pixels"])
    return dist.Categorical(logits=logits).log_prob(data["digit"])


def scale_mixture(share: float, wide: float, narrow: float) -> dist.Distribution:
    parts = dist.Normal(0.0, jnp.array([wide, narrow]))
    return dist.MixtureSameFamily(dist.Categorical(jnp.array([share, 1 - share])), parts)


def main(epochs: int = 40) -> None:
    pixels, digit = load_digits(return_X_y=True)
    pixels = pixels / 16
    train, test = np.arange(1400), np.arange(1400, len(digit))
    net = eqx.nn.MLP(64, 10, 32, 1, key=jax.random.key(0))
    model = infer.tree_model(
        net,
        log_likelihood,
        {"layers.*.*": infer.Leaf(scale_mixture(0.5, 0.5, 0.05))},
        data={"pixels": pixels[train], "digit": digit[train]},
        minibatch=100,
    )
    fit = infer.fit(
        model,
        infer.ADVI(batch=2, learning_rate=0.2),
        starts=model.initial_values(),
        epochs=epochs,
        key=1,
    )
    posterior = fit.sample(64, key=2)

    def probabilities(net):
        return jax.nn.softmax(jax.vmap(net)(pixels[test]))

    each = infer.map_trees(probabilities, model, posterior)[0]
    mean = np.asarray(each.mean(0))
    right = mean.argmax(1) == digit[test]
    sure = mean.max(1)
    alone = (np.asarray(each).argmax(2) == digit[test]).mean()
    signal = abs(fit.distribution.mean) / fit.distribution.scale
    print(f"{model.table().rows[0].name}: {fit.density.size} weights, ELBO {fit.elbo:.0f}")
    print(f"accuracy of the average of 64 networks: {right.mean():.3f}; of one: {alone:.3f}")
    print(
        f"mean confidence if right: {sure[right].mean():.2f}; if wrong: {sure[~right].mean():.2f}"
    )
    print(f"weights within one standard deviation of zero: {float((signal < 1).mean()):.2f}")


if __name__ == "__main__":
    main()
