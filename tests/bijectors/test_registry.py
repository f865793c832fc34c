"""Every rule of the table passes the check, and the check catches faults."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
from bijectors.base import Constraint, Elementwise, bijection
from bijectors.registry import build_bijector


def free_numbers(rule, case):
    return int(np.prod(bj.unconstrained_shape(case.constraint, case.shape, rule.name)))


# Values with many entries take long to check.
LARGEST = 20


def is_quick(rule, case):
    """Say whether a case is the largest one of its map and set, of those not too large."""
    alike = [c for c in rule.cases if repr(c.constraint) == repr(case.constraint)]
    fitting = [c for c in alike if free_numbers(rule, c) <= LARGEST]
    return bool(fitting) and case is max(fitting, key=lambda c: free_numbers(rule, c))


EVERY_CASE = [
    pytest.param(
        rule,
        case,
        id=f"{rule.constraint.__name__}-{rule.name}-{case.shape}",
        marks=[] if is_quick(rule, case) else [pytest.mark.slow],
    )
    for rule in bj.RULES
    for case in rule.cases
]


@pytest.mark.parametrize(("rule", "case"), EVERY_CASE)
def test_every_rule_passes_the_check_under_strict_promotion(rule, case):
    bijector = build_bijector(rule, case.constraint, case.shape)
    with jax.numpy_dtype_promotion("strict"):
        certificates = bj.check_bijector(
            bijector, case.constraint, case.shape, **rule.domains(case)
        )
    assert {c.dtype for c in certificates} == {"float32", "float64"}
    assert all(c.inside > 0 for c in certificates)


def test_the_table_finds_every_rule_of_a_set_without_the_others():
    for rule in bj.RULES:
        near = bj.RULES.rules_near(rule.constraint)
        assert [own for own in near if own.constraint is rule.constraint] == [
            own for own in bj.RULES if own.constraint is rule.constraint
        ]


@pytest.mark.parametrize("rule", bj.RULES, ids=lambda r: f"{r.constraint.__name__}-{r.name}")
def test_every_rule_has_cases(rule):
    assert rule.cases


class Cubed(Constraint):
    """Numbers whose cube root is real: all of them."""

    @property
    def event_ndims(self):
        return 0

    def contains(self, value):
        return jnp.isfinite(value)


class Sinh(Elementwise):
    """x = sinh(y), with a fault if a test plants one."""

    fault: str = eqx.field(static=True, default="")

    def image(self, y):
        log_det = jnp.logaddexp(y, -y) - jnp.log(2.0).astype(y.dtype)
        value = jnp.sinh(y)
        if self.fault == "sign":
            log_det = -log_det
        if self.fault == "clipped":
            value = jnp.clip(value, -1e3, 1e3)
        if self.fault == "naive":
            log_det = jnp.log(jnp.cosh(y))
        if self.fault == "dtype":
            log_det = log_det.astype(jnp.float32)
        return bijection(value, log_det)

    def inverse(self, x):
        if self.fault == "unstable":
            return jnp.log(x + jnp.sqrt(x**2 + 1))
        return jnp.arcsinh(x)


DOMAINS = {"float32": bj.Domain(80.0, 1e-3), "float64": bj.Domain(400.0, 1e-9)}


def test_a_correct_map_passes_the_check():
    bj.check_bijector(Sinh(), Cubed(), (3,), **DOMAINS)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("sign", "not that of the Jacobian"),
        ("clipped", "round trip"),
        ("naive", "not finite"),
        ("dtype", "inputs of float64 give"),
        ("unstable", "round trip"),
    ],
)
def test_a_planted_fault_is_caught(fault, message):
    with pytest.raises(bj.BijectorError, match=message):
        bj.check_bijector(Sinh(fault), Cubed(), (), **DOMAINS)


def test_a_set_without_a_rule_raises_with_the_sets_that_have_one():
    with pytest.raises(bj.BijectorError, match=r"lambda.*Cubed.*Interval.*Simplex.*rules="):
        bj.bijector_for(Cubed(), where="lambda")


def test_a_users_rule_takes_precedence():
    mine = bj.Rule(Cubed, "sinh", lambda _: Sinh())
    assert isinstance(bj.bijector_for(Cubed(), rules=(mine, *bj.RULES)), Sinh)


def test_a_map_can_be_chosen_by_name_or_as_an_object():
    assert isinstance(bj.bijector_for(bj.Positive(), choice="softplus"), bj.Softplus)
    assert isinstance(bj.bijector_for(bj.Positive(), choice=Sinh()), Sinh)
    with pytest.raises(bj.BijectorError, match="Positive has no map named 'sqrt'.*'exp'"):
        bj.bijector_for(bj.Positive(), choice="sqrt")


class Even(Constraint):
    """A set that defines its own map."""

    @property
    def event_ndims(self):
        return 0

    def contains(self, value):
        return jnp.isfinite(value)

    def own_bijector(self):
        return Sinh()


def test_a_set_can_define_its_own_map():
    assert isinstance(bj.bijector_for(Even()), Sinh)


@pytest.mark.parametrize("kind", [bj.Simplex, bj.Ordered])
def test_a_set_of_vectors_needs_a_size(kind):
    assert kind(3).declared_shape == (3,)
    assert kind(shape=(4, 3)).declared_shape == (4, 3)
    for wrong in (kind(), kind(3, shape=(4,))):
        with pytest.raises(bj.BijectorError, match=r"Declare .*\(3\)"):
            _ = wrong.declared_shape


def test_the_check_works_without_double_precision():
    jax.config.update("jax_enable_x64", False)
    try:
        bj.check_bijector(Sinh(), Cubed(), (3,), **DOMAINS)
        with pytest.raises(bj.BijectorError, match="not that of the Jacobian"):
            bj.check_bijector(Sinh("sign"), Cubed(), (), **DOMAINS)
    finally:
        jax.config.update("jax_enable_x64", True)
