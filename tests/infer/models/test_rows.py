"""What `site.vmap` and a `site.scan` without a carry refuse, and in whose name."""

import re
from functools import partial, wraps

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import infer
from infer.density.recentered import find_pieces
from infer.models.inputs.mistakes import refuse_unfit

X = np.arange(3.0)


def refuses(function, *words, **data):
    with pytest.raises(infer.ModelError) as caught:
        infer.log_density(infer.model(function, **data))
    for word in words:
        assert re.search(word, str(caught.value)), (word, str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("depends", [False, True])
def test_a_carry_that_changes_its_structure_is_refused(depends):
    def function(site):
        def step(site, carry, x):
            z = site("z", dist.Normal(0.0 if carry is None else carry, 1.0))
            return z if depends else 5.0, z

        site.scan(step, None, X)

    refuses(function, "^scan: its first carry .*None.*", r"such as 0\.0")


def take_sine(x):
    """Call NumPy, which JAX does not know how to run for all rows at once."""
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), x.dtype), x)


def test_a_scan_without_a_carry_runs_step_by_step():
    def function(site):
        step = lambda site, carry, x: (carry, site("z", dist.Normal(take_sine(x), 1.0)))  # noqa: E731
        site.scan(step, None, jnp.asarray(X))

    density = infer.log_density(infer.model(function))
    truth = stats.norm.logpdf(0.5, np.sin(X)).sum()
    np.testing.assert_allclose(density(jnp.full(3, 0.5)), truth, rtol=1e-12)


def test_a_function_that_cannot_run_for_all_rows_at_once_is_refused():
    def function(site):
        site.vmap(lambda site, x: site("z", dist.Normal(take_sine(x), 1.0)), jnp.asarray(X))

    refuses(function, "^site.vmap: its function .*at once: .*vmap", r"site\.scan\(lambda")


def declare(site, x):
    return site("z", dist.Normal(x, 1.0))


def by_rows(*xs, row=declare, **options):
    return lambda site: site.vmap(row, *xs, **options)


def in_a_minibatch(site):
    with site.plate("group", 4, minibatch=2):
        site.vmap(declare, X)


def with_plate(**options):
    def row(site, x):
        with site.plate("inner", 4, **options):
            site("z", dist.Normal(x, 1.0))

    return by_rows(X, row=row)


class Quantity(np.ndarray):
    """A value with a unit, as those of astropy."""

    unit = "km/s"

    def to_value(self, unit):
        return np.asarray(self)


REFUSED = {
    "no arrays": (by_rows(row=lambda site: declare(site, 0.0)), r"first axes \[\]"),
    "two axes": (by_rows(X, X[:2], row=lambda site, x, _: declare(site, x)), r"\(2,\), \(3,\)"),
    "coords": (by_rows(X, dim="t"), "'t' has 2 coords, but it has 3 rows"),
    "dim": (by_rows(X, dim=3), "dim=3 is no name"),
    "no function": (by_rows(X, row=3), r"int is not a function.*function\(site, \*rows\)"),
    "units": (by_rows(X.view(Quantity)), "a value given to it has the unit"),
    "outside minibatch": (in_a_minibatch, "^group: a site.vmap is inside .*all its rows"),
    "inside minibatch": (with_plate(minibatch=2), "^inner: a plate inside a site.vmap"),
    "divided": (with_plate(shard=True), "^inner: a plate inside a site.vmap"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_are_refused_in_their_own_words(name):
    function, words = REFUSED[name]
    with pytest.raises(infer.ModelError, match=words) as caught:
        infer.log_density(infer.model(function, coords={"t": [1, 2]}))
    assert "site.vmap" in str(caught.value)
    assert not re.search(r"\bscan\b|steps?\b|length", str(caught.value))


def by_steps(*given, step=lambda site, carry, x: (carry, declare(site, x)), **options):
    return lambda site: site.scan(step, *given, **options)


STEPS = {
    "dim": (by_steps(None, X, dim="a/b"), "scan: dim='a/b' is no name"),
    "no function": (by_steps(None, X, step=3), r"scan: int is not .*as step\(site, carry, x\)"),
    "strings": (by_steps("a", X), "scan: a value given to it holds strings, such as 'a'"),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_that_make_no_sense_are_refused(name):
    refuses(STEPS[name][0], STEPS[name][1])


@pytest.mark.parametrize("repeat", [by_rows, partial(by_steps, None)])
def test_no_rows_are_a_site_without_entries(repeat):
    density = infer.log_density(infer.model(repeat(X[:0])))
    assert [(own.name, own.shape) for own in density.sites] == [("z", (0,))]
    assert density(jnp.zeros(0)) == 0.0


def test_changes_of_rows_name_them():
    model = infer.model(by_rows(X))
    with pytest.raises(infer.ModelError, match=r"z: its value has shape \(2,\).*row of site\.vmap"):
        model.freeze(z=X[:2])
    with pytest.raises(infer.ModelError, match=r"z: do sets a site .*site\.vmap its values"):
        infer.log_density(model.do(z=X))


def test_missing_entries_that_differ_between_rows_are_refused():
    def function(site, y, gaps):
        mu = site("mu", dist.Normal(0.0, 1.0))
        row = lambda site, y, gap: site.observe("y", dist.Normal(mu, 1.0), y, missing=gap)  # noqa: E731
        site.vmap(row, y, gaps)

    gaps = infer.static(np.array([[True, False], [False, False], [False, True]]))
    words = r"y: .*same entries are missing in all steps or rows.*write a plate of rows"
    refuses(function, words, y=np.zeros((3, 2)), gaps=gaps)


def test_a_carry_of_a_number_that_never_changes_is_beside_summed_states():
    def function(site, y):
        mu = site("mu", dist.Normal(0.0, 1.0))

        def step(site, carry, y):
            k = site("k", dist.Bernoulli(0.3), sum_out=True)
            site.observe("y", dist.Normal(mu + carry + k, 1.0), y)
            return carry, None

        site.scan(step, 0.5, y)

    density = infer.log_density(infer.model(function, y=X))
    each = 0.7 * stats.norm.pdf(X, 0.7) + 0.3 * stats.norm.pdf(X, 1.7)
    truth = stats.norm.logpdf(0.2) + np.log(each).sum()
    np.testing.assert_allclose(density(jnp.array([0.2])), truth, rtol=1e-12)


@pytest.fixture(scope="module")
def no_vectors():
    def function(site, y):
        scale = site("scale", dist.HalfNormal(1.0))

        def row(site, y):
            x = site("x", dist.MultivariateNormal(jnp.zeros(2), scale * jnp.eye(2)))
            site.observe("y", dist.Normal(x, 1.0), y)

        site.vmap(row, y)

    return infer.model(function, y=np.zeros((0, 2)))


def test_vectors_without_rows_learn_no_centering(no_vectors):
    assert find_pieces(infer.log_density(no_vectors)) == ()


@pytest.mark.slow
def test_vectors_without_rows_are_sampled(no_vectors):
    with pytest.warns(infer.ModelWarning, match="y: it is observed, but has no entries"):
        found = infer.sample(no_vectors, chains=2, draws=2, warmup=20, key=0, progress=False)
    assert found["posterior"]["x"].shape == (2, 2, 0, 2)


def test_a_plate_without_rows_adds_nothing():
    def function(site, y):
        with site.plate("row", len(y)):
            x = site("x", dist.Normal(0.0, 1.0))
            site.observe("y", dist.Normal(x, 1.0), y)
            site.factor("f", x)

    density = infer.log_density(infer.model(function, y=X[:0]))
    assert [own.shape for own in density.sites[:2]] == [(0,), (0,)]
    assert density(jnp.zeros(0)) == 0.0


def test_vectors_without_rows_add_nothing():
    def function(site, y):
        mu = site("mu", dist.Normal(0.0, 1.0))
        prior = dist.MultivariateNormal(mu * jnp.ones(2), jnp.eye(2))
        site("x", prior, shape=(0,))
        site.observe("y", prior, y)

    density = infer.log_density(infer.model(function, y=np.zeros((0, 2))))
    value, slope = jax.value_and_grad(density)(jnp.array([0.5]))
    np.testing.assert_allclose(value, stats.norm.logpdf(0.5), rtol=1e-12)
    np.testing.assert_allclose(slope, [-0.5], rtol=1e-12)


def with_scale(step):
    """Return a function of fewer arguments than the one that it wraps."""

    @wraps(step)
    def wrapped(site, *rest):
        return step(site, *rest, 2.0)

    return wrapped


def give_three(step):
    """Do as `with_scale`, and take exactly three arguments."""

    @wraps(step)
    def wrapped(site, carry, x):
        return step(site, carry, x, 2.0)

    return wrapped


def move(site, carry, x, scale):
    return carry, site("z", dist.Normal(x, scale))


class Mover:
    def move(self, site, carry, x):
        return move(site, carry, x, 2.0)

    __call__ = move


STEPS_OF_KINDS = {
    "wrapper": give_three(move),
    "wrapper of any": with_scale(move),
    "partial": partial(move, scale=2.0),
    "any": lambda *given: give_three(move)(*given),
    "method": Mover().move,
    "object": Mover(),
}


@pytest.mark.parametrize("kind", STEPS_OF_KINDS)
def test_a_function_is_judged_by_the_arguments_that_it_takes(kind):
    density = infer.log_density(infer.model(by_steps(None, X, step=STEPS_OF_KINDS[kind])))
    assert [own.shape for own in density.sites] == [(3,)]


@pytest.mark.parametrize("step", [give_three(move), jax.jit(give_three(move)), jax.jit(np.add)])
def test_compiled_functions_are_judged_so_too(step):
    refuse_unfit("scan", step, (None, None, X), {}, "step(site, carry, x)")


def test_a_wrapper_of_too_few_arguments_is_refused():
    wrong = wraps(lambda site, carry, x: None)(lambda site, x: None)
    refuses(
        by_steps(None, X, step=wrong), r"^scan: .*step\(site, carry, x\), but takes \(site, x\)"
    )


GIVEN = {
    "range": lambda x: range(3),
    "list": lambda x: [0, 1.0, 2],
    "traced": lambda x: [x[0], x[1], 2.0],
    "rows": lambda x: [[x[0]], x[1:2], jnp.array([2.0])],
}


@pytest.mark.parametrize("kind", GIVEN)
def test_a_list_is_observed_as_an_array(kind):
    def function(site, x):
        mu = site("mu", dist.Normal(0.0, 1.0))
        site.observe("y", dist.Normal(mu, 1.0), GIVEN[kind](x))

    density = infer.log_density(infer.model(function, x=X))
    truth = stats.norm.logpdf([0.5, *(X - 0.5)]).sum()
    np.testing.assert_allclose(density(jnp.array([0.5])), truth, rtol=1e-12)


LISTS = {
    "list": (lambda x: [x[0], x[1]], r"is a number, or a list of numbers.*jnp\.stack"),
    "range": (lambda x: range(3), r"is range\(0, 3\)\. Give jnp\.arange"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_what_is_no_array_has_no_rows(kind):
    make, words = LISTS[kind]
    refuses(lambda site, x: site.vmap(declare, make(x)), f"^site.vmap: .*{words}", x=X)
    refuses(lambda site, x: by_steps(None, make(x))(site), f"^scan: .*{words}", x=X)
