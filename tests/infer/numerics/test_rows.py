"""Rows are mapped alike one after another and all together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics import rows

MATRIX = np.arange(12.0).reshape(3, 4)


def summarize(row):
    return jnp.tanh(MATRIX @ row).sum(), jax.lax.map(jnp.sin, row)


@pytest.mark.parametrize(("largest", "in_turn"), [(11, False), (12, True)])
def test_rows_are_mapped_in_turn_if_all_arrays_are_small(largest, in_turn, monkeypatch):
    monkeypatch.setattr(rows, "LARGEST_IN_TURN", largest)
    given = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)))
    jaxpr = jax.make_jaxpr(lambda own: rows.map_rows(summarize, own))(given)
    lengths = [eqn.params["length"] for eqn in jaxpr.eqns if eqn.primitive.name == "scan"]
    assert lengths == [5 if in_turn else 4]
    found = rows.map_rows(summarize, given)
    for part, wanted in zip(found, zip(*map(summarize, given), strict=True), strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-5)
