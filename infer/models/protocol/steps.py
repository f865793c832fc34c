"""What a reader has to know about a scan, and how it serves the steps."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

from jaxtyping import Array

from ...errors import ModelError
from .site import Declaration


class Repeated(NamedTuple):
    """A latent site that each step of a scan declares.

    Attributes:
        name: Name of the site.
        unconstrained_shape: Shape of one step's piece of the flat vector.
        bijector: Name of the type of its map.
        why_no_log_det: Why its map has no log-determinant; empty if it has one.
        entries: Lists the entry that each number of one step's piece is named after.
        learns_centering: Whether samplers may learn how far it is centered.
    """

    name: str
    unconstrained_shape: tuple[int, ...]
    bijector: str
    why_no_log_det: str
    entries: Callable[[], list[tuple[int, ...]]]
    learns_centering: bool = False

    @property
    def size(self) -> int:
        """Numbers of one step."""
        return prod(self.unconstrained_shape)


class Steps(NamedTuple):
    """How a reader serves the steps of a scan.

    Attributes:
        xs: What each step is given, along a leading axis of steps.
        reader: Makes the reader of one step from what that step is given.
        report: Returns, as arrays, what that reader has to report at the end of its step.
        close: Takes the stacked reports, and the sites with an axis of steps in front.
    """

    xs: Any
    reader: Callable[[Any], Any]
    report: Callable[[Any], Any]
    close: Callable[[Any, list[Declaration]], None]


def refuse_lengths(values: Mapping[str, Array], length: int) -> None:
    """Raise if values do not have one entry for each step of a scan, or row of `site.vmap`."""
    for name, value in values.items():
        if value.shape[:1] != (length,):
            raise ModelError(
                name,
                f"its value has shape {value.shape}, but the site has {length} steps or rows",
                "Give one entry for each step, or row of site.vmap, along the first axis.",
            )
