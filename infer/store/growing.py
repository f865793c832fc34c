"""Draws as Zarr arrays that grow, as bytes by key: whole chunks, and the one being filled.

A chunk holds all chains and a fixed number of draws. All metadata are written into the
`zarr.json` of each group as well, so that a reader sees the arrays of a group grow together.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import xarray

from ..errors import RunError

# Bytes of the chunks that are being filled, of all arrays together; and draws in a chunk.
CHUNK_BYTES = 2**22
MAX_DRAWS = 2**13
# Bytes of the records of a chunk, which stay in memory and in the state until it is complete.
RECORD_BYTES = 2**22
# The dimension that grows.
DRAW = "draw"
METADATA = "zarr.json"


def choose_chunk(
    groups: Mapping[str, xarray.Dataset], planned: int, thin: int = 1, record: int = 1
) -> int:
    """Choose the number of draws in a chunk, a power of two.

    Args:
        groups: An example with one draw.
        planned: Number of draws that are planned.
        thin: Every `thin`-th draw is stored; others stay in memory until a chunk is complete.
        record: Bytes of the records of one draw of all chains.
    """
    arrays = [a for group in groups.values() for a in group.variables.values()]
    sizes = [a.nbytes for a in arrays if DRAW in a.dims]
    fits = min(
        CHUNK_BYTES // max(sum(sizes), 1), RECORD_BYTES // record, MAX_DRAWS, 2 * planned - 1
    )
    return 2 ** int(np.log2(max(fits // thin, 1)))


class Growing:
    """Groups of arrays, some of which grow along `draw`, or along another dimension.

    Attributes:
        chunk: Draws in a chunk.
        arrays: For each array that grows its dtype, its shape in one chunk, and the axis of draws.
    """

    def __init__(
        self,
        groups: Mapping[str, xarray.Dataset],
        growing: Sequence[str],
        chunk: int,
        along: str = DRAW,
    ):
        """Lay out arrays as in an example.

        Args:
            groups: All groups, with one draw in those that grow.
            growing: Names of the groups that grow.
            chunk: Draws in a chunk.
            along: The dimension that grows, if it is not that of draws.
        """
        self.chunk, self._along = chunk, along
        self._groups, self._names = groups, growing
        self.arrays: dict[str, tuple[np.dtype, tuple[int, ...], int]] = {}
        for name in growing:
            for variable, array in groups[name].variables.items() if name in groups else ():
                if along in array.dims:
                    axis = array.dims.index(along)
                    shape = (*array.shape[:axis], chunk, *array.shape[axis + 1 :])
                    self.arrays[f"{name}/{variable}"] = np.dtype(array.dtype), shape, axis

    @cached_property
    def _written(self) -> dict[str, bytes]:
        return _write_by_xarray(self._groups, self._names, self.chunk, self._along)

    @cached_property
    def fixed(self) -> dict[str, bytes]:
        """The chunks of all arrays that do not grow, by key."""
        heads = tuple(f"{name}/c/" for name in self.arrays)
        return {
            key: data
            for key, data in self._written.items()
            if not key.endswith(METADATA) and not key.startswith(heads)
        }

    def blank(self) -> dict[str, np.ndarray]:
        """Return a chunk of zeros of each growing array."""
        return {name: np.zeros(shape, dtype) for name, (dtype, shape, _) in self.arrays.items()}

    def fill(
        self, chunks: dict[str, np.ndarray], begin: int, groups: Mapping[str, xarray.Dataset]
    ) -> None:
        """Put draws into chunks, from the place `begin` of the chunk on."""
        for name, (_, _, axis) in self.arrays.items():
            group, _, variable = name.partition("/")
            values = groups[group].variables[variable].to_numpy()
            own = slice(begin, begin + values.shape[axis])
            chunks[name][(slice(None),) * axis + (own,)] = values

    def encode(self, chunks: Mapping[str, np.ndarray], index: int) -> dict[str, bytes]:
        """Encode the chunks of all growing arrays with a number, by key."""
        return {
            f"{name}/c/{'/'.join(str(index * (i == axis)) for i in range(len(shape)))}": _encode(
                chunks[name]
            )
            for name, (_, shape, axis) in self.arrays.items()
        }

    def metadata(self, draws: int, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """Encode the metadata of arrays of so many draws; the file of the root comes last."""
        written = self._written.items()
        every = {key: json.loads(data) for key, data in written if key.endswith(METADATA)}
        for name, (_, shape, axis) in self.arrays.items():
            own = every[f"{name}/{METADATA}"]
            own["shape"] = [*shape[:axis], draws, *shape[axis + 1 :]]
        every[METADATA]["attributes"] = dict(attributes)
        nodes = {key.removesuffix(METADATA).rstrip("/"): meta for key, meta in every.items()}
        groups = sorted((n for n in nodes if nodes[n]["node_type"] == "group"), reverse=True)
        plain = {name: _dump(nodes[name]) for name in nodes if name not in groups}
        joined = {name: _dump(_consolidate(name, nodes)) for name in groups}
        return {f"{name}/{METADATA}".lstrip("/"): data for name, data in (plain | joined).items()}


def _consolidate(name: str, nodes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of a group with those of all nodes below it."""
    head = f"{name}/".lstrip("/")
    inside = {n.removeprefix(head): meta for n, meta in nodes.items() if n != name}
    inside = {n: m for n, m in inside.items() if (head + n) in nodes}
    kind = {"kind": "inline", "must_understand": False, "metadata": inside}
    return nodes[name] | {"consolidated_metadata": kind}


def _dump(metadata: Any) -> bytes:
    return json.dumps(metadata).encode()


def _encode(chunk: np.ndarray) -> bytes:
    """Encode a chunk by the codecs `bytes` and `crc32c` of Zarr 3."""
    import google_crc32c  # A requirement of Zarr.

    little = chunk.astype(chunk.dtype.newbyteorder("<"), copy=False)
    data = np.ascontiguousarray(little).tobytes()
    return data + google_crc32c.value(data).to_bytes(4, "little")


def _write_by_xarray(
    groups: Mapping[str, xarray.Dataset], growing: Sequence[str], chunk: int, along: str
) -> dict[str, bytes]:
    """Let xarray write the example, so that it will understand what grows; return files by key."""
    refuse_without_zarr()
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    written: dict[str, Any] = {}
    store = MemoryStore(written)
    zarr.create_group(store, zarr_format=3)
    for name, group in groups.items():
        encoding = {
            str(n): {
                "chunks": _chunk_shape(a, chunk, along),
                "compressors": [Crc32cCodec()],
                "filters": (),
            }
            for n, a in group.variables.items()
            if along in a.dims and name in growing
        }
        with warnings.catch_warnings():
            # Zarr warns of strings, which its format does not specify yet; xarray reads them.
            warnings.simplefilter("ignore")
            group.to_zarr(store, group=name, zarr_format=3, consolidated=False, encoding=encoding)  # pyright: ignore[reportArgumentType]
    return {key: data.to_bytes() for key, data in written.items()}


def _chunk_shape(array: xarray.Variable, chunk: int, along: str) -> tuple[int, ...]:
    pairs = zip(array.dims, array.shape, strict=True)
    return tuple(chunk if dim == along else max(size, 1) for dim, size in pairs)


def refuse_without_zarr() -> None:
    """Raise if Zarr is not installed.

    Raises:
        RunError: It is not.
    """
    try:
        import zarr
    except ImportError:
        found = "stores need the package zarr, which is not installed"
        raise RunError("store", found, 'pip install "pushforward[zarr]"') from None
    del zarr
