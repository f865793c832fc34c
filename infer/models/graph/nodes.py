"""The nodes of a model's graph: its sites, derived values, factors, and data that are used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from bijectors.base import Shape

from ..abstract import account_of, name_of_prior, run_abstractly
from ..changes.view import View
from ..inputs.names import join_names
from ..priors.prior import Prior
from ..protocol.account import Account
from ..protocol.site import FLAT_SITE, Site
from ..protocol.surveyor import ObservationSurveyor, Surveyor
from .parents import DATA, find_relations

Kind = Literal["latent", "frozen", "summed", "observed", "derived", "factor", "set", "data"]


class Node(NamedTuple):
    """One quantity of a model.

    Attributes:
        name: Name of the site, derived value, factor or argument.
        kind: What it is: a site that is latent, frozen at a value, summed out, observed, or set by
            `do`; a derived value, a factor, or data.
        shape: Shape of its value; () for a factor.
        plates: Names and sizes of the axes along which it repeats.
        distribution: Name of its distribution; empty if it has none.
        set: Name of the type of its set; empty unless it is latent.
        parents: Names of the nodes that it depends on directly.
    """

    name: str
    kind: Kind
    shape: Shape
    plates: tuple[tuple[str, int], ...] = ()
    distribution: str = ""
    set: str = ""
    parents: tuple[str, ...] = ()


def find_nodes(model: Any) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Find the nodes of a model's graph, and what the graph does not show, as sentences."""
    # A view changes powers of terms, not what they depend on.
    changes = tuple(change for change in model.changes if not isinstance(change, View))
    model = replace(model, changes=changes)
    reader = ObservationSurveyor(Surveyor(model.rules))
    whole = account_of(replace(model, changes=()), reader)
    sites = {site.name: site for site in run_abstractly(model).sites}
    relations = find_relations(model, _outlines(whole, sites.values()))
    parents = {} if FLAT_SITE in sites else _without_gaps(relations.parents)
    nodes = [*_list_sites(sites.values(), whole, reader.priors)]
    nodes += [Node(name, "factor", ()) for name in relations.factors if name not in sites]
    nodes = [node._replace(parents=parents.get(node.name, ())) for node in nodes]
    nodes += _list_set(model, nodes)
    nodes += _list_data(model, nodes)
    return tuple(nodes), tuple(_list_remarks(nodes))


def _list_sites(
    sites: Iterable[Site], whole: Account, observed: Mapping[str, Prior]
) -> Iterator[Node]:
    """List the nodes of sites; what was declared of them is known from the unchanged model."""
    declared = {d.name: d for d in whole.declarations}
    declared |= {name: own.declaration for name, own in whole.summed.items()}
    for site in sites:
        own = declared.get(site.name)
        prior = own.prior if own else observed.get(site.name)
        event = len(prior.event_shape) if prior else own.constraint.event_ndims if own else 0
        batch = zip(site.dims, site.shape[: len(site.shape) - event], strict=False)
        plates = tuple((dim, size) for dim, size in batch if dim is not None)
        name = "" if prior is own is None else name_of_prior(prior)
        yield Node(site.name, site.role, site.shape, plates, name, site.constraint)


def _outlines(whole: Account, sites: Iterable[Site]) -> dict[str, jax.ShapeDtypeStruct]:
    """Return shape and type of the values of the sites that a reader is asked for."""
    kinds = {name: image.value.dtype for name, image in whole.images.items()}
    kinds |= {name: value.dtype for name, value in whole.observed.items()}
    kinds |= {name: own.dtype for name, own in whole.summed.items()}
    asked = [site for site in sites if site.role in ("latent", "summed", "observed")]
    return {site.name: jax.ShapeDtypeStruct(site.shape, kinds[site.name]) for site in asked}


def _without_gaps(parents: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Leave out that what was observed and its missing entries are parts of one array."""
    both = lambda one, other: f"{one}.missing" == other or one == f"{other}.missing"  # noqa: E731
    return {name: tuple(p for p in own if not both(name, p)) for name, own in parents.items()}


def _list_set(model: Any, nodes: Sequence[Node]) -> list[Node]:
    """List the sites that `do` sets, which are no longer among those of the model."""
    held = {name: value for change in model.changes for name, value in change.held().items()}
    names = {node.name for node in nodes}
    return [Node(n, "set", jnp.shape(value)) for n, value in held.items() if n not in names]


def _list_data(model: Any, nodes: Sequence[Node]) -> list[Node]:
    """List the arguments that a node depends on."""
    names = {node.name for node in nodes}
    used = dict.fromkeys(parent for node in nodes for parent in node.parents)
    shapes = {name.removeprefix("data."): shape for name, shape in model.data_shapes().items()}
    return [
        Node(name, "data", shapes.get(name.removesuffix(DATA), ()))
        for name in used
        if name not in names
    ]


def _list_remarks(nodes: Sequence[Node]) -> Iterator[str]:
    """Say what the graph cannot show."""
    latent = {node.name: node for node in nodes if node.kind == "latent"}
    if FLAT_SITE in latent:
        yield (
            "All values are computed from one vector by code that JAX does not see, so what "
            "depends on what is not known."
        )
    for node in nodes:
        inside = [latent[name] for name in node.parents if name in latent]
        if (
            node.kind == "factor"
            and len(inside) > 1
            and any(s.distribution == "flat" for s in inside)
        ):
            yield (
                f"{node.name} is one function of {join_names(s.name for s in inside)}; which of "
                "them depend on which others inside it is not known."
            )
