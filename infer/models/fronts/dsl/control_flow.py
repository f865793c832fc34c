"""Sites declared step by step along a series, or in one of several branches.

The modules that carry it out are imported when a model first calls `site.scan`, `vmap` or `cond`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array

from bijectors.rule import Rules

from ....calls import check_arguments
from ...inputs.mistakes import refuse_unfit
from ...protocol.account import Account
from ...protocol.reader import Reader

# Called as branch(site, *operands).
Branch = Callable[..., Any]


class Flow(NamedTuple):
    """What control flow needs of the `site` that it begins from.

    Attributes:
        make_site: Makes the `site` of a step or a branch.
        reader: The reader of the run.
        account: The account of the run.
        rules: The table of maps.
        coords: Values of each named dimension.
    """

    make_site: Callable[[Reader, Account], Any]
    reader: Reader
    account: Account
    rules: Rules
    coords: Mapping[str, np.ndarray]


class ControlFlow(ABC):
    """The methods of `site` that call functions of the user, which declare sites of their own."""

    @abstractmethod
    def _begin(self, where: str) -> Flow:
        """Return what control flow needs, unless none may begin here."""

    @check_arguments("site.scan")
    def scan(
        self,
        step: Callable[[Any, Any, Any], tuple[Any, Any]],
        carry: Any,
        xs: Any = None,
        *,
        length: int | None = None,
        reverse: bool = False,
        dim: str | None = None,
    ) -> tuple[Any, Any]:
        """Declare sites step by step along a series, as `jax.lax.scan` runs.

        The sites that the steps declare under one name are one site of the model, with an axis of
        steps in front. Their priors, sets and maps may depend on the carry, so `centered=False`
        works, and so do observations, derived sites, factors and plates.

        Args:
            step: Called as `step(site, carry, x)`; returns the next carry and an output.
            carry: Carry of the first step.
            xs: Arrays whose rows are passed to the steps, or `None`.
            length: Number of steps, if there are no arrays.
            reverse: Whether to start with the last row.
            dim: Name of the axis of steps.

        Returns:
            The last carry, and the outputs along a leading axis.

        Raises:
            ModelError: The arrays have different first axes, the carry changes its structure, or a
                plate has a minibatch.
        """
        refuse_unfit("scan", step, (None, carry, xs), {}, "step(site, carry, x)")
        return _scan(self._begin("scan"), step, (carry, xs), (length, dim), reverse)

    @check_arguments("site.vmap")
    def vmap(self, function: Callable[..., Any], *xs: Any, dim: str | None = None) -> Any:
        """Declare the sites of a sub-model for every row of arrays at once, as `jax.vmap` runs.

        As in a scan, the sites that it declares under one name are one site of the model, with an
        axis of rows in front of those of plates inside the sub-model.

        Args:
            function: Called as `function(site, *rows)`; what it calls must run under `jax.vmap`.
            xs: Arrays, or pytrees of arrays, with the same first axis.
            dim: Name of that axis.

        Returns:
            The outputs along a leading axis.

        Raises:
            ModelError: The arrays have different first axes, the function cannot run for all rows
                at once, or a plate has a minibatch.
        """
        refuse_unfit("site.vmap", function, (None, *xs), {}, "function(site, *rows)")
        step = lambda site, _, rows: (None, function(site, *rows))  # noqa: E731
        return _scan(self._begin("site.vmap"), step, (None, xs), (None, dim), at_once=True)[1]

    @check_arguments("site.cond")
    def cond(
        self, predicate: Any, true_branch: Branch, false_branch: Branch, *operands: Any
    ) -> Any:
        """Declare the sites of one of two branches, as `jax.lax.cond` runs; see `switch`."""
        from ...branches import read_predicate

        index = read_predicate(predicate)
        return _branch(self._begin("cond"), "cond", index, (true_branch, false_branch), operands)

    @check_arguments("site.switch")
    def switch(self, index: Any, branches: Sequence[Branch], *operands: Any) -> Any:
        """Declare the sites of one of several branches, as `jax.lax.switch` runs.

        A site that several branches declare is one site, whose prior, set and map are those of the
        branch. A latent site of other branches alone keeps its prior, so it needs one. Observed and
        derived sites are declared by all branches, and factors by any.

        Args:
            index: Index of the branch, clipped to their number; it may depend on sites.
            branches: Each called as `branch(site, *operands)`.
            operands: Passed to the branch.

        Returns:
            The output of the branch.

        Raises:
            ModelError: The branches declare a site differently, or return different arrays.
        """
        from ...branches import read_index

        return _branch(self._begin("switch"), "switch", read_index(index), branches, operands)


def _scan(
    flow: Flow,
    step: Callable[..., Any],
    arguments: tuple[Any, Any],
    size: tuple[int | None, str | None],
    reverse: bool = False,
    at_once: bool = False,
) -> tuple[Any, Any]:
    from ...scan import find_axis, scan

    make, reader, account, rules, coords = flow
    axis = find_axis(arguments[1], *size, coords, at_once)
    return scan(step, arguments, axis, reverse, make, reader, account, rules)


def _branch(
    flow: Flow, where: str, index: Array, branches: Sequence[Branch], operands: tuple[Any, ...]
) -> Any:
    from ...branch_survey import refuse_uncallable
    from ...branches import switch

    refuse_uncallable(where, branches)
    runs = [lambda *own, run=branch: run(flow.make_site(*own), *operands) for branch in branches]
    return switch(index, runs, flow.reader, flow.account, flow.rules, where)
