"""A plain log density with declared supports."""

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer


def line(values, data):
    residual = data["y"] - values["slope"] * data["x"]
    scale = values["noise"]
    return -0.5 * (residual**2).sum() / scale**2 - 3 * jnp.log(scale)


DATA = {"x": np.array([1.0, 2.0, 3.0]), "y": np.array([1.1, 1.9, 3.2])}
SUPPORTS = {"slope": bj.Real(), "noise": bj.Positive()}


def test_log_density_adds_the_jacobian_alone():
    d = infer.log_density(infer.declared(line, SUPPORTS, data=DATA))
    values = {"slope": 0.9, "noise": np.exp(-0.5)}
    np.testing.assert_allclose(d(jnp.array([0.9, -0.5])), line(values, DATA) - 0.5, rtol=1e-12)


def test_values_are_read_in_the_order_declared():
    supports = {
        "top": bj.Positive(),
        "below": lambda values: bj.LessThan(values["top"]),
        "weights": bj.Simplex(3),
        "cuts": bj.Ordered(shape=(2, 3)),
    }
    d = infer.log_density(infer.declared(lambda v: -v["top"], supports))
    assert [s.name for s in d.latent] == ["top", "below", "weights", "cuts"]
    assert d.size == 1 + 1 + 2 + 6
    assert d.constrain(jnp.zeros(10))["below"] == 0.0


def test_dims_and_coords_label_and_size():
    model = infer.declared(
        lambda v: -(v["a"] ** 2).sum(), {"a": bj.Real()}, dims={"a": "k"}, coords={"k": ["p", "q"]}
    )
    assert infer.log_density(model).labels() == ["a[p]", "a[q]"]


def test_other_data_give_another_density():
    model = infer.declared(line, SUPPORTS, data=DATA)
    other = model.with_data(DATA | {"y": np.zeros(3)})
    position = jnp.array([0.9, -0.5])
    one, two = (infer.log_density(m)(position) for m in (model, other))
    assert one != two


@pytest.mark.parametrize("number", [0.5, 1])
def test_bounds_may_be_floats_or_whole_numbers(number):
    model = infer.declared(lambda v: -v["a"], {"a": bj.GreaterThan(number)})
    assert infer.log_density(model).constrain(jnp.zeros(1))["a"] == number + 1
