"""Rows of a result are those of the whole, and need only their own rows of what it depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.extend.core import jaxpr_as_fun

from infer.programs.memory import count_peak_bytes
from infer.programs.rows import TABLE, compute_rows

N, SIZE = 24, 5
RNG = np.random.default_rng(0)
X, GROUP, LEVEL = RNG.normal(size=(N, 3)), RNG.integers(0, 4, N), RNG.normal(size=4)
LOWER = np.linalg.cholesky(np.cov(RNG.normal(size=(3, 20))))


squared = jax.custom_jvp(lambda x: x * x)
squared.defjvps(lambda tangent, _, x: 2 * x * tangent)


# Functions of X, whose results have N rows; each is named by the primitives it is there for.
BY_ROW = {
    "mul exp": lambda x: jnp.exp(2.0 * x[:, 0]) * x[:, 1],
    "select_n max": lambda x: jnp.where(x[:, 0] > 0, jnp.maximum(x[:, 1], 0.0), x[:, 2]),
    "reduce_sum": lambda x: (x**2).sum(1),
    "reduce_max argmax": lambda x: x.max(1) + jnp.argmax(x, 1),
    "dot_general": lambda x: x @ jnp.arange(3.0),
    "dot_general of batches": lambda x: jnp.einsum("ni,ni,ij->nj", x, x + 1, LOWER),
    "dot_general on the right": lambda x: (LOWER @ x.T).T,
    "gather": lambda x: x[:, 0] + jnp.asarray(LEVEL)[GROUP],
    "gather of rows": lambda x: x * jnp.asarray(LOWER)[GROUP % 3],
    "gather by a list": lambda x: jnp.asarray(LOWER)[GROUP % 3, (GROUP + 1) % 3] * x[:, 0],
    "gather of a batch": lambda x: jnp.take_along_axis(x, GROUP[:, None] % 3, 1)[:, 0],
    "gather along both": lambda x: jnp.take_along_axis(x, X[:, 1:].argsort(1), 1),
    "conv_general_dilated": lambda x: jax.vmap(
        lambda own: jax.lax.conv(own[None, None], jnp.ones((2, 1, 2)), (1,), "VALID")[0, 1]
    )(x),
    "concatenate cumsum": lambda x: jnp.cumsum(jnp.concatenate([x, 2 * x], 1), 1),
    "iota": lambda x: x[:, 0] * jnp.arange(N),
    "iota of columns": lambda x: x * jnp.arange(3.0),
    "transpose reshape": lambda x: x.T.reshape(3, 1, N).transpose(2, 0, 1).reshape(N, 3),
    "triangular_solve": lambda x: jax.scipy.linalg.solve_triangular(LOWER, x.T, lower=True).T,
    "triangular_solve of batches": lambda x: jax.vmap(
        lambda own: jax.scipy.linalg.solve_triangular(LOWER * (1 + own**2), own, lower=True)
    )(x),
    "call": lambda x: jax.jit(lambda own: jnp.tanh(own[:, 0]))(x),
    "custom derivative": lambda x: squared(x[:, 0]),
    "normal": lambda x: dist.Normal(x[:, 0], jnp.exp(x[:, 1])).log_prob(x[:, 2]),
    "student": lambda x: dist.StudentT(3.0, x[:, 0], 2.0).log_prob(x[:, 2]),
    "mixture": lambda x: dist.MixtureSameFamily(
        dist.Categorical(jnp.array([0.3, 0.7])), dist.Normal(x[:, :2], 1.0)
    ).log_prob(x[:, 2]),
    "multivariate normal": lambda x: dist.MultivariateNormal(scale_tril=LOWER).log_prob(x),
    "poisson": lambda x: dist.Poisson(jnp.exp(x[:, 0])).log_prob(GROUP),
}
# Functions whose rows depend on each other, or by primitives without a rule.
AS_A_WHOLE = {
    "cumsum along the rows": lambda x: jnp.cumsum(x[:, 0]),
    "sort": lambda x: jnp.sort(x[:, 0]),
    "reverse": lambda x: x[::-1, 0] + x[:, 1],
    "every second": lambda x: jnp.concatenate([x[::2, 0], x[1::2, 1]]),
    "scan": lambda x: jax.lax.scan(lambda c, own: (c + own[0], c * own[1]), 0.0, x)[1],
    "reshape across rows": lambda x: x.reshape(3, N).T[:, 0] + x[:, 1],
    "branch": lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x)[:, 0],
    "moments": lambda x: (x[:, 0] - x[:, 0].mean()) / x[:, 0].std(),
    "slices of a gather": lambda x: jnp.take(x, jnp.array([1, 0]), axis=1),
}


def restrict(function, size=SIZE):
    program = jax.make_jaxpr(function)(X)
    return jax.make_jaxpr(lambda begin, x: compute_rows(program, [x], 0, begin, size))(0, X)


@pytest.mark.parametrize("name", BY_ROW | AS_A_WHOLE)
def test_rows_are_those_of_the_whole(name):
    function = (BY_ROW | AS_A_WHOLE)[name]
    run = jax.jit(jaxpr_as_fun(restrict(function)))
    whole = np.asarray(jax.jit(function)(X))
    for begin in (0, 7, N - SIZE):
        (own,) = run(begin, X)
        np.testing.assert_allclose(own, whole[begin : begin + SIZE], rtol=1e-12, atol=1e-14)


def count_entries(program):
    """Return the largest number of entries of any result in a program."""
    return max(result.aval.size for e in program.jaxpr.eqns for result in e.outvars)


@pytest.mark.parametrize("name", BY_ROW)
def test_rows_need_no_array_of_all_rows(name):
    """Every array computed has as many rows as are asked for."""
    assert count_entries(restrict(BY_ROW[name], 2)) <= 2 * 9 < N


def test_every_rule_is_tested():
    found = {
        equation.primitive.name
        for function in (BY_ROW | AS_A_WHOLE).values()
        for equation in _equations(jax.make_jaxpr(function)(X).jaxpr)
    }
    untested = {"cumprod", "cummax", "cummin", "cumlogsumexp", "argmin"}
    alike = {"reduce_min", "reduce_prod", "reduce_and", "reduce_or"}
    assert set(TABLE) <= found | untested | alike


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from _equations(value.jaxpr)


def test_memory_of_rows_grows_with_their_number():
    peaks = [count_peak_bytes(restrict(BY_ROW["mixture"], size)) for size in (2, 4, 8)]
    assert peaks[2] - peaks[1] == 2 * (peaks[1] - peaks[0]) > 0


def test_what_both_the_whole_and_a_part_need_is_right():
    # A product of the rows with their own sum: the sum needs all rows.
    program = restrict(lambda x: jnp.exp(x[:, 0]) / jnp.exp(x[:, 0]).sum())
    (own,) = jax.jit(jaxpr_as_fun(program))(3, X)
    np.testing.assert_allclose(own, np.exp(X[3:8, 0]) / np.exp(X[:, 0]).sum(), rtol=1e-12)
