"""Deliberate mistakes, each with the error it raises, as docs/errors.md.

python benchmarks/mistakes.py > docs/errors.md
"""

from pathlib import Path

from mistaken import declared, numpyro, positions, sites, tfp, trees
from mistaken.page import print_section

# What `mistakes_pymc.py` and `mistakes_stan.py` print, whose libraries need not be installed here.
PRINTED = [Path(__file__).with_name(f"mistakes_{name}.md") for name in ("pymc", "stan")]
PREAMBLE = """# Errors

Every error of Pushforward says where it is, what was found there, and how to mend it. Errors are
raised before anything compiles, unless only numbers reveal the mistake. Here are some deliberate
mistakes in models of each front end, as `python benchmarks/mistakes.py` prints them. Each piece of
code follows these imports:

```python
import bijectors as bj
import infer
import jax
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
SECTIONS = (
    ("Functions of `site`", "Models by `infer.model`, and calls that take a model.", sites),
    ("Declared log densities", "Models by `infer.declared`.", declared),
    ("Trees", "Models by `infer.tree_model`.", trees),
    (
        "Log densities with a position",
        "BlackJAX takes a function of unconstrained values, and a position to start from.\n"
        '`infer.tree_model(position, f, {"**": bijectors.Real()})` makes a model of them.\n'
        "One more import is `import blackjax`.",
        positions,
    ),
    (
        "Functions for NumPyro",
        "Models by `infer.from_numpyro`.",
        numpyro,
    ),
    (
        "Joint distributions of TFP",
        "Models by `infer.from_tfp`, after `tfd = load_tfp().distributions`; see [](from_tfp.md).",
        tfp,
    ),
)


def main() -> None:
    """Print the page."""
    print(PREAMBLE)
    for title, introduction, section in SECTIONS:
        print_section(title, introduction, section.MISTAKES)
    for section in PRINTED:
        print(section.read_text(), end="")


if __name__ == "__main__":
    main()
