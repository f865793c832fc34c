"""Rewriting does not change what a program computes; models that need it run natively."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.programs import rewrite
from infer.programs.loops import TABLE
from infer.programs.native import CompiledProgram, Refusal, compile_program
from infer.programs.rewrite import analyze

GROUP = np.random.default_rng(0).integers(0, 5, 23)


def spread(x):
    """Make a positive definite matrix from each vector."""
    return x[..., :, None] * x[..., None, :] + 3 * jnp.eye(x.shape[-1])


def solve(x, **options):
    lower = jnp.tril(spread(x))
    return jax.lax.linalg.triangular_solve(lower, spread(x + 1), lower=True, **options)


def long_product(x):
    wide = jnp.sin(x[:, None] * jnp.arange(40.0))
    return wide @ wide.T


# Functions of five numbers; each needs one entry of the table.
NEEDING = {
    "scatter": lambda x: jnp.zeros(9).at[GROUP[:5]].set(x, mode="clip"),
    "scatter-add": lambda x: jnp.zeros(5).at[GROUP].add(x[GROUP] ** 2),
    "scatter-sub": lambda x: x.at[GROUP].subtract(x[GROUP] ** 2),
    "scatter-mul": lambda x: x.at[GROUP].multiply(x[GROUP]),
    "scatter-min": lambda x: x.at[GROUP].min(x[GROUP[::-1]]),
    "scatter-max": lambda x: x.at[GROUP].max(x[GROUP[::-1]]),
    "cholesky": lambda x: jax.lax.linalg.cholesky(spread(x)),
    "triangular_solve": lambda x: solve(x, left_side=True) + solve(x, transpose_a=True),
    "dot_general": long_product,
    "lu": lambda x: jax.lax.linalg.lu(spread(x) * jnp.asarray([0.1, 3, 1, 1, 1]))[0],
    "sort": lambda x: x * jnp.argsort(jnp.argsort(jnp.sin(5 * x))),
}

PLACES = {
    "alone": lambda f: f,
    "batched": lambda f: lambda x: jax.vmap(lambda s: f(s * x))(jnp.arange(1.0, 4.0)),
    "in a while loop": lambda f: (
        lambda x: jax.lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, f(x + 0.1 * c[1].mean())), (0, f(x))
        )[1]
    ),
    "in a branch": lambda f: lambda x: jax.lax.cond(x[0] > 0, f, lambda x: 2 * f(x), x),
    "in a scan": lambda f: lambda x: jax.lax.scan(lambda c, s: (c, f(s * x)), 0.0, x)[1],
    "in a call": lambda f: jax.jit(f),
    "rematerialized": lambda f: jax.checkpoint(f),
    "with its own derivative": lambda f: with_derivative(f),
    "with its own adjoint": lambda f: with_adjoint(f),
}


def with_derivative(function):
    ruled = jax.custom_jvp(function)
    ruled.defjvp(lambda primals, tangents: (function(*primals), function(*tangents)))
    return ruled


def with_adjoint(function):
    ruled = jax.custom_vjp(function)
    ruled.defvjp(lambda x: (function(x), None), lambda _, g: (g,))
    return ruled


def rewrite_function(function, *arguments):
    """Rewrite a function; return it and the names of the rewritten primitives."""
    traced = jax.jit(function).trace(*arguments)
    return rewrite.rewrite_as_loops(traced), analyze(traced.jaxpr).rewritten


def test_every_entry_of_the_table_is_tested():
    assert set(NEEDING) == set(TABLE)


def peaks(x):
    """Sum the squared maxima at places, one of which is out of range."""
    return (jnp.zeros(5).at[jnp.asarray([1, 9, 4, 1])].max(x[:4], mode="drop") ** 2).sum()


# Functions for which the loops were once wrong.
FUNCTIONS = {
    "applied": lambda x: x.at[jnp.asarray([1, 2, 1])].apply(lambda a: 10 * a + 3),
    "the gradient of a peak": jax.grad(peaks),
    "a broken promise": jax.grad(
        lambda x: x.at[jnp.asarray([1, 9])].get(mode="promise_in_bounds").sum()
    ),
    "counted": lambda x: jnp.zeros(3, jnp.int32).at[GROUP % 3].add(jnp.int32(1)) * x[0],
    "in a call with its own batches": lambda x: batched_by_itself(x),
    "in a search for what is not zero": lambda x: x[jnp.nonzero(x > 0.4, size=3)[0]],
}


@jax.custom_batching.custom_vmap
def batched_by_itself(x):
    return x.at[GROUP[:5]].add(x)


@batched_by_itself.def_vmap
def _(_, batched, x):
    return jax.vmap(lambda x: x.at[GROUP[:5]].add(x))(x), batched[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_less_common_scatters_compute_what_jax_does(name):
    x = jnp.asarray([0.3, 0.9, 0.5, -0.2, 0.7])
    again, names = rewrite_function(FUNCTIONS[name], x)
    assert any(name.startswith("scatter") for name in names)
    expected, found = jax.jit(FUNCTIONS[name])(x), jax.jit(again)(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_equations_inside_unknown_primitives_are_surveyed():
    def function(x):
        return jax.custom_derivatives.linear_call(
            lambda _, y: jnp.linalg.eigvalsh(spread(y)), lambda _, y: y, (), x
        )

    found = analyze(jax.make_jaxpr(function)(jnp.ones(3)))
    assert found.has_lapack_calls
    assert found.missing == ("eigh",)


WHERE = [(name, place) for name in NEEDING for place in ("alone", "batched")]
WHERE += [("scatter-add", place) for place in PLACES if place not in ("alone", "batched")]


@pytest.mark.parametrize(("name", "place"), WHERE)
def test_a_rewritten_program_computes_the_same(name, place):
    function = PLACES[place](NEEDING[name])
    x = jnp.linspace(0.3, 0.9, 5)
    again, names = rewrite_function(function, x)
    assert names == (name,)
    # A product of matrices becomes products with vectors, which are products too.
    assert f"= {name}" not in str(jax.make_jaxpr(again)(x)) or name == "dot_general"
    np.testing.assert_allclose(jax.jit(again)(x), function(x), rtol=1e-12, atol=1e-12)


def test_a_linear_solve_and_its_gradient_are_rewritten_inside():
    def function(x):
        return jax.scipy.linalg.solve(spread(x), x, assume_a="pos").sum()

    x = jnp.linspace(0.3, 0.9, 5)
    assert "custom_linear_solve" in str(jax.make_jaxpr(function)(x))
    again, names = rewrite_function(jax.grad(function), x)
    assert {"cholesky", "triangular_solve"} <= set(names)
    np.testing.assert_allclose(jax.jit(again)(x), jax.jit(jax.grad(function))(x), rtol=1e-12)


def test_a_program_that_needs_no_rewriting_is_unchanged():
    def function(x):
        return jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(x), x)

    again, names = rewrite_function(function, jnp.ones(3))
    assert not names
    one, other = (jax.make_jaxpr(f)(jnp.ones(3)) for f in (function, again))
    assert [e.primitive for e in one.eqns] == [e.primitive for e in other.eqns]


def test_random_keys_are_rewritten_correctly():
    def function(key, x):
        def draw(carry, _):
            key, x = carry
            key, own = jax.random.split(key)
            return (key, x.at[GROUP].add(jax.random.normal(own, GROUP.shape))), None

        return jax.lax.scan(draw, (key, x), length=3)[0][1]

    arguments = (jax.random.key(0), jnp.zeros(5))
    again, names = rewrite_function(function, *arguments)
    assert names == ("scatter-add",)
    np.testing.assert_allclose(again(*arguments), function(*arguments), rtol=1e-13)


def test_a_constant_of_a_program_may_be_an_array_of_numpy():
    lower = np.tril(np.arange(1.0, 26.0).reshape(5, 5))

    def function(x):
        return jax.lax.linalg.triangular_solve(lower, x[:, None], left_side=True, lower=True)[:, 0]

    x = np.linspace(0.3, 0.9, 5)
    again, names = rewrite_function(function, x)
    assert names == ("triangular_solve",)
    np.testing.assert_allclose(jax.jit(again)(x), np.linalg.solve(lower, x), rtol=1e-12)


@pytest.mark.parametrize("name", NEEDING)
def test_the_native_form_computes_the_same(name):
    function = PLACES["in a while loop"](NEEDING[name])
    x = jnp.linspace(0.3, 0.9, 5)
    made, _ = compile_program(function, (), (x,), "native")
    assert isinstance(made, CompiledProgram), made
    assert made.is_native
    assert made.rewritten == (name,)
    np.testing.assert_allclose(made.call(x), function(x), rtol=1e-12)


def intercepts(values, data):
    """Outcomes of 60 rows in 7 groups, each with a slope of its own."""
    level = values["mean"] + values["scale"] * values["level"]
    fitted = level[data["group"]] + values["slope"][data["group"]] * data["x"]
    prior = (values["level"] ** 2).sum() + (values["slope"] ** 2).sum() + values["mean"] ** 2
    return -0.5 * ((data["y"] - fitted) ** 2).sum() - 0.5 * prior - values["scale"]


def grouped():
    rng = np.random.default_rng(1)
    data = {
        "group": infer.data(rng.integers(0, 7, 60)),
        "x": rng.normal(size=60),
        "y": rng.normal(size=60),
    }
    real = {"mean": bj.Real(), "level": bj.Real(shape=(7,)), "slope": bj.Real(shape=(7,))}
    return infer.declared(intercepts, real | {"scale": bj.Positive()}, data=data)


def smooth(values, data):
    apart = (data["x"][:, None] - data["x"]) / values["length"]
    noise = (values["noise"] ** 2 + 1e-6) * jnp.eye(len(data["x"]))
    factor = jnp.linalg.cholesky(jnp.exp(-0.5 * apart**2) + noise)
    white = jax.scipy.linalg.solve_triangular(factor, data["y"], lower=True)
    half_log_det = jnp.log(jnp.diagonal(factor)).sum()
    return -0.5 * (white**2).sum() - half_log_det - values["length"] - values["noise"]


def process():
    """A Gaussian process of 15 points with unknown length scale and noise."""
    x = np.linspace(-2, 2, 15)
    supports = {"length": bj.Positive(), "noise": bj.Positive()}
    return infer.declared(smooth, supports, data={"x": x, "y": np.sin(2 * x)})


def correlated(values):
    factor = values["factor"]
    covariance = factor @ factor.T + 0.1 * jnp.eye(3)
    root = jnp.linalg.cholesky(covariance)
    white = jax.scipy.linalg.solve_triangular(root, values["x"], lower=True)
    return -0.5 * (white**2).sum() - jnp.log(jnp.diagonal(root)).sum()


def multivariate():
    """A three-dimensional normal with unknown correlations."""
    supports = {"x": bj.Real(shape=(3,)), "factor": bj.CorrelationCholesky(shape=(3, 3))}
    return infer.declared(correlated, supports)


@pytest.mark.parametrize(
    ("model", "needed"),
    [
        # The last one needs what these need.
        pytest.param(grouped, {"scatter-add"}, marks=pytest.mark.slow),
        pytest.param(process, {"cholesky", "triangular_solve"}, marks=pytest.mark.slow),
        (multivariate, {"cholesky", "triangular_solve", "scatter-add"}),
    ],
)
def test_native_and_batched_transitions_agree(model, needed):
    """Two draws of each of two chains, from the same points."""
    options = {"chains": 2, "warmup": 0, "key": 3, "progress": False}
    native = infer.start(model(), infer.NUTS(step_size=0.1), group=1, **options).advance(2)
    batched = infer.start(model(), infer.NUTS(step_size=0.1), group=2, **options).advance(2)
    assert native.plan.is_native
    assert native.why_not_native is None
    assert needed <= set(native.rewritten)
    assert not batched.plan.is_native
    np.testing.assert_allclose(
        native.draws().positions, batched.draws().positions, rtol=1e-7, atol=1e-7
    )


def test_primitives_without_native_form_are_named_before_compiling():
    made, _ = compile_program(
        lambda x: jax.lax.top_k(x, 4)[0] + jnp.linalg.eigvalsh(spread(x)),
        (),
        (jnp.ones(4),),
        "native",
    )
    assert made == Refusal("no native form of eigh, top_k", has_lapack_calls=True)


def test_unused_results_do_not_prevent_the_native_form():
    """Such as a check of arguments whose result is not used."""

    @jax.jit
    def checked(x):
        return x, jnp.linalg.eigvalsh(spread(x)).min() > 0

    made, _ = compile_program(lambda x: checked(x)[0] + 1, (), (jnp.ones(4),), "native")
    assert isinstance(made, CompiledProgram)
    assert made.is_native
    assert not made.has_lapack_calls


def test_matrices_too_large_for_loops_are_left_to_lapack():
    large = analyze(jax.make_jaxpr(jnp.linalg.cholesky)(jnp.eye(129)))
    assert (large.rewritten, large.missing, large.has_lapack_calls) == ((), ("cholesky",), True)


@pytest.mark.slow
def test_chains_that_call_lapack_are_batched_only_on_request():
    def log_density(values):
        eigenvalues = jnp.linalg.eigvalsh(spread(values["x"]))
        return -0.5 * (values["x"] ** 2).sum() - jnp.log(eigenvalues).sum()

    model = infer.declared(log_density, {"x": bj.Real(shape=(3,))})
    options = {"chains": 4, "warmup": 0, "threads": 2, "progress": False}
    alone = infer.start(model, infer.NUTS(step_size=0.1), **options).advance(1)
    assert alone.why_not_native == "no native form of eigh"
    assert alone.plan[:3] == (1, 2, False)
    batched = infer.start(model, infer.NUTS(step_size=0.1), group=2, **options).advance(1)
    assert batched.plan[:3] == (2, 2, False)
