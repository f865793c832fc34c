"""Minibatches: unbiased, distinct, refused where a value must be exact."""

from itertools import combinations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import infer
from infer.models.protocol import minibatch
from infer.models.protocol.minibatch import Minibatch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 2))
Y = X @ np.array([1.0, -2.0]) + 0.5 * RNG.normal(size=7)


def regression(site, x, y, minibatch=3):
    slope = site("slope", dist.Normal(0.0, 2.0), shape=(2,))
    noise = site("noise", dist.HalfNormal(1.0))
    with site.plate("row", x.shape[0], minibatch=minibatch) as rows:
        site.observe("y", dist.Normal(x[rows] @ slope, noise), y[rows])


POSITION = jnp.array([0.3, -0.7, 0.2])


def every_subset(density, size, count, position):
    """Mean of value and gradient over all subsets of the rows, one by one."""
    subsets = jnp.array(list(combinations(range(size), count)))
    at = eqx.filter_jit(jax.vmap(lambda rows: density.on({"row": rows}).evaluate(position)))
    values, gradients = at(subsets)
    return values.mean(), gradients.mean(0)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_the_mean_over_all_minibatches_is_the_whole(count):
    density = infer.log_density(infer.model(regression, x=X, y=Y, minibatch=count))
    whole = infer.log_density(infer.model(regression, x=X, y=Y, minibatch=None))
    value, gradient = every_subset(density, 7, count, POSITION)
    evaluate = jax.jit(lambda density: density.evaluate(POSITION))
    truth, slope = evaluate(whole)
    np.testing.assert_allclose(value, truth, rtol=1e-10)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10)
    np.testing.assert_allclose(evaluate(density)[1], slope, rtol=1e-12)


def test_two_plates_of_minibatches_multiply():
    y = RNG.normal(size=(3, 4))

    def grid(site, y):
        mean = site("mean", dist.Normal(0.0, 1.0))
        with site.plate("column", 4, minibatch=2) as columns:
            effect = site("effect", dist.Normal(0.0, 1.0))
            with site.plate("line", 3, minibatch=1) as lines:
                own = y[lines[:, None], columns]
                site.observe("y", dist.Normal(mean + effect, 1.0), own)

    density = infer.log_density(infer.model(grid, y=y))
    position = jnp.linspace(-1.0, 1.0, 5)
    pairs = [(c, line) for c in combinations(range(4), 2) for line in range(3)]
    every = [density.on({"column": np.array(c), "line": np.array([i])}) for c, i in pairs]
    gradient = jax.jit(lambda density: density.evaluate(position)[1])
    gradients = [gradient(d) for d in every]
    whole = gradient(density)
    np.testing.assert_allclose(np.mean(gradients, 0), whole, rtol=1e-10)
    assert jax.eval_shape(density.constrain, position)["effect"].shape == (4,)


def test_a_ragged_batch_stands_for_all_rows_too():
    density = infer.log_density(infer.model(regression, x=X, y=Y))
    shares = [np.arange(0, 3), np.arange(3, 6), np.arange(6, 7)]
    likelihood = jax.jit(lambda density: density.terms(POSITION)["y"])
    likelihoods = [likelihood(density.on({"row": rows})) for rows in shares]
    weights = np.array([3, 3, 1]) / 7
    whole = likelihood(density)
    np.testing.assert_allclose(weights @ np.array(likelihoods), whole, rtol=1e-10)


def test_every_row_is_equally_likely_and_none_comes_twice():
    """Counts of 20,000 draws, within 5 standard errors: a false alarm in 100,000."""
    for size, count in [(1, 1), (2, 1), (5, 2), (16, 5), (33, 32), (1000, 3)]:
        keys = jax.random.split(jax.random.key(size), 20_000)
        rows = np.asarray(jax.jit(jax.vmap(Minibatch("row", size, count).draw))(keys))
        assert all(len(set(own)) == count for own in rows[:200].tolist())
        assert (np.diff(np.sort(rows, 1), axis=1) > 0).all()
        share = count / size
        found = np.bincount(rows.reshape(-1), minlength=size) / len(rows)
        error = np.sqrt(share * (1 - share) / len(rows))
        assert found.shape == (size,)
        assert (abs(found - share) <= 5 * error + 1e-12).all(), (size, count)


def test_rows_are_equally_likely_even_if_nothing_permutes_them(monkeypatch):
    """The last turn alone sees to it; counts as above."""
    monkeypatch.setattr(minibatch, "_permuted", lambda numbers, keys, half: numbers)
    keys = jax.random.split(jax.random.key(3), 20_000)
    rows = np.asarray(jax.jit(jax.vmap(Minibatch("row", 7, 3).draw))(keys))
    found = np.bincount(rows.reshape(-1), minlength=7) / len(rows)
    np.testing.assert_allclose(found, 3 / 7, atol=5 * np.sqrt(3 / 7 * 4 / 7 / len(rows)))


def test_pairs_of_rows_are_equally_likely_too():
    keys = jax.random.split(jax.random.key(1), 20_000)
    rows = np.asarray(jax.jit(jax.vmap(Minibatch("row", 100, 10).draw))(keys))
    # The variance of a mean of 10 of 100 numbers drawn without repetition.
    numbers = np.random.default_rng(2).normal(size=100)
    truth = numbers.var(ddof=1) / 10 * (1 - 10 / 100)
    np.testing.assert_allclose(numbers[rows].mean(1).var(), truth, rtol=0.06)


def test_at_draws_anew_and_is_the_identity_otherwise():
    density = infer.log_density(infer.model(regression, x=X, y=Y))
    one, two = (density.at(jax.random.key(i)) for i in (0, 1))
    assert "minibatch" in density.offers
    assert one.seen["row"].shape == (3,)
    value = jax.jit(lambda density: density(POSITION))
    assert value(one) != value(two)
    assert value(density.at(jax.random.key(0))) == value(one)
    whole = infer.log_density(infer.model(regression, x=X, y=Y, minibatch=7))
    assert whole.offers == {"value", "gradient", "parts"}
    assert whole.at(jax.random.key(0)) is whole


@pytest.mark.parametrize(
    "engine", [infer.NUTS(), infer.HMC(), infer.MAP("constrained")], ids=lambda e: type(e).__name__
)
def test_engines_that_need_an_exact_value_refuse(engine):
    with pytest.raises(infer.EngineError, match=r"ADVI, or MAP.*optax.*minibatch=None"):
        infer.start(infer.model(regression, x=X, y=Y), engine, chains=1)


def test_rows_that_are_not_indexed_are_refused():
    def forgetful(site, x, y):
        slope = site("slope", dist.Normal(0.0, 2.0), shape=(2,))
        with site.plate("row", x.shape[0], minibatch=3):
            site.observe("y", dist.Normal(x @ slope, 1.0), y)

    with pytest.raises(infer.ModelError, match=r"y: .*\(7,\).*show \(3,\).*y\[rows\]"):
        infer.start(infer.model(forgetful, x=X, y=Y), infer.ADVI())


@pytest.mark.parametrize("count", [0, 8, True])
def test_minibatches_that_do_not_fit_are_refused(count):
    with pytest.raises(infer.ModelError, match=r"row: minibatch=.*7 rows"):
        infer.log_density(infer.model(regression, x=X, y=Y, minibatch=infer.static(count)))


def test_a_prior_that_differs_among_the_rows_is_refused():
    def local(site, x):
        with site.plate("row", 7, minibatch=3) as rows:
            site("z", dist.Normal(x[rows, 0], 1.0))

    with pytest.raises(infer.ModelError, match=r"z: its prior differs from row to row.*before"):
        infer.log_density(infer.model(local, x=X))


def test_a_plate_of_two_sizes_is_refused():
    def twice(site):
        for size in (7, 8):
            with site.plate("row", size, minibatch=3):
                site.factor(f"f{size}", jnp.zeros(size))

    with pytest.raises(infer.ModelError, match="row: its minibatch holds 3 of 8 rows here"):
        infer.log_density(infer.model(twice))


def test_coords_name_the_rows_of_the_whole():
    def named(site, x, y):
        slope = site("slope", dist.Normal(0.0, 2.0), shape=(2,))
        with site.plate("row", minibatch=3) as rows:
            level = site("level", dist.Normal(0.0, 1.0))
            mean = site.derive("mean", x[rows] @ slope + level)
            site.observe("y", dist.Normal(mean, 1.0), y[rows])

    model = infer.model(named, x=X, y=Y, coords={"row": list("abcdefg")})
    density = infer.log_density(model)
    assert density.labels()[2:] == [f"level[{name}]" for name in "abcdefg"]
    value = jax.jit(lambda density: density.at(jax.random.key(0))(jnp.zeros(9)))(density)
    assert np.isfinite(value)
    assert jax.eval_shape(density.constrain, jnp.zeros(9))["mean"].shape == (7,)


def tree(data, minibatch=3):
    def rows(tree, data):
        return dist.Normal(data["x"] @ tree["slope"], tree["noise"]).log_prob(data["y"])

    leaves = {"slope": dist.Normal(0.0, 2.0), "noise": dist.HalfNormal(1.0)}
    start = {"slope": np.zeros(2), "noise": 1.0}
    return infer.tree_model(start, rows, leaves, data=data, minibatch=minibatch)


def test_a_tree_s_data_come_in_minibatches():
    model = tree({"x": X, "y": Y, "scale": 2.0, "name": "seven"})
    density = infer.log_density(model)
    subsets = [np.array(rows) for rows in combinations(range(7), 3)]
    order = jnp.array([0.2, 0.3, -0.7])
    every = jax.jit(jax.vmap(lambda rows: density.on({"data": rows}).evaluate(order)[1]))
    gradients = every(np.array(subsets))
    assert not np.allclose(gradients[0], gradients[1])
    undivided = infer.log_density(tree({"x": X, "y": Y}, None))
    whole = jax.jit(lambda density: density.evaluate(order)[1])(undivided)
    np.testing.assert_allclose(gradients.mean(0), whole, rtol=1e-10)
    assert "minibatch" in infer.log_density(model.freeze("slope")).offers


def test_a_tree_s_minibatch_larger_than_its_data_is_refused():
    with pytest.raises(infer.ModelError, match="data: minibatch=8, but the plate has 7 rows"):
        tree({"x": X, "y": Y}, 8)


def test_all_rows_of_other_data_are_seen_if_they_are_fewer_than_a_minibatch():
    few = tree({"x": X, "y": Y}).with_data({"x": X[:2], "y": Y[:2]})
    assert "minibatch" not in infer.log_density(few).offers
    whole = few.with_data({"x": X, "y": Y})
    assert "minibatch" in infer.log_density(whole).offers


def test_data_without_common_rows_are_refused():
    with pytest.raises(infer.ModelError, match=r"data\['data'\]\['x'\] has 7.*\['y'\] has 6"):
        infer.log_density(tree({"x": X, "y": Y[:6]}))


def test_rows_of_an_unknown_plate_are_refused():
    density = infer.log_density(infer.model(regression, x=X, y=Y))
    with pytest.raises(infer.ModelError, match="column: rows are given.*are row"):
        density.on({"column": np.arange(3)})


MANY = 400
XS = RNG.normal(size=(MANY, 2))
YS = XS @ np.array([1.0, -2.0]) + 0.5 * RNG.normal(size=MANY)


def conjugate(site, x, y):
    slope = site("slope", dist.Normal(0.0, 2.0), shape=(2,))
    with site.plate("row", x.shape[0], minibatch=40) as rows:
        site.observe("y", dist.Normal(x[rows] @ slope, 0.5), y[rows])


PRECISION = XS.T @ XS / 0.25 + np.eye(2) / 4
MEAN = np.linalg.solve(PRECISION, XS.T @ YS / 0.25)
SD = 1 / np.sqrt(np.diag(PRECISION))


def test_a_fit_by_minibatches_is_that_of_all_the_data():
    fit = infer.fit(infer.model(conjugate, x=XS, y=YS), infer.ADVI(), key=1)
    np.testing.assert_allclose((fit.distribution.mean - MEAN) / SD, 0, atol=0.1)
    np.testing.assert_allclose(fit.distribution.scale, SD, rtol=0.03)
    assert fit.khat < 0.7


@pytest.mark.slow
def test_a_mode_by_minibatches_is_that_of_all_the_data():
    engine = infer.MAP("constrained", optimizer=optax.adam(0.02), max_steps=1500)
    model = infer.model(conjugate, x=XS, y=YS)
    found = infer.maximize(model, engine, starts=2)
    np.testing.assert_allclose((found.values["slope"] - MEAN) / SD, 0, atol=0.15)
    whole = infer.log_density(model, jacobian=False)
    lp = eqx.filter_jit(whole)(found.position)
    np.testing.assert_allclose(found.lp, lp, rtol=1e-10)
    assert not found.converged


@pytest.mark.parametrize("schedule", ["uniform", "rows", "linear", "blundell"])
@pytest.mark.parametrize("batches", [[7], [3, 3, 1], [128] * 468 + [96], [10] * 3000])
def test_shares_of_the_divergence_sum_to_one(schedule, batches):
    shares = infer.kl_weights(batches, schedule)
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-12)
    assert (shares >= 0).all()


def test_unknown_schedules_are_refused():
    with pytest.raises(infer.ModelError, match="'paper'.*uniform"):
        infer.kl_weights([3, 3], "paper")
    with pytest.raises(infer.ModelError, match="one or more"):
        infer.kl_weights([3, 0])


def tree_with(reduce):
    """A regression whose log likelihood reduces its rows by a function."""
    rows = lambda slope, data: -0.5 * (data["y"] - data["x"] @ slope) ** 2  # noqa: E731
    likelihood = lambda slope, data: reduce(rows(slope, data))  # noqa: E731
    prior, data = infer.Leaf(dist.Normal(0.0, 1.0)), {"x": X, "y": Y}
    return infer.tree_model(jnp.ones(2), likelihood, {"value": prior}, data=data, minibatch=4)


def test_a_mean_over_the_rows_of_a_minibatch_is_reported():
    """It would be scaled up as if it were a sum, and the data would count for one row."""
    with pytest.warns(
        infer.ModelWarning, match=r"2 rows.*each of them comes twice.*Return the sum"
    ):
        tree_with(jnp.mean)


@pytest.mark.parametrize("reduce", [jnp.sum, jnp.asarray], ids=["sum", "rows"])
def test_sums_and_rows_of_a_minibatch_pass(reduce):
    assert tree_with(reduce)


def test_a_likelihood_that_takes_one_number_of_rows_is_not_judged():
    fixed = lambda rows: jnp.sum(rows.reshape(4))  # noqa: E731
    assert tree_with(fixed)
