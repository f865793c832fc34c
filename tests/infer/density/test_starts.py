"""Chains start where `starts=` says: at some values, at the priors' centers, or near a point."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import init_to_median

import bijectors as bj
import infer
from infer.density.chain_starts import assign_starts, count_chains, read_starts
from infer.density.family import make_family, singleton
from infer.density.jitter import Near, OnInitial
from infer.density.start import find_starts
from infer.output.fitted.searches import read_searches, read_start

KEY = np.array([0, 1], np.uint32)
CHAINS = 3


def function(site, y):
    low = site("low", dist.Normal(3.0, 5.0))
    spread = site("spread", dist.HalfNormal(2.0))
    site("above", dist.Uniform(low, low + 2.0))
    effect = site("effect", dist.Normal(low, spread), shape=(2,), centered=False)
    site("shares", dist.Dirichlet(np.array([2.0, 3.0, 5.0])))
    site.observe("y", dist.Normal(effect, 1.0), y)


def walk(site):
    def step(site, x, _):
        x = site("x", dist.Normal(0.9 * x, 1.0))
        return x, site("r", dist.LogNormal(x, 1.0))

    site("z", dist.Gamma(2.0, 1.0))
    site.scan(step, 0.5, length=4)


MODEL = infer.model(function, y=np.array([0.5, 1.5]))
DENSITY = infer.log_density(MODEL)
WALK = infer.log_density(infer.model(walk))
TREE = infer.log_density(
    infer.tree_model({"x": 2.0}, lambda tree: -((tree["x"] - 0.5) ** 2) / 2, {"x": dist.Normal()})
)


def find(starts, density=DENSITY, chains=CHAINS):
    """Return the positions found, and the values there, by name."""
    family = singleton(density)
    wanted = assign_starts(family, chains, read_starts(starts))
    positions = find_starts(family, KEY, wanted)[0].positions
    return positions, jax.tree.map(np.asarray, jax.vmap(density.constrain)(jnp.asarray(positions)))


def test_a_site_that_is_named_starts_there_and_the_others_near_the_origin():
    positions, values = find({"effect": np.array([1.0, 2.0])})
    np.testing.assert_allclose(values["effect"], np.tile([1.0, 2.0], (CHAINS, 1)), rtol=1e-12)
    others = positions[:, [0, 1, 2, 5, 6]]
    assert (np.abs(others) < 2).all()
    assert len(np.unique(others)) == others.size


def test_each_chain_may_have_its_own_value_of_one_site():
    _, values = find({"low": np.array([1.0, 2.0, 3.0])})
    np.testing.assert_allclose(values["low"], [1.0, 2.0, 3.0], rtol=1e-12)


def test_a_value_whose_set_depends_on_other_sites_is_kept_where_it_fits():
    _, values = find({"above": 0.5})
    np.testing.assert_allclose(values["above"], 0.5, rtol=1e-12)
    assert ((values["low"] < 0.5) & (values["low"] + 2 > 0.5)).all()
    with pytest.raises(infer.ModelError, match=r"above: the value 9.0 lies outside its set"):
        find({"above": 9.0})


@pytest.mark.slow
def test_values_of_one_series_of_a_scan_leave_the_other_free():
    series = np.array([0.1, 0.2, 0.3, 0.4])
    positions, values = find({"x": series}, WALK)
    np.testing.assert_allclose(values["x"], np.tile(series, (CHAINS, 1)), rtol=1e-12)
    untouched = find("uniform", WALK)[0]
    assert (np.abs(positions) < 2).all()
    assert positions.shape == untouched.shape


def test_no_named_site_changes_nothing():
    np.testing.assert_array_equal(find({})[0], find("uniform")[0])
    np.testing.assert_array_equal(find(infer.Jitter(radius=2.0))[0], find("uniform")[0])


def test_the_mean_of_a_hierarchical_prior_is_that_given_its_parents():
    _, values = find("mean")
    for name, expected in {
        "low": 3.0,
        "spread": 2.0 * np.sqrt(2 / np.pi),
        "above": 4.0,
        "effect": [3.0, 3.0],
        "shares": [0.2, 0.3, 0.5],
    }.items():
        np.testing.assert_allclose(values[name], [expected] * CHAINS, rtol=1e-6)


@pytest.mark.slow
def test_a_median_with_a_formula_is_exact_and_one_of_draws_lies_near_and_inside():
    _, values = find("median")
    np.testing.assert_allclose(values["spread"], 2.0 * 0.6744897501960817, rtol=1e-6)
    np.testing.assert_allclose(values["above"], 4.0, rtol=1e-6)
    np.testing.assert_allclose(values["shares"].sum(-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(values["shares"][0], [0.2, 0.3, 0.5], atol=0.1)


@pytest.mark.slow
def test_medians_inside_a_scan_follow_the_series():
    _, values = find("median", WALK)
    np.testing.assert_allclose(values["x"][0], 0.5 * 0.9 ** np.arange(1, 5), rtol=1e-6)
    np.testing.assert_allclose(values["r"][0], np.exp(values["x"][0]), rtol=1e-6)


def test_jitter_stays_within_its_radius_and_differs_by_chain():
    center = find("median")[0]
    positions = find(infer.Jitter("median", 0.25))[0]
    offsets = positions - center
    assert (np.abs(offsets) < 0.25).all()
    assert len(np.unique(offsets)) == offsets.size
    np.testing.assert_allclose(find(infer.Jitter("median", 0.0))[0], center, rtol=1e-12)


def test_jitter_around_some_values_moves_only_those():
    near, at = find(infer.Jitter({"spread": 2.0}, 0.01))[0], find({"spread": 2.0})[0]
    assert (np.abs(near - at)[:, 1] > 0).all()
    assert (np.abs(near - at)[:, 1] < 0.01).all()
    assert (np.abs(near) < 2).all()


@pytest.mark.slow
def test_a_list_mixes_all_kinds():
    whole = {
        "low": 0.1,
        "spread": 1.0,
        "above": 1.0,
        "effect": np.zeros(2),
        "shares": np.ones(3) / 3,
    }
    positions, values = find([whole, "prior", {"low": 0.2}])
    np.testing.assert_allclose(values["low"][[0, 2]], [0.1, 0.2], rtol=1e-12)
    np.testing.assert_array_equal(positions[1], find("prior")[0][1])


def test_each_of_several_models_has_its_own_center():
    models = [infer.model(shifted, mean=m, y=0.0) for m in (1.0, 5.0)]
    family = make_family(models, jacobian=True)
    for starts in ("mean", infer.Jitter("mean", 0.0)):
        wanted = assign_starts(family, 2, read_starts(starts))
        found = find_starts(family, KEY, wanted)[0].positions[:, 0]
        np.testing.assert_allclose(found, [1.0, 1.0, 5.0, 5.0], rtol=1e-12)


def shifted(site, mean, y):
    site.observe("y", dist.Normal(site("x", dist.Normal(mean, 1.0)), 1.0), y)


def score(x):
    return -x


CAUCHY = infer.model(lambda site: site("x", dist.Cauchy(0.0, 1.0)))
NO_PRIOR = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
SCORE = infer.model(lambda site: site("x", infer.ScorePrior(score, shape=())))
CENTERLESS = {
    "a Cauchy has no mean": (CAUCHY, "mean", "a Cauchy, has no mean"),
    "nor a site without a prior a mean": (NO_PRIOR, "mean", "a constraint and no prior"),
    "nor a median": (NO_PRIOR, "median", "a constraint and no prior"),
    "a score has no median": (SCORE, "median", "known by its score alone"),
    "nor a mean": (SCORE, "mean", "known by its score alone"),
}


@pytest.mark.parametrize(("model", "how", "found"), CENTERLESS.values(), ids=CENTERLESS)
def test_a_prior_without_a_center_is_refused_by_name(model, how, found):
    with pytest.raises(infer.ModelError, match=f'x: starts="{how}".*{found}') as caught:
        find(how, infer.log_density(model))
    assert "starts={" in caught.value.mend


def test_a_cauchy_has_a_median():
    assert find("median", infer.log_density(CAUCHY))[0].tolist() == [[0.0]] * CHAINS


WRONG = {
    "medain": 'Did you mean "median"',
    "jitter+adapt_diag": 'infer.Jitter\\("mean"\\)',
    2.0: "infer.Jitter\\(radius=2.0\\)",
    init_to_median: 'starts="median"',
}


@pytest.mark.parametrize("starts", WRONG)
def test_words_of_other_libraries_are_refused_with_ours(starts):
    with pytest.raises(infer.StartError, match=WRONG[starts]):
        read_starts(starts)


@pytest.mark.parametrize(("around", "radius"), [(None, -1.0), (None, np.nan), ("prior", 1.0)])
def test_a_jitter_around_no_point_is_refused(around, radius):
    with pytest.raises(infer.StartError, match="Jitter"):
        infer.Jitter(around, radius)


def test_values_of_derived_sites_alone_are_refused():
    def derives(site):
        site.derive("double", 2 * site("x", dist.Normal()) + site("y", dist.Normal()))

    density = infer.log_density(infer.model(derives))
    with pytest.raises(infer.ModelError, match="double: a chain cannot start at it"):
        find({"double": 1.0}, density)
    assert find({"double": 1.0, "x": 0.5, "y": 0.25}, density)[0].tolist() == [[0.5, 0.25]] * CHAINS


VALUES = {"x": np.array(0.5)}


@pytest.mark.parametrize(
    ("starts", "count"),
    [
        ("initial", 1),
        ("mean", 1),
        (VALUES, 1),
        (OnInitial({}), 1),
        (infer.Jitter(radius=0.0), 1),
        (infer.Jitter("initial", 0.0), 1),
        (infer.Jitter("initial", 0.5), None),
        (infer.Jitter(["initial"] * 3, 0.5), 3),
        ("uniform", None),
        (["initial", "uniform"], 2),
    ],
    ids=str,
)
def test_starts_that_coincide_count_as_one(starts, count):
    assert count_chains(TREE, starts) == count


def test_one_search_is_made_at_the_initial_values():
    searches, starts = read_searches(TREE.model, True, "initial")
    assert (searches.number, starts) == (1, "initial")


@pytest.mark.slow
def test_a_search_for_each_start_that_is_left_to_chance():
    model, engine = infer.from_numpyro(theirs), infer.MAP("unconstrained")
    assert len(infer.maximize(model, engine, starts={"a": 0.5}).every_lp) == 16
    assert len(infer.maximize(model, engine, starts={"a": np.zeros(3)}).every_lp) == 3
    assert len(infer.maximize(model, engine, starts="mean").every_lp) == 1


@pytest.mark.slow
def test_partial_starts_reach_samplers_and_fits():
    model, given = infer.from_numpyro(theirs), {"a": 0.5}
    drawn = infer.sample(model, infer.NUTS(), starts=given, draws=50, progress=False)
    assert drawn.posterior["a"].shape == (4, 50)
    with pytest.warns(infer.FitWarning):
        infer.fit(model, infer.ADVI(), starts=given, epochs=1, progress=False)


def theirs():
    numpyro.sample("a", dist.Normal())
    numpyro.sample("b", dist.Normal())


def test_sites_of_a_tree_that_are_not_named_keep_their_values_in_a_search():
    model = infer.tree_model(
        {"a": 30.0, "b": 40.0}, lambda _: 0.0, {"a": bj.Real(), "b": bj.Real()}
    )
    density = infer.log_density(model)
    (start,) = assign_starts(singleton(density), 1, read_start(model, {"a": 1.0}))
    assert isinstance(start, Mapping)
    assert {n: float(v) for n, v in start.items()} == {"a": 1.0, "b": 40.0}
    assert isinstance(assign_starts(singleton(density), 1, {"a": 1.0})[0], Near)


@pytest.mark.parametrize(
    ("value", "words"), [("a", "it holds strings, such as 'a'"), (None, "it is None")]
)
def test_a_start_that_holds_no_numbers_is_refused(value, words):
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    with pytest.raises(infer.ModelError, match=f"x: {words}"):
        infer.start(model, starts={"x": value})


def test_a_search_from_the_edge_of_a_set_is_refused():
    def edge(site):
        site.factor("f", 3 * site.param("x", bj.Interval(0.0, 1.0)))

    with pytest.raises(infer.StartError, match="x: its starting value is on the edge of its set"):
        infer.maximize(infer.model(edge), infer.MAP("constrained"), starts={"x": 1.0})
