"""Deliberate mistakes in models of PyMC, each with the error it raises; it needs PyMC.

python benchmarks/mistakes_pymc.py > benchmarks/mistakes_pymc.md

`mistakes.py` puts what this prints at the end of docs/errors.md.
"""

import inspect

import numpy as np
import pymc as pm
from mistakes import code, message
from pytensor.graph import Apply, Op

import infer

PREAMBLE = """## Models of PyMC

Each piece of code here follows two more imports: `import pymc as pm` and
`from pytensor.graph import Apply, Op`."""


def a_minibatch_of_pymc():
    """PyMC scales a part of the rows up. Our samplers need all of them."""
    with pm.Model() as model:
        mean = pm.Normal("mean")
        rows = pm.Minibatch(np.zeros(100), batch_size=10)
        pm.Normal("y", mean, 1.0, observed=rows, total_size=100)
    infer.from_pymc(model)


def a_count_that_is_free():
    """There are infinitely many counts, so no sum over them ends."""
    with pm.Model() as model:
        count = pm.Poisson("count", 3.0)
        pm.Normal("y", count, 1.0, observed=np.zeros(3))
    infer.from_pymc(model)


def an_op_without_jax():
    """An Op of one's own computes with NumPy, so JAX can neither trace nor differentiate it."""

    class Simulator(Op):
        def make_node(self, x):
            return Apply(self, [x], [x.type()])

        def perform(self, node, inputs, outputs):
            outputs[0][0] = np.sin(inputs[0])

    with pm.Model() as model:
        angle = pm.Normal("angle")
        pm.Normal("y", Simulator()(angle), 1.0, observed=np.zeros(3))
    infer.from_pymc(model)


def a_variable_without_a_name():
    """A variable made by `dist` is in no model, so it would be drawn again at each evaluation."""
    with pm.Model() as model:
        mean = pm.Normal("mean")
        pm.Deterministic("noisy", mean + pm.Normal.dist(0.0, 1.0))
        pm.Normal("y", mean, 1.0, observed=np.zeros(3))
    infer.from_pymc(model)


def a_sampler_of_pymc():
    """`infer.pymc.sample` has one sampler, ours."""
    with pm.Model():
        pm.Normal("mean")
        infer.pymc.sample(nuts_sampler="nutpie")


MISTAKES = (
    a_minibatch_of_pymc,
    a_count_that_is_free,
    an_op_without_jax,
    a_variable_without_a_name,
    a_sampler_of_pymc,
)


def main() -> None:
    """Print the section."""
    print(PREAMBLE)
    for mistake in MISTAKES:
        title = mistake.__name__.replace("_", " ").replace("jax", "JAX").replace("pymc", "PyMC")
        print(f"\n### {title[0].upper()}{title[1:]}\n\n{inspect.getdoc(mistake)}\n")
        print(f"```py\n{code(mistake)}```\n\n```text\n{message(mistake)}\n```")


if __name__ == "__main__":
    main()
