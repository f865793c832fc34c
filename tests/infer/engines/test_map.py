"""MAP finds the mode in the requested space."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import bijectors as bj
import infer
from infer.numerics.mode_search import ROUNDING
from infer.output.fitted.curvature import measure_curvature
from infer.output.fitted.ends import Ends, examine_ends

from .. import targets


def _gamma(values):
    return dist.Gamma(2.0, 1.0).log_prob(values["x"])


def gamma():
    """Make a Gamma(2, 1); searches of it from four starts share their programs."""
    return infer.declared(_gamma, {"x": bj.Positive()})


# The density x exp(-x) has its mode at 1; times dx/dy = x, at 2.
MODES = {"constrained": 1.0, "unconstrained": 2.0}


@pytest.mark.parametrize("optimizer", ["lbfgs", optax.adam(0.05)], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("space", MODES)
def test_mode_of_a_gamma_depends_on_the_space(space, optimizer):
    found = infer.maximize(gamma(), infer.MAP(space, optimizer), starts=4)
    np.testing.assert_allclose(found.values["x"], MODES[space], rtol=1e-5)
    assert found.converged
    assert found.space == space


def test_mode_of_a_normal_is_its_mean():
    found = infer.maximize(targets.normal(), infer.MAP("constrained"), starts=2)
    np.testing.assert_allclose(found.values["x"], targets.MEAN, atol=1e-6)
    assert found.every_converged.all()


def test_the_better_of_two_modes_is_returned_and_both_are_reported():
    def two(values):
        x = values["x"]
        return jnp.logaddexp(-8 * (x - 1) ** 2, jnp.log(0.5) - 8 * (x + 1) ** 2)

    model = infer.declared(two, {"x": bj.Real()})
    found = infer.maximize(model, infer.MAP("constrained"), starts=16)
    np.testing.assert_allclose(found.values["x"], 1.0, atol=1e-4)
    assert {-1, 1} == set(np.round(found.every_value["x"]).astype(int))


def test_a_search_that_stops_early_has_not_converged():
    found = infer.maximize(gamma(), infer.MAP("constrained", max_steps=1), starts=2)
    assert not found.converged
    assert found.reason == "steps"
    assert "not converged (steps)" in repr(found)


def test_the_trace_records_the_steps_of_adam():
    """With more than 256 steps, the trace keeps every second one."""
    adam, steps = optax.adam(0.05), 300
    engine = infer.MAP("constrained", adam, max_steps=steps, tolerance=0.0)
    found = infer.maximize(gamma(), engine, starts={"x": np.array(5.0)})
    position = jnp.log(jnp.array([5.0]))
    loss = jax.value_and_grad(lambda y: (jnp.exp(y) - y).sum())
    lp, steepness, optimizer = [], [], adam.init(position)
    for _ in range(steps):
        value, gradient = loss(position)
        lp.append(-value)
        steepness.append(jnp.max(jnp.abs(gradient) * jnp.maximum(1, jnp.abs(position))))
        updates, optimizer = adam.update(gradient, optimizer)
        position += updates
    np.testing.assert_array_equal(found.trace.step, np.arange(0, steps, 2))
    np.testing.assert_allclose(found.trace.lp, lp[::2], rtol=1e-9)
    np.testing.assert_allclose(found.trace.steepness, steepness[::2], rtol=1e-6, atol=1e-12)
    assert found.every_lp[found.start] == found.lp


@pytest.mark.parametrize(
    "name", ["BFGS", "NonlinearCG", pytest.param("LBFGS", marks=pytest.mark.slow)]
)
def test_a_minimizer_of_optimistix_finds_the_mode(name):
    """Its own rule ends the search: with a tolerance of 0, that of MAP never does."""
    optimistix = pytest.importorskip("optimistix")
    solver = getattr(optimistix, name)(rtol=1e-4, atol=1e-4)
    engine = infer.MAP("constrained", solver, tolerance=0.0)
    found = infer.maximize(gamma(), engine, starts={"x": 3.0})
    assert found.reason == "converged"
    assert found.n_steps < 100
    np.testing.assert_allclose(found.values["x"], 1.0, atol=1e-2)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(infer.EngineError, match="optimizer is 3"):
        infer.MAP("constrained", 3)


@pytest.mark.parametrize("name", ["Newton", "LevenbergMarquardt", "GoldenSearch"])
def test_what_looks_for_a_root_or_takes_a_number_is_refused(name):
    optimistix = pytest.importorskip("optimistix")
    with pytest.raises(infer.EngineError, match="would look for a log density of zero"):
        infer.MAP("constrained", getattr(optimistix, name)(rtol=1e-4, atol=1e-4))


def test_a_minimizer_that_cannot_be_hashed_is_refused():
    optimistix = pytest.importorskip("optimistix")
    with pytest.raises(infer.EngineError, match="no arrays among its settings"):
        infer.MAP("constrained", optimistix.GradientDescent(0.1, rtol=1e-4, atol=1e-4))


def test_a_line_search_backtracks_if_the_density_is_not_finite():
    model = infer.declared(
        lambda v: jnp.sum(jnp.log(1 - v["x"] ** 2) + 5 * v["x"]), {"x": bj.Real(shape=(2,))}
    )
    found = infer.maximize(model, infer.MAP("constrained"), starts={"x": np.zeros(2)})
    # 2 x / (1 - x^2) = 5.
    np.testing.assert_allclose(found.values["x"], (np.sqrt(104) - 2) / 10, rtol=1e-5)


def test_a_constant_added_to_the_density_does_not_change_where_a_search_stops():
    """In single precision too."""
    curvature = jnp.array([100.0, 1.0], jnp.float32)

    def shifted(values):
        return -0.5 * (curvature * (values["x"] - 1) ** 2).sum() + jnp.float32(1e5)

    jax.config.update("jax_enable_x64", False)
    try:
        model = infer.declared(shifted, {"x": bj.Real(shape=(2,))})
        found = infer.maximize(model, infer.MAP("constrained"), starts=4)
    finally:
        jax.config.update("jax_enable_x64", True)
    # Rounding of the value at 1e5 leaves 0.01 nats, or 0.15 in the flat coordinate.
    np.testing.assert_allclose(found.values["x"], 1.0, atol=0.2)


def test_a_kink_and_a_cliff_are_not_modes():
    kink = infer.declared(lambda v: -50 * jnp.abs(v["x"] - 0.3), {"x": bj.Real()})
    found = infer.maximize(kink, infer.MAP("constrained"), starts=2)
    assert not found.converged
    assert found.reason == "stalled"
    cliff = infer.declared(lambda v: (jnp.log(v["x"]) - v["x"]).sum(), {"x": bj.Real(shape=(2,))})
    leap = infer.MAP("constrained", optax.adam(3.5), max_steps=50)
    found = infer.maximize(cliff, leap, starts={"x": np.array([3.0, 0.5])})
    assert not found.converged


def test_a_space_must_be_named():
    choices = r'MAP: no space is named.*MAP\(space="constrained"\).*MAP\(space="unconstrained"\)'
    for call in (infer.MAP, lambda: infer.maximize(gamma())):
        with pytest.raises(infer.EngineError, match=choices):
            call()


def maximize(model, space="constrained", **options):
    """Return the optimum, after checking that its findings were also warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = infer.maximize(model, infer.MAP(space), **options)
    assert [str(w.message) for w in caught] == list(found.findings)
    assert infer.verdict(found).findings == found.findings
    assert all(issubclass(w.category, infer.FitWarning) for w in caught)
    return found


def test_a_good_mode_has_no_findings():
    found = maximize(gamma(), starts=4)
    assert found.findings == ()
    assert "reached from 4 of 4 starts" in repr(found)


def funnel(centered):
    """Make a funnel without data; centered or not, it has no mode in the constrained space."""

    def function(site):
        tau = site("tau", dist.HalfCauchy(5.0))
        site("theta", dist.Normal(0.0, tau), shape=(3,), centered=centered)

    return infer.model(function)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("centered", "x64"),
    [
        (False, False),
        *(pytest.param(*both, marks=SLOW) for both in ((True, True), (True, False), (False, True))),
    ],
)
def test_an_unbounded_density_is_reported(centered, x64):
    jax.config.update("jax_enable_x64", x64)
    try:
        found = maximize(funnel(centered), starts=4)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert not found.converged
    assert len(found.findings) == 1
    assert "grow without bound as tau -> 0" in found.findings[0]
    assert (found.findings[0].kind, found.findings[0].sites) == ("unbounded_density", ("tau",))
    assert 'MAP(space="unconstrained")' in found.findings[0]


@pytest.mark.slow
def test_an_improper_density_on_the_line_is_reported():
    model = infer.declared(lambda v: v["x"].sum(), {"x": bj.Real(shape=(2,))})
    found = maximize(model, starts=2)
    assert "still rises further out along x[0], x[1]" in found.findings[0]
    assert (found.findings[0].kind, found.findings[0].sites) == (
        "unbounded_density", ("x[0]", "x[1]")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("growth", "kind", "reason"),
    [
        (lambda x: jnp.exp(x).sum(), "unbounded_density", "unbounded"),
        (lambda x: jnp.log1p(x**4).sum(), "unbounded_density", "unbounded"),
        (lambda x: jnp.arctan(x).sum(), "flat_density", "flat"),
        (lambda x: -0.5 * x[0] ** 2, "flat_density", "flat"),
    ],
    ids=["exponential", "logarithmic", "to a limit", "flat"],
)
def test_a_density_without_a_mode_is_not_called_converged(growth, kind, reason):
    model = infer.declared(lambda v: growth(v["x"]), {"x": bj.Real(shape=(2,))})
    found = maximize(model, starts={"x": np.full(2, 0.7)})
    assert [one.kind for one in found.findings] == [kind]
    assert (found.reason, found.converged) == (reason, False)


def test_modes_of_equal_height_are_distinguished():
    """The modes are equally high, so they are distinguished by position."""
    model = infer.declared(
        lambda v: jnp.logaddexp(-8 * (v["x"] - 1) ** 2, -8 * (v["x"] + 1) ** 2), {"x": bj.Real()}
    )
    found = maximize(model)
    ends = np.sign(found.every_value["x"])
    share = int((ends == ends[found.start]).sum())
    assert 0 < share < 16
    assert f"reached from {share} of 16 starts" in repr(found)
    assert f"{16 - share} of 16 searches ended equally high at other places" in found.findings[0]
    assert found.findings[0].kind == "several_maxima"
    np.testing.assert_array_equal(found.every_same, ends == ends[found.start])
    assert [mode.share for mode in found.modes] == [share / 16, 1 - share / 16]
    # Each mode is a normal of variance 1 / 16, and the other one is two away.
    np.testing.assert_allclose(found.modes[1].distance, 8.0, rtol=1e-4)
    np.testing.assert_allclose(found.modes[1].log_mass, 0.5 * np.log(2 * np.pi / 16), atol=1e-4)


RIDGES = {
    "a line": lambda: infer.declared(
        lambda v: -((v["x"].sum() - 1) ** 2), {"x": bj.Real(shape=(2,))}
    ),
    # Times ds/dy = s, the normal density at its mean does not depend on its scale s.
    "a scale": lambda: infer.declared(
        lambda v: dist.Normal(v["m"], v["s"]).log_prob(1.5), {"m": bj.Real(), "s": bj.Positive()}
    ),
}


@pytest.mark.parametrize("name", RIDGES)
@pytest.mark.parametrize("x64", [True, pytest.param(False, marks=SLOW)])
def test_a_ridge_has_no_single_mode(name, x64):
    jax.config.update("jax_enable_x64", x64)
    try:
        found = maximize(RIDGES[name](), "unconstrained", starts=4)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert "flat between them" in found.findings[0]


@pytest.mark.parametrize("x64", [False, pytest.param(True, marks=SLOW)])
def test_a_broad_mode_counts_as_one(x64):
    """A search finds a position only to a fraction of the spread: 0.01 of 30 in float32."""
    jax.config.update("jax_enable_x64", x64)
    try:
        spreads = jnp.array([30.0, 1.0, 1e-3])
        model = infer.declared(
            lambda v: -0.5 * ((v["x"] / spreads) ** 2).sum() - jnp.cosh(v["x"][0] / 100),
            {"x": bj.Real(shape=(3,))},
        )
        assert maximize(model, starts=8).every_same.all()
    finally:
        jax.config.update("jax_enable_x64", True)


def double_well(size):
    """Make a density with a saddle at zero and modes at -1 and 1 of one coordinate."""

    def density(values):
        x = values["x"]
        return -0.5 * (x**2).sum() + 2.5 * x[1] ** 2 - x[1] ** 4

    return infer.declared(density, {"x": bj.Real(shape=(size,))})


@pytest.mark.parametrize("size", [2, 100])
def test_a_saddle_is_not_a_mode(size):
    found = maximize(double_well(size), starts={"x": np.zeros(size)})
    assert not found.converged
    # The log density rises by one nat from 0 to its maximum at 1.
    assert "rises by" in found.findings[0]
    assert "nats along x[1]" in found.findings[0]
    assert (found.findings[0].kind, found.findings[0].sites) == ("saddle_point", ("x[1]",))
    gain = float(found.findings[0].split("rises by ")[1].split()[0])
    assert 0 < gain <= 1


def test_a_saddle_is_detected_at_any_scale():
    stiff = 10.0 ** np.arange(-6, 7, 3)

    def density(values):
        x = values["x"] / stiff
        return -0.5 * (x**2).sum() + 2.5 * x[1] ** 2 - x[1] ** 4

    model = infer.declared(density, {"x": bj.Real(shape=(5,))})
    found = maximize(model, starts={"x": np.zeros(5)})
    assert "along x[1]" in found.findings[0]


def test_a_mode_that_only_one_search_found_is_reported():
    """Five of six searches end at the broad, lower mode; only the first starts near the other."""

    def density(values):
        x = values["x"]
        return jnp.logaddexp(-0.5 * x**2, 3.0 - 50 * (x - 30) ** 2)

    model = infer.declared(density, {"x": bj.Real()})
    found = maximize(model, starts=[{"x": 29.0}, *[{"x": float(x)} for x in range(-2, 3)]])
    np.testing.assert_allclose(found.values["x"], 30.0, atol=1e-5)
    assert "only 1 of 6 searches ended there" in found.findings[0]
    assert found.findings[0].kind == "maximum_found_once"


def test_given_values_start_one_search_each():
    engine = infer.MAP("constrained")
    assert len(infer.maximize(gamma(), engine, starts={"x": 3.0}).every_lp) == 1
    assert len(infer.maximize(gamma(), engine, starts={"x": np.array([3.0, 0.5])}).every_lp) == 2
    first = infer.maximize(gamma(), engine, starts=[{"x": 3.0}, "uniform", {"x": 0.5}])
    assert len(first.every_lp) == 3
    again = infer.maximize(gamma(), engine, starts=first)
    np.testing.assert_allclose(again.values["x"], first.values["x"], rtol=1e-6)
    assert (len(again.every_lp), again.n_steps) == (1, 1)


@pytest.mark.slow
def test_a_mode_starts_samplers_and_fits():
    """Its derived values are ignored."""

    def function(site):
        site.derive("double", 2 * site("x", dist.Gamma(2.0, 1.0)))

    model = infer.model(function)
    mode = infer.maximize(model, infer.MAP("constrained"), starts=2)
    points = [
        [g.state for g in infer.start(model, infer.HMC(), starts=starts, chains=2).groups]
        for starts in (mode, [mode, mode], {"x": mode.values["x"]})
    ]
    for states in points[1:]:
        for a, b in zip(jax.tree.leaves(states), jax.tree.leaves(points[0]), strict=True):
            np.testing.assert_array_equal(a, b)
    assert infer.fit(model, starts=mode, epochs=1, progress=False).distribution.size == 1


WRONG_STARTS = {
    "a list of 1 is given for 2 chains": [{"x": 1.0}],
    "'zero' is unknown": "zero",
    "a float is given": 1.0,
    "means the values that the model was made with": "initial",
}


@pytest.mark.parametrize("found", WRONG_STARTS)
def test_invalid_starts_are_refused(found):
    with pytest.raises(infer.StartError, match=found):
        infer.sample(gamma(), infer.NUTS(), chains=2, starts=WRONG_STARTS[found])


def test_the_values_of_a_tree_are_the_first_start():
    """The values of the tree are near a narrow, high mode, which no uniform start would find."""

    def likelihood(tree):
        return jnp.logaddexp(-0.5 * tree["x"] ** 2, 9.0 - 50 * (tree["x"] - 30) ** 2)

    model = infer.tree_model({"x": 30.3}, likelihood, {"x": bj.Real()})
    found = maximize(model, starts=4)
    np.testing.assert_allclose(found.values["x"], 30.0, atol=1e-5)
    assert found.start == 0
    # If the log density is not finite at these values, the search starts elsewhere.
    lost = infer.tree_model({"x": -1.0}, lambda tree: jnp.log(tree["x"]), {"x": dist.Normal(0, 1)})
    np.testing.assert_allclose(maximize(lost, starts=4).values["x"], 1.0, rtol=1e-5)


def test_numbers_are_rounded_and_large_arrays_are_summarized():
    found = infer.maximize(gamma(), infer.MAP("constrained"), starts=4)
    assert repr(found).startswith("Optimum(x=1, lp=-1, view=")
    large = infer.declared(
        lambda v: -((v["x"] - np.arange(100.0)) ** 2).sum(), {"x": bj.Real(shape=(100,))}
    )
    found = infer.maximize(large, infer.MAP("constrained"), starts=2)
    assert "x=array(100, " in repr(found)
    assert len(repr(found)) < 250
    assert "<table>" in found._repr_html_()


def test_an_ill_conditioned_normal_takes_few_steps():
    """Its standard deviations range over a factor of 1000; L-BFGS alone took 2000 steps."""
    spread = np.logspace(-1.5, 1.5, 60)
    model = infer.declared(
        lambda v: -0.5 * ((v["x"] / spread) ** 2).sum(), {"x": bj.Real(shape=(60,))}
    )
    found = maximize(model, starts={"x": np.ones(60)})
    assert found.reason == "converged"
    assert found.n_steps <= 30
    assert -1e-3 < found.lp <= 0
    np.testing.assert_allclose(found.standard_errors["x"], spread, rtol=1e-6)


def test_standard_errors_follow_the_values():
    """Of a gamma, the logarithm at the mode of the unconstrained density has variance 1 / 2."""

    def function(site):
        site.derive("square", site("x", dist.Gamma(2.0, 1.0)) ** 2)

    found = maximize(infer.model(function), "unconstrained", starts=2)
    np.testing.assert_allclose(found.information, [[2.0]], rtol=1e-5)
    np.testing.assert_allclose(found.standard_errors["x"], 2 / np.sqrt(2), rtol=1e-5)
    np.testing.assert_allclose(found.standard_errors["square"], 8 / np.sqrt(2), rtol=1e-5)


def test_a_flat_direction_has_no_standard_errors():
    found = infer.maximize(RIDGES["a line"](), infer.MAP("unconstrained"), starts={"x": np.ones(2)})
    with pytest.raises(infer.RunError, match="not positive definite.*along x"):
        _ = found.standard_errors


def test_a_mode_at_the_edge_of_a_set_is_reported():
    model = infer.declared(lambda v: -v["x"].sum(), {"x": bj.Positive(shape=())})
    found = maximize(model, starts=2)
    assert found.reason == "boundary"
    assert (found.findings[0].kind, found.findings[0].sites) == ("mode_at_boundary", ("x",))
    assert "as x -> 0" in found.findings[0]


def test_a_mode_without_its_jacobian_has_no_mass():
    """A Gamma(2, 1): its Laplace mass is that of the unconstrained mode, whose density has one."""
    masses = [
        infer.maximize(gamma(), infer.MAP(s), starts=4).modes[0].log_mass
        for s in ("constrained", "unconstrained")
    ]
    assert np.isnan(masses[0])
    np.testing.assert_allclose(masses[1], 2 * np.log(2) - 2 + 0.5 * np.log(np.pi), rtol=1e-5)


def test_many_models_have_the_modes_that_each_has_alone():
    means = np.array([[0.0, 1.0, 2.0], [5.0, -5.0, 0.5]])
    models = [targets.normal(mean=mean) for mean in means]
    found = infer.maximize(models, infer.MAP("constrained"), starts=2)
    np.testing.assert_allclose([one.values["x"] for one in found], means, atol=1e-5)
    assert [one.reason for one in found] == ["converged", "converged"]
    alone = infer.maximize(models[1], infer.MAP("constrained"), starts={"x": means[0]})
    np.testing.assert_allclose(alone.values["x"], found[1].values["x"], atol=1e-5)


def test_a_search_cut_short_near_an_edge_is_unfinished_not_unbounded():
    """The logarithm of x has its mode at -40, beyond the edge; the search is on its way there."""
    model = infer.declared(lambda v: -0.5 * (jnp.log(v["x"]) + 40) ** 2, {"x": bj.Positive()})
    cut = infer.MAP("constrained", optax.sgd(0.2), max_steps=8)
    with pytest.warns(infer.FitWarning):
        found = infer.maximize(model, cut, starts={"x": np.exp(-60.0)})
    assert found.findings[0].kind == "unfinished_search"


@pytest.mark.parametrize("left", [0.9, 1e-3])
def test_what_rounding_leaves_is_reported_if_it_is_much(left):
    """As a search for the mode of a million nats in single precision would end."""
    model = infer.declared(lambda v: 1e6 - 0.5 * v["x"] ** 2, {"x": bj.Real()})
    density = infer.log_density(model, jacobian=False)
    end, lp = np.zeros((1, 1), np.float32), np.array([1e6])
    reached = np.array([True]), np.array([ROUNDING]), np.array([left])
    _, found = examine_ends(Ends(density, 100, end, lp, *reached, 0, {"x": np.zeros(())}))
    assert [one.kind for one in found.findings] == (["rounded_mode"] if left > 0.01 else [])
    assert not found.rises
    if left > 0.01:
        assert "an estimated 0.9 nats below the mode" in found.findings[0]
        assert "1e+06 nats is rounded to 0.06" in found.findings[0]


def test_second_derivatives_that_are_not_finite_are_named():
    model = infer.declared(
        lambda v: -jnp.sqrt(v["b"] ** 2) - 0.5 * v["a"] ** 2, {"a": bj.Real(), "b": bj.Real()}
    )
    density = infer.log_density(model, jacobian=False)
    found = measure_curvature(density, np.zeros(2), "curvature")
    assert found.list_flat(density.labels()) == ("b",)


@pytest.mark.slow
def test_a_mode_is_found_without_a_native_form():
    """XLA refuses batches of searches in the form in which it compiles a search."""

    def ranks(site):
        values = site("values", dist.Normal(jnp.zeros(2), 1.0))
        site.factor("lowest", -((jax.lax.top_k(values, 2)[0][1] - 1.0) ** 2))

    found = infer.maximize(infer.model(ranks), infer.MAP(space="constrained"), starts=2)
    # Both are equal: -x^2 - (x - 1)^2 is highest at 1/2.
    np.testing.assert_allclose(found.values["values"], 0.5, atol=1e-3)
