"""Predictions for other steps and other groups: what continues, what is kept, what is refused."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray
from numpyro.contrib.control_flow import scan

import bijectors as bj
import infer

STEPS, AHEAD, DRAWS, SIGMA, PHI = 4, 3, 2000, 0.3, 0.6
PATH = np.array([1.0, 2.0, 4.0, 5.0])
SERIES = np.array([0.5, -1.0, 1.5, 2.0])


def result(observed=None, coords=None, **values):
    """Make what `infer.sample` might have returned; a value is (dims, array) or an array."""

    def named(name, own):
        if isinstance(own, tuple):
            return (own[0],), own[1]
        return tuple(f"{name}_dim_{i}" for i in range(np.ndim(own))), own

    def dataset(arrays, lead=()):
        made = {n: ((*lead, *dims), a) for n, (dims, a) in arrays.items()}
        used = {d for dims, _ in made.values() for d in dims}
        return xarray.Dataset(made, {d: c for d, c in (coords or {}).items() if d in used})

    drawn = {n: named(n, own) for n, own in values.items()}
    drawn = {n: (d, np.broadcast_to(a, (1, DRAWS, *np.shape(a)))) for n, (d, a) in drawn.items()}
    groups = {"posterior": dataset(drawn, ("chain", "draw"))}
    if observed:
        groups["observed_data"] = dataset({n: named(n, own) for n, own in observed.items()})
    return groups


def moments(found, name):
    own = found["predictions" if "predictions" in found else "posterior_predictive"][name][0]
    return np.asarray(own.mean("draw")), np.asarray(own.var("draw"))


def assert_moments(found, name, mean, variance):
    """Compare with 2000 draws, within 5 standard errors: a false alarm in 10^6 for each."""
    (means, variances), variance = moments(found, name), np.asarray(variance)
    assert (abs(means - mean) <= 5 * np.sqrt(variance / DRAWS)).all()
    np.testing.assert_allclose(variances, variance, rtol=5 * np.sqrt(2 / DRAWS))


def walk(site, y, length):
    def step(site, level, y):
        level = site("level", dist.Normal(level, SIGMA), centered=False)
        site.observe("y", dist.Normal(level, 0.1), y)
        site.derive("twice", 2 * level)
        return level, None

    site.scan(step, jnp.zeros(()), y, length=length, dim="time")


def test_a_longer_scan_continues_each_path_from_its_last_state():
    model = infer.model(walk, y=None, length=STEPS + AHEAD)
    found = infer.predict(model, result(level=("time", PATH), observed={"y": ("time", PATH)}))
    assert found["predictions"]["level"].dims == ("chain", "draw", "time")
    np.testing.assert_array_equal(moments(found, "level")[0][:STEPS], PATH)
    ahead = np.append(np.zeros(STEPS), np.arange(1, AHEAD + 1)) * SIGMA**2
    mean = np.append(PATH, [PATH[-1]] * AHEAD)
    assert_moments(found, "level", mean, ahead)
    assert_moments(found, "y", mean, ahead + 0.01)
    assert_moments(found, "twice", 2 * mean, 4 * ahead)
    again = infer.predict(model, result(level=PATH), redraw=["level"], key=1)
    assert_moments(again, "level", np.zeros(STEPS + AHEAD), np.arange(1, 8) * SIGMA**2)


def autoregression(site, y, length):
    def step(site, before, y):
        y = site.observe("y", dist.Normal(PHI * before, SIGMA), y)
        return y, None

    site.scan(step, jnp.zeros(()), y, length=length)


def forecast_of_autoregression():
    """Return mean and variance of AR(1) by closed form, one step ahead while it was observed."""
    h = np.arange(1, AHEAD + 1)
    mean = np.append(PHI * np.append(0.0, SERIES[:-1]), PHI**h * SERIES[-1])
    ahead = SIGMA**2 * (1 - PHI ** (2 * h)) / (1 - PHI**2)
    return mean, np.append(np.full(STEPS, SIGMA**2), ahead)


def test_an_observed_series_continues_from_what_was_last_observed():
    model = infer.model(autoregression, y=None, length=STEPS + AHEAD)
    known = result(unused=0.0, observed={"y": SERIES})
    assert_moments(infer.predict(model, known), "y", *forecast_of_autoregression())
    # As new data of the old length are replicated from the start.
    steps = np.arange(1, 8)
    variance = SIGMA**2 * (1 - PHI ** (2 * steps)) / (1 - PHI**2)
    assert_moments(infer.predict(model, known, redraw=["y"]), "y", np.zeros(7), variance)


def test_a_longer_scan_of_numpyro_continues_latent_and_observed_series():
    def states(y, length):
        def step(carry, y):
            level, before = carry
            level = numpyro.sample("level", dist.Normal(level, SIGMA))
            y = numpyro.sample("y", dist.Normal(PHI * before, SIGMA), obs=y)
            return (level, y), None

        scan(step, (jnp.zeros(()), jnp.zeros(())), y, length=length)

    model = infer.from_numpyro(states, None, STEPS + AHEAD)
    found = infer.predict(model, result(level=PATH, observed={"y": SERIES}))
    ahead = np.append(np.zeros(STEPS), np.arange(1, AHEAD + 1) * SIGMA**2)
    assert_moments(found, "level", np.append(PATH, [PATH[-1]] * AHEAD), ahead)
    mean, variance = forecast_of_autoregression()
    # NumPyro keeps what was observed.
    np.testing.assert_array_equal(moments(found, "y")[0][:STEPS], SERIES)
    means, variances = moments(found, "y")
    assert (abs(means - mean)[STEPS:] < 5 * np.sqrt(variance[STEPS:] / DRAWS)).all()
    np.testing.assert_allclose(variances[STEPS:], variance[STEPS:], rtol=0.16)


def test_a_longer_random_walk_continues_from_its_last_state():
    def model(site, length):
        site("path", dist.GaussianRandomWalk(SIGMA, length))
        site.observe("y", dist.Normal(0.0, 1.0), None)

    found = infer.predict(infer.model(model, length=STEPS + AHEAD), result(path=PATH))
    ahead = np.append(np.zeros(STEPS), np.arange(1, AHEAD + 1) * SIGMA**2)
    assert_moments(found, "path", np.append(PATH, [PATH[-1]] * AHEAD), ahead)


def test_a_series_that_cannot_continue_is_refused():
    def backward(site, length):
        def step(site, level, _):
            return site("level", dist.Normal(level, SIGMA)), None

        site.scan(step, jnp.zeros(()), None, length=length, reverse=True)

    def backward_in_numpyro(length):
        step = lambda level, _: (numpyro.sample("level", dist.Normal(level, 1.0)), None)  # noqa: E731
        scan(step, jnp.zeros(()), None, length=length, reverse=True)

    def joint(site, length):
        site("level", dist.MultivariateNormal(jnp.zeros(length), jnp.eye(length)))

    makes = [infer.model(f, length=STEPS + 1) for f in (backward, joint)]
    makes += [infer.from_numpyro(backward_in_numpyro, STEPS + 1)]
    says = ["scan in reverse", "one value of its MultivariateNormal", "scan in reverse"]
    for model, said in zip(makes, says, strict=True):
        with pytest.raises(infer.ModelError, match=f"level: .*{said}.*redraw="):
            infer.predict(model, result(level=PATH))
    shorter = infer.model(walk, y=None, length=STEPS - 1)
    with pytest.raises(infer.ModelError, match="level: .*4 entries .*'time'.*model 3.*coords"):
        infer.predict(shorter, result(level=("time", PATH)))


def test_a_scan_of_numpyro_conditioned_on_its_first_steps_is_refused_with_the_way_to_forecast():
    def conditioned(y, length):
        step = lambda y, _: (numpyro.sample("y", dist.Normal(y, 1.0)), None)  # noqa: E731
        numpyro.sample("level", dist.Normal(0.0, 1.0))
        with numpyro.handlers.condition(data={"y": y}):
            scan(step, jnp.zeros(()), None, length=length)

    model = infer.from_numpyro(conditioned, SERIES, STEPS + AHEAD)
    with pytest.raises(infer.ModelError, match="scan: .*fewer steps.*infer.predict"):
        infer.predict(model, result(level=0.0))


def test_steps_are_matched_by_their_coordinates():
    known = result(level=("time", PATH), coords={"time": [2001, 2002, 2003, 2004]})
    make = lambda time: infer.model(walk, y=None, length=len(time), coords={"time": time})  # noqa: E731
    for time in ([2003, 2004, 2005], [2002, 2001, 2003, 2004], [2001, 2002, 2005]):
        with pytest.raises(infer.ModelError, match="level: the steps of the model are not those"):
            infer.predict(make(time), known)
    first = infer.predict(make([2001, 2002]), known)
    np.testing.assert_allclose(moments(first, "twice")[0], 2 * PATH[:2])
    assert "level" not in first["posterior_predictive"]


def groups(site, group, y, number=3):
    tau = site("tau", dist.HalfNormal(1.0))
    with site.plate("school", number):
        effect = site("effect", dist.Normal(10.0, tau))
    site.observe("y", dist.Normal(effect[group], 0.1), y)


EFFECT = np.array([-1.0, 0.0, 1.0])
KNOWN = result(tau=2.0, effect=("school", EFFECT), coords={"school": ["a", "b", "c"]})


def predict_groups(labels, known=KNOWN):
    coords = {} if labels is None else {"school": labels}
    number = 5 if labels is None else len(labels)
    made = infer.model(groups, group=np.arange(number), y=None, number=number, coords=coords)
    return infer.predict(made, known)


def test_groups_are_matched_by_their_coordinates_and_new_ones_are_drawn_from_the_prior():
    found = predict_groups(["c", "d", "b", "e"])
    assert_moments(found, "effect", [1.0, 10.0, 0.0, 10.0], [0.0, 4.0, 0.0, 4.0])
    assert_moments(found, "y", [1.0, 10.0, 0.0, 10.0], np.array([0.0, 4.0, 0.0, 4.0]) + 0.01)
    new = np.asarray(found["posterior_predictive"]["effect"][0])[:, [1, 3]]
    assert abs(np.corrcoef(new.T)[0, 1]) < 5 / np.sqrt(DRAWS)


def test_without_coordinates_an_axis_that_grew_keeps_its_first_entries():
    found = predict_groups(None)
    assert_moments(found, "effect", [*EFFECT, 10.0, 10.0], [0.0] * 3 + [4.0] * 2)


def test_new_groups_alone_are_not_taken_for_the_old_ones_silently():
    def levels(site, size):
        level = site("level", dist.Normal(0.0, 1.0), shape=size.shape)
        site.observe("y", dist.Normal(level * size, 1.0), None)

    known = result(level=EFFECT)
    known["constant_data"] = xarray.Dataset({"size": ("size_dim_0", EFFECT)})
    infer.predict(infer.model(levels, size=np.append(EFFECT, 5.0)), known)
    with pytest.warns(infer.ModelWarning, match="level: its first 3 entries .* 3 rows of 'size'"):
        infer.predict(infer.model(levels, size=np.append(EFFECT + 4.0, 5.0)), known)


def test_groups_that_cannot_be_matched_are_refused():
    unlabeled = result(tau=2.0, effect=EFFECT)
    made = infer.model(groups, group=np.arange(2), y=None, number=2)
    with pytest.raises(infer.ModelError, match="effect: .*3 entries.*model 2.*Give the dimension"):
        infer.predict(made, unlabeled)
    twice = result(tau=2.0, effect=("school", EFFECT), coords={"school": ["a", "b", "b"]})
    with pytest.raises(infer.ModelError, match="effect: the coordinate 'b'.*several entries"):
        predict_groups(["a", "b"], twice)
    flat = result(tau=2.0, effect=EFFECT[None])
    with pytest.raises(infer.ModelError, match=r"effect: .*shape \(1, 3\).*\(5,\)"):
        predict_groups(None, flat)


def test_a_new_group_without_a_prior_is_refused():
    def levels(site, number):
        with site.plate("school", number):
            level = site.param("level", bj.Real())
            site.observe("y", dist.Normal(level, 1.0), None)

    with pytest.raises(infer.ModelError, match="level: it has a constraint and no prior"):
        infer.predict(infer.model(levels, number=4), result(level=EFFECT))


def test_a_discrete_latent_site_is_drawn_from_its_prior():
    def mixture(site):
        kind = site("kind", dist.Bernoulli(0.25))
        site.observe("y", dist.Normal(4.0 * kind, 1.0), None)

    found = infer.predict(infer.model(mixture), result(unused=0.0), redraw=["kind"])
    assert_moments(found, "kind", 0.25, 0.1875)
    assert_moments(found, "y", 1.0, 4.0)
