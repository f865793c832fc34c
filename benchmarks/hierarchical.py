"""Compare metrics on log densities without declared structure, in effective draws per gradient.

    python -m benchmarks.hierarchical [--seeds 2] [--draws 1000] [--model funnel ...] [--rivals]

Every model is an `infer.declared` log density, written centered where it is hierarchical, but for
the horseshoe of the peers, which is that of `benchmarks.peers`, written non-centered. It is sampled
by NUTS (4 chains of 1000 draws, float64) with either metric, and with "auto", the default, which
chooses. Prints the median over the seeds of the smallest bulk ESS per 1000 gradients, warm-up
included; the smallest ESS, the most gradients, the largest R-hat and the divergent draws of all
seeds; for the funnel its tails.

`--rivals` compares three Hamiltonian Monte Carlo samplers on the funnel: with a metric that is
constant in the coordinates v / 3 and z exp(-v / 2); with a block-diagonal metric whose block of z
depends on v (Kailas, Vihola & Wallin 2026, arXiv 2604.09832), by Strang splitting; and with a
constant metric whose steps are halved until their energy error is small, and reject the trajectory
if they cannot be reversed (as in WALNUTS: Bou-Rabee, Carpenter, Kleppe & Liu 2025, arXiv
2506.18746). The first two know the right scales. Each gets the best of several step sizes and
lengths, and begins at exact draws.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np

import infer
from bijectors import Positive, Real
from infer.numerics.hierarchical import MetricName

from .funnel import TAIL
from .peers.suite import SUITE

jax.config.update("jax_enable_x64", True)
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])


def normal(x: Any, mean: Any, sd: Any) -> Any:
    return -0.5 * ((x - mean) / sd) ** 2 - jnp.log(sd) + 0 * x


def funnel() -> infer.Model:
    def log_density(q):
        return normal(q["v"], 0.0, 3.0) + normal(q["z"], 0.0, jnp.exp(q["v"] / 2)).sum()

    return infer.declared(log_density, {"v": Real(), "z": Real(shape=(9,))})


def schools(errors: float) -> infer.Model:
    def log_density(q, data):
        effect, error = data
        prior = normal(q["mu"], 0.0, 5.0) - jnp.log1p((q["tau"] / 5) ** 2)
        prior += normal(q["theta"], q["mu"], q["tau"]).sum()
        return prior + normal(effect, q["theta"], error).sum()

    sites = {"mu": Real(), "tau": Positive(), "theta": Real(shape=(8,))}
    return infer.declared(log_density, sites, data=(EFFECT, errors * ERROR))


def radon() -> infer.Model:
    """Forty counties with 1 to 60 houses each."""
    rng = np.random.default_rng(0)
    county = np.repeat(np.arange(40), np.geomspace(1, 60, 40).astype(int))
    floor = (rng.random(len(county)) < 0.2).astype(float)
    level = rng.normal(1.4, 0.3, 40)
    y = level[county] - 0.7 * floor + 0.75 * rng.normal(size=len(county))

    def log_density(q, data):
        county, floor, y = data
        prior = normal(q["mean"], 0.0, 5.0) - 0.5 * q["spread"] ** 2 - 0.5 * q["noise"] ** 2
        prior += normal(q["slope"], 0.0, 2.0) + normal(q["level"], q["mean"], q["spread"]).sum()
        return prior + normal(y, q["level"][county] + q["slope"] * floor, q["noise"]).sum()

    sites = {name: Real() for name in ("mean", "slope")}
    sites |= {"spread": Positive(), "noise": Positive(), "level": Real(shape=(40,))}
    return infer.declared(log_density, sites, data=(county, floor, y))


def nested() -> infer.Model:
    """Three levels: 24 effects around those of 6 regions, which are around a mean."""
    rng, region = np.random.default_rng(3), np.repeat(np.arange(6), 4)
    y = rng.normal(size=6)[region] + 0.6 * rng.normal(size=24)

    def log_density(q, data):
        region, y = data
        prior = normal(q["mean"], 0.0, 3.0) - 0.5 * q["wide"] ** 2 - 0.5 * q["narrow"] ** 2
        prior += normal(q["level"], q["mean"], q["wide"]).sum()
        prior += normal(q["effect"], q["level"][region], q["narrow"]).sum()
        return prior + normal(y, q["effect"], 0.5).sum()

    sites = {"mean": Real(), "wide": Positive(), "narrow": Positive()}
    sites |= {"level": Real(shape=(6,)), "effect": Real(shape=(24,))}
    return infer.declared(log_density, sites, data=(region, y))


def horseshoe() -> infer.Model:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 20))
    y = x[:, :3] @ np.array([3.0, -2.0, 1.5]) + rng.normal(size=30)

    def log_density(q, data):
        x, y = data
        prior = -jnp.log1p(q["tau"] ** 2) - jnp.log1p(q["lam"] ** 2).sum() - 0.5 * q["noise"] ** 2
        prior += normal(q["slope"], 0.0, q["tau"] * q["lam"]).sum()
        return prior + normal(y, x @ q["slope"], q["noise"]).sum()

    sites = {"tau": Positive(), "noise": Positive()}
    sites |= {"lam": Positive(shape=(20,)), "slope": Real(shape=(20,))}
    return infer.declared(log_density, sites, data=(x, y))


def horseshoe_of_peers() -> infer.Model:
    case = SUITE["horseshoe"]
    return infer.from_numpyro(case.numpyro, **case.data())


def correlated() -> infer.Model:
    factor = np.random.default_rng(1).normal(size=(50, 50))
    precision = np.linalg.inv(factor @ factor.T / 50 + 0.1 * np.eye(50))
    density = lambda q, data: -0.5 * q["x"] @ data @ q["x"]  # noqa: E731
    return infer.declared(density, {"x": Real(shape=(50,))}, data=precision)


def logistic() -> infer.Model:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 10))
    y = (rng.random(200) < 1 / (1 + np.exp(-x @ rng.normal(size=10)))).astype(float)

    def log_density(q, data):
        x, y = data
        odds = x @ q["slope"]
        return normal(q["slope"], 0.0, 2.0).sum() + (y * odds - jnp.logaddexp(0.0, odds)).sum()

    return infer.declared(log_density, {"slope": Real(shape=(10,))}, data=(x, y))


MODELS: dict[str, Callable[[], infer.Model]] = {
    "funnel": funnel,
    **{f"eight schools, errors x {k}": partial(schools, k) for k in (0.3, 1.0, 5.0)},
    "radon-like": radon,
    "three levels": nested,
    "horseshoe": horseshoe,
    "horseshoe of the peers": horseshoe_of_peers,
    "correlated normal": correlated,
    "logistic": logistic,
}
METRICS: tuple[MetricName, ...] = ("euclidean", "hierarchical", "auto")


def measure(
    model: infer.Model, engine: infer.Engine, seed: int, draws: int = 1000
) -> tuple[float, int, float, int, list]:
    """Return the smallest ESS, gradients, the largest R-hat, divergences and tails of one run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = infer.sample(model, engine, draws=draws, key=seed, progress=False)
        ess: Any = az.ess(result)
        rhat: Any = az.rhat(result)
    stats, v = result["sample_stats"], result["posterior"].get("v")
    tails = [] if v is None else [round(float(t.mean()) / TAIL, 2) for t in (v < -6, v > 6)]
    return (
        min(float(a.min()) for a in ess.data_vars.values()),
        int(stats["n_steps"].sum()) + result.attrs["warmup_gradients"],
        max(float(a.max()) for a in rhat.data_vars.values()),
        int(stats["diverging"].sum()),
        tails,
    )


def report(name: str, seeds: int, draws: int) -> None:
    for metric in METRICS:
        engine = infer.NUTS(metric=metric)
        rows = [measure(MODELS[name](), engine, seed, draws) for seed in range(1, seeds + 1)]
        ess, gradients, rhat, diverging, tails = zip(*rows, strict=True)
        rate = statistics.median(1000 * e / g for e, g in zip(ess, gradients, strict=True))
        print(
            f"| {name} | {metric} | {rate:.1f} | {min(ess):.0f} | {max(gradients):,} | "
            f"{max(rhat):.3f} | {sum(diverging)} | {list(tails) if tails[0] else ''} |",
            flush=True,
        )


# Rivals on the funnel. Positions are v and nine z; all chains are advanced at once.
CHAINS, DRAWS, LATENTS = 200, 400, 9
CONSTANT = 'metric constant in other coordinates (what `metric="hierarchical"` learns)'
BLOCKS = "block-diagonal metric, Strang splitting (Kailas, Vihola & Wallin 2026)"
HALVED = "steps halved until the energy error is small (as in WALNUTS)"


def log_funnel(q: jax.Array) -> jax.Array:
    v, z = q[0], q[1:]
    return -(v**2) / 18 - LATENTS * v / 2 - 0.5 * jnp.exp(-v) * (z**2).sum()


score = jax.grad(log_funnel)


def pulled_back(q, p, h):
    """One step in the coordinates v / 3 and z exp(-v / 2); p are their momenta."""
    y = jnp.append(q[0] / 3, q[1:] * jnp.exp(-q[0] / 2))
    y = y + h * (p - h / 2 * y)
    # The density of y is standard normal.
    p = p - h / 2 * (jnp.append(q[0] / 3, q[1:] * jnp.exp(-q[0] / 2)) + y)
    return jnp.append(3 * y[0], y[1:] * jnp.exp(1.5 * y[0])), p, 1, True


def pulled_energy(q, p):
    y = jnp.append(q[0] / 3, q[1:] * jnp.exp(-q[0] / 2))
    return 0.5 * (y @ y + p @ p)


def split(q, p, h):
    """One step under the metric 1/9 for v and exp(-v) for z, by Strang splitting."""
    p = p + h / 2 * score(q)
    q = q.at[0].add(h / 2 * 9 * p[0])
    scale = jnp.exp(q[0])
    q = q.at[1:].add(h * scale * p[1:])
    p = p.at[0].add(-h * (0.5 * scale * (p[1:] ** 2).sum() - LATENTS / 2))
    q = q.at[0].add(h / 2 * 9 * p[0])
    return q, p + h / 2 * score(q), 1, True


def split_energy(q, p):
    kinetic = 4.5 * p[0] ** 2 + 0.5 * jnp.exp(q[0]) * (p[1:] ** 2).sum() - LATENTS * q[0] / 2
    return kinetic - log_funnel(q)


def constant_energy(q, p):
    return 0.5 * (p**2).sum() - log_funnel(q)


# Halvings of a step at most, and the energy error in nats at which they end.
HALVINGS, TOLERANCE = 8, 0.5


def refined(q, p, h):
    """One step of 2^l leapfrogs, l the least for which the energy error is small."""

    def go(q, p, level, sign):
        step = sign * h / 2.0**level

        def leap(_, both):
            q, p, g = both
            p = p + step / 2 * g
            q = q + step * p
            g = score(q)
            return q, p + step / 2 * g, g

        end = jax.lax.fori_loop(0, 2**level, leap, (q, p, score(q)))
        error = jnp.abs(constant_energy(end[0], end[1]) - constant_energy(q, p))
        return end[0], end[1], jnp.where(jnp.isfinite(error), error, jnp.inf)

    def search(carry):
        level, _, _, _, cost = carry
        there = go(q, p, level, 1.0)
        return level + 1, *there, cost + 2**level

    unfit = lambda carry: (carry[3] > TOLERANCE) & (carry[0] <= HALVINGS)  # noqa: E731
    begin = (0, q, p, jnp.inf, 0)
    level, to, momentum, error, cost = jax.lax.while_loop(unfit, search, begin)

    def look_back(carry):
        coarser, _, cost = carry
        return coarser + 1, go(to, momentum, coarser, -1.0)[2], cost + 2**coarser

    going = lambda carry: (carry[0] < level - 1) & (carry[1] > TOLERANCE)  # noqa: E731
    _, found, cost = jax.lax.while_loop(going, look_back, (0, jnp.inf, cost))
    return to, momentum, cost, (error <= TOLERANCE) & (found > TOLERANCE)


def sample_rival(step, energy, draw_momentum, h: float, length: float) -> tuple[float, float, Any]:
    """Return bulk ESS of v per 1000 gradients, acceptance and tails."""

    @jax.jit
    def one(key, q):
        keys = jax.random.split(key, 3)
        p = draw_momentum(jax.random.normal(keys[0], q.shape), q)
        count = jnp.ceil(length / h * jax.random.uniform(keys[1], minval=0.5, maxval=1.5))

        def body(carry):
            i, q, p, cost, fine = carry
            q, p, spent, reversible = step(q, p, h)
            return i + 1, q, p, cost + spent, fine & reversible

        going = lambda carry: (carry[0] < count) & carry[4]  # noqa: E731
        begin = (0, q, p, 0, jnp.asarray(True))
        _, to, momentum, cost, fine = jax.lax.while_loop(going, body, begin)
        gain = jnp.nan_to_num(energy(q, p) - energy(to, momentum), nan=-jnp.inf)
        accepted = fine & (jnp.log(jax.random.uniform(keys[2])) < gain)
        return jnp.where(accepted, to, q), accepted, cost

    key = jax.random.key(0)
    v = 3 * jax.random.normal(jax.random.key(1), (CHAINS, 1))
    z = jax.random.normal(jax.random.key(2), (CHAINS, LATENTS)) * jnp.exp(v / 2)
    q, kept, accepted, cost = jnp.concatenate([v, z], 1), [], [], 0
    for i in range(DRAWS):
        keys = jax.random.split(jax.random.fold_in(key, i), CHAINS)
        q, taken, spent = jax.vmap(one)(keys, q)
        kept.append(np.asarray(q[:, 0]))
        accepted.append(float(taken.mean()))
        cost += int(spent.sum())
    draws = np.stack(kept, 1)
    ess = float(az.ess(draws))
    tails = [round(float((t).mean()) / TAIL, 2) for t in (draws < -6, draws > 6)]
    return 1000 * ess / cost, float(np.mean(accepted)), tails


def compare_rivals() -> None:
    """Begin at exact draws, so that only the mixing is compared."""
    flat = lambda u, q: u  # noqa: E731
    scaled = lambda u, q: u * jnp.append(1 / 3, jnp.full(LATENTS, jnp.exp(-q[0] / 2)))  # noqa: E731
    for name, step, energy, draw, sizes, lengths in (
        (CONSTANT, pulled_back, pulled_energy, flat, (0.5, 0.9), (1.5,)),
        (BLOCKS, split, split_energy, scaled, (0.1, 0.2, 0.4), (1.5, 4.0)),
        (HALVED, refined, constant_energy, flat, (0.5, 1.0, 2.0), (4.0, 10.0)),
    ):
        found = [(*sample_rival(step, energy, draw, h, t), h, t) for h in sizes for t in lengths]
        rate, accepted, tails, h, t = max(found, key=lambda row: row[0])
        print(f"| {name} | {rate:.2f} | {accepted:.2f} | {tails} | {h} | {t} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=1000, help="draws per chain")
    parser.add_argument("--model", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rivals", action="store_true")
    options = parser.parse_args()
    if options.rivals:
        print("| sampler | ESS of v per 1000 gradients | acceptance | tails | step | length |")
        print("| --- " * 6 + "|")
        compare_rivals()
        return
    print("| model | metric | ESS per 1000 gradients | ESS | gradients | R-hat |", end=" ")
    print("divergent | tails |")
    print("| --- " * 8 + "|")
    for name in options.model:
        report(name, options.seeds, options.draws)


if __name__ == "__main__":
    main()
