"""Values with units are refused wherever a model takes numbers, and nothing strips them."""

import equinox as eqx
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

    def to(self, unit):
        return self

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
    for entries in ([value, value], [1.0, value], [[1.0], [2.0, value]]):
        refuses(lambda x=entries: infer.model(seen, x=x), "x", mend)
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


@both
def test_maps_and_degrees_of_centering_with_units_are_refused(mend):
    value = QUANTITIES[mend]
    # The types of the parameters are checked in tests, so that one that is no array fails first.
    if isinstance(value, np.ndarray):
        wide = bj.Affine(value, 2.0)
        functions = [
            lambda site: site("mu", dist.Normal(), bijector=wide),
            lambda site: site.param("mu", bj.Real(), bijector=wide),
        ]
        for function in functions:
            refuses(lambda f=function: infer.log_density(infer.model(f)), "mu", mend)
        maps = {"mu": wide}
        refuses(
            lambda: infer.declared(lambda v: v["mu"], {"mu": bj.Real()}, bijectors=maps), "mu", mend
        )
    model = infer.model(lambda site: site("mu", dist.Normal(np.zeros(2)), centered=value))
    refuses(lambda: infer.log_density(model), "mu", mend)
    leaves = {"mu": infer.Leaf(scale=value)}  # pyright: ignore[reportArgumentType]
    refuses(lambda: infer.tree_model({"mu": np.ones(2)}, lambda t: 0.0, leaves), "mu", mend)


def scaled(value):
    with numpyro.handlers.scale(scale=value):
        numpyro.sample("mu", dist.Normal(np.zeros(2)))


def substituted(value):
    with numpyro.handlers.substitute(data={"mu": value}):
        numpyro.sample("mu", dist.Normal(np.zeros(2)))


def intervened(value):
    with numpyro.handlers.do(data={"mu": value}):
        numpyro.sample("mu", dist.Normal(np.zeros(2)))


NUMPYRO = {
    "param": lambda value: numpyro.param("mu", value),
    "callable": lambda value: numpyro.param("mu", lambda _: value),
    "constraint": lambda value: numpyro.param(
        "mu", np.ones(2), constraint=dist.constraints.interval(0.0, value)
    ),
    "delta": lambda value: numpyro.sample("mu", dist.Delta(value)),
    "scale": scaled,
    "substitute": substituted,
    "do": intervened,
}


@pytest.mark.parametrize("function", NUMPYRO.values(), ids=NUMPYRO)
def test_numbers_of_numpyro_with_units_are_refused(function):
    value = np.ones(2).view(LikeAstropy)

    def theirs():
        function(value)
        numpyro.sample("other", dist.Normal())

    refuses(lambda: infer.log_density(infer.from_numpyro(theirs)), "mu", 'x.to_value("km / s")')


class Band(eqx.Module):
    """A user's own object, of which a remark, called as units are, is part of the program."""

    center: np.ndarray
    unit: str = eqx.field(static=True)

    @property
    def magnitude(self):
        return -2.5 * self.center

    def to(self, device):
        return self


class Star:
    """A user's own object, which no method converts to another unit."""

    units, magnitude = "mag", 2.0


class Unitless(np.ndarray):
    """An array of a library with units that has none."""

    unit = units = None

    def to_value(self, unit):
        return np.asarray(self)


def test_what_only_resembles_a_value_with_units_is_taken():
    band = Band(np.ones(2), "m")

    def steps(site, star):
        site.scan(lambda site, band, _: (band, site("mu", dist.Normal())), band, length=2)
        site("other", dist.Normal(star.magnitude, 1.0))

    assert infer.log_density(infer.model(steps, star=infer.static(Star()))).size == 3
    for x in (np.ones(2).view(Unitless), [1.0, np.ones(()).view(Unitless)]):
        assert infer.log_density(infer.model(seen, x=x)).size == 1
