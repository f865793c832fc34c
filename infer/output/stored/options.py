"""The options of a call that stores its run, refused if no store is given."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...counts import as_whole
from ...errors import RunError
from ...models.model import Model
from ..advance.goal import Goal


class Options(NamedTuple):
    """The arguments of `sample` that say where and how its run is stored."""

    store: Any = None
    keep: Any = None
    drop: Any = None
    thin: Any = 1
    commit_seconds: Any = None

    def check(self, model: Model | Sequence[Model], goal: Goal, include: Sequence[str]) -> Any:
        """Check them before anything else is done; `None` if nothing is to be stored.

        Raises:
            RunError: Zarr is not installed, there is something at that path already, a site is
                unknown, or options of stores are given without one.
        """
        thin = as_whole("thin", self.thin, 1)
        if self.store is None:
            self._refuse_any(thin)
            return None
        from .storing import plan_storing_draws

        selected = _as_names("keep", self.keep), _as_names("drop", self.drop) or (), thin
        return plan_storing_draws(
            self.store, model, goal, (*selected, include), self.commit_seconds
        )

    def _refuse_any(self, thin: int) -> None:
        options = {"keep": self.keep, "drop": self.drop, "commit_seconds": self.commit_seconds}
        given = [name for name, value in options.items() if value is not None]
        if given or thin > 1:
            raise RunError(
                (*given, "thin")[0],
                "it says what is stored, or when, and no store is given",
                'Give store="run.zarr", or select from the result.',
            )


def _as_names(where: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(name, str) for name in names):
        raise RunError(where, f"it is {given!r}", 'Give names of sites, such as ["mu", "tau"].')
    return names
