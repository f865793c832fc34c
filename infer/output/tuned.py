"""`save_tuning`: keep what a run has learned for other runs of the same size."""

from typing import Any

from ..calls import check_arguments
from ..store.tuning import write_tuning
from .data.origin import find_run


@check_arguments("infer.save_tuning")
def save_tuning(path: Any, run: Any) -> None:
    """Save the tuning of a run to a small file, such as its step size and metric.

    `infer.sample(model, tuning=path, warmup=...)` begins with it, on other data of the same shape
    too; with `warmup=0` it is used as it is. The path of a store serves as well.

    Args:
        path: Path of the file, which is replaced if it exists.
        run: A run, or what `infer.sample` returned.

    Raises:
        RunError: The run of a result is not known.
    """
    write_tuning(path, find_run(run))
