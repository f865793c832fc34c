"""How well predictions fit what was observed: log predictive density, accuracy, calibration."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray
from jaxtyping import Float, Int
from scipy.stats import binom

from ...counts import as_whole
from ...errors import RunError

# Bins of the calibration error, as in Guo et al. (2017).
ECE_BINS = 15
BINS = 10
# Probability of the intervals of a reliability diagram.
INTERVAL = 0.9


class Reliability(NamedTuple):
    """Confidence and accuracy of predictions, in bins of equal width of the confidence.

    Bins without a prediction are left out. All have shape (bins,).

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: Share of predictions that are right.
        predictions: Their number.
        low: Lower end of the 90 % interval of `accuracy` if the predictions are calibrated.
        high: Its upper end.
    """

    confidence: Float[np.ndarray, "bins"]
    accuracy: Float[np.ndarray, "bins"]
    predictions: Int[np.ndarray, "bins"]
    low: Float[np.ndarray, "bins"]
    high: Float[np.ndarray, "bins"]


@dataclass(frozen=True)
class PredictionScores:
    """Scores of predictions that are averages over draws.

    Attributes:
        rows: Log predictive density of each row in nats, by observation: the log of the mean over
            draws of its likelihood.
        draws: Number of draws.
        probabilities: Predictive probability of each class, shape (rows, classes); `None` if the
            observation has no classes. They do not depend on what was observed.
        labels: The observed class of each row, shape (rows,).
    """

    rows: xarray.Dataset
    draws: int
    probabilities: Float[np.ndarray, "rows classes"] | None = None
    labels: Int[np.ndarray, "rows"] | None = None

    @property
    def observations(self) -> int:
        """Number of rows of all observations."""
        return self._each.size

    @property
    def log_density(self) -> float:
        """Sum of the log predictive densities of all rows, in nats."""
        return float(self._each.sum())

    @property
    def log_density_se(self) -> float:
        """Standard error of `log_density` in nats, from the spread of the rows.

        NaN of a single row, or if a row has density zero.

        Source: Vehtari, Gelman & Gabry (2017), arXiv 1507.04544, equation 23.
        """
        if self.observations < 2 or not np.isfinite(self._each).all():
            return np.nan
        return float(np.sqrt(self.observations * self._each.var(ddof=1)))

    @property
    def accuracy(self) -> float:
        """Share of rows whose most probable class was observed."""
        return float(self._is_right.mean())

    @property
    def accuracy_se(self) -> float:
        """Standard error of `accuracy`."""
        return float(np.sqrt(self.accuracy * (1 - self.accuracy) / len(self._is_right)))

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean difference of confidence and accuracy, in 15 bins.

        Source: Guo et al. (2017), On calibration of modern neural networks, equation 3.
        """
        found = self.reliability(ECE_BINS)
        gaps = np.abs(found.accuracy - found.confidence)
        return float((found.predictions * gaps).sum() / found.predictions.sum())

    def reliability(self, bins: int = BINS) -> Reliability:
        """Compare confidence and accuracy, in bins of equal width of the confidence.

        Args:
            bins: Number of bins from 0 to 1.

        Raises:
            RunError: The observation has no classes.

        Source: the intervals, Bröcker & Smith (2007), Increasing the reliability of reliability
            diagrams, section 3; binomial ones, a little wider than those of unequal confidences.
        """
        bins = as_whole("bins", bins, 1)
        right, sure = self._is_right, self._classes.max(1)
        place = np.clip((sure * bins).astype(int), 0, bins - 1)
        count = np.bincount(place, minlength=bins)
        used = count > 0
        sums = [np.bincount(place, own, minlength=bins)[used] for own in (sure, right)]
        confidence, accuracy = (own / count[used] for own in sums)
        ends = binom.interval(INTERVAL, count[used], np.minimum(confidence, 1.0))
        low, high = (np.asarray(end) / count[used] for end in ends)
        return Reliability(confidence, accuracy, count[used], low, high)

    def plot(self, bins: int = BINS) -> Any:
        """Plot a reliability diagram: how often predictions of each confidence are right.

        Bars are the 90 % intervals within which the points of calibrated predictions lie.

        Args:
            bins: Number of bins from 0 to 1.

        Returns:
            A matplotlib figure.

        Raises:
            RunError: The observation has no classes.
        """
        found = self.reliability(bins)
        import matplotlib.pyplot as plt

        figure, (above, below) = plt.subplots(
            2, 1, sharex=True, height_ratios=[3, 1], figsize=(4, 5), layout="constrained"
        )
        above.plot([0, 1], [0, 1], color="gray", linewidth=1)
        above.vlines(found.confidence, found.low, found.high, color="gray", linewidth=4, alpha=0.4)
        above.plot(found.confidence, found.accuracy, "o-")
        above.set_ylabel("share that is right")
        below.bar(found.confidence, found.predictions, width=0.6 / bins)
        below.set_yscale("log")
        below.set_ylim(bottom=0.5)
        below.set_ylabel("predictions")
        below.set_xlabel("probability of the predicted class")
        return figure

    def __str__(self) -> str:
        parts = [
            f"{self.observations} observations, {self.draws} draws: log predictive density "
            f"{self.log_density:.1f} ± {self.log_density_se:.1f} nats, "
            f"{self.log_density / self.observations:.3f} each"
        ]
        if impossible := int(np.isneginf(self._each).sum()):
            parts.append(f"{impossible} of them with density zero in every draw")
        if self.probabilities is not None:
            parts.append(f"accuracy {self.accuracy:.3f} ± {self.accuracy_se:.3f}")
            parts.append(f"calibration error {self.calibration_error:.3f}")
        return "; ".join(parts)

    @property
    def _each(self) -> Float[np.ndarray, "rows"]:
        return np.concatenate([np.ravel(own) for own in self.rows.data_vars.values()])

    @property
    def _is_right(self) -> np.ndarray:
        return self._classes.argmax(1) == self.labels

    @property
    def _classes(self) -> Float[np.ndarray, "rows classes"]:
        if self.probabilities is None:
            raise RunError(
                "scores",
                "no classes are known: no data of the model are whole numbers from 0 on, one for "
                "each row, whose probabilities add up to one",
                "If the observation has classes, give labels= and classes= to "
                "infer.score_predictions.",
            )
        return self.probabilities
