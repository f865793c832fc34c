"""What `infer.choose` proposes from the findings of a run."""

import warnings

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import bijectors as bj
import infer
from infer.density.base import log_density
from infer.output.finding import Finding, read_pages
from infer.output.judge import proposals
from infer.output.judge.proposals import RULES, Plan, propose
from infer.output.judge.round_trips import GROUP

from .. import targets

NORMAL = log_density(targets.normal())


def plan(engine=None, tempering=None, density=NORMAL, sets=1):
    return Plan(density, engine or infer.NUTS(), 300, 1000, tempering, 4, sets)


def from_kinds(*kinds, **settings):
    return propose(plan(**settings), [Finding(k, "found", f"advice on {k}.") for k in kinds])


@pytest.fixture(scope="module")
def run():
    return infer.start(targets.normal(), chains=2, warmup=30, key=0, progress=False).advance(20)


def test_every_kind_that_a_rule_answers_is_a_kind_of_finding():
    for rule in RULES:
        assert rule.kinds | rule.explains <= set(read_pages())


@pytest.mark.parametrize("kind", ["different_modes", "unvisited_mode"])
def test_separate_modes_call_for_tempering_with_the_engine_of_the_run(kind):
    made = from_kinds("high_rhat", "low_ess", kind, engine=infer.HMC(rank=0))
    assert made.engine == infer.Tempered(infer.HMC(rank=0))
    assert (made.warmup, made.draws) == (300, 1000)
    (why,) = made.reasons
    assert why.startswith(f"{kind}: parallel tempering")
    assert why.endswith("high_rhat, low_ess may have the same cause")


def test_a_tempered_run_that_misses_modes_goes_on_with_more():
    settings = infer.Tempered(levels=5, reference="prior")
    made = from_kinds("different_modes", tempering=settings)
    assert made.engine == settings
    assert (made.warmup, made.draws) == (600, 2000)


def test_a_tempered_result_of_an_earlier_version_is_refused_in_words():
    settings = {"levels": 5, "reference": "prior", "swap_every": 2, "warmup": 50}
    stored = xarray.DataTree.from_dict({GROUP: xarray.Dataset(attrs=settings)})
    read = proposals._read_tempering(plan(), stored)
    assert read.warmup == 50
    assert read.tempering == infer.Tempered(infer.NUTS(), levels=5, reference="prior", swap_every=2)
    del stored[GROUP].attrs["swap_every"], stored[GROUP].attrs["warmup"]
    with pytest.raises(infer.RunError, match="with which swap_every, warmup it was made"):
        proposals._read_tempering(plan(), stored)


def test_tempering_is_not_proposed_where_it_does_not_work():
    path = infer.NUTS(energy="path")
    made = from_kinds("different_modes", engine=path)
    assert made.engine == path
    assert made.reasons[1].endswith("advice on different_modes.")
    without = log_density(targets.normal().with_gradient(None))
    made = from_kinds("different_modes", engine=infer.Slice(), density=without)
    assert made.engine == infer.DEMetropolis()


def test_scales_that_follow_others_call_for_the_hierarchical_metric_alone():
    made = from_kinds("divergences", "low_ess", "dependent_scales", engine=infer.NUTS(max_depth=8))
    assert made.engine == infer.NUTS(max_depth=8, metric="hierarchical")
    assert made.engine.target_acceptance == 0.8
    assert made.draws == 1000
    assert made.reasons == (
        "dependent_scales: warm-up learns how scales depend on other coordinates; "
        "divergences, low_ess may have the same cause",
    )


def test_divergences_halve_the_distance_of_the_target_to_one():
    targets_of = lambda t: from_kinds("divergences", engine=infer.NUTS(target_acceptance=t))  # noqa: E731
    assert targets_of(0.8).engine.target_acceptance == 0.9
    assert targets_of(0.9).engine.target_acceptance == 0.95
    highest = targets_of(0.95)
    assert highest.engine.target_acceptance == 0.95
    assert "no setting of it answers" in highest.reasons[0]
    assert "advice on divergences." in highest.reasons[1]


def test_slow_chains_get_a_longer_warm_up_and_more_draws():
    made = from_kinds("high_rhat", "low_ess")
    assert made.engine == infer.NUTS()
    assert (made.warmup, made.draws) == (600, 2000)
    assert [why.split(":")[0] for why in made.reasons] == ["high_rhat", "high_rhat, low_ess"]
    assert "then 2000 draws" in str(made)
    assert from_kinds("low_tail_ess").warmup == 300
    assert from_kinds("short_steps").draws == 1000


def test_slow_chains_of_another_kind_get_the_engine_that_the_model_gets_without_a_run():
    made = from_kinds("low_ess", engine=infer.RandomWalk())
    assert made.engine == infer.NUTS()
    assert "not RandomWalk" in made.reasons[0]
    assert made.draws == 1000
    # Slice sampling is that engine, if the model has no gradient.
    without = log_density(targets.normal().with_gradient(None))
    made = from_kinds("low_ess", engine=infer.Slice(), density=without)
    assert (made.engine, made.draws) == (infer.Slice(), 2000)


def test_what_only_the_model_can_mend_is_left_to_it():
    made = from_kinds("low_ess", "narrow_neck")
    assert (made.engine, made.warmup, made.draws) == (infer.NUTS(), 300, 1000)
    (why,) = made.reasons
    assert why.startswith("narrow_neck: change the model: advice on narrow_neck")
    assert why.endswith("; low_ess may have the same cause")


def test_what_no_setting_answers_is_told_with_its_advice():
    made = from_kinds("wrapped_angles")
    assert (made.engine, made.warmup, made.draws) == (infer.NUTS(), 300, 1000)
    assert "no setting of it answers" in made.reasons[0]
    assert made.reasons[1].endswith("advice on wrapped_angles.")


def test_divergences_of_a_site_whose_scale_depends_on_others_tell_of_its_form():
    def centered(site):
        spread = site("spread", dist.HalfNormal(1.0))
        site("x", dist.Normal(0.0, spread), centered=True)

    made = from_kinds("divergences", density=log_density(infer.model(centered)))
    assert made.engine.target_acceptance == 0.9
    assert "; or the scale of x depends on other sites: write it non-centered" in made.reasons[0]


def test_sites_are_named():
    made = propose(plan(), [Finding("low_ess", "found", "", ("a", "b", "c", "d"))])
    assert made.reasons[0].startswith("low_ess (a, b, c and 1 more): 2000 draws")


def test_a_run_without_findings_keeps_its_settings(run):
    made = infer.choose(targets.normal(), posterior=run)
    assert (made.engine, made.warmup, made.draws) == (run.engine, 30, 20)
    assert made.reasons == (
        "the verdict found no problems, so the engine and its settings stay those of the run",
    )


def test_the_findings_are_those_of_the_verdict_of_the_run(run, monkeypatch):
    given = []
    found = (Finding("low_ess", "found"),)
    judge = lambda posterior: given.append(posterior) or infer.Verdict(found)  # noqa: E731
    monkeypatch.setattr(proposals, "verdict", judge)
    made = infer.choose(targets.normal(), posterior=run)
    assert given == [run]
    assert made.draws == 40


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (targets.normal(mean=np.zeros(3)), r"other data on the same sites, x\[3\]"),
        (targets.constrained(), r"a run of x\[3\], and the model has rate, weights\[3\]"),
        ([targets.normal(), targets.normal()], r"x\[3\] of 2 data sets"),
    ],
)
def test_a_run_of_another_model_is_refused(run, model, words):
    with pytest.raises(infer.RunError, match=f"posterior: .*{words}"):
        infer.choose(model, posterior=run)


def test_what_is_no_run_with_draws_is_refused(run):
    for given in (3.0, "funnel.nc", {"posterior": {}}):
        with pytest.raises(infer.RunError, match=r"posterior: .*infer\.sample returned"):
            infer.choose(targets.normal(), posterior=given)
    with pytest.raises(infer.RunError, match="posterior: Optimum was given"):
        infer.choose(targets.normal(), posterior=object.__new__(infer.Optimum))
    with pytest.raises(infer.RunError, match='posterior: .*kind="fit"'):
        infer.choose(targets.normal(), posterior=run, kind="fit")


def funnel(values):
    v, z = values["v"], values["z"]
    return -0.5 * ((v / 3) ** 2 + (z**2).sum() * jnp.exp(-v) + 4 * v)


@pytest.mark.slow
def test_a_funnel_is_sampled_well_by_what_is_proposed():
    model = infer.declared(funnel, {"v": bj.Real(), "z": bj.Real(shape=(4,))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        first = infer.sample(model, infer.NUTS(metric="euclidean"), key=0, progress=False)
    made = infer.choose(model, posterior=first)
    assert made.engine == infer.NUTS(metric="hierarchical")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        again = infer.sample(
            model, made.engine, warmup=made.warmup, draws=made.draws, key=0, progress=False
        )
    kinds = {finding.kind for finding in infer.verdict(again).findings}
    # Its tails are heavy indeed.
    assert kinds <= {"heavy_tails"}
    assert infer.choose(model, posterior=again).engine == made.engine
