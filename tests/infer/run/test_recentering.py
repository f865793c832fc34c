"""Warm-up learns how far sites are centered; draws, resumes and tunings know of it."""

import pickle
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import make_family
from infer.density.recentered import Piece, split_entries
from infer.engines.base import Draws
from infer.output.data.origin import find_run
from infer.programs import parts
from infer.run import coordinates
from infer.run.coordinates import move_all, move_draws
from infer.run.recentering import begin_centering, choose_centering
from infer.run.tuned import TuningAtDegrees, split_tuning
from infer.store.state import read_centering

OPTIONS = {"chains": 2, "draws": 200, "key": 1, "progress": False}
NUTS = infer.NUTS()
FACTOR = np.array([[1.0, 0.0], [0.8, 0.6]])


def levels(site, noise, y, z, centered="auto", whitened="auto"):
    """Four values with one degree each, and a pair with one for both."""
    mean = site("mean", dist.Normal(0.0, 5.0))
    spread = site("spread", dist.HalfNormal(5.0))
    level = site("level", dist.Normal(mean, spread), dims="group", centered=centered)
    prior = dist.MultivariateNormal(mean, scale_tril=spread * FACTOR)
    whitened = whitened if centered == "auto" else centered
    pair = site("pair", prior, dims="side", centered=whitened)
    site.observe("y", dist.Normal(level, noise), y)
    site.observe("z", dist.Normal(pair, noise), z)


def model(noise=10.0, **given):
    y, z = np.array([2.0, 0.5, -1.0, 1.5]), np.array([0.5, 1.0])
    coords = {"group": list("abcd"), "side": list("lr")}
    return infer.model(levels, noise=noise, y=y, z=z, **given, coords=coords)


@pytest.fixture(scope="module")
def result():
    return infer.sample(model(), NUTS, **OPTIONS)


@pytest.fixture(scope="module")
def run(result):
    return find_run(result)


@pytest.mark.slow
def test_every_data_set_has_its_own_degrees_and_the_result_says_them():
    both = infer.sample([model(), model(noise=0.01)], NUTS, **OPTIONS)
    degrees = both["sample_stats"].coords["centering_level"]
    assert degrees.dims == ("chain", "dataset", "group")
    assert (degrees[0, 0] < 0.5).all()
    assert (degrees[0, 1] == 1).all()
    whitened = both["sample_stats"].coords["centering_pair"]
    assert whitened.dims == ("chain", "dataset", "side")
    np.testing.assert_array_equal(whitened[0], [[0, 0], [1, 1]])
    means = both["posterior"].isel(dataset=1).mean(("chain", "draw"))
    np.testing.assert_allclose(means["level"], [2.0, 0.5, -1.0, 1.5], atol=0.01)
    np.testing.assert_allclose(means["pair"], [0.5, 1.0], atol=0.01)


def test_draws_of_many_data_sets_change_coordinates_like_those_of_each(monkeypatch):
    """Of 46 rows each, so that parts of 64 rows are filled up; vectors may round apart."""
    rng, kept = np.random.default_rng(0), {"whitened": infer.static(True)}
    family = make_family([model(**kept), model(noise=0.01, **kept)], jacobian=True)
    old = begin_centering(family)
    new = old._replace(degrees=rng.choice([0.0, 0.3, 1.0], old.degrees.shape))
    points = rng.normal(size=(2, 4, 23, 8))
    found = move_all(family, old, new, *points)
    for i, own in enumerate((slice(0, 2), slice(2, 4))):
        apart = [c._replace(degrees=c.of(i)) for c in (old, new)]
        for one, other in zip(
            found, move_all(family.only(i), *apart, *points[:, own]), strict=True
        ):
            np.testing.assert_array_equal(one[own], other)
    # Without gradients by another program, and a few rows in shorter parts.
    monkeypatch.setattr(coordinates, "MANY", 2)
    alone, few = move_all(family, old, new, points[0]), points[:, :, :5]
    assert alone.gradient is None
    np.testing.assert_array_equal(alone.position, found.position)
    np.testing.assert_array_equal(alone.log_det, found.log_det)
    for one, other in zip(move_all(family, old, new, *few), found, strict=True):
        np.testing.assert_array_equal(one, other[:, :5])


def lone_pair(site):
    spread = site("spread", dist.HalfNormal(5.0))
    site("pair", dist.MultivariateNormal(0.0, scale_tril=spread * FACTOR))


def test_points_are_moved_if_only_vectors_are_learned():
    family = make_family(infer.model(lone_pair), jacobian=True)
    old = begin_centering(family)
    new = old._replace(degrees=np.ones_like(old.degrees))
    points = np.random.default_rng(0).normal(size=(2, 5, 3))
    found = move_all(family, old, new, points)
    spread = jax.jit(jax.vmap(jax.vmap(family.member(0).constrain)))(points)["spread"]
    expected = spread[..., None] * (points[..., 1:] @ FACTOR.T)
    np.testing.assert_allclose(found.position[..., 1:], expected, rtol=1e-12)
    np.testing.assert_allclose(found.log_det, -np.log(0.6 * spread**2), rtol=1e-12)


def test_members_learn_alike_if_some_are_worked_on_at_a_time(monkeypatch):
    kept = {"whitened": infer.static(True)}
    family = make_family([model(noise=n, **kept) for n in (1.0, 10.0, 0.01, 5.0)], jacobian=True)
    draws = Draws(*np.random.default_rng(0).normal(size=(2, 8, 23, 8)), {"lp": np.zeros((8, 23))})
    old = begin_centering(family)
    whole = choose_centering(family, old, draws)
    moved = move_draws(family, old, whole, draws)
    assert len(np.unique(whole.degrees, axis=0)) == 3
    monkeypatch.setattr(parts, "CACHED", 1)
    monkeypatch.setattr(parts, "MANY", 2)
    found = choose_centering(family, old, draws)
    np.testing.assert_array_equal(found.degrees, whole.degrees)
    jax.tree.map(np.testing.assert_array_equal, move_draws(family, old, found, draws), moved)


def test_draws_that_are_moved_together_are_moved_as_alone():
    family = make_family(model(), jacobian=True)
    draws = np.random.default_rng(1).normal(size=(2, 2, 9, 8))
    old = begin_centering(family)
    new = old._replace(degrees=0.5 * np.ones_like(old.degrees))
    both = [Draws(*own, {"lp": own[0, ..., 0]}) for own in (draws, draws[:, :, :1])]
    for own, found in zip(both, move_draws(family, old, new, *both), strict=True):
        close = partial(np.testing.assert_allclose, rtol=1e-12)
        jax.tree.map(close, found, *move_draws(family, old, new, own))


def test_the_degree_of_a_scalar_site_is_a_scalar():
    """So is that of a site without entries an empty array."""
    pieces = (Piece("x", 0, ()), Piece("none", 1, (0,)))
    degrees = split_entries(pieces, np.array([[0.3], [0.7]]))
    np.testing.assert_array_equal(degrees["x"], [0.3, 0.7])
    assert degrees["none"].shape == (2, 0)


def test_draws_are_in_the_coordinates_of_the_density(run):
    density, draws = infer.log_density(model()), run.draws()
    assert (run.warmup.centering.degrees < 0.5).all()
    lp, gradient = density.evaluate(jnp.asarray(draws.positions[1, 7]))
    np.testing.assert_allclose(draws.stats["lp"][1, 7], lp, rtol=1e-12)
    np.testing.assert_allclose(draws.gradients[1, 7], gradient, rtol=1e-8, atol=1e-10)


def test_learning_compiles_no_other_loop(run):
    assert infer.start(model(noise=3.0), NUTS, **_without_draws()).advance(1).compilations == 0


def _without_draws():
    return {name: value for name, value in OPTIONS.items() if name != "draws"}


def test_a_run_stopped_in_warm_up_goes_on_bit_for_bit(run):
    stopped = infer.start(model(), NUTS, **_without_draws())

    def stop(run):
        if run.warmup.window == 2:
            raise KeyboardInterrupt

    stopped.after_block = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.warm_up()
    state = pickle.loads(pickle.dumps(stopped.state))
    assert state.warmup.window == 2
    resumed = infer.start(model(), NUTS, state=state, progress=False).advance(200)
    np.testing.assert_array_equal(resumed.draws().positions, run.draws().positions)


def test_a_stored_run_has_the_same_draws(result, tmp_path):
    stored = infer.sample(model(), NUTS, store=tmp_path / "s.zarr", **OPTIONS)
    for name in ("level", "pair", "spread"):
        np.testing.assert_array_equal(stored["posterior"][name], result["posterior"][name])
    stats = stored["sample_stats"]
    np.testing.assert_array_equal(stats["lp"], result["sample_stats"]["lp"])
    degrees = find_run(result).warmup.centering.degrees
    np.testing.assert_array_equal(stats.coords["centering_level"], [degrees[:4]] * 2)
    np.testing.assert_array_equal(stats.coords["centering_pair"], [degrees[4:]] * 2)
    more = infer.resume(tmp_path / "s.zarr", model(), draws=10, progress=False)
    whole = run_of(210)
    np.testing.assert_array_equal(more["posterior"]["level"], whole["posterior"]["level"])
    tuned = infer.sample(model(), NUTS, **OPTIONS, tuning=tmp_path / "s.zarr", warmup=0)
    np.testing.assert_array_equal(find_run(tuned).warmup.centering.degrees, degrees)


def autoregression(site, y, error):
    persistence = site("persistence", dist.Uniform(0.0, 1.0))
    spread = site("spread", dist.HalfNormal(1.0))

    def step(site, x, given):
        x = site("x", dist.Normal(persistence * x, spread))
        site.observe("y", dist.Normal(x, error), given)
        return x, None

    site.scan(step, 0.0, y, dim="time")


def series(error):
    return infer.model(autoregression, y=np.linspace(-1, 1, 6), error=error)


@pytest.mark.slow
def test_steps_are_centered_where_they_are_well_known():
    both = infer.sample([series(0.02), series(10.0)], NUTS, **OPTIONS)
    degrees = both["sample_stats"].coords["centering_x"]
    assert degrees.dims == ("chain", "dataset", "time")
    assert (degrees[0, 0] > 0.7).all()
    assert (degrees[0, 1] < 0.3).all()


@pytest.mark.slow
def test_a_stored_run_of_a_scan_goes_on_with_its_degrees(tmp_path):
    model = series(0.5)
    whole = infer.sample(model, NUTS, **OPTIONS | {"draws": 210})
    stored = infer.sample(model, NUTS, store=tmp_path / "s.zarr", **OPTIONS)
    assert stored["sample_stats"].coords["centering_x"].shape == (2, 6)
    more = infer.resume(tmp_path / "s.zarr", model, draws=10, progress=False)
    np.testing.assert_array_equal(more["posterior"]["x"], whole["posterior"]["x"])


@pytest.mark.slow
def test_a_run_of_a_version_that_learned_no_steps_goes_on_with_them_as_written():
    """It has no degrees."""
    old = infer.start(series(0.5), NUTS, **_without_draws())
    old.warmup = replace(old.warmup, centering=read_centering({}, old.family), spare=None)
    resumed = infer.start(series(0.5), NUTS, state=pickle.loads(pickle.dumps(old.state)))
    draws = resumed.advance(5).draws()
    lp = infer.log_density(series(0.5))(jnp.asarray(draws.positions[1, 3]))
    np.testing.assert_allclose(draws.stats["lp"][1, 3], lp, rtol=1e-12)


def run_of(draws):
    return infer.sample(model(), NUTS, **OPTIONS | {"draws": draws})


def test_a_tuning_is_used_in_the_coordinates_in_which_it_was_learned(run, tmp_path):
    warmup = replace(run.warmup, centering=run.warmup.centering._replace(degrees=np.full(6, 0.3)))
    other = replace(run, warmup=warmup)
    infer.save_tuning(tmp_path / "tuning.npz", other)
    for tuning in (pickle.loads(pickle.dumps(other.tuning)), tmp_path / "tuning.npz"):
        again = infer.sample(model(), NUTS, **OPTIONS | {"draws": 1}, tuning=tuning, warmup=0)
        own = find_run(again)
        np.testing.assert_array_equal(own.warmup.centering.degrees, np.full(6, 0.3))
        np.testing.assert_array_equal(own.tuning.step_size, run.tuning.step_size)


def test_the_centering_of_one_data_set_serves_several(run):
    both = begin_centering(make_family([model(0.5), model(2.0)], jacobian=True))
    _, centering = split_tuning(run.tuning, both)
    degrees = run.warmup.centering.degrees
    np.testing.assert_array_equal(centering.degrees, [degrees, degrees])


def test_a_tuning_that_knows_of_no_centering_is_for_the_values_themselves(run):
    started = infer.start(model(), NUTS, **_without_draws(), tuning=run.warmup.tuning, warmup=0)
    np.testing.assert_array_equal(started.warmup.centering.degrees, np.ones(6))


def test_a_tuning_and_a_run_of_a_version_that_learned_no_vectors_leave_them_as_written(run):
    degrees = np.full(4, 0.3)
    tuned = infer.start(
        model(), NUTS, **_without_draws(), tuning=TuningAtDegrees(run.warmup.tuning, degrees)
    )
    np.testing.assert_array_equal(tuned.warmup.centering.degrees, np.append(degrees, [1.0, 1.0]))
    stored = read_centering({"centering": degrees}, run.family)
    assert [piece.name for piece in stored.pieces] == ["level"]
    np.testing.assert_array_equal(stored.degrees, degrees)


def test_a_tuning_for_other_sites_is_refused(run, tmp_path):
    infer.save_tuning(tmp_path / "tuning.npz", run)
    centered = model(centered=infer.static(True))
    for tuning in (run.tuning, tmp_path / "tuning.npz"):
        with pytest.raises(infer.RunError, match="6 entries, and here it is learned for 0"):
            infer.sample(centered, NUTS, **OPTIONS, tuning=tuning, warmup=0)
    frozen = model().freeze(mean=0.0, spread=1.0)
    with pytest.raises(
        infer.RunError, match="centering of 6 entries, and here it is learned for 0"
    ):
        infer.start(frozen, NUTS, **_without_draws(), tuning=run.tuning)


def test_warm_up_keeps_its_draws_in_the_coordinates_of_the_density(result):
    kept = infer.sample(model(), NUTS, include=["warmup"], **OPTIONS)
    density = infer.log_density(model())
    for draw in (3, 40):
        at = kept["warmup_posterior"].isel(chain=0, draw=draw)
        lp = density.of({name: at[name].to_numpy() for name in ("mean", "spread", "level", "pair")})
        stats = kept["warmup_sample_stats"].isel(chain=0, draw=draw)
        np.testing.assert_allclose(stats["lp"], lp, rtol=1e-10)


def test_a_funnel_is_sampled_by_default():
    """Means of v over 4 x 1000 draws of ESS above 1500 are within 5 standard errors of 0.

    One run in 1.7 million is outside by chance.
    """

    def funnel(site):
        v = site("v", dist.Normal(0.0, 3.0))
        site("x", dist.Normal(0.0, np.e ** (v / 2)), shape=(9,))

    found = infer.sample(infer.model(funnel), NUTS, key=1, progress=False)
    v = found["posterior"]["v"].to_numpy()
    assert not found["sample_stats"]["diverging"].any()
    assert abs(v.mean()) < 5 * 3 / np.sqrt(1500)
    assert abs(np.log(v.std() / 3)) < 5 / np.sqrt(2 * 1500)
