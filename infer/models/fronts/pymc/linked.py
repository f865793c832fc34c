"""A graph of PyTensor as JAX functions, one for each node, evaluated output by output."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from ....errors import ModelError
from .checks import spread_checks
from .functions import function_of
from .library import library
from .lookups import Lookup, find_lookups
from .refusals import refuse_unknown_inputs


class Key(NamedTuple):
    """Which input or output of a graph.

    Attributes:
        kind: What it is, such as "value" or "log density".
        name: The variable of the model that it belongs to.
        place: Which of several.
    """

    kind: str
    name: str
    place: int = 0


class _Step(NamedTuple):
    """One node of a graph: its JAX function, its inputs and its outputs."""

    function: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class Linked:
    """A simplified graph, with a JAX function for each of its nodes.

    Attributes:
        inputs: Variables that are given a value, by key.
        outputs: Variables that can be asked for, by key.
        lookups: Indices that depend on data alone, which can be asked for too.

    Raises:
        ModelError: An Op has no JAX implementation; or an output depends on a random or shared
            variable that is no input.
    """

    def __init__(self, inputs: Mapping[Key, Any], outputs: Mapping[Key, Any]) -> None:
        for key, output in outputs.items():
            refuse_unknown_inputs(key.name, output, set(inputs.values()))
        graph = _simplify(list(inputs.values()), list(outputs.values()))
        self.inputs = dict(zip(inputs, graph.inputs, strict=True))
        self.outputs = dict(zip(outputs, graph.outputs, strict=True))
        order, steps = list(graph.toposort()), {}
        self._plans: dict[Key, tuple[_Step, ...]] = {}
        lookups: list[tuple[str, Lookup]] = []
        for key, output in self.outputs.items():
            needed = _nodes_behind(output)
            fresh = [node for node in order if node in needed and node not in steps]
            steps |= {node: _link(node, key.name) for node in fresh}
            self._plans[key] = tuple(steps[node] for node in order if node in needed)
            lookups += [(key.name, own) for node in fresh for own in find_lookups(node)]
        data = {variable for key, variable in self.inputs.items() if key.kind == "data"}
        self.lookups: dict[Key, Lookup] = {}
        for place, (name, own) in enumerate(lookups):
            if own.depends_only_on(data):
                key, needed = Key("index", name, place), _nodes_behind(own.index)
                self.lookups[key], self.outputs[key] = own, own.index
                self._plans[key] = tuple(steps[node] for node in order if node in needed)

    def evaluate(self, key: Key, known: dict[Any, Any]) -> Any:
        """Compute one output, and remember every variable on the way.

        Args:
            key: Which output.
            known: Values of the inputs, by variable; what is computed is added.
        """
        # Strict promotion is for the user's own code.
        with jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
            # Graphs ask for double precision, and get JAX's.
            warnings.filterwarnings("ignore", "Explicitly requested dtype")
            for step in self._plans[key]:
                if step.outputs[0] not in known:
                    found = step.function(*(_value(v, known) for v in step.inputs))
                    many = found if len(step.outputs) > 1 else (found,)
                    known.update(zip(step.outputs, many, strict=True))
        return _value(self.outputs[key], known)


class Evaluation:
    """Values of a graph at given inputs; each node is computed at most once."""

    def __init__(self, linked: Linked, given: Mapping[Key, Any]) -> None:
        self._linked, self.given = linked, dict(given)
        self._known = {linked.inputs[k]: value for k, value in given.items() if k in linked.inputs}

    def set(self, key: Key, value: Any) -> None:
        """Give an input its value."""
        self.given[key] = self._known[self._linked.inputs[key]] = value

    def of(self, key: Key) -> Any:
        """Compute an output; the inputs that it needs must have values."""
        return self._linked.evaluate(key, self._known)

    def at(self, key: Key, value: Any) -> "Evaluation":
        """Return the evaluation with another value of an input."""
        if self.given.get(key) is value:
            return self
        return Evaluation(self._linked, {**self.given, key: value})


def _value(variable: Any, known: dict[Any, Any]) -> Any:
    if variable not in known:
        # A constant stays a known number while the program is traced.
        with jax.ensure_compile_time_eval():
            known[variable] = library().jax_typify(variable.data)
    return known[variable]


def _simplify(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Simplify a graph, and bring it into the form that PyTensor's JAX functions take."""
    pytensor = library().pytensor
    graph = pytensor.graph.FunctionGraph(inputs, outputs, clone=True)
    spread_checks(graph)
    # Fused nodes would compute a bound together with what depends on the value that it bounds.
    mode = pytensor.compile.mode.get_mode("JAX").excluding("fusion")
    # Constants are folded by Python: compiling C code for each takes seconds.
    with pytensor.config.change_flags(cxx=""):
        mode.optimizer.rewrite(graph)
    return graph


def _nodes_behind(output: Any) -> set[Any]:
    nodes, waiting = set(), [output]
    while waiting:
        node = waiting.pop().owner
        if node is not None and node not in nodes:
            nodes.add(node)
            waiting += node.inputs
    return nodes


def _link(node: Any, name: str) -> _Step:
    try:
        function = function_of(node)
    except NotImplementedError as error:
        raise ModelError(
            name,
            f"the Op {_kind(node.op)} of PyTensor has no JAX implementation ({error})",
            "Write this part with Ops that have one, or register one by "
            "pytensor.link.jax.dispatch.jax_funcify.register.",
        ) from error
    return _Step(function, tuple(node.inputs), tuple(node.outputs))


def _kind(op: Any) -> str:
    return type(getattr(op, "scalar_op", getattr(op, "core_op", op))).__name__
