"""Quantiles of the standard normal at ranks, without SciPy, whose import takes 0.2 s."""

from functools import lru_cache

import numpy as np

# Offset of ranks; Blom (1958), Statistical estimates and transformed beta variables.
BLOM = 3 / 8
# Coefficients of Wichura's polynomials, in ascending order, each numerator before its denominator:
# within 0.425 of the median, and beyond as far as a tail of 1e-11.
MIDDLE = (
    (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
     45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
     21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
)  # fmt: skip
TAIL = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833,
     7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
     0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)  # fmt: skip


@lru_cache(maxsize=4)
def find_rank_quantiles(count: int) -> np.ndarray:
    """Return the normal quantiles of the ranks 1, 1.5, 2, ..., `count`.

    Source: Wichura (1988), Algorithm AS 241: the percentage points of the normal distribution,
        Applied Statistics 37; 16 digits.
    """
    steps, scale = np.arange(1 - count, count) / 2, count - 2 * BLOM + 1
    center, tail = steps / scale, ((count + 1) / 2 - np.abs(steps) - BLOM) / scale
    squares = 0.425**2 - center**2
    roots = np.sqrt(-np.log(tail)) - 1.6
    middle = center * _divide(MIDDLE, squares)
    found = np.where(squares >= 0, middle, np.sign(center) * _divide(TAIL, roots))
    found.flags.writeable = False
    return found


def _divide(coefficients: tuple[tuple[float, ...], ...], x: np.ndarray) -> np.ndarray:
    """Evaluate a quotient of two polynomials."""
    over, under = (np.polynomial.polynomial.polyval(x, own) for own in coefficients)
    return over / under
