"""What an earlier process found out about a model is found without a trace, for no other model."""

import subprocess
import sys
from functools import wraps
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.scipy.special import xlogy

import bijectors
import infer
from infer.density.base import log_density
from infer.density.family import singleton
from infer.density.points import evaluate_batch
from infer.density.repeats import refuse_unless_deterministic
from infer.models import surroundings
from infer.programs import native, outlined
from infer.programs.cached import find_out, keep
from infer.programs.outlined import describe_call, recalled
from infer.run import loop
from infer.run.blocks import find_format

Y = np.arange(3.0)
GLOBAL = 1.0


def make(scale=1.0, prior: type = dist.Normal, upper=2.0, **data: Any):
    def model(site, y, add=0.5):
        x = site("x", prior(0.0, 1.0))
        site.param("free", bijectors.Interval(0.0, upper))
        site.observe("y", dist.Normal(x + add + GLOBAL, scale), y)

    given: dict[str, Any] = {"y": Y} | data
    return infer.model(model, **given)


def with_derivative(twice):
    @jax.custom_jvp
    def square(x):
        return x**2

    square.defjvp(lambda x, t: (square(*x), twice * x[0] * t[0]))
    return square


def with_wrapped_rule(x):
    square = jax.custom_jvp(jnp.square)
    square.defjvps(lambda t, result, x: t)
    return square(x)


def with_rule_of_another_name(x):
    square = jax.custom_jvp(jnp.square)
    square.defjvp(wraps(jnp.exp)(lambda x, t: (x[0] ** 2, t[0])))
    return square(x)


def with_score_of_another_name(site):
    site("x", infer.ScorePrior(wraps(jnp.exp)(lambda x: -x)))


class Own(dist.Normal):
    """A user's own class, of which nothing is known but what it computes."""


def with_root(weight):
    """The root y = x, whose derivative is that of a function which only JAX's rule calls."""

    def root(x):
        solve = lambda _, x0: jax.lax.stop_gradient(x0)  # noqa: E731
        return jax.lax.custom_root(lambda y: y - x, x, solve, lambda g, y: weight * y / g(1.0))

    return root


def with_prior(loc, **options):
    """A model in no term of which the location stands."""

    def model(site):
        site("x", dist.Normal(loc, 1.0).mask(False), **options)

    return infer.model(model)


def within(upper):
    """A site in no term, with a map that is given."""

    def model(site):
        site.param("x", bijectors.Interval(0.0, upper), bijector=bijectors.Identity())

    return infer.model(model)


def in_minibatches(site, y):
    x = site("x", dist.Normal(0.0, 1.0))
    with site.plate("row", 3, minibatch=2) as rows:
        site.observe("y", dist.Normal(x, 1.0), y[rows])


def describe(model, function=evaluate_batch, **options):
    return describe_density(log_density(model, **({"jacobian": True} | options)), function)


def describe_density(density, function=evaluate_batch):
    family = singleton(density)
    arguments = family.shared, family.own, jnp.zeros((1, family.shared.size))
    return describe_call(function, arguments, "kernels")


def of_term(function):
    def model(site):
        site.factor("term", function(site("x", dist.Normal(0.0, 1.0))))

    return infer.model(model)


OTHERS = {
    "a value that it closes over": lambda: make(scale=2.0),
    "the bound of a site in no term": lambda: make(upper=3.0),
    "another prior": lambda: make(prior=dist.Cauchy),
    "the type of data": lambda: make(y=Y.astype(np.float32)),
    "the shape of data": lambda: make(y=np.arange(4.0)),
    "a number that is part of the program": lambda: make(add=1),
    "a frozen site": lambda: make().freeze(x=0.0),
    "a view": lambda: make().view("prior"),
    "a condition": lambda: make().condition(x=0.0),
    "the way it is differentiated": lambda: make().with_gradient("forward"),
    "coordinates": lambda: make().with_coords(row=["a", "b"]),
}


def test_a_model_that_is_defined_again_has_the_same_description(folder):
    assert describe(make()) is not None
    assert describe(make()) == describe(make()) == describe(make(y=Y + 1.0))


def test_each_change_of_a_model_changes_its_description(folder, monkeypatch):
    found = [describe(make()), *(describe(other()) for other in OTHERS.values())]
    found.append(describe(make(), jacobian=False))
    monkeypatch.setitem(globals(), "GLOBAL", 2.0)
    found.append(describe(make()))
    monkeypatch.setattr("infer.programs.outlined.describe_settings", lambda: "others")
    found.append(describe(make()))
    monkeypatch.setattr("infer.programs.outlined._describe_sources", lambda: "others")
    found.append(describe(make()))
    assert None not in found
    assert len(set(found)) == len(found) == len(OTHERS) + 5


def test_what_is_in_no_term_changes_the_description(folder):
    models = with_prior(0.0), with_prior(9.0), with_prior(0.0, bijector=bijectors.Identity())
    found = [describe(own) for own in (*models, within(1.0), within(2.0))]
    assert None not in found
    assert len(set(found)) == len(found)


def in_plates(sizes, scale=1.0):
    def model():
        with numpyro.plate_stack("rows", sizes):
            numpyro.sample("x", dist.Normal(0.0, scale))

    return infer.from_numpyro(model)


def test_models_of_numpyro_with_plates_are_described(folder):
    found = [describe(in_plates(own)) for own in ((2, 3), (2, 3), (3, 2), (1, 3), (3,))]
    found.append(describe(in_plates((2, 3), 2.0)))
    assert None not in found
    assert found[0] == found[1]
    assert len(set(found)) == len(found) - 1


def in_a_scan(site):
    site.scan(lambda site, carry, _: (site("x", dist.Normal(carry, 1.0)), None), 0.0, length=3)


UNSURE = {
    "a distribution of the user's own": lambda: make(prior=Own),
    "a table of rules": lambda: make().with_rules(bijectors.RULES[:1] + bijectors.RULES),
    "a derivative of the user's own": lambda: of_term(with_derivative(2.0)),
    "a derivative that JAX wraps": lambda: of_term(with_wrapped_rule),
    "a derivative with the name of JAX's": lambda: of_term(with_rule_of_another_name),
    "a score with the name of JAX's": lambda: infer.model(with_score_of_another_name),
    "a function that only a derivative calls": lambda: of_term(with_root(2.0)),
    "a minibatch": lambda: infer.model(in_minibatches, y=Y),
    "a scan": lambda: infer.model(in_a_scan),
    "a call of Python": lambda: of_term(
        lambda x: jax.pure_callback(np.sin, x, x, vmap_method="sequential") * 0.0
    ),
}


@pytest.mark.parametrize("name", UNSURE)
def test_a_model_is_not_described_unless_its_outline_decides_everything(folder, name):
    assert describe(UNSURE[name]()) is None


def test_a_model_without_its_arrays_alone_is_not_described(folder):
    without = singleton(log_density(make(), jacobian=True)).own
    assert describe_call(evaluate_batch, (without, without, Y), "kernels") is None


def test_derivatives_of_jax_are_known(folder):
    assert describe(of_term(lambda x: xlogy(jnp.exp(x), 2.0))) is not None


def test_files_that_changed_since_they_were_imported_tell_nothing(folder, monkeypatch):
    monkeypatch.setattr("infer.programs.outlined._imported", 0.0)
    outlined._describe_sources.cache_clear()
    assert describe(make()) is None
    outlined._describe_sources.cache_clear()


def test_what_programs_are_made_of_is_compared(folder, monkeypatch):
    found, folders = outlined._describe_sources(), outlined._find_package
    for name in ("blackjax", "equinox", "optax", "optimistix"):
        without = lambda own, name=name: folders(own) if own != name else ""  # noqa: E731
        monkeypatch.setattr(outlined, "_find_package", without)
        outlined._describe_sources.cache_clear()
        assert outlined._describe_sources() not in (None, found)
    outlined._describe_sources.cache_clear()


def read_by_way_of_others():
    return SETTINGS["scale"] + len(names)


names: list[str] = []
SETTINGS = {"scale": 1.0}


@pytest.mark.parametrize("change", [lambda: SETTINGS.update(scale=2.0), lambda: names.append("a")])
def test_nothing_is_told_of_a_model_that_reads_what_has_changed(folder, change):
    model = of_term(lambda x: -x * read_by_way_of_others())
    before, density = describe(model), log_density(model)
    assert before == describe_density(density) == describe(model) is not None
    change()
    assert describe_density(density) is None
    assert describe(model) not in (before, None)


@pytest.mark.parametrize("limit", ["MOST_PARTS", "MOST_BYTES"])
def test_nothing_is_told_of_a_model_that_reads_too_much(folder, monkeypatch, limit):
    monkeypatch.setattr(surroundings, limit, 0)
    assert describe(of_term(lambda x: -x * Y.sum())) is None


def test_what_was_found_about_an_impure_model_is_deleted(folder):
    turn = iter(range(1, 99))

    def model(site):
        site("x", dist.Normal(0.0, float(next(turn))))

    keep("of a model", 1)
    density = log_density(infer.model(model), jacobian=True)
    with pytest.raises(infer.ModelError, match="when run again"):
        refuse_unless_deterministic(density, jnp.ones(1))
    assert find_out("of a model") is None


def test_only_functions_of_the_library_are_described(folder):
    assert describe(make(), lambda *own: evaluate_batch(*own)) is None
    # Observations are drawn by methods that no log density shows.
    from infer.output.predictive.simulate import simulate

    assert describe(make(), simulate) is None


def test_nothing_is_described_if_nothing_is_kept():
    assert describe(make()) is None


def compile_again(monkeypatch, model):
    monkeypatch.setattr(native, "_kept", type(native._kept)())
    family = singleton(log_density(model, jacobian=True))
    arguments = family.shared, family.own, jnp.ones((1, family.shared.size))
    made = native.compile_program(evaluate_batch, (), arguments, "kernels")[0]
    assert isinstance(made, native.CompiledProgram)
    return made, made.call(*arguments)


def test_a_program_is_recalled_without_a_trace(folder, monkeypatch):
    first, expected = compile_again(monkeypatch, make())
    monkeypatch.setattr(native.jax, "jit", lambda *_, **__: pytest.fail("traced"))
    again, found = compile_again(monkeypatch, make())
    assert (first.is_loaded, again.is_loaded) == (False, True)
    assert first.file == again.file
    jax.tree.map(np.testing.assert_array_equal, tuple(expected), tuple(found))


@recalled
def count(model, engine):
    calls.append(engine)
    return len(calls)


calls = []


def test_a_result_is_looked_up_by_what_it_depends_on(folder):
    engines = infer.NUTS(), infer.NUTS(), infer.NUTS(max_depth=5)
    assert [count(None, engine) for engine in engines] == [1, 1, 2]


def test_structures_of_pytrees_are_kept(folder):
    found = jax.tree.structure({"a": (1, [2])}), {"b": 1}
    keep("a pair", found)
    assert find_out("a pair") == found
    assert find_out("another") is None


def test_the_format_of_records_is_found_without_a_trace(folder, monkeypatch):
    monkeypatch.setattr("infer.run.start._prepare_programs", lambda *_: None)
    run = infer.start(make(), infer.NUTS(), chains=1, progress=False)
    found = run.format
    loop._find_record_format.cache_clear()
    monkeypatch.setattr(loop, "_trace_tick", lambda *_: pytest.fail("traced"))
    assert find_format(run.engine, run.family, run.warmup) == found


@pytest.mark.slow
def test_the_numbers_of_an_executable_are_checked_once(folder, monkeypatch):
    found = []
    monkeypatch.setattr(
        "infer.run.self_check.find_disagreement", lambda *_: found.append(folder) or ""
    )
    for _ in range(2):
        monkeypatch.setattr(native, "_kept", type(native._kept)())
        run = infer.start(make(), infer.NUTS(max_depth=2), chains=1, progress=False)
        run.advance(2)
    assert len(found) == 1


CODE = """
import sys; sys.path.insert(0, {root!r})
import infer, jax
jax.config.update("jax_compilation_cache_dir", None)
infer.cache({folder!r})
from tests.infer.programs.test_outlined import describe, make
print(describe(make()))
"""


@pytest.mark.slow
def test_another_process_describes_the_same(folder):
    root = str(Path(__file__).parents[3])
    code = CODE.format(root=root, folder=str(folder))
    run = lambda: subprocess.run(  # noqa: E731
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first, second = run().stdout, run().stdout
    assert first == second
    assert len(first) > 60
