"""Errors name the operations that JAX cannot trace or XLA cannot compile natively."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.experimental import io_callback
from jax.extend.core import Primitive
from jax.interpreters import ad, mlir

import bijectors as bj
import infer
from infer.programs import native
from infer.programs.by_name import explain_refusal, name_errors
from infer.programs.native import Refusal, compile_program

# Primitives that a user might define: one has no derivative, the other no batching rule.
plain, linear = Primitive("plain_twice"), Primitive("linear_twice")
for own in (plain, linear):
    own.def_impl(lambda x: 2 * x)
    own.def_abstract_eval(lambda x: x)
    mlir.register_lowering(own, mlir.lower_fun(lambda x: 2 * x, multiple_results=False))
ad.deflinear2(linear, lambda slope, _: [2 * slope])


def outside(callback, x, **options):
    return callback(lambda a: np.asarray(a), jax.ShapeDtypeStruct(x.shape, x.dtype), x, **options)


def fixed(callback, x, **options):
    return outside(callback, jax.lax.stop_gradient(x), **options)


def counted(x):
    return jax.lax.while_loop(lambda c: c[0] < 1, lambda c: c + 1, x)


def in_branch(x):
    called = lambda x: fixed(io_callback, x, ordered=True)  # noqa: E731
    return jax.lax.cond(x[0] > 0, called, jnp.sin, x)


def itself_times_itself(x):
    return jax.custom_derivatives.linear_call(lambda r, b: b * r, lambda r, b: b * r, x, x)


PLACES = np.array([0, 0])
REFUSED = {
    "x.at[i].apply": (lambda x: x.at[PLACES].apply(jnp.sin), "x.at[i].set(f(x[i]))"),
    "x.at[i].multiply": (lambda x: x.at[PLACES].multiply(x[:2]), "unique_indices"),
    "while_loop": (counted, "jax.lax.scan"),
    "betainc": (lambda x: jax.lax.betainc(jnp.exp(x), x / x, x / (1 + x**2)), "custom_jvp"),
    "polygamma": (lambda x: jax.lax.polygamma(jnp.exp(x), jnp.exp(x)), "custom_jvp"),
    "plain_twice": (plain.bind, "custom_jvp"),
    "linear_twice": (linear.bind, "sequential_vmap"),
    "pure_callback: JAX cannot diff": (lambda x: outside(jax.pure_callback, x), "stop_gradient"),
    "pure_callback: JAX cannot map": (lambda x: fixed(jax.pure_callback, x), "vmap_method"),
    "io_callback: JAX cannot diff": (lambda x: outside(io_callback, x), "stop_gradient"),
    "io_callback: JAX cannot map it over chains and draws inside": (in_branch, "out of cond"),
    "checkpoint": (lambda x: jax.checkpoint(in_branch)(x), "Take the callback out"),
    "model: an assertion of JAX fails": (itself_times_itself, "custom_jvp"),
    "ordered io_callback": (lambda x: fixed(io_callback, x, ordered=True), "ordered=False"),
}


# A callback has no gradient; the check of slopes warns of that before JAX raises.
@pytest.mark.filterwarnings("ignore::infer.ModelWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_errors_name_what_jax_cannot_trace(name):
    function, mend = REFUSED[name]
    sites = {"x": bj.Real(shape=(3,))}
    model = infer.declared(lambda values: -(function(values["x"]) ** 2).sum(), sites)
    with pytest.raises(infer.ModelError) as caught:
        infer.sample(model, draws=10, warmup=10, progress=False)
    assert str(caught.value).startswith(name)
    assert mend in str(caught.value)


def test_other_errors_are_passed_on():
    with pytest.raises(AssertionError), name_errors():
        assert False  # noqa: B011, PT015
    with pytest.raises(ValueError, match="of the user"), name_errors():
        raise ValueError("of the user")


NOT_NATIVE = {
    "pure_callback": lambda x: outside(jax.pure_callback, x),
    "io_callback": lambda x: outside(io_callback, x),
    "debug_": lambda x: (jax.debug.print("{}", x), x)[1],
    "debug_callback": lambda x: (jax.debug.callback(lambda a: None, x), x)[1],
    "approx_top_k": lambda x: jax.lax.approx_max_k(x, 2)[0],
    "select_and_scatter_add": jax.grad(
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2,), (1,), "SAME").sum()
    ),
}


@pytest.mark.parametrize("name", NOT_NATIVE)
def test_operations_without_native_form_are_named_and_xla_prints_nothing(name, capfd):
    made, _ = compile_program(NOT_NATIVE[name], (), (jnp.ones(4),), "native")
    assert isinstance(made, Refusal)
    assert made.reason.startswith(f"no native form of {name}")
    # jaxlib prints lines when it loads a program from the persistent cache.
    printed = capfd.readouterr().err.splitlines()
    assert not [line for line in printed if "cpu_aot_loader" not in line]


def test_messages_of_xla_go_to_the_log_and_plain_words_to_the_user(monkeypatch, caplog):
    said = "INTERNAL: Failed to materialize symbols: { (<xla_jit_dylib_0>, { f_kernel }) }"

    def refuse(*_):
        raise jax.errors.JaxRuntimeError(said)

    monkeypatch.setattr(native, "compile_natively", refuse)
    with caplog.at_level(logging.DEBUG, "infer"):
        made, _ = compile_program(lambda x: jnp.log1p(x), (), (np.ones(3),), "native")
    assert isinstance(made, Refusal)
    assert "one native function" in made.reason
    assert "symbols" not in made.reason
    assert said in caplog.text


def test_an_operation_that_xla_refuses_is_named():
    error = RuntimeError("UNIMPLEMENTED: Unhandled opcode for elemental IR emission: scatter")
    assert explain_refusal(error) == "no native form of scatter"


def test_an_array_kept_from_an_earlier_trace_is_refused():
    """JAX says that a program was compiled for another number of inputs."""
    keep = functools.cache(lambda: jnp.array(np.array([0.1, 0.2])))

    def model(site):
        site("x", dist.Normal(keep(), 1.0))

    with pytest.raises(infer.ModelError, match=r"kept, by functools\.cache.* with NumPy"):
        infer.sample_prior(infer.model(model), draws=3)
