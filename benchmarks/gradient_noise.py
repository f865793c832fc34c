"""Print by what factor noise of each row lowers the variance of gradients, for networks on digits.

    python -m benchmarks.gradient_noise

One minibatch of 100 digits, networks of two hidden layers with prior N(0, 1), and the approximation
that has all means at the network's own weights and standard deviations as given. Variances are
sums over all weights, from 200 draws of all weights, or of those of each row; see
`infer/programs/row_noise.py`. ELBOs are means of those draws with their standard errors, in nats:
the two ways must agree.
"""

import argparse
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import infer
from infer.numerics.elbo import estimate_elbo
from infer.numerics.families.mean_field import MeanField

from .bayes_by_backprop import PRIORS, load, log_likelihood

DRAWS = 200


def estimate(density: Any, center: Any, scale: float, *, is_local: bool) -> tuple[Any, Any]:
    """Return ELBOs and gradients of single draws."""
    q, seen = MeanField("softplus").begin(center, scale), density.at(jax.random.key(3))

    def once(key: Any) -> tuple[Any, Any]:
        own, local = jax.random.split(key)
        noise = jax.random.normal(own, (1, density.size))
        found = estimate_elbo(seen, q, noise, "total", None, local if is_local else None)
        return found.elbo, (found.uphill.mean, found.uphill.scale)

    return jax.jit(jax.vmap(once))(jax.random.split(jax.random.key(1), DRAWS))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--scales", nargs="+", type=float, default=[0.01, 0.05, 0.2])
    given = parser.parse_args()
    net: Any = eqx.nn.MLP(64, 10, given.width, 2, key=jax.random.key(0))
    leaves: Any = {"layers.*.*": infer.Leaf(PRIORS["wide"])}
    model = infer.tree_model(net, log_likelihood, leaves, data=load()[0], minibatch=100)
    density: Any = infer.log_density(model)
    center = density.unconstrain(model.initial_values())
    print("| sd | ELBO, shared | ELBO, by rows | variance, means | variance, rho |")
    print("| --- | --- | --- | --- | --- |")
    for scale in given.scales:
        both = [estimate(density, center, scale, is_local=own) for own in (False, True)]
        elbos = [f"{e.mean():.1f} ± {e.std() / np.sqrt(DRAWS):.1f}" for e, _ in both]
        mean, rho = (
            jnp.var(shared, 0).sum() / jnp.var(rows, 0).sum()
            for shared, rows in zip(both[0][1], both[1][1], strict=True)
        )
        print(f"| {scale} | {elbos[0]} | {elbos[1]} | / {mean:.1f} | / {rho:.1f} |", flush=True)


if __name__ == "__main__":
    main()
