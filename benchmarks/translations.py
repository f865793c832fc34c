"""Print docs/translations.md: our set for each constraint of NumPyro and distribution of TFP.

python benchmarks/translations.py > docs/translations.md
"""

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

from numpyro.distributions import constraints
from tfp_members import members

import bijectors as bj
from bijectors.translate.numpyro import from_numpyro
from bijectors.translate.tfp import batch_shape, event_shape, from_tfp
from bijectors.translate.tfp_import import load_tfp

# Arguments of the constraints of NumPyro that have parameters.
PARAMETERS = {
    "cat": ((constraints.real, constraints.positive), 0, (1, 2)),
    "greater_than": (0.0,),
    "greater_than_eq": (0.0,),
    "independent": (constraints.positive, 1),
    "integer_greater_than": (0,),
    "integer_interval": (0, 3),
    "interval": (0.0, 1.0),
    "less_than": (0.0,),
    "less_than_eq": (0.0,),
    "multinomial": (3,),
    "open_interval": (0.0, 1.0),
    "zero_sum": (1,),
}
# Names in the module that do not make a set; `dependent` marks a support not yet known.
NO_SETS = {
    "Constraint",
    "ParameterFreeConstraint",
    "dependent",
    "dependent_property",
    "is_dependent",
}
PREAMBLE = """# Translations

The sets that the supports of two other libraries are translated to, as printed by
`python benchmarks/translations.py`. Distributions of either library can be priors; the site gets
the set and the map in this table, unless it names others.

## NumPyro's constraints

Every public name of `numpyro.distributions.constraints` that makes a set.
"""
BETWEEN = """
## TFP's distributions

Every class of `tensorflow_probability.substrates.jax.distributions`. TFP is the extra `tfp`:
`pip install 'pushforward[tfp]'`. The import of its release 0.25.0 fails on JAX 0.7 and later;
`load_tfp` fixes that
([tensorflow/probability#2009](https://github.com/tensorflow/probability/issues/2009)), and
afterwards a plain import works too.

```python
import infer
from bijectors.translate.tfp_import import load_tfp

tfd = load_tfp().distributions


def model(site):
    scale = site("scale", tfd.HalfNormal(2.0))
    site("x", tfd.Moyal(0.0, scale))


print(infer.log_density(infer.model(model)).labels())
```

```text
['scale', 'x']
```

TFP converts Python floats to single precision, even if JAX computes in double precision, and
evaluates densities in the precision of their parameters. For double precision, give arrays of
doubles.

If the support is one of our sets, its map is used instead of TFP's: so an angle has no boundary
at pi, and a unit vector reaches every orthant. `ImageOf` is a set defined as the image of a map. A
distribution whose support is not one of our sets keeps its own default bijector, as
`TfpBijector`. For a distribution that wraps another, the set depends on the wrapped one; the
table shows one example.
"""


def main() -> None:
    """Print the page."""
    print(PREAMBLE)
    print_table("constraint", numpyro_rows())
    print(BETWEEN)
    print_table("distribution", tfp_rows())


def print_table(first: str, rows: Iterator[tuple[str, str, str]]) -> None:
    print(f"| {first} | set | default map |\n| --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def numpyro_rows() -> Iterator[tuple[str, str, str]]:
    for name, found in sorted(vars(constraints).items(), key=lambda item: item[0].lower()):
        if name.startswith("_") or name in NO_SETS or not _is_a_set(found):
            continue
        yield make_row(
            name, lambda name=name, found=found: from_numpyro(_instance(name, found), name)
        )


def _is_a_set(found: object) -> bool:
    kind = found if inspect.isclass(found) else type(found)
    return issubclass(kind, constraints.Constraint)


def _instance(name: str, found: Any) -> Any:
    if not inspect.isclass(found):
        return found
    if name not in PARAMETERS:
        raise LookupError(f"benchmarks/translations.py has no parameters for {name}")
    return found(*PARAMETERS[name])


def tfp_rows() -> Iterator[tuple[str, str, str]]:
    for name, make in members(load_tfp()).items():
        with warnings.catch_warnings():
            # TFP warns about an Inflated distribution that is continuous.
            warnings.simplefilter("ignore")
            distribution = make()
        if name.startswith("Joint"):
            yield make_row(name, lambda d=distribution, name=name: from_tfp(d, name))
            continue
        shape = batch_shape(distribution) + event_shape(distribution)
        yield make_row(name, lambda d=distribution, name=name: from_tfp(d, name), shape)


def make_row(name: str, translate: Callable[[], bj.Constraint], shape=None) -> tuple[str, str, str]:
    try:
        constraint = translate()
        bijector = bj.bijector_for(constraint, _shape(constraint) if shape is None else shape)
    except bj.BijectorError as error:
        return f"`{name}`", "refused", error.found.replace("|", "\\|")
    return f"`{name}`", f"`{type(constraint).__name__}`", f"`{spell(bijector)}`"


def _shape(constraint: bj.Constraint) -> tuple[int, ...]:
    """Return the shape of one value, also for a set that declares none."""
    try:
        declared = constraint.declared_shape
    except bj.BijectorError:
        declared = ()
    return declared or (2,) * constraint.event_ndims


def spell(bijector: bj.Bijector) -> str:
    """Write a map as the composition of its parts, without its parameters."""
    if isinstance(bijector, bj.Over):
        return spell(bijector.each)
    fields = [field if isinstance(field, tuple) else (field,) for field in vars(bijector).values()]
    parts = [part for field in fields for part in field if isinstance(part, bj.Bijector)]
    inside = f"({', '.join(map(spell, parts))})" if parts else ""
    return type(bijector).__name__ + inside


if __name__ == "__main__":
    main()
