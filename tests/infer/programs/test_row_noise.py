"""Weights that are drawn for each row: found where that is right, and distributed as before."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density.separate_rows import explain_shared_noise
from infer.programs.flat_steps import trace_steps
from infer.programs.row_noise import RowNoise, draw_by_rows, find_products
from infer.target import Moments

RNG = np.random.default_rng(0)
ROWS, INPUTS, UNITS, DRAWS = 6, 4, 3, 20_000
X = RNG.normal(size=(ROWS, INPUTS))
SIZE = INPUTS * UNITS + UNITS
MEAN = RNG.normal(size=SIZE)
SD = RNG.uniform(0.2, 0.8, size=SIZE)
KEYS = jax.random.split(jax.random.key(0), DRAWS)


def split(flat):
    return flat[:-UNITS].reshape(INPUTS, UNITS), flat[-UNITS:]


def count_products(function, size=SIZE):
    return len(find_products(trace_steps(function, jnp.zeros(size)), size))


@pytest.mark.parametrize(
    "layer",
    [
        lambda w, x: x @ w,
        lambda w, x: (w.T @ x.T).T,
        lambda w, x: jax.vmap(lambda row: jnp.tanh(w.T @ row))(x),
        lambda w, x: jax.jit(lambda w: x @ w.astype(jnp.float32))(w),
        lambda w, x: jnp.einsum("ri,iu->ur", x, w.reshape(INPUTS, UNITS)),
    ],
)
def test_weights_are_found_however_they_are_written(layer):
    def rows(flat):
        w, b = split(flat)
        unused = (flat**2).sum()
        return layer(w, X).sum() + b.sum(), unused

    assert count_products(lambda flat: rows(flat)[0]) == 1
    # A penalty on the weights makes rows and weights depend on each other.
    assert count_products(rows) == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda w: (X @ w).sum() + (X**2 @ w).sum(),
        lambda w: (X @ jnp.exp(w)).sum(),
        lambda w: jax.lax.scan(lambda c, x: (c + (x[None] @ w).sum(), None), 0.0, X)[0],
        lambda w: (X[0] @ w).sum(),
        lambda w: (w @ w.T).sum(),
        lambda w: (X @ w).sum() + w[0, 0],
    ],
)
def test_other_uses_of_weights_are_left_alone(function):
    assert count_products(lambda flat: function(split(flat)[0])) == 0


def test_each_row_draws_a_product_of_the_right_mean_and_variance():
    """At 4.5 standard errors, 36 means and variances fail once in 2000 keys."""
    noise = lambda key: RowNoise(jnp.asarray(MEAN), jnp.asarray(SD), key)  # noqa: E731
    draw = lambda key: draw_by_rows(lambda f: X @ split(f)[0], jnp.asarray(MEAN), noise(key))  # noqa: E731
    draws = np.asarray(jax.jit(jax.vmap(draw))(KEYS)).reshape(DRAWS, -1)
    mean, variance = (X @ split(MEAN)[0]).ravel(), (X**2 @ split(SD)[0] ** 2).ravel()
    assert (abs(draws.mean(0) - mean) < 4.5 * np.sqrt(variance / DRAWS)).all()
    assert (abs(draws.var(0) / variance - 1) < 4.5 * np.sqrt(2 / DRAWS)).all()
    apart = np.corrcoef(draws.T) - np.eye(ROWS * UNITS)
    assert abs(apart).max() < 5 / np.sqrt(DRAWS)


def test_signs_of_rows_leave_the_distribution_of_a_convolution():
    """At 4.5 standard errors, 36 means and variances fail once in 2000 keys."""
    images = RNG.normal(size=(2, 2, 5))
    mean, sd = RNG.normal(size=(2, 2, 3)), RNG.uniform(0.2, 0.8, size=(2, 2, 3))
    both = (jnp.asarray(a.ravel()) for a in (mean, sd))
    center, scale = both

    def layer(flat):
        return jax.lax.conv(jnp.asarray(images), flat.reshape(mean.shape), (1,), "VALID")

    def draw(key):
        own, other = jax.random.split(key)
        position = center + scale * jax.random.normal(own, center.shape)
        return draw_by_rows(layer, position, RowNoise(center, scale, other))

    assert count_products(layer, mean.size) == 1
    # One by one: a batch of convolutions with weights of their own is slow.
    draws = np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(KEYS)).reshape(DRAWS, 2, -1)
    exact = np.asarray(layer(center)).reshape(2, -1)
    squares = jax.lax.conv(jnp.asarray(images**2), jnp.asarray(sd**2), (1,), "VALID")
    variance = np.asarray(squares).reshape(2, -1)
    assert (abs(draws.mean(0) - exact) < 4.5 * np.sqrt(variance / DRAWS)).all()
    assert (abs(draws.var(0) / variance - 1) < 4.5 * np.sqrt(2 / DRAWS)).all()
    across = np.corrcoef(draws[:, 0].T, draws[:, 1].T)[:6, 6:]
    assert abs(across).max() < 5 / np.sqrt(DRAWS)


def test_weights_without_spread_change_neither_value_nor_gradient():
    def rows(flat):
        w, b = split(flat)
        return jax.nn.relu(X @ w + b).sum()

    def drawn(mean):
        return draw_by_rows(rows, mean, RowNoise(mean, jnp.zeros(SIZE), KEYS[0]))

    found, plain = (jax.value_and_grad(f)(jnp.asarray(MEAN)) for f in (drawn, rows))
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-12)
    # The mean reaches the weights once as their mean and, for biases, as their draw.
    np.testing.assert_allclose(found[1], plain[1], rtol=1e-12)


def regression(site, x, y, couple):
    w = site("w", dist.Normal(0.0, 1.0), shape=(INPUTS,))
    with site.plate("row", ROWS, minibatch=3) as rows:
        level = x[rows] @ w
        site.observe("y", dist.Normal(couple(level), 0.5), y[rows])


def density_of(couple):
    return infer.log_density(
        infer.model(regression, x=X, y=np.ones(ROWS), couple=infer.static(couple))
    )


def keep(level):
    return level


def center(level):
    return level - level.mean()


def accumulate(level):
    return jnp.cumsum(level)


def ignore(level):
    return 0.0 * level.shape[0]


def test_rows_that_depend_on_each_other_share_their_noise():
    assert explain_shared_noise(density_of(keep)) is None
    for couple in (center, accumulate):
        assert "not independent" in str(explain_shared_noise(density_of(couple)))
    assert "no weights" in str(explain_shared_noise(density_of(ignore)))


def test_the_estimate_has_the_mean_and_the_variance_of_separate_rows():
    """At 4.5 standard errors of mean and variance, which fail once in 70,000 keys."""
    density, mean, sd = density_of(keep), jnp.asarray(MEAN[:INPUTS]), jnp.asarray(SD[:INPUTS])

    def draw(key):
        position = mean + sd * jax.random.normal(key, mean.shape)
        return density.parts(position, Moments(mean, sd), jax.random.fold_in(key, 1)).likelihood

    draws = np.asarray(jax.jit(jax.vmap(draw))(KEYS))
    residual, spread = np.ones(ROWS) - X @ mean, X**2 @ sd**2
    exact = dist.Normal(0.0, 0.5).log_prob(residual).sum() - (spread / 0.5).sum()
    variance = ((2 * spread**2 + 4 * residual**2 * spread) / 4 / 0.5**4).sum()
    assert abs(draws.mean() - exact) < 4.5 * np.sqrt(variance / DRAWS)
    tail = np.mean((draws - draws.mean()) ** 4) / draws.var() ** 2 - 1
    assert abs(draws.var() / variance - 1) < 4.5 * np.sqrt(tail / DRAWS)


def test_noise_of_rows_that_cannot_be_had_is_refused():
    for couple, own, message in (
        (keep, infer.ADVI(estimator="path", noise="local"), "trained"),
        (center, infer.ADVI(estimator="total", noise="local"), "not independent"),
        (keep, infer.ADVI("full_rank", estimator="total", noise="local"), "mean field"),
    ):
        with pytest.raises(infer.EngineError, match=message):
            infer.fit(density_of(couple).model, own, epochs=10, progress=False)
    with pytest.raises(infer.EngineError, match="Choose one of"):
        infer.ADVI(noise="rows")
