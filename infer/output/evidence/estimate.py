"""What each method of estimating an evidence returns."""

from typing import NamedTuple


class Estimate(NamedTuple):
    """An estimate of a log evidence.

    Attributes:
        log_evidence: In nats.
        standard_error: In nats; NaN if the method does not tell it.
        method: Name of the method, for people.
    """

    log_evidence: float
    standard_error: float
    method: str
