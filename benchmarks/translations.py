"""What each constraint of NumPyro and each distribution of TFP becomes, as docs/translations.md.

python benchmarks/translations.py > docs/translations.md
"""

import inspect
import warnings
from collections.abc import Callable, Iterator

import jax

jax.config.update("jax_enable_x64", True)

from numpyro.distributions import constraints
from tfp_members import members

import bijectors as bj
from bijectors.translate.numpyro import from_numpyro
from bijectors.translate.tfp import batch_shape, event_shape, from_tfp
from bijectors.translate.tfp_import import load_tfp

# What a constraint of NumPyro with parameters is shown with.
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
# Names of the module that make no set; `dependent` stands for supports not yet known.
NO_SETS = {
    "Constraint",
    "ParameterFreeConstraint",
    "dependent",
    "dependent_property",
    "is_dependent",
}
PREAMBLE = """# Translations

What the supports of two other libraries become here, as `python benchmarks/translations.py`
prints it. A distribution of either library is a prior as it is; its site gets the set and the
map of this table, unless it names others.

## NumPyro's constraints

Every public name of `numpyro.distributions.constraints` that makes a set.
"""
BETWEEN = """
## TFP's distributions

Every class of `tensorflow_probability.substrates.jax.distributions`. TFP is the extra `tfp`:
`pip install 'pushforward[tfp]'`. Its release 0.25.0 fails to be imported on JAX 0.7 and later;
`load_tfp` mends that
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

TFP makes single-precision parameters of Python's floats, also where JAX computes in double
precision, and its densities are computed in the precision of their parameters. Give arrays of
doubles for double precision.

One of our sets is taken where there is one, and then its map, not TFP's: so an angle has no wall
at pi, and a unit vector reaches every orthant. `ImageOf` stands for a set that is known by the
map onto it. A distribution without a set of ours keeps its own default bijector, as
`TfpBijector`. A distribution that wraps another follows it: what is shown is one example.
"""


def main() -> None:
    """Print the page."""
    print(PREAMBLE)
    table("constraint", of_numpyro())
    print(BETWEEN)
    table("distribution", of_tfp())


def table(first: str, rows: Iterator[tuple[str, str, str]]) -> None:
    print(f"| {first} | set | default map |\n| --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def of_numpyro() -> Iterator[tuple[str, str, str]]:
    for name, found in sorted(vars(constraints).items(), key=lambda item: item[0].lower()):
        if name.startswith("_") or name in NO_SETS or not _is_a_set(found):
            continue
        yield row(name, lambda name=name, found=found: from_numpyro(_instance(name, found), name))


def _is_a_set(found: object) -> bool:
    kind = found if inspect.isclass(found) else type(found)
    return issubclass(kind, constraints.Constraint)


def _instance(name: str, found) -> constraints.Constraint:
    if not inspect.isclass(found):
        return found
    if name not in PARAMETERS:
        raise LookupError(f"benchmarks/translations.py has no parameters for {name}")
    return found(*PARAMETERS[name])


def of_tfp() -> Iterator[tuple[str, str, str]]:
    for name, make in members(load_tfp()).items():
        with warnings.catch_warnings():
            # TFP warns of an Inflated distribution that is continuous.
            warnings.simplefilter("ignore")
            distribution = make()
        if name.startswith("Joint"):
            yield row(name, lambda d=distribution, name=name: from_tfp(d, name))
            continue
        shape = batch_shape(distribution) + event_shape(distribution)
        yield row(name, lambda d=distribution, name=name: from_tfp(d, name), shape)


def row(name: str, translate: Callable[[], bj.Constraint], shape=None) -> tuple[str, str, str]:
    try:
        constraint = translate()
        bijector = bj.bijector_for(constraint, _shape(constraint) if shape is None else shape)
    except bj.BijectorError as error:
        return f"`{name}`", "refused", error.found.replace("|", "\\|")
    return f"`{name}`", f"`{type(constraint).__name__}`", f"`{spelled(bijector)}`"


def _shape(constraint: bj.Constraint) -> tuple[int, ...]:
    """Shape of one value, where a set declares none of its own."""
    try:
        declared = constraint.declared_shape
    except bj.BijectorError:
        declared = ()
    return declared or (2,) * constraint.event_ndims


def spelled(bijector: bj.Bijector) -> str:
    """Write a map as the maps it is made of, without its parameters."""
    if isinstance(bijector, bj.Over):
        return spelled(bijector.each)
    fields = [field if isinstance(field, tuple) else (field,) for field in vars(bijector).values()]
    parts = [part for field in fields for part in field if isinstance(part, bj.Bijector)]
    inside = f"({', '.join(map(spelled, parts))})" if parts else ""
    return type(bijector).__name__ + inside


if __name__ == "__main__":
    main()
