"""The terms of a log density at one point, as a table."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Shape

from ..models.abstract import account_of
from ..programs.native import call_compiled
from ..types import Vector
from .base import LogDensity
from .differentiating import naming_looping_term, value_and_gradient


class Line(NamedTuple):
    """One summand of a log density at one point.

    Attributes:
        name: Name of the site or factor; "total" for the sum of all.
        role: "prior", "likelihood" or "factor"; "flat" for a site without a prior.
        shape: Shape of its rows.
        value: Sum of the rows, in nats; NaN if the term is known by its score alone.
        log_det: Log-determinant of the site's map, in nats; `None` if there is no map, or the
            density leaves log-determinants out.
        gradient: Euclidean norm of the gradient of value plus log-determinant with respect to
            the flat vector; NaN if there is no gradient.
        trouble: What is not finite (for the total, in which terms); empty if everything is finite.
    """

    name: str
    role: str
    shape: Shape
    value: float
    log_det: float | None
    gradient: float
    trouble: str

    @property
    def finite(self) -> bool:
        """Whether value, log-determinant and gradient are finite."""
        return not self.trouble


class Explanation(NamedTuple):
    """A log density at one point, term by term; it prints as a table.

    Attributes:
        view: Which view of the posterior it is.
        values: The point: constrained and derived values, by name.
        lines: One for each site and each further term, in the model's order.
        total: Their sum.
    """

    view: str
    values: dict[str, np.ndarray]
    lines: tuple[Line, ...]
    total: Line

    @property
    def point(self) -> str:
        """The values in one line of text."""
        return ", ".join(f"{name}={format_value(value)}" for name, value in self.values.items())

    def line_of(self, name: str) -> Line:
        """Return the line of one term."""
        return {line.name: line for line in self.lines}[name]

    def __str__(self) -> str:
        rows = [("term", "role", "shape", "value", "log-det", "gradient", "finite")]
        rows += [_format_cells(line) for line in (*self.lines, self.total)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([f"{self.view}, at {self.point}", *lines])


class _GradientSummary(NamedTuple):
    """Norm of a gradient, and the index of its first entry that is not finite, or -1."""

    norm: Array
    place: Array


def explain_at(density: LogDensity, position: Vector) -> Explanation:
    """Evaluate every term of a log density at a flat vector, with its gradient."""
    position = jnp.asarray(position)
    roles = _list_roles(density)
    rows, log_dets, log_det, values, slopes = call_compiled(_evaluate, density, position)
    lines = []
    for i, (name, role) in enumerate(roles.items()):
        slope = _GradientSummary(slopes.norm[i], slopes.place[i])
        if slope.place >= 0:
            # A term that is not finite can spoil the gradients of others in the same pullback.
            slope = call_compiled(_summarize_gradient_of, density, position, static=(i,))
        lines.append(_make_line(density, name, role, rows.get(name), log_dets.get(name), slope))
    whole = _GradientSummary(slopes.norm[-1], slopes.place[-1])
    # A compiled program returns names in alphabetical order.
    ordered = {s.name: np.asarray(values[s.name]) for s in density.sites if s.name in values}
    return Explanation(
        density.view, ordered, tuple(lines), _make_total(density, lines, log_det, whole)
    )


def format_value(value: np.ndarray) -> str:
    """Format a value briefly: a few numbers, or the range of many."""
    array = np.asarray(value)
    if array.size <= 8 or np.iscomplexobj(array):
        return str(np.vectorize(lambda x: float(f"{x:.4g}"), otypes=[float])(array).tolist())
    return f"{list(array.shape)} from {array.min():.4g} to {array.max():.4g}"


def _list_roles(density: LogDensity) -> dict[str, str]:
    """List the terms, sites first, with the role of each."""
    account = account_of(density.model)
    sites = {d.name: "flat" if d.prior is None else "left out" for d in account.declarations}
    return sites | {term.name: term.role for term in account.terms}


def _sum_terms(density: LogDensity, position: Vector) -> list[Array]:
    """Add to each term its map's log-determinant; the last entry is the whole density."""
    rows, log_dets = density.rows(position), density.log_dets(position)
    zero = jnp.zeros((), position.dtype)
    sums = [rows.get(n, zero).sum() + log_dets.get(n, zero) for n in _list_roles(density)]
    return [s.astype(position.dtype) for s in [*sums, zero + sum(density.terms(position).values())]]


def _evaluate(density: LogDensity, position: Vector):
    with naming_looping_term(density):
        slopes = _find_slopes(density, position)
    log_det = density.terms(position)["jacobian"] if density.jacobian else None
    parts = density.rows(position), density.log_dets(position), log_det
    return *parts, density.constrain(position), slopes


def _find_slopes(density: LogDensity, position: Vector) -> _GradientSummary:
    """Summarize the gradients of all terms, and of their sum, along a leading axis."""
    sum_terms = lambda q: jnp.stack(_sum_terms(density, q))  # noqa: E731
    if density.gradient == "forward":
        return jax.vmap(_summarize_gradient)(jax.jacfwd(sum_terms)(position))
    if not density.gradient:
        unknown = jnp.full(len(_list_roles(density)) + 1, jnp.nan)
        return _GradientSummary(unknown, jnp.full(len(unknown), -1))
    sums, pull = jax.vjp(sum_terms, position)
    weights = jnp.eye(len(sums), dtype=position.dtype)
    return jax.lax.map(lambda w: _summarize_gradient(pull(w)[0]), weights)


def _summarize_gradient_of(index: int, density: LogDensity, position: Vector) -> _GradientSummary:
    one = value_and_gradient(lambda q: _sum_terms(density, q)[index], density.gradient)
    return _summarize_gradient(one(position)[1])


def _summarize_gradient(gradient: Vector) -> _GradientSummary:
    finite = jnp.isfinite(gradient)
    largest = jnp.max(jnp.abs(gradient), initial=jnp.finfo(gradient.dtype).tiny)
    norm = largest * jnp.sqrt(jnp.sum((gradient / largest) ** 2))
    return _GradientSummary(norm, jnp.where(finite.all(), -1, jnp.argmin(finite)))


def _make_line(
    density: LogDensity, name: str, role: str, rows: Any, log_det: Any, slope: _GradientSummary
) -> Line:
    rows = np.zeros(()) if rows is None else np.asarray(rows)
    return Line(
        name,
        role,
        rows.shape,
        float(rows.sum()),
        None if log_det is None else float(log_det),
        float(slope.norm),
        _find_trouble(density, rows, log_det, int(slope.place), name not in density.unvalued),
    )


def _find_trouble(
    density: LogDensity, rows: np.ndarray, log_det: Any, place: int, valued: bool
) -> str:
    bad = ~np.isfinite(rows) & valued
    if bad.any():
        first = np.argwhere(bad)[0]
        of = f" in {bad.sum()} of {rows.size} rows, first at {first.tolist()}" if rows.ndim else ""
        return f"log density is {rows[tuple(first)]}{of}"
    if log_det is not None and not np.isfinite(log_det):
        return f"map has the log-determinant {log_det}"
    return f"gradient is not finite along {density.labels()[place]}" if place >= 0 else ""


def _make_total(
    density: LogDensity, lines: Sequence[Line], log_det: Any, whole: _GradientSummary
) -> Line:
    value = sum(line.value for line in lines)
    log_det = None if log_det is None else float(log_det)
    trouble = ", ".join(line.name for line in lines if line.trouble)
    place, valued = int(whole.place), density.has_value
    alone = "" if trouble else _find_trouble(density, np.asarray(value), log_det, place, valued)
    return Line("total", "", (), value, log_det, float(whole.norm), trouble or alone)


def _format_cells(line: Line) -> tuple[str, ...]:
    log_det = "" if line.log_det is None else f"{line.log_det:.4g}"
    shape = f"[{', '.join(map(str, line.shape))}]"
    finite = f"no: {line.trouble}" if line.trouble else "yes"
    value = "unknown" if line.finite and np.isnan(line.value) else f"{line.value:.4g}"
    return line.name, line.role, shape, value, log_det, f"{line.gradient:.4g}", finite
