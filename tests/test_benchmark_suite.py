"""The suite of whole processes tells which run reached its limits, and when."""

import math

from benchmarks.suite.report import outcome, ratio

RUN = {"seed": 0, "import_cpu": 1.0, "sampled": 2000, "warmed": 0, "error": 1.0}
SHORT = RUN | {"draws": 1000, "wall": 8.0, "cpu": 4.0, "rhat": 1.02, "ess": 300.0}
LONG = RUN | {"draws": 2000, "wall": 12.0, "cpu": 6.0, "rhat": 1.005, "ess": 700.0}


def test_time_is_that_of_the_first_run_that_reaches_the_limits():
    found = outcome([SHORT, LONG])
    assert found is not None
    assert (found.wall, found.cpu, found.from_imports, found.draws) == (12.0, 6.0, 5.0, 2000)
    # R-hat and effective sample size are those of the default run.
    assert (found.rhat, found.ess) == (1.02, 300.0)


def test_a_ratio_tells_who_alone_reaches_the_limits():
    reached, missed = outcome([LONG]), outcome([SHORT])
    assert math.isinf(ratio(missed, reached, "cpu"))
    assert ratio(reached, missed, "cpu") == 0
    assert math.isnan(ratio(missed, missed, "cpu"))


def test_a_run_that_was_stopped_has_no_time():
    stopped = {"seed": 0, "draws": 1000, "failed": "stopped after 90 s of CPU"}
    found = outcome([stopped])
    assert found is not None
    assert math.isinf(found.wall)
    assert found.failed == "stopped after 90 s of CPU"
