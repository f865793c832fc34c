"""Rows of the table for numbers on the whole line or above zero, which most models need."""

from .. import domains
from ..rule import Rule, Rules, cases
from ..sets.nonnegative import Nonnegative
from ..sets.positive import Exp, Positive, Softplus
from ..sets.real import Identity, Real

# The first rule of a type is its default.
RULES: Rules = (
    Rule(Real, "identity", Identity(), cases(Real(), (), (2, 3)), **domains.ANYWHERE),
    Rule(Positive, "exp", Exp(), cases(Positive(), (), (4,)), **domains.EXPONENTIAL),
    Rule(Positive, "softplus", Softplus(), cases(Positive(), ()), **domains.EXPONENTIAL),
    Rule(Nonnegative, "exp", Exp(), cases(Nonnegative(), ()), **domains.EXPONENTIAL),
    Rule(Nonnegative, "softplus", Softplus(), cases(Nonnegative(), ()), **domains.EXPONENTIAL),
)
