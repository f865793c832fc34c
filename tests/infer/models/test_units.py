"""Values with units are refused wherever a model takes numbers, and nothing strips them."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from bijectors.translate.tfp_import import load_tfp


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


def normal_pair(site):
    mu = site("mu", dist.Normal())
    site("pair", dist.Normal(mu, 1.0).expand([2]))


@both
def test_values_that_sites_are_held_at_have_no_units(mend):
    value = QUANTITIES[mend]
    model, name = infer.model(normal_pair), "mu" if value.shape == () else "pair"
    for change in (model.freeze, model.condition, model.do):
        refuses(lambda change=change: change({name: value}), name, mend)
    given = {"mu": 0.0, "pair": np.zeros(2), name: value}
    refuses(lambda: infer.log_density(model).unconstrain(given), name, mend)


@both
def test_terms_steps_leaves_and_coords_with_units_are_refused(mend):
    value = QUANTITIES[mend]
    many = [value, value] if value.shape == () else value

    def steps(site):
        site.scan(lambda site, mu, _: (site("mu", dist.Normal(mu, 1.0)), None), value, length=2)

    def term():
        numpyro.factor("mu", value)

    def derived():
        numpyro.deterministic("mu", value)

    refuses(lambda: infer.log_density(infer.model(steps)), "scan", mend)
    for theirs in (term, derived):
        refuses(lambda f=theirs: infer.log_density(infer.from_numpyro(f)), "mu", mend)
    tree = {"mu": value}
    refuses(lambda: infer.tree_model(tree, lambda t: t["mu"].sum(), {"**": bj.Real()}), "mu", mend)
    coords = {"row": many}
    refuses(lambda: infer.model(normal_pair, coords=coords), r"coords\['row'\]", mend)


def test_parameters_inside_other_distributions_with_units_are_refused():
    value = np.ones(2).view(LikeAstropy)
    several = dist.Normal(value, np.ones(2))
    wrapped = [
        several.to_event(1),
        several.mask(True),
        dist.MixtureSameFamily(dist.Categorical(probs=np.ones(2) / 2), several),
        dist.MixtureGeneral(dist.Categorical(probs=np.ones(2) / 2), [dist.Normal(), several]),
        dist.TransformedDistribution(dist.Normal(), dist.transforms.AffineTransform(value, 2.0)),
    ]
    for prior in wrapped:
        model = infer.model(lambda site, prior=prior: site("mu", prior))
        refuses(lambda m=model: infer.log_density(m), "mu", 'x.to_value("km / s")')


@both
def test_joint_distributions_of_tfp_have_no_units(mend):
    tfd, value = load_tfp().distributions, QUANTITIES[mend]
    plain = {"mu": tfd.Normal(0.0, 1.0), "y": lambda mu: tfd.Normal(mu, 1.0)}
    seen = tfd.JointDistributionNamed(plain)
    refuses(lambda: infer.from_tfp(seen, observed={"y": value}), "y", mend)
    for part in (tfd.Normal(value, 1.0), tfd.Sample(tfd.Normal(value, 1.0), 2)):
        joint = tfd.JointDistributionNamed(plain | {"mu": part})
        model = infer.from_tfp(joint, observed={"y": 0.0})
        refuses(lambda m=model: infer.log_density(m), "mu", mend)


@both
def test_starts_with_units_are_refused(mend):
    model = infer.model(lambda site: site("mu", dist.Normal()))
    refuses(lambda: infer.start(model, infer.HMC(), starts={"mu": QUANTITIES[mend]}), "mu", mend)
