"""Values with units are refused wherever a model takes numbers, and nothing strips them."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer


class LikeAstropy(np.ndarray):
    """An array with a unit, as astropy has: NumPy and JAX strip it without a word."""

    unit = "km / s"

    def to_value(self, unit):
        return np.asarray(self)


class LikePint:
    """A number with units, as pint has."""

    units = "km / s"
    magnitude = 1.0
    shape = ()
    dtype = np.dtype(float)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.magnitude)


QUANTITIES = {
    'x.to_value("km / s")': np.ones(2).view(LikeAstropy),
    'x.to("km / s").magnitude': LikePint(),
}
both = pytest.mark.parametrize("mend", QUANTITIES)


def refuses(call, where, mend):
    with pytest.raises(infer.ModelError, match=f"{where}: .*has the unit 'km / s'") as caught:
        call()
    assert mend in caught.value.mend


def seen(site, x):
    site("mu", dist.Normal(x.sum(), 1.0))


@both
def test_data_with_units_are_refused(mend):
    value = QUANTITIES[mend]
    refuses(lambda: infer.model(seen, x=value), "x", mend)
    refuses(lambda: infer.model(seen, x=[value, value]), "x", mend)
    refuses(lambda: infer.model(seen, x=np.ones(2)).with_data(x=value), "x", mend)
    support = {"mu": bj.Real()}
    refuses(
        lambda: infer.declared(lambda v, d: v["mu"], support, data={"x": value}), "data.x", mend
    )


@both
def test_priors_bounds_and_observations_with_units_are_refused(mend):
    value = QUANTITIES[mend]
    priors = {
        "loc": lambda site: site("mu", dist.Normal(value, 1.0)),
        "observed": lambda site: site.observe("mu", dist.Normal(0.0, 1.0), value),
    }
    # The types of the bounds are checked in tests, so that one that is no array fails there first.
    if isinstance(value, np.ndarray):
        priors["high"] = lambda site: site.param("mu", bj.Interval(0.0, value))
    for function in priors.values():
        refuses(lambda f=function: infer.log_density(infer.model(f)), "mu", mend)

    def theirs():
        numpyro.sample("mu", dist.Normal(value, 1.0))

    refuses(lambda: infer.log_density(infer.from_numpyro(theirs)), "mu", mend)


@both
def test_starts_with_units_are_refused(mend):
    model = infer.model(lambda site: site("mu", dist.Normal()))
    refuses(lambda: infer.start(model, infer.HMC(), starts={"mu": QUANTITIES[mend]}), "mu", mend)
