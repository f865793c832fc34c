"""Deliberate mistakes: each error names the site and the remedy, before anything compiles."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.calls import check_arguments
from tests.compilations import list_compilations

compiled = list_compilations()


@pytest.fixture(autouse=True)
def _nothing_compiles(request):
    before = len(compiled)
    yield
    if "may_compile" not in request.keywords:
        assert len(compiled) == before


@pytest.mark.may_compile
def test_a_compilation_is_detected():
    before = len(compiled)
    jax.jit(lambda x: x * 2.5)(jnp.zeros(2))
    assert len(compiled) > before


def refuses(make, error, *words):
    """Declare a model and start a run."""
    with pytest.raises(error) as caught:
        infer.start(make(), infer.NUTS(), chains=1)
    for word in words:
        assert word in str(caught.value)


def test_nan_in_the_data_is_refused():
    def make():
        return infer.model(lambda site, y: None, y=np.array([1.0, np.nan, 2.0]))

    refuses(make, infer.ModelError, "y:", "1 NaN of 3", "index (1,)", "Drop or fill in")


def test_nan_in_data_that_the_function_closes_over_is_refused():
    y = np.array([[1.0, 2.0], [np.nan, 2.0]])

    def make():
        return infer.model(lambda site: site.observe("height", dist.Normal(0, 1), y))

    refuses(make, infer.ModelError, "height:", "NaN", "(1, 0)")


def test_an_unknown_constraint_is_refused():
    class Odd(bj.Constraint):
        @property
        def event_ndims(self):
            return 0

        def contains(self, value):
            return value > 0

    def make():
        return infer.declared(lambda v: -v["x"], {"x": Odd()})

    refuses(make, bj.BijectorError, "x:", "Odd", "Simplex", "rules=")


def test_a_scale_below_zero_is_shown_with_its_line():
    def model(site):
        site("mu", dist.Normal(0.0, -1.0))

    words = "Normal: its scale is -1., outside Positive", 'site("mu", dist.Normal(0.0, -1.0))'
    refuses(lambda: infer.model(model), infer.ModelError, *words)


@pytest.mark.parametrize(
    ("scale", "found"),
    [
        (np.where(np.arange(20) == 7, -2.0, 1.0), "is -2.0 at index 7, outside Positive"),
        (np.diag([1.0, -3.0, 1.0]) + 2, "is -1.0 at index (1, 1), outside Positive"),
        (np.array([[1.0], [-1.0]]), "is [[ 1.], [-1.]], outside Positive"),
    ],
    ids=["vector", "matrix", "column"],
)
def test_a_value_of_many_entries_is_shown_by_the_first_one_outside(scale, found):
    def model(site):
        site("mu", dist.Normal(0.0, scale))

    refuses(lambda: infer.model(model), infer.ModelError, f"Normal: its scale {found}")


def test_a_matrix_outside_a_set_of_matrices_is_shown_by_its_shape():
    def model(site):
        site("x", dist.MultivariateNormal(np.zeros(3), -np.eye(3)))

    words = "covariance_matrix has shape (3, 3), outside PositiveDefinite"
    refuses(lambda: infer.model(model), infer.ModelError, words)


def test_a_value_that_cannot_be_shown_raises_nothing_else():
    def contains(value, constraint=None):
        raise ValueError("Normal distribution got invalid scale parameter.")

    def model(site):
        contains([[1.0], [1.0, 2.0]])

    refuses(lambda: infer.model(model), infer.ModelError, "Normal: its scale lies outside its set")


def test_categories_that_are_floats_are_refused():
    def model(site, y):
        site.observe("y", dist.Categorical(site("p", dist.Dirichlet(jnp.ones(3)))), y)

    words = "index: it holds float64, and only whole", "x.astype(int)"
    refuses(lambda: infer.model(model, y=np.array([0.0, 2.0])), infer.ModelError, *words)


def test_a_compiled_function_of_site_is_refused():
    model = jax.jit(lambda site: site("x", dist.Normal()))
    refuses(lambda: infer.model(model), infer.ModelError, "site:", "Take jax.jit away")


def test_an_index_of_floats_is_shown_with_its_line():
    def model(site, group):
        level = site("level", dist.Normal(), shape=(3,))
        site.derive("own", level[group])

    words = "index: it holds float64, and only whole", "level[group]", "x.astype(int)"
    refuses(lambda: infer.model(model, group=np.ones(2)), infer.ModelError, *words)


def test_a_duplicate_name_is_refused():
    def twice(site):
        site("mu", dist.Normal(0, 1))
        site("mu", dist.Normal(0, 1))

    refuses(lambda: infer.model(twice), infer.ModelError, "mu:", "declared twice", "scope")


def test_a_name_of_a_dimension_is_refused():
    def make():
        return infer.model(lambda site: site("a", dist.Normal(0, 1)), coords={"a": [1, 2]})

    refuses(make, infer.ModelError, "a: a dimension has this name")


def test_an_engine_that_needs_the_gradient_is_refused_without_one():
    def make():
        return infer.declared(lambda v: -jnp.abs(v["x"]), {"x": bj.Real()}, gradient=None)

    refuses(
        make, infer.EngineError, "NUTS: it needs the gradient", "gradient=None", "infer.Slice()"
    )


def test_an_unknown_way_to_differentiate_is_refused():
    def make():
        return infer.declared(lambda v: -v["x"], {"x": bj.Real()}, gradient="finite")

    refuses(make, infer.ModelError, "gradient: it is 'finite'", '"forward"', "None")


def test_a_missing_name_of_a_point_is_refused():
    model = infer.declared(lambda v: -(v["x"] ** 2) - v["y"] ** 2, {"x": bj.Real(), "y": bj.Real()})
    with pytest.raises(infer.ModelError, match=r"y: no value is given.*x, y"):
        infer.explain(model, at={"x": 0.0})


def test_a_name_that_is_not_a_site_is_refused():
    model = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
    with pytest.raises(infer.ModelError, match=r"z: a value is given.*x"):
        infer.start(model, infer.NUTS(), chains=1, starts={"x": 0.0, "z": 1.0})


def test_an_empty_name_is_refused():
    refuses(
        lambda: infer.model(lambda site: site("", dist.Normal(0, 1))), infer.ModelError, "non-empty"
    )


def test_a_discrete_latent_site_is_refused():
    def count(site):
        site("k", dist.Poisson(3.0))

    refuses(lambda: infer.model(count), bj.BijectorError, "k:", "discrete", "sum_out=True")


def test_shapes_that_do_not_fit_are_refused():
    def mismatch(site, y):
        mu = site("mu", dist.Normal(jnp.zeros(4), 1))
        site.observe("y", dist.Normal(mu, 1), y)

    def make():
        return infer.model(mismatch, y=np.zeros(3))

    refuses(make, infer.ModelError, "y:", "shape (3,)", "batch shape (4,)")


def test_dims_that_do_not_fit_are_refused():
    def mismatch(site):
        site("mu", dist.Normal(jnp.zeros(4), 1), dims="school")

    def make():
        return infer.model(mismatch, coords={"school": ["a", "b", "c"]})

    refuses(make, infer.ModelError, "mu:", "'school'", "3", "4")


def test_a_dimension_without_a_size_is_refused():
    refuses(
        lambda: infer.model(lambda site: site("mu", dist.Normal(0, 1), dims="school")),
        infer.ModelError,
        "mu:",
        "'school'",
        "coords=",
    )


def test_a_log_density_that_is_not_a_scalar_is_refused():
    def make():
        return infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real(shape=(3,))})

    refuses(make, infer.ModelError, "log density", "(3,)", "jnp.sum")


def test_a_model_without_latent_sites_is_refused():
    def none(site, y):
        site.observe("y", dist.Normal(0, 1), y)

    refuses(lambda: infer.model(none, y=np.zeros(3)), infer.ModelError, "no latent site", "site(")


def test_a_prior_that_is_not_a_distribution_is_refused():
    refuses(lambda: infer.model(lambda site: site("x", 3.0)), infer.ModelError, "x:", "float")
    refuses(
        lambda: infer.model(lambda site: site("x", bj.Positive())), infer.ModelError, "site.param"
    )


def test_non_centering_without_a_location_and_scale_is_refused():
    def make():
        return infer.model(lambda site: site("x", dist.Gamma(1.0, 1.0), centered=False))

    refuses(make, infer.ModelError, "x:", "Gamma", "Normal", "centered=True")


@pytest.mark.may_compile
def test_a_start_outside_the_support_is_refused():
    def make():
        return infer.declared(lambda v: -v["sigma"], {"sigma": bj.Positive()})

    with pytest.raises(infer.ModelError, match=r"sigma: the value -1.0 lies outside Positive"):
        infer.start(make(), infer.NUTS(), chains=1, starts={"sigma": -1.0})
    model = infer.model(lambda site: site("sigma", dist.HalfNormal(1.0)))
    # Before the prior sees it, which would raise a warning of its own.
    with warnings.catch_warnings(action="error"), pytest.raises(infer.ModelError, match="outside"):
        infer.start(model, infer.NUTS(), chains=1, starts={"sigma": -1.0})


def test_a_start_of_a_wrong_shape_is_refused():
    model = infer.declared(lambda v: -v["x"].sum(), {"x": bj.Positive(shape=(3,))})
    with pytest.raises(infer.ModelError, match=r"x: the value has shape \(2,\).*\(3,\)"):
        infer.start(model, infer.NUTS(), chains=1, starts={"x": np.ones(2)})


@pytest.mark.may_compile
def test_no_finite_start_names_the_term():
    def hopeless(site):
        x = site("x", dist.Normal(0, 1))
        site.factor("impossible", jnp.log(-jnp.abs(x)))

    with pytest.raises(infer.StartError, match=r"impossible: its log density is nan.*x="):
        infer.start(infer.model(hopeless), infer.NUTS(), chains=1)


@pytest.mark.may_compile
def test_check_reports_without_raising():
    good = infer.check(infer.declared(lambda v: -v["x"], {"x": bj.Positive()}))
    assert all(f.passed for f in good)
    bad = infer.check(infer.declared(lambda v: jnp.log(-v["x"]), {"x": bj.Positive()}))
    assert not bad[-1].passed
    assert "log_density" in bad[-1].detail


def test_numpy_on_traced_data_is_explained():
    model = infer.model(
        lambda site, y: site("x", dist.Normal(np.asarray(y).mean(), 1)), y=np.ones(3)
    )
    with pytest.raises(infer.ModelError, match=r"y: .*infer\.static\(x\)") as caught:
        infer.start(model, infer.NUTS())
    assert isinstance(caught.value.__cause__, jax.errors.TracerArrayConversionError)


def test_meaningless_numbers_are_refused():
    model = infer.declared(lambda v: -v["x"], {"x": bj.Positive()})
    with pytest.raises(infer.RunError, match="chains: 0 was given"):
        infer.start(model, infer.NUTS(), chains=0)
    with pytest.raises(infer.RunError, match="warmup: -1 was given"):
        infer.start(model, infer.NUTS(), warmup=-1)
    with pytest.raises(infer.EngineError, match=r"MAP.*infer.maximize"):
        infer.sample(model, infer.MAP("constrained"))


def test_an_argument_of_another_call_is_said_to_be_that_of_sample():
    with pytest.raises(infer.CallError, match=r"infer.sample has it, as in infer.sample"):
        infer.maximize(None, warmup=100)


def test_arguments_of_any_number_are_never_missing():
    @check_arguments("call", data="Give what was observed.")
    def call(model, *others, data, **options):
        return model

    with pytest.raises(infer.CallError, match=r"'data'.*Give what was observed"):
        call(1)
