"""Nested values go to a file and back, without naming or running anything that is stored."""

import io
import pickle
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import infer
from infer.store.nested import decode, encode, flatten, rebuild


class State(NamedTuple):
    """A state."""

    position: Any
    inside: Any


VALUE = State(
    jnp.arange(3.0),
    {"count": np.int32(4), "half": (np.ones((0, 2)), np.ones(2, ml_dtypes.bfloat16))},
)


def test_nested_values_come_back_in_the_structure_of_the_reader():
    arrays, numbers = decode(encode(flatten("state", VALUE), {"windows": [3, 4]}))
    back = rebuild("state", VALUE, arrays)
    assert numbers == {"windows": [3, 4]}
    assert isinstance(back, State)
    np.testing.assert_array_equal(back.position, VALUE.position)
    assert back.inside["half"][1].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(
    "other",
    [VALUE._replace(position=np.zeros(4)), VALUE._replace(position=np.zeros(3, np.float32))],
)
def test_an_array_of_another_shape_or_dtype_is_refused_by_its_name(other):
    with pytest.raises(infer.RunError, match="state.position"):
        rebuild("state", other, flatten("state", VALUE))


@pytest.mark.parametrize("outline", [np.float32(0.5), 0.5])
def test_scalars_that_an_engine_computed_as_plain_numbers_come_back(outline):
    arrays = flatten("tuning", {"step": 0.1})
    assert rebuild("tuning", {"step": outline}, arrays)["step"] == 0.1
    with pytest.raises(infer.RunError, match="it is float64.* int32"):
        rebuild("tuning", {"step": np.int32(1)}, arrays)


def test_a_missing_array_is_refused_by_its_name():
    with pytest.raises(infer.RunError, match="state.position: it is missing"):
        rebuild("state", VALUE, {})


class Harmful:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


def test_nothing_is_unpickled():
    written = io.BytesIO()
    np.savez(written, harmful=np.array([Harmful()], dtype=object))
    for data in (written.getvalue(), pickle.dumps(Harmful()), b"", b"PK\x03\x04"):
        with pytest.raises(ValueError, match="."):
            decode(data)
