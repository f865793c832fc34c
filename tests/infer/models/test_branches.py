"""Sites inside branches have the log density of the branch that is taken, for every reader."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray
from jax.scipy import stats
from numpyro import handlers
from numpyro.contrib.control_flow import cond, scan
from numpyro.infer.util import log_density as their_log_density

import bijectors as bj
import infer

from ...cases import mark_slow

Y = np.array([0.3, -0.2, 1.1])


def two_worlds(site, y, centered=True):
    """One world has noisy levels of its own scale, the other heavy tails and less noise."""
    z = site("z", dist.Normal(0.0, 1.0))

    def narrow(site, shift):
        scale = site("scale", dist.Gamma(2.0, 1.0))
        x = site("x", dist.Normal(shift, scale), centered=centered)
        site.observe("y", dist.Normal(x, 1.0), y)
        site.factor("pull", -0.1 * x**2)
        return site.derive("double", 2 * x)

    def heavy(site, shift):
        x = site("x", dist.StudentT(4.0, shift, 2.0), centered=centered)
        site.observe("y", dist.Laplace(x, 0.5), y)
        return site.derive("double", 3 * x)

    site.derive("out", site.cond(z > 0.3, narrow, heavy, 0.5 * z))


def by_hand(values, y):
    """Compute the log density of the values; `scale` has its prior in both worlds."""
    z, scale, x = values["z"], values["scale"], values["x"]
    both = stats.norm.logpdf(z) + stats.gamma.logpdf(scale, 2.0)
    narrow = stats.norm.logpdf(x, 0.5 * z, scale) + stats.norm.logpdf(y, x).sum() - 0.1 * x**2
    heavy = stats.t.logpdf(x, 4.0, 0.5 * z, 2.0) + stats.laplace.logpdf(y, x, 0.5).sum()
    return both + jnp.where(z > 0.3, narrow, heavy)


SIDES = pytest.mark.parametrize("z", [0.8, -0.6])
POSITIONS = jnp.array([[0.8, -0.4, 0.7], [-0.6, -0.4, 0.7]])


@pytest.fixture(scope="module")
def worlds():
    return infer.model(two_worlds, y=Y)


@pytest.mark.parametrize("centered", [True, False])
def test_log_density_and_gradient_are_those_of_a_declared_density(centered):
    """Each side of the jump of the density in `z`, which no gradient sees."""

    def truth(values, y):
        z, scale, raw = values["z"], values["scale"], values["x"]
        spread = jnp.where(z > 0.3, scale, 2.0)
        x = raw if centered else 0.5 * z + spread * raw
        jacobian = 0.0 if centered else jnp.log(spread)
        return by_hand({"z": z, "scale": scale, "x": x}, y) + jacobian

    supports = {"z": bj.Real(), "scale": bj.Positive(), "x": bj.Real()}
    theirs = infer.log_density(infer.declared(truth, supports, data=Y))
    ours = infer.log_density(infer.model(two_worlds, y=Y, centered=centered))
    compute = lambda density: jax.jit(jax.vmap(jax.value_and_grad(density)))(POSITIONS)  # noqa: E731
    for own, other in zip(compute(ours), compute(theirs), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)


@pytest.mark.slow
@SIDES
def test_values_and_terms_are_those_of_the_branch(worlds, z):
    density, position = infer.log_density(worlds), jnp.array([z, -0.4, 0.7])
    values, terms = density.constrain(position), density.terms(position)
    np.testing.assert_allclose(values["double"], (2 if z > 0.3 else 3) * 0.7, rtol=1e-14)
    np.testing.assert_allclose(values["out"], values["double"], rtol=1e-14)
    assert list(terms) == ["z", "scale", "x", "y", "pull", "jacobian"]
    noise = stats.norm.logpdf(Y, 0.7) if z > 0.3 else stats.laplace.logpdf(Y, 0.7, 0.5)
    np.testing.assert_allclose(terms["y"], noise.sum(), rtol=1e-12)
    np.testing.assert_allclose(terms["pull"], -0.049 if z > 0.3 else 0.0, rtol=1e-12)
    latent = {name: values[name] for name in ("z", "scale", "x")}
    np.testing.assert_allclose(density.unconstrain(latent), position, rtol=1e-12)
    np.testing.assert_allclose(density.of(latent), density(position), rtol=1e-12)


@pytest.mark.slow
def test_draws_follow_the_branch(worlds):
    """4000 draws of the prior and 500 of each branch; means and variances within 5 errors."""
    drawn = infer.sample_prior(worlds, 4000, key=1)
    prior = {name: np.asarray(values)[0] for name, values in drawn["prior"].items()}
    y = np.asarray(drawn["prior_predictive"]["y"])[0]
    is_narrow = prior["z"] > 0.3
    factor = np.where(is_narrow, 2.0, 3.0)
    np.testing.assert_allclose(prior["double"], factor * prior["x"], rtol=1e-12)
    noise = y - prior["x"][:, None]
    np.testing.assert_allclose(noise[is_narrow].std(), 1.0, rtol=0.05)
    np.testing.assert_allclose(noise[~is_narrow].std(), np.sqrt(0.5), rtol=0.07)
    scaled = ((prior["x"] - 0.5 * prior["z"]) / prior["scale"])[is_narrow]
    np.testing.assert_allclose(scaled.std(), 1.0, rtol=0.12)
    np.testing.assert_allclose(prior["scale"][~is_narrow].mean(), 2.0, atol=0.15)
    z = np.tile([0.8, -0.6], (1, 500))
    posterior = {"z": z, "scale": np.ones((1, 1000)), "x": 10 * z}
    given = xarray.Dataset({name: (("chain", "draw"), own) for name, own in posterior.items()})
    again = np.asarray(infer.predict(worlds, {"posterior": given})["posterior_predictive"]["y"])[0]
    np.testing.assert_allclose(again[::2].std(), 1.0, rtol=0.1)
    np.testing.assert_allclose((again - 10 * z[0][:, None])[1::2].std(), np.sqrt(0.5), rtol=0.13)


@pytest.mark.slow
@SIDES
def test_changes_of_a_model_reach_its_branches(worlds, z):
    values = {"z": jnp.asarray(z), "scale": jnp.asarray(0.7), "x": jnp.asarray(0.4)}
    whole = by_hand(values, Y)
    frozen = infer.log_density(worlds.freeze(z=z, x=0.4), jacobian=False)
    np.testing.assert_allclose(frozen(jnp.log(values["scale"])[None]), whole, rtol=1e-12)
    done = infer.log_density(worlds.do(x=0.4), jacobian=False)
    position = jnp.array([z, np.log(0.7)])
    x_term = stats.norm.logpdf(0.4, 0.5 * z, 0.7) if z > 0.3 else stats.t.logpdf(0.4, 4, 0.5 * z, 2)
    np.testing.assert_allclose(done(position), whole - x_term, rtol=1e-12)
    tempered = infer.log_density(worlds.view(likelihood=0.0), jacobian=False)
    position = jnp.array([z, np.log(0.7), 0.4])
    expected = whole - infer.log_density(worlds).terms(position)["y"].sum()
    np.testing.assert_allclose(tempered(position), expected, rtol=1e-12)


def test_a_branch_that_is_not_taken_spoils_no_gradient():
    def guarded(site):
        z = site("z", dist.Normal(0.0, 1.0))
        site.cond(z > 0, lambda site: site.factor("f", jnp.log(z)), lambda site: None)

    density = infer.log_density(infer.model(guarded))
    positions = jnp.array([[-0.5], [0.5]])
    found = jax.vmap(jax.grad(density))(positions)[:, 0]
    np.testing.assert_allclose(found, [0.5, -0.5 + 2.0], rtol=1e-12)


@pytest.mark.slow
def test_a_switch_in_plates_scopes_and_other_branches():
    """The set of `x` depends on the branch, and one branch has branches of its own."""
    y = np.arange(4.0).reshape(2, 2)

    def function(site, y, which):
        with site.plate("row", 2):
            inner = site.scope("in")

            def above(site):
                return site("x", dist.TruncatedNormal(0.0, 1.0, low=jnp.array([0.5, 1.0])))

            def uniform(site):
                low = site("low", dist.Normal(0.0, 1.0))
                return site("x", dist.TruncatedNormal(0.0, 2.0, low=low))

            def nested(site):
                return site.cond(which > 3, uniform, above)

            x = inner.switch(which, [above, uniform, nested])
            site.observe("y", dist.Normal(x, 1.0), y)

    low, z = np.array([0.3, -0.2]), np.array([0.1, 0.6])
    high = [0.5, 1.0]
    for which, bound, scale in [(2, high, 1.0), (9, low, 2.0)]:
        density = infer.log_density(infer.model(function, y=y, which=jnp.asarray(which)))
        x = np.asarray(bound) + np.exp(z)
        tail = 1 - jax.scipy.stats.norm.cdf(np.asarray(bound) / scale)
        truth = (stats.norm.logpdf(x, 0.0, scale) - jnp.log(tail)).sum() + z.sum()
        truth += stats.norm.logpdf(low).sum() + stats.norm.logpdf(y, x).sum()
        found = density(jnp.concatenate([low, z]))
        np.testing.assert_allclose(found, truth, rtol=1e-10)
        assert [site.name for site in density.latent] == ["in.low", "in.x"]
        assert {site.dims for site in density.latent} == {("row",)}


def test_a_step_of_a_scan_may_have_branches():
    def regimes(site, y):
        def step(site, level, y):
            def jump(site):
                return site("level", dist.Cauchy(level, 1.0))

            def stay(site):
                return site("level", dist.Normal(level, 0.1))

            level = site.cond(y > 0, jump, stay)
            site.observe("y", dist.Normal(level, 1.0), y)
            return level, None

        site.scan(step, jnp.zeros(()), y)

    density = infer.log_density(infer.model(regimes, y=Y))
    level, before = np.array([0.4, 0.5, -0.3]), np.array([0.0, 0.4, 0.5])
    steps = np.where(
        Y > 0, stats.cauchy.logpdf(level, before), stats.norm.logpdf(level, before, 0.1)
    )
    truth = steps.sum() + stats.norm.logpdf(Y, level).sum()
    np.testing.assert_allclose(density(jnp.asarray(level)), truth, rtol=1e-12)


@pytest.mark.slow
def test_the_posterior_of_the_branch_is_exact():
    """Models of data by one normal or another: 4 chains of 500 draws, odds within 5 errors."""

    def which_normal(site, y):
        u = site("u", dist.Uniform(0.0, 1.0))
        near = lambda site: site.observe("y", dist.Normal(0.0, 1.0), y)  # noqa: E731
        far = lambda site: site.observe("y", dist.Normal(1.0, 1.0), y)  # noqa: E731
        site.cond(u < 0.5, near, far)

    odds = np.exp((stats.norm.logpdf(Y) - stats.norm.logpdf(Y, 1.0)).sum())
    engine = infer.Slice()
    posterior = infer.sample(infer.model(which_normal, y=Y), engine, draws=500, progress=False)
    share = float((posterior["posterior"]["u"] < 0.5).mean())
    np.testing.assert_allclose(share, odds / (1 + odds), atol=0.07)


def refused(true, false, words, predicate: Any = True):
    def function(site):
        site("mu", dist.Normal(0.0, 1.0))
        site.cond(predicate, true, false)

    with pytest.raises(infer.ModelError, match=words):
        infer.log_density(infer.model(function))


def normal(name, shape=()):
    return lambda site: site(name, dist.Normal(0.0, 1.0), shape=shape)


def nothing(site):
    return jnp.zeros(())


def observing(y):
    def branch(site):
        site.observe("y", dist.Normal(0.0, 1.0), y)

    return branch


def both(first, second):
    return lambda site: (first(site), second(site))[0]


def test_branches_that_do_not_fit_are_refused():
    positive = lambda site: site("x", dist.HalfNormal(1.0))  # noqa: E731
    flat = lambda site: site.param("x", bj.Real())  # noqa: E731
    discrete = lambda site: site("k", dist.Bernoulli(0.5), sum_out=True)  # noqa: E731
    scanning = lambda site: site.scan(lambda s, c, x: (c, None), 0.0, length=2)[0]  # noqa: E731
    derive = lambda site: site.derive("d", jnp.zeros(()))  # noqa: E731
    refused(normal("x"), positive, "x: its set is Real in one branch, and Positive")
    refused(normal("x"), normal("x", (2,)), r"x: its shape is \(\) in one branch, and \(2,\)")
    refused(flat, nothing, "x: it is without a prior, and some branches .*site.name, prior")
    refused(observing(Y), lambda site: None, r"y: it is observed, and .*prior\.mask\(False\)")
    refused(observing(Y), observing(Y[:2]), r"y: its shape is \(3,\) .*\(2,\)")
    refused(derive, nothing, "d: it is derived, and some branches .*jnp.nan")
    refused(normal("mu"), nothing, "mu: the name is declared twice")
    refused(discrete, nothing, "k: it is a discrete site .* a mixture")
    refused(scanning, lambda site: 0.0, "scan: it is inside a branch.*site.cond")
    refused(normal("x"), lambda site: jnp.zeros(2), "cond: its branches return .*jax.lax.cond")
    refused(nothing, nothing, r"cond: its predicate has shape \(2,\).*jnp.where", Y[:2] > 0)
    swapped = both(normal("b"), normal("a"))
    refused(both(normal("a"), normal("b")), swapped, "a: two branches declare it and 'b'")


@pytest.mark.parametrize(
    ("branches", "words"),
    [
        ([], "no branch is given"),
        (nothing, "a function is given for its branches"),
        ([nothing, 2.0], r"a float is given for its branches.*branch\(site, \*operands\)"),
        ([nothing, lambda site: "text"], "what a branch returns holds strings, such as 'text'"),
    ],
)
def test_what_is_no_branch_is_refused(branches, words):
    with pytest.raises(infer.ModelError, match=f"switch: {words}"):
        infer.log_density(infer.model(lambda site: site.switch(0, branches)))


TRANSFORMED = {
    "cond": lambda f: jax.lax.cond(True, f, lambda x: x, 0.0),
    "switch": lambda f: jax.lax.switch(0, [f, lambda x: x], 0.0),
    "scan": lambda f: jax.lax.scan(lambda c, _: (f(c), None), 0.0, length=2),
    "fori_loop": lambda f: jax.lax.fori_loop(0, 2, lambda _, c: f(c), 0.0),
    "while_loop": lambda f: jax.lax.while_loop(lambda c: c < 1, f, 0.0),
    "map": lambda f: jax.lax.map(f, jnp.zeros(2)),
    "vmap": lambda f: jax.vmap(f)(jnp.zeros(2)),
    "jit": lambda f: jax.jit(f)(0.0),
    "grad": lambda f: jax.grad(f)(0.0),
    "checkpoint": lambda f: jax.checkpoint(f)(0.0),
}


@pytest.mark.parametrize("name", mark_slow(TRANSFORMED, {"cond", "while_loop", "vmap"}))
def test_sites_inside_other_transformations_are_refused(name):
    transform = TRANSFORMED[name]
    ours = infer.model(lambda site: transform(lambda x: site("x", dist.Normal(x, 1.0))))
    with pytest.raises(infer.ModelError, match=r"x: .*site\.cond .*site\.scan .*site\.plate"):
        infer.log_density(ours)
    sample = lambda x: numpyro.sample("x", dist.Normal(x, 1.0))  # noqa: E731
    theirs = infer.from_numpyro(lambda: transform(sample))
    with pytest.raises(infer.ModelError, match=r"x: .*numpyro\.contrib\.control_flow"):
        infer.log_density(theirs)


def test_plates_inside_vmap_are_refused_at_their_sites():
    def ours(site):
        def group(mean):
            with site.plate("row", 2):
                return site("x", dist.Normal(mean, 1.0))

        jax.vmap(group)(jnp.zeros(3))

    def theirs():
        def group(mean):
            with numpyro.plate("row", 2):
                return numpyro.sample("x", dist.Normal(mean, 1.0))

        jax.vmap(group)(jnp.zeros(3))

    for model in (infer.model(ours), infer.from_numpyro(theirs)):
        with pytest.raises(infer.ModelError, match=r"x: .*plate .*in place of .*vmap"):
            infer.log_density(model)


def clusters(y):
    """The example of NumPyro's documentation of `cond`, with data and a derived value."""
    cluster: Any = numpyro.sample("cluster", dist.Normal())

    def branch(mean):
        def run(scale):
            x = numpyro.sample("x", dist.Normal(mean, scale))
            numpyro.deterministic("double", 2 * x)
            numpyro.sample("y", dist.Normal(x, 1.0), obs=y)
            return x

        return run

    x = cond(cluster > 0, branch(20.0), branch(0.0), 2.0)
    numpyro.sample("w", dist.Normal(x, 1.0), obs=3.0)


HANDLERS = {
    "plain": lambda f: f,
    "seed": lambda f: handlers.seed(f, 0),
    "condition": lambda f: handlers.condition(f, {"x": jnp.asarray(1.5)}),
    "scale": lambda f: handlers.scale(f, 3.0),
}


@pytest.mark.parametrize("name", mark_slow(HANDLERS, {"condition"}))
@pytest.mark.parametrize("cluster", [0.7, -0.7])
def test_a_cond_of_numpyro_has_the_log_density_of_numpyro(name, cluster):
    made = HANDLERS[name](clusters)
    density = infer.log_density(infer.from_numpyro(made, Y))
    values = {"cluster": jnp.asarray(cluster), "x": jnp.asarray(1.5)}
    latent = {site.name: values[site.name] for site in density.latent}
    position = density.unconstrain(latent)
    theirs = lambda v: their_log_density(made, (Y,), {}, v)[0]  # noqa: E731
    np.testing.assert_allclose(density(position), theirs(latent), rtol=1e-12)
    slopes = jax.tree.leaves(jax.grad(theirs)(latent))
    np.testing.assert_allclose(jax.grad(density)(position), slopes, rtol=1e-12)


def test_branches_of_numpyro_may_differ_in_families_sites_and_names():
    def model():
        z: Any = numpyro.sample("z", dist.Normal(0, 1))

        def normal(_):
            s = numpyro.sample("s", dist.Exponential(1.0))
            with numpyro.plate("row", 2):
                return numpyro.sample("x", dist.Normal(0.0, s))

        def laplace(_):
            with numpyro.plate("row", 2):
                return numpyro.sample("x", dist.Laplace(0.0, 1.0))

        with handlers.scope(prefix="in"):
            cond(z > 0, normal, laplace, None)

    density = infer.log_density(infer.from_numpyro(model), jacobian=False)
    dims = {site.name: site.dims for site in density.latent}
    assert dims == {"z": (), "in.s": (), "in.x": ("in.row",)}
    x = np.array([0.4, -0.9])
    for z, rows in [(0.5, stats.norm.logpdf(x, 0.0, 0.7)), (-0.5, stats.laplace.logpdf(x))]:
        truth = stats.norm.logpdf(z) + stats.expon.logpdf(0.7) + rows.sum()
        values = {"z": jnp.asarray(z), "in.s": jnp.asarray(0.7), "in.x": jnp.asarray(x)}
        np.testing.assert_allclose(density.of(values), truth, rtol=1e-12)


@pytest.mark.slow
def test_a_cond_of_numpyro_may_be_in_a_scan_and_a_scan_in_a_cond():
    def inside(y):
        def step(carry, y):
            w: Any = numpyro.sample("w", dist.Normal(0.0, 1.0))
            near = lambda c: numpyro.sample("x", dist.Normal(c, 1.0))  # noqa: E731
            far = lambda c: numpyro.sample("x", dist.Normal(c, 2.0))  # noqa: E731
            x = cond(w > 0, near, far, carry)
            numpyro.sample("y", dist.Normal(x, 1.0), obs=y)
            return x, None

        scan(step, jnp.zeros(()), y)

    def around(y):
        z: Any = numpyro.sample("z", dist.Normal(0.0, 1.0))

        def branch(scale):
            def step(carry, y):
                x = numpyro.sample("x", dist.Normal(carry, scale))
                numpyro.sample("y", dist.Normal(x, 1.0), obs=y)
                return x, None

            return lambda zero: scan(step, zero, y)[0]

        cond(z > 0, branch(1.0), branch(2.0), jnp.zeros(()))

    x, before = np.array([0.4, -0.3, 0.2]), np.array([0.0, 0.4, -0.3])
    w = np.array([0.5, -0.5, 0.1])
    data = stats.norm.logpdf(Y, x).sum()
    steps = stats.norm.logpdf(w) + stats.norm.logpdf(x, before, np.where(w > 0, 1.0, 2.0))
    whole = stats.norm.logpdf(x, before, 2.0).sum() + stats.norm.logpdf(-0.5)
    cases = [(inside, {"w": w, "x": x}, steps.sum()), (around, {"z": -0.5, "x": x}, whole)]
    for function, values, truth in cases:
        model = infer.from_numpyro(handlers.seed(function, 0), Y)
        density = infer.log_density(model, jacobian=False)
        arrays = {name: jnp.asarray(value) for name, value in values.items()}
        np.testing.assert_allclose(density.of(arrays), truth + data, rtol=1e-12)
