"""Print what runs on several CPU devices give, as JSON; a process of its own has the devices."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.sharding import Mesh

import infer
from infer.errors import ExplainedError
from infer.run.places import describe_work

RNG = np.random.default_rng(0)
ROWS, COLUMNS = 64, 3
X = RNG.normal(size=(ROWS, COLUMNS))
Y = (RNG.random(ROWS) < 0.5).astype(float)


def logistic(site, x, y):
    slope = site("slope", dist.Normal(0, 1), shape=(COLUMNS,))
    site.observe("y", dist.Bernoulli(logits=x @ slope), y)


def divided(devices: Any = None) -> infer.Model:
    """Make the model with its rows divided over devices."""
    own = {
        name: infer.data(a, shard="row", devices=devices) for name, a in {"x": X, "y": Y}.items()
    }
    return infer.model(logistic, **own)


def varying(site, x, y):
    """Give each row a level and a positive rate of its own."""
    slope = site("slope", dist.Normal(0, 1), shape=(COLUMNS,))
    with site.plate("rows", len(x), shard=True) as rows:
        level = site("level", dist.Normal(0, 1))
        rate = site("rate", dist.LogNormal(0, 0.5))
        site.observe("y", dist.Normal(level + x[rows] @ slope, rate), y[rows])


def whole_plate(site, x, y):
    """Declare the same without dividing anything."""
    undivided = site.plate
    site.plate = lambda name, size, shard: undivided(name, size)
    varying(site, x, y)


def begin(model: infer.Model, devices: Any, **options: Any) -> infer.Run:
    """Make a short run of four chains."""
    options = {"chains": 4, "warmup": 20, "key": 1, "progress": False} | options
    return infer.start(model, infer.NUTS(), devices=devices, **options)


def draws_of(run: infer.Run, draws: int = 20) -> list[Any]:
    """Return the draws of a run as lists."""
    return run.advance(draws).draws().positions.tolist()


def message_of(call: Callable[[], Any]) -> str:
    """Return the message of the error that a call raises."""
    try:
        call()
    except ExplainedError as error:
        return str(error)
    return "no error"


def chains() -> dict[str, Any]:
    """Spread chains over devices."""
    model, devices = infer.model(logistic, x=X, y=Y), jax.devices()
    spread = begin(model, devices[:2])
    whole = draws_of(spread, 20)
    stopped = begin(model, devices[:2])
    stopped.advance(5)
    resumed = infer.start(model, infer.NUTS(), state=stopped.state)
    return {
        "one": draws_of(begin(model, devices[:1])),
        "two": whole,
        "resumed": draws_of(resumed, 15),
        "places": spread.plan.places,
        "default places": begin(model, None, threads=2).plan.places,
        "described": describe_work(spread.plan, spread.places),
        "needed": int(spread.warmup.gradients + spread.draws().stats["n_steps"].sum()),
    }


def rows() -> dict[str, Any]:
    """Divide rows over devices."""
    whole, halves = infer.model(logistic, x=X, y=Y), divided(jax.devices()[:2])
    q = jnp.asarray([0.3, -0.2, 0.1])
    evaluate = jax.jit(lambda density, q: density.evaluate(q))
    one, two = (evaluate(infer.log_density(model), q) for model in (whole, halves))
    run = begin(halves, None)
    new = halves.with_data(x=X + 1, y=Y)
    return {
        "density": [float(one[0]), float(two[0])],
        "gradient": [one[1].tolist(), two[1].tolist()],
        "draws": draws_of(run),
        "places": run.plan.places,
        "why not native": run.why_not_native,
        "devices of new data": [len(leaf.devices()) for leaf in jax.tree.leaves(new)],
        "shards": [list(own.data.shape) for own in jax.tree.leaves(halves)[0].addressable_shards],
    }


def plates() -> dict[str, Any]:
    """Divide the rows of a plate over devices, some of whose sites are latent."""
    model, whole = (infer.model(own, x=X, y=Y) for own in (varying, whole_plate))
    one, two = infer.log_density(whole), infer.log_density(model)
    q = jnp.linspace(-1, 1, one.size)
    program = jax.jit(lambda density, q: density.evaluate(q))
    compiled = program.lower(two, q).compile()
    text = compiled.as_text() or ""
    half = infer.log_density(
        infer.model(varying, x=X, y=infer.data(Y, shard="row", devices=jax.devices()[:2]))
    )
    return {
        "density": [float(program(one, q)[0]), float(compiled(two, q)[0])],
        "gradient": [program(one, q)[1].tolist(), compiled(two, q)[1].tolist()],
        "shards": [list(a.addressable_shards[0].data.shape) for a in jax.tree.leaves(two)],
        "whole columns": len(re.findall(rf"= f64\[{ROWS},{COLUMNS}\]", text)),
        "exponentials": re.findall(r"= f64\[([\d,]*)\]\S* exponential\(", text),
        "devices beside marked data": [len(a.devices()) for a in jax.tree.leaves(half)],
        "uneven": message_of(lambda: infer.log_density(model.with_data(x=X[1:], y=Y[1:]))),
    }


def mistakes() -> dict[str, str]:
    """Collect the messages of errors."""
    model, devices = infer.model(logistic, x=X, y=Y), jax.devices()
    mesh = Mesh(np.array(devices[:2]), ("rows",))
    other = Mesh(np.array(devices[:2]), ("columns",))
    sets = [divided().with_data(x=X + i) for i in range(2)]
    uneven = divided(devices[:2]).with_data
    return {
        "none": message_of(lambda: begin(model, [])),
        "twice": message_of(lambda: begin(model, [devices[0], devices[0]])),
        "number": message_of(lambda: begin(model, [0])),
        "mesh without rows": message_of(lambda: begin(model, mesh)),
        "axis of mesh": message_of(lambda: begin(model, other)),
        "axis of data": message_of(lambda: infer.data(X, shard="column")),
        "no rows": message_of(lambda: infer.model(logistic, x=infer.data(1.0, shard="row"), y=Y)),
        "uneven": message_of(lambda: uneven(x=X[1:], y=Y[1:])),
        "uneven places": message_of(lambda: begin(divided(devices[:2]), devices[:3])),
        "several models": message_of(lambda: begin(sets, None)),  # pyright: ignore[reportArgumentType]
    }


def slow() -> dict[str, Any]:
    """Give what takes long to compile: wide programs, meshes and fits."""
    model, devices = infer.model(logistic, x=X, y=Y), jax.devices()
    mesh = Mesh(np.array(devices).reshape(2, 2), ("chains", "rows"))
    pair = model, divided(devices[:2])
    fits = [infer.fit(m, infer.ADVI("mean_field"), key=1) for m in pair]
    plates = [infer.model(own, x=X, y=Y) for own in (whole_plate, varying)]
    sampled = infer.sample(plates[1], draws=10, warmup=20, progress=False)
    modes = [infer.maximize(m, infer.MAP("unconstrained"), starts=2) for m in pair]
    return {
        "wide one": draws_of(begin(model, devices[:1], group=2)),
        "wide two": draws_of(begin(model, devices[:2], group=2)),
        "four": draws_of(begin(model, devices)),
        "one": draws_of(begin(model, devices[:1])),
        "mesh": draws_of(begin(divided(), mesh, group=2)),
        "plates": [draws_of(begin(own, None, group=2, warmup=0)) for own in plates],
        "drawn and given": [
            *sampled.posterior.sizes.values(),
            *sampled.constant_data.sizes.values(),
        ],
        "fits": [fit.positions(2).tolist() for fit in fits],
        "modes": [mode.values["slope"].tolist() for mode in modes],
        "attributes": sorted(infer.sample(model, draws=10, warmup=20, progress=False).attrs),
    }


PARTS = {"chains": chains, "rows": rows, "plates": plates, "mistakes": mistakes, "slow": slow}

if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 4)
    jax.config.update("jax_enable_x64", True)
    print(json.dumps({name: PARTS[name]() for name in sys.argv[1:]}))
