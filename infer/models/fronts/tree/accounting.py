"""Settle what every leaf of a tree is: a site, data, static, or derived from others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpyro.distributions as dist

from ....errors import ModelError
from ...inputs.names import listed
from ...inputs.partition import Partition, is_number, partition_input
from ...priors.score import is_valued
from ...table import Row
from .branch import Branch
from .derived import Derived
from .flatten import STATIC_MEND, Flat, Place, is_opaque
from .leaf import Leaf, Spec, spec_of

Selector = str | Callable[..., Any]


@dataclass
class Books:
    """What every leaf is.

    Attributes:
        branches: Sites that lean on no other, then those that do; each in the tree's order.
        frozen: Names of the sites that begin frozen.
        derived: Leaves made of the others.
        pairs: Of every other leaf a pair (array, static); (None, None) where a site belongs.
        data: Places of float leaves that are data, by path.
        rows: Rows of the table for what is no site.
        owners: First site of each prior that is known by its score alone.
    """

    branches: list[Branch] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    derived: list[Derived] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    data: list[tuple[str, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)

    def enter(self, index: int, place: Place, spec: Spec | None, owner: Place) -> None:
        """Enter one leaf; `owner` is the first leaf that is the same array."""
        if owner is not place:
            note = f"is the same array as {owner.name}"
            self.rows.append(Row(place.name, "derived", place.shape, note=note))
            self.pairs.append((None, None))
        elif isinstance(spec, Leaf):
            self._site(place, spec)
        elif callable(spec):
            self.derived.append(Derived(place.name, tuple(place.places), place.shape, spec))
            self.pairs.append((None, None))
        else:
            self._other(index, place, spec)

    def _site(self, place: Place, leaf: Leaf) -> None:
        shares = None
        if isinstance(leaf.prior, dist.Distribution) and not is_valued(leaf.prior):
            owner = self.owners.setdefault(id(leaf.prior), place.name)
            shares = owner if owner != place.name else None
        branch = Branch.of(place, leaf, shares)
        if leaf.frozen and branch.initial is None:
            raise ModelError(
                place.name, "it is frozen, but has no value", "Give the tree an array there."
            )
        self.frozen += [place.name] * leaf.frozen
        self.branches.append(branch)
        self.pairs.append((None, None))

    def _other(self, index: int, place: Place, role: str | None) -> None:
        value = place.present
        if is_opaque(value):
            self.pairs.append((Partition.of(value, place.name), None))
            self.rows.append(Row(place.name, "data", None, note="parameters of a prior or a set"))
            return
        marked = {None: None, "data": True, "static": False}[role]
        pair = partition_input(place.name, value, marked, keeps_objects=True, mend=STATIC_MEND)
        is_data = pair[0] is not None
        self.data += [(place.name, index)] * (is_data and place.is_float)
        self.pairs.append(pair)
        shape = np.shape(value) if is_data or is_number(value) else None
        note = type(value).__name__ if shape is None else ""
        self.rows.append(Row(place.name, "data" if is_data else "static", shape, note=note))


def account_for(flat: Flat, said: Sequence[tuple[Selector, Any]], rest: Any) -> Books:
    """Settle every leaf, from what the user says, what wrappers say, and `rest`.

    Raises:
        ModelError: A selector selects nothing, two select one leaf, or float leaves are left.
    """
    specs = _claims(flat, said)
    left = []
    for i in _owners(flat):
        place = flat.places[i]
        if place.role is not None:
            specs.setdefault(i, place.role)
        if i in specs or not place.is_float or is_opaque(place.value):
            continue
        if place.parameter is not None:
            specs[i] = Leaf()
        elif rest is not None:
            specs[i] = spec_of(rest, "rest")
        else:
            left.append(place)
    if left:
        raise ModelError(
            "leaves",
            f"nothing is said of {listed(map(str, left))}",
            'Say what each is in `leaves`: an infer.Leaf, "frozen", "data" or "static"; or '
            'rest="frozen" for all of them.',
        )
    return _entered(flat, {i: _merged(flat.places[i], spec) for i, spec in specs.items()})


def _entered(flat: Flat, specs: Mapping[int, Spec]) -> Books:
    books = Books()
    for i, place in enumerate(flat.places):
        own = place.places[0]
        books.enter(i, place, specs.get(own), flat.places[own])
    books.branches.sort(key=lambda branch: branch.leans)
    return books


def _claims(flat: Flat, said: Sequence[tuple[Selector, Any]]) -> dict[int, Spec]:
    claims: dict[int, tuple[str, Spec]] = {}
    for number, (selector, what) in enumerate(said):
        text = repr(selector) if isinstance(selector, str) else f"selector {number}"
        spec = spec_of(what, text)
        for i in _fitting(flat, selector, spec, text):
            if i in claims:
                raise ModelError(
                    flat.places[i].name,
                    f"both {claims[i][0]} and {text} select it",
                    "Let one selector alone select each leaf; `rest` takes those left.",
                )
            claims[i] = (text, spec)
    return {i: spec for i, (_, spec) in claims.items()}


def _fitting(flat: Flat, selector: Selector, spec: Spec, text: str) -> list[int]:
    """List the leaves that a selector means: those that can be what is said."""
    found = flat.at(selector)
    fitting = [i for i in found if _can_be(flat.places[i], spec)]
    if fitting:
        return fitting
    if found:
        place = flat.places[found[0]]
        raise ModelError(
            place.name,
            f"it is a {type(place.present).__name__}, which cannot move",
            'Only float leaves can; of others say "data" or "static", or nothing.',
        )
    raise ModelError(
        text,
        "it selects no leaf of the tree",
        f"The leaves are {listed(place.name for place in flat.places)}; in a glob * stays within "
        "one step of a path, and ** spans any number.",
    )


def _can_be(place: Place, spec: Spec) -> bool:
    if is_opaque(place.value):
        return False
    return place.is_float or spec in ("data", "static")


def _merged(place: Place, spec: Spec) -> Spec:
    """Join what the user says with what the wrapper around the leaf says."""
    leaf = Leaf(frozen=True) if spec == "frozen" else spec
    told = place.parameter
    return leaf if told is None or not isinstance(leaf, Leaf) else leaf.over(told)


def _owners(flat: Flat) -> list[int]:
    return [i for i, place in enumerate(flat.places) if place.places[0] == i]
