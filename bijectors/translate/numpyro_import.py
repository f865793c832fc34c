"""Set the submodules of NumPyro that a lazy import leaves unset as attributes."""

import sys


def name_submodules() -> None:
    """Set every loaded submodule of NumPyro as an attribute of its package.

    ArviZ 1 imports NumPyro lazily. If `import numpyro.distributions` then comes first, Python reads
    the path of NumPyro to find the submodule. This runs NumPyro with all its submodules, and then
    `numpyro.distributions` a second time, and the second copy is the one that remains. Its own
    submodules are loaded already, so nothing sets `numpyro.distributions.distribution`, and
    `numpyro.factor` fails. Source: https://github.com/python/cpython/issues/83783.
    """
    for name, module in list(sys.modules.items()):
        parent, _, child = name.rpartition(".")
        if parent.split(".")[0] == "numpyro" and child not in vars(sys.modules[parent]):
            setattr(sys.modules[parent], child, module)
