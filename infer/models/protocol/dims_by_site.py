"""Names of axes that a front end is given for several sites at once."""

from collections.abc import Mapping, Sequence

from ...errors import ModelError
from .layout import as_dims
from .site import Dims


def read_dims(given: Mapping[str, str | Sequence[str | None]] | None) -> dict[str, Dims]:
    """Read the names of axes that a front end is given for several sites.

    Raises:
        ModelError: They are not given by site, or are no names.
    """
    if not isinstance(given, Mapping | None):
        mend = 'Give names for each site: dims={"theta": "school"}.'
        raise ModelError("dims", f"they are a {type(given).__name__}", mend)
    return {name: as_dims(names) for name, names in (given or {}).items()}
