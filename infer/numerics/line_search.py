"""A line search for the Wolfe conditions; the caller passes one value and slope at a time."""

from typing import NamedTuple

from .namespace import Count, Flag, Scalar, branch, choose, namespace_of, only_if

# Nocedal & Wright (2006), section 3.1, for quasi-Newton and Newton directions.
DECREASE, CURVATURE = 1e-4, 0.9
MAX_TRIES = 30
# Factors by which a length that is too short grows at least and at most: 1.1 and 4 in Moré &
# Thuente (1994), section 4, with which benchmarks/search_constants.py took as many gradients.
LEAST_GROWTH, LARGEST_GROWTH = 2.0, 10.0
# Smallest distance of a trial from the ends of its bracket, as a share of the bracket; with 0.01,
# 1 % fewer gradients, but a bracket may then shrink by as little at a time.
MARGIN = 0.1


class End(NamedTuple):
    """A point on the line: its distance, the rise of the loss from the start, and the slope."""

    length: Scalar
    value: Scalar
    slope: Scalar


class LineSearch(NamedTuple):
    """A search along a direction of descent.

    Attributes:
        slope: Slope of the loss at the start, below zero.
        rounding: Difference of two values that may be due to rounding.
        length: The length to be tried next.
        low: The longest length from which the loss still falls; at first the start.
        high: The shortest length known to be too long; infinite if none is.
        tries: Lengths tried.
    """

    slope: Scalar
    rounding: Scalar
    length: Scalar
    low: End
    high: End
    tries: Count


class Outcome(NamedTuple):
    """Whether the length that was tried is accepted, or the search failed; otherwise it goes on."""

    accepted: Flag
    failed: Flag


def begin_line(slope: Scalar, rounding: Scalar) -> LineSearch:
    """Begin with a length of 1."""
    zero, one, infinite = (slope.dtype.type(number) for number in (0.0, 1.0, float("inf")))
    ends = End(zero, zero, slope), End(infinite, infinite, infinite)
    return LineSearch(slope, rounding, one, *ends, namespace_of(slope).int32(0))


def advance_line(
    search: LineSearch, value: Scalar, slope: Scalar, steepest: Scalar | float
) -> tuple[LineSearch, Outcome]:
    """Judge the length that was tried, and choose the next one.

    Args:
        search: The search.
        value: Rise of the loss from the start; not finite if the loss is not.
        slope: Slope there.
        steepest: Share of the slope at the start that may be left.

    Source: Nocedal & Wright (2006), algorithms 3.5 and 3.6; the condition on slopes that takes the
        place of the decrease below the rounding of values is Hager & Zhang (2005), equation 4.1.
    """
    xp = namespace_of(value)
    here = End(search.length, value, slope)
    is_finite = xp.isfinite(value) & xp.isfinite(slope)
    is_lower = value <= DECREASE * here.length * search.slope
    is_equal = value <= search.rounding
    is_flat_enough = slope >= steepest * search.slope
    is_small = is_equal & (slope <= (2 * DECREASE - 1) * search.slope)
    accepted = is_finite & is_flat_enough & (is_lower | is_small)
    # The last try repeats the best length, which is then good enough.
    is_last = search.tries + 1 >= MAX_TRIES
    accepted = accepted | (is_last & is_finite & is_lower & (here.length == search.low.length))
    is_long = ~is_finite | ~(is_lower | is_equal) | (slope >= 0)
    tried = only_if(~accepted, lambda: _narrow(search, here, is_long), search)
    is_stuck = (tried.length == 0) | (
        (tried.length == search.length) & (tried.length != tried.low.length)
    )
    return tried, Outcome(accepted, ~accepted & (is_last | is_stuck))


def _narrow(search: LineSearch, here: End, is_long: Flag) -> LineSearch:
    """Make the point that was tried an end of the bracket, and choose the next one."""
    low = choose(is_long, search.low, here)
    high = branch(is_long, lambda: _without_nan(here), lambda: search.high)
    is_repeated = search.tries + 2 >= MAX_TRIES
    length = branch(is_repeated, lambda: low.length, lambda: _choose_length(search, low, high))
    return LineSearch(search.slope, search.rounding, length, low, high, search.tries + 1)


def _without_nan(end: End) -> End:
    xp = namespace_of(end.value)
    return End(*(xp.where(xp.isnan(a), xp.inf, a) for a in end))


def _choose_length(search: LineSearch, low: End, high: End) -> Scalar:
    """Interpolate in the bracket, or go further if there is none."""
    xp = namespace_of(low.length)
    return branch(
        xp.isfinite(high.length),
        lambda: _choose_inside(search.rounding, low, high),
        lambda: _extrapolate(search, low),
    )


def _choose_inside(rounding: Scalar, low: End, high: End) -> Scalar:
    """Interpolate, but not too close to an end of the bracket."""
    xp = namespace_of(low.length)
    margin = MARGIN * (high.length - low.length)
    inside = xp.clip(_interpolate(rounding, low, high), low.length + margin, high.length - margin)
    return choose(xp.isfinite(inside), inside, low.length + margin)


def _interpolate(rounding: Scalar, low: End, high: End) -> Scalar:
    """Minimize the cubic through values and slopes, or the parabola through slopes alone."""
    xp = namespace_of(rounding)
    width = high.length - low.length
    rise = high.slope - low.slope
    secant = low.length - low.slope * width / rise
    first = low.slope + high.slope - 3 * (high.value - low.value) / width
    root = xp.sqrt(xp.maximum(first**2 - low.slope * high.slope, 0.0))
    cubic = high.length - width * (high.slope + root - first) / (rise + 2 * root)
    is_resolved = xp.abs(high.value - low.value) > 10 * rounding
    return choose(is_resolved, cubic, choose(rise > 0, secant, low.length + 0.5 * width))


def _extrapolate(search: LineSearch, low: End) -> Scalar:
    """Go to where the slope, continued in a straight line, vanishes."""
    xp = namespace_of(low.length)
    bend = (low.slope - search.slope) / low.length
    zero = low.length - low.slope / bend
    grown = xp.clip(zero, LEAST_GROWTH * low.length, LARGEST_GROWTH * low.length)
    return choose(bend > 0, grown, LARGEST_GROWTH * low.length)
