"""Name the submodules of NumPyro that a lazy import of it leaves without a name."""

import sys


def name_submodules() -> None:
    """Make every loaded submodule of NumPyro an attribute of its package.

    ArviZ 1 loads NumPyro lazily. If `import numpyro.distributions` then comes first, Python reads
    the path of NumPyro to find the submodule, which runs NumPyro with all its submodules, and then
    runs `numpyro.distributions` a second time. The second copy is the one that stays. Its own
    submodules are loaded already, so nothing sets `numpyro.distributions.distribution`, and
    `numpyro.factor` fails. Source: https://github.com/python/cpython/issues/83783.
    """
    for name, module in list(sys.modules.items()):
        parent, _, child = name.rpartition(".")
        if parent.split(".")[0] == "numpyro" and child not in vars(sys.modules[parent]):
            setattr(sys.modules[parent], child, module)
