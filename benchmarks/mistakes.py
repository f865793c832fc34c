"""Deliberate mistakes, each with the error it raises, as docs/errors.md.

python benchmarks/mistakes.py > docs/errors.md
"""

import inspect
import re
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import bijectors as bj
import infer
from bijectors.errors import ExplainedError

# What `mistakes_pymc.py` prints.
PYMC = Path(__file__).with_name("mistakes_pymc.md")
PREAMBLE = """# Errors

Every error of Pushforward says where it is, what was found there, and how to mend it. Errors are
raised before anything compiles, unless only numbers reveal the mistake. Here are some deliberate
mistakes, as `python benchmarks/mistakes.py` prints them. Each piece of code follows these imports:

```python
import bijectors as bj
import infer
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
```

| error | raised where |
| --- | --- |
| `ModelError` | a model cannot be used as it stands; `error.where` names the site |
| `StartError` | no usable starting point; `error.where` names the term |
| `EngineError` | an engine cannot run on this density, or its settings make no sense |
| `RunError` | a run cannot continue as asked; `error.run` keeps a run whose result failed |
| `CallError` | a call takes no such argument; it is a `TypeError` too |
| `BijectorError` | a set, a map or a rule cannot be used as asked |

What is probably a mistake, but may be intended, is an `infer.ModelWarning` instead: data or
coordinates that the model does not use, numbers that lose their digits in single precision, and
gradients that disagree with the log density.

All errors derive from `bijectors.errors.ExplainedError`, and so from `ValueError`. Three calls help
to find out more: `print(model.table())`, `print(infer.explain(model))` and
`infer.check(model)`; see [](density.md)."""


def data_that_hold_nan():
    """A missing value is NaN. It would make the log density NaN everywhere."""
    y = np.array([1.2, np.nan, 0.7])
    infer.model(lambda site, y: site.observe("y", dist.Normal(0.0, 1.0), y), y=y)


def data_of_another_shape():
    """There is one mean too many. Plain broadcasting would make unwanted rows."""

    def model(site, y):
        mean = site("mean", dist.Normal(jnp.zeros(4), 1.0))
        site.observe("y", dist.Normal(mean, 1.0), y)

    infer.sample(infer.model(model, y=np.zeros(3)))


def a_name_used_twice():
    """A part of a model is called twice, so its sites share their names."""

    def line(site, x):
        return x * site("slope", dist.Normal(0.0, 1.0))

    infer.sample(infer.model(lambda site: line(site, 1.0) + line(site, 2.0)))


def a_discrete_latent_site():
    """Gradients exist only for continuous values."""

    def model(site, y):
        component = site("component", dist.Categorical(jnp.array([0.3, 0.7])))
        site.observe("y", dist.Normal(2.0 * component, 1.0), y)

    infer.sample(infer.model(model, y=np.array([0.1, 2.2])))


def a_sum_forgotten():
    """A log density is one number: the sum over the data is missing."""

    def log_density(values, y):
        return -0.5 * ((y - values["mean"]) / values["noise"]) ** 2 - jnp.log(values["noise"])

    supports = {"mean": bj.Real(), "noise": bj.Positive()}
    infer.sample(infer.declared(log_density, supports, data=np.zeros(3)))


def a_start_outside_its_set():
    """The logarithm of a scale is given, but the model has the scale itself."""
    model = infer.model(lambda site: site("scale", dist.HalfNormal(1.0)))
    infer.sample(model, starts={"scale": -0.5})


def a_likelihood_that_is_nowhere_finite():
    """The data lie outside the support, whatever the start."""

    def model(site, y):
        rate = site("rate", dist.HalfNormal(1.0))
        site.observe("y", dist.Exponential(rate), y)

    infer.sample(infer.model(model, y=np.array([0.3, -1.0, 2.0])))


def numpy_on_traced_data():
    """Data are arguments of the compiled program, which NumPy cannot read."""

    def model(site, group, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(len(np.unique(group)),))
        site.observe("y", dist.Normal(level[group], 1.0), y)

    infer.sample(infer.model(model, group=np.array([0, 0, 1]), y=np.zeros(3)))


def an_index_out_of_range():
    """XLA would silently take the nearest entry. Data are known before a run, and are checked."""

    def model(site, group, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(3,))
        site.observe("y", dist.Normal(level[group], 1.0), y)

    infer.sample(infer.model(model, group=np.array([1, 2, 3]), y=np.zeros(3)))


def a_leaf_without_a_rule():
    """Shall the offset be inferred or fixed? A guess would be wrong half of the time."""
    tree = {"slope": 0.0, "offset": 1.0}

    def log_likelihood(tree, y):
        return dist.Normal(tree["slope"] + tree["offset"], 1.0).log_prob(y)

    infer.tree_model(tree, log_likelihood, {"slope": dist.Normal(0.0, 1.0)}, data=np.zeros(3))


def a_mode_asked_for_as_a_sample():
    """MAP finds one point; it makes no draws."""
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    infer.sample(model, infer.MAP(space="constrained"))


def a_keyword_of_another_library():
    """NumPyro, PyMC, BlackJAX, Stan and TFP have other names for the same settings."""
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    infer.sample(model, num_samples=1000)  # pyright: ignore[reportCallIssue]


def an_if_on_a_latent_value():
    """The program is traced before values are known, so Python cannot branch on them."""

    def model(site):
        x = site("x", dist.Normal(0.0, 1.0))
        if x > 0:
            site.factor("reward", x)

    infer.sample(infer.model(model))


def strings_in_the_data():
    """Arrays hold numbers. Words and categories need integer codes."""

    def model(site, school, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(2,))
        site.observe("y", dist.Normal(level[school], 1.0), y)

    infer.model(model, school=np.array(["Choate", "Deerfield"]), y=np.zeros(2))


def a_function_for_numpyro():
    """The two front ends take functions of different arguments."""

    def model(y=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    infer.model(model, y=np.zeros(3))


MISTAKES = (
    data_that_hold_nan,
    data_of_another_shape,
    a_name_used_twice,
    a_discrete_latent_site,
    a_sum_forgotten,
    a_start_outside_its_set,
    a_likelihood_that_is_nowhere_finite,
    numpy_on_traced_data,
    an_index_out_of_range,
    a_leaf_without_a_rule,
    a_mode_asked_for_as_a_sample,
    a_keyword_of_another_library,
    an_if_on_a_latent_value,
    strings_in_the_data,
    a_function_for_numpyro,
)


def main() -> None:
    """Print the page."""
    print(PREAMBLE)
    for number, mistake in enumerate(MISTAKES, 1):
        title = mistake.__name__.replace("_", " ").replace("nan", "NaN").replace("numpy", "NumPy")
        print(f"\n## {number}. {title[0].upper()}{title[1:]}\n\n{inspect.getdoc(mistake)}\n")
        print(f"```py\n{code(mistake)}```\n\n```text\n{message(mistake)}\n```")
    # PyMC need not be installed here.
    print(f"\n{PYMC.read_text()}", end="")


def code(mistake: Callable[[], None]) -> str:
    """Return the body of a function, without its docstring, as the formatter lays out a file."""
    body = inspect.getsource(mistake).split('"""\n', 1)[1]
    body = re.sub(r"  # pyright: .*", "", textwrap.dedent(body).lstrip("\n"))
    # Two blank lines around a function.
    body = re.sub(r"(\n    [^\n]*\n)\n(?=\S)", r"\1\n\n", body)
    return re.sub(r"(?<!\n)\n\n(?=def )", "\n\n\n", body)


def place(mistake: Callable[[], None], found: re.Match) -> str:
    """Number lines by the piece of code, not by this file."""
    lines = [line.strip() for line in code(mistake).splitlines()]
    return f"model.py, line {lines.index(found[1]) + 1}: `{found[1]}`"


def message(mistake: Callable[[], None]) -> str:
    """Return the error that a mistake raises."""
    try:
        mistake()
    except ExplainedError as error:
        text = f"{type(error).__name__}: {error}"
        text = re.sub(r"mistakes\.py, line \d+: `(.*?)`", partial(place, mistake), text)
        return textwrap.fill(text, 100)
    raise AssertionError(f"{mistake.__name__} was not refused")


if __name__ == "__main__":
    main()
