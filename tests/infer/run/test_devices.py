"""Chains over devices change no bit of a draw, and rows over devices no more than the last ones."""

import json
import os
import subprocess
import sys
from unittest.mock import Mock

import jax
import numpy as np
import pytest

import infer
from infer.errors import RunError
from infer.run import placing
from infer.run.devices import Plan, plan
from infer.run.plans import plan_for, plan_without_native

from . import on_devices

# Largest relative change of a log density by another order of its sum.
ROUNDING = 1e-12
# Largest change of a draw after 40 trajectories, each of which enlarges rounding errors.
ENLARGED = 1e-8


def run_on_devices(*parts):
    """Run parts of `on_devices` in a process that has four CPU devices."""
    folder = jax.config.jax_compilation_cache_dir
    own = {} if folder is None else {"JAX_COMPILATION_CACHE_DIR": folder}
    own |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-m", "tests.infer.run.on_devices", *parts]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found():
    return run_on_devices("chains", "rows", "plates", "mistakes")


@pytest.fixture(scope="module")
def slowly():
    return run_on_devices("slow")["slow"]


def test_chains_on_two_devices_have_the_draws_of_one_device(found):
    assert found["chains"]["two"] == found["chains"]["one"]


def test_a_run_resumed_on_two_devices_has_the_same_draws(found):
    assert found["chains"]["resumed"] == found["chains"]["two"]


def test_all_local_devices_up_to_the_number_of_threads_are_used_by_default(found):
    assert found["chains"]["default places"] == [[0], [1]]


def test_each_device_reports_what_it_did(found):
    told = found["chains"]["described"]
    assert told["devices"] == "cpu:0, cpu:1"
    assert min(told["device_blocks"]) > 0
    assert min(told["device_seconds"]) > 0
    # A tree that another draw replaces counts too, and the last one may be unfinished.
    assert found["chains"]["needed"] <= sum(told["device_gradients"])


def test_each_device_holds_its_part_of_the_rows(found):
    assert found["rows"]["shards"] == [[32, 3], [32, 3]]


def test_density_and_gradient_are_summed_over_devices(found):
    for name in ("density", "gradient"):
        one, two = found["rows"][name]
        np.testing.assert_allclose(two, one, rtol=ROUNDING, err_msg=name)


def test_chains_on_divided_rows_have_the_draws_of_one_device_but_for_rounding(found):
    np.testing.assert_allclose(found["rows"]["draws"], found["chains"]["one"], atol=ENLARGED)
    assert found["rows"]["places"] == [[0, 1]]


def test_a_run_says_why_divided_rows_have_no_native_loop(found):
    assert "rows are divided over 2 devices" in found["rows"]["why not native"]


def test_new_data_are_divided_as_the_old_ones_were(found):
    assert found["rows"]["devices of new data"] == [2, 2]


def test_a_divided_plate_divides_its_data_and_what_is_computed_for_each_row(found):
    told = found["plates"]
    assert told["shards"] == [[16, 3], [16]]
    assert told["whole columns"] == 0
    # The scales of the latent rates, which are sites of the plate.
    assert set(told["exponentials"]) == {"16"}
    for name in ("density", "gradient"):
        np.testing.assert_allclose(*told[name], rtol=ROUNDING, atol=ROUNDING, err_msg=name)


def test_a_divided_plate_uses_the_devices_of_data_that_are_divided_already(found):
    assert found["plates"]["devices beside marked data"] == [2, 2]


def test_a_divided_plate_whose_rows_do_not_divide_is_refused(found):
    assert "rows: its 63 rows cannot be divided equally over 4" in found["plates"]["uneven"]


MESSAGES = {
    "none": "devices: there are none.",
    "twice": "devices: a device is given twice.",
    "number": "devices: 0 is not a device of JAX.",
    "mesh without rows": "no data are divided by row. Mark the data",
    "axis of mesh": "the mesh has the axis 'columns'. Its axes must be",
    "axis of data": "shard='column' names no axis.",
    "no rows": 'x: it is marked with shard="row", but it is a single number',
    "uneven": "x: its 63 rows cannot be divided equally over 2 devices. Append 1 row ",
    "uneven places": "x: its 64 rows cannot be divided equally over 3 devices. Append 2 rows ",
    "several models": "each has rows of its own that are divided over devices.",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_mistake_is_explained_before_anything_compiles(found, name):
    assert MESSAGES[name] in found["mistakes"][name]


def test_devices_of_several_kinds_are_refused():
    kinds = [("cpu", "cpu"), ("gpu", "H200")]
    devices = [Mock(spec=jax.Device, platform=p, device_kind=k) for p, k in kinds]
    with pytest.raises(RunError, match=r"several kinds: cpu \(cpu\), gpu \(H200\)"):
        placing._refuse_unusable(devices)


def test_devices_of_another_platform_are_refused():
    with pytest.raises(RunError, match=r"they are of the platform gpu, but JAX uses cpu\. Call"):
        placing._refuse_unusable([Mock(spec=jax.Device, platform="gpu", device_kind="H200")])


TWO = ((0,), (1,))
CASES = {
    "a native loop for each chain": (plan(8, None, 2, TWO), Plan(1, 2, True, places=TWO)),
    "one chain needs one place": (plan(1, None, None, TWO), Plan(1, 1, True)),
    "divided rows share a program": (
        plan(6, None, None, ((0, 1), (2, 3))), Plan(3, 2, False, places=((0, 1), (2, 3)))
    ),
    "places of divided rows are called in turn": (
        plan(6, 1, 8, ((0, 1),)), Plan(1, 1, False, places=((0, 1),))
    ),
    "seven chains on three places": (
        plan(7, None, None, ((0, 1), (2, 3), (4, 5))),
        Plan(1, 3, False, places=((0, 1), (2, 3), (4, 5))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_plan_for_several_places(name):
    made, expected = CASES[name]
    assert made == expected


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_groups_without_a_native_form_do_not_depend_on_the_number_of_devices(devices):
    places = tuple((i,) for i in range(devices))
    before = plan(32, None, None, places)
    assert plan_without_native(32, before, has_lapack_calls=False).width == 4


def test_a_width_that_the_user_chooses_is_kept_without_a_native_form():
    chosen = [plan_for(infer.NUTS(), 32, 1, width, 2, ()) for width in (1, None)]
    kept, free = (plan_without_native(32, one, has_lapack_calls=False).width for one in chosen)
    assert (kept, free) == (1, 4)


@pytest.mark.slow
def test_groups_of_two_on_two_devices_have_the_draws_of_one_device(slowly):
    assert slowly["wide two"] == slowly["wide one"]


@pytest.mark.slow
def test_chains_on_four_devices_have_the_draws_of_one_device(slowly):
    assert slowly["four"] == slowly["one"]


@pytest.mark.slow
def test_a_mesh_of_chains_and_rows_has_the_draws_of_one_device_but_for_rounding(slowly):
    np.testing.assert_allclose(slowly["mesh"], slowly["one"], atol=ENLARGED)


@pytest.mark.slow
def test_a_divided_plate_with_latent_sites_has_the_draws_of_one_device_but_for_rounding(slowly):
    one, two = slowly["plates"]
    np.testing.assert_allclose(two, one, atol=ENLARGED)
    assert on_devices.ROWS in slowly["drawn and given"]


@pytest.mark.slow
def test_modes_and_fits_of_divided_rows_are_those_of_one_device(slowly):
    for name in ("modes", "fits"):
        one, two = slowly[name]
        np.testing.assert_allclose(two, one, rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_result_says_what_each_device_did(slowly):
    told = {"devices", "device_blocks", "device_gradients", "device_seconds"}
    assert told <= set(slowly["attributes"])
