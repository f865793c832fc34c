"""Mistakes in calls without a type checker, each with words that its error must have.

python tests/infer/unwatched.py prints, as JSON, what each of them raises, and how often XLA was
asked to compile before.
"""

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd

import bijectors as bj
import infer
from tests.compilations import list_compilations


class Mistake(NamedTuple):
    """A call, the name of the error that it must raise, and words of its message."""

    call: Callable[[], Any]
    error: str
    words: tuple[str, ...]
    may_compile: bool = False


MISTAKES: dict[str, Mistake] = {}


def mistake(name: str, call: Callable[[], Any], error: str, *words: str, **more: bool) -> None:
    assert name not in MISTAKES
    MISTAKES[name] = Mistake(call, error, words, **more)


def known() -> infer.Model:
    """Make a correct model."""

    def function(site, y):
        site.observe("y", dist.Normal(site("mu", dist.Normal(0.0, 1.0)), 1.0), y)

    return infer.model(function, y=np.zeros(3))


def sampled(function: Callable[..., Any], **data: Any) -> Any:
    return infer.sample(infer.model(function, **data), chains=1, draws=2, warmup=2, progress=False)


# Something else for a model or an engine.

DECLARED = infer.declared(lambda values: -values["x"], {"x": bj.Positive()})


def one_number(position: Any) -> Any:
    """Evaluate the log density of a correct model at what may be no vector."""
    return infer.log_density(known())(position)


for what, point, words in [
    ("a dict", {"mu": 0.0}, ("values by name", "density.of(values)")),
    ("a longer vector", np.zeros(2), ("shape is (2,)", "of 1 numbers")),
    ("a matrix", np.zeros((2, 1)), ("shape is (2, 1)", "jax.vmap")),
    ("a number", 0.0, ("shape is ()", "density.unconstrain(values)")),
]:
    mistake(f"{what} as a point", lambda point=point: one_number(point), "ModelError", *words)


def no_model(site: Any) -> None:
    """Be a function that nobody has made a model of."""


for name in ("sample", "start", "choose", "explain", "sample_prior", "log_density"):
    call = lambda name=name: getattr(infer, name)(no_model)  # noqa: E731
    words = "model: a function is given", "infer.from_numpyro(f, y)"
    mistake(f"{name} of a function", call, "ModelError", *words)
for name in ("explain", "log_density"):
    call = lambda name=name: getattr(infer, name)([DECLARED, DECLARED])  # noqa: E731
    words = "a list of 2 models is given to a call that takes one"
    mistake(f"{name} of two models", call, "ModelError", words)
for name, call in {
    "sample": lambda: infer.sample([DECLARED, no_model]),
    "maximize": lambda: infer.maximize([DECLARED, no_model], infer.MAP("constrained")),
}.items():
    words = "models[1]: a function is given"
    mistake(f"{name} of a model and a function", call, "ModelError", words)
for name, call, *words in (
    ("class", lambda: infer.sample(DECLARED, infer.NUTS), "Make one: infer.NUTS(...)."),
    ("number", lambda: infer.start(DECLARED, 1000), "engine: 1000 is given", "draws=1000"),
    (
        "sampler for a mode",
        lambda: infer.maximize(DECLARED, infer.NUTS()),
        "NUTS: infer.maximize works only with MAP",
    ),
    (
        "sampler for a fit",
        lambda: infer.fit(DECLARED, infer.NUTS()),
        "NUTS: infer.fit works only with engines that make approximations",
    ),
):
    mistake(f"engine is a {name}", call, "EngineError", *words)


for name, call, *words in (
    ("kernel of BlackJAX", lambda: infer.sample(DECLARED, object()), "engine: a object is given"),
    ("name in BlackJAX", lambda: infer.BlackJAX("nuts"), "'nuts' is unknown. Use our own, infer.N"),
):
    mistake(f"engine is a {name}", call, "EngineError", *words)
for name, call, *words in (
    ("class", lambda: infer.declared(abs, {"x": bj.Real}), "x: its support is the class Real", "("),
    ("number", lambda: infer.declared(abs, {"x": 0.0}), "infer.tree_model(position, f"),
):
    mistake(f"support is a {name}", call, "ModelError", *words)
for name, call in {
    "declared": lambda: infer.declared(abs, {"x": bj.Real()}, dims=["x"]),
    "from_numpyro": lambda: infer.from_numpyro(no_model, 1.0, dims=["x"]),
}.items():
    mistake(f"dims of {name}", call, "ModelError", "dims: they are a list", 'dims={"theta"')


# Keys, counts and shapes.

POSTERIOR = {"mu": np.zeros((1, 2))}
KEYS = {
    "float": 1.5,
    "word": "a",
    "None": None,
    "truth": True,
    "list": [1, 2],
    "generator": np.random.default_rng(0),
    "keys": jax.random.split(jax.random.key(0)),
}
for name, key in KEYS.items():
    call = lambda key=key: infer.sample(known(), key=key)  # noqa: E731
    mistake(f"key is a {name}", call, "RunError", "key: ", "jax.random.key(0)")
for call, of in {
    "start": lambda **k: infer.start(known(), **k),
    "maximize": lambda **k: infer.maximize(known(), infer.MAP("constrained"), **k),
    "fit": lambda **k: infer.fit(known(), **k),
    "predict": lambda **k: infer.predict(known(), POSTERIOR, **k),
    "sample_prior": lambda **k: infer.sample_prior(known(), **k),
    "calibrate": lambda **k: infer.calibrate(known(), **k),
}.items():
    mistake(f"key of {call}", lambda of=of: of(key="a"), "RunError", "key: 'a'", "jax.random.key")
for name in ("seed of check", "seed of explain"):
    ask = infer.check if "check" in name else infer.explain
    call = lambda ask=ask: ask(known(), seed=1.5)  # noqa: E731
    mistake(name, call, "RunError", "seed: 1.5", "whole number")

for name in ("chains", "draws", "warmup", "group", "threads"):
    for number in (True, 2.5, "2", -1, np.array([1, 2])):
        mistake(
            f"{name}={number!r}",
            lambda name=name, number=number: infer.sample(known(), **{name: number}),
            "RunError",
            f"{name}: {number!r} was given",
            "whole number",
        )
mistake("epochs", lambda: infer.fit(known(), epochs=2.5), "RunError", "epochs: 2.5")
mistake("prior draws", lambda: infer.sample_prior(known(), 0), "RunError", "draws: 0")
mistake("max_depth", lambda: infer.NUTS(max_depth=3.5), "EngineError", "NUTS: max_depth is 3.5")
mistake("true depth", lambda: infer.NUTS(max_depth=True), "EngineError", "NUTS: max_depth is True")
mistake(
    "word", lambda: infer.NUTS(target_acceptance="a"), "EngineError", "target_acceptance is 'a'"
)
mistake("batch", lambda: infer.ADVI(batch=2.5), "EngineError", "ADVI: batch is 2.5")
mistake("max_steps", lambda: infer.MAP("constrained", max_steps=2.5), "EngineError", "max_steps")
mistake(
    "moves", lambda: infer.BlackJAX("smc", moves=2.5), "EngineError", "is 2.5", may_compile=True
)

for shape in ((3.0,), "a", -1, (True,)):
    mistake(
        f"shape={shape!r}",
        lambda shape=shape: sampled(lambda site: site("x", dist.Normal(0, 1), shape=shape)),
        "ModelError",
        f"x: its shape is {shape!r}",
        "whole numbers",
    )
mistake(
    "shape of a latent value",
    lambda: sampled(lambda s: s("x", dist.Normal(0, 1), shape=(s("n", dist.Gamma(2, 1)),))),
    "ModelError",
    "x: its shape is a traced value",
    "infer.static(n)",
)


def plated(size: Any) -> Any:
    def function(site):
        with site.plate("school", size):
            site("x", dist.Normal(0, 1))

    return sampled(function)


for size in (2.5, "a", True, -1, range(3), np.zeros(3)):
    mistake(f"plate of {size!r}", lambda size=size: plated(size), "ModelError", "school:", "len(x)")
mistake(
    "plate of a traced size",
    lambda: sampled(lambda site, g: site.plate("g", jnp.max(g) + 1).__enter__(), g=np.arange(3)),
    "ModelError",
    "g: a traced value",
    "infer.static(n)",
)
mistake(
    "length of a scan",
    lambda: sampled(lambda site: site.scan(lambda s, c, _: (c, None), 0.0, length=2.5)),
    "ModelError",
    "scan: 2.5",
)

# Keywords of other libraries, misspelled ones, and ours in the wrong place.

FOREIGN = {
    "num_samples": "draws=",
    "num_warmup": "warmup=",
    "tune": "warmup=",
    "num_chains": "chains=",
    "cores": "threads=",
    "random_seed": "key=",
    "rng_key": "key=",
    "seed": "key=",
    "n_samples": "draws=",
    "progressbar": "progress=",
    "initvals": "starts=",
    "init": "starts=",
    "iter_sampling": "draws=",
    "target_accept": "infer.NUTS(target_acceptance=",
    "target_acceptance": "infer.NUTS(target_acceptance=",
    "max_tree_depth": "infer.NUTS(max_depth=",
    "step_size": "infer.NUTS(step_size=",
    "coords": "infer.model(f, coords=",
    "thinning": "thin=",
    "data": "model.with_data(y=y)",
    "drawss": "draws=?",
    "zzz": "It takes model, engine, chains",
}
for word, ours in FOREIGN.items():
    mistake(
        f"sample {word}",
        lambda word=word: infer.sample(known(), **{word: 3}),
        "CallError",
        f"infer.sample: it takes no argument {word!r}",
        ours,
    )
SETTINGS = {
    "target_accept_prob": "target_acceptance=",
    "adapt_delta": "target_acceptance=",
    "max_tree_depth": "max_depth=",
    "max_treedepth": "max_depth=",
    "dense_mass": "rank=",
    "stepsize": "step_size=",
    "draws": "infer.sample(model, draws=",
    "num_samples": "infer.sample(model, draws=",
}
for word, ours in SETTINGS.items():
    mistake(f"NUTS {word}", lambda word=word: infer.NUTS(**{word: 3}), "CallError", "NUTS:", ours)
mistake("HMC", lambda: infer.HMC(num_steps=3), "CallError", "HMC:", "trajectory_length=")
mistake("MAP", lambda: infer.MAP("constrained", maxiter=3), "CallError", "MAP:", "max_steps=")
mistake("ADVI", lambda: infer.ADVI(lr=0.1), "CallError", "ADVI:", "learning_rate=")
mistake("MALA", lambda: infer.BlackJAX("mala", stepsize=1.0), "EngineError", "Give step_size=")
mistake("fit", lambda: infer.fit(known(), num_steps=3), "CallError", "infer.fit:", "epochs=")
mistake(
    "predict", lambda: infer.predict(known(), {}, seed=1), "CallError", "infer.predict:", "key="
)
mistake("no posterior", lambda: infer.predict(known()), "CallError", "infer.sample_prior(model)")
mistake(
    "posterior None",
    lambda: infer.predict(known(), None),
    "ModelError",
    "infer.sample_prior(model)",
)
mistake("check", lambda: infer.check(known(), key=1), "CallError", "infer.check:", "seed=")
mistake("start", lambda: infer.start(known(), tune=1), "CallError", "infer.start:", "warmup=")
mistake("prior", lambda: infer.sample_prior(known(), samples=1), "CallError", "draws=")
mistake(
    "calibrate", lambda: infer.calibrate(known(), num_simulations=1), "CallError", "simulations="
)
mistake("declared", lambda: infer.declared(sum, {}, y=1), "CallError", "Give data=")
mistake(
    "by position",
    lambda: infer.sample(known(), infer.NUTS(), 1000),
    "CallError",
    "infer.sample: too many arguments",
    "by name",
)
mistake("data by position", lambda: infer.model(known, 1.0), "CallError", "infer.model:", "by name")
for word, ours in {
    "obs": "site.observe(name, prior, value)",
    "observed": "site.observe(name, prior, value)",
    "sample_shape": "shape=",
    "size": "shape=",
    "dim": "dims=",
    "centred": "centered=",
    "transform": "bijector=",
}.items():
    mistake(
        f"site {word}",
        lambda word=word: sampled(lambda site: site("x", dist.Normal(0, 1), **{word: 3})),
        "CallError",
        f"site: it takes no argument {word!r}",
        ours,
    )
mistake(
    "observe obs",
    lambda: sampled(lambda site: site.observe("x", dist.Normal(0, 1), obs=1.0)),
    "CallError",
    "site.observe: it takes no argument 'obs'",
    "value=",
)
mistake(
    "observe nothing",
    lambda: sampled(lambda site: site.observe("x", dist.Normal(0, 1))),
    "CallError",
    "site.observe: missing a required argument: 'value'",
)
mistake(
    "subsample_size",
    lambda: sampled(lambda site: site.plate("x", 3, subsample_size=2)),
    "CallError",
    "site.plate:",
    "minibatch=",
)

# Model functions that use a traced value as if it were concrete.

HALF = dist.HalfNormal(1.0)


def branching(site):
    x = site("x", dist.Normal(0, 1))
    site("z", dist.Normal(0, 1))
    if 2 * x > 0:
        site.factor("f", x)


def looping(site):
    x = site("x", HALF)
    while x < 3:
        x = x + 1


def counting(site):
    for _ in range(site("x", HALF)):
        pass


def masking(site):
    x = site("x", dist.Normal(0, 1), shape=(3,))
    site.factor("f", x[x > 0].sum())


def branching_on_data(site, n):
    x = site("x", HALF)
    if n > 0:
        site.factor("f", x)


def branching_in_numpyro():
    x = numpyro.sample("x", dist.Normal(0, 1))
    if x > 0:
        numpyro.factor("f", x)


TRACED = {
    "if": (branching, ("x: ", "`if 2 * x > 0:`", "jnp.where")),
    "while": (looping, ("x: ", "`while x < 3:`", "jnp.where")),
    "range": (counting, ("x: ", "range(site(", "infer.static(n)")),
    "mask": (masking, ("x: ", "mask", "jnp.where(mask, value, 0.0)")),
    "NumPy": (
        lambda site: site.factor("f", np.log(site("x", HALF))),
        ("x: ", "NumPy", "Call jnp.log in place of np.log"),
    ),
    "math": (lambda site: math.log(site("x", HALF)), ("x: ", "math", "jnp.log")),
    "float": (lambda site: float(site("x", HALF)), ("x: ", "float()", "jnp.log")),
    "index": (lambda site: [1, 2][site("x", HALF)], ("x: ", "index of a list", "jnp.asarray")),
}
for name, (function, words) in TRACED.items():
    call = lambda function=function: sampled(function)  # noqa: E731
    mistake(f"{name} of a latent value", call, "ModelError", "unwatched.py, line", *words)
CALLS = {
    "start": infer.start,
    "explain": infer.explain,
    "log_density": infer.log_density,
    "sample_prior": infer.sample_prior,
    "predict": lambda model: infer.predict(model, {"x": np.zeros((1, 2))}),
    "calibrate": infer.calibrate,
    "table": lambda model: model.table(),
    "graph": lambda model: model.graph(),
    "freeze": lambda model: model.freeze(x=1.0),
    "condition": lambda model: model.condition(x=1.0),
    "view": lambda model: model.view("prior"),
}
for name, of in CALLS.items():
    call = lambda of=of: of(infer.model(branching))  # noqa: E731
    # Reading a key compiles a program.
    draws = name in ("predict", "sample_prior")
    mistake(f"if in {name}", call, "ModelError", "x: ", "jnp.where", may_compile=draws)
mistake(
    "if on data", lambda: sampled(branching_on_data, n=2.0), "ModelError", "n: ", "infer.static"
)
mistake(
    "NumPy on data",
    lambda: infer.start(
        infer.declared(lambda v, y: -v["x"] * np.log(y).sum(), {"x": bj.Real()}, data=np.ones(3))
    ),
    "ModelError",
    "data: ",
    "jnp.log",
    "infer.static(x)",
)
mistake(
    "if in declared",
    lambda: infer.start(infer.declared(lambda v: v["x"] or 0.0, {"x": bj.Real()})),
    "ModelError",
    "x: ",
    "jnp.where",
)
mistake(
    "if in a tree",
    lambda: infer.start(infer.tree_model({"a": 0.0}, lambda t: t["a"] or 0.0, {"a": bj.Real()})),
    "ModelError",
    "a: ",
    "jnp.where",
    may_compile=True,
)
NUMPYRO_IF = lambda: infer.start(infer.from_numpyro(branching_in_numpyro))  # noqa: E731
mistake("if in NumPyro", NUMPYRO_IF, "ModelError", "x: ", "`if x > 0:`", "jnp.where")

# Functions written for other libraries or purposes.


def for_numpyro(y=None):
    mean = numpyro.sample("mean", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(mean, 1), obs=y)


def in_between(site, y):
    site("mean", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(0, 1), obs=y)


def plated_by_numpyro(site):
    with numpyro.plate("rows", 3):
        site("x", dist.Normal(0, 1))


mistake(
    "NumPyro's function",
    lambda: infer.model(for_numpyro, y=np.zeros(3)),
    "ModelError",
    "model: the function is called as f(site, y), but takes (y)",
    "infer.from_numpyro(f, y=y)",
)
mistake(
    "an observation of NumPyro",
    lambda: sampled(in_between, y=np.zeros(3)),
    "ModelError",
    "y: numpyro.sample is called",
    "site.observe(name, prior, value)",
)
mistake("a plate of NumPyro", lambda: sampled(plated_by_numpyro), "ModelError", "site.plate(name")
mistake(
    "our function for NumPyro",
    lambda: infer.from_numpyro(branching),
    "ModelError",
    "infer.model(f, y=y)",
)
mistake("no function", lambda: infer.model(3), "ModelError", "model: int is not a function")
mistake(
    "data of another name",
    lambda: infer.model(lambda site, group: None, groups=3),
    "ModelError",
    "f(site, groups), but takes (site, group)",
    "Did you mean group=?",
)
mistake(
    "declared without data",
    lambda: infer.declared(lambda v, y: 0.0, {"x": bj.Real()}),
    "ModelError",
    "log_density(values), but takes (v, y)",
)
mistake(
    "a tree without data",
    lambda: infer.tree_model({"a": 0.0}, lambda t, y: 0.0, {"a": bj.Real()}),
    "ModelError",
    "log_likelihood(tree), but takes (t, y)",
)
mistake("supports", lambda: infer.declared(lambda v: 0.0, ["x"]), "ModelError", "they are a list")
PRIOR = lambda: infer.declared(lambda v: 0.0, {"x": dist.Normal(0, 1)})  # noqa: E731
mistake("a prior for a support", PRIOR, "ModelError", "x: its support is a Normal", "log_prob")
for name, ours in {"sample": "site(name, prior)", "deterministic": "site.derive(name"}.items():
    call = lambda name=name: sampled(lambda site: getattr(site, name)("x", HALF))  # noqa: E731
    mistake(f"site.{name}", call, "ModelError", f"site.{name}: ", f"Write {ours}")
mistake(
    "a parameter of PyMC",
    lambda: sampled(lambda site: site("x", dist.Normal(mu=0, sigma=1))),
    "ModelError",
    "Normal: it takes no argument 'mu'",
    "NumPyro calls it loc",
)
mistake(
    "expand by name",
    lambda: sampled(lambda site: site("x", dist.Normal(0, 1).expand(shape=(3,)))),
    "ModelError",
    "NumPyro calls it batch_shape",
)
mistake(
    "expand and shape",
    lambda: sampled(lambda site: site("x", dist.Normal(0, 1).expand([3]), shape=(2,))),
    "ModelError",
    "x: an axis has size 3 by the prior and 2 by the plate or shape",
    "expanded already",
)

# Values that are not numbers.

for name, value in {"None": None, "strings": "a", "dict": {"a": 1.0}}.items():
    for front, make in {
        "log density": lambda v: infer.declared(lambda _: v, {"x": bj.Real()}),
        "log likelihood": lambda v: infer.tree_model({"a": 0.0}, lambda _: v, {"a": bj.Real()}),
        "f": lambda v: infer.model(lambda site: site.factor("f", v)),
        "d": lambda v: infer.model(lambda site: site.derive("d", v)),
    }.items():
        call = lambda make=make, value=value: infer.start(make(value))  # noqa: E731
        mistake(f"{name} for {front}", call, "ModelError", f"{front}: ", name, may_compile=True)
TABLE = pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]})
DATA = {
    "words": (np.array(["u", "v"]), ("strings, such as 'u'", "pandas.factorize(x)")),
    "objects": (np.array([1.0, None]), ("None among the numbers", "missing=")),
    "numbers as objects": (np.array([1.0, 2.0], object), ("Python objects", "x.astype(float)")),
    "rows of two lengths": ([[1.0, 2.0], [3.0]], ("different lengths", "row of each entry")),
    "dates": (np.array(["2020-01-01"], "datetime64[D]"), ("dates", "numpy.timedelta64")),
    "records": (np.zeros(2, [("a", float)]), ("records", "a=x['a']")),
    "a mixed column": (pd.Series([1.0, "u"]), ("1.0 (float) and 'u' (str)", "x.astype(str)")),
    "numbers as strings": (pd.Series(["1", "2"]), ("read as numbers", "x.astype(float)")),
    "a gap in a column": (pd.Series([1, None], dtype="Int64"), ("1 of its 2", "dropna(subset=")),
    "a missing category": (pd.Series(["u", None], dtype="category"), ("index 1", "missing=")),
    "a column of dates": (pd.Series(pd.date_range("2020", periods=2)), ("dates", ".dt.days")),
    "a table": (TABLE, ("DataFrame", "column 'b'", 'infer.model(f, a=table["a"])')),
}
for name, (value, words) in DATA.items():
    call = lambda value=value: infer.model(branching_on_data, n=value)  # noqa: E731
    mistake(f"{name} for data", call, "ModelError", "n: ", *words)
    call = lambda value=value: sampled(lambda site: site.observe("y", HALF, value))  # noqa: E731
    mistake(f"{name} observed", call, "ModelError", "y: ")
for name, value in {"words": TABLE["b"], "categories": TABLE["b"].astype("category")}.items():
    mistake(
        f"a column of {name} observed",
        lambda value=value: sampled(lambda site: site.observe("y", HALF, value)),
        "ModelError",
        "y: its value is a column of labels, such as 'u'",
        "as data",
    )
NO_WORDS = lambda: sampled(lambda site: site.observe("y", HALF, TABLE["b"][:0]))  # noqa: E731
mistake("a column of no words observed", NO_WORDS, "ModelError", "y: its value is a column of lab")
mistake(
    "labels that the model does not know",
    lambda: infer.model(branching_on_data, n=TABLE["b"]).with_data(n=pd.Series(["w"])),
    "ModelError",
    "n: it holds 'w', which is no label of dimension 'n'",
    "Its labels are u, v",
)
mistake(
    "the labels of a dimension in another order",
    lambda: infer.model(branching_on_data, n=TABLE["b"], coords={"group": ["v", "u"]}),
    "ModelError",
    "n: its labels are those of dimension 'group'",
    "coords={'group': column}",
)
mistake(
    "a column of an array",
    lambda: sampled(lambda site, n: site.observe("y", HALF, n["a"]), n=TABLE[["a"]]),
    "ModelError",
    "data: a table",
    "to_numpy()",
)

# Sites that no sampler can move, and ambiguous axes.

POINT = lambda: sampled(lambda site: site("x", dist.Delta(1.0)))  # noqa: E731
mistake("a point", POINT, "ModelError", "x: its prior is a Delta", "site.derive")
mistake(
    "a leaf that is a point",
    lambda: infer.tree_model({"a": 1.0}, lambda t: 0.0, {"a": dist.Delta(1.0)}),
    "ModelError",
    "a: its prior is a Delta",
    "frozen",
)
MASK = np.array([True, False, False])
COUNTS = np.array([0, 1, 2])


def counts_with_gaps(site):
    site.observe("y", dist.Poisson(site("x", HALF)), COUNTS, missing=MASK)


def counts_with_gaps_in_numpyro():
    rate = dist.Poisson(numpyro.sample("x", HALF))
    numpyro.sample("y", rate, obs=COUNTS, obs_mask=~MASK)


mistake("missing counts", lambda: sampled(counts_with_gaps), "ModelError", "y: its missing entries")
GAPS = lambda: infer.start(infer.from_numpyro(counts_with_gaps_in_numpyro))  # noqa: E731
mistake("missing counts in NumPyro", GAPS, "ModelError", "y: its missing entries", "infer.predict")


def stepping(site):
    x = site("x", HALF)
    site.factor("f", x)
    site.factor("g", jax.lax.while_loop(lambda c: c < 3, lambda c: c + 1.0, x))


NO_GRADIENT = ("while_loop: g has no gradient", "jax.lax.scan")
STEPPING = lambda: sampled(stepping)  # noqa: E731
mistake("while_loop", STEPPING, "ModelError", *NO_GRADIENT)
STEPPING = lambda: infer.explain(infer.model(stepping), at={"x": 1.0})  # noqa: E731
mistake("while_loop in explain", STEPPING, "ModelError", *NO_GRADIENT, may_compile=True)

E = {"e": [1, 2]}
TWICE = {
    "a site": lambda: infer.model(lambda s: s("x", dist.Normal(0, 1), dims=("e", "e")), coords=E),
    "a set": lambda: infer.model(lambda s: s.param("x", bj.Real(), dims=("e", "e")), coords=E),
    "declared": lambda: infer.declared(
        lambda v: 0.0, {"x": bj.Real(shape=(2, 2))}, dims={"x": ("e", "e")}
    ),
    "NumPyro": lambda: infer.from_numpyro(
        lambda: numpyro.sample("x", dist.Normal(0, 1).expand([2, 2])), dims={"x": ("e", "e")}
    ),
}
for name, make in TWICE.items():
    call = lambda make=make: infer.start(make())  # noqa: E731
    mistake(f"dims twice in {name}", call, "ModelError", "x: two of its axes", "'e'", "'e_2'")
PRIORS = lambda: infer.sample_prior(TWICE["a site"]())  # noqa: E731
mistake("dims twice in sample_prior", PRIORS, "ModelError", "x: two of its axes")
NUMBER = lambda: sampled(lambda site: site("x", HALF, dims=3))  # noqa: E731
mistake("dims that are no names", NUMBER, "ModelError", "dims: 3 are no names")
SLASH = lambda: sampled(lambda site: site("x", HALF, dims="a/b", shape=2))  # noqa: E731
mistake("dims with a slash", SLASH, "ModelError", "'a/b' are no names", "has no '/'")
COORDS = lambda: infer.model(regression, x=0.0, y=0.0, coords={3: [1, 2]})  # pyright: ignore # noqa: E731
mistake("coords that are no names", COORDS, "ModelError", "coords: 3 is no name")
for wrong in (3, "", "a/b"):
    call = lambda wrong=wrong: sampled(lambda site: site.plate(wrong, 2).__enter__())  # noqa: E731
    mistake(f"a plate called {wrong!r}", call, "ModelError", f"{wrong!r}: a name must be")
    call = lambda wrong=wrong: sampled(lambda site: site.scope(wrong)("x", HALF))  # noqa: E731
    mistake(f"a scope called {wrong!r}", call, "ModelError", f"{wrong!r}: a name must be")


def regression(site, x, y):
    site.observe("y", dist.Normal(site("slope", dist.Normal(0, 1)) * x, 1), y)


mistake(
    "infinite data",
    lambda: sampled(regression, x=np.array([1.0, -np.inf]), y=np.zeros(2)),
    "StartError",
    "y: its log density is -inf",
    "x holds -inf at [1]",
    may_compile=True,
)


def main() -> None:
    """Make every mistake, and print the errors raised."""
    compiled = list_compilations()
    told = {}
    for name, made in MISTAKES.items():
        before = len(compiled)
        try:
            made.call()
        except Exception as error:  # noqa: BLE001 - which error it is, is the question
            told[name] = (type(error).__name__, str(error), len(compiled) - before)
        else:
            told[name] = ("nothing", "", len(compiled) - before)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
