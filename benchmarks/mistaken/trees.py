"""Mistakes in models of trees."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer


def a_leaf_without_a_rule():
    """Shall the offset be inferred or fixed? A guess would be wrong half of the time."""
    tree = {"slope": 0.0, "offset": 1.0}

    def log_likelihood(tree, y):
        return dist.Normal(tree["slope"] + tree["offset"], 1.0).log_prob(y)

    infer.tree_model(tree, log_likelihood, {"slope": dist.Normal(0.0, 1.0)}, data=np.zeros(3))


def a_path_that_selects_nothing():
    """A misspelled path would leave its leaf without a prior."""
    tree = {"slope": 0.0, "offset": 1.0}
    leaves = {"scope": dist.Normal(0.0, 1.0), "offset": "frozen"}
    infer.tree_model(tree, lambda tree: -(tree["slope"] ** 2), leaves)


def two_rules_for_one_leaf():
    """Neither rule goes before the other."""
    tree = {"slope": 0.0, "offset": 1.0}
    leaves = {"slope": dist.Normal(0.0, 1.0), "*": "frozen"}
    infer.tree_model(tree, lambda tree: -(tree["slope"] ** 2), leaves)


def a_leaf_outside_its_set():
    """The tree holds the logarithm of a scale, and the prior is one of the scale itself."""
    tree = {"scale": -0.7}
    infer.tree_model(tree, lambda tree: -tree["scale"], {"scale": dist.HalfNormal(1.0)})


def a_prior_of_another_shape():
    """Broadcasting would make a larger leaf than the tree has."""
    tree = {"weights": np.zeros(3)}
    leaves = {"weights": dist.Normal(np.zeros(2), 1.0)}
    infer.tree_model(tree, lambda tree: -jnp.sum(tree["weights"] ** 2), leaves)


MISTAKES = (
    a_leaf_without_a_rule,
    a_path_that_selects_nothing,
    two_rules_for_one_leaf,
    a_leaf_outside_its_set,
    a_prior_of_another_shape,
)
