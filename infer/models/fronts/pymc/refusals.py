"""What a model of PyMC may hold that has no meaning here, found before anything is computed."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ....errors import ModelError
from .library import library

_MINIBATCH = {"MinibatchOp", "MinibatchIndexRV", "MinibatchRandomVariable"}


def refuse_minibatches(model: Any) -> None:
    """Raise if a variable sees a minibatch of its data.

    Raises:
        ModelError: An observed variable has `pymc.Minibatch` data, or a `total_size`.
    """
    for random in model.observed_RVs:
        graphs = [random, model.rvs_to_values[random]]
        for variable in ancestors(graphs):
            if variable.owner is not None and type(variable.owner.op).__name__ in _MINIBATCH:
                raise ModelError(
                    random.name,
                    "it sees a minibatch of its data (pymc.Minibatch or total_size)",
                    "Give all rows by pymc.Data, without total_size; infer.model has minibatches: "
                    "site.plate(name, size, minibatch=...).",
                )


def refuse_strangers(model: Any, randoms: Sequence[Any]) -> None:
    """Raise if a graph holds a random variable that the model does not know.

    Raises:
        ModelError: A deterministic or a potential is made of such a variable.
    """
    known = set(randoms)
    for variable in (*model.deterministics, *model.potentials):
        for found in ancestors([variable], known):
            if found.owner is not None and found not in known and _is_random(found.owner.op):
                raise ModelError(
                    variable.name,
                    f"it depends on a {type(found.owner.op).__name__} that is no variable of the "
                    "model, so its value is random",
                    "Declare that variable with a name in the model.",
                )


def refuse_unknown_inputs(name: str, graph: Any, known: Collection[Any]) -> None:
    """Raise if a graph needs something whose value the model does not give.

    Raises:
        ModelError: A random variable without a name, or a shared variable that is no `pymc.Data`.
    """
    for variable in ancestors([graph]):
        if variable.owner is not None or variable in known or hasattr(variable, "data"):
            continue
        if type(variable.type).__name__ == "RandomGeneratorType":
            raise ModelError(
                name,
                "it depends on a random variable that has no name in the model, so its density is "
                "random",
                "Declare that variable with a name in the model.",
            )
        raise ModelError(
            name,
            f"it depends on the shared variable {variable}, which is no data of the model",
            "Declare it by pymc.Data in the model.",
        )


def refuse_discrete(name: str, random: Any) -> None:
    """Raise, since a free variable is discrete and of no family with a finite sum.

    Raises:
        ModelError: Always.
    """
    raise ModelError(
        name,
        f"it is discrete ({type(random.owner.op).__name__}): no gradient moves it, and it has no "
        "known finite set of values to sum over",
        "Sum it out by hand, such as by pymc.Mixture, or give it a Categorical, Bernoulli, "
        "Binomial or DiscreteUniform distribution.",
    )


def _is_random(op: Any) -> bool:
    pytensor, pymc = library().pytensor, library().pymc
    symbolic = pymc.distributions.distribution.SymbolicRandomVariable
    return isinstance(op, pytensor.tensor.random.op.RandomVariable | symbolic)


def ancestors(variables: Sequence[Any], ends: Sequence[Any] | set[Any] = ()) -> Iterator[Any]:
    """Yield the variables that others depend on, but not what is behind `ends`."""
    seen, waiting = set(), list(variables)
    while waiting:
        variable = waiting.pop()
        if variable in seen:
            continue
        seen.add(variable)
        yield variable
        if variable.owner is not None and variable not in ends:
            waiting += variable.owner.inputs
