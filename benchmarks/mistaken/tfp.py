"""Mistakes in joint distributions of TFP."""

import numpy as np

import infer
from bijectors.translate.tfp_import import load_tfp

tfd = load_tfp().distributions


def a_batch_of_models():
    """TFP reads eight means as eight models."""
    joint = tfd.JointDistributionNamed({"mean": tfd.Normal(np.zeros(8), 1.0)})
    infer.sample(infer.from_tfp(joint))


def a_part_that_is_not_there():
    """What is observed must be a part of the joint distribution."""
    parts = {"mean": tfd.Normal(0.0, 1.0), "y": lambda mean: tfd.Normal(mean, 1.0)}
    infer.sample(infer.from_tfp(tfd.JointDistributionNamed(parts), observed={"Y": 1.0}))


def a_vector_for_a_number():
    """Three observations need a part of three rows."""
    parts = {"mean": tfd.Normal(0.0, 1.0), "y": lambda mean: tfd.Normal(mean, 1.0)}
    joint = tfd.JointDistributionNamed(parts)
    infer.sample(infer.from_tfp(joint, observed={"y": np.zeros(3)}))


def a_generator_alone():
    """A function that yields distributions becomes one by `tfd.JointDistributionCoroutine`."""

    def parts():
        mean = yield tfd.Normal(0.0, 1.0, name="mean")
        yield tfd.Normal(mean, 1.0, name="y")

    infer.sample(infer.from_tfp(parts, observed={"y": 1.0}))


def values_without_names():
    """A sequence of parts has names too; those that TFP finds."""
    joint = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), lambda m: tfd.Normal(m, 1.0)])
    infer.from_tfp(joint, observed=[None, 1.0])  # pyright: ignore[reportArgumentType]


MISTAKES = (
    a_batch_of_models,
    a_part_that_is_not_there,
    a_vector_for_a_number,
    a_generator_alone,
    values_without_names,
)
