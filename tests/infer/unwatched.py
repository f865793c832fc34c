"""Mistakes of a user whose calls no type checker watches, each with the words it must meet.

python tests/infer/unwatched.py prints, as JSON, what each of them raises, and how often XLA was
asked to compile before.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer


class Mistake(NamedTuple):
    """A call, the name of the error that it must raise, and words of the message."""

    call: Callable[[], Any]
    error: str
    words: tuple[str, ...]
    may_compile: bool = False


MISTAKES: dict[str, Mistake] = {}


def mistake(name: str, call: Callable[[], Any], error: str, *words: str, **more: bool) -> None:
    assert name not in MISTAKES
    MISTAKES[name] = Mistake(call, error, words, **more)


def known() -> infer.Model:
    """A model in which nothing is wrong."""

    def function(site, y):
        site.observe("y", dist.Normal(site("mu", dist.Normal(0.0, 1.0)), 1.0), y)

    return infer.model(function, y=np.zeros(3))


def sampled(function: Callable[..., Any], **data: Any) -> Any:
    return infer.sample(infer.model(function, **data), chains=1, draws=2, warmup=2, progress=False)


# Keys, counts and shapes: one place reads each kind.

POSTERIOR = {"mu": np.zeros((1, 2))}
KEYS = {
    "float": 1.5,
    "word": "a",
    "None": None,
    "truth": True,
    "list": [1],
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
            f"{name}: {number!r} is asked for",
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
    "thinning": "thin the result",
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
    "centered": "centred=",
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


def main() -> None:
    """Make every mistake, and print what was raised."""
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event) if "backend_compile" in event else None
    )
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
