"""A tuning in a small file, which another run of the same engine and size can use."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..density.family import Family, make_family
from ..engines.base import Engine, Tuning
from ..errors import RunError
from ..numerics.hierarchical import hold
from ..run.bound import bind_sites
from ..run.chains import make_tuning, outline_points
from ..run.choice import choose_sampler
from ..run.run import Run
from ..run.tuned import is_held, join_tuning, list_forms
from .commits import recover
from .files import open_files
from .nested import decode, encode, find_outline, flatten, rebuild
from .state import read_centering

KIND = "pushforward-tuning"


def write_tuning(where: Any, run: Run) -> None:
    """Write the tuning of a run to a file, in NumPy's npz format."""
    about = {"kind": KIND, "engine": type(run.engine).__name__}
    path = Path(os.fspath(where)).absolute()
    tuning, centering = run.warmup.tuning, run.warmup.centering
    # Another engine may know no other form of a constant metric.
    arrays = flatten("tuning", hold(tuning) if is_held(run.engine, tuning) else tuning)
    arrays |= {} if centering is None else {"centering": centering.degrees}
    open_files(path.parent).write({path.name: encode(arrays, about)})


def read_tuning(where: Any, model: Any, engine: Engine | None, chains: int) -> Tuning:
    """Read a tuning from a file, or from the store of a run.

    Args:
        where: Path of the file or of the store.
        model: What the tuning will be used for; one of another size is refused. If it is several
            models, the tuning of one serves all.
        engine: The engine that will use it; by default the one that would be chosen.
        chains: Number of chains of each model.

    Raises:
        RunError: There is no such file, it is damaged or holds something else, or the tuning is of
            another engine or another size.
    """
    engine = choose_sampler(model, chains)[0] if engine is None else engine
    family = make_family(model, jacobian=engine.needs.jacobian)
    engine = bind_sites(engine, family)
    try:
        arrays, about = decode(_read(os.fspath(where)))
    except (ValueError, FileNotFoundError) as error:
        raise RunError(
            f"tuning={os.fspath(where)!r}",
            f"no tuning can be read from it ({error})",
            "Give a file that infer.save_tuning wrote, or the store of a run.",
        ) from error
    try:
        return _rebuild(arrays, engine, family, chains)
    except RunError as error:
        raise RunError(
            f"tuning={os.fspath(where)!r}",
            f"it is of {about.get('engine', 'another engine')}: {error.where}: {error.found}",
            "Give the tuning of a run of the same engine, with the same `rank`, and a model of "
            "the same size.",
        ) from error


def _rebuild(
    arrays: Mapping[str, np.ndarray], engine: Engine, family: Family, chains: int
) -> Tuning:
    """Rebuild the tuning of all log densities, or that of one, which serves all."""
    points = outline_points(chains * family.count, family.member(0).size)
    forms = list_forms(engine, make_tuning(engine, family, points, None))
    outline = find_outline("tuning", forms, arrays)
    try:
        return join_tuning(rebuild("tuning", outline, arrays), read_centering(arrays, family))
    except RunError:
        if family.count == 1:
            raise
        return _rebuild(arrays, engine, family.only(0), chains)


def _read(where: str) -> bytes:
    if "://" in where or Path(where).is_dir():
        return recover(open_files(where)).state
    return Path(where).read_bytes()
