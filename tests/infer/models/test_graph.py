"""A model's graph shows what depends on what: as NumPyro and TFP say, or as one reads it."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.infer.inspect import get_model_relations

import bijectors as bj
import infer
from infer.equations import find_sources
from infer.models.graph import drawing

from ...cases import mark_slow
from .numpyro_models import EXAMPLES
from .tfp_models import EXAMPLES as JOINTS

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])


def eight_schools(site, sigma, y):
    mu = site("mu", dist.Normal(0.0, 5.0))
    tau = site("tau", dist.HalfCauchy(5.0))
    theta = site("theta", dist.Normal(mu, tau), dims="school")
    spread = site.derive("spread", jnp.abs(theta - mu), dims="school")
    site.observe("y", dist.Normal(theta, sigma), y, dims="school")
    site.factor("penalty", -spread.sum())


def schools():
    coords = {"school": list("ABCDEFGH")}
    return infer.model(eight_schools, sigma=np.ones(8), y=EFFECTS, coords=coords)


def parents_of(model):
    return {node.name: set(node.parents) for node in model.graph().nodes}


def test_a_graph_has_the_edges_that_one_reads_in_the_model():
    assert parents_of(schools()) == {
        "mu": set(), "tau": set(), "theta": {"mu", "tau"}, "spread": {"mu", "theta"},
        "y": {"theta", "sigma"}, "penalty": {"spread"}, "sigma": set(),
    }  # fmt: skip
    nodes = {node.name: node for node in schools().graph().nodes}
    assert nodes["theta"][1:6] == ("latent", (8,), (("school", 8),), "Normal", "Real")
    assert nodes["y"][1:6] == ("observed", (8,), (("school", 8),), "Normal", "")
    assert nodes["penalty"].kind == "factor"


@pytest.mark.parametrize(
    ("changed", "kind", "parents"),
    [
        (lambda model: model.freeze(theta=EFFECTS), "frozen", {"mu", "tau"}),
        (lambda model: model.condition(theta=EFFECTS), "observed", {"mu", "tau"}),
        (lambda model: model.do(theta=EFFECTS), "set", set()),
        (lambda model: model.view("likelihood"), "latent", {"mu", "tau"}),
    ],
)
def test_a_changed_model_keeps_its_edges_but_those_that_do_cuts(changed, kind, parents):
    graph = changed(schools()).graph()
    node = next(node for node in graph.nodes if node.name == "theta")
    assert (node.kind, set(node.parents)) == (kind, parents)
    assert ("theta", "y") in graph.edges
    assert ("mu", "y") not in graph.edges


# Where ours and theirs differ: their scan joins all that a step uses; a value that was recorded by
# `deterministic` is used before it is; and an argument has the name of what is observed of it.
OURS = {
    "autoregression": {
        "level": {"phi", "sigma"}, "noise": set(), "twice": {"level"}, "y": {"level", "noise"},
    },
    "wind": {"unrolled_factor": {"unrolled"}},
    "imputation": {"survived": {"age", "age_impute", "b_age"}},
    "eight_schools_centered_by_half": {"theta_centered": set()},
}  # fmt: skip


@pytest.mark.parametrize(
    "name", mark_slow(EXAMPLES, {"autoregression", "eight_schools_decentered", "item_response"})
)
def test_the_graph_of_a_model_of_numpyro_is_as_numpyro_says(name):
    own = EXAMPLES[name]
    graph = infer.from_numpyro(own.model, *own.args, **own.kwargs).graph()
    data = {node.name for node in graph.nodes if node.kind == "data"}
    theirs = get_model_relations(own.model, own.args, own.kwargs)
    both = {k: {*v, *theirs["sample_param"][k]} for k, v in theirs["sample_sample"].items()}
    expected = {k.replace("/", "."): {p.replace("/", ".") for p in v} for k, v in both.items()}
    found = {n.name: set(n.parents) - data for n in graph.nodes if n.name not in data}
    assert found == expected | OURS.get(name, {})
    inside = {(plate, n.name) for n in graph.nodes for plate, _ in n.plates}
    sites = {node.name for node in graph.nodes if node.kind != "factor"}
    assert inside >= {
        (p, n) for p, own in theirs["plate_sample"].items() for n in own if n in sites
    }


# TFP knows no graph of a coroutine.
TOLD = [name for name, own in JOINTS.items() if hasattr(own.joint, "resolve_graph")]


@pytest.mark.parametrize("name", mark_slow(TOLD, {"line", "switchpoint"}))
def test_the_graph_of_a_joint_distribution_is_as_tfp_says(name):
    joint, observed = JOINTS[name]
    found = parents_of(infer.from_tfp(joint, observed=observed))
    assert found == {own: set(parents) for own, parents in joint.resolve_graph()}


def test_sites_inside_a_scan_depend_on_what_their_step_uses():
    def states(site, y, speed):
        drift, noise = site("drift", dist.HalfNormal(1.0)), site("noise", dist.HalfNormal(1.0))

        def step(site, level, given):
            y, speed = given
            up = site("up", dist.Bernoulli(0.5), sum_out=True)
            level = site("level", dist.Normal(level + speed, drift))
            site.observe("y", dist.Normal(level + up, noise), y)
            return level, None

        last, _ = site.scan(step, 0.0, (y, speed), dim="time")
        site.derive("last", last)

    model = infer.model(states, y=EFFECTS, speed=np.ones(8))
    assert parents_of(model) == {
        "drift": set(), "noise": set(), "level": {"drift", "speed"}, "up": set(),
        "y": {"level", "noise", "up"}, "last": {"level"}, "speed": set(),
    }  # fmt: skip


def test_the_carry_of_a_scan_is_followed_until_it_adds_nothing():
    def run(a, b, c, rows):
        step = lambda carry, row: ((carry[1], carry[2], c), carry[0] + row)  # noqa: E731
        return jax.lax.scan(step, (a, b, 0.0), rows)

    program = jax.make_jaxpr(run)(1.0, 2.0, 3.0, jnp.ones(5))
    # The bits are a, b, c, rows; c reaches the first carry after three steps.
    assert find_sources(program, [1, 2, 4, 8]) == [0b111, 0b110, 0b100, 0b1111]


def test_a_set_that_depends_on_a_site_is_an_edge_and_a_black_box_is_said():
    sets = {"top": bj.Positive(), "below": lambda values: bj.LessThan(values["top"])}
    model = infer.declared(lambda v, x: -(v["top"] ** 2) - x * v["below"] ** 2, sets, data=1.0)
    assert parents_of(model)["below"] == {"top"}
    assert parents_of(model)["log_density"] == {"top", "below", "data"}
    (remark,) = model.graph().remarks
    assert "which of them depend on which others inside it is not known" in remark
    assert remark in str(model.graph())


def test_missing_entries_are_not_drawn_as_parents_of_those_observed():
    def gappy(site, y, gone):
        mu = site("mu", dist.Normal(0.0, 5.0))
        filled = site.observe("y", dist.Normal(mu, 1.0), y, missing=gone)
        site.derive("best", filled.max())

    gone = infer.static(np.isin(np.arange(8), [2, 5]))
    found = parents_of(infer.model(gappy, y=EFFECTS, gone=gone))
    assert found == {"mu": set(), "y": {"mu"}, "y.missing": {"mu"}, "best": {"y"}}


def crossed(site, answers):
    with site.plate("item", 3):
        hard = site("hard", dist.Normal(0.0, 1.0))
        with site.plate("student", 2):
            able = site("able", dist.Normal(0.0, 1.0))
            site.observe("answer", dist.Bernoulli(logits=able - hard), answers)


def test_an_inner_plate_is_a_box_inside_the_outer_one():
    graph = infer.model(crossed, answers=np.array([[0, 1, 1], [1, 1, 0]])).graph()
    assert _boxes(graph) == ["item (3)", "student (2)", "end", "end"]
    before, inside = graph.mermaid.split('subgraph plate2["student (2)"]')
    assert "hard" in before
    assert "able" in inside
    assert "answer" in inside
    assert 'label="student (2)"' in graph.dot


def _boxes(graph):
    """List where boxes begin, by their labels, and where they end."""
    lines = [line.strip() for line in graph.mermaid.splitlines()]
    found = [line for line in lines if line.startswith(("subgraph", "end"))]
    return [line.split('"')[1] if '"' in line else line for line in found]


def test_crossed_plates_are_not_inside_each_other():
    a, b = ("a", 2), ("b", 3)
    plates = {"r": (a,), "s": (b,), "t": (b, a)}
    nodes = tuple(drawing.Node(name, "latent", (), own) for name, own in plates.items())
    found = _boxes(drawing.Graph(nodes))
    assert found == ["a (2)", "end", "b (3)", "end", "a (2) × b (3)", "end"]


def test_names_with_quotes_and_brackets_do_not_break_the_texts():
    graph = drawing.Graph((drawing.Node('<a "b" \\c#>', "latent", ()),))
    assert '"#lt;a #quot;b#quot; \\c#35;#gt;"' in graph.mermaid
    assert 'label="<a \\"b\\" \\\\c#>"' in graph.dot


def test_a_notebook_draws_mermaid_where_graphviz_is_not_installed(monkeypatch):
    graph = schools().graph()

    def lacking():
        raise infer.ModelError("graph", "Graphviz's program dot is not installed", "...")

    monkeypatch.setattr(drawing.Graph, "svg", lambda self: lacking())
    shown = graph._repr_mimebundle_()
    assert shown["text/vnd.mermaid"] == graph.mermaid
    assert shown["text/plain"] == str(graph)
    assert shown["text/markdown"].startswith("```mermaid\nflowchart TD\n")
    monkeypatch.setattr(drawing.Graph, "svg", lambda self: "<svg></svg>")
    assert graph._repr_mimebundle_()["image/svg+xml"] == "<svg></svg>"


def test_graphviz_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(infer.ModelError, match="package graphviz is not installed"):
        schools().graph().svg()
