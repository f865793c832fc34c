"""Sets of values and the maps onto them from unconstrained vectors.

`forward` goes from unconstrained to constrained, everywhere.
"""

from .affine import Affine as Affine
from .base import Bijector as Bijector
from .base import Constraint as Constraint
from .base import Elementwise as Elementwise
from .base import Image as Image
from .base import bijection as bijection
from .bounds import ExpAbove as ExpAbove
from .bounds import ExpBelow as ExpBelow
from .bounds import GreaterThan as GreaterThan
from .bounds import LessThan as LessThan
from .compose import Chain as Chain
from .compose import Over as Over
from .errors import BijectorError as BijectorError
from .interval import Interval as Interval
from .interval import Logistic as Logistic
from .joint import Flattener as Flattener
from .joint import Joint as Joint
from .ordered import CumulatedExp as CumulatedExp
from .ordered import Ordered as Ordered
from .positive import Exp as Exp
from .positive import Positive as Positive
from .positive import Softplus as Softplus
from .real import Identity as Identity
from .real import Real as Real
from .registry import RULES as RULES
from .registry import Case as Case
from .registry import Domain as Domain
from .registry import Rule as Rule
from .registry import bijector_for as bijector_for
from .simplex import Simplex as Simplex
from .simplex import SoftmaxILR as SoftmaxILR
from .testing import check_bijector as check_bijector
from .testing import check_rule as check_rule
