"""Where and how a call stores its run: checked before anything is computed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...density.base import log_density
from ...errors import RunError
from ...models.inputs.stacked import models_in
from ...models.model import Model
from ...run.fingerprint import fingerprint
from ...run.run import Run
from ...store.commits import FOLDER, is_record
from ...store.engines import describe_engine
from ...store.files import Files, open_files
from ...store.growing import refuse_without_zarr
from ...store.recorder import Recorder
from ..advance.goal import FixedGoal, Goal
from ..data.arviz import describe_run
from ..data.provenance import list_versions
from ..until_goal import UntilGoal
from .contents import Selection, make_contents, select_names

# Draws per chain for which a store is laid out if only seconds limit them.
LIKELY_DRAWS = 10_000


class Storing(NamedTuple):
    """Where and how a call stores its run.

    Attributes:
        files: A new store.
        draws: Number of draws per chain that the call makes, or may make.
        selection: What is stored of the draws, if they are of the posterior.
        seconds: Seconds between commits.
        until: A target in place of the number of draws, as `UntilGoal.save` describes it.
    """

    files: Files
    draws: int
    selection: Selection | None = None
    seconds: float | None = None
    until: dict[str, Any] | None = None

    def begin(self, run: Run, call: str) -> Recorder:
        """Make the recorder of a new run.

        Args:
            run: The run, at its beginning.
            call: "sample", "fit" or "maximize".
        """
        chosen = self.selection
        about = {
            "call": call,
            "draws": self.draws,
            "until": self.until,
            "selection": None if chosen is None else chosen._asdict(),
            "engine": describe_engine(run.engine),
            "reasons": list(run.reasons),
            "problems": [[list(own) for own in each] for each in run.problems],
            "chains": run.chains,
            "key": None if run.key is None else run.key.tolist(),
            "made_for": fingerprint(run.family, run.engine)._asdict(),
            "versions": list_versions(),
        }
        contents = None if chosen is None else make_contents(run, chosen)
        return Recorder(self.files, run, about, contents, describe_run, seconds=self.seconds)


def plan_storing_draws(
    store: Any, model: Model | Sequence[Model], goal: Goal, selected: tuple[Any, ...],
    seconds: float | None,
) -> Storing:  # fmt: skip
    """Check where and how a run of `sample` is to be stored, before anything else is done.

    Args:
        store: Path or URL of the store.
        model: The model, or several.
        goal: What the run is to reach.
        selected: Sites to keep and to drop, `thin`, and the groups of `include`.
        seconds: Seconds between commits.

    Raises:
        RunError: Zarr is not installed, there is something at that path already, or a site is
            unknown.
    """
    keep, drop, thin, include = selected
    selection = Selection(keep, drop, thin, tuple(include))
    sites = log_density(models_in(model)[0]).sites
    select_names([s.name for s in sites if s.role in ("latent", "derived")], selection)
    until = goal.save() if isinstance(goal, UntilGoal) else None
    return Storing(open_new(store), _count_draws(goal), selection, seconds, until)


def _count_draws(goal: Goal) -> int:
    """Return how many draws per chain are planned."""
    if isinstance(goal, UntilGoal):
        return goal.until.draws or LIKELY_DRAWS
    assert isinstance(goal, FixedGoal)
    return goal.draws


def plan_storing_state(store: Any, draws: int, seconds: float | None) -> Storing | None:
    """Check where the run of a fit or a search is to be stored, before anything else is done.

    Raises:
        RunError: Zarr is not installed, or there is something at that path already.
    """
    return None if store is None else Storing(open_new(store), draws, None, seconds)


def open_new(where: Any) -> Files:
    """Open a new store.

    Raises:
        RunError: Zarr is not installed, or there is something at that path already, or nothing can
            be written there.
    """
    refuse_without_zarr()
    files = open_files(where)
    if _is_taken(files):
        raise RunError(
            files.where,
            "there is something at this path already",
            "Go on with a stored run by infer.resume(path, model), or give another path.",
        )
    files.refuse_unwritable()
    return files


def _is_taken(files: Files) -> bool:
    """Return whether there is anything but what a call leaves that ends before its first commit."""
    begun, others = files.list(FOLDER), set(files.list("")) - {FOLDER}
    return any(map(is_record, begun)) or bool(others and not begun)
