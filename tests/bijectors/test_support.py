"""Membership, feasible points, shapes and labels of sets without a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj

EVERY_CASE = [
    pytest.param(rule, case, id=f"{rule.constraint.__name__}-{rule.name}-{case.shape}")
    for rule in bj.RULES
    for case in rule.cases
]


@pytest.mark.parametrize("rule", bj.RULES, ids=lambda r: f"{r.constraint.__name__}-{r.name}")
def test_a_feasible_point_is_a_member(rule):
    @jax.jit
    def find():
        """Find the points of all cases in one program."""
        found = [bj.feasible_point(c.constraint, c.shape, rule.name) for c in rule.cases]
        return found, [
            bj.in_support(c.constraint, p) for c, p in zip(rule.cases, found, strict=True)
        ]

    for case, point, is_inside in zip(rule.cases, *find(), strict=True):
        assert point.shape == case.shape
        assert np.all(is_inside), case


@pytest.mark.parametrize(("rule", "case"), EVERY_CASE)
def test_every_free_number_has_a_label(rule, case):
    labels = bj.coordinate_labels("x", case.constraint, case.shape, rule.name)
    shape = bj.unconstrained_shape(case.constraint, case.shape, rule.name)
    assert len(set(labels)) == len(labels) == np.prod(shape)


@pytest.mark.parametrize(
    ("constraint", "choice"),
    [
        (bj.LowerCholesky(shape=(4, 4)), None),
        (bj.LowerCholesky(shape=(4, 2)), None),
        (bj.LowerCholesky(shape=(3, 3)), "softplus"),
        (bj.CorrelationCholesky(shape=(4, 4)), None),
        (bj.CorrelationCholesky(shape=(4, 4)), "partial_correlations"),
        (bj.Positive(shape=(2, 3)), None),
    ],
)
def test_a_coordinate_changes_the_entry_in_its_label_most(constraint, choice):
    shape = constraint.declared_shape
    bijector = bj.bijector_for(constraint, choice=choice)
    origin = np.zeros(bijector.unconstrained_shape(shape))
    forward = jax.jit(lambda y: bijector.forward(y))
    for i, entry in enumerate(bijector.find_entries(shape)):
        step = origin.copy()
        step.flat[i] = 0.3
        moved = np.asarray(forward(step)) - np.asarray(forward(origin))
        assert np.argmax(np.abs(moved)) == np.ravel_multi_index(entry, shape)


def test_labels_are_names_with_indices():
    assert bj.coordinate_labels("mu", bj.Real()) == ["mu"]
    assert bj.coordinate_labels("w", bj.Simplex(3)) == ["w[0]", "w[1]"]
    labels = bj.coordinate_labels("L", bj.CorrelationCholesky(shape=(3, 3)))
    assert sorted(labels) == ["L[1,0]", "L[2,0]", "L[2,1]"]


def test_a_value_with_too_few_axes_raises():
    with pytest.raises(bj.BijectorError, match="fewer axes"):
        bj.in_support(bj.Simplex(3), jnp.asarray(1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bj.Interval(2.0, 1.0),
        lambda: bj.Interval(0.0, np.array([1.0, np.inf])),
        lambda: bj.Interval(np.nan, 1.0),
        lambda: bj.GreaterThan(-np.inf),
        lambda: bj.LessThan(np.nan),
        lambda: bj.Concatenation((bj.Real(),), (1, 2)),
        lambda: bj.Concatenation((bj.LowerCholesky(),), (4,)),
        lambda: bj.bijector_for(bj.Concatenation((bj.Real(), bj.Positive()), (1, 2)), (4,)),
        lambda: bj.unconstrained_shape(bj.LowerCholesky(shape=(2, 3))),
        lambda: bj.unconstrained_shape(bj.LowerCholesky(columns=3, shape=(3, 2))),
        lambda: bj.Reshape((2, 3), (5,)),
    ],
)
def test_an_invalid_set_raises(wrong):
    with pytest.raises(bj.BijectorError, match=r"Give|Name"):
        _ = wrong() if not isinstance(wrong(), bj.Bijector) else wrong().unconstrained_shape((4,))


@pytest.mark.parametrize("constraint", [bj.Boolean(), bj.Integers(low=0), bj.Counts(3)])
def test_a_discrete_set_raises_with_the_name_of_its_site(constraint):
    with pytest.raises(bj.BijectorError, match=r"k: .*discrete.*sum_out=True"):
        bj.bijector_for(constraint, (3,), where="k")


def test_discrete_sets_contain_their_members_only():
    for discrete, values, wanted in [
        (bj.Integers(0, 2), [-1, 0, 2, 3], [0, 1, 1, 0]),
        (bj.Integers(low=0), [0.5, 7.0], [0, 1]),
        (bj.Boolean(), [0, 1, 2], [1, 1, 0]),
        (bj.Counts(3), [[1, 2], [1, 1]], [1, 0]),
    ]:
        np.testing.assert_array_equal(jax.jit(discrete.contains)(np.array(values)), wanted)


def test_prefer_changes_the_default_maps():
    rules = bj.prefer({bj.Simplex: "alr", bj.Positive: "softplus"})
    assert isinstance(bj.bijector_for(bj.Simplex(3), rules=rules), bj.SoftmaxALR)
    assert isinstance(bj.bijector_for(bj.Positive(), rules=rules), bj.Softplus)
    assert len(rules) == len(bj.RULES)
    with pytest.raises(bj.BijectorError, match=r"Simplex has no map named 'exp'.*'ilr'"):
        bj.prefer({bj.Positive: "softplus", bj.Simplex: "exp"})


def test_prefer_applies_to_the_parts_of_a_set():
    rules = bj.prefer({bj.Simplex: "alr"})
    both = bj.Concatenation((bj.Simplex(), bj.Real()), (3, 1))
    found = bj.bijector_for(both, rules=rules)
    assert isinstance(found.maps[0], bj.SoftmaxALR)
