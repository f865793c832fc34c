"""Judge how often the log density was NaN where an engine without gradients evaluated it."""

from collections.abc import Iterator, Mapping

import numpy as np

from ..finding import Finding


def find_undefined(stats: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Report points at which the log density was NaN; those of blocks of `Gibbs` count, too."""
    counts = [own for name, own in stats.items() if name == "n_nan" or name.startswith("n_nan_")]
    undefined = sum(int(own.sum()) for own in counts)
    if undefined:
        points = int(stats["n_steps"].sum())
        yield Finding(
            "undefined_log_density",
            f"the log density was NaN for {undefined / points:.2g} of the proposals after warm-up "
            f"({undefined} of {points}), which were rejected as if it were zero there.",
            "Return -inf where values are impossible; infer.check(model) and infer.explain(model, "
            "at) show which term is NaN.",
        )
