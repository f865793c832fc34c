"""The choice of an engine, and the reasons that are given for it."""

import logging

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.numerics.low_rank import HUGE
from infer.run.choice import (
    HMC_VECTORS,
    MEMORY_SHARE,
    NUTS_VECTORS,
    Facts,
    Hardware,
    choose_from,
    gather_facts,
)
from infer.target import Components

from .. import targets

FACTS = Facts(10, frozenset({"value", "gradient"}), (), 0.0)
MACHINE = Hardware("cpu", 16 * 2**30, 8)


def test_an_ordinary_model_gets_nuts_with_its_defaults():
    assert choose_from(FACTS, MACHINE, 4).engine == infer.NUTS()
    assert choose_from(FACTS, MACHINE, 4).warmup == infer.NUTS().plan_warmup(1).draws


def test_a_density_without_a_value_gets_energies_along_the_path():
    unvalued = FACTS._replace(offers=frozenset({"gradient"}), unvalued=("image",))
    made = choose_from(unvalued, MACHINE, 4)
    assert made.engine == infer.NUTS(energy="path")
    assert "'image'" in str(made)


def vectors(engine, size=1000):
    """Count the vectors in the state of one chain, twice."""
    vector, number = jax.ShapeDtypeStruct((size,), float), jax.ShapeDtypeStruct((), float)
    state = jax.eval_shape(engine.init, vector, Components(number, vector, vector))
    return 2 * sum(a.size for a in jax.tree.leaves(state)) / size


def test_the_constants_count_the_vectors_of_the_states():
    assert vectors(infer.NUTS()) == pytest.approx(NUTS_VECTORS, rel=0.02)
    assert vectors(infer.HMC()) == pytest.approx(HMC_VECTORS, rel=0.02)


def test_hmc_is_chosen_if_the_trees_of_nuts_do_not_fit_into_memory():
    chains, room = 8, MEMORY_SHARE * MACHINE.memory
    size = int(room / (NUTS_VECTORS * chains * MACHINE.number_bytes))
    fits, too_large = (FACTS._replace(size=n) for n in (size, size + 1))
    assert isinstance(choose_from(fits, MACHINE, chains).engine, infer.NUTS)
    made = choose_from(too_large, MACHINE, chains)
    assert isinstance(made.engine, infer.HMC)
    assert "8.0 GiB" in made.reasons[0]
    # All data sets are in memory at once; unknown memory does not rule out NUTS.
    assert isinstance(choose_from(fits, MACHINE, chains, sets=2).engine, infer.HMC)
    assert isinstance(choose_from(too_large, MACHINE._replace(memory=0), chains).engine, infer.NUTS)


def test_an_expensive_gradient_justifies_a_low_rank_metric_in_many_coordinates():
    cheap = FACTS._replace(size=HUGE + 1, gradient_flops=2e7)
    assert choose_from(cheap, MACHINE, 4).engine == infer.NUTS()
    assert choose_from(cheap._replace(gradient_flops=1e9), MACHINE, 4).engine == infer.NUTS(rank=32)


def test_the_operations_of_a_gradient_are_counted_only_if_the_choice_needs_them():
    rows, size = 3, HUGE + 1

    def regression(site, x):
        b = site("b", dist.Normal(0.0, 1.0), shape=(x.shape[1],))
        site.factor("fit", -0.5 * ((x @ b) ** 2).sum())

    large = infer.log_density(infer.model(regression, x=np.ones((rows, size))))
    product = 2 * rows * size
    # The product and its transpose, and a few operations for each coordinate.
    assert 2 * product <= gather_facts(large).gradient_flops < 2 * product + 20 * size
    assert gather_facts(infer.log_density(targets.normal())).gradient_flops == 0.0


def batched(site, y, minibatch):
    mu = site("mu", dist.Normal(0.0, 1.0))
    with site.plate("row", y.shape[0], minibatch=minibatch) as rows:
        site.observe("y", dist.Normal(mu, 1.0), y[rows])


@pytest.mark.parametrize("ask", [infer.choose, infer.sample, infer.start])
def test_refusing_a_minibatch_names_what_works(ask):
    model = infer.model(batched, y=np.zeros(6), minibatch=2)
    with pytest.raises(infer.EngineError, match=r"minibatch.*infer\.fit\(model, infer\.ADVI\(\)\)"):
        ask(model)


def test_refusing_a_model_without_coordinates_names_what_works():
    fixed = infer.declared(lambda values: values["x"].sum(), {"x": bj.Simplex(1)})
    with pytest.raises(infer.EngineError, match=r"length 0.*sample_prior"):
        infer.choose(fixed)


def test_a_run_without_an_engine_uses_the_choice_and_gives_its_reasons(caplog):
    options = {"chains": 2, "warmup": 30, "key": 1, "progress": False}
    with caplog.at_level(logging.INFO, logger="infer"):
        run = infer.start(targets.normal(), **options).advance(5)
    made = infer.choose(targets.normal(), chains=2)
    named = infer.start(targets.normal(), made.engine, **options).advance(5)
    np.testing.assert_array_equal(run.draws().positions, named.draws().positions)
    assert run.reasons == made.reasons
    assert infer.to_arviz(run).attrs["engine_choice"] == "; ".join(made.reasons)
    assert infer.to_arviz(named).attrs["engine_choice"] == "as asked"
    assert str(made) in caplog.text


def test_a_run_without_an_engine_resumes_without_one():
    stopped = infer.start(targets.normal(), chains=2, warmup=30, progress=False).advance(3)
    resumed = infer.start(targets.normal(), state=stopped.state, progress=False).advance(2)
    straight = stopped.advance(2)
    np.testing.assert_array_equal(resumed.draws().positions, straight.draws().positions)


def test_a_prior_known_by_its_score_needs_no_settings():
    score = infer.static(infer.ScorePrior(lambda x: -x))
    made = infer.choose(infer.model(lambda site, prior: site("x", prior), prior=score))
    assert made.engine == infer.NUTS(energy="path")


def test_more_chains_need_fewer_draws_of_warm_up():
    warmups = [choose_from(FACTS, MACHINE, chains).warmup for chains in (4, 64, 512, 4096)]
    assert warmups == sorted(warmups, reverse=True)
    assert warmups[1] < warmups[0]
    assert "512 chains" in " ".join(choose_from(FACTS, MACHINE, 512).reasons)
    run = infer.start(targets.normal(), infer.NUTS(), chains=64, progress=False)
    assert run.warmup.planned == warmups[1]
    assert sum(run.warmup.windows) == run.warmup.planned
