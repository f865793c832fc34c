"""Print digests of draws, to check that a change of the code leaves every bit of them the same.

    python benchmarks/digests.py --save before.json
    python benchmarks/digests.py --against before.json

There is a model of each front end. Draws are the same, bit for bit, only on the same machine with
the same versions of JAX and NumPyro.
The exit status is 1 if a digest differs.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import bijectors as bj
import infer
from bijectors.translate.tfp_import import load_tfp

jax.config.update("jax_enable_x64", True)
RNG = np.random.default_rng(0)
GROUPS = RNG.integers(0, 4, 40)
X = RNG.normal(size=(40, 2))
Y = X @ [1.0, -0.5] + 0.3 * GROUPS + 0.4 * RNG.normal(size=40)
GONE = np.arange(40) == 7


def levels(site, x, y, group, gone):
    scale = site("scale", dist.HalfNormal(1))
    level = site("level", dist.Normal(0, scale), shape=(4,))
    slope = site("slope", dist.Normal(0, 1), shape=(2,))
    noise = site("noise", dist.HalfNormal(1))
    site.observe("y", dist.Normal(level[group] + x @ slope, noise), y, missing=gone)


def numpyro_levels(x, y, group):
    scale = numpyro.sample("scale", dist.HalfNormal(1))
    with numpyro.plate("groups", 4):
        level: Any = numpyro.sample("level", dist.Normal(0, scale))
    slope = numpyro.sample("slope", dist.Normal(0, 1).expand([2]).to_event(1))
    noise = numpyro.sample("noise", dist.HalfNormal(1))
    with numpyro.plate("rows", len(y)):
        numpyro.sample("y", dist.Normal(level[group] + x @ slope, noise), obs=y)


def declared_density(values, data):
    residual = data["y"] - data["x"] @ values["slope"]
    return -0.5 * jnp.sum(residual**2) / values["noise"] ** 2 - 40 * jnp.log(values["noise"])


def tree():
    return infer.tree_model(
        {"slope": jnp.zeros(2), "noise": jnp.asarray(0.5), "mix": jnp.asarray([0.2, 0.3, 0.5])},
        lambda t: dist.Normal(X @ t["slope"] + t["mix"][0], t["noise"]).log_prob(Y).sum(),
        {
            "slope": dist.Normal(0, 1),
            "noise": infer.Leaf(constraint=bj.Positive(), prior=dist.HalfNormal(1)),
            "mix": dist.Dirichlet(jnp.ones(3)),
        },
    )


def joint():
    tfd = load_tfp().distributions

    return tfd.JointDistributionNamed(
        {
            "scale": tfd.HalfNormal(1.0),
            "level": lambda scale: tfd.Sample(tfd.Normal(0.0, scale), 4),
            "y": lambda level: tfd.Independent(tfd.Normal(level[GROUPS], 0.5), 1),
        }
    )


def runs():
    """List what is drawn: a name, and a function that returns a pytree of arrays."""
    sampled = {"chains": 2, "draws": 60, "warmup": 120, "key": 7, "progress": False}
    dsl = infer.model(levels, x=X, y=Y, group=GROUPS, gone=infer.static(GONE))
    of_numpyro = infer.from_numpyro(numpyro_levels, X, Y, GROUPS)
    changed = of_numpyro.freeze(noise=0.4).view(likelihood=0.5)
    declared = infer.declared(
        declared_density,
        {"slope": bj.Real(shape=(2,)), "noise": bj.Positive()},
        data={"x": X, "y": Y},
    )
    yield "dsl, NUTS", lambda: draws(infer.sample(dsl, **sampled))
    yield "numpyro, changed, HMC", lambda: draws(infer.sample(changed, infer.HMC(), **sampled))
    yield "declared, NUTS", lambda: draws(infer.sample(declared, **sampled))
    yield "tree, NUTS", lambda: draws(infer.sample(tree(), **sampled))
    yield (
        "tfp, NUTS",
        lambda: draws(infer.sample(infer.from_tfp(joint(), observed={"y": Y}), **sampled)),
    )
    yield "dsl, Barker", lambda: draws(infer.sample(dsl, infer.BlackJAX("barker"), **sampled))
    yield "declared, MAP", lambda: infer.maximize(declared, infer.MAP("constrained"), key=7).values
    yield "dsl, ADVI", lambda: infer.fit(dsl, infer.ADVI(), key=7).sample(50)


# Statistics that are recorded since the digests were first made; they change no draw.
LATER = ("energy_error", "reached_max_treedepth", "inverse_metric")


def draws(data):
    """Return draws and statistics by name, without the `LATER` ones."""
    return {
        f"{group}.{name}": np.asarray(values)
        for group in ("posterior", "sample_stats")
        for name, values in data[group].items()
        if not name.startswith(LATER)
    }


def digest(tree) -> str:
    """Hash every array of a pytree, with its path."""
    made = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        made.update(jax.tree_util.keystr(path).encode() + np.ascontiguousarray(leaf).tobytes())
    return made.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--save", type=Path)
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    found = {}
    before = json.loads(chosen.against.read_text()) if chosen.against else {}
    for name, run in runs():
        found[name] = digest(run())
        same = "" if name not in before else "same" if before[name] == found[name] else "DIFFERENT"
        print(f"{name:24s} {found[name]} {same}", flush=True)
    if chosen.save:
        chosen.save.write_text(json.dumps(found, indent=1))
    sys.exit(any(before.get(name, d) != d for name, d in found.items()))


if __name__ == "__main__":
    main()
