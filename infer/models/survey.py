"""Find the sites of what a user gives for a model, or refuse it."""

from typing import Any

from ..errors import ModelError
from .abstract import run_abstractly
from .inputs.stacked import MEND, refuse_stacked
from .model import Model
from .protocol.site import Site


def refuse_unless_model(model: Any, where: str = "model") -> None:
    """Raise if a user gives something else for a model, or several models in one.

    Raises:
        ModelError: It is no model, or several; `where` is how to name it.
    """
    if isinstance(model, list | tuple) and model and isinstance(model[0], Model):
        raise ModelError(
            where,
            f"a {type(model).__name__} of {len(model)} models is given to a call that takes one",
            MEND,
        )
    if not isinstance(model, Model):
        raise ModelError(
            where,
            f"a {type(model).__name__} is given, which is not what a front end returned",
            "Make a model of it: infer.model(f, y=y) of a function of `site`, "
            "infer.from_numpyro(f, y) of one for NumPyro, infer.from_pymc of a pymc.Model, "
            "infer.from_stan, infer.from_tfp, infer.tree_model or infer.declared.",
        )
    refuse_stacked(model, where)


def survey(model: Model) -> tuple[Site, ...]:
    """Find the sites of a model by one abstract run; nothing is computed or compiled.

    Raises:
        ModelError: It is no model, has no latent site, or a term is not a real number.
    """
    refuse_unless_model(model)
    sites = run_abstractly(model).sites
    if not any(site.role == "latent" for site in sites):
        _raise_nothing_to_infer([site.name for site in sites if site.role == "frozen"])
    return sites


def _raise_nothing_to_infer(frozen: list[str]) -> None:
    if frozen:
        raise ModelError(
            "model",
            "every latent site is frozen, so there is nothing to infer",
            f"Free one: model.free({frozen[0]!r}).",
        )
    raise ModelError(
        "model",
        "it has no latent site, so there is nothing to infer",
        "Declare a continuous value that is not observed; in infer.model, by "
        'site("mu", dist.Normal(0, 1)).',
    )
