"""S1.3 to S1.6: priors known by their scores, and the engines for them (scarlet2 issue 34)."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer

from .counting import primitives

PRIOR = dist.Normal(3.0, 0.5)
# Precisions 4 and 1 add up: the mean is 13 / 5, the variance 1 / 5.
MEAN, SD = 2.6, np.sqrt(0.2)


def score(x):
    return jax.grad(PRIOR.log_prob)(x)


SCORED = infer.ScorePrior(score)


def log_likelihood(tree, y):
    return dist.Normal(tree["x"], 1.0).log_prob(y)


def conjugate(prior=SCORED, constraint=None):
    leaves = {"x": infer.Leaf(prior=prior, constraint=constraint)}
    return infer.tree_model({"x": 0.5}, log_likelihood, leaves, data=1.0)


def test_s1_3_engines_that_need_a_value_refuse_and_name_engines_that_do_not():
    for engine in (infer.NUTS(), infer.HMC(), infer.MAP("constrained")):
        with pytest.raises(infer.EngineError) as caught:
            infer.start(conjugate(), engine)
        text = str(caught.value)
        assert "prior of 'x' is known by its score alone" in text
        assert "ADVI()" in text
        assert "MAP(space, optax.adam(0.05))" in text


def test_s1_3_optimizers_with_a_line_search_are_refused():
    needs = lambda optimizer: infer.MAP("constrained", optimizer).needs  # noqa: E731
    assert needs("lbfgs").value
    assert needs(optax.lbfgs()).value
    assert needs(optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5))).value
    assert needs(optax.contrib.reduce_on_plateau()).value
    for optimizer in (optax.adam(0.1), optax.yogi(0.1), optax.sgd(0.1)):
        assert not needs(optimizer).value
    with pytest.raises(infer.EngineError, match=r"value of the log density.*'x'"):
        infer.maximize(conjugate(), infer.MAP("constrained", optax.lbfgs()))


ADAM = infer.MAP("constrained", optax.adam(0.05))


@pytest.mark.parametrize("constraint", [None, bj.Interval(-4.0, 6.0)], ids=["real", "interval"])
def test_s1_3_map_finds_the_mode_by_gradients_alone(constraint):
    found = infer.maximize(conjugate(constraint=constraint), ADAM, starts=4)
    np.testing.assert_allclose(found.values["x"], MEAN, atol=1e-5)
    assert found.every_converged.all()
    assert np.isnan(found.lp)
    assert "chosen by gradient" in repr(found)


def test_s1_3_the_best_position_is_not_chosen_by_the_likelihood():
    """A search from the likelihood's mode that is stopped early returns its last position."""
    engine = infer.MAP("constrained", optax.sgd(0.01), max_steps=20)
    found = infer.maximize(conjugate(), engine, starts={"x": np.array(1.0)})
    # Each step leaves 0.95 of the distance, and the first position is the start.
    np.testing.assert_allclose(found.values["x"], MEAN - 1.6 * 0.95**19, atol=1e-6)
    assert not found.converged


def test_s1_3_a_plateau_at_the_start_is_not_taken_for_the_mode():
    """A saturated sigmoid has no slope, so by the smallest gradient it would be the mode."""
    flat = infer.tree_model(
        {"x": 0.0},
        lambda tree: 0.0,
        {"x": infer.Leaf(infer.ScorePrior(lambda x: -x), bj.Interval(-1.0, 1.0))},
    )
    engine = infer.MAP("constrained", optax.adam(0.05), tolerance=1e-12, max_steps=300)
    found = infer.maximize(flat, engine, starts={"x": np.array(np.tanh(8.0))})
    assert abs(found.values["x"]) < 1e-2


def test_s1_3_advi_needs_only_the_score():
    approximation = infer.fit(conjugate(), infer.ADVI(), progress=False)
    assert approximation.converged
    np.testing.assert_allclose(approximation.distribution.mean, MEAN, atol=0.01)
    np.testing.assert_allclose(approximation.distribution.scale, SD, rtol=0.02)
    assert np.isnan(approximation.elbo)
    assert np.isnan(approximation.khat)


def compress(x):
    return jnp.log1p(x) / 0.1


def test_s1_4_a_transform_inside_the_prior_is_pulled_back_by_its_vjp():
    known = lambda z: jax.scipy.special.logsumexp(-0.5 * (z - jnp.arange(3.0)) ** 2)  # noqa: E731
    prior = infer.ScorePrior(jax.grad(known), (), pre=compress, support=bj.Positive())
    x = jnp.array([0.1, 0.2, 1.5])
    slopes = jax.jit(jax.grad(lambda x: prior.expand((3,)).log_prob(x).sum()))(x)
    want = jax.jit(jax.vmap(jax.grad(lambda x: known(compress(x)))))(x)
    np.testing.assert_allclose(slopes, want, rtol=1e-12)


def test_s1_4_a_transform_may_mix_and_pad():
    """The full Jacobian is applied, not its row sums, which vjp(1) would give."""
    size = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
    before = lambda x: jnp.pad(size.T @ x, (0, 2))  # noqa: E731
    known = lambda z: -(z[:3] ** 4).sum() - jnp.sin(z).sum()  # noqa: E731
    prior = infer.ScorePrior(jax.grad(known), (2,), pre=before)
    x = np.array([0.3, -0.4])
    want = jax.jit(jax.grad(lambda x: known(before(x))))(x)
    np.testing.assert_allclose(jax.jit(jax.grad(prior.log_prob))(x), want, rtol=1e-12)


def network(key):
    return eqx.nn.MLP(2, 2, 8, 1, activation=jnp.tanh, key=key)


def by_network(net, y):
    leaves = {"x": infer.Leaf(prior=infer.ScorePrior(net, (2,)))}
    return infer.tree_model({"x": np.zeros(2)}, log_likelihood, leaves, data=y)


def test_s1_5_weights_are_arguments_of_the_program():
    traced = []

    def gradient(net, position):
        traced.append(1)
        return infer.log_density(by_network(net, jnp.ones(2))).evaluate(position)[1]

    nets = eqx.filter_vmap(network)(jax.random.split(jax.random.key(0), 4))
    one = lambda i: jax.tree.map(lambda a: a[i] if eqx.is_array(a) else a, nets)  # noqa: E731
    position = jnp.array([0.3, -0.2])
    want = [one(i)(position) + 1.0 - position for i in range(4)]
    jitted = eqx.filter_jit(gradient)
    np.testing.assert_allclose([jitted(one(i), position) for i in range(4)], want, rtol=1e-12)
    assert len(traced) == 1
    batched = eqx.filter_vmap(gradient, in_axes=(eqx.if_array(0), None))
    np.testing.assert_allclose(eqx.filter_jit(batched)(nets, position), want, rtol=1e-12)


def test_s1_5_densities_with_other_weights_share_a_program():
    densities = [infer.log_density(by_network(network(jax.random.key(i)), 1.0)) for i in (0, 1)]
    assert jax.tree.structure(densities[0]) == jax.tree.structure(densities[1])
    jaxpr = jax.make_jaxpr(lambda d, q: d.evaluate(q))(densities[0], jnp.ones(2))
    assert not [constant for constant in jaxpr.consts if np.size(constant) > 4]


SHAPES = {"a": (4,), "b": (4,), "c": (2,), "d": (4,)}


def many(priors):
    tree = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    rows = lambda tree: -sum((leaf**2).sum() for leaf in tree.values())  # noqa: E731
    leaves = {name: infer.Leaf(prior=prior) for name, prior in priors.items()}
    return infer.tree_model(tree, rows, leaves)


def test_s1_6_leaves_that_share_a_prior_share_a_call():
    curl = lambda x: jnp.sin(x) - x[::-1] * jnp.linalg.norm(x)  # noqa: E731
    vector = lambda n: infer.ScorePrior(curl, (n,))  # noqa: E731
    shared, other = vector(4), vector(2)
    together = infer.log_density(many({n: other if n == "c" else shared for n in SHAPES}))
    apart = infer.log_density(many({n: vector(*shape) for n, shape in SHAPES.items()}))
    position = np.linspace(-1.0, 2.0, 14)
    one, other = (
        jax.jit(lambda q, d=d: (d.evaluate(q)[1], d.terms(q)))(position) for d in (together, apart)
    )
    np.testing.assert_allclose(one[0], other[0], rtol=1e-14)
    assert set(one[1]) == set(other[1])
    calls = [primitives(d.unvalued_gradient, position)["sin"] for d in (together, apart)]
    assert calls == [2, 4]


def test_s1_6_a_network_shared_by_many_leaves_is_stored_once():
    net = eqx.nn.MLP(4, 4, 8, 1, key=jax.random.key(0))
    prior = infer.ScorePrior(net, (4,))
    model = many(dict.fromkeys(("a", "b", "d"), prior) | {"c": dist.Normal(0.0, 1.0)})
    weights = [leaf for leaf in jax.tree.leaves(model) if np.shape(leaf) == (8, 4)]
    assert len(weights) == 1


# With 20,000 draws in all, the standard error of the mean is below 0.005 here, and that of the sd
# 0.004. With random keys, an error above 0.02 would be a false alarm once in 10,000 runs.
WITHIN = 0.02

INTERVAL = bj.Interval(-4.0, 6.0)


@pytest.mark.parametrize(
    ("kind", "constraint"),
    [
        pytest.param(infer.NUTS, INTERVAL, id="NUTS-interval"),
        pytest.param(infer.HMC, None, id="HMC-real", marks=pytest.mark.slow),
        pytest.param(infer.NUTS, None, id="NUTS-real", marks=pytest.mark.slow),
        pytest.param(infer.HMC, INTERVAL, id="HMC-interval", marks=pytest.mark.slow),
    ],
)
def test_s1_3_energies_integrated_along_the_path_sample_the_posterior(kind, constraint):
    """Only the force of the prior is integrated; the map's Jacobian has a value."""
    engine = kind(energy="path")
    run = infer.start(conjugate(constraint=constraint), engine, key=2, progress=False)
    posterior = infer.to_arviz(run.advance(5000))
    x = np.asarray(posterior["posterior"]["x"])
    assert abs(x.mean() - MEAN) < WITHIN
    assert abs(x.std() - SD) < WITHIN
    stats = posterior["sample_stats"]
    assert not stats["diverging"].any()
    # The force of a normal prior is linear and a gradient, so both quadrature rules are exact.
    if constraint is None:
        assert float(stats["integration_error"].max()) < 1e-12
        assert float(stats["loop_residual"].max()) < 1e-12
    # One native loop for each chain, as with energies by value.
    assert run.plan.is_native == infer.start(exact(), kind(), chains=1).plan.is_native


def exact():
    return conjugate(PRIOR)


@pytest.mark.slow
def test_s1_3_a_prior_whose_value_is_zero_samples_the_likelihood():
    """As in scarlet2, the prior enters the leapfrog steps, but not the acceptance."""

    @jax.custom_jvp
    def zero(x):
        return jnp.zeros_like(x)

    @zero.defjvp
    def _(primals, tangents):
        return jnp.zeros_like(primals[0]), score(*primals) * tangents[0]

    class ZeroValued(dist.Distribution):
        support = dist.constraints.real

        def __init__(self):
            super().__init__((), (), validate_args=False)

        def log_prob(self, value, intermediates=None):
            return zero(jnp.asarray(value))

    # Forces that are not the gradient of the energy mix badly: 800,000 draws have an effective size
    # of about 400, so the bounds below are five standard errors of the mean.
    walk = infer.HMC(trajectory_length=1.0, step_size=1.0)
    with pytest.warns(infer.ModelWarning, match=r"^x: its slope is .* gradient.*infer.ScorePrior"):
        posterior = infer.sample(
            conjugate(ZeroValued()), walk, draws=200_000, warmup=0, key=2, progress=False
        )
    x = np.asarray(posterior["posterior"]["x"])
    # The draws follow the likelihood, a normal around 1, without the prior, and nothing diverges.
    assert abs(x.mean() - 1.0) < 0.25
    assert abs(x.std() - 1.0) < 0.15
    assert not posterior["sample_stats"]["diverging"].any()


def mixture(x):
    parts = jnp.stack([dist.Normal(-1.0, 0.4).log_prob(x), dist.Normal(1.5, 0.7).log_prob(x)])
    return jax.scipy.special.logsumexp(parts + jnp.log(jnp.array([0.35, 0.65])))


# Computed by quadrature in test_s1_3_the_moments_of_the_mixture_are_those_of_quadrature.
MIXTURE = {"mean": 0.9376, "sd": 1.0970, "P(x<0)": 0.2154}


def distant(tree):
    return dist.Normal(tree["x"], 1.5).log_prob(1.0)


def test_s1_3_the_moments_of_the_mixture_are_those_of_quadrature():
    x = np.linspace(-4.0, 6.0, 20001)[1:-1]
    weights = np.exp(jax.jit(jax.vmap(lambda x: mixture(x) + distant({"x": x})))(x))
    weights = weights / weights.sum()
    mean = weights @ x
    moments = {"mean": mean, "sd": np.sqrt(weights @ (x - mean) ** 2)}
    moments["P(x<0)"] = weights[x < 0].sum()
    for name, value in MIXTURE.items():
        np.testing.assert_allclose(moments[name], value, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "within"), [(0.12, 0.01), (0.30, 0.04)])
def test_s1_3_a_mixture_on_an_interval_is_sampled_by_its_score(step, within):
    """The default rule, with 128 chains of 5000 draws, has an effective size of at least 35,000.

    So the standard error of a mean is at most half a percent of the sd. Trajectories have 5 to 24
    steps of size 0.12 or 0.30 in the flat coordinate, as in the table of scarlet2's issue. The
    metric is the identity, so that steps have the given size.
    """
    prior = infer.ScorePrior(jax.grad(mixture))
    model = infer.tree_model({"x": 0.0}, distant, {"x": infer.Leaf(prior, INTERVAL)})
    engine = infer.HMC(
        energy="path", step_size=step, trajectory_length=14.5 * step, jitter=0.65, rank=0
    )
    run = infer.start(model, engine, chains=128, warmup=0, key=0, progress=False, group=128)
    run.warmup = replace(run.warmup, tuning=unit_metric(run.tuning))
    draws = infer.to_arviz(run.advance(5000))
    x = np.asarray(draws["posterior"]["x"])[:, 500:]
    assert abs(x.mean() - MIXTURE["mean"]) < within * MIXTURE["sd"]
    assert abs(x.std() - MIXTURE["sd"]) < within * MIXTURE["sd"]
    assert abs((x < 0).mean() - MIXTURE["P(x<0)"]) < within
    # The statistic distinguishes the two step sizes.
    error = float(draws["sample_stats"]["integration_error"].mean())
    assert (error > 1.0) == (step == 0.30)


def unit_metric(tuning):
    ones = jax.tree.map(np.ones_like, tuning.shared.metric)
    return eqx.tree_at(lambda t: t.shared.metric, tuning, ones)
