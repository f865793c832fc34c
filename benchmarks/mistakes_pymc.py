"""Deliberate mistakes in models of PyMC and Bambi, each with the error it raises; it needs both.

python benchmarks/mistakes_pymc.py > benchmarks/mistakes_pymc.md

`mistakes.py` puts what this prints at the end of docs/errors.md.
"""

import bambi as bmb
import numpy as np
import pandas as pd
import pymc as pm
from mistaken.page import print_section
from pytensor.graph import Apply, Op

import infer

PYMC = """Models by `infer.from_pymc`; see [](pymc.md). Each piece of code follows two more
imports: `import pymc as pm` and `from pytensor.graph import Apply, Op`."""
BAMBI = """Models of Bambi hold models of PyMC. Each piece of code follows two more imports:
`import bambi as bmb` and `import pandas as pd`."""


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


def a_model_without_its_context():
    """Outside of `with model:` no model is meant unless it is given."""
    infer.pymc.sample(draws=1000)


def shapes_that_do_not_fit():
    """PyMC finds this when it makes the log density, so that is when we say it."""
    with pm.Model() as model:
        mean = pm.Normal("mean", shape=4)
        pm.Normal("y", mean, 1.0, observed=np.zeros(3))
    infer.from_pymc(model)


def a_sampler_of_pymc():
    """`infer.pymc.sample` has one sampler, ours."""
    with pm.Model():
        pm.Normal("mean")
        infer.pymc.sample(nuts_sampler="nutpie")


def a_formula_for_a_model():
    """A model of Bambi holds one of PyMC."""
    table = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.1, 0.9, 2.2]})
    infer.from_pymc(bmb.Model("y ~ x", table))


def a_formula_sampled():
    """Samplers take what a front end made."""
    table = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.1, 0.9, 2.2]})
    infer.sample(bmb.Model("y ~ x", table))


def negative_responses_of_a_gamma():
    """Bambi takes any response; the family gives some of them no density."""
    table = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.5, -0.2, 1.5]})
    formula = bmb.Model("y ~ x", table, family="gamma", link="log")
    formula.build()
    infer.sample(infer.from_pymc(formula.backend.model), progress=False)


def a_predictor_for_data():
    """Bambi writes predictors into the model as constants; only the response is data."""
    table = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.1, 0.9, 2.2]})
    formula = bmb.Model("y ~ x", table)
    formula.build()
    infer.from_pymc(formula.backend.model).with_data(x=np.array([3.0, 4.0, 5.0]))


def responses_of_another_number():
    """Other responses must be as many as the rows of predictors."""
    table = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.1, 0.9, 2.2]})
    formula = bmb.Model("y ~ x", table)
    formula.build()
    infer.from_pymc(formula.backend.model).with_data(y=np.zeros(5))


OF_PYMC = (
    a_minibatch_of_pymc,
    a_count_that_is_free,
    an_op_without_jax,
    a_variable_without_a_name,
    a_model_without_its_context,
    shapes_that_do_not_fit,
    a_sampler_of_pymc,
)
OF_BAMBI = (
    a_formula_for_a_model,
    a_formula_sampled,
    negative_responses_of_a_gamma,
    a_predictor_for_data,
    responses_of_another_number,
)


def main() -> None:
    """Print the sections."""
    print_section("Models of PyMC", PYMC, OF_PYMC)
    print_section("Formulas of Bambi", BAMBI, OF_BAMBI)


if __name__ == "__main__":
    main()
