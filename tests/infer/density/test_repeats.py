"""Models whose Python code computes other numbers each time are refused by searches and fits."""

from itertools import count

import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.density.repeats import refuse_unless_traced_alike


def declare(shift, sites=1):
    """Declare normals around numbers that are read whenever the code runs."""
    names = [f"x{i}" for i in range(sites)]

    def log_density(q):
        return -0.5 * sum((q[name] - shift()) ** 2 for name in names)

    return infer.declared(log_density, dict.fromkeys(names, bj.Real()))


def draw_another():
    return np.random.default_rng().normal()


@pytest.mark.parametrize(
    "call",
    [
        lambda model: infer.maximize(model, infer.MAP(space="unconstrained"), progress=False),
        lambda model: infer.fit(model, infer.Laplace(), progress=False),
    ],
    ids=["maximize", "fit"],
)
def test_a_search_refuses_a_model_that_draws_random_numbers(call):
    with pytest.raises(infer.ModelError, match="when run again"):
        call(declare(draw_another))


def test_a_density_of_many_sites_that_draws_random_numbers_is_refused():
    with pytest.raises(infer.ModelError, match="when run again"):
        refuse_unless_traced_alike(infer.log_density(declare(draw_another, sites=30)))


def test_constants_that_differ_without_effect_are_not_refused():
    calls = count()

    def log_density(q):
        return -0.5 * q["x"] ** 2 + 0 * (q["x"] + next(calls))

    refuse_unless_traced_alike(infer.log_density(infer.declared(log_density, {"x": bj.Real()})))
    assert next(calls) > 4


@pytest.mark.parametrize(
    "log_density",
    [
        lambda x, drawn: -0.5 * (x * (1.5 + drawn)) ** 2,
        lambda x, drawn: jnp.log(abs(x)) - x**2 - drawn,
        lambda x, drawn: jnp.where(abs(x) < 0.1, -drawn * x**2, -jnp.inf),
    ],
    ids=["scale", "infinite at the origin", "finite only near it"],
)
def test_random_numbers_are_found_wherever_they_matter(log_density):
    model = infer.declared(lambda q: log_density(q["x"], draw_another() ** 2), {"x": bj.Real()})
    with pytest.raises(infer.ModelError, match="when run again"):
        refuse_unless_traced_alike(infer.log_density(model))


def test_a_density_is_traced_twice_only_once():
    calls = count()

    def log_density(q):
        next(calls)
        return -0.5 * q["x"] ** 2

    density = infer.log_density(infer.declared(log_density, {"x": bj.Real()}))
    refuse_unless_traced_alike(density)
    before = next(calls)
    refuse_unless_traced_alike(density)
    assert next(calls) == before + 1
