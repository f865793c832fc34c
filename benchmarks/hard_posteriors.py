"""Hard posteriors whose quantiles are known, and well-behaved ones to measure false alarms on.

Each hard posterior has independent reference draws, from its closed form or from a fine grid, so
that the error of a run can be measured without another run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

REFERENCE_DRAWS = 200_000
SCHOOLS: dict[str, Any] = {
    "error": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
    "effect": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
}

Draws = dict[str, np.ndarray]


class Hard(NamedTuple):
    """A hard posterior.

    Attributes:
        model: Makes the model.
        reference: Makes independent draws, of shape (draws, *site) for each site that is compared.
        hidden: Whether a run of a few chains near the origin cannot show what it misses.
    """

    model: Callable[[], infer.Model]
    reference: Callable[[], Draws]
    hidden: bool = False


class Error(NamedTuple):
    """The largest errors over all quantities, in standard deviations.

    A standard deviation is half the width of the central 68 % interval of the reference, which
    a heavy tail does not change.

    Attributes:
        mean: Error of the mean; 0 if the posterior has none.
        low: Error of the 5 % quantile.
    """

    mean: float
    low: float


def measure_error(found: Draws, reference: Draws, has_mean: bool = True) -> Error:
    """Compare draws (draws, *site) with reference draws of the same sites."""
    means, lows = [0.0], []
    for name, exact in reference.items():
        low, left, right = np.quantile(exact, [0.05, 0.16, 0.84], axis=0)
        sd = (right - left) / 2
        lows.append(np.max(np.abs(np.quantile(found[name], 0.05, axis=0) - low) / sd))
        if has_mean:
            means.append(np.max(np.abs(found[name].mean(0) - exact.mean(0)) / sd))
    return Error(float(max(means)), float(max(lows)))


def read_draws(data, reference: Draws) -> Draws:
    """Read the quantities of a reference; "log tau" is the logarithm of tau."""
    found = {}
    for name in reference:
        own = np.asarray(data["posterior"][name.removeprefix("log ")])
        own = own.reshape(-1, *own.shape[2:])
        found[name] = np.log(own) if name.startswith("log ") else own
    return found


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _draw_from_grid(model: infer.Model, axes: list[np.ndarray], draws: int) -> np.ndarray:
    """Draw unconstrained vectors from the density on a grid, jittered within its cells."""
    density = infer.log_density(model)
    points = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], -1)
    values = np.asarray(jax.jit(lambda p: jax.lax.map(density, p, batch_size=4096))(points))
    weights = np.exp(values - values.max())
    rng = _rng()
    chosen = points[rng.choice(len(points), draws, p=weights / weights.sum())]
    cells = np.array([axis[1] - axis[0] for axis in axes])
    return chosen + cells * rng.uniform(-0.5, 0.5, chosen.shape)


# Centered funnels.


def _funnel(site):
    v = site("v", dist.Normal(0.0, 3.0))
    site("x", dist.Normal(0.0, jnp.exp(v / 2)), shape=(9,), centered=True)


def _draw_funnel() -> Draws:
    rng = _rng()
    v = rng.normal(0, 3, REFERENCE_DRAWS)
    return {"v": v}


def _schools(site, error, effect):
    mu = site("mu", dist.Normal(0.0, 5.0))
    tau = site("tau", dist.HalfCauchy(5.0))
    theta = site("theta", dist.Normal(mu, tau), shape=(8,), centered=True)
    site.observe("effect", dist.Normal(theta, error), effect)


def _draw_schools() -> Draws:
    """Draw tau from its marginal on a grid, then mu and theta from their normals."""
    rng, (error, effect) = _rng(), SCHOOLS.values()
    log_tau = np.linspace(np.log(1e-4), np.log(1e4), 4000)
    tau = np.exp(log_tau)
    weight = 1 / (tau[:, None] ** 2 + error**2)
    precision = weight.sum(1) + 1 / 25
    middle = (weight * effect).sum(1) / precision
    spread = tau[:, None] ** 2 + error**2
    # Marginal likelihood of tau: effects are normal given mu, and mu is integrated out.
    fit = -0.5 * (np.log(spread) + effect**2 / spread).sum(1)
    log_p = fit + 0.5 * precision * middle**2 - 0.5 * np.log(precision)
    log_p += log_tau - np.log1p((tau / 5) ** 2)
    p = np.exp(log_p - log_p.max())
    index = rng.choice(len(tau), REFERENCE_DRAWS, p=p / p.sum())
    t = tau[index, None]
    mu = rng.normal(middle[index], precision[index] ** -0.5)[:, None]
    own = 1 / (1 / t**2 + 1 / error**2)
    theta = rng.normal(own * (mu / t**2 + effect / error**2), np.sqrt(own))
    return {"mu": mu[:, 0], "tau": tau[index], "log tau": log_tau[index], "theta": theta}


EFFECTS = 40


def _many_groups(site, y):
    tau = site("tau", dist.HalfNormal(1.0))
    level = site("level", dist.Normal(0.0, tau), shape=(EFFECTS,), centered=True)
    site.observe("y", dist.Normal(level, 1.0), y)


def _groups_data() -> np.ndarray:
    return np.random.default_rng(3).normal(0.0, 1.0, EFFECTS)


def _draw_groups() -> Draws:
    rng, y = _rng(), _groups_data()
    log_tau = np.linspace(np.log(1e-5), np.log(10), 4000)
    tau = np.exp(log_tau)
    spread = tau[:, None] ** 2 + 1
    log_p = -0.5 * (np.log(spread) + y**2 / spread).sum(1) - tau**2 / 2 + log_tau
    p = np.exp(log_p - log_p.max())
    index = rng.choice(len(tau), REFERENCE_DRAWS, p=p / p.sum())
    return {"tau": tau[index], "log tau": log_tau[index]}


# Several modes.


def _modes(values, data):
    far = ((values["x"] - data["middles"]) ** 2).sum(-1) / 2
    return jax.nn.logsumexp(jnp.log(data["weights"]) - far)


def _two_modes(middles, weights) -> infer.Model:
    middles = np.asarray(middles, float)
    data = {"middles": middles, "weights": np.asarray(weights)}
    return infer.declared(_modes, {"x": bj.Real(shape=middles.shape[1:])}, data=data)


def _draw_modes(middles, weights) -> Draws:
    rng, middles = _rng(), np.asarray(middles, float)
    index = rng.choice(len(weights), REFERENCE_DRAWS, p=weights)
    return {"x": middles[index] + rng.normal(size=(REFERENCE_DRAWS, middles.shape[1]))}


def modes(middles, weights, hidden: bool = False) -> Hard:
    """Make a mixture of unit normals."""
    return Hard(lambda: _two_modes(middles, weights), lambda: _draw_modes(middles, weights), hidden)


def _far_mode(site):
    x = site("x", dist.Normal(0.0, 20.0), shape=(2,))
    near, far = (-0.5 * ((x - m) ** 2).sum() for m in (0.0, 30.0))
    site.factor("two", jnp.logaddexp(near + jnp.log(0.3), far + jnp.log(0.7) + 1.125 * 2))


def _spike(values):
    x = values["x"]
    size = x.shape[0]
    far = (x**2).sum() / 2
    return jnp.logaddexp(-far, -far / 0.05**2 - size * jnp.log(0.05))


def _draw_spike() -> Draws:
    rng = _rng()
    scale = np.where(rng.random(REFERENCE_DRAWS) < 0.5, 1.0, 0.05)
    return {"x": scale[:, None] * rng.normal(size=(REFERENCE_DRAWS, 4))}


def _labels(site, y):
    mu = site("mu", dist.Normal(0.0, 10.0), shape=(2,))
    each = -0.5 * (y[:, None] - mu) ** 2
    site.factor("y", jax.nn.logsumexp(each, -1).sum())


def _labels_data() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal(-2.0, 1.0, 20), rng.normal(2.0, 1.0, 20)])


def _label_model() -> infer.Model:
    return infer.model(_labels, y=_labels_data())


def _draw_labels() -> Draws:
    axis = np.linspace(-6, 6, 1201)
    return {"mu": _draw_from_grid(_label_model(), [axis, axis], REFERENCE_DRAWS)}


def _factor_model(site, y):
    """A factor model, whose loadings and scores can change their signs together."""
    loading = site("loading", dist.Normal(0.0, 1.0), shape=(5,))
    score = site("score", dist.Normal(0.0, 1.0), shape=(30,))
    site.observe("y", dist.Normal(score[:, None] * loading, 0.5), y)


def _factor_data() -> np.ndarray:
    rng = np.random.default_rng(2)
    loading = np.array([1.0, 0.8, -0.7, 0.9, 1.2])
    return rng.normal(rng.normal(size=(30, 1)) * loading, 0.5)


def _draw_signs() -> Draws:
    """Loadings are symmetric about zero: reflect those of one mode, known from a long run."""
    model = infer.model(_factor_model, y=_factor_data())
    start = {"loading": np.array([1.0, 0.8, -0.7, 0.9, 1.2]), "score": np.zeros(30)}
    data = infer.sample(model, chains=4, draws=5000, starts=start, key=9, progress=False)
    x = np.asarray(data["posterior"]["loading"]).reshape(-1, 5)
    x = x * np.sign(x[:, :1])
    return {"loading": np.concatenate([x, -x])}


# Curved and heavy-tailed posteriors.


def _banana(values):
    x, y = values["x"], values["y"]
    return -0.5 * ((x - 1) ** 2 / 10 + (y - x**2) ** 2 / 0.05)


def _draw_banana() -> Draws:
    rng = _rng()
    x = rng.normal(1, np.sqrt(10), REFERENCE_DRAWS)
    return {"x": x, "y": rng.normal(x**2, np.sqrt(0.05))}


def _ring(values):
    radius = jnp.sqrt((values["x"] ** 2).sum() + 1e-12)
    return -0.5 * ((radius - 10) / 0.1) ** 2 - jnp.log(radius)


def _draw_ring() -> Draws:
    rng = _rng()
    radius = rng.normal(10, 0.1, REFERENCE_DRAWS)
    angle = rng.uniform(0, 2 * np.pi, REFERENCE_DRAWS)
    return {"x": radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)}


SIGNALS, NOISE = 20, 0.5


def _horseshoe(site, y):
    tau = site("tau", dist.HalfCauchy(0.1))
    width = site("width", dist.HalfCauchy(1.0), shape=(SIGNALS,))
    beta = site("beta", dist.Normal(0.0, tau * width), shape=(SIGNALS,), centered=True)
    site.observe("y", dist.Normal(beta, NOISE), y)


def _horseshoe_data() -> np.ndarray:
    signal = np.zeros(SIGNALS)
    signal[:3] = 4.0, -3.0, 2.0
    return np.random.default_rng(5).normal(signal, NOISE)


def _draw_horseshoe() -> Draws:
    """Given tau the coordinates are independent, so all is done on grids of log scales."""
    rng, y, draws = _rng(), _horseshoe_data(), 20_000
    log_tau, log_width = np.linspace(-9, 2, 400), np.linspace(-12, 12, 1200)
    width = np.exp(log_width)
    prior = log_width - np.log1p(width**2)
    spread = (np.exp(log_tau)[:, None] * width) ** 2 + NOISE**2
    # Shape (tau, width, coordinate).
    each = prior[:, None] - 0.5 * (np.log(spread)[..., None] + y**2 / spread[..., None])
    top = each.max(1, keepdims=True)
    log_p = (top[:, 0] + np.log(np.exp(each - top).sum(1))).sum(-1)
    log_p += log_tau - np.log1p((np.exp(log_tau) / 0.1) ** 2)
    p = np.exp(log_p - log_p.max())
    index = rng.choice(len(log_tau), draws, p=p / p.sum())
    share = np.exp(each - top).cumsum(1)
    share /= share[:, -1:]
    picked = (share[index] < rng.random((draws, 1, SIGNALS))).sum(1)
    scale = np.exp(log_tau[index])[:, None] * width[picked]
    shrink = scale**2 / (scale**2 + NOISE**2)
    beta = rng.normal(shrink * y, np.sqrt(shrink) * NOISE)
    return {"log tau": log_tau[index], "beta": beta}


def _cauchy(site):
    site("x", dist.Cauchy(0.0, 1.0), shape=(2,))


def _draw_cauchy() -> Draws:
    return {"x": _rng().standard_cauchy((REFERENCE_DRAWS, 2))}


STEPS, SPAN = 60, 6.0


def _relaxation(site, y):
    """Solve y' = -rate (y - cos t) by the implicit Euler rule; large rates are stiff."""
    log_rate = site("log_rate", dist.Normal(3.0, 2.0))
    start = site("start", dist.Normal(0.0, 2.0))
    rate, step = jnp.exp(log_rate), SPAN / STEPS

    def advance(value, time):
        value = (value + step * rate * jnp.cos(time)) / (1 + step * rate)
        return value, value

    times = step * jnp.arange(1, STEPS + 1)
    path = jax.lax.scan(advance, start, times)[1]
    site.observe("y", dist.Normal(path[9::10], 0.1), y)


def _stiff_model() -> infer.Model:
    times = SPAN / STEPS * np.arange(1, STEPS + 1)
    y = np.cos(times)[9::10] + 0.1 * np.random.default_rng(4).normal(size=STEPS // 10)
    return infer.model(_relaxation, y=y)


def _draw_stiff() -> Draws:
    axes = [np.linspace(-6, 13, 1500), np.linspace(-9, 9, 600)]
    flat = _draw_from_grid(_stiff_model(), axes, REFERENCE_DRAWS)
    return {"log_rate": flat[:, 0], "start": flat[:, 1]}


HARD = {
    "centered funnel": Hard(lambda: infer.model(_funnel), _draw_funnel),
    "centered eight schools": Hard(lambda: infer.model(_schools, **SCHOOLS), _draw_schools),
    "centered groups": Hard(lambda: infer.model(_many_groups, y=_groups_data()), _draw_groups),
    "two modes": modes([[-4.0, 0.0], [4.0, 0.0]], [0.5, 0.5]),
    "two unequal modes": modes([[-3.0] * 3, [3.0] * 3], [0.2, 0.8]),
    "mode never seen": modes([[0.0, 0.0], [30.0, 30.0]], [0.3, 0.7], hidden=True),
    "spike in a slab": Hard(
        lambda: infer.declared(_spike, {"x": bj.Real(shape=(4,))}), _draw_spike, hidden=True
    ),
    "label switching": Hard(_label_model, _draw_labels),
    "signs of factors": Hard(lambda: infer.model(_factor_model, y=_factor_data()), _draw_signs),
    "banana": Hard(lambda: infer.declared(_banana, {"x": bj.Real(), "y": bj.Real()}), _draw_banana),
    "ring": Hard(lambda: infer.declared(_ring, {"x": bj.Real(shape=(2,))}), _draw_ring),
    "horseshoe": Hard(lambda: infer.model(_horseshoe, y=_horseshoe_data()), _draw_horseshoe),
    "Cauchy": Hard(lambda: infer.model(_cauchy), _draw_cauchy),
    "stiff ODE": Hard(_stiff_model, _draw_stiff),
}


# Well-behaved posteriors.


def _schools_non_centered(site, error, effect):
    mu = site("mu", dist.Normal(0.0, 5.0))
    tau = site("tau", dist.HalfCauchy(5.0))
    theta = site("theta", dist.Normal(mu, tau), shape=(8,), centered=False)
    site.observe("effect", dist.Normal(theta, error), effect)


def _logistic(site, x, y):
    b = site("b", dist.Normal(0.0, 1.0), shape=(x.shape[1],))
    site.observe("y", dist.Bernoulli(logits=x @ b), y)


def _logistic_model() -> infer.Model:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    y = rng.random(200) < 1 / (1 + np.exp(-x @ rng.normal(size=6)))
    return infer.model(_logistic, x=x, y=y.astype(float))


def _regression(site, x, y):
    a = site("a", dist.Normal(0.0, 10.0))
    b = site("b", dist.Normal(0.0, 10.0), shape=(3,))
    sigma = site("sigma", dist.HalfNormal(5.0))
    site.observe("y", dist.Normal(a + x @ b, sigma), y)


def _regression_model() -> infer.Model:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    return infer.model(_regression, x=x, y=rng.normal(1 + x @ np.array([1.0, -2.0, 0.5]), 0.7))


def _strong_groups(site, y):
    """Centered, and rightly so: there are many data in each group."""
    mu = site("mu", dist.Normal(0.0, 5.0))
    tau = site("tau", dist.HalfNormal(2.0))
    level = site("level", dist.Normal(mu, tau), shape=(12,), centered=True)
    site.observe("y", dist.Normal(level[:, None], 1.0), y)


def _strong_model() -> infer.Model:
    rng = np.random.default_rng(6)
    return infer.model(_strong_groups, y=rng.normal(rng.normal(1, 1.5, (12, 1)), 1.0, (12, 20)))


def _mixed_sets(site):
    site("rate", dist.Gamma(3.0, 3.0))
    site("share", dist.Dirichlet(jnp.array([1.0, 2.0, 4.0])))
    site("t", dist.StudentT(5.0, 0.0, 1.0))
    site("late", dist.LogNormal(0.0, 1.0))


def _normal(values, data):
    return -0.5 * values["x"] @ (data["precision"] @ values["x"])


def _normal_model(size: int) -> infer.Model:
    basis = np.random.default_rng(size).normal(size=(size, size + 3))
    precision = np.linalg.inv(basis @ basis.T / size)
    supports = {"x": bj.Real(shape=(size,))}
    return infer.declared(_normal, supports, data={"precision": precision})


GOOD: dict[str, Callable[[], infer.Model]] = {
    "eight schools, non-centered": lambda: infer.model(_schools_non_centered, **SCHOOLS),
    "logistic regression": _logistic_model,
    "linear regression": _regression_model,
    "centered groups with many data": _strong_model,
    "gamma, Dirichlet, Student's t, lognormal": lambda: infer.model(_mixed_sets),
    "normal, 2 dimensions": lambda: _normal_model(2),
    "normal, 10 dimensions": lambda: _normal_model(10),
    "normal, 50 dimensions": lambda: _normal_model(50),
}
