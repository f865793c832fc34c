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


def test_only_the_jacobian_is_added_to_the_log_density():
    d = infer.log_density(infer.declared(line, SUPPORTS, data=DATA))
    values = {"slope": 0.9, "noise": np.exp(-0.5)}
    np.testing.assert_allclose(d(jnp.array([0.9, -0.5])), line(values, DATA) - 0.5, rtol=1e-12)


def test_values_are_taken_in_the_order_of_supports():
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


def test_coords_give_the_sizes_and_labels_of_dims():
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


def test_labels_of_a_matrix_name_its_free_entries():
    model = infer.declared(
        lambda v: 0.0,
        {"L": bj.CorrelationCholesky(shape=(3, 3))},
        dims={"L": ["asset", "factor"]},
        coords={"asset": ["a", "b", "c"], "factor": [1, 2, 3]},
    )
    assert sorted(infer.log_density(model).labels()) == ["L[b,1]", "L[c,1]", "L[c,2]"]


def test_maps_are_chosen_per_value_or_per_model():
    model = infer.declared(
        lambda v: 0.0,
        {"w": bj.Simplex(3), "s": bj.Positive(), "t": bj.Positive()},
        bijectors={"w": "alr", "s": bj.Softplus()},
    )
    maps = [site.bijector for site in infer.log_density(model).latent]
    assert maps == ["SoftmaxALR", "Softplus", "Exp"]
    other = model.with_rules(bj.prefer({bj.Positive: "softplus"}))
    maps = [site.bijector for site in infer.log_density(other).latent]
    assert maps == ["SoftmaxALR", "Softplus", "Softplus"]


def test_a_map_for_an_unknown_value_is_refused():
    with pytest.raises(infer.ModelError, match=r"w: bijectors name it, but no support does"):
        infer.declared(lambda v: 0.0, {"a": bj.Real()}, bijectors={"w": "alr"})


def test_a_complex_value_is_inferred():
    model = infer.declared(lambda v: -(abs(v["z"]) ** 2).sum(), {"z": bj.Complex(shape=(2,))})
    d = infer.log_density(model)
    position = d.unconstrain({"z": [1 + 2j, 3 - 1j]})
    np.testing.assert_allclose(position, [1, 2, 3, -1])
    assert d.labels() == ["z[0,0]", "z[0,1]", "z[1,0]", "z[1,1]"]
    np.testing.assert_allclose(d.constrain(position)["z"], [1 + 2j, 3 - 1j])
    np.testing.assert_allclose(d(position), -15, rtol=1e-12)


@pytest.mark.parametrize("name", ["x/y", "", 3])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(infer.ModelError, match=f"{name!r}.* name must be .* without '/'"):
        infer.declared(lambda v: 0.0, {name: bj.Real()})
    with pytest.raises(infer.ModelError, match=f"coords: {name!r} is no name"):
        infer.declared(lambda v: 0.0, {"x": bj.Real()}, coords={name: [1, 2]})
    model = infer.declared(lambda v: 0.0, {"x": bj.Real()})
    with pytest.raises(infer.ModelError, match="coords: 'a/b' is no name"):
        model.with_coords(**{"a/b": [1, 2]})
