"""A stack is the composition of its layers, in a program of constant size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

from .flows import perturb

KEY = jax.random.key(0)
DOMAIN = bj.Domain(400.0, 1e-2), bj.Domain(400.0, 1e-10)


def layer(seed):
    """Make a coupling with random parameters, followed by a permutation."""
    coupling = bj.Coupling(3, bj.BoundedAffine(), key=KEY, width=8)
    return bj.Chain(bj.Permute((2, 0, 1)), perturb(coupling, seed))


LAYERS = [layer(seed) for seed in range(4)]
STACK = bj.Stack(LAYERS)
CHAIN = bj.Chain(LAYERS[3], bj.Chain(LAYERS[2], bj.Chain(LAYERS[1], LAYERS[0])))
Y = jnp.array([0.5, -1.0, 2.0])


def test_a_stack_is_the_chain_of_its_layers():
    (x, log_det), image = jax.jit(lambda y: (CHAIN.forward_and_log_det(y), STACK.image(y)))(Y)
    np.testing.assert_allclose(image.value, x, rtol=1e-13)
    np.testing.assert_allclose(image.log_det, log_det, rtol=1e-13)
    undo = jax.jit(lambda x: (STACK.inverse(x), *STACK.inverse_and_log_det(x)))
    back, y, inverse_log_det = undo(x)
    np.testing.assert_allclose(back, Y, rtol=1e-12)
    np.testing.assert_allclose(y, Y, rtol=1e-12)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-12)


def test_stack_passes_the_check():
    with jax.numpy_dtype_promotion("strict"):
        single, double = DOMAIN
        bj.check_bijector(STACK, bj.Real(), (3,), float32=single, float64=double, points=50)


def test_the_program_of_a_stack_does_not_grow_with_its_layers():
    def lines(stack):
        gradient = jax.grad(lambda s, y: s.image(y).log_det)
        return str(jax.make_jaxpr(gradient)(stack, Y)).count("\n")

    assert lines(bj.Stack(LAYERS)) == lines(bj.Stack(LAYERS[:2]))
    assert lines(CHAIN) > 3 * lines(LAYERS[0])


def test_a_stack_without_parameters_repeats_its_map():
    turns = bj.Stack([bj.Permute((2, 0, 1))] * 2)
    np.testing.assert_array_equal(turns.forward(Y), Y[np.array([1, 2, 0])])
    np.testing.assert_array_equal(turns.inverse(turns.forward(Y)), Y)


def test_stacks_of_elementwise_and_vectorwise_maps_repeat_over_a_batch():
    numbers = bj.Stack([bj.Affine(1.0, 2.0), bj.Affine(3.0, -1.0)])
    image = bj.Over(numbers, (3,)).image(Y)
    np.testing.assert_allclose(image.value, 3 - (1 + 2 * Y), rtol=1e-14)
    np.testing.assert_allclose(image.log_det, 3 * np.log(2), rtol=1e-14)
    both = jax.jit(lambda y: (bj.Over(STACK, (2,)).image(y).value, jax.vmap(CHAIN.forward)(y)))
    np.testing.assert_allclose(*both(np.stack([Y, -Y])), rtol=1e-13)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "0 maps of 0 forms"),
        ([bj.Affine(0.0, 1.0), bj.BoundedAffine()], "2 maps of 2 forms"),
        ([bj.BoundedAffine(bound=1.0), bj.BoundedAffine(bound=2.0)], "2 maps of 2 forms"),
        ([bj.Affine(0.0, np.ones(2)), bj.Affine(0.0, 1.0)], "2 maps of 2 forms"),
    ],
)
def test_layers_of_different_forms_raise(layers, message):
    with pytest.raises(bj.BijectorError, match=message):
        bj.Stack(layers)


def test_layers_that_change_the_shape_raise():
    with pytest.raises(bj.BijectorError, match="each of its maps changes the shape"):
        bj.Stack([bj.SoftmaxILR()]).unconstrained_shape((3,))
