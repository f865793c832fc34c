"""Check that the log likelihood of a minibatch is a sum over its rows, not a mean."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ....errors import ModelError
from ...protocol.minibatch import take_rows

# Relative change of the log likelihood up to which rows that come twice do not count in it. A
# mean changes by rounding errors, 1e-6 in single precision; a sum doubles.
UNCHANGED = 1e-4


def refuse_mean(
    log_likelihood: Callable[..., Any],
    make_tree: Callable[[], Any],
    data: dict[str, Any],
    minibatch: int,
) -> None:
    """Raise if a log likelihood does not change when each of its rows comes twice.

    It is called with half a minibatch and with that half twice, compiled as one program. Functions
    that fail there, and trees without values, are not judged: what is wrong with them is found
    where they are used.

    Args:
        log_likelihood: Called as `log_likelihood(tree, *data.values())`.
        make_tree: Returns the user's tree, with the values it has at the start.
        data: All rows.
        minibatch: Rows of a minibatch.

    Raises:
        ModelError: The log likelihood is a mean over rows, or leaves the data out.
    """
    once = np.arange(max(1, minibatch // 2))
    parts = [take_rows(data, rows) for rows in (once, np.tile(once, 2))]
    try:
        one, two = map(float, _call_with_each(log_likelihood, make_tree(), parts))
    except Exception:
        return
    if one == 0 or not abs(two - one) <= UNCHANGED * abs(one):
        return
    raise ModelError(
        "log likelihood",
        f"for {once.size} rows it is {one:.6g}, and {two:.6g} when each of them comes twice, so it "
        "is not a sum over the rows; a minibatch needs one, since it is scaled up by rows of the "
        "data / rows of the minibatch",
        "Return the sum over the rows instead of the mean, or the log likelihood of each row.",
    )


@eqx.filter_jit
def _call_with_each(
    log_likelihood: Callable[..., Any], tree: Any, parts: list[dict[str, Any]]
) -> tuple[jax.Array, ...]:
    """Return the log likelihood of each part of the data, summed if it comes by rows."""
    return tuple(jnp.sum(log_likelihood(tree, *part.values())) for part in parts)
