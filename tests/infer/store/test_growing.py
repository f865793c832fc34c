"""Arrays that grow are read by plain xarray, and a reader never sees half a step."""

import google_crc32c
import numpy as np
import pytest
import xarray

from infer.store.files import LocalFiles
from infer.store.growing import Growing, choose_chunk

CHUNK = 8


def groups(draws):
    """Two groups that grow, with names, booleans and integers, and one that does not."""
    values = np.random.default_rng(1).normal(size=(2, draws, 3))
    lead = {"chain": np.arange(2), "draw": np.arange(draws)}
    return {
        "posterior": xarray.Dataset(
            {"mu": (("chain", "draw", "school"), values, {"circular": 1})},
            coords=lead | {"school": ["a", "b", "cc"]},
        ),
        "sample_stats": xarray.Dataset(
            {
                "diverging": (("chain", "draw"), values[..., 0] > 0),
                "n_steps": (("chain", "draw"), (9 * values[..., 1]).astype(np.int32)),
            },
            coords=lead,
        ),
        "observed_data": xarray.Dataset({"y": (("school",), np.arange(3.0)), "n": ((), 4)}),
    }


@pytest.fixture
def store(tmp_path):
    files, growing = (
        LocalFiles(str(tmp_path / "run.zarr")),
        Growing(groups(1), ("posterior", "sample_stats"), CHUNK),
    )
    wanted, chunks = groups(CHUNK + 3), growing.blank()
    files.write(growing.fixed)
    for index, own in enumerate((slice(CHUNK), slice(CHUNK, None))):
        grown = [n for n in wanted if n != "observed_data"]
        growing.fill(chunks, 0, {name: wanted[name].isel(draw=own) for name in grown})
        files.write(growing.encode(chunks, index))
        chunks = growing.blank()
    files.write(growing.metadata(CHUNK + 3, {"engine": "NUTS()"}))
    return files.where, wanted


@pytest.mark.parametrize("consolidated", [None, False])
def test_xarray_opens_what_was_written(store, consolidated):
    where, wanted = store
    with xarray.open_datatree(where, engine="zarr", consolidated=consolidated) as tree:
        assert tree.attrs == {"engine": "NUTS()"}
        for name, group in wanted.items():
            xarray.testing.assert_identical(tree[name].to_dataset().load(), group)
            assert tree[name].to_dataset().dtypes == group.dtypes


def test_one_file_holds_the_sizes_of_all_arrays_of_a_group(store, tmp_path):
    """A reader that opens between two steps sees the old sizes of all or the new ones of all."""
    where, wanted = store
    for path in (tmp_path / "run.zarr").rglob("zarr.json"):
        if path.parent.parent.name == "posterior":
            path.write_text("not JSON")
    with xarray.open_zarr(where, group="posterior", consolidated=True) as group:
        xarray.testing.assert_identical(group.load(), wanted["posterior"])


def test_a_damaged_chunk_cannot_be_read(store, tmp_path):
    path = tmp_path / "run.zarr/posterior/mu/c/0/1/0"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    with (
        xarray.open_zarr(store[0], group="posterior") as group,
        pytest.raises(ValueError, match="checksum"),
    ):
        group["mu"].load()
    assert google_crc32c.value(bytes(data[:-4])) != int.from_bytes(data[-4:], "little")


def test_a_chunk_has_few_megabytes_and_no_more_draws_than_are_planned():
    assert choose_chunk(groups(1), 1000) == 1024
    assert choose_chunk(groups(1), 10**6) == 8192
    wide = {"posterior": xarray.Dataset({"x": (("chain", "draw", "i"), np.zeros((4, 1, 10**4)))})}
    assert choose_chunk(wide, 10**6) == 8
    data = xarray.Dataset({"x": (("row", "column"), np.zeros((1000, 500)))})
    assert choose_chunk(groups(1) | {"constant_data": data}, 1000) == 1024
