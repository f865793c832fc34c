"""Blocks that take turns sample the joint posterior.

Keys are fixed. Each moment is compared within 5 Monte Carlo standard errors: for nine moments a
false alarm would, with random keys, come once in 200,000 runs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.numerics.dependent_leaves import find_dependent_leaves
from infer.store.tuning import read_tuning

from .test_samplers import z_score

MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[1.0, 0.6, 0.3], [0.6, 2.0, -0.4], [0.3, -0.4, 1.5]])
PRECISION = np.linalg.inv(COVARIANCE)


def log_density(values):
    # The block of a and c is not one stretch of the vector.
    x = jnp.concatenate([values["a"][None], values["b"], values["c"][None]]) - MEAN
    return -0.5 * x @ PRECISION @ x


MODEL = infer.declared(log_density, {"a": bj.Real(), "b": bj.Real(shape=(1,)), "c": bj.Real()})
MIXED = infer.Gibbs({("c", "a"): infer.HMC()}, rest=infer.RandomWalk())
SLOW = [
    infer.Gibbs({"a": infer.NUTS(), "b": infer.Slice(), "c": infer.DEMetropolis()}),
    infer.Gibbs({"a": infer.NUTS(), "rest": infer.NUTS()}),
]


@pytest.fixture(
    scope="module", params=[MIXED, *(pytest.param(e, marks=pytest.mark.slow) for e in SLOW)]
)
def drawn(request):
    return infer.sample(MODEL, request.param, draws=2000, key=2)


def test_blocks_that_take_turns_reach_the_moments_of_their_joint_posterior(drawn):
    posterior = drawn["posterior"]
    columns = [posterior["a"], posterior["b"][..., 0], posterior["c"]]
    x = np.stack([np.asarray(column) for column in columns], -1) - MEAN
    for i in range(3):
        assert abs(z_score(x[..., i], 0)) < 5
        for j in range(i + 1):
            assert abs(z_score(x[..., i] * x[..., j], COVARIANCE[i, j])) < 5


def test_a_draw_of_blocks_reports_the_log_density_where_all_of_them_are(drawn):
    posterior = drawn["posterior"]
    columns = [posterior["a"], posterior["b"][..., 0], posterior["c"]]
    x = np.stack([np.asarray(column) for column in columns], -1) - MEAN
    expected = -0.5 * np.einsum("cdi,ij,cdj->cd", x, PRECISION, x)
    np.testing.assert_allclose(drawn["sample_stats"]["lp"], expected, rtol=1e-9, atol=1e-9)
    assert not infer.verdict(drawn).findings


TWO = infer.Gibbs({"a": infer.Slice()}, rest=infer.RandomWalk(steps=2))


@pytest.fixture(scope="module")
def run():
    return infer.start(MODEL, TWO, chains=1, warmup=0, progress=False).advance(3)


def test_each_block_reports_its_own_statistics(run):
    stats = run.draws().stats
    assert (stats["n_steps_rest"] == 2).all()
    np.testing.assert_array_equal(stats["n_steps"], stats["n_steps_a"] + 2)


def test_a_tuning_of_blocks_is_read_from_a_file(run, tmp_path):
    infer.save_tuning(tmp_path / "tuning", run)
    read, learned = read_tuning(tmp_path / "tuning", MODEL, TWO, 1), run.tuning
    assert jax.tree.structure(read) == jax.tree.structure(learned)
    jax.tree.map(np.testing.assert_array_equal, read, learned)


WALKS = {name: infer.RandomWalk() for name in "acb"}


@pytest.mark.slow
def test_a_tuning_of_blocks_is_matched_by_the_names_of_their_sites(tmp_path):
    """All of these blocks have tunings of the same shapes."""
    run = infer.start(MODEL, infer.Gibbs(WALKS), chains=1, warmup=20, progress=False)
    run.warm_up()
    learned, other = run.tuning, infer.Gibbs({name: WALKS[name] for name in "cba"})
    infer.save_tuning(tmp_path / "tuning", run)
    for given in (learned, read_tuning(tmp_path / "tuning", MODEL, other, 1)):
        taken = infer.start(MODEL, other, chains=1, warmup=0, tuning=given, progress=False).tuning
        for name in WALKS:
            jax.tree.map(np.testing.assert_array_equal, taken.blocks[name], learned.blocks[name])
    pairs = infer.Gibbs({("a", "b"): infer.RandomWalk()}, rest=infer.RandomWalk())
    swapped = infer.Gibbs({("b", "a"): infer.RandomWalk()}, rest=infer.RandomWalk())
    of_pairs = infer.start(MODEL, pairs, chains=1, warmup=0, progress=False).tuning
    with pytest.raises(infer.RunError, match=r"blocks\['a\+b'\].*same blocks"):
        infer.start(MODEL, swapped, chains=1, warmup=0, tuning=of_pairs, progress=False)


def refuses(make, *words):
    with pytest.raises(infer.EngineError) as caught:
        infer.start(MODEL, make(), chains=1)
    for word in words:
        assert word in str(caught.value)


def test_blocks_that_do_not_fit_the_sites_are_refused():
    walk = infer.RandomWalk()
    refuses(lambda: infer.Gibbs({"d": walk}), "no latent site 'd'", "a, b, c")
    refuses(lambda: infer.Gibbs({"a": walk}), "no block moves 'b', 'c'", "rest=infer.NUTS()")
    refuses(lambda: infer.Gibbs({"a": walk, ("a", "b"): walk}, walk), "'a' is in two blocks")


def test_blocks_that_are_not_named_are_refused():
    walk = infer.RandomWalk()
    refuses(lambda: infer.Gibbs(walk), "blocks is RandomWalk", "Give a dict")
    refuses(lambda: infer.Gibbs({3: walk}), "a block is named 3")
    refuses(lambda: infer.Gibbs({(): walk}, walk), "a block is named ()")


def test_blocks_whose_statistics_have_the_same_name_are_refused():
    """RandomWalk reports step_size and step_size_bar, so step_size_bar_z could be of both."""
    sites = {"z": bj.Real(), "bar_z": bj.Real()}
    model = infer.declared(lambda values: -(values["z"] ** 2) - values["bar_z"] ** 2, sites)
    blocks = infer.Gibbs({name: infer.RandomWalk() for name in sites})
    with pytest.raises(infer.EngineError, match="'z', 'bar_z' have the same name"):
        infer.start(model, blocks, chains=1, warmup=0, progress=False).advance(1)


def test_engines_that_cannot_move_a_block_are_refused():
    refuses(lambda: infer.Gibbs({"a": infer.ADVI()}), "ADVI cannot move the block 'a'", "Slice()")
    refuses(lambda: infer.Gibbs({"a": "slice"}), "the engine of 'a' is 'slice'")
    refuses(lambda: infer.Blocks({"a": infer.Slice()}), "infer.Gibbs")


def test_a_run_of_other_blocks_is_not_resumed():
    one, two = (
        infer.Gibbs({"a": infer.RandomWalk()}, rest=infer.RandomWalk(steps=n)) for n in (1, 2)
    )
    # A draw waits for the program, which would otherwise compile during another test.
    state = infer.start(MODEL, one, chains=1, warmup=0, progress=False).advance(1).state
    with pytest.raises(infer.RunError, match="it belongs to Gibbs"):
        infer.start(MODEL, two, state=state)


def test_leaves_that_depend_on_no_argument_are_told_apart():
    def make(x):
        return {"moved": 2 * x, "one": jnp.ones_like(x), "count": jnp.int32(0), "x": x}

    # In the order of the names: count, moved, one, x.
    vector = jax.ShapeDtypeStruct((3,), jnp.float32)
    assert find_dependent_leaves(make, vector) == [False, True, False, True]
