"""Read a tree of posteriors with references as cases that each sampler takes.

A tree holds index.json, and for each posterior a model file (its supports and its log density of
constrained values, in JAX), data and reference moments.
"""

import importlib.util
import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..peers.suite import Case, Stan
from .stan_programs import PROGRAMS

# A value that depends on others is sampled as a share of its interval.
SHARE = "_share"


def names(tree: Path) -> list[str]:
    """List the posteriors of a tree, those with the cheapest densities first."""
    costs = ("light", "medium", "heavy")
    return [e["name"] for e in sorted(_index(tree), key=lambda e: costs.index(e["cost"]))]


def _index(tree: Path) -> list[dict[str, Any]]:
    return json.loads((tree / "index.json").read_text())["posteriors"]


class Posterior:
    """One posterior of a tree; its model file, which imports JAX, is read when it is needed.

    Attributes:
        latent: The names of the latent sites.
    """

    def __init__(self, tree: Path, name: str) -> None:
        entry = next(entry for entry in _index(tree) if entry["name"] == name)
        self.latent = tuple(entry["supports"])
        self._model, self._data, self._reference = (
            tree / entry[part] for part in ("model", "data", "reference")
        )

    @property
    def has_stan(self) -> bool:
        """Whether there is a Stan program."""
        return self._model.stem in PROGRAMS

    @cached_property
    def parts(self) -> tuple[Any, dict[str, tuple], Any]:
        """The log density, the supports and the data."""
        spec = importlib.util.spec_from_file_location(self._model.stem, self._model)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        data = module.load(str(self._data))
        return module.log_prob, module.supports(data), data

    def case(self) -> Case:
        """Give it the form that the samplers take."""
        program = PROGRAMS.get(self._model.stem)
        stan = Stan(program, str(self._data)) if program else None
        return Case(dict, self._numpyro, self._pymc, self.latent, self._declare, stan)

    def _pymc(self) -> None:
        raise NotImplementedError("the posteriors of the tree have no PyMC program")

    def _declare(self) -> Any:
        from ..posteriordb import model_of

        return model_of(*self.parts)

    def _numpyro(self) -> None:
        import jax.numpy as jnp
        import numpyro
        from numpyro.distributions import ImproperUniform, constraints

        log_prob, supports, data = self.parts
        values: dict[str, Any] = {}
        for name, (kind, given, shape) in supports.items():
            if kind == "interval_dependent":
                share: Any = numpyro.sample(
                    name + SHARE, ImproperUniform(constraints.unit_interval, shape, ())
                )
                low, width = given[0], given[1](values) - given[0]
                values[name] = numpyro.deterministic(name, low + width * share)
                numpyro.factor(name + "_width", math.prod(shape) * jnp.log(width))
                continue
            of = {"interval": "interval", "greater_than": "greater_than"}.get(kind)
            constraint = getattr(constraints, of)(*given) if of else _constraint(kind)
            batch = len(shape) - constraint.event_dim
            values[name] = numpyro.sample(
                name, ImproperUniform(constraint, shape[:batch], shape[batch:])
            )
        numpyro.factor("log_prob", log_prob(values, data))

    def error(self, values: dict[str, np.ndarray], ess: float) -> float:
        """Compute the largest distance of a mean from its reference, in Monte Carlo errors.

        The error of a mean is that of the smallest effective sample size, so the distances are
        conservative.
        """
        worst = 0.0
        for name, known in json.loads(self._reference.read_text())["variables"].items():
            if name not in values:
                continue
            x = values[name]
            mean, sd, own = (np.asarray(known[k]) for k in ("mean", "sd", "mcse_mean"))
            free = sd > 1e-12
            error = np.sqrt(x.std((0, 1)) ** 2 / ess + own**2)
            z = np.abs(x.mean((0, 1)) - mean)[free] / error[free]
            worst = max(worst, float(z.max(initial=0.0)))
        return worst


def _constraint(kind: str) -> Any:
    from numpyro.distributions import constraints

    vectors = {"ordered": "ordered_vector", "positive_ordered": "positive_ordered_vector"}
    return getattr(constraints, vectors.get(kind, kind))
