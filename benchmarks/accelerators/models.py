"""The models of the benchmark of accelerators: four of the suite, and a large regression."""

from typing import Any

import numpy as np

from benchmarks.peers.suite import SUITE, Case

LARGE_ROWS, LARGE_COLUMNS = 100_000, 50


def large_logistic_data() -> dict[str, Any]:
    """Simulate a logistic regression of 100,000 rows and 50 columns."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(LARGE_ROWS, LARGE_COLUMNS)).astype(np.float32)
    odds = np.exp(-x @ rng.normal(size=LARGE_COLUMNS) / np.sqrt(LARGE_COLUMNS))
    return {"x": x, "y": (rng.random(LARGE_ROWS) < 1 / (1 + odds)).astype(int)}


def large_logistic_numpyro(x: Any, y: Any) -> None:
    import numpyro
    import numpyro.distributions as dist

    a = numpyro.sample("a", dist.Normal(0, 1))
    b = numpyro.sample("b", dist.Normal(0, 1).expand([x.shape[1]]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=a + x @ b), obs=y)


CASES: dict[str, Case] = {
    "eight schools": SUITE["eight schools"],
    "radon": SUITE["radon"],
    "logistic 1000 x 24": SUITE["logistic"],
    "logistic 100k x 50": SUITE["logistic"]._replace(
        data=large_logistic_data, numpyro=large_logistic_numpyro
    ),
    "item response": SUITE["item response"],
}
