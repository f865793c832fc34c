"""Freezing, the same for models of every front end."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer

from ...cases import mark_slow

EFFECT = np.array([28.0, 8.0, -3.0])
ERROR = np.array([15.0, 10.0, 16.0])


def native(site, error, effect):
    mu = site("mu", dist.Normal(0.0, 5.0))
    tau = site("tau", dist.HalfCauchy(5.0))
    theta = site("theta", dist.Normal(mu, tau), dims="school")
    site.observe("effect", dist.Normal(theta, error), effect)


def theirs(error, effect):
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("school", 3):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
    numpyro.sample("effect", dist.Normal(theta, error), obs=effect)


def joint(values, data):
    prior = dist.Normal(0.0, 5.0).log_prob(values["mu"])
    prior += dist.HalfCauchy(5.0).log_prob(values["tau"])
    rows = dist.Normal(values["mu"], values["tau"]).log_prob(values["theta"])
    rows += dist.Normal(values["theta"], data["error"]).log_prob(data["effect"])
    return prior + rows.sum()


def likelihood(tree, data):
    return dist.Normal(tree["theta"], data["error"]).log_prob(data["effect"])


DATA = {"error": ERROR, "effect": EFFECT}
COORDS = {"school": ["a", "b", "c"]}
LEAVES = {
    "mu": dist.Normal(0.0, 5.0),
    "tau": dist.HalfCauchy(5.0),
    "theta": infer.Leaf(lambda v: dist.Normal(v["mu"], v["tau"]), dims="school"),
}
SUPPORTS = {"mu": bj.Real(), "tau": bj.Positive(), "theta": bj.Real()}
MODELS = {
    "dsl": lambda: infer.model(native, **DATA, coords=COORDS),
    "numpyro": lambda: infer.from_numpyro(theirs, **DATA, coords=COORDS),
    "declared": lambda: infer.declared(
        joint, SUPPORTS, data=DATA, dims={"theta": "school"}, coords=COORDS
    ),
    "tree": lambda: infer.tree_model(
        {"mu": 0.0, "tau": 1.0, "theta": np.zeros(3)}, likelihood, LEAVES, data=DATA, coords=COORDS
    ),
}
EVERY = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
THETA = jnp.array([1.0, -2.0, 0.5])


@EVERY
def test_a_frozen_site_leaves_the_vector_and_keeps_its_prior(make):
    whole = infer.log_density(make())
    slice_ = infer.log_density(make().freeze(tau=2.0))
    assert slice_.size == whole.size - 1
    assert slice_.labels() == ["mu", "theta[a]", "theta[b]", "theta[c]"]
    position = jnp.concatenate([jnp.array([0.3]), THETA])
    full = whole.unconstrain({"mu": 0.3, "tau": 2.0, "theta": THETA})
    # They differ by the log-determinant of the map of tau alone, log 2.
    np.testing.assert_allclose(slice_(position), whole(full) - np.log(2.0), rtol=1e-12)
    assert "tau" not in slice_.constrain(position)


@EVERY
def test_values_may_be_swept(make):
    model, position = make(), jnp.concatenate([jnp.array([0.3]), THETA])
    grid = np.array([0.5, 1.0, 2.0])
    at = lambda tau: infer.log_density(model.freeze(tau=tau))(position)  # noqa: E731
    alone = jax.jit(at)
    np.testing.assert_allclose(jax.jit(jax.vmap(at))(grid), [alone(t) for t in grid], rtol=1e-12)
    by_hand = lambda tau: joint({"mu": 0.3, "tau": tau, "theta": THETA}, DATA)  # noqa: E731
    slope, whole = jax.jit(lambda tau: (jax.grad(at)(tau), jax.grad(by_hand)(tau)))(1.0)
    np.testing.assert_allclose(slope, whole, rtol=1e-9)


@EVERY
def test_freezing_and_freeing_come_back_to_the_same(make):
    model = make()
    frozen = model.freeze(tau=2.0, mu=0.0)
    assert jax.tree.structure(frozen) == jax.tree.structure(model.freeze(mu=0.0).freeze(tau=2.0))
    assert jax.tree.structure(frozen.free("tau")) == jax.tree.structure(model.freeze(mu=0.0))
    assert jax.tree.structure(frozen.free()) == jax.tree.structure(model)
    assert infer.log_density(frozen.freeze(tau=3.0)).size == 3


@pytest.mark.parametrize("name", mark_slow(MODELS, {"dsl"}))
def test_frozen_sites_are_reported(name):
    make = MODELS[name]
    posterior = infer.sample(make().freeze(tau=2.0), chains=1, draws=5, warmup=20, progress=False)
    assert set(posterior["posterior"].data_vars) == {"mu", "theta"}
    assert float(posterior["constant_data"]["tau"]) == 2.0
    assert posterior.attrs["frozen"] == "tau"
    assert make().freeze(tau=2.0).table().role_of("tau") == "frozen"


def test_globs_freeze_at_known_values():
    model = MODELS["dsl"]()
    at = {"mu": 1.0, "tau": 2.0, "theta": np.zeros(3)}
    assert [s.name for s in infer.log_density(model.freeze("t*", at=at)).latent] == ["mu"]
    both = model.freeze(mu=3.0).freeze("**", at=at).free("tau")
    assert float(both.frozen["mu"]) == 1.0
    only = model.freeze(lambda name: name != "mu", at=at)
    assert [s.name for s in infer.log_density(only).latent] == ["mu"]
    tree = MODELS["tree"]().freeze("ta?", {"mu": 0.5})
    assert (float(tree.frozen["tau"]), float(tree.frozen["mu"])) == (1.0, 0.5)


def test_a_frozen_site_of_a_non_centered_prior():
    def model(site):
        tau = site("tau", dist.HalfNormal(1.0))
        site("theta", dist.Normal(0.0, tau), centered=False)

    d = infer.log_density(infer.model(model).freeze(theta=1.5))
    terms = d.terms(jnp.array([0.2]))
    np.testing.assert_allclose(terms["theta"], dist.Normal(0, np.exp(0.2)).log_prob(1.5))


def test_a_set_that_leans_on_another_site_is_minded_in_the_program():
    def model(site):
        top = site("top", dist.HalfNormal(5.0))
        site("x", dist.Uniform(0.0, top))

    frozen = infer.model(model).freeze(x=2.0)
    d = infer.log_density(frozen)
    # NumPyro warns of values outside a support that it can see: compiled, it sees none.
    value = jax.jit(lambda position: d(position))
    below, above = jnp.log(jnp.array([[1.9], [2.1]]))
    assert value(below) == -np.inf
    np.testing.assert_allclose(d.terms(above)["x"], -np.log(2.1), rtol=1e-12)
    assert np.isfinite(jax.grad(value)(above)).all()
    inside = infer.log_density(infer.model(model).freeze(top=3.0, x=2.0).free("x"))
    assert inside.constrain(jnp.zeros(1))["x"] == 1.5
    with pytest.raises(infer.ModelError, match=r"x: it is frozen at 2\.0.* outside Interval"):
        infer.model(model).freeze(top=1.0, x=2.0)


def test_a_traced_value_outside_its_set_has_no_density():
    model = infer.declared(lambda v: -v["a"] - v["b"], {"a": bj.Positive(), "b": bj.Real()})
    lp = jax.vmap(lambda a: infer.log_density(model.freeze(a=a))(jnp.zeros(1)))
    np.testing.assert_array_equal(lp(jnp.array([1.0, -1.0])), [-1.0, -np.inf])


MISTAKES = [
    (lambda m: m.freeze(sigma=1.0), r"sigma: .*no such latent site.*mu, tau, theta"),
    (lambda m: m.freeze(effect=1.0), r"effect: .*no such latent site"),
    (lambda m: m.freeze(tau=-1.0), r"tau: it is frozen at -1\.0, which lies outside Positive"),
    (lambda m: m.freeze(tau=np.nan), r"tau: it is frozen at nan"),
    (lambda m: m.freeze(theta=1.0), r"theta: .*shape \(\), but the site has \(3,\)\. .*entries"),
    (lambda m: m.freeze(tau="x"), r"tau: it is frozen at 'x'"),
    (lambda m: m.freeze(tau=None), r"tau: it is frozen at None"),
    (lambda m: m.freeze("sig*"), r"'sig\*': it selects no site"),
    (lambda m: m.freeze("tau"), r"tau: no value is known to freeze it at.*at=optimum\.values"),
    (lambda m: m.freeze(), r"freeze: no site is named"),
    (lambda m: m.free("tau"), r"free: no site is frozen"),
    (lambda m: m.freeze(tau=1.0).free("mu"), r"'mu': it selects no site"),
]


@pytest.mark.parametrize(("act", "message"), MISTAKES)
def test_mistakes_are_told_by_name(act, message):
    with pytest.raises(infer.ModelError, match=message):
        act(MODELS["dsl"]())


def test_nothing_left_to_infer_says_what_to_free():
    model = MODELS["dsl"]().freeze(mu=0.0, tau=1.0, theta=np.zeros(3))
    with pytest.raises(infer.ModelError, match="every latent site is frozen.*model.free"):
        infer.log_density(model)


def test_other_data_keep_the_values():
    model = MODELS["dsl"]().freeze(tau=2.0).with_data(effect=EFFECT + 1)
    assert float(model.frozen["tau"]) == 2.0
    assert infer.log_density(model).size == 4


def test_starts_and_prior_draws_skip_frozen_sites():
    model = MODELS["dsl"]().freeze(tau=1e-6)
    d = infer.log_density(model)
    drawn = d.constrain(d.draw_prior(jax.random.key(0)))
    np.testing.assert_allclose(drawn["theta"], np.full(3, drawn["mu"]), atol=1e-4)
    run = infer.start(model, infer.NUTS(), chains=2, starts={"mu": 0.0, "theta": np.zeros(3)})
    assert run.density.size == 4
