"""A fingerprint of what a state was made for: engine, program and data; valid across processes."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from ..density.base import LogDensity
from ..density.family import Family
from ..engines.base import Engine
from ..errors import RunError
from ..models.inputs.names import join_names
from ..models.inputs.precision import on_device
from ..models.inputs.sharded import is_over_processes, read_own_rows
from ..target import Components
from ..types import Vector
from .bound import is_gibbs
from .processes import gather

# The memory address of an object, as Python prints it.
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
BEGIN_AGAIN = (
    "To sample another posterior, start a new run, which can reuse the tuning of the old one: "
    "infer.start(model, engine, tuning=state.tuning)."
)


class Fingerprint(NamedTuple):
    """The engine, program and data that a state belongs to.

    Attributes:
        description: The engine, its scalar settings, and the sites with their shapes.
        program: A hash of the traced density, including its constants.
        data: A hash of each array of the model that the program reads, by its path in the model.
        version: Version of JAX; another one may trace the same model to another program.
    """

    description: str
    program: str
    data: dict[str, str]
    version: str


def fingerprint(family: Family, engine: Engine) -> Fingerprint:
    """Compute the fingerprint: trace the density once more and hash all data.

    Called only when a state is requested.
    """
    density = family.member(0)
    traced = jax.make_jaxpr(_components)(density, jnp.zeros(density.size))
    paths = [path for path, _ in jax.tree.leaves_with_path(density)]
    reads = {variable for equation in traced.eqns for variable in map(id, equation.invars)}
    reads |= set(map(id, traced.jaxpr.outvars))
    read = [id(variable) in reads for variable in traced.jaxpr.invars]
    leaves = dict(jax.tree.leaves_with_path(family.shared))
    leaves |= dict(jax.tree.leaves_with_path(family.own))
    data = {keystr(p): hash_array(leaves[p]) for p, own in zip(paths, read, strict=False) if own}
    return Fingerprint(_describe(family, engine), hash_program(traced), data, jax.__version__)


def _components(density: LogDensity, position: Vector) -> Components:
    return density.components(position)


def refuse_others(made_for: Fingerprint, family: Family, engine: Engine) -> None:
    """Raise if a state was made for another engine, other sites, another program or other data."""
    here = fingerprint(family, engine)
    if made_for.description != here.description:
        raise RunError(
            "state",
            f"it belongs to {made_for.description}, not to {here.description}",
            f"Resume with the engine and the model that were stopped. {BEGIN_AGAIN}",
        )
    names = here.data.keys() | made_for.data.keys()
    others = sorted(n for n in names if here.data.get(n) != made_for.data.get(n))
    if others:
        raise RunError(
            "state",
            f"it belongs to other values of {join_names(_name_arrays(family, here, others))}",
            f"Resume with the data of the run that was stopped. {BEGIN_AGAIN}",
        )
    if made_for.program != here.program:
        versions = f" (with JAX {made_for.version}; this is JAX {here.version})"
        raise RunError(
            "state",
            "it belongs to a model that computes another log density on the same sites"
            + versions * (made_for.version != here.version),
            f"Resume with the model and the precision of the run that was stopped. {BEGIN_AGAIN}",
        )


def _describe(family: Family, engine: Engine) -> str:
    sites = ", ".join(f"{site.name}{list(site.shape)}" for site in family.member(0).latent)
    sites += f" of {family.count} data sets" if family.count > 1 else ""
    plain = {
        f.name: getattr(engine, f.name)
        for f in fields(engine)  # pyright: ignore[reportArgumentType]
        if f.compare and isinstance(getattr(engine, f.name), str | int | float | None)
    }
    settings = ", ".join(f"{name}={value!r}" for name, value in plain.items())
    whole = repr(engine) if is_gibbs(engine) else f"{type(engine).__name__}({settings})"
    return f"{whole} on sites {sites}"


def _name_arrays(family: Family, here: Fingerprint, places: list[str]) -> list[str]:
    """Name arrays as the user does; the user may have passed the same array twice."""
    each = [family.member(i).model.constants() for i in range(family.count)]
    known = {}
    for name, array in each[0].items():
        known[hash_array(on_device(array))] = name
        known[hash_array(np.stack([np.asarray(on_device(own[name])) for own in each]))] = name
    return sorted({known.get(here.data.get(place, ""), f"model{place}") for place in places})


def hash_program(traced: Any) -> str:
    """Hash the text of a program, without addresses, and the constant arrays in it."""
    text = hashlib.sha256(ADDRESS.sub("", str(traced)).encode())
    for constant in _constants(traced):
        text.update(hash_array(constant).encode())
    return text.hexdigest()


def _constants(traced: Any) -> Iterator[Any]:
    """Yield the constant arrays of a jaxpr and of those inside it, in order."""
    yield from getattr(traced, "consts", ())
    for equation in getattr(traced, "jaxpr", traced).eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from _constants(inner)


def hash_array(array: Any) -> str:
    """Hash type, shape and numbers of an array; all processes call this if it is over them."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    host = np.ascontiguousarray(read_own_rows(array))
    own = hashlib.sha256(f"{host.dtype}{host.shape}".encode() + host.tobytes()).hexdigest()
    if not is_over_processes(array):
        return own
    return hashlib.sha256(b"".join(gather(own.encode()))).hexdigest()
