"""Compare three Hamiltonian Monte Carlo samplers on the funnel, from exact draws.

    python -m benchmarks.metric_rivals

One has a metric that is constant in the coordinates v / 3 and z exp(-v / 2); one a block-diagonal
metric whose block of z depends on v (Kailas, Vihola & Wallin 2026, arXiv 2604.09832), by Strang
splitting; and one a constant metric whose steps are halved until their energy error is small, and
which rejects the trajectory if they cannot be reversed (as in WALNUTS: Bou-Rabee, Carpenter, Kleppe
& Liu 2025, arXiv 2506.18746). The first two know the right scales. Each gets the best of several
step sizes and lengths.
"""

from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np

from .funnel import TAIL

jax.config.update("jax_enable_x64", True)
# Positions are v and nine z; all chains are advanced at once.
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
    print("| sampler | ESS of v per 1000 gradients | acceptance | tails | step | length |")
    print("| --- " * 6 + "|")
    compare_rivals()


if __name__ == "__main__":
    main()
