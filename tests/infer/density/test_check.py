"""The pre-flight check: for each question, a model that fails only that one."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density.check import CHECKS

RNG = np.random.default_rng(0)


class Stuck(bj.Elementwise):
    """A map whose inverse does not undo it."""

    def image(self, y):
        return bj.bijection(jnp.exp(y), y)

    def inverse(self, x):
        return jnp.log(x) + 1.0


class Outside(Stuck):
    """A map whose values leave the set."""

    def image(self, y):
        return bj.bijection(y - 5.0, jnp.zeros(()))


class Halved(Stuck):
    """A map with a wrong log-determinant."""

    def image(self, y):
        return bj.bijection(jnp.exp(y), 0.5 * y)

    def inverse(self, x):
        return jnp.log(x)


class Square(Stuck):
    """A map with the right log-determinant, of which y and -y have the same value."""

    def image(self, y):
        return bj.bijection(y**2, jnp.log(jnp.abs(2 * y)))

    def inverse(self, x):
        return -jnp.sqrt(x)


@jax.custom_vjp
def exp(y):
    return jnp.exp(y)


exp.defvjp(lambda y: (jnp.exp(y), jnp.exp(y)), lambda value, slope: (slope * value,))


class OfItsOwn(Halved):
    """A map with a derivative of its own, in reverse mode only."""

    def image(self, y):
        return bj.bijection(exp(y), y)


class Folded(Stuck):
    """A map that is many-to-one."""

    @property
    def why_no_log_det(self):
        return "its map folds the line"


def declared(log_density, **supports):
    return infer.declared(log_density, supports or {"x": bj.Positive()})


def mapped(bijector):
    return infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Positive()}, bijectors={"x": bijector})


def no_site(site):
    site.observe("y", dist.Normal(0.0, 1.0), np.zeros(3))


def indexed(site, group):
    site.derive("own", site("level", dist.Normal(0.0, 1.0), shape=(3,))[group])


def blind(v):
    return -(v["x"] ** 2) - jax.lax.stop_gradient(v["z"] ** 2)


BROKEN = {
    "sites": (lambda: infer.model(no_site), "no latent site", "Declare a continuous value"),
    "gathers": (
        lambda: infer.model(indexed, group=np.array([0, 3])),
        "group: the index 3 is out of range",
        "jnp.clip",
    ),
    "log-determinants": (
        lambda: mapped(Folded()),
        "no posterior density",
        "Freeze",
    ),
    "start": (lambda: declared(lambda v: jnp.log(-v["x"])), "log density is nan", "infer.explain"),
    "same": (
        lambda: declared(lambda v: -v["x"] * RNG.uniform()),
        "when run again",
        "random numbers beforehand",
    ),
    "maps": (
        lambda: mapped(Stuck()),
        "x: it changes by 1.0e+00 in a round trip",
        "check_bijector",
    ),
    "slopes": (
        lambda: declared(blind, x=bj.Real(), z=bj.Real()),
        "z: its slope is",
        "stop_gradient",
    ),
    "data": (
        lambda: infer.model(
            lambda site, y: site("x", dist.Normal(0.0, 1.0)), y=np.zeros(3), coords={"k": [1]}
        ),
        "y, k: nothing in the model depends on this",
        "leave it out",
    ),
    "used": (
        lambda: declared(lambda v: -(v["x"] ** 2), x=bj.Real(), z=bj.Real()),
        "z: it has no prior",
        "remove it",
    ),
}


def test_there_is_a_broken_model_for_each_check():
    assert list(BROKEN) == [check.name for check in CHECKS]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_passes_earlier_checks_and_fails_this_one(name):
    make, found, mend = BROKEN[name]
    findings = infer.check(make())
    asked = [check.name for check in CHECKS]
    assert [f.name for f in findings] == asked[: asked.index(name) + 1]
    assert [f.passed for f in findings] == [True] * (len(findings) - 1) + [False]
    assert found in findings[-1].detail
    assert mend in findings[-1].mend
    assert str(findings[-1]).startswith(f"FAILED  {name}: ")


def test_a_value_outside_its_set_is_found():
    last = infer.check(mapped(Outside()))[-1]
    assert last.name == "maps"
    assert "lies outside Positive" in last.detail


def test_a_wrong_log_determinant_is_found():
    last = infer.check(mapped(Halved()))[-1]
    assert (last.name, last.passed) == ("maps", False)
    assert "x: its map has the log-determinant" in last.detail
    assert "but its derivatives give" in last.detail


def test_a_many_to_one_map_is_found():
    """Of the values y and -y of all entries, some do not return."""
    model = infer.model(lambda site: site.param("x", bj.Positive(), shape=8, bijector=Square()))
    last = infer.check(model)[-1]
    assert (last.name, last.passed) == ("maps", False)
    assert "in a round trip" in last.detail


def test_a_map_with_a_derivative_in_reverse_mode_only_passes():
    assert infer.check(mapped(OfItsOwn()))[-1].passed


def test_it_is_said_if_log_determinants_are_not_compared():
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0), shape=101))
    maps = next(f for f in infer.check(model) if f.name == "maps")
    assert maps.detail.endswith("log-determinants not compared: 101 coordinates")


def test_an_error_in_the_users_code_is_a_finding():
    last = infer.check(declared(lambda v: -v["y"]))[-1]
    assert (last.name, last.passed) == ("sites", False)
    assert "KeyError: 'y'" in last.detail
    model = infer.model(
        lambda site, y: site("x", dist.Normal(np.asarray(y).mean(), 1)), y=np.ones(3)
    )
    assert "infer.static" in infer.check(model)[-1].mend


def schools(site, sigma, y):
    mu = site("mu", dist.Normal(0, 5))
    tau = site("tau", dist.HalfCauchy(5))
    share = site.param("share", bj.Simplex(3))
    theta = site("theta", dist.Normal(mu, tau * share[0]), shape=(3,), centered=False)
    site("free", dist.Uniform(0.0, 1.0))
    site("angle", dist.VonMises(0.0, 1.0))
    site.observe("y", dist.Normal(theta, sigma), y)


# Each of the other tests runs some of the checks in double precision.
@pytest.mark.parametrize(
    "precision", [pytest.param(np.float64, marks=pytest.mark.slow), np.float32]
)
def test_a_sound_model_passes_every_check(precision):
    y, sigma = np.array([28.0, 8.0, -3.0], precision), np.array([15.0, 10.0, 16.0], precision)
    with jax.enable_x64(precision is np.float64):
        model = infer.model(schools, sigma=sigma, y=y)
        findings = infer.check(model)
        tempered = infer.check(model.view(likelihood=0.5))
    assert [(f.name, f.passed, f.mend) for f in findings] == [(c.name, True, "") for c in CHECKS]
    assert all(f.passed for f in tempered)
