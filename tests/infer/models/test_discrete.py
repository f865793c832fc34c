"""Discrete sites that are summed out: log densities equal sums over all joint values."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer

from ...cases import mark_slow
from .discrete_models import (
    CASES,
    ITEM,
    LABEL,
    RATER,
    Y,
    by_brute_force,
    hidden_markov,
    mixture,
    raters,
)
from .discrete_numpyro import CASES as NUMPYRO


def value_and_gradient(function, size):
    return jax.jit(jax.value_and_grad(function))(jnp.linspace(-0.7, 0.9, size))


QUICK = {("dsl", n) for n in ("mixture", "raters", "left to right", "switched")}
QUICK |= {("numpyro", "capture and recapture")}


@pytest.mark.parametrize(
    "case",
    mark_slow([*(("dsl", n) for n in CASES), *(("numpyro", n) for n in NUMPYRO)], QUICK),
    ids="-".join,
)
def test_the_density_and_its_gradient_equal_those_by_brute_force(case):
    front, name = case
    model, supports = (CASES if front == "dsl" else NUMPYRO)[name]
    density = infer.log_density(model)
    found, slope = value_and_gradient(density, density.size)
    truth, gradient = value_and_gradient(
        lambda position: by_brute_force(model, supports, position), density.size
    )
    np.testing.assert_allclose(found, truth, rtol=1e-12)
    np.testing.assert_allclose(slope, gradient, rtol=1e-10, atol=1e-12)


def by_hand(site, y):
    weights = site("weights", dist.Dirichlet(jnp.array([2.0, 1.0, 3.0])))
    mean = site("mean", dist.Normal(0, 3).expand([3]))
    kinds = dist.Categorical(weights)
    site.observe("y", dist.MixtureSameFamily(kinds, dist.Normal(mean, 0.7)), y)


def test_the_rows_of_a_mixture_are_those_of_the_mixture_by_hand():
    densities = (infer.log_density(infer.model(f, y=Y)) for f in (mixture, by_hand))
    ours, theirs = (jax.jit(density.rows)(jnp.linspace(-0.7, 0.9, 5)) for density in densities)
    assert ours.keys() == theirs.keys()
    for name, rows in theirs.items():
        np.testing.assert_allclose(ours[name], rows, rtol=1e-12)


LONG = np.sin(np.arange(60.0)) + np.arange(60) % 7 / 7


def forward_by_hand(values, y):
    """Multiply matrices of transitions, with the log density of each observation."""
    change, mean = values["change"], values["mean"]
    each = jnp.exp(dist.Normal(mean, 0.6).log_prob(y[:, None]))

    def step(state, row):
        joint = (state @ change) * row
        return joint / joint.sum(), jnp.log(joint.sum())

    _, log_shares = jax.lax.scan(step, jnp.array([1.0, 0.0]), each)
    prior = dist.Dirichlet(jnp.eye(2) + 1).log_prob(change).sum()
    return log_shares.sum() + prior + dist.Normal(0, 2).log_prob(mean).sum()


def test_a_long_chain_equals_the_forward_recursion_by_hand():
    supports = {"change": bj.Simplex(shape=(2, 2)), "mean": bj.Real(shape=(2,))}
    theirs = infer.log_density(infer.declared(forward_by_hand, supports, data=LONG))
    ours = infer.log_density(infer.model(hidden_markov, y=LONG))
    (found, slope), (truth, gradient) = (value_and_gradient(d, 4) for d in (ours, theirs))
    np.testing.assert_allclose(found, truth, rtol=1e-11)
    np.testing.assert_allclose(slope, gradient, rtol=1e-9)


def test_rows_that_share_a_site_are_one_row_of_the_likelihood():
    model, _ = CASES["raters"]
    rows = jax.eval_shape(infer.log_density(model).rows, jnp.zeros(14))
    assert rows["label"].shape == (3,)
    assert "truth" not in rows


def test_the_table_shows_which_sites_are_summed_out():
    table = infer.model(mixture, y=Y).table()
    assert table.role_of("kind") == "summed"
    assert "own_mean" not in str(table)


def test_prior_draws_and_predictions_draw_the_discrete_sites():
    model = infer.model(mixture, y=Y)
    drawn = infer.sample_prior(model, draws=50, key=1)
    kind, mean = (drawn["prior"][name].values for name in ("kind", "mean"))
    own = np.take_along_axis(mean, kind, axis=-1)
    np.testing.assert_allclose(drawn["prior"]["own_mean"].values, own)
    spread = (drawn["prior_predictive"]["y"].values - own) / 0.7
    assert abs(spread.std() - 1) < 0.2


def refuses(function, *words, **data):
    with pytest.raises(infer.ModelError) as caught:
        infer.log_density(infer.model(function, **data))
    for word in words:
        assert word in str(caught.value)


def with_kinds(then, prior=None, **options):
    """Make a model that has six kinds and a mean, and then something that depends on them."""
    prior = dist.Categorical(jnp.ones(3) / 3) if prior is None else prior

    def function(site, **data):
        mean = site("mean", dist.Normal(0, 3).expand([3]))
        then(site, site("kind", prior, shape=6, sum_out=True, **options), mean, **data)

    return function


def observe_changes(site, kind, mean):
    site.observe("y", dist.Normal(mean[kind[1:]] - mean[kind[:-1]], 1.0), jnp.zeros(5))


def observe_sum(site, kind, mean):
    site.observe("y", dist.Normal(mean[kind].sum(), 1.0), 0.0)


def move(site, kind, mean):
    site("x", dist.Normal(mean[kind], 1.0), centered=False)


def bound(site, kind, mean):
    site("x", dist.Uniform(0.0, 1.0 + kind))


def score(site, kind, mean):
    site("x", infer.ScorePrior(lambda x: -x, (2,)))


def nothing(site, kind, mean):
    pass


@pytest.mark.parametrize("prior", [dist.Bernoulli(0.3), dist.DiscreteUniform(0, 4)])
def test_a_site_that_nothing_depends_on_adds_nothing(prior):
    density = infer.log_density(infer.model(with_kinds(nothing, prior)))
    plain = infer.model(lambda site: site("mean", dist.Normal(0, 3).expand([3])))
    np.testing.assert_allclose(density(jnp.ones(3)), infer.log_density(plain)(jnp.ones(3)))


def test_a_discrete_site_without_entries_adds_nothing():
    def function(site):
        site("mean", dist.Normal(0.0, 1.0))
        site("kind", dist.Bernoulli(jnp.zeros(0)), sum_out=True)

    density = infer.log_density(infer.model(function))
    np.testing.assert_allclose(density(jnp.ones(1)), stats.norm.logpdf(1.0))


def test_sums_over_joint_values_are_refused_with_their_cost():
    refuses(with_kinds(observe_changes), "kind:", "a row of 'y'", "3^6 terms", "site.scan")
    refuses(with_kinds(observe_sum), "kind:", "a row of 'y'", "3^6 terms")

    def two_parents(site, y):
        site("mean", dist.Normal(0, 1))
        group = site("group", dist.Bernoulli(0.5), shape=2, sum_out=True)
        switch = site("switch", dist.Bernoulli(0.5), sum_out=True)
        site.observe("y", dist.Normal(switch * group, 1.0), y)

    refuses(two_parents, "switch:", "several entries of 'group'", y=np.zeros(2))


def test_an_index_into_the_entries_that_is_data_is_refused():
    refuses(raters, "truth:", "infer.static", label=LABEL, item=ITEM, rater=RATER)


def test_sites_whose_values_cannot_be_listed_are_refused():
    refuses(with_kinds(nothing, dist.Poisson(2.0)), "kind:", "no end")
    refuses(with_kinds(nothing, dist.Normal(0, 1)), "kind:", "not discrete")
    refuses(with_kinds(nothing, dist.Multinomial(3, jnp.ones(2) / 2)), "kind:", "vectors")

    def traced(site, most):
        site("n", dist.Binomial(most, jnp.full(2, 0.5)), sum_out=True)

    refuses(traced, "n:", "traced", "infer.static", most=np.array([3, 4]))


def test_continuous_sites_whose_sets_or_maps_depend_on_a_summed_site_are_refused():
    refuses(with_kinds(move), "kind:", "bounds or the map")
    refuses(with_kinds(bound), "kind:", "bounds or the map")
    refuses(with_kinds(score), "x:", "score alone")


def test_options_of_continuous_sites_are_refused():
    refuses(with_kinds(nothing, centered=False), "kind:", "centered=")
    refuses(with_kinds(nothing, constraint=bj.Positive()), "kind:", "constraint=")

    def partly_seen(site):
        site("mean", dist.Normal(0, 1))
        with site.plate("row", 6, minibatch=2):
            site("kind", dist.Bernoulli(0.5), sum_out=True)

    refuses(partly_seen, "kind:", "minibatch=None")


def test_a_minibatch_whose_rows_depend_on_a_summed_site_is_refused():
    def switched_rows(site, y):
        mean = site("mean", dist.Normal(0, 1))
        switch = site("switch", dist.Bernoulli(0.5), sum_out=True)
        site.observe("total", dist.Normal(switch, 1.0), 0.0)
        with site.plate("row", 4, minibatch=2) as rows:
            site.observe("y", dist.Normal(mean * switch, 1.0), y[rows])

    refuses(switched_rows, "y:", "switch", "minibatch=None", y=Y)


def with_states(then, masked=False, **options):
    """Make a model with a chain of states, of which `then` makes the carry and observations."""
    prior = dist.Categorical(jnp.ones(3) / 3).mask(not masked)

    def function(site):
        mean = site("mean", dist.Normal(0, 3).expand([3]))

        def step(site, before, _):
            state = site("state", prior, sum_out=True, **options)
            return then(site, before, state, mean), state

        site.derive("states", site.scan(step, jnp.zeros((), int), None, length=4)[1])

    return function


def ignore(site, before, state, mean):
    return state


def test_a_chain_whose_prior_is_masked_has_a_density():
    """As in NumPyro, each of its paths has the density 1."""
    model = infer.model(with_states(ignore, masked=True))
    found = infer.log_density(model)(jnp.zeros(3))
    np.testing.assert_allclose(found, 4 * np.log(3) + 3 * dist.Normal(0, 3).log_prob(0.0))


def count_states(site, before, state, mean):
    return before + state


def add_states(site, before, state, mean):
    site.observe("y", dist.Normal(mean[state].sum() + before, 1.0), 0.0)
    return state[0]


def center_on_state(site, before, state, mean):
    site("x", dist.Normal(mean[state], 1.0), centered=False)
    return state


def two_states(site, before, state, mean):
    site("other", dist.Bernoulli(0.5), sum_out=True)
    return state


def test_chains_that_are_none_are_refused_with_their_cost():
    refuses(with_states(count_states), "state:", "more than one step", "3^T")
    refuses(with_states(add_states, shape=2), "state:", "a row of 'y'", "3^2 terms")
    refuses(with_states(center_on_state), "state:", "in the scan", "centered=True")
    refuses(with_states(two_states), "other:", "declares state, other", "3 * 2 values")


def test_a_chain_in_each_row_is_refused_and_one_site_for_all_rows_is_as_good():
    start, stay = np.array([0.2, 0.6]), 0.3

    def in_rows(site):
        def row(site, first):
            def step(site, before, _):
                up = site("up", dist.Bernoulli(first + stay * before), sum_out=True)
                site.observe("y", dist.Normal(1.0 * up, 1.0), 0.5)
                return up, None

            site.scan(step, 0, None, length=3)

        site.vmap(row, start)

    def at_once(site):
        site("free", dist.Normal(0.0, 1.0))

        def step(site, before, _):
            up = site("up", dist.Bernoulli(start + stay * before), sum_out=True)
            site.observe("y", dist.Normal(1.0 * up, 1.0), np.full(2, 0.5))
            return up, None

        site.scan(step, jnp.zeros(2, int), None, length=3)

    refuses(in_rows, "up:", "in each step or row of another loop", "Scan once")
    paths = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1)
    before = np.concatenate([np.zeros((1, 8)), paths[:-1]])
    own = dist.Normal(paths, 1.0).log_prob(0.5)
    rows = [dist.Bernoulli(p + stay * before).log_prob(paths) + own for p in start]
    expected = sum(np.log(np.exp(np.asarray(row.sum(0), float)).sum()) for row in rows)
    found = infer.log_density(infer.model(at_once))(jnp.zeros(1))
    np.testing.assert_allclose(found, expected + dist.Normal(0, 1).log_prob(0.0), rtol=1e-6)


def test_a_term_outside_of_a_scan_that_depends_on_its_states_is_refused():
    def outside(site, y):
        mean = site("mean", dist.Normal(0, 3).expand([2]))

        def step(site, before, _):
            state = site("state", dist.Bernoulli(0.2 + 0.5 * before), sum_out=True)
            return state, state

        last, states = site.scan(step, 0, None, length=4)
        site.derive("last", last)
        site.observe("y", dist.Normal(mean[states], 1.0), y)

    refuses(outside, "state:", "'y' depends on what the scan returns", y=Y)


def test_derived_values_that_depend_on_states_are_left_out():
    model, _ = CASES["hidden Markov"]
    names = {site.name: site for site in infer.log_density(model).sites}
    assert "level" not in names
    assert names["state"].role == "summed"
    assert names["state"].shape == (4,)
    assert names["state"].dims == ("time",)


def test_axes_of_numpyros_scans_are_named():
    function = NUMPYRO["hidden Markov"][0].program.function
    model = infer.from_numpyro(
        function, Y, dims={"state": "time", "y": "time"}, coords={"time": [2, 3, 5, 7]}
    )
    dims = {site.name: site.dims for site in infer.log_density(model).sites}
    assert dims["state"] == dims["y"] == ("time",)


def test_a_discrete_site_that_is_set_is_not_summed():
    kind = np.array([0, 2, 1, 1])
    density = infer.log_density(infer.model(mixture, y=Y).do(kind=kind), jacobian=False)
    weights, mean = jnp.full(3, 1 / 3), jnp.array([0.3, -0.2, 0.9])
    truth = dist.Dirichlet(jnp.array([2.0, 1.0, 3.0])).log_prob(weights)
    truth += dist.Normal(0, 3).log_prob(mean).sum() + dist.Normal(mean[kind], 0.7).log_prob(Y).sum()
    found = density.of({"weights": weights, "mean": mean})
    np.testing.assert_allclose(found, truth, rtol=1e-12)
