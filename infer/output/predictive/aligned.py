"""Fit the values of a posterior to a model whose data have another size, or another order.

Groups are matched by their coordinates. Entries that the posterior does not have are new: they are
drawn from the prior, given the values of the sites that it depends on.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...errors import ModelError
from ...models.priors.continued import IN_REVERSE, series_axis
from ...models.protocol.site import Declaration
from .coordinates import NEW, find_coordinates


class Axis(NamedTuple):
    """One axis of a site.

    Attributes:
        name: Its name, or `None`.
        size: Number of its entries.
        labels: Their coordinates, if there are any.
    """

    name: str | None
    size: int
    labels: np.ndarray | None


class Match(NamedTuple):
    """Which entry of the posterior each entry of a site is.

    Attributes:
        indices: For each axis, indices into the posterior's axis; `NEW` for an entry that it does
            not have.
        grown: Old and new size of each axis that grew and has no coordinates, so that its first
            entries are taken for those of the posterior.
    """

    indices: tuple[np.ndarray, ...]
    grown: tuple[tuple[int, int], ...] = ()

    def known(self) -> np.ndarray | None:
        """Return which entries the posterior has, of shape (*site); `None` if it has all."""
        if all((index != NEW).all() for index in self.indices):
            return None
        each = [index != NEW for index in self.indices]
        return np.logical_and.reduce(np.meshgrid(*each, indexing="ij"))

    def take(self, values: np.ndarray) -> np.ndarray:
        """Return the entries of values of shape (rows, *posterior's site); any for new ones."""
        at = np.ix_(*(np.maximum(index, 0) for index in self.indices))
        return values[(slice(None), *at)]


def read_axes(
    shape: tuple[int, ...], dims: tuple[str | None, ...], coords: Mapping[str, np.ndarray]
) -> list[Axis]:
    """Return the axes of a value, of which the last ones may have names."""
    names = (None,) * (len(shape) - len(dims)) + tuple(dims)
    labels = (None if name is None else coords.get(name) for name in names)
    return [Axis(*axis) for axis in zip(names, shape, labels, strict=True)]


def match_site(
    site: Declaration, old: list[Axis], new: list[Axis], scans: Mapping[str, bool]
) -> Match | None:
    """Match the entries of a site with those of the posterior; `None` if they are the same.

    Args:
        site: The site in the model.
        old: Its axes in the posterior.
        new: Its axes in the model.
        scans: The sites inside a scan, with whether it runs in reverse, by name.

    Raises:
        ModelError: An entry of the posterior is missing in the model and no coordinates tell which
            one, or entries cannot be drawn given the others.
    """
    if len(old) != len(new):
        raise ModelError(
            site.name,
            f"the posterior has it with shape {tuple(axis.size for axis in old)}, and the model "
            f"with {site.shape}",
            f"Predict with the model that was sampled, or redraw it: redraw=[{site.name!r}].",
        )
    match = match_axes(site.name, old, new)
    changed = [
        axis for axis, index in enumerate(match.indices) if not is_same(index, old[axis].size)
    ]
    for axis in changed:
        _refuse_unfit(site, axis, changed, match.indices[axis], old[axis].size, scans)
    return match if changed else None


def match_axes(name: str, old: list[Axis], new: list[Axis]) -> Match:
    """Match the entries of a value along each of its axes."""
    pairs = list(zip(old, new, strict=True))
    grown = [(a.size, b.size) for a, b in pairs if not _have_labels(a, b) and b.size > a.size]
    return Match(tuple(match_axis(name, *pair) for pair in pairs), tuple(grown))


def match_axis(name: str, old: Axis, new: Axis) -> np.ndarray:
    """Return the index into the old axis for each entry of the new one; `NEW` for a new entry.

    Without coordinates, an axis that grew keeps its first entries.

    Raises:
        ModelError: The axis shrank and has no coordinates, or coordinates are not unique.
    """
    if _have_labels(old, new):
        return _match_labels(name, old, new)
    if new.size < old.size:
        raise ModelError(
            name,
            f"the posterior has {old.size} entries along {_called(new)}, and the model {new.size}, "
            "and there are no coordinates that tell which ones these are",
            "Give the dimension coords, in the model that is sampled too; or redraw the whole "
            f"site: redraw=[{name!r}].",
        )
    return np.append(np.arange(old.size), np.full(new.size - old.size, NEW))


def _have_labels(old: Axis, new: Axis) -> bool:
    return old.name == new.name and old.labels is not None and new.labels is not None


def _match_labels(name: str, old: Axis, new: Axis) -> np.ndarray:
    assert old.labels is not None
    assert new.labels is not None
    return find_coordinates(name, _called(new), np.asarray(old.labels), np.asarray(new.labels))


def is_same(index: np.ndarray, size: int) -> bool:
    """Return whether an index takes all entries of an axis in order."""
    return np.array_equal(index, np.arange(size))


def is_continued(index: np.ndarray, size: int) -> bool:
    """Return whether an index takes all entries of an axis in order, and then new ones."""
    return is_same(index[:size], size) and bool((index[size:] == NEW).all())


def _refuse_unfit(
    site: Declaration, axis: int, changed: list[int], index: np.ndarray, size: int,
    scans: Mapping[str, bool],
) -> None:  # fmt: skip
    """Raise if entries along an axis cannot be taken from the posterior as the index says."""
    steps = 0 if site.name in scans else series_axis(site.prior)
    if axis == steps:
        refuse_other_steps(site.name, index, size, scans.get(site.name, False))
    joint = site.prior is not None and series_axis(site.prior) is not None
    if joint and (axis != steps or len(changed) > 1):
        raise ModelError(
            site.name,
            "the posterior has other groups of a series, whose steps are drawn together",
            f"Predict for the same groups, or redraw the site: redraw=[{site.name!r}].",
        )
    if axis >= len(site.shape) - _count_event_axes(site) and not joint:
        _refuse_other_event(site, index, size)


def refuse_other_steps(name: str, index: np.ndarray, size: int, reverse: bool) -> None:
    """Raise if the steps of a series are not its first ones, perhaps with new ones after all."""
    first = len(index) <= size and is_same(index, len(index))
    if not first and not is_continued(index, size):
        raise ModelError(
            name,
            "the steps of the model are not those of the posterior with new ones after the last, "
            "so no path can continue from its last state",
            "Give the model all steps that were sampled, in order, and then the new ones; or draw "
            f"whole new paths: redraw=[{name!r}].",
        )
    if reverse:
        raise ModelError(name, *IN_REVERSE)


def _count_event_axes(site: Declaration) -> int:
    return site.constraint.event_ndims if site.prior is None else len(site.prior.event_shape)


def _refuse_other_event(site: Declaration, index: np.ndarray, size: int) -> None:
    """Raise if entries of one value of a distribution are missing, new, or cannot be reordered."""
    reordered = len(index) == size and NEW not in index
    if reordered and not site.constraint.event_ndims:
        return
    kind = "constraint" if site.prior is None else type(site.prior.distribution).__name__
    raise ModelError(
        site.name,
        f"the model has other entries of one value of its {kind} than the posterior, and these "
        "depend on each other",
        f"Predict for the same entries, or redraw it: redraw=[{site.name!r}].",
    )


def _called(axis: Axis) -> str:
    return "an axis" if axis.name is None else f"the dimension {axis.name!r}"
