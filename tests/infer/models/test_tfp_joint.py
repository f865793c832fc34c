"""Unchanged joint distributions of TFP have the same log density here, in both spaces."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer

from ...cases import mark_slow
from .tfp_models import (
    EFFECTS,
    EXAMPLES,
    Root,
    chain,
    d,
    eight_schools,
    tfd,
    tfp,
    varying_intercepts,
)

# One for each class of joint distributions.
QUICK = {"chain", "line", "principal_components", "switchpoint"}
EVERY = pytest.mark.parametrize("name", mark_slow(EXAMPLES, QUICK))
# On these maps the two libraries agree.
AGREED = {"Identity", "Exp", "Logistic"}


def made(name):
    joint, observed = EXAMPLES[name]
    return infer.log_density(infer.from_tfp(joint, observed=observed)), joint, observed


def theirs(joint, observed, values):
    names = joint._flat_resolve_names()
    return joint.log_prob(joint._model_unflatten([{**observed, **values}[n] for n in names]))


def latent(density, position):
    values = density.constrain(position)
    return {site.name: values[site.name] for site in density.latent}


def coordinates(density, position):
    """The free entries of constrained values, such as half of a symmetric matrix."""
    pieces = []
    for site in density.latent:
        value = latent(density, position)[site.name]
        if site.constraint == "Simplex":
            value = value[..., :-1]
        elif site.constraint == "PositiveDefinite":
            value = value[..., *np.tril_indices(value.shape[-1])]
        pieces.append(value.reshape(-1))
    return jnp.concatenate(pieces)


def log_det(density, position):
    return jnp.linalg.slogdet(jax.jacfwd(lambda q: coordinates(density, q))(position))[1]


@functools.cache
def compared(name):
    """Our answers and theirs at 20 points, values with gradients, in both spaces."""
    density, joint, observed = made(name)
    plain = infer.log_density(density.model, jacobian=False)

    def at(position):
        values = latent(density, position)
        both = jax.value_and_grad
        of_values = functools.partial(theirs, joint, observed)
        with_log_det = lambda q: of_values(latent(density, q)) + log_det(density, q)  # noqa: E731
        return {
            "constrained": (both(plain.of)(values), both(of_values)(values)),
            "unconstrained": (density.evaluate(position), both(with_log_det)(position)),
        }

    positions = np.random.default_rng(1).uniform(-2, 2, size=(20, density.size))
    return jax.jit(jax.vmap(at))(positions)


def assert_close(pair):
    for ours, wanted in zip(*map(jax.tree.leaves, pair), strict=True):
        scale = np.abs(wanted).max(initial=0.0)
        assert np.isfinite(scale)
        # An entry that is zero by cancellation has no correct digit.
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-9 * scale)


@EVERY
def test_log_density_and_gradient_are_those_of_tfp_in_the_constrained_space(name):
    assert_close(compared(name)["constrained"])


@EVERY
def test_log_density_and_gradient_are_those_of_tfp_in_the_unconstrained_space(name):
    """The log-determinant of our map is found by autodiff of the map itself."""
    assert_close(compared(name)["unconstrained"])


@pytest.mark.parametrize(
    "name",
    ["eight_schools", "varying_intercepts", "gaussian_process", "line", "principal_components"],
)
def test_the_unconstrained_density_is_that_of_tfp_if_the_maps_agree(name):
    density, joint, observed = made(name)
    assert {site.bijector for site in density.latent} <= AGREED
    pinned = joint.experimental_pin(**observed)
    bijector = pinned.experimental_default_event_space_bijector()
    shapes = [site.shape for site in density.latent]

    def target(position):
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
        pieces = jnp.split(position, ends[:-1])
        named = {s.name: p.reshape(s.shape) for s, p in zip(density.latent, pieces, strict=True)}
        parts = pinned._model_unflatten([named[n] for n in pinned._flat_resolve_names()])
        value = bijector.forward(parts)
        return pinned.unnormalized_log_prob(value) + bijector.forward_log_det_jacobian(parts)

    position = jnp.linspace(-2, 2, density.size)
    wanted = jax.jit(jax.value_and_grad(target))(position)
    assert_close((eqx.filter_jit(density.evaluate)(position), wanted))


@EVERY
def test_a_pinned_joint_distribution_is_the_same_model(name):
    density, joint, observed = made(name)
    pinned = infer.log_density(infer.from_tfp(joint.experimental_pin(**observed)))
    position = jnp.linspace(-1, 1, density.size)
    assert pinned.labels() == density.labels()
    found, wanted = (eqx.filter_jit(d)(position) for d in (pinned, density))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_observed_values_need_names():
    with pytest.raises(infer.ModelError, match=r"observed: they are a list.*by the names"):
        infer.from_tfp(tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]), observed=[1.0])


def test_the_likelihood_has_a_row_for_each_observation():
    for name, shape in {"eight_schools": (8,), "gaussian_mixture": (5,), "chain": (12,)}.items():
        density, _, observed = made(name)
        rows = jax.eval_shape(density.rows, jnp.zeros(density.size))
        assert rows[next(iter(observed))].shape == shape


def test_parts_get_names_dims_and_new_data():
    schools = list("ABCDEFGH")
    model = infer.from_tfp(
        eight_schools(),
        observed={"effects": EFFECTS},
        dims={"standard": "school", "effects": ["school"]},
        coords={"school": schools},
    )
    density = infer.log_density(model)
    assert density.labels() == ["avg_effect", "avg_stddev"] + [f"standard[{s}]" for s in schools]
    assert {site.name: site.dims for site in density.sites}["effects"] == ("school",)
    moved = infer.log_density(model.with_data(effects=EFFECTS + 1.0))
    assert moved(jnp.zeros(10)) != density(jnp.zeros(10))
    assert jax.tree.structure(moved) == jax.tree.structure(density)
    frozen = infer.log_density(model.freeze(avg_stddev=1.0).view("likelihood"))
    assert frozen.size == 9
    by_arguments = infer.from_tfp(chain(), observed={"x": np.zeros(12, int)})
    assert [site.name for site in infer.log_density(by_arguments).latent] == ["e", "g", "n", "m"]


def lens(place):
    def deflector():
        return tfd.JointDistributionNamed(
            dict(
                radius=tfd.LogNormal(d(0.0), d(0.25)),
                center=tfd.Sample(tfd.Normal(d(place), d(0.1)), 2),
            )
        )

    def model():
        one = yield Root(deflector())
        two = yield Root(deflector())
        total = yield tfd.Deterministic(one["radius"] + two["radius"], name="total")
        yield tfp.experimental.distributions.IncrementLogProb(-(total**2), name="small")
        yield tfd.Independent(tfd.Normal(total * one["center"], d(1.0)), 1, name="image")

    return tfd.JointDistributionCoroutine(model)


def test_a_function_of_data_may_return_nested_joint_distributions():
    image = np.array([0.3, -0.2])
    model = infer.from_tfp(lens, observed={"image": image}, place=0.5)
    density = infer.log_density(model)
    assert {site.name: site.role for site in density.sites} == {
        "var0.center": "latent",
        "var0.radius": "latent",
        "var1.center": "latent",
        "var1.radius": "latent",
        "total": "derived",
        "image": "observed",
    }
    position = jnp.array([0.1, 0.2, -0.4, 0.3, 0.5, 0.6])
    values = latent(density, position)
    inner = [{n: values[f"var{i}.{n}"] for n in ("center", "radius")} for i in (0, 1)]
    total = inner[0]["radius"] + inner[1]["radius"]
    for place in (0.5, -0.5):
        joint = lens(place)
        whole = joint._model_unflatten([*inner, total, jnp.zeros(0), image])
        ours = infer.log_density(model.with_data(place=place), jacobian=False)
        np.testing.assert_allclose(ours(position), joint.log_prob(whole), rtol=1e-10)
    roles = {line.name: line.role for line in infer.explain(model, position).lines}
    assert (roles["small"], roles["image"]) == ("factor", "likelihood")
    pinned = lens(0.5).experimental_pin(var1={"center": np.zeros(2), "radius": 1.5}, image=image)
    seen = infer.log_density(infer.from_tfp(pinned))
    assert [site.name for site in seen.latent] == ["var0.radius", "var0.center"]


def discrete():
    k = yield Root(tfd.Bernoulli(probs=d(0.5), name="k"))
    yield tfd.Normal(jnp.asarray(k, float), d(1.0), name="y")


def spread():
    mu = yield Root(tfd.Normal(d(0.0), d(1.0), name="mu"))
    yield tfd.Normal(mu * jnp.ones(3), d(1.0), name="y")


def survey(joint, **arguments):
    return infer.log_density(infer.from_tfp(joint, **arguments))


def test_wrong_joint_distributions_are_refused():
    coroutine, auto = tfd.JointDistributionCoroutine, tfd.JointDistributionCoroutineAutoBatched
    joint = coroutine(varying_intercepts)
    for call, error, message in [
        (lambda: survey(3.0), infer.ModelError, "a float is not a joint"),
        (lambda: survey(tfd.Normal(0.0, 1.0)), infer.ModelError, "a Normal is not a joint"),
        (lambda: survey(lambda: 3.0), infer.ModelError, "the function returned a float"),
        (
            lambda: survey(joint, observed={"z": 1.0}),
            infer.ModelError,
            "z: observed values.*mean_a",
        ),
        (lambda: survey(joint, dims={"z": "b"}), infer.ModelError, "z: dims name it"),
        (lambda: survey(joint, x=1.0), infer.ModelError, "x: a joint distribution takes no data"),
        (
            lambda: survey(joint, observed={"radon": np.zeros(5)}),
            infer.ModelError,
            r"radon: the observed value has shape \(5,\).*event shape \(6,\)",
        ),
        (
            lambda: survey(joint, observed={"radon": np.full(6, np.nan)}),
            infer.ModelError,
            "radon: the data hold 6 NaN",
        ),
        (
            lambda: survey(joint, dims={"a": "b"}, coords={"b": [1, 2]}),
            infer.ModelError,
            "a: the axis",
        ),
        (lambda: survey(coroutine(discrete)), bj.BijectorError, "k: the support of Bernoulli"),
        (
            lambda: survey(coroutine(spread)),
            infer.ModelError,
            r"y: it has the batch shape \(3,\).*Independent.*AutoBatched",
        ),
        (
            lambda: survey(auto(spread, batch_ndims=1)),
            infer.ModelError,
            "batch_ndims=1 makes it a batch",
        ),
        (
            lambda: survey(joint.experimental_pin(weight=1.0), observed={"weight": 1.0}),
            infer.ModelError,
            "weight: it is pinned and observed",
        ),
        (
            lambda: infer.log_density(infer.model(lambda site: site("x", joint))),
            bj.BijectorError,
            "x: .*infer.from_tfp",
        ),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_single_precision_joint_distributions_run():
    """TFP makes single-precision parameters of Python's floats."""
    joint = tfd.JointDistributionSequentialAutoBatched(
        [tfd.HalfNormal(1.0, name="s"), lambda s: tfd.Normal(np.zeros(3, np.float32), s, name="y")]
    )
    model = infer.from_tfp(joint, observed={"y": np.ones(3)})
    density = infer.log_density(model)
    assert model.table().rows[0].prior == "HalfNormal"
    value, gradient = eqx.filter_jit(density.evaluate)(jnp.zeros(1))
    wanted = joint.log_prob([np.float32(1.0), np.ones(3, np.float32)])
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    assert (value.dtype, gradient.dtype) == (jnp.float64, jnp.float64)
