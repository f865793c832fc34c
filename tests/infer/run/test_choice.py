"""The choice of an engine: what it rests on, and that it is told."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.run.choice import (
    HMC_VECTORS,
    MEMORY_SHARE,
    NUTS_VECTORS,
    Facts,
    Hardware,
    choice,
    facts_of,
)

from .. import targets

FACTS = Facts(10, frozenset({"value", "gradient"}), (), 0.0)
MACHINE = Hardware("cpu", 16 * 2**30, 8)


def test_an_ordinary_model_gets_nuts_as_it_is():
    assert choice(FACTS, MACHINE, 4).engine == infer.NUTS()
    assert choice(FACTS, MACHINE, 4).warmup == infer.NUTS().default_warmup


def test_a_density_without_a_value_gets_energies_along_the_path():
    unvalued = FACTS._replace(offers=frozenset({"gradient"}), unvalued=("image",))
    made = choice(unvalued, MACHINE, 4)
    assert made.engine == infer.NUTS(energy="path")
    assert "'image'" in str(made)


def vectors(engine, size=1000):
    """Vectors of a chain's state, counted twice, in the state itself."""
    vector, number = jax.ShapeDtypeStruct((size,), float), jax.ShapeDtypeStruct((), float)
    state = jax.eval_shape(engine.init, vector, number, vector)
    return 2 * sum(a.size for a in jax.tree.leaves(state)) / size


def test_the_vectors_counted_are_those_of_the_states():
    assert vectors(infer.NUTS()) == pytest.approx(NUTS_VECTORS, rel=0.02)
    assert vectors(infer.HMC()) == pytest.approx(HMC_VECTORS, rel=0.02)


def test_hmc_takes_over_where_the_trees_of_nuts_do_not_fit():
    chains, room = 8, MEMORY_SHARE * MACHINE.memory
    size = int(room / (NUTS_VECTORS * chains * MACHINE.number_bytes))
    fits, bursts = (FACTS._replace(size=n) for n in (size, size + 1))
    assert isinstance(choice(fits, MACHINE, chains).engine, infer.NUTS)
    made = choice(bursts, MACHINE, chains)
    assert isinstance(made.engine, infer.HMC)
    assert "8.0 GiB" in made.reasons[0]
    # All data sets are in memory together, and memory that is not known is no reason.
    assert isinstance(choice(fits, MACHINE, chains, sets=2).engine, infer.HMC)
    assert isinstance(choice(bursts, MACHINE._replace(memory=0), chains).engine, infer.NUTS)


def test_an_expensive_gradient_pays_for_directions_of_many_coordinates():
    cheap = FACTS._replace(size=3000, gradient_flops=3e5)
    assert choice(cheap, MACHINE, 4).engine == infer.NUTS()
    assert choice(cheap._replace(gradient_flops=1e8), MACHINE, 4).engine == infer.NUTS(rank=32)


def test_the_operations_of_a_gradient_are_counted_where_they_decide():
    rows, size = 30, 2500

    def regression(site, x):
        b = site("b", dist.Normal(0.0, 1.0), shape=(x.shape[1],))
        site.factor("fit", -0.5 * ((x @ b) ** 2).sum())

    large = infer.log_density(infer.model(regression, x=np.ones((rows, size))))
    product = 2 * rows * size
    # The product forth and back, and a few operations a coordinate.
    assert 2 * product <= facts_of(large).gradient_flops < 2 * product + 20 * size
    assert facts_of(infer.log_density(targets.normal())).gradient_flops == 0.0


def batched(site, y, minibatch):
    mu = site("mu", dist.Normal(0.0, 1.0))
    with site.plate("row", y.shape[0], minibatch=minibatch) as rows:
        site.observe("y", dist.Normal(mu, 1.0), y[rows])


@pytest.mark.parametrize("ask", [infer.choose, infer.sample, infer.start])
def test_a_minibatch_is_refused_with_what_works(ask):
    model = infer.model(batched, y=np.zeros(6), minibatch=2)
    with pytest.raises(infer.EngineError, match=r"minibatch.*infer\.fit\(model, infer\.ADVI\(\)\)"):
        ask(model)


def test_nothing_to_draw_is_refused_with_what_works():
    fixed = infer.declared(lambda values: values["x"].sum(), {"x": bj.Simplex(1)})
    with pytest.raises(infer.EngineError, match=r"length 0.*sample_prior"):
        infer.choose(fixed)


def test_a_run_without_an_engine_is_that_of_the_choice_and_says_why(caplog):
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


def test_a_run_without_an_engine_is_taken_up_without_one():
    stopped = infer.start(targets.normal(), chains=2, warmup=30, progress=False).advance(3)
    resumed = infer.start(targets.normal(), state=stopped.state, progress=False).advance(2)
    straight = stopped.advance(2)
    np.testing.assert_array_equal(resumed.draws().positions, straight.draws().positions)


def test_a_score_alone_is_sampled_without_a_word_from_the_user():
    score = infer.static(infer.ScorePrior(lambda x: -x))
    made = infer.choose(infer.model(lambda site, prior: site("x", prior), prior=score))
    assert made.engine == infer.NUTS(energy="path")


def test_chains_that_pool_their_draws_warm_up_for_less():
    warmups = [choice(FACTS, MACHINE, chains).warmup for chains in (4, 64, 512, 4096)]
    assert warmups == sorted(warmups, reverse=True)
    assert warmups[1] < warmups[0]
    assert "512 chains" in " ".join(choice(FACTS, MACHINE, 512).reasons)
    run = infer.start(targets.normal(), infer.NUTS(), chains=64, progress=False)
    assert run.warmup == warmups[1]
    assert jnp.sum(jnp.array(run.windows)) == run.warmup
