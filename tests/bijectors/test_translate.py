"""NumPyro's constraints become our sets; others raise an error with the name of the site."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import bijectors as bj
from bijectors.translate.numpyro import OurSupport, from_numpyro

# Made in the tests: each compiles some programs, and every worker collects all tests.
PAIRS = {
    "Normal": (lambda: dist.Normal(0, 1), bj.Real),
    "HalfCauchy": (lambda: dist.HalfCauchy(1), bj.Positive),
    "Gamma": (lambda: dist.Gamma(1, 1), bj.Positive),
    "Pareto": (lambda: dist.Pareto(2.0, 1.0), bj.GreaterThan),
    "Uniform": (lambda: dist.Uniform(0, 3), bj.Interval),
    "Beta": (lambda: dist.Beta(1, 1), bj.Interval),
    "Dirichlet": (lambda: dist.Dirichlet(jnp.ones(2)), bj.Simplex),
    "Independent": (lambda: dist.HalfNormal(1.0).expand([3]).to_event(1), bj.Positive),
    "LKJCholesky": (lambda: dist.LKJCholesky(3), bj.CorrelationCholesky),
    "LKJ": (lambda: dist.LKJ(3), bj.Correlation),
    "Wishart": (lambda: dist.Wishart(5.0, jnp.eye(3)), bj.PositiveDefinite),
    "VonMises": (lambda: dist.VonMises(0.0, 1.0), bj.Circular),
    "ProjectedNormal": (lambda: dist.ProjectedNormal(jnp.ones(3)), bj.UnitVector),
    "ZeroSumNormal": (lambda: dist.ZeroSumNormal(1.0, (4,)), bj.ZeroSum),
    "normal above": (lambda: dist.TruncatedNormal(0, 1, low=0.5), bj.GreaterThan),
    "normal below": (lambda: dist.TruncatedNormal(0, 1, high=0.5), bj.LessThan),
}


@pytest.mark.parametrize(("make", "kind"), PAIRS.values(), ids=PAIRS)
def test_supports_of_distributions_are_translated(make, kind):
    assert isinstance(from_numpyro(make().support), kind)


def test_bounds_are_translated():
    interval = from_numpyro(dist.Uniform(-1, 3).support)
    assert (float(interval.low), float(interval.high)) == (-1, 3)
    assert from_numpyro(constraints.less_than(2.0)).high == 2.0


DISCRETE = {
    "Poisson": (lambda: dist.Poisson(1.0), bj.Integers),
    "Bernoulli": (lambda: dist.Bernoulli(0.5), bj.Boolean),
    "Binomial": (lambda: dist.BinomialProbs(0.5, 3), bj.Integers),
    "Categorical": (lambda: dist.CategoricalProbs(jnp.ones(3) / 3), bj.Integers),
    "Multinomial": (lambda: dist.MultinomialProbs(jnp.ones(3) / 3, 4), bj.Counts),
}


@pytest.mark.parametrize(("make", "kind"), DISCRETE.values(), ids=DISCRETE)
def test_a_discrete_support_is_a_set_without_a_map(make, kind):
    prior = make()
    constraint = from_numpyro(prior.support)
    assert isinstance(constraint, kind)
    assert np.all(constraint.contains(prior.sample(jax.random.key(0), (20,))))
    with pytest.raises(bj.BijectorError, match=r"k: .*discrete.*sum_out=True"):
        bj.bijector_for(constraint, (3,), where="k")


def test_cat_becomes_a_concatenation():
    joined = from_numpyro(constraints.cat([constraints.positive, constraints.simplex], -1, (2, 3)))
    assert isinstance(joined, bj.Concatenation)
    assert joined.sizes == (2, 3)
    assert [type(part) for part in joined.parts] == [bj.Positive, bj.Simplex]
    with pytest.raises(bj.BijectorError, match=r"cat: .*axis -2"):
        from_numpyro(constraints.cat([constraints.real], -2))


def every_constraint():
    """Yield NumPyro's public constraints, each made with the arguments it needs."""
    arguments = {
        "cat": ([constraints.real, constraints.positive],),
        "greater_than": (0.0,),
        "greater_than_eq": (0.0,),
        "independent": (constraints.real, 1),
        "integer_greater_than": (0,),
        "integer_interval": (0, 3),
        "interval": (0.0, 1.0),
        "open_interval": (0.0, 1.0),
        "less_than": (0.0,),
        "less_than_eq": (0.0,),
        "multinomial": (3,),
        "zero_sum": (1,),
    }
    # `dependent` is a placeholder for unbound distributions; the others are not sets.
    skipped = {"Constraint", "dependent", "is_dependent"}
    names = sorted((set(constraints.__all__) | arguments.keys()) - skipped)
    for name in names:
        made = getattr(constraints, name)
        yield pytest.param(made(*arguments[name]) if name in arguments else made, id=name)


@pytest.mark.parametrize("constraint", list(every_constraint()))
def test_every_constraint_of_numpyro_has_a_translation(constraint):
    assert isinstance(from_numpyro(constraint), bj.Constraint)


def test_an_unknown_support_raises_with_the_known_ones():
    class Unknown(constraints.Constraint):
        is_discrete = False

    with pytest.raises(bj.BijectorError, match=r"L: .*no translation.*constraint=.*Simplex"):
        from_numpyro(Unknown(), "L")


def test_our_set_can_be_the_support_of_a_distribution():
    support = OurSupport(bj.Simplex())
    assert from_numpyro(support) == bj.Simplex()
    assert from_numpyro(constraints.independent(support, 1)) == bj.Simplex()
    assert support(np.array([0.25, 0.75]))
    assert jax.tree.leaves(OurSupport(bj.GreaterThan(2.0))) == [2.0]
