"""PyMC's own answers about a model, computed without a compiler."""

import jax.numpy as jnp
import pymc as pm
from pytensor.compile.mode import Mode

from infer.models.fronts.pymc.linked import Evaluation, Key, Linked

# PyTensor's own code, without any compiler.
PLAIN = Mode(linker="py", optimizer="fast_compile")


def their_values(model: pm.Model):
    """Return their constrained values as a function of their unconstrained ones, by JAX."""
    free = model.free_RVs
    graphs = model.replace_rvs_by_values(free)
    inputs = {Key("value", v.name): v for v in model.value_vars}
    linked = Linked(inputs, {Key("free", v.name): g for v, g in zip(free, graphs, strict=True)})

    def values(point):
        at = Evaluation(linked, {Key("value", n): a for n, a in point.items()})
        return {v.name: jnp.asarray(at.of(Key("free", v.name))) for v in free}

    return values
