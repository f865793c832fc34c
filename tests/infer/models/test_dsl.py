"""The native front end: names, shapes, plates, scopes and the log density."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer

from ...cases import mark_slow

SCHOOLS = ["Choate", "Deerfield", "Phillips"]
Y, SIGMA = np.array([28.0, 8.0, -3.0]), np.array([15.0, 10.0, 16.0])


def schools(site, sigma, y, centered=True):
    mu = site("mu", dist.Normal(0, 5))
    tau = site("tau", dist.HalfCauchy(5))
    theta = site("theta", dist.Normal(mu, tau), dims="school", centered=centered)
    site.derive("spread", theta - mu, dims="school")
    site.factor("penalty", -0.1 * tau)
    site.observe("y", dist.Normal(theta, sigma), y, dims="school")


def density(centered):
    model = infer.model(schools, sigma=SIGMA, y=Y, centered=centered, coords={"school": SCHOOLS})
    return infer.log_density(model)


def by_hand(mu, tau, theta):
    return (
        stats.norm.logpdf(mu, 0, 5)
        + stats.halfcauchy.logpdf(tau, 0, 5)
        + stats.norm.logpdf(theta, mu, tau).sum()
        - 0.1 * tau
        + stats.norm.logpdf(Y, theta, SIGMA).sum()
    )


@pytest.mark.parametrize("centered", [True, False])
def test_the_log_density_equals_the_textbook_formula(centered):
    d = density(centered)
    mu, log_tau, rest = 1.2, -0.4, np.array([0.3, -1.0, 2.0])
    tau = np.exp(log_tau)
    theta = rest if centered else mu + tau * rest
    log_det = log_tau + (0 if centered else 3 * log_tau)
    position = jnp.array([mu, log_tau, *rest])
    np.testing.assert_allclose(d(position), by_hand(mu, tau, theta) + log_det, rtol=1e-12)
    without = infer.log_density(d.model, jacobian=False)
    np.testing.assert_allclose(without(position), by_hand(mu, tau, theta), rtol=1e-12)


def test_terms_and_labels_have_the_names_of_sites():
    d = density(True)
    terms = d.terms(jnp.zeros(5))
    assert list(terms) == ["mu", "tau", "theta", "penalty", "y", "jacobian"]
    np.testing.assert_allclose(sum(terms.values()), d(jnp.zeros(5)), rtol=1e-12)
    assert d.labels() == ["mu", "tau", *(f"theta[{name}]" for name in SCHOOLS)]


def test_unconstrain_inverts_constrain():
    d = density(False)
    position = jnp.array([1.2, -0.4, 0.3, -1.0, 2.0])
    values = d.constrain(position)
    np.testing.assert_allclose(values["spread"], values["theta"] - values["mu"])
    latent = {name: values[name] for name in ("mu", "tau", "theta")}
    np.testing.assert_allclose(d.unconstrain(latent), position, rtol=1e-10)


def test_non_centering_is_accurate_at_a_small_scale():
    """theta rounds to mu + tau z with tau far below one unit in mu's last place."""

    def far(site):
        theta = site("theta", dist.Normal(1e6, 1e-12), centered=False)
        del theta

    d = infer.log_density(infer.model(far))
    z = jnp.array([0.7])
    np.testing.assert_allclose(d(z), stats.norm.logpdf(0.7), rtol=1e-12)


def test_plates_are_the_rightmost_batch_axes():
    def nested(site):
        with site.plate("school", 3):
            mean = site("mean", dist.Normal(0, 1))
            with site.plate("pupil", 2):
                score = site("score", dist.Normal(mean, 1))
                site("vector", dist.Dirichlet(jnp.ones(4)))
        site.derive("sum", score.sum())

    sites = {s.name: s for s in infer.log_density(infer.model(nested)).sites}
    assert (sites["mean"].shape, sites["mean"].dims) == ((3,), ("school",))
    assert (sites["score"].shape, sites["score"].dims) == ((2, 3), ("pupil", "school"))
    assert (sites["vector"].shape, sites["vector"].dims) == (
        (2, 3, 4),
        ("pupil", "school", None),
    )
    assert sites["vector"].unconstrained_shape == (2, 3, 3)


def test_an_axis_may_have_one_entry():
    def model(site):
        with site.plate("group", 1):
            site("a", dist.Normal())
        site("b", dist.Normal(jnp.zeros(1)), dims="row")
        site("c", dist.Normal(), shape=(1,), dims="column")
        site("d", dist.Dirichlet(jnp.ones((3, 1))), dims=(None, "kind"))

    sites = infer.log_density(infer.model(model)).sites
    assert [(site.shape, site.dims) for site in sites] == [
        ((1,), ("group",)),
        ((1,), ("row",)),
        ((1,), ("column",)),
        ((3, 1), (None, "kind")),
    ]


def test_a_submodel_can_be_used_twice_in_scopes():
    def layer(site, width):
        return site("w", dist.Normal(0, 1), shape=(width,))

    def network(site, width):
        layer(site.scope("first"), width)
        layer(site.scope("second"), width)

    names = [s.name for s in infer.log_density(infer.model(network, width=2)).sites]
    assert names == ["first.w", "second.w"]


def test_a_site_may_have_a_constraint_and_no_prior():
    def flat(site):
        scale = site.param("scale", bj.Positive(), shape=(2,))
        site.factor("term", -scale.sum())

    d = infer.log_density(infer.model(flat))
    np.testing.assert_allclose(d(jnp.array([0.0, 1.0])), -1 - np.e + 1, rtol=1e-12)


def test_a_support_may_depend_on_earlier_values():
    def triangle(site):
        high = site("high", dist.HalfNormal(1.0))
        site("x", dist.Uniform(0.0, high))

    d = infer.log_density(infer.model(triangle))
    position = jnp.array([0.3, -0.8])
    high = np.exp(0.3)
    logistic = 0.3 + stats.logistic.logpdf(-0.8)
    expected = stats.halfnorm.logpdf(high) + 0.3 - np.log(high) + logistic
    np.testing.assert_allclose(d(position), expected, rtol=1e-12)


def chain_of_supports(sample):
    """Each site lies within bounds that the sites before it give."""
    a = sample("a", dist.HalfNormal(2.0))
    b = sample("b", dist.Uniform(0.0, a))
    c = sample("c", dist.TruncatedNormal(b, 1.5, low=b, high=a + b))
    d = sample("d", dist.TruncatedNormal(0.0, 2.0, high=-c))
    e = sample("e", dist.Pareto(c, 2.0))
    sample("f", dist.DoublyTruncatedPowerLaw(-0.5, a, a + e))
    sample("g", dist.DoublyTruncatedPowerLaw(jnp.asarray(-1.0), -d, e - d))


def density_of_chain(v):
    a, b, c, d, e, f, g = (v[name] for name in "abcdefg")
    width = 2 * (np.sqrt(a + e) - np.sqrt(a))
    return (
        stats.halfnorm.logpdf(a, 0, 2)
        - np.log(a)
        + stats.truncnorm.logpdf(c, 0, a / 1.5, b, 1.5)
        + stats.truncnorm.logpdf(d, -np.inf, -c / 2, 0, 2)
        + stats.pareto.logpdf(e, 2.0, scale=c)
        - 0.5 * np.log(f * width**2)
        - np.log(g * np.log((e - d) / -d))
    )


@pytest.mark.parametrize("front", ["dsl", "numpyro"])
def test_gradients_include_how_supports_move(front):
    """In NumPyro 0.22 the slopes of a truncated power law in its bounds are wrong."""
    model = (
        infer.model(chain_of_supports)
        if front == "dsl"
        else infer.from_numpyro(lambda: chain_of_supports(numpyro.sample))
    )
    density = infer.log_density(model)
    together = lambda y: jnp.stack(list(density.constrain(y).values()))  # noqa: E731
    jacobian, constrain = jax.jit(jax.jacfwd(together)), jax.jit(density.constrain)
    both = jax.jit(jax.value_and_grad(density))

    def by_hand(y):
        log_det = np.linalg.slogdet(jacobian(y))[1]
        return density_of_chain(jax.device_get(constrain(y))) + log_det

    for y in np.random.default_rng(1).normal(0, 0.8, (3, 7)):
        value, gradient = both(y)
        steps = 1e-5 * np.eye(7)
        slopes = [(by_hand(y + step) - by_hand(y - step)) / 2e-5 for step in steps]
        np.testing.assert_allclose(value, by_hand(y), rtol=1e-10)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)


POWER_LAWS = {
    "masked": lambda law: law.mask(jnp.asarray(True)),
    "of rows": lambda law: law.expand([2]).mask(jnp.ones(2, bool)).to_event(1),
    "mixture": lambda law: dist.MixtureGeneral(
        dist.Categorical(probs=jnp.ones(2) / 2), [law, law], support=law.support
    ),
}


@pytest.mark.parametrize("front", ["dsl", "numpyro"])
@pytest.mark.parametrize("name", mark_slow(POWER_LAWS, {"mixture"}))
def test_slopes_of_power_laws_inside_other_distributions_are_right(name, front):
    """The density is x^(-1/2) / (2 (2 - sqrt(low))); in low, NumPyro 0.22 has another slope."""
    rows = 2 if name == "of rows" else 1
    seen = jnp.full(rows, 2.0) if rows == 2 else jnp.asarray(2.0)

    def law(low):
        return POWER_LAWS[name](dist.DoublyTruncatedPowerLaw(-0.5, low, 4.0))

    def ours(site):
        low = site.param("low", bj.Interval(0.5, 1.5))
        site.observe("x", law(low), seen)

    def theirs():
        constraint = dist.constraints.interval(0.5, 1.5)
        low = numpyro.param("low", 1.0, constraint=constraint)
        numpyro.sample("x", law(low), obs=seen)

    model = infer.model(ours) if front == "dsl" else infer.from_numpyro(theirs)
    density = infer.log_density(model, jacobian=False)
    value, (slope,) = jax.jit(density.evaluate)(jnp.zeros(1))
    np.testing.assert_allclose(value, -rows * np.log(2 * np.sqrt(2)), rtol=1e-12)
    # At zero, the interval's map has the slope 1/4.
    np.testing.assert_allclose(slope, rows / 8, rtol=1e-12)


def test_an_observation_outside_a_power_law_has_density_zero():
    law = dist.DoublyTruncatedPowerLaw(-0.5, 1.0, 2.0)
    model = infer.model(lambda site: site.observe("x", law, site("y", dist.Normal()) + 5.0))
    assert infer.log_density(model)(jnp.zeros(1)) == -jnp.inf


def test_a_bijector_may_be_chosen_at_a_site():
    def soft(site):
        site("tau", dist.HalfNormal(1.0), bijector="softplus")

    value = infer.log_density(infer.model(soft)).constrain(jnp.zeros(1))["tau"]
    np.testing.assert_allclose(value, np.log(2))


# Priors are made in the tests: each compiles some programs, and every worker collects all tests.
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (dist.LogNormal, (0.3, 0.7)),
        (dist.Gamma, (2.5, 0.8)),
        (dist.Dirichlet, (np.array([0.5, 2.0, 3.0]),)),
        (dist.LKJCholesky, (4, 1.7)),
        (dist.LKJ, (4, 1.7)),
        (dist.Beta, (0.3, 2.0)),
        (dist.Beta, (np.array([0.3, 2.0]), 0.7)),
        (dist.Wishart, (5.5, np.array([[2.0, 0.3], [0.3, 1.0]]))),
        (dist.WishartCholesky, (5.5, np.array([[2.0, 0.3], [0.3, 1.0]]))),
        (dist.Wishart, (np.arange(3.0, 6.0), np.stack([np.eye(2), 2 * np.eye(2), np.eye(2)]))),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_log_space_formulae_agree_with_numpyro(kind, parameters):
    prior = kind(*parameters)
    d = infer.log_density(infer.model(lambda site: site("x", prior)))
    position = np.linspace(-1.0, 0.6, d.size)

    @jax.jit
    def evaluate(position):
        return d.terms(position)["x"], prior.log_prob(d.constrain(position)["x"]).sum()

    found, wanted = evaluate(position)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_log_space_formulae_stay_finite_if_the_value_underflows():
    d = infer.log_density(infer.model(lambda site: site("x", dist.Gamma(2.0, 1.0))))
    value, gradient = jax.jit(d.evaluate)(np.array([-800.0]))
    np.testing.assert_allclose(value, -1600.0)
    np.testing.assert_allclose(gradient, [2.0])


@pytest.mark.parametrize(
    ("kind", "parameters", "position"),
    [
        (dist.Beta, (0.5, 0.5), [-800.0]),
        (dist.Beta, (0.5, 0.5), [800.0]),
        (dist.Dirichlet, (np.ones(3),), [900.0, -900.0]),
        (dist.Wishart, (3.0, np.eye(2)), [-400.0, 0.0, -400.0]),
        (dist.WishartCholesky, (3.0, np.eye(2)), [-800.0, 0.0, -800.0]),
        (dist.LKJCholesky, (3, 2.0), [400.0, 400.0, 400.0]),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_prior_and_its_gradient_stay_finite_in_the_tails(kind, parameters, position):
    prior = kind(*parameters)
    d = infer.log_density(infer.model(lambda site: site("x", prior)))
    value, gradient = jax.jit(d.evaluate)(np.array(position))
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_a_formula_is_not_used_on_another_set():
    def narrowed(site):
        site("x", dist.Beta(0.3, 2.0), constraint=bj.Interval(0.2, 0.7))

    d = infer.log_density(infer.model(narrowed))
    position = jnp.array([0.4])
    value = d.constrain(position)["x"]
    np.testing.assert_allclose(d.terms(position)["x"], dist.Beta(0.3, 2.0).log_prob(value))


def test_data_are_leaves_and_whole_numbers_are_not():
    model = infer.model(schools, sigma=SIGMA, y=[28.0, 8.0, -3.0], centered=True, coords={})
    leaves = jax.tree.leaves(model)
    assert sorted(leaf.shape for leaf in leaves) == [(3,), (3,)]
    changed = model.with_data(y=Y + 1)
    assert jax.tree.structure(changed) == jax.tree.structure(model)
    marked = infer.model(lambda site, n: site("x", dist.Normal(n, 1)), n=infer.data(3))
    assert len(jax.tree.leaves(marked)) == 1


def test_equal_values_of_different_types_are_different_programs():
    """1, True and 1.0 are equal, but a function may distinguish them."""
    seen = []

    def told(site, flag):
        seen.append(type(flag))
        site("x", dist.Normal(0.0, 1.0))

    for flag in (1, True, infer.static(1.0)):
        infer.log_density(infer.model(told, flag=flag))
    assert seen == [int, bool, float]


def test_with_data_keeps_leaves_leaves_and_statics_static():
    model = infer.model(
        lambda site, n, power: site("x", dist.Normal(n, 1 + power)),
        n=infer.data(3),
        power=infer.static(2.0),
    )
    changed = model.with_data(n=4)
    assert jax.tree.structure(changed) == jax.tree.structure(model)
    assert changed.data.tree()["power"] == 2.0
    assert isinstance(changed.data.tree()["power"], float)


def test_data_may_be_replaced_by_none_and_back():
    model = infer.model(schools, sigma=SIGMA, y=Y, centered=True)
    back = model.with_data(y=None).with_data(y=Y)
    assert jax.tree.structure(back) == jax.tree.structure(model)


@pytest.mark.parametrize(
    ("value", "leaves"),
    [([1.0, 2.0], 1), ([[1, 2], [3, 4]], 1), ((2, 3), 0), ({"a": [1.0, 2.0], "n": 3}, 1), ("x", 0)],
)
def test_lists_are_arrays_and_tuples_are_trees(value, leaves):
    model = infer.model(lambda site, d: site("x", dist.Normal(0, 1)), d=value)
    assert len(jax.tree.leaves(model)) == leaves


@pytest.mark.parametrize("group", [np.array([0, 2, 1]), [0, 2, 1]])
def test_numpy_takes_a_static_array(group):
    def levels(site, group, y):
        level = site("level", dist.Normal(0, 1), shape=(len(np.unique(group)),))
        site.observe("y", dist.Normal(level[group], 1), y)

    model = infer.model(levels, group=infer.static(group), y=np.zeros(3))
    assert infer.log_density(model).size == 3
    assert set(model.constants()) == {"group", "y"}
    same, other = model.with_data(group=group), model.with_data(group=[0, 1, 1])
    assert jax.tree.structure(same) == jax.tree.structure(model)
    assert jax.tree.structure(other) != jax.tree.structure(model)
    assert infer.log_density(other).size == 2


def test_data_that_are_neither_arrays_nor_hashable_are_refused():
    with pytest.raises(infer.ModelError, match=r"d: a set is neither"):
        infer.model(lambda site, d: None, d={1, 2})


def test_a_traced_value_cannot_be_static():
    def make(power):
        return infer.model(lambda site, power: None, power=infer.static(power))

    with pytest.raises(infer.ModelError, match="power: it is static, so"):
        jax.jit(make)(2.0)


MAPS = {
    "affine": {"bijector": bj.Affine(2.0, 0.1)},
    "bounded": {"constraint": bj.GreaterThan(1.0), "bijector": "softplus"},
}


@pytest.mark.parametrize("name", MAPS)
def test_a_chosen_map_does_not_change_the_priors_density(name):
    def model(site):
        site("x", dist.Normal(-1.0, 3.0), **MAPS[name])

    d, position = infer.log_density(infer.model(model)), jnp.array([0.7])
    truth = dist.Normal(-1.0, 3.0).log_prob(d.constrain(position)["x"])
    np.testing.assert_allclose(d.terms(position)["x"], truth, rtol=1e-12)


def test_sizes_that_coords_give_are_part_of_the_program():
    def walk(site):
        site("z", dist.Normal(0.0, 1.0), dims="k")

    three, five = (infer.model(walk, coords={"k": range(n)}) for n in (3, 5))
    assert infer.log_density(three).size == 3
    assert infer.log_density(five).size == 5
    longer = three.with_coords(k=range(4))
    assert infer.log_density(longer).size == 4
    draws = [infer.sample_prior(model, 2)["prior"]["z"].shape for model in (three, five, longer)]
    assert draws == [(1, 2, 3), (1, 2, 5), (1, 2, 4)]
    assert jax.tree.structure(three) == jax.tree.structure(three.with_coords(k=["a", "b", "c"]))


@pytest.mark.parametrize("values", [np.array(3), [[1, 2], [3, 4]]])
def test_coords_that_are_not_one_dimensional_are_refused(values):
    with pytest.raises(infer.ModelError, match=r"coords\['k'\]: .* axes"):
        infer.model(lambda site: None, coords={"k": values})
