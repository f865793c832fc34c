"""Describe in words what is inferred: each site's set, map and prior, and their spaces."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bijectors.base import Shape

from .inputs.names import join_names
from .protocol.site import Site
from .protocol.table import Row, Table

# Maximum number of names of one kind in the short description of a model.
MAX_NAMES = 8


def summarize(kind: str, sites: Iterable[Site], data: Mapping[str, Shape]) -> str:
    """Describe a model in a line: its kind, its sites by role with their shapes, and its data."""
    by_role: dict[str, list[str]] = {}
    for site in sites:
        by_role.setdefault(site.role, []).append(_with_shape(site.name, site.shape))
    parts = [join_names(names, MAX_NAMES) for role, names in by_role.items() if role == "latent"]
    parts += [
        f"{r} {join_names(names, MAX_NAMES)}" for r, names in by_role.items() if r != "latent"
    ]
    if data:
        parts.append(f"data {join_names((_with_shape(*pair) for pair in data.items()), MAX_NAMES)}")
    return f"{kind}({'; '.join(parts)})"


def _with_shape(name: str, shape: Shape) -> str:
    return name + (f"[{', '.join(map(str, shape))}]" if shape else "")


def tabulate(sites: Sequence[Site], others: Sequence[Row]) -> Table:
    """Make the table of a model: a row for each site, then others, and what is odd about priors."""
    remarks = tuple(f"{site.name}: {site.remark}" for site in sites if site.remark)
    return Table((*map(_row, sites), *others), remarks)


def _row(site: Site) -> Row:
    role = "free" if site.role == "latent" else site.role
    note = site.bijector + (", centering learned" if site.learns_centering else "")
    return Row(site.name, role, site.shape, site.constraint, site.prior, note)


def describe_sites(sites: Sequence[Site]) -> str:
    """Write a paragraph for each latent site."""
    return "\n".join(line for site in sites if site.role == "latent" for line in _lines(site))


def _lines(site: Site) -> Iterator[str]:
    shape = f" {list(site.shape)}" if site.shape else ""
    yield f"{site.name}{shape}: in {site.constraint} by {site.bijector}"
    flat = "no prior, that is a flat one" if site.prior == "flat" else f"prior {site.prior}"
    yield f"    {flat}, of the constrained value" + (
        "" if site.has_value else ", known by its score"
    )
    if site.bijector != "Identity":
        yield (
            "    the map's log-determinant is in posteriors and in MAP(space='unconstrained'), "
            "not in MAP(space='constrained')"
        )
    if site.remark:
        yield f"    {site.remark}"
