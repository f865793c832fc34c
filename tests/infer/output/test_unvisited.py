"""A thorough verdict finds modes that no chain of a run has visited, and invents none."""

import warnings

import pytest

import infer
from benchmarks import hard_posteriors

SEEN = [name for name, hard in hard_posteriors.HARD.items() if not hard.hidden]


@pytest.mark.slow
def test_a_mode_far_from_all_starts_is_found_from_the_prior_with_its_mass():
    result = infer.sample(infer.model(hard_posteriors._far_mode), key=0, progress=False)
    assert infer.verdict(result).findings == ()
    (only,) = infer.verdict(result, thorough=True).findings
    assert only.kind == "unvisited_mode"
    # The mode is at 30 and has 70 % of the mass.
    assert abs(float(only.split(" = ")[1].split()[0]) - 30) < 0.5
    assert abs(int(only.split("about ")[1].split("%")[0]) - 70) < 5


@pytest.mark.slow
def test_a_spike_that_no_chain_entered_is_found_by_its_mass():
    result = infer.sample(hard_posteriors.HARD["spike in a slab"].model(), key=0, progress=False)
    assert infer.verdict(result).findings == ()
    (only,) = infer.verdict(result, thorough=True).findings
    assert only.kind == "unvisited_mode"
    assert "about 50% of the mass" in only


@pytest.mark.slow
def test_a_mode_that_only_scouts_entered_is_reported_with_its_mass():
    """All four chains stay in the mode with 80 %."""
    result = infer.sample(
        hard_posteriors.HARD["two unequal modes"].model(), key=1003, progress=False
    )
    (only,) = infer.verdict(result).findings
    assert only.kind == "unvisited_mode"
    assert abs(int(only.split("about ")[1].split("%")[0]) - 20) < 6


@pytest.mark.slow
def test_a_posterior_with_one_mode_has_no_unvisited_one():
    model = hard_posteriors.GOOD["linear regression"]()
    for key in range(3):
        result = infer.sample(model, key=key, progress=False)
        assert infer.verdict(result, thorough=True).findings == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_no_verdict_on_a_wrong_result_is_empty(name):
    """Wrong means by 0.5 sd in a mean or a 5 % quantile; benchmarks/verdicts.py has more seeds."""
    hard = hard_posteriors.HARD[name]
    reference, model = hard.reference(), hard.model()
    for key in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", infer.SamplingWarning)
            result = infer.sample(model, key=key, progress=False)
        found = hard_posteriors.read_draws(result, reference)
        error = hard_posteriors.measure_error(found, reference, name != "Cauchy")
        assert max(error) < 0.5 or infer.verdict(result).findings
