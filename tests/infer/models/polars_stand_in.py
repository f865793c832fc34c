"""What our code calls of polars, on lists of Python: polars itself is 180 MB.

`test_columns.py` runs its tests with this and, where it is installed, with polars.
"""

import datetime
from types import SimpleNamespace

import numpy as np


class DataType:
    """A type of entries; it equals its class, as in polars."""

    numeric = temporal = False

    def is_numeric(self):
        return self.numeric

    def is_temporal(self):
        return self.temporal

    def __eq__(self, other):
        return type(self) is (other if isinstance(other, type) else type(other))

    def __hash__(self):
        return hash(type(self))

    def __repr__(self):
        return type(self).__name__


def _kind(name, **facts):
    return type(name, (DataType,), facts)


Boolean, String, Categorical, List, Array, Null = map(
    _kind, ("Boolean", "String", "Categorical", "List", "Array", "Null")
)
Int64, Float64 = _kind("Int64", numeric=True), _kind("Float64", numeric=True)
Date, Time, Duration = (_kind(name, temporal=True) for name in ("Date", "Time", "Duration"))
KINDS = {bool: Boolean, int: Int64, float: Float64, str: String, list: List}
KINDS |= {datetime.date: Date, datetime.timedelta: Duration}


class Decimal(DataType):
    numeric = True

    def __init__(self, precision=None, scale=None):
        self.precision, self.scale = precision, scale


class Enum(DataType):
    def __init__(self, categories):
        self.categories = Series(categories)


class Series:
    def __init__(self, name=None, values=None, dtype=None):
        self.name, self._entries = (name, values) if isinstance(name, str) else ("", name)
        self._entries = list(self._entries)
        known = [entry for entry in self._entries if entry is not None]
        found = float if {type(e) for e in known} == {int, float} else type(known[0])
        dtype = KINDS[found] if dtype is None else dtype
        self.dtype = dtype() if isinstance(dtype, type) else dtype

    def __len__(self):
        return len(self._entries)

    def __iter__(self):
        return iter(self._entries)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._entries, dtype)

    @property
    def str(self):
        to_date = lambda: Series(list(map(datetime.date.fromisoformat, self._entries)))  # noqa: E731
        return SimpleNamespace(to_date=to_date)

    def is_null(self):
        return Series([entry is None for entry in self._entries])

    def to_list(self):
        return list(self._entries)

    def to_numpy(self):
        return np.asarray(self._entries)

    def to_physical(self):
        categories = self.dtype.categories.to_list()
        return Series([categories.index(entry) for entry in self._entries])

    def cast(self, dtype):
        made = dtype() if isinstance(dtype, type) else dtype
        convert = float if made == Float64 else lambda entry: entry
        return Series(self.name, [convert(entry) for entry in self._entries], made)


class DataFrame:
    def __init__(self, columns):
        self._columns = {name: Series(name, values) for name, values in columns.items()}

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return self._columns[name]

    def __len__(self):
        return len(next(iter(self._columns.values())))


class LazyFrame(DataFrame):
    pass
