"""Say in words what is inferred: each site's set, map and prior, and in which space they live."""

from collections.abc import Iterator, Sequence

from .site import Site


def described(sites: Sequence[Site]) -> str:
    """Write a paragraph for each latent site."""
    return "\n".join(line for site in sites if site.role == "latent" for line in _lines(site))


def _lines(site: Site) -> Iterator[str]:
    shape = f" {list(site.shape)}" if site.shape else ""
    yield f"{site.name}{shape}: in {site.constraint} by {site.bijector}"
    flat = "no prior, that is a flat one" if site.prior == "flat" else f"prior {site.prior}"
    yield f"    {flat}, of the constrained value" + ("" if site.valued else ", known by its score")
    if site.bijector != "Identity":
        yield (
            "    the map's log-determinant is in posteriors and in MAP(space='unconstrained'), "
            "not in MAP(space='constrained')"
        )
    if site.remark:
        yield f"    {site.remark}"
