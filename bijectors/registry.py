"""Find the map onto a set in the table of rules."""

from collections.abc import Mapping

from .base import Bijector, Constraint, Shape
from .compose import repeat_over_batch
from .errors import BijectorError
from .rule import Rule, Rules
from .sets.discrete import Discrete
from .table import RULES, Table

# A map, the name of one of the set's rules, or `None` for the default.
BijectorChoice = Bijector | str | None


def find_rules(constraint: Constraint, rules: Rules = RULES, where: str = "constraint") -> Rules:
    """Return the rules for the type of `constraint`, the default first.

    Raises:
        BijectorError: There is none; the message lists the types that have rules.
    """
    kind = type(constraint)
    listed = rules.rules_near(kind) if isinstance(rules, Table) else rules
    found = tuple(rule for rule in listed if rule.constraint is kind)
    if not found:
        known = ", ".join(sorted({rule.constraint.__name__ for rule in rules}))
        raise BijectorError(
            where,
            f"the table has no rule for the constraint {constraint!r}",
            f"There are rules for {known}; add your own with "
            f"rules=(bijectors.Rule({type(constraint).__name__}, name, build), *bijectors.RULES).",
        )
    return found


def bijector_for(
    constraint: Constraint,
    shape: Shape | None = None,
    choice: BijectorChoice = None,
    rules: Rules = RULES,
    where: str = "constraint",
) -> Bijector:
    """Find the map onto a set, repeated over the batch axes of `shape`.

    Args:
        constraint: The set.
        shape: Shape of a whole value; by default the shape that the set declares.
        choice: A map to use instead of the default, or the name of one of the set's rules.
        rules: The table; put your own rules first.
        where: Name for errors, such as that of a site.

    Raises:
        BijectorError: There is no rule for the set, or none of the chosen name.
    """
    shape = constraint.declared_shape if shape is None else shape
    refuse_discrete(constraint, where)
    if isinstance(choice, Bijector):
        return repeat_over_batch(choice, shape)
    own = constraint.own_bijector()
    if own is not None and choice is None:
        return repeat_over_batch(own, shape)
    rule = _choose_rule(find_rules(constraint, rules, where), choice, where)
    return repeat_over_batch(build_bijector(rule, constraint, shape, rules, where), shape)


def build_bijector(
    rule: Rule,
    constraint: Constraint,
    shape: Shape,
    rules: Rules = RULES,
    where: str = "constraint",
) -> Bijector:
    """Build the map of one rule, onto one member of a value of shape `shape`.

    Maps onto the parts of a set are looked up in the same table.
    """
    constraint = constraint.with_event_shape(shape[len(shape) - constraint.event_ndims :])
    if isinstance(rule.build, Bijector):
        return rule.build
    if not rule.nested:
        return rule.build(constraint)
    return rule.build(constraint, lambda part, shape: bijector_for(part, shape, None, rules, where))


def _choose_rule(found: Rules, name: str | None, where: str) -> Rule:
    named = [rule for rule in found if name in (None, rule.name)]
    if not named:
        known = ", ".join(repr(rule.name) for rule in found)
        kind = found[0].constraint.__name__
        raise BijectorError(where, f"{kind} has no map named {name!r}", f"Choose one of {known}.")
    return named[0]


def refuse_discrete(constraint: Constraint, where: str) -> None:
    """Raise if a set is discrete, so that no smooth map reaches it.

    Raises:
        BijectorError: The set is discrete.
    """
    if isinstance(constraint, Discrete):
        raise BijectorError(
            where,
            f"the support {constraint!r} is discrete and has no map from the reals",
            "Sum over its values: site(name, prior, sum_out=True), or in a model of NumPyro "
            'infer={"enumerate": "parallel"}; or observe it.',
        )


def prefer(chosen: Mapping[type[Constraint], str], rules: Rules = RULES) -> Rules:
    """Make other maps the defaults of their sets, for a whole model or run.

    Args:
        chosen: The name of one of its maps for each type of set, such as
            `{Simplex: "stick_breaking"}`.
        rules: The table to start from.

    Returns:
        The table with the chosen rows first.

    Raises:
        BijectorError: The set has no rule of that name.
    """
    first = []
    for kind, name in chosen.items():
        first += [rule for rule in rules if (rule.constraint, rule.name) == (kind, name)]
        if not first or first[-1].constraint is not kind:
            known = ", ".join(repr(rule.name) for rule in rules if rule.constraint is kind)
            raise BijectorError(
                "prefer",
                f"{kind.__name__} has no map named {name!r}",
                f"Choose one of {known}." if known else "Add a rule for the set first.",
            )
    return (*first, *(rule for rule in rules if rule not in first))
