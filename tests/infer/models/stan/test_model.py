"""Stan programs as models: densities, quantities, engines and mistakes."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pandas import DataFrame

import infer
from infer.models.fronts.stan.callbacks import log_density
from infer.models.fronts.stan.opened import _compile

from ....scripts import run_script
from .programs import SCALE, SCHOOLS, SCHOOLS_DATA

pytest.importorskip("stanli")
pytest.importorskip("bridgestan")


def schools(**named):
    return infer.from_stan(SCHOOLS, SCHOOLS_DATA, **named)


@pytest.fixture(scope="module")
def result():
    return infer.sample(
        schools(dims={"theta": "school"}, coords={"school": list("ABCDEFGH")}),
        infer.NUTS(), draws=300, warmup=300, key=0, progress=False,
    )  # fmt: skip


def by_hand(q, jacobian):
    """Compute the log density of eight schools, up to constants, as Stan's manual defines it."""
    mu, log_tau, raw = q[0], q[1], q[2:]
    tau, y, sigma = jnp.exp(log_tau), *(np.array(SCHOOLS_DATA[n]) for n in ("y", "sigma"))
    own = -0.5 * (mu / 5) ** 2 - jnp.log1p((tau / 5) ** 2) - 0.5 * (raw**2).sum()
    return own - 0.5 * (((y - mu - tau * raw) / sigma) ** 2).sum() + jacobian * log_tau


@pytest.mark.parametrize("jacobian", [True, False])
def test_density_and_two_derivatives_are_those_of_the_program(jacobian):
    density = infer.log_density(schools(), jacobian=jacobian)
    points = jnp.asarray(np.random.default_rng(1).uniform(-2, 2, (5, 10)))
    found = jax.vmap(density.evaluate)(points)
    expected = jax.vmap(jax.value_and_grad(lambda q: by_hand(q, jacobian)))(points)
    np.testing.assert_allclose(np.ptp(found[0] - expected[0]), 0, atol=1e-10)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-10)
    curved = jax.vmap(jax.hessian(density))(points)
    exact = jax.vmap(jax.hessian(lambda q: by_hand(q, jacobian)))(points)
    np.testing.assert_allclose(curved, exact, atol=1e-6)


def test_a_gradient_calls_stan_once(monkeypatch):
    from infer.models.fronts.stan.opened import Opened

    density, calls = infer.log_density(schools()), []
    evaluate = Opened.evaluate
    monkeypatch.setattr(Opened, "evaluate", lambda *a: calls.append(len(a[1])) or evaluate(*a))
    # The functions of the class are looked up when a program is traced.
    jax.block_until_ready(jax.jit(density.evaluate)(jnp.zeros(10)))
    assert len(calls) <= 1


def test_quantities_have_names_shapes_and_dims_of_the_program(result):
    posterior = result["posterior"]
    assert set(posterior.data_vars) == {"mu", "tau", "theta_raw", "theta", "y_new", "log_lik"}
    assert posterior["theta"].dims == ("chain", "draw", "school")
    theta = posterior["mu"].values[..., None] + (
        posterior["tau"].values[..., None] * posterior["theta_raw"].values
    )
    np.testing.assert_allclose(posterior["theta"].values, theta, rtol=1e-12)
    np.testing.assert_array_equal(result["constant_data"]["y"].values, SCHOOLS_DATA["y"])


def test_the_flat_vector_has_a_group_of_its_own(result):
    flat = result["unconstrained_posterior"]["unconstrained__"]
    assert flat.dims == ("chain", "draw", "unconstrained_coordinate")
    names = list(flat.coords["unconstrained_coordinate"].values[:3])
    assert names == ["mu", "tau", "theta_raw.1"]
    np.testing.assert_allclose(np.exp(flat[..., 1]), result["posterior"]["tau"], rtol=1e-12)


def test_draws_are_of_the_posterior(result):
    # Means by quadrature over tau are 3.69 (tau) and 4.42 (mu); four standard errors at the
    # smallest effective number of draws that is seen, 300: a false alarm in 8000 runs.
    mu, tau = (result["posterior"][name].values for name in ("mu", "tau"))
    assert abs(mu.mean() - 4.42) < 4 * 3.4 / np.sqrt(300)
    assert abs(tau.mean() - 3.69) < 4 * 3.3 / np.sqrt(300)
    assert "pure_callback" in result.attrs["why_not_native"]


def test_generated_quantities_depend_on_seed_and_draw_alone(result):
    density = infer.log_density(schools())
    flat = result["unconstrained_posterior"]["unconstrained__"].values
    again = jax.vmap(density.constrain)(flat[1, 7:9])
    np.testing.assert_array_equal(again["y_new"], result["posterior"]["y_new"][1, 7:9])
    other = jax.vmap(infer.log_density(schools(seed=1)).constrain)(flat[1, 7:9])
    assert (other["y_new"] != again["y_new"]).all()
    np.testing.assert_array_equal(other["theta"], again["theta"])


def test_log_lik_is_the_log_likelihood_of_rows(result):
    found = infer.log_likelihood(schools(), result)["log_likelihood"]["log_lik"]
    np.testing.assert_allclose(found.values, result["posterior"]["log_lik"].values, rtol=1e-12)


def test_modes_are_found_with_and_without_the_jacobian():
    model = infer.from_stan(SCALE, {"y": 2.0})
    # The Jacobian adds log(s), which the normal density subtracts.
    for space in ("constrained", "unconstrained"):
        terms = lambda s: -s - np.log(s) * (space == "constrained") - 2 / s**2  # noqa: B023, E731
        grid = np.linspace(0.5, 3, 100_001)
        expected = grid[np.argmax(terms(grid))]
        found = infer.maximize(model, infer.MAP(space=space), starts=2)
        assert abs(float(found.values["scale"]) - expected) < 1e-3, space


def test_other_data_of_the_same_sizes_make_the_same_program():
    model = infer.from_stan(SCALE, {"y": 2.0})
    other = model.with_data(y=3.0)
    assert jax.tree.structure(model) == jax.tree.structure(other)
    positions = jnp.array([0.3])
    both = [float(infer.log_density(m)(positions)) for m in (model, other)]
    fresh = float(infer.log_density(infer.from_stan(SCALE, {"y": 3.0}))(positions))
    assert both[0] != both[1]
    assert both[1] == fresh
    with pytest.raises(infer.ModelError, match="z: data are given for it"):
        model.with_data(z=1.0)


def test_initial_values_are_where_chains_begin():
    model = infer.from_stan(SCALE, {"y": 2.0}, initial={"scale": 0.5})
    np.testing.assert_allclose(model.initial_values()["unconstrained__"], np.log([0.5]))
    with pytest.raises(infer.ModelError, match="initial: Stan says"):
        infer.from_stan(SCALE, {"y": 2.0}, initial={"scale": -1.0})


@pytest.mark.parametrize(
    ("program", "data", "message"),
    [
        (SCALE.replace("real y;", "real y"), {"y": 1.0},
         "syntax error in line 4, column 0, '}': .*Expected"),
        (SCALE.replace("(y |", "(z |"), {"y": 1.0}, 'line 9.*Identifier "z" not in scope'),
        (SCALE, {}, "y: the program declares it in its data block, but no value is given"),
        (SCALE, {"y": 1.0, "Y": 2.0}, "Y: data are given for it, .*Leave it out"),
        (SCALE, {"y": [1.0, 2.0]}, "y: "),
        ("data { int N; vector[N] y; } parameters { real x; } model { }",
         {"N": 3, "y": [1.0, 2.0]}, r"y: .* shape \(3\), and the data have shape \(2\)"),
        ("data { int n; } parameters { real x; } model { }", {"n": 1.5}, "n: Stan says: int"),
        ("data { real<lower=0> s; } parameters { real x; } model { }", {"s": -1.0},
         "s: Stan says: .*greater than or equal"),
        ("model { }", None, "it declares no parameters"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_when_the_model_is_made(program, data, message):
    with pytest.raises(infer.ModelError, match=message):
        infer.from_stan(program, data)


def test_messages_of_the_page_are_those_that_are_raised():
    size = "data { int N; vector[N] y; } parameters { real x; } model { }"
    mistakes = [
        (SCALE.replace("real y;", "real y"), {"y": 1.0}),
        (SCALE.replace("(y |", "(z |"), {"y": 1.0}),
        (SCALE, {}),
        (SCALE, {"y": 1.0, "Y": 2.0}),
        (size, {"N": 3, "y": [1.0, 2.0]}),
        ("model { }", None),
    ]
    page = Path(__file__).parents[4].joinpath("docs/stan.md").read_text().replace("\\|", "|")
    for program, data in mistakes:
        with pytest.raises(infer.ModelError) as caught:
            infer.from_stan(program, data)
        assert str(caught.value) in page


def test_the_mistakes_of_the_docs_are_as_their_command_prints_them(capsys):
    folder = Path(__file__).parents[4] / "benchmarks"
    run_script(folder / "mistakes_stan.py")
    assert capsys.readouterr().out == (folder / "mistakes_stan.md").read_text()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: infer.from_stan({"y": 1.0}, SCALE), "Stan program: it is a dict"),
        (lambda: infer.from_stan(""), "Stan program: it is empty"),
        (lambda: infer.from_stan(SCALE, [1.0]), "data: they cannot be read"),
        (lambda: infer.from_stan(SCALE, DataFrame({"y": [1.0]})), "data: they are a DataFrame"),
        (lambda: infer.from_stan(SCALE, {"y": 1.0}, runner="cmdstan"), "runner: .*'cmdstan'"),
        (lambda: infer.from_stan(SCALE, {"y": 1.0}, dims=["x"]), "dims: they are a list"),
    ],
)
def test_what_is_no_program_and_no_data_is_refused(call, message):
    with pytest.raises(infer.ModelError, match=message):
        call()


def test_infinite_data_are_read():
    program = """
    data { vector[2] bound; }
    parameters { real x; }
    model { target += normal_lpdf(x | fmax(bound[1], 1) + (bound[2] > 1e300), 1); }
    """
    model = infer.from_stan(program, {"bound": [-np.inf, np.inf]})
    at = infer.log_density(model)
    assert float(at(jnp.array([2.0])) - at(jnp.array([1.0]))) == pytest.approx(0.5, abs=1e-6)


def test_bridgestan_without_its_sources_says_what_it_needs():
    def compile_model(path, make_args):
        raise ValueError("Failed to download BridgeStan.")

    fake = type("Library", (), {"compile_model": staticmethod(compile_model)})
    with pytest.raises(infer.ModelError, match=r"Failed to download.*BRIDGESTAN.*stanli"):
        _compile(fake, SCALE + "// never compiled")


def test_dims_of_other_axes_are_refused():
    with pytest.raises(infer.ModelError, match="nu: dims name it, but the program has no such"):
        schools(dims={"nu": "school"})
    with pytest.raises(infer.ModelError, match="theta: .* name 2 axes of a value of shape"):
        schools(dims={"theta": ("a", "b")})


def test_a_density_that_stan_refuses_everywhere_is_warned_of():
    program = 'parameters { real x; } model { reject("x is ", 1); }'
    with pytest.warns(infer.ModelWarning, match="at 100 random points: .*x is"):
        infer.from_stan(program)


def test_the_evidence_of_a_program_that_drops_constants_is_refused(result):
    with pytest.raises(infer.ModelError, match="constants"):
        infer.evidence(schools(), result)


def test_the_evidence_of_a_program_with_all_constants_is_its_integral():
    model = infer.from_stan(SCALE, {"y": 2.0})
    draws = infer.sample(model, infer.NUTS(), draws=400, warmup=200, key=3, progress=False)
    scale = np.linspace(1e-3, 40, 400_001)
    integrand = np.exp(-scale - 2 / scale**2) / (scale * np.sqrt(2 * np.pi))
    found = infer.evidence(model, draws)
    # A fixed key; five standard errors.
    expected = np.log(integrand.sum() * (scale[1] - scale[0]))
    assert abs(found.log_evidence - expected) < 5 * max(found.standard_error, 0.002)


def test_models_of_several_data_sets_share_calls_of_stan():
    model = infer.from_stan(SCALE, {"y": 2.0})
    models = [model.with_data(y=y) for y in (2.0, 3.0, 2.0)]
    programs = [m.program for m in models]
    source: Any = vars(programs[0])["source"]
    keys = jnp.stack([own.data.tree()["key"] for own in programs])
    positions = jnp.array([[0.1], [0.2], [0.3]])
    found = jax.vmap(partial(log_density, source))(keys, positions)
    expected = [log_density(source, k, q) for k, q in zip(keys, positions, strict=True)]
    np.testing.assert_array_equal(jnp.stack(found, 1), jnp.array(expected))


@pytest.mark.filterwarnings("ignore::infer.SamplingWarning")
@pytest.mark.slow
def test_a_run_goes_on_from_its_store(tmp_path):
    model = infer.from_stan(SCALE, {"y": 2.0})
    named = {"warmup": 100, "key": 4, "progress": False}
    infer.sample(model, infer.NUTS(), draws=100, store=tmp_path / "run", **named)
    # As another process would, which reads the program again.
    again = infer.from_stan(SCALE, {"y": 2.0})
    resumed = infer.resume(tmp_path / "run", again, draws=100)
    whole = infer.sample(model, infer.NUTS(), draws=200, **named)
    for group in ("posterior", "unconstrained_posterior"):
        for name, values in whole[group].data_vars.items():
            np.testing.assert_array_equal(resumed[group][name].values, values.values)
    with pytest.raises(infer.RunError, match="other values"):
        infer.resume(tmp_path / "run", model.with_data(y=3.0), draws=100)


def test_bridgestan_compiles_a_program_once_for_several_threads():
    asked = []

    def compile_model(path, make_args):
        asked.append((path.read_text(), make_args))
        return path.with_suffix(".so")

    fake = type("Library", (), {"compile_model": staticmethod(compile_model)})
    paths = [_compile(fake, SCALE) for _ in range(2)]
    assert paths[0] == paths[1]
    assert asked == [(SCALE, ["STAN_THREADS=true"])]


@pytest.mark.slow
@pytest.mark.parametrize("engine", [infer.Laplace(), infer.ADVI()], ids=["Laplace", "ADVI"])
def test_approximations_are_near_the_posterior(engine):
    found = infer.fit(infer.from_stan(SCALE, {"y": 2.0}), engine, key=0, progress=False)
    # The mean is 1.86; a normal in log(scale) is not the posterior, and the draws are 2000.
    assert abs(float(found.sample(2000)["posterior"]["scale"].mean()) - 1.86) < 0.2


def test_other_data_keep_the_initial_values():
    program = "data { real u; } parameters { real<lower=u> x; } model { x ~ normal(0, 1); }"
    model = infer.from_stan(program, {"u": 0.0}, initial={"x": 3.0})
    for one, expected in ((model, 3.0), (model.with_data(u=1.0), 2.0)):
        (found,) = one.initial_values().values()
        np.testing.assert_allclose(found, [np.log(expected)], rtol=1e-6)
    with pytest.raises(infer.ModelError, match="initial: Stan says"):
        model.with_data(u=4.0)
