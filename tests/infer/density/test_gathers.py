"""Indices out of range are found before a run: XLA would silently take another entry."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density.gathers import check_indices, check_indices_of, has_indices_in

Y = np.zeros(4)
GOOD, BAD = np.array([0, 2, 1, 2]), np.array([0, 3, 1, 2])


def levels(read):
    def model(site, group, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(3,))
        site.observe("y", dist.Normal(read(level, group), 1.0), y)

    return lambda group: infer.model(model, group=group, y=Y)


def table(read):
    return levels(lambda level, group: read(level[:, None] * jnp.ones((3, 5)), group))


def looked_up(level, group):
    return level[jnp.array([2, 0, 1, 3])[group]]


def theirs(group):
    level = numpyro.sample("level", dist.Normal(0.0, 1.0).expand([3]))
    numpyro.sample("y", dist.Normal(level[group], 1.0), obs=Y)


def log_density(values, data):
    return -jnp.sum((data["y"] - values["level"][data["group"]]) ** 2)


def leaf(tree, y):
    return dist.Normal(tree["level"][tree["group"]], 1.0).log_prob(y)


def step(site, carry, x):
    level, (group, y) = carry, x
    site.observe("y", dist.Normal(level[group], 1.0), y)
    return carry, None


def stepped(site, group, y):
    site.scan(step, site("level", dist.Normal(0.0, 1.0), shape=(3,)), (group, y))


MODELS = {
    "brackets": levels(lambda level, group: level[group]),
    "of each axis": table(lambda table, group: table[group, group]),
    "of the last axis": table(lambda table, group: table[:, group + 2].sum(0)),
    "a row": table(lambda table, group: table[group].sum(1)),
    "one by one": levels(lambda level, group: jnp.stack([level[group[i]] for i in range(4)])),
    "vmap": levels(lambda level, group: jax.vmap(lambda i: level[i])(group)),
    "lax.map": levels(lambda level, group: jax.lax.map(lambda i: level[i], group)),
    "jit": levels(lambda level, group: jax.jit(lambda i: level[i])(group)),
    "computed": levels(
        lambda level, group: level[jnp.where(group > 5, 0, (2 * group) // 2 + 1 - 1)]
    ),
    "of floats": levels(lambda level, group: level[jnp.floor(group * 1.5 / 1.5 + 0.1).astype(int)]),
    "of an index": levels(looked_up),
    "flat": table(lambda table, group: table.reshape(-1)[group * 5 + 4]),
    "other data": lambda group: levels(lambda level, i: level[i])(GOOD).with_data(group=group),
    "a closure": lambda group: infer.model(
        lambda site: site.observe(
            "y", dist.Normal(site("level", dist.Normal(0.0, 1.0), shape=(3,))[group], 1.0), Y
        )
    ),
    "site.scan": lambda group: infer.model(stepped, group=group, y=Y),
    "numpyro": lambda group: infer.from_numpyro(theirs, group),
    "declared": lambda group: infer.declared(
        log_density, {"level": bj.Real(shape=(3,))}, data={"group": group, "y": Y}
    ),
    "a tree": lambda group: infer.tree_model(
        {"level": np.zeros(3), "group": group}, leaf, {"level": dist.Normal()}, data=Y
    ),
    "a view": lambda group: levels(lambda level, i: level[i])(group).view(likelihood=0.5),
    "frozen": lambda group: infer.model(
        lambda site, group: (
            site("free", dist.Normal(0.0, 1.0)),
            site.factor("term", site("level", dist.Normal(0.0, 1.0), shape=(3,))[group].sum()),
        ),
        group=group,
    ).freeze(level=np.zeros(3)),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_an_index_out_of_range_is_refused_by_name(make):
    assert check_indices(make(GOOD)) >= 3
    with pytest.raises(infer.ModelError) as caught:
        infer.start(make(BAD), infer.NUTS(), chains=1)
    assert caught.value.where in ("group", "data.group", "model"), caught.value
    assert "out of range for an axis of size" in caught.value.found


def test_the_message_names_the_data_the_index_and_the_axis():
    make = MODELS["brackets"]
    with pytest.raises(
        infer.ModelError,
        match="group: the index 3 is out of range for an axis of "
        r"size 3, at 1 of 4 places.*jnp.clip\(i, 0, 2\)",
    ):
        check_indices(make(BAD))
    with pytest.raises(infer.ModelError, match="index -4 .* axis of size 3"):
        check_indices(make(np.array([0, -1, -3, -4])))
    with pytest.raises(infer.ModelError, match="these start at 1: subtract 1"):
        check_indices(make(GOOD + 1))


MEANT = {
    "clip": lambda level, group: level.at[group].get(mode="clip"),
    "fill": lambda level, group: level.at[group].get(mode="fill", fill_value=0.0),
    "take": lambda level, group: jnp.where(group < 3, jnp.take(level, group), 0.0),
    "clipped": lambda level, group: level[jnp.clip(group, 0, 2)],
    "minimum": lambda level, group: level[jnp.minimum(group, 2)],
    "modulo": lambda level, group: level[group % 3],
    "negative": lambda level, group: level[group - 3],
    "dropped": lambda level, group: jnp.zeros(3).at[group].add(level[0], mode="drop").sum(),
    "segments": lambda level, group: jax.ops.segment_sum(level[0] + Y, group, 3).sum(),
    "one hot": lambda level, group: jax.nn.one_hot(group, 3) @ level,
    "a branch": lambda level, group: jax.lax.cond(
        (group < 3).all(), lambda: level[group], lambda: jnp.zeros(4)
    ),
    "of a latent": lambda level, group: level[jnp.argmax(level) + group * 0],
    "unsigned": lambda level, group: level[(group % 3).astype(jnp.uint8)],
    "a slice": lambda level, group: level[1:][jnp.maximum(group - 2, 0)],
    "interpolated": lambda level, group: jnp.interp(group * 1.0, jnp.arange(3.0), level),
    "padded": lambda level, group: jnp.pad(level, (0, 1))[group],
}


@pytest.mark.parametrize("read", MEANT.values(), ids=MEANT)
def test_deliberate_indexing_out_of_range_is_accepted(read):
    check_indices(levels(read)(BAD))


def test_checking_compiles_nothing_and_follows_new_data():
    compiled = []
    listen = lambda event, _, **__: compiled.append(event)  # noqa: E731
    make = MODELS["brackets"]
    model = make(jnp.array(GOOD))
    check_indices(model)
    jax.monitoring.register_event_duration_secs_listener(listen)
    check_indices(model.with_data(group=np.array([2, 2, 2, 2])))
    with pytest.raises(infer.ModelError):
        check_indices(model.with_data(group=BAD))
    assert not [event for event in compiled if "compile" in event or "trace" in event]


def test_only_data_that_hold_indices_are_checked_again_for_other_data_sets():
    """The leaves are the groups and the data, in the order of their names."""
    model = infer.model(grouped, group=GOOD, y=Y)
    assert has_indices_in(model, [True, False])
    assert not has_indices_in(model, [False, True])
    several = [model, model.with_data(y=Y + 1), model.with_data(group=BAD)]
    with pytest.raises(infer.ModelError, match="index 3"):
        infer.start(several, infer.NUTS())


def test_models_with_other_arguments_are_checked_each_on_their_own():
    plain, good, bad = (
        infer.model(grouped, y=Y, **own) for own in ({}, {"group": GOOD}, {"group": BAD})
    )
    check_indices_of([plain, good])
    with pytest.raises(infer.ModelError, match="index 3"):
        check_indices_of([plain, bad])


def grouped(site, y, group=None):
    level = site("level", dist.Normal(0, 1), shape=(3,))
    site.observe("y", dist.Normal(level[0] if group is None else level[group], 1.0), y)
