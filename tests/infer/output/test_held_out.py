"""Held-out data of unknown or reordered groups, and a group for a result, are refused."""

import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import infer


def levels(site, group, y):
    level = site("level", dist.Normal(0.0, 5.0), shape=(3,))
    site.observe("y", dist.Normal(level[group], 1.0), y)


model = infer.model(levels, group=np.arange(3), y=np.zeros(3))
unknown = model.with_data(group=np.array([0, 1, 3]))
draws = xarray.Dataset({"level": (("chain", "draw", "of"), np.zeros((1, 2, 3)))})
of_two = draws.expand_dims(dataset=2, axis=2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: infer.score_predictions(unknown, {"posterior": draws}),
        lambda: infer.log_likelihood(unknown, {"posterior": draws}),
        lambda: infer.log_likelihood([model, unknown], {"posterior": of_two}),
    ],
    ids=["score_predictions", "log_likelihood", "several"],
)
def test_an_index_out_of_range_is_refused(call):
    with pytest.raises(infer.ModelError, match="group: the index 3 is out of range"):
        call()


@pytest.mark.parametrize("call", [infer.predict, infer.score_predictions, infer.evidence])
def test_a_group_in_the_place_of_a_result_is_refused(call):
    with pytest.raises((infer.ModelError, infer.RunError), match=r"a Dataset has no .*posterior"):
        call(model, draws)


def named(site, y):
    level = site("level", dist.Normal(0.0, 50.0), dims="group")
    site.observe("y", dist.Normal(level, 1.0), y, dims="group")


ordered = infer.model(named, y=10.0 * np.arange(3), coords={"group": ["a", "b", "c"]})
reordered = infer.model(named, y=np.zeros(3), coords={"group": ["c", "a", "b"]})


@pytest.mark.parametrize("call", [infer.score_predictions, infer.log_likelihood, infer.log_prior])
def test_groups_in_another_order_are_refused(call):
    known = draws.rename(of="group").assign_coords(group=["a", "b", "c"])
    with pytest.raises(infer.ModelError, match="level: .*another order: the first are a, b, c and"):
        call(reordered, {"posterior": known})
    call(reordered, {"posterior": known.assign_coords(group=["c", "a", "b"])})


def test_the_groups_of_a_mode_are_matched_by_their_coordinates():
    mode = infer.maximize(ordered, infer.MAP("unconstrained"), starts=1)
    with pytest.raises(infer.ModelError, match="level: .*another order"):
        infer.score_predictions(reordered, mode)
    found = infer.predict(reordered.with_data(y=None), mode, draws=100, key=0)
    # The standard error is 0.1.
    means = found["posterior_predictive"]["y"].mean(("chain", "draw"))
    np.testing.assert_allclose(means, [20.0, 0.0, 10.0], atol=0.6)


@pytest.mark.parametrize(
    "call",
    [
        lambda models: infer.maximize(models, infer.MAP("unconstrained"), starts=1),
        lambda models: infer.predict(models, {"posterior": of_two}),
        lambda models: infer.log_likelihood(models, {"posterior": of_two}),
        lambda models: infer.sample_prior(models, 2),
    ],
    ids=["maximize", "predict", "log_likelihood", "sample_prior"],
)
def test_lists_of_models_with_other_coordinates_are_refused(call):
    with pytest.raises(infer.ModelError, match=r"models\[1\]: .*'group' .*in another order"):
        call([ordered, reordered])


def test_the_modes_of_several_models_are_matched_by_their_coordinates():
    y = np.array([[0.0, 10.0, 20.0], [20.0, 0.0, 10.0]])
    models = [ordered.with_data(y=own) for own in y]
    modes = infer.maximize(models, infer.MAP("unconstrained"), starts=1)
    found = infer.predict([reordered.with_data(y=None)] * 2, modes, draws=100, key=0)
    means = found["posterior_predictive"]["y"].mean(("chain", "draw"))
    # The standard error is 0.1.
    np.testing.assert_allclose(means, y[:, [2, 0, 1]], atol=0.6)


def test_missing_labels_are_the_same():
    labels = np.array(["a", "b", None], object)
    known = draws.rename(of="group").assign_coords(group=labels)
    infer.log_prior(ordered.with_coords(group=labels), {"posterior": known})
