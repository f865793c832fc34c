"""Check that the log likelihood of a minibatch is a sum over its rows, not a mean."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ....errors import warn_of_model
from ...protocol.minibatch import take_rows

# Relative change of the log likelihood up to which rows that come twice do not count in it. A
# mean changes by rounding errors, 1e-6 in single precision; a sum doubles.
UNCHANGED = 1e-5


def warn_of_mean(
    log_likelihood: Callable[..., Any],
    make_tree: Callable[[], Any],
    data: dict[str, Any],
    size: int,
    minibatch: int,
) -> None:
    """Warn if a log likelihood does not change when each of its rows comes twice.

    It is called with half a minibatch, of rows spread over the data, and with that half twice;
    both are compiled as one program. Functions that fail there, and trees without values, are not
    judged: what is wrong with them is found where they are used.

    Args:
        log_likelihood: Called as `log_likelihood(tree, *data.values())`.
        make_tree: Returns the user's tree, with the values it has at the start.
        data: All rows.
        size: How many these are.
        minibatch: Rows of a minibatch.

    Warns:
        ModelWarning: The log likelihood is a mean over rows, or does not depend on them.
    """
    once = np.linspace(0, size - 1, max(1, minibatch // 2)).astype(int)
    parts = [take_rows(data, rows) for rows in (once, np.tile(once, 2))]
    try:
        one, two = map(float, _call_with_each(log_likelihood, make_tree(), parts))
    except Exception:
        return
    if one == 0 or not abs(two - one) <= UNCHANGED * abs(one):
        return
    warn_of_model(
        "log likelihood",
        f"for {once.size} rows it is {one:.6g}, and {two:.6g} when each of them comes twice, so it "
        "seems to be a mean over the rows; a minibatch needs the sum, since that is scaled up by "
        "rows of the data / rows of the minibatch, and with a mean all rows together count as one",
        "Return the sum over the rows, or the log likelihood of each row.",
    )


@eqx.filter_jit
def _call_with_each(
    log_likelihood: Callable[..., Any], tree: Any, parts: list[dict[str, Any]]
) -> tuple[jax.Array, ...]:
    """Return the log likelihood of each part of the data, summed if it comes by rows."""
    return tuple(jnp.sum(log_likelihood(tree, *part.values())) for part in parts)
