"""Give every leaf of a tree its role: a site, data, static, or derived from others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....errors import ModelError
from ...inputs.names import join_names
from ...inputs.partition import Partition, is_number, partition_input
from ...priors.distributions import is_distribution
from ...priors.valued import is_valued
from ...protocol.table import Row
from .derived import DerivedLeaf
from .flatten import STATIC_MEND, FlatTree, TreeLeaf, is_opaque
from .leaf import Leaf, Spec, read_spec
from .leaf_site import LeafSite

Selector = str | Callable[..., Any]


@dataclass
class LeafRoles:
    """The role of every leaf.

    Attributes:
        sites: Sites that depend on no other, then those that do; each in the tree's order.
        frozen: Names of the sites that begin frozen.
        derived: Leaves that are computed from the others.
        pairs: For every leaf a pair (array, static); (None, None) for a site or a derived leaf.
        data: Path and index of each float leaf that is data.
        rows: Rows of the table for all leaves that are not sites.
        owners: For each score prior, the first site that has it.
    """

    sites: list[LeafSite] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    derived: list[DerivedLeaf] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    data: list[tuple[str, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)

    def add(self, index: int, leaf: TreeLeaf, spec: Spec | None, owner: TreeLeaf) -> None:
        """Add one leaf; `owner` is the first leaf that is the same array."""
        if owner is not leaf:
            note = f"is the same array as {owner.name}"
            self.rows.append(Row(leaf.name, "derived", leaf.shape, note=note))
            self.pairs.append((None, None))
        elif isinstance(spec, Leaf):
            self._add_site(leaf, spec)
        elif callable(spec):
            self.derived.append(DerivedLeaf(leaf.name, tuple(leaf.indices), leaf.shape, spec))
            self.pairs.append((None, None))
        else:
            self._add_value(index, leaf, spec)

    def _add_site(self, leaf: TreeLeaf, spec: Leaf) -> None:
        shares = None
        if is_distribution(spec.prior) and not is_valued(spec.prior):
            owner = self.owners.setdefault(id(spec.prior), leaf.name)
            shares = owner if owner != leaf.name else None
        site = LeafSite.of(leaf, spec, shares)
        if spec.frozen and site.initial is None:
            raise ModelError(
                leaf.name,
                "it is frozen, but the tree holds no value for it",
                "Put an array in its place in the tree.",
            )
        self.frozen += [leaf.name] * spec.frozen
        self.sites.append(site)
        self.pairs.append((None, None))

    def _add_value(self, index: int, leaf: TreeLeaf, role: str | None) -> None:
        value = leaf.constrained
        if is_opaque(value):
            self.pairs.append((Partition.of(value, leaf.name), None))
            self.rows.append(Row(leaf.name, "data", None, note="parameters of a prior or a set"))
            return
        is_leaf = {None: None, "data": True, "static": False}[role]
        pair = partition_input(leaf.name, value, is_leaf, keeps_objects=True, mend=STATIC_MEND)
        is_data = pair[0] is not None
        self.data += [(leaf.name, index)] * (is_data and leaf.is_float)
        self.pairs.append(pair)
        shape = np.shape(value) if is_data or is_number(value) else None
        note = type(value).__name__ if shape is None else ""
        self.rows.append(Row(leaf.name, "data" if is_data else "static", shape, note=note))


def assign_roles(flat: FlatTree, given: Sequence[tuple[Selector, Any]], rest: Any) -> LeafRoles:
    """Give every leaf a role, from what the user gives, what wrappers specify, and `rest`.

    Raises:
        ModelError: A selector selects nothing, two select one leaf, or a float leaf has no role.
    """
    specs = _specs_of(flat, given)
    left = []
    for i in _owners(flat):
        leaf = flat.leaves[i]
        if leaf.role is not None:
            specs.setdefault(i, leaf.role)
        if i in specs or not leaf.is_float or is_opaque(leaf.value):
            continue
        if leaf.parameter is not None:
            specs[i] = Leaf()
        elif rest is not None:
            specs[i] = read_spec(rest, "rest")
        else:
            left.append(leaf)
    if left:
        raise ModelError(
            "leaves",
            f"no role is given for {join_names(map(str, left))}",
            'Give each a role in `leaves`: an infer.Leaf, "frozen", "data" or "static"; or '
            'rest="frozen" for all of them.',
        )
    return _add_all(flat, {i: _merge(flat.leaves[i], spec) for i, spec in specs.items()})


def _add_all(flat: FlatTree, specs: Mapping[int, Spec]) -> LeafRoles:
    roles = LeafRoles()
    for i, leaf in enumerate(flat.leaves):
        own = leaf.indices[0]
        roles.add(i, leaf, specs.get(own), flat.leaves[own])
    roles.sites.sort(key=lambda site: site.is_dependent)
    return roles


def _specs_of(flat: FlatTree, given: Sequence[tuple[Selector, Any]]) -> dict[int, Spec]:
    """Return what the user gives for each leaf, by its index."""
    found: dict[int, tuple[str, Spec]] = {}
    for number, (selector, what) in enumerate(given):
        text = repr(selector) if isinstance(selector, str) else f"selector {number}"
        spec = read_spec(what, text)
        for i in _select(flat, selector, spec, text):
            if i in found:
                raise ModelError(
                    flat.leaves[i].name,
                    f"both {found[i][0]} and {text} select it",
                    "Let only one selector select each leaf; `rest` takes those left.",
                )
            found[i] = (text, spec)
    return {i: spec for i, (_, spec) in found.items()}


def _select(flat: FlatTree, selector: Selector, spec: Spec, text: str) -> list[int]:
    """List the leaves that a selector selects and that can have the role it gives."""
    selected = flat.select(selector)
    fitting = [i for i in selected if _can_have(flat.leaves[i], spec)]
    if fitting:
        return fitting
    if selected:
        leaf = flat.leaves[selected[0]]
        raise ModelError(
            leaf.name,
            f"it is of type {type(leaf.constrained).__name__}, which cannot be inferred",
            'Only leaves of floats can; for others give "data", "static" or nothing.',
        )
    raise ModelError(
        text,
        "it selects no leaf of the tree",
        f"The leaves are {join_names(leaf.name for leaf in flat.leaves)}; in a glob * stays within "
        "one step of a path, and ** spans any number.",
    )


def _can_have(leaf: TreeLeaf, spec: Spec) -> bool:
    if is_opaque(leaf.value):
        return False
    return leaf.is_float or spec in ("data", "static")


def _merge(leaf: TreeLeaf, spec: Spec) -> Spec:
    """Join what the user gives with what the wrapper around the leaf specifies."""
    own = Leaf(frozen=True) if spec == "frozen" else spec
    parameter = leaf.parameter
    return own if parameter is None or not isinstance(own, Leaf) else own.fill_from(parameter)


def _owners(flat: FlatTree) -> list[int]:
    return [i for i, leaf in enumerate(flat.leaves) if leaf.indices[0] == i]
