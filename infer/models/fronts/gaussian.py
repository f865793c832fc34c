"""A toy front end: a multivariate normal, given by its mean and covariance."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bijectors.rule import Rules
from bijectors.sets.real import Real
from bijectors.table import RULES

from ..inputs.data import Data
from ..inputs.labels import Labels
from ..model import Model
from ..protocol.account import Account
from ..protocol.program import Program
from ..protocol.reader import Reader
from ..protocol.site import Declaration, Term


class GaussianProgram(Program):
    """One latent vector with a multivariate normal prior."""

    data: Data

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        account, given = Account(), self.data.tree()
        shape = given["mean"].shape
        declaration = Declaration("x", Real(shape=shape), shape, (None,))
        x = account.take(reader, declaration).value
        prior = dist.MultivariateNormal(given["mean"], given["covariance"])
        account.terms.append(Term("x", "factor", jnp.asarray(prior.log_prob(x))))
        return account

    def with_data(self, **named: Any) -> "GaussianProgram":
        return replace(self, data=self.data.replace(named))


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> Model:
    """Make a model of a multivariate normal."""
    data = Data.of({"mean": mean, "covariance": covariance})
    return Model(Labels(None), RULES, GaussianProgram(data=data))
