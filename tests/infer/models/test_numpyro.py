"""Unchanged models of NumPyro have the same log density here, under any handler."""

import functools

import arviz as az
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions import biject_to, constraints
from numpyro.infer.reparam import LocScaleReparam
from numpyro.infer.util import compute_log_probs, log_density as their_log_density, potential_energy
from numpyro.primitives import mutable

import bijectors as bj
import infer
from bijectors.base import Image
from infer.models.protocol.reader import Reader

from ...cases import mark_slow
from .numpyro_models import EFFECTS, ERRORS, EXAMPLES, eight_schools, recaptured

# Every kind of site, plate and handler; the others differ in their distributions.
QUICK = {
    "censored_times", "eight_schools", "eight_schools_centered_by_half", "imputation", "mixture",
    "ordinal_regression", "wind",
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", mark_slow(EXAMPLES, QUICK))
# Both libraries use these maps, so even the unconstrained coordinates are the same.
AGREED = {"Identity", "Exp", "ExpAbove", "Logistic"}


class Handed(Reader):
    """Returns constrained values without by-products, so that every term is a plain log_prob."""

    def __init__(self, values):
        self.values = values

    def take(self, declaration):
        return Image.of(self.values[declaration.name])


class Theirs:
    """The answers of NumPyro itself for a model."""

    def __init__(self, model, args, kwargs):
        self.call = (model, args, kwargs)

    def log_joint(self, values):
        return their_log_density(*self.call, values)[0]

    def terms(self, values):
        return compute_log_probs(*self.call, values)[0]

    def log_density(self, values):
        """Log density of the values, from the unconstrained space without its Jacobian."""
        model, args, kwargs = self.call
        trace = handlers.trace(handlers.substitute(model, values)).get_trace(*args, **kwargs)
        points, log_det = {}, 0.0
        for name, x in values.items():
            # The potential takes the constrained value of a numpyro.param.
            is_param = trace[name]["type"] == "param"
            to = biject_to(constraints.real if is_param else trace[name]["fn"].support)
            points[name] = to.inv(x)
            log_det += jnp.sum(to.log_abs_det_jacobian(points[name], x))
        return -potential_energy(*self.call, points) - log_det


def both(name):
    example = EXAMPLES[name]
    model = infer.from_numpyro(example.model, *example.args, **example.kwargs)
    return infer.log_density(model), Theirs(*example)


def latent(density, position):
    values = density.constrain(position)
    return {site.name: values[site.name] for site in density.latent}


def sums(terms):
    return {name: value for name, value in terms.items() if name != "jacobian"}


@functools.cache
def compared(name):
    """Our answers and theirs at 20 points: terms, and values with gradients in both spaces."""
    density, theirs = both(name)

    def at(position):
        values = latent(density, position)
        ours_of_values = lambda v: density.model.run(Handed(v)).log_density()  # noqa: E731

        def theirs_of_position(q):
            return theirs.log_density(latent(density, q)) + density.terms(q)["jacobian"]

        gradients = jax.value_and_grad
        return {
            "terms": (sums(density.terms(position)), theirs.terms(values)),
            "constrained": (gradients(ours_of_values)(values), gradients(theirs.log_joint)(values)),
            "unconstrained": (density.evaluate(position), gradients(theirs_of_position)(position)),
        }

    positions = np.random.default_rng(1).uniform(-2, 2, size=(20, density.size))
    return jax.jit(jax.vmap(at))(positions)


def assert_close(pair):
    for ours, theirs in zip(*map(jax.tree.leaves, pair), strict=True):
        scale = np.abs(theirs).max(initial=0.0)
        assert np.isfinite(scale)
        # An entry that is zero by cancellation has no correct digit.
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9 * scale)


@EVERY
def test_every_term_equals_that_of_numpyro(name):
    ours, theirs = compared(name)["terms"]
    flat = {name for name in theirs if name not in ours}
    assert all((theirs[name] == 0).all() for name in flat)
    assert_close((ours, {name: theirs[name] for name in ours}))


@EVERY
def test_log_density_and_gradient_are_those_of_numpyro_in_the_constrained_space(name):
    assert_close(compared(name)["constrained"])


@EVERY
def test_log_density_and_gradient_are_those_of_numpyro_in_the_unconstrained_space(name):
    """Each side subtracts its own Jacobian at the same constrained point; ours is added again."""
    assert_close(compared(name)["unconstrained"])


@pytest.mark.parametrize("name", ["eight_schools", "baseball", "autoregression", "item_response"])
def test_the_potential_energy_is_that_of_numpyro_if_the_maps_agree(name):
    density, theirs = both(name)
    assert {site.bijector for site in density.latent} <= AGREED
    shapes = {site.name: site.shape for site in density.latent}

    def potential(position):
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
        pieces = jnp.split(position, ends[:-1])
        named = zip(shapes.items(), pieces, strict=True)
        return -potential_energy(*theirs.call, {n: p.reshape(s) for (n, s), p in named})

    position = jnp.linspace(-2, 2, density.size)
    wanted = jax.jit(jax.value_and_grad(potential))(position)
    assert_close((eqx.filter_jit(density.evaluate)(position), wanted))


ROWS = np.array([0.5, -1.0, 2.0, 0.3])


def density_of(model, *args, **kwargs):
    return infer.log_density(infer.from_numpyro(model, *args, **kwargs))


def normal_mean(y):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1))
    numpyro.sample("y", dist.Normal(mu, sigma), obs=y)


def subsampled(y, rows):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    with numpyro.plate("row", y.shape[0], subsample_size=rows) as chosen:
        numpyro.sample("y", dist.Normal(mu, 1), obs=y[chosen])


def roles(density):
    return {site.name: site.role for site in density.sites}


def dims_of(density):
    return {site.name: site.dims for site in density.sites}


def test_all_rows_of_a_subsampled_plate_are_used():
    position = jnp.array([0.4])
    few, all_rows = (density_of(subsampled, ROWS, rows) for rows in (2, 4))
    assert few(position) == all_rows(position)
    assert {s.name: s.shape for s in few.sites}["y"] == (4,)


def test_a_subsampled_plate_with_given_rows_is_scaled_to_all():
    """Half the rows, each counted twice; both halves together count every row twice."""
    halves = [
        density_of(handlers.substitute(subsampled, data={"row": jnp.array(rows)}), ROWS, 2)
        for rows in ([0, 1], [2, 3])
    ]
    position = jnp.array([0.4])
    whole = density_of(subsampled, ROWS, 4).terms(position)["y"]
    np.testing.assert_allclose(sum(h.terms(position)["y"] for h in halves), 2 * whole, rtol=1e-12)


def test_subsample_takes_the_rows_of_its_plate():
    def by_subsample(y):
        mu = numpyro.sample("mu", dist.Normal(0, 1))
        with numpyro.plate("row", y.shape[0], subsample_size=2):
            numpyro.sample("y", dist.Normal(mu, 1), obs=numpyro.subsample(y, event_dim=0))

    given = handlers.substitute(by_subsample, data={"row": jnp.array([1, 3])})
    np.testing.assert_array_equal(density_of(given, ROWS).observed()["y"], ROWS[[1, 3]])
    np.testing.assert_array_equal(density_of(by_subsample, ROWS).observed()["y"], ROWS)


def masked_rows(y, mask):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    with numpyro.plate("row", y.shape[0]):
        numpyro.sample("y", dist.Normal(mu, 2), obs=y, obs_mask=mask)


def test_obs_mask_makes_missing_entries_latent_sites():
    """Missing entries have their prior once, and so have the unused ones: all is proper."""
    mask = np.array([True, False, True, True])
    density = density_of(masked_rows, ROWS, mask)
    assert roles(density) == {
        "mu": "latent",
        "y_unobserved": "latent",
        "y_observed": "observed",
        "y": "derived",
    }
    position = jnp.array([0.4, 7.0, 8.0, 9.0, 10.0])
    normal = dist.Normal(0.4, 2)
    terms = density.terms(position)
    np.testing.assert_allclose(terms["y_observed"], normal.log_prob(ROWS[mask]).sum(), rtol=1e-12)
    np.testing.assert_allclose(terms["y_unobserved"], normal.log_prob(position[1:]).sum())
    np.testing.assert_array_equal(density.constrain(position)["y"], np.where(mask, ROWS, 8.0))


def test_scale_and_mask_handlers_apply_to_terms():
    position = jnp.array([0.4, -0.3])
    plain = density_of(normal_mean, ROWS)(position)
    jacobian = -0.3
    twice = density_of(handlers.scale(normal_mean, scale=2.0), ROWS)
    nothing = density_of(handlers.mask(normal_mean, mask=False), ROWS)
    np.testing.assert_allclose(twice(position) - jacobian, 2 * (plain - jacobian), rtol=1e-12)
    np.testing.assert_allclose(nothing(position), jacobian, rtol=1e-12)


def test_handlers_fix_values():
    known = {"mu": 0.7}
    alone = density_of(handlers.substitute(normal_mean, data=known), ROWS)
    seen = density_of(handlers.condition(normal_mean, data=known), ROWS)
    done = density_of(handlers.do(normal_mean, data=known), ROWS)
    assert roles(alone) == {"sigma": "latent", "mu": "derived", "y": "observed"}
    assert roles(seen) == {"sigma": "latent", "mu": "observed", "y": "observed"}
    assert roles(done) == {"mu": "latent", "sigma": "latent", "y": "observed"}
    both_known = density_of(normal_mean, ROWS)(jnp.array([0.7, -0.3]))
    for density in (alone, seen):
        np.testing.assert_allclose(density(jnp.array([-0.3])), both_known, rtol=1e-12)
    # After an intervention the site keeps its prior, but its value is not used.
    rows = dist.Normal(0.7, np.exp(-0.3)).log_prob(ROWS).sum()
    np.testing.assert_allclose(done.terms(jnp.array([9.0, -0.3]))["y"], rows, rtol=1e-12)


def test_names_in_a_scope_are_joined_by_dots():
    def twice(y):
        for prefix in ("one", "two"):
            handlers.scope(normal_mean, prefix=prefix)(y)

    density = density_of(twice, ROWS)
    assert [s.name for s in density.latent] == ["one.mu", "one.sigma", "two.mu", "two.sigma"]
    np.testing.assert_array_equal(density.observed()["two.y"], ROWS)


def with_params(y):
    mu = numpyro.param("mu", 1.0)
    scales = numpyro.param(
        "scales", lambda key: jax.random.exponential(key, (2,)), constraint=constraints.positive
    )
    assert numpyro.param("mu") is mu
    numpyro.sample("y", dist.Normal(mu, scales.sum()), obs=y)


def test_a_param_is_a_latent_site_with_a_flat_prior():
    density = density_of(with_params, ROWS)
    assert [(s.name, s.constraint, s.shape) for s in density.latent] == [
        ("mu", "Real", ()),
        ("scales", "Positive", (2,)),
    ]
    terms = density.terms(jnp.array([0.4, 0.0, 1.0]))
    assert set(terms) == {"y", "jacobian"}
    np.testing.assert_allclose(terms["jacobian"], 1.0, rtol=1e-12)
    lifted = handlers.lift(with_params, prior={"mu": dist.Normal(0, 1)})
    assert "mu" in density_of(lifted, ROWS).terms(jnp.zeros(3))
    held = handlers.substitute(with_params, data={"mu": 2.0})
    assert roles(density_of(held, ROWS))["mu"] == "derived"


def test_a_delta_is_derived_and_an_improper_prior_is_flat():
    def model():
        x = numpyro.sample("x", dist.Delta(jnp.array([1.0, 2.0]), log_density=0.5).to_event(1))
        flat = dist.ImproperUniform(constraints.greater_than(x[1]), (3,), ())
        numpyro.sample("top", flat)
        numpyro.factor("whole_number", 0)

    density = density_of(model)
    terms = density.terms(jnp.zeros(3))
    assert roles(density) == {"x": "derived", "top": "latent"}
    assert {name: float(term) for name, term in terms.items()} == {
        "x": 1.0,
        "whole_number": 0.0,
        "jacobian": 0.0,
    }
    np.testing.assert_array_equal(density.constrain(jnp.zeros(3))["top"], np.full(3, 3.0))


def test_a_key_is_fixed_by_a_seed():
    def noisy():
        noise = jax.random.normal(numpyro.prng_key())
        numpyro.sample("x", dist.Normal(noise, 1))

    with pytest.raises(infer.ModelError, match=r"random key.*handlers.seed"):
        density_of(noisy)
    one, two = (density_of(handlers.seed(noisy, rng_seed=0))(jnp.zeros(1)) for _ in range(2))
    assert one == two


def test_a_key_may_be_an_argument():
    def noisy(key):
        numpyro.sample("x", dist.Normal(jax.random.normal(key), 1))

    made = infer.from_numpyro(noisy, jax.random.key(0))
    assert made.constants()["key"].shape == (2,)
    assert infer.log_density(made)(jnp.zeros(1)) != infer.log_density(
        made.with_data(key=jax.random.key(1))
    )(jnp.zeros(1))


def nested(y, coords_of_events=None):
    with numpyro.plate("school", 3, dim=-1):
        mean = numpyro.sample("mean", dist.Normal(0, 1))
        numpyro.deterministic("double", 2 * mean)
        numpyro.deterministic("pair", jnp.zeros((3, 2)))
        with numpyro.plate("class", 2, dim=-3):
            weights = dist.Dirichlet(jnp.ones(4))
            numpyro.sample("weights", weights, infer={"event_dims": coords_of_events or [None]})
        numpyro.sample("y", dist.Normal(mean, 1), obs=y)


def test_plates_name_the_axes_and_dims_the_rest():
    plain = dims_of(density_of(nested, np.zeros(3)))
    assert plain == {
        "mean": ("school",),
        "weights": ("class", None, "school", None),
        "double": ("school",),
        "pair": (None, None),
        "y": ("school",),
    }
    hinted = dims_of(density_of(nested, np.zeros(3), infer.static(("kind",))))
    assert hinted["weights"] == ("class", None, "school", "kind")
    named = {"weights": [None, "kind"], "pair": ["school", "side"], "mean": "center"}
    given = dims_of(density_of(nested, np.zeros(3), dims=named))
    assert given["weights"] == ("class", None, "school", "kind")
    assert given["pair"] == ("school", "side")
    assert given["mean"] == ("center",)


def test_coords_label_the_plates():
    density = density_of(subsampled, ROWS, 4, coords={"row": ["a", "b", "c", "d"]})
    assert density.model.labels.coords["row"].tolist() == ["a", "b", "c", "d"]
    schools = density_of(eight_schools, 8, ERRORS, y=EFFECTS, coords={"school": list("ABCDEFGH")})
    assert schools.labels()[2:4] == ["theta[A]", "theta[B]"]


def test_arguments_are_named_after_parameters():
    def model(x, *more, scale=1.0, **rest):
        total = x.sum() + sum(m.sum() for m in more) + sum(r.sum() for r in rest.values())
        numpyro.sample("mu", dist.Normal(total, scale))

    made = infer.from_numpyro(model, ROWS, ROWS, ROWS, scale=2.0, extra=ROWS)
    assert set(made.constants()) == {"x", "more.0", "more.1", "extra", "scale"}
    center = 4 * ROWS.sum()
    np.testing.assert_allclose(
        infer.log_density(made)(jnp.zeros(1)), dist.Normal(center, 2.0).log_prob(0.0)
    )
    moved = made.with_data(x=np.zeros(4), extra=np.zeros(4))
    assert jax.tree.structure(moved) == jax.tree.structure(made)
    np.testing.assert_allclose(
        infer.log_density(moved)(jnp.zeros(1)), dist.Normal(center / 2, 2.0).log_prob(0.0)
    )


def test_an_argument_may_be_added_by_with_data():
    unseen = infer.from_numpyro(eight_schools, 8, ERRORS)
    assert roles(infer.log_density(unseen))["obs"] == "latent"
    seen = infer.log_density(unseen.with_data(y=EFFECTS))
    assert roles(seen)["obs"] == "observed"


def test_draws_from_the_prior_of_a_scan_follow_its_steps():
    """The last level of an AR(1) has variance 1 + 0.5^2 + ... = 4/3 (1 - 4^-6).

    4000 draws: the sample variance has relative sd 0.022; 5 of them, 6e-7 false alarms.
    """

    def walk():
        def step(previous, _):
            level = numpyro.sample("level", dist.Normal(0.5 * previous, 1.0))
            numpyro.sample("gain", dist.LogNormal(level, 0.1))
            return level, None

        scan(step, 0.0, None, length=6)

    density = density_of(walk)
    keys = jax.random.split(jax.random.key(0), 4000)
    values = jax.jit(jax.vmap(lambda key: density.constrain(density.draw_prior(key))))(keys)
    variance = 4 / 3 * (1 - 4.0**-6)
    assert abs(values["level"][:, -1].var() / variance - 1) < 5 * np.sqrt(2 / 4000)
    # Both series come from one simulation, so the gain depends on the level of the same draw.
    noise = jnp.log(values["gain"]) - values["level"]
    np.testing.assert_allclose(noise.std(), 0.1, rtol=0.05)


def test_a_scan_may_contain_plates_scopes_and_reparameterized_sites():
    def model(y):
        def step(previous, observed):
            with numpyro.plate("side", 2):
                pair = numpyro.sample("pair", dist.Normal(previous, 1.0))
            with handlers.reparam(config={"level": LocScaleReparam(0)}):
                level = numpyro.sample("level", dist.Normal(previous, 1.0))
            numpyro.sample("half", dist.Delta(level / 2))
            numpyro.sample("y", dist.Normal(level + pair.sum(), 1.0), obs=observed)
            return level, None

        scan(step, 0.0, y)

    scoped = handlers.scope(model, prefix="in", hide_types=["plate"])
    density = density_of(scoped, ROWS, dims={"in/level_decentered": "time"})
    assert [site.name for site in density.latent] == ["in.pair", "in.level_decentered"]
    assert dims_of(density)["in.pair"] == (None, "side")
    assert dims_of(density)["in.level_decentered"] == ("time",)
    assert roles(density)["in.half"] == "derived"
    position = jnp.linspace(-1, 1, density.size)
    values = {name.removeprefix("in."): v for name, v in latent(density, position).items()}
    np.testing.assert_allclose(
        density(position), their_log_density(model, (ROWS,), {}, values)[0], rtol=1e-12
    )


def test_a_scan_may_run_backwards():
    def model(y):
        def step(previous, observed):
            level = numpyro.sample("level", dist.Normal(previous + 1, jnp.exp(observed - 9)))
            numpyro.sample("y", dist.Normal(level, 1.0), obs=observed)
            return level, None

        scan(step, 0.0, y, reverse=True)

    density = density_of(model, ROWS)
    position = jnp.linspace(0.9, 4.1, 4)
    theirs = their_log_density(model, (ROWS,), {}, {"level": position})[0]
    np.testing.assert_allclose(density(position), theirs, rtol=1e-12)
    drawn_in_order = density.draw_prior(jax.random.key(0))
    np.testing.assert_allclose(drawn_in_order, [1, 2, 3, 4], atol=0.02)


def refuses(model, *words, args=(), error=infer.ModelError, **options):
    with pytest.raises(error) as caught:
        infer.start(infer.from_numpyro(model, *args, **options), infer.NUTS(), chains=1)
    for word in words:
        assert word in str(caught.value)


def test_discrete_latent_sites_are_refused_unless_they_are_to_be_enumerated():
    captures = np.array([1, 0, 1])
    bare = handlers.infer_config(recaptured, lambda site: {"enumerate": None})
    refuses(bare, "alive:", "discrete", "enumerate", args=(captures, 3), error=bj.BijectorError)
    scaled = handlers.scale(recaptured, 2.0)
    refuses(scaled, "alive:", "scales its density", args=(captures, 3))

    def only_data_scaled(y):
        k = numpyro.sample("k", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
        numpyro.sample("x", dist.Normal())
        with handlers.scale(scale=2.0):
            numpyro.sample("y", dist.Normal(k, 1.0), obs=y)

    refuses(
        only_data_scaled, "y:", "k, which is summed out", "no numpyro.handlers.scale", args=(1.0,)
    )

    def scaled_in_steps(y):
        def step(before, y):
            k = numpyro.sample(
                "k", dist.Bernoulli(0.3 + 0.1 * before), infer={"enumerate": "parallel"}
            )
            with handlers.scale(scale=2.0):
                numpyro.sample("y", dist.Normal(k, 1.0), obs=y)
            return k, None

        numpyro.sample("x", dist.Normal())
        scan(step, 0, y)

    refuses(scaled_in_steps, "y:", "k, which is summed out", args=(ROWS,))


def test_sites_that_are_to_be_enumerated_are_summed_out():
    captures = np.array([1, 0, 1])
    density = infer.log_density(infer.from_numpyro(recaptured, captures, 3), jacobian=False)
    survival = 0.7
    each = np.where(captures == 1, 0.5 * survival, 1 - 0.5 * survival)
    position = jnp.log(jnp.array([survival / (1 - survival)]))
    np.testing.assert_allclose(density(position), np.log(each).sum(), rtol=1e-12)


def test_functions_that_are_not_models_of_numpyro_are_refused():
    refuses(lambda: None, "no site of NumPyro", "numpyro.sample")
    refuses(lambda: numpyro.sample("y", dist.Normal(0, 1), obs=1.0), "no latent site")
    refuses(3, "int is not a function")
    refuses(normal_mean, "'y'", "It takes (y)")
    refuses(normal_mean, "y:", "1 NaN of 2", args=(np.array([1.0, np.nan]),))
    for given, found in (({"y": 1.0}, "its value is a dict"), (["a", "b"], "strings, such as 'a'")):
        refuses(normal_mean, "y:", found, args=(given,))


def test_names_used_twice_are_refused():
    def duplicated():
        numpyro.sample("mu", dist.Normal(0, 1))
        numpyro.sample("mu", dist.Normal(0, 1))

    def a_plate_too():
        with numpyro.plate("mu", 3):
            numpyro.sample("mu", dist.Normal(0, 1))

    def two_sizes():
        for size in (2, 3):
            with numpyro.plate("row", size):
                numpyro.sample(f"x{size}", dist.Normal(0, 1))

    refuses(duplicated, "mu:", "declared twice", "scope")
    refuses(a_plate_too, "mu:", "share the name")
    refuses(two_sizes, "x3:", "'row'", "size 3", "2")
    refuses(subsampled, "y:", "'row'", "2 in coords", args=(ROWS, 4), coords={"row": [0, 1]})
    refuses(normal_mean, "nu:", "no such site", args=(ROWS,), dims={"nu": "row"})
    refuses(normal_mean, "y:", "dims=('a', 'b')", args=(ROWS,), dims={"y": ["a", "b"]})


def test_sites_inside_functions_that_jax_transforms_are_refused():
    def branches():
        mu = numpyro.sample("mu", dist.Normal(0, 1))
        site = lambda _: numpyro.sample("x", dist.Normal(0, 1))  # noqa: E731
        jax.lax.cond(mu > 0, site, lambda _: 0.0, None)

    refuses(branches, "x:", "lax.cond", "numpyro.contrib.control_flow")
    refuses(jax.jit(normal_mean), "mu:", "jit", args=(ROWS,))


def test_scans_that_are_not_supported_are_refused():
    def scanned(declare):
        def model():
            scale = numpyro.sample("scale", dist.HalfNormal(1.0))
            scan(lambda carry, _: (carry, declare(scale)), 0.0, None, length=3)

        return model

    uniform = scanned(lambda scale: numpyro.sample("x", dist.Uniform(0, scale)))
    refuses(uniform, "x:", "Interval", "fixed bounds")
    refuses(scanned(lambda _: numpyro.param("x", 1.0)), "x:", "Declare it before")
    count = scanned(lambda _: numpyro.sample("x", dist.Bernoulli(0.5)))
    refuses(count, "x:", "discrete", error=bj.BijectorError)


def test_values_of_a_wrong_type_or_shape_are_refused():
    def a_dictionary():
        numpyro.sample("mu", dist.Normal(0, 1))
        numpyro.deterministic("both", {"a": 1.0})

    def a_module():
        numpyro.module("net", (lambda *_: ((), {"w": 0.0}), None), (2,))

    def by_table(y):
        mu = numpyro.sample("mu", dist.Normal(0, 1).expand([4]))
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    def a_minibatch(y, rows):
        mu = numpyro.sample("mu", dist.Normal(0, 1))
        with numpyro.plate("row", rows, subsample_size=4):
            numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    refuses(a_dictionary, "both:", "dict", "by its own")
    refuses(a_module, "net$params:", "module", "handlers.substitute")
    refuses(by_table, "y:", "(4, 1)", "batch shape (4,)", args=(ROWS[:, None],))
    refuses(a_minibatch, "y:", "'row'", "all its rows", "handlers.scale", args=(ROWS, 40))
    refuses(lambda: mutable("count", 0), "count:", "Pass the state")
    refuses(normal_mean, "z", args=(ROWS,), z=ROWS)
    with pytest.raises(infer.ModelError, match=r"z: the model has no such argument.*y"):
        infer.from_numpyro(normal_mean, ROWS).with_data(z=ROWS)


def moments_of_eight_schools():
    """Means of mu and tau by quadrature over log tau: given tau, all else is normal."""
    log_tau = np.linspace(-12, 8, 40001)
    tau = np.exp(log_tau)
    variances = ERRORS**2 + tau[:, None] ** 2
    precision = (1 / variances).sum(1) + 1 / 25
    mean = (EFFECTS / variances).sum(1) / precision
    exponent = (EFFECTS**2 / variances).sum(1) - mean**2 * precision
    log_weight = -0.5 * (np.log(variances).sum(1) + np.log(precision) + exponent)
    log_weight += log_tau - np.log1p((tau / 5) ** 2)
    weight = np.exp(log_weight - log_weight.max())
    return {"mu": np.average(mean, weights=weight), "tau": np.average(tau, weights=weight)}


@pytest.fixture(scope="module")
def drawn():
    example = EXAMPLES["eight_schools_decentered"]
    model = infer.from_numpyro(
        example.model, *example.args, **example.kwargs, coords={"school": list("ABCDEFGH")}
    )
    return model, infer.sample(model, infer.NUTS(), draws=2000, key=0, progress=False)


def test_nuts_reaches_the_moments_of_eight_schools(drawn):
    """Within 5 Monte Carlo standard errors: with another key, 1e-6 false alarms."""
    posterior = drawn[1]["posterior"]
    for name, mean in moments_of_eight_schools().items():
        draws = posterior[name]
        error = float(draws.std()) / np.sqrt(az.ess(np.asarray(draws), method="mean"))
        assert abs(float(draws.mean()) - mean) < 5 * error


def test_arviz_gets_plates_derived_sites_and_data(drawn):
    idata = drawn[1]
    assert idata["posterior"]["theta"].dims == ("chain", "draw", "school")
    assert list(idata["posterior"]["school"].values) == list("ABCDEFGH")
    np.testing.assert_array_equal(idata["observed_data"]["obs"], EFFECTS)
    np.testing.assert_array_equal(idata["constant_data"]["sigma"], ERRORS)
    posterior = idata["posterior"]
    theta = posterior["mu"] + posterior["tau"] * posterior["theta_decentered"]
    np.testing.assert_allclose(posterior["theta"], theta, rtol=1e-10)


def test_other_data_compile_nothing(drawn):
    model = drawn[0].with_data(y=EFFECTS + 1.0)
    again = infer.sample(model, infer.NUTS(), draws=20, warmup=20, key=1, progress=False)
    assert again.attrs["compile_seconds"] == 0.0


def test_modes_and_approximations_are_found():
    """Four rows of variance 1 and a N(0, 1) prior: the mode is the sum of the rows over 5."""

    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    made = infer.from_numpyro(model, ROWS)
    optimum = infer.maximize(made, infer.MAP("constrained"))
    np.testing.assert_allclose(optimum.values["mu"], ROWS.sum() / 5, rtol=1e-4)
    fit = infer.fit(made, infer.ADVI("mean_field"), key=0)
    draws = fit.sample(4000, key=1)["posterior"]["mu"]
    np.testing.assert_allclose(float(draws.mean()), ROWS.sum() / 5, atol=0.05)
