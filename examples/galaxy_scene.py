"""A scene of galaxies: images with a constraint, and a prior known by its score alone.

The score is learned from examples by denoising (Vincent 2011), on the logarithm of the pixels.
Two blended galaxies, blurred by a telescope, are then fitted and sampled together.
"""

from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import optax

import bijectors as bj
import infer

SIDE, BANDS, NOISE = 9, 3, 0.05
SHIFTS = ((0, 0), (3, 4))
FRAME = (SIDE + 3, SIDE + 4)
SPECTRA = np.array([[1.0, 2.0, 3.0], [2.5, 1.5, 0.8]])
# The standard deviation of the noise at which the score is learned, in compressed pixels.
SIGMA = 0.3


def galaxy(key):
    """Draw an exponential disk of random size, shape and direction; its peak is about 1."""
    size, ratio, angle = jax.random.uniform(key, (3,))
    x, y = jnp.meshgrid(*[jnp.arange(SIDE) - SIDE // 2] * 2)
    along = x * jnp.cos(np.pi * angle) + y * jnp.sin(np.pi * angle)
    across = (y * jnp.cos(np.pi * angle) - x * jnp.sin(np.pi * angle)) / (0.4 + 0.6 * ratio)
    return 0.98 * jnp.exp(-jnp.hypot(along, across) / (1.0 + size))


def compress(pixels):
    return jnp.log(pixels + 0.01)


class Score(eqx.Module):
    """A network that is the gradient of a function by design: its Jacobian is symmetric."""

    mean: jax.Array
    log_precision: jax.Array
    weight: jax.Array
    bias: jax.Array
    gain: jax.Array

    def __call__(self, image):
        z = image.reshape(-1) - self.mean
        slope = self.weight.T @ (self.gain * jnp.tanh(self.weight @ z + self.bias))
        return (slope - jnp.exp(self.log_precision) * z).reshape(image.shape)


@partial(jax.jit, static_argnames="steps")
def learn(key, steps):
    """Learn to denoise: the expected noise, divided by its variance, is minus the score."""
    keys = jax.random.split(key, 3)
    images = compress(jax.vmap(galaxy)(jax.random.split(keys[0], 500))).reshape(500, -1)
    width = 64
    weight = 0.1 * jax.random.normal(keys[1], (width, SIDE**2))
    score = Score(images.mean(0), jnp.zeros(SIDE**2), weight, jnp.zeros(width), jnp.zeros(width))
    adam = optax.adam(0.01)

    def loss(score, key):
        noise = jax.random.normal(key, images.shape)
        return ((jax.vmap(score)(images + SIGMA * noise) + noise / SIGMA) ** 2).mean()

    def improve(carry, key):
        score, state = carry
        updates, state = adam.update(jax.grad(loss)(score, key), state)
        return (optax.apply_updates(score, updates), state), None

    initial = (score, adam.init(score))
    (score, _), _ = jax.lax.scan(improve, initial, jax.random.split(keys[2], steps))
    return score


class Scene(eqx.Module):
    """Spectra and images of galaxies, and the blur of the telescope, which is frozen."""

    spectra: list
    images: list
    blur: jax.Array

    def __call__(self):
        """Render the scene in every band, shape (bands, *frame)."""
        frame = jnp.zeros((BANDS, *FRAME))
        for (down, right), spectrum, image in zip(SHIFTS, self.spectra, self.images, strict=True):
            pad = [(down, FRAME[0] - down - SIDE), (right, FRAME[1] - right - SIDE)]
            frame += spectrum[:, None, None] * jnp.pad(image, pad)
        return jax.vmap(lambda band: jax.scipy.signal.convolve2d(band, self.blur, "same"))(frame)


def log_likelihood(scene, data):
    return dist.Normal(scene(), NOISE).log_prob(data)


@jax.jit
def observe(key):
    """Make a scene and a noisy observation of it."""
    blur = jnp.outer(*[jnp.array([0.25, 0.5, 0.25])] * 2)
    images = [galaxy(jax.random.key(seed)) for seed in (1, 2)]
    truth = Scene([jnp.asarray(s) for s in SPECTRA], images, blur)
    return truth, truth() + NOISE * jax.random.normal(key, (BANDS, *FRAME))


def make_model(truth, score, data):
    """Make the model; one prior object for all images evaluates the network once for all."""
    spectra = [jnp.ones(BANDS) for _ in SHIFTS]
    flat = Scene(spectra, [jnp.full((SIDE, SIDE), 0.3) for _ in SHIFTS], truth.blur)
    shape = infer.ScorePrior(score, (SIDE, SIDE), pre=compress)
    leaves = {
        "spectra.*": infer.Leaf(prior=dist.LogNormal(0.0, 1.0)),
        "images.*": infer.Leaf(prior=shape, constraint=bj.Interval(0.0, 1.0)),
    }
    return infer.tree_model(flat, log_likelihood, leaves, data=data, rest="frozen")


@jax.jit
def flux(scene):
    """Compute the total flux of each galaxy in each band."""
    return jnp.stack([s * i.sum() for s, i in zip(scene.spectra, scene.images, strict=True)])


def main(steps: int = 500, draws: int = 500) -> None:
    truth, data = observe(jax.random.key(0))
    true_flux = np.asarray(flux(truth))
    model = make_model(truth, learn(jax.random.key(1), steps), data)
    print(model.table())
    try:
        infer.start(model, infer.NUTS())
    except infer.EngineError as error:
        print(error)

    adam = infer.MAP("constrained", optax.adam(0.05), max_steps=400)
    optimum = infer.maximize(model, adam, starts=1)
    found = infer.tree_of(model, optimum)
    print(f"mode: mean flux error {100 * abs(flux(found) / true_flux - 1).mean():.1f} %")

    engine = infer.HMC(energy="path")
    posterior = infer.sample(
        model, engine, chains=2, draws=draws, warmup=200, starts=optimum, key=0, progress=False
    )
    stats = posterior["sample_stats"]
    for name in ("acceptance_rate", "integration_error", "loop_residual"):
        print(f"{name} {float(stats[name].mean()):.2g}")
    fluxes = infer.map_trees(flux, model, posterior)
    mean, error = fluxes.mean((0, 1)), fluxes.std((0, 1))
    for number in range(len(SHIFTS)):
        text = ", ".join(
            f"{m:.1f} ± {e:.1f}" for m, e in zip(mean[number], error[number], strict=True)
        )
        print(f"galaxy {number}: {text}; true {true_flux[number].round(1)}")
    print(f"largest deviation: {abs((mean - true_flux) / error).max():.1f} standard deviations")
    plot(truth, data, infer.map_trees(lambda scene: scene.images, model, posterior))


def plot(truth, data, images) -> None:
    """Draw what was observed, and of each galaxy the truth, the mean and the uncertainty."""
    figure, axes = plt.subplot_mosaic(
        "abcd;aefg", layout="constrained", width_ratios=[2.4, 1, 1, 1]
    )
    colors = np.clip(np.moveaxis(np.asarray(data), 0, -1) / np.max(data), 0, 1)
    axes["a"].imshow(np.sqrt(colors))
    axes["a"].set_title("observed")
    for row, true, drawn in zip(("bcd", "efg"), truth.images, images, strict=True):
        for name, image in zip(row, (true, drawn.mean((0, 1)), drawn.std((0, 1))), strict=True):
            axes[name].imshow(image, vmin=0, vmax=0.2 if name in "dg" else 1)
    for name, title in zip("bcd", ("truth", "mean", "deviation"), strict=True):
        axes[name].set_title(title)
    for axis in axes.values():
        axis.set_axis_off()
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
