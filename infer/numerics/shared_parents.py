"""Change a whole dependence after a greedy search, as long as that lowers its cost.

A greedy search adds one parent at a time, so that it may take an effect for the common location of
the others, or leave an effect alone whose scale shows only once its location is known. But
coordinates often share their parents with others, as the effects of one group do. So a coordinate
is given all parents of others, with their coefficients to begin with; the parent of several
locations changes places with another coordinate; and weak links are left out. The cost, by which
whole dependences are compared, is `Search.cost`.
"""

import numpy as np

from .parent_search import Search

# At most in a round: sets of parents that are given to others, those with the most children first;
# parents of locations that are exchanged; and coordinates with children of their own that are given
# a set. Then rounds at most, and the nats that a change must gain.
SETS, LOCATIONS, IN_THE_WAY, ROUNDS, LEAST = 4, 3, 3, 6, 1e-3


def improve(search: Search) -> Search:
    """Change the dependence that a search has found, as long as that lowers its cost."""
    steps, unchanged = (_share, _exchange_locations, _leave_out), 0
    for step in steps * (ROUNDS if search.is_child.any() else 0):
        unchanged = 0 if step(search) else unchanged + 1
        # Each step has been tried on the dependence as it is.
        if unchanged == len(steps):
            break
    return search


def _share(search: Search) -> bool:
    """Give coordinates the parents of others, for the commonest sets of parents."""
    changed = False
    for own in _common_sets(search):
        alike = (search.parents == own).all((1, 2))
        if not alike.any():
            continue
        # Coefficients in units of the draws, of the children that have these parents already.
        slopes = np.median(search.found.slopes[alike], 0)
        locations = np.median(search.found.locations[alike] * search.sd[alike, None], 0)
        rows = slopes, locations / search.sd[:, None]
        taken, others = _adopt(search, own, rows)
        changed |= taken
        for child in others[:IN_THE_WAY]:
            changed |= _adopt_alone(search, child, own, rows)
    return changed


def _common_sets(search: Search) -> np.ndarray:
    """Return the sets of parents of two or more children, shape (n, 2, size), commonest first."""
    sets, counts = np.unique(search.parents[search.is_child], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SETS]
    return sets[order[counts[order] > 1]]


def _adopt(
    search: Search, own: np.ndarray, rows: tuple[np.ndarray, np.ndarray]
) -> tuple[bool, np.ndarray]:
    """Give these parents to all coordinates that gain by them.

    Returns:
        Whether any got them, and those that would gain but have children of their own in the way,
        the largest gain first.
    """
    is_parent, before, each = np.asarray(own.any(0)), search.save(), search.costs
    fits = search.fits_below(is_parent)
    tried = np.flatnonzero(~is_parent)
    _set_rows(search, tried, rows)
    search.refit(tried)
    gain = np.where(is_parent, 0.0, each - search.costs)
    search.put_back(before, ~(fits & (gain > LEAST)))
    others = np.argsort(-gain, kind="stable")
    others = others[(gain > LEAST)[others] & ~fits[others]]
    if each.sum() - search.cost > LEAST:
        return True, others
    search.put_back(before)
    return False, others


def _adopt_alone(
    search: Search, child: int, own: np.ndarray, rows: tuple[np.ndarray, np.ndarray]
) -> bool:
    """Give these parents to one coordinate, which is then no parent of others."""
    before, cost, below = search.save(), search.cost, search.found.links[:, child].copy()
    for array in search.found[:2]:
        array[:, child] = 0
    # The new parents depend on nothing that depends on the child.
    for other in np.flatnonzero(below & (own.any(0) | ~search.found.links.any(1))):
        search.reset(int(other))
    _set_rows(search, np.array([child]), rows)
    below[child] = True
    return _keep_if_better(search, np.flatnonzero(below), before, cost)


def _set_rows(search: Search, children: np.ndarray, rows: tuple[np.ndarray, np.ndarray]) -> None:
    slopes, locations = rows
    for child in children:
        search.reset(child)
    search.found.slopes[children] = slopes
    search.found.locations[children] = locations[children]


def _exchange_locations(search: Search) -> bool:
    """Let each common parent of locations change places with the coordinate that suits best."""
    counts, changed = (search.found.locations != 0).sum(0), False
    for parent in np.argsort(-counts, kind="stable")[:LOCATIONS]:
        children = np.flatnonzero(search.found.locations[:, parent])
        if len(children) < 2:
            continue
        other = _best_location(search, int(parent), children)
        before, cost = search.save(), search.cost
        rest = children[children != other]
        sets, times = np.unique(search.parents[rest, 0], axis=0, return_counts=True)
        common = sets[times.argmax()]
        common[[parent, other]] = False
        below = np.flatnonzero(search.found.links[:, other])
        search.reset(other)
        search.reset(int(parent))
        search.found.slopes[:, other] = 0
        search.found.locations[rest, parent] = 0
        search.found.locations[rest, other] = 1e-6
        search.found.slopes[parent, common] = 1e-6
        search.found.locations[parent, other] = 1e-6
        changed |= _keep_if_better(search, np.r_[rest, below, parent], before, cost)
    return changed


def _best_location(search: Search, parent: int, children: np.ndarray) -> int:
    """Return which coordinate explains most of the locations without this parent."""
    own = search.whiten()
    growth = own.scale[:, children]
    whole = own.residuals[:, children] * growth
    whole += search.draws[:, [parent]] * search.found.locations[children, parent]
    gains = search.explain(whole, growth)
    gains[np.arange(len(children)), children] = 0
    worth = gains.sum(0)
    worth[parent] = -np.inf
    return int(worth.argmax())


def _leave_out(search: Search) -> bool:
    """Leave out the weakest link of each child, of scales and then of locations, where it pays."""
    changed = False
    for array in search.found[:2]:
        size = np.where(array != 0, np.abs(array), np.inf)
        children = np.flatnonzero((array != 0).any(1))
        if not children.size:
            continue
        before, each = search.save(), search.costs
        array[children, size[children].argmin(1)] = 0
        search.refit(children)
        search.put_back(before, ~(each - search.costs > 0))
        better = each.sum() - search.cost > LEAST
        if not better:
            search.put_back(before)
        changed |= better
    return changed


def _keep_if_better(
    search: Search, children: np.ndarray, before: tuple[np.ndarray, ...], cost: float
) -> bool:
    """Fit these children, and return whether the cost is smaller; if not, put all back."""
    if search.has_levels:
        search.refit(np.unique(children))
        search.pull()
        if cost - search.cost > LEAST:
            return True
    search.put_back(before)
    return False
