"""Mistakes in functions of `site`."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer


def data_that_hold_nan():
    """A missing value is NaN. It would make the log density NaN everywhere."""
    y = np.array([1.2, np.nan, 0.7])
    infer.model(lambda site, y: site.observe("y", dist.Normal(0.0, 1.0), y), y=y)


def data_of_another_shape():
    """There is one mean too many. Plain broadcasting would make unwanted rows."""

    def model(site, y):
        mean = site("mean", dist.Normal(jnp.zeros(4), 1.0))
        site.observe("y", dist.Normal(mean, 1.0), y)

    infer.sample(infer.model(model, y=np.zeros(3)))


def a_name_used_twice():
    """A part of a model is called twice, so its sites share their names."""

    def line(site, x):
        return x * site("slope", dist.Normal(0.0, 1.0))

    infer.sample(infer.model(lambda site: line(site, 1.0) + line(site, 2.0)))


def a_discrete_latent_site():
    """Gradients exist only for continuous values."""

    def model(site, y):
        component = site("component", dist.Categorical(jnp.array([0.3, 0.7])))
        site.observe("y", dist.Normal(2.0 * component, 1.0), y)

    infer.sample(infer.model(model, y=np.array([0.1, 2.2])))


def a_start_outside_its_set():
    """The logarithm of a scale is given, but the model has the scale itself."""
    model = infer.model(lambda site: site("scale", dist.HalfNormal(1.0)))
    infer.sample(model, starts={"scale": -0.5})


def a_likelihood_that_is_nowhere_finite():
    """The data lie outside the support, whatever the start."""

    def model(site, y):
        rate = site("rate", dist.HalfNormal(1.0))
        site.observe("y", dist.Exponential(rate), y)

    infer.sample(infer.model(model, y=np.array([0.3, -1.0, 2.0])))


def numpy_on_traced_data():
    """Data are arguments of the compiled program, which NumPy cannot read."""

    def model(site, group, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(len(np.unique(group)),))
        site.observe("y", dist.Normal(level[group], 1.0), y)

    infer.sample(infer.model(model, group=np.array([0, 0, 1]), y=np.zeros(3)))


def an_index_out_of_range():
    """XLA would silently take the nearest entry. Data are known before a run, and are checked."""

    def model(site, group, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(3,))
        site.observe("y", dist.Normal(level[group], 1.0), y)

    infer.sample(infer.model(model, group=np.array([1, 2, 3]), y=np.zeros(3)))


def an_if_on_a_latent_value():
    """The program is traced before values are known, so Python cannot branch on them."""

    def model(site):
        x = site("x", dist.Normal(0.0, 1.0))
        if x > 0:
            site.factor("reward", x)

    infer.sample(infer.model(model))


def strings_in_the_data():
    """Arrays hold numbers. Words and categories need integer codes."""

    def model(site, school, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(2,))
        site.observe("y", dist.Normal(level[school], 1.0), y)

    infer.model(model, school=np.array(["Choate", "Deerfield"]), y=np.zeros(2))


def a_mode_asked_for_as_a_sample():
    """MAP finds one point; it makes no draws."""
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    infer.sample(model, infer.MAP(space="constrained"))


def a_keyword_of_another_library():
    """NumPyro, PyMC, BlackJAX, Stan and TFP have other names for the same settings."""
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    infer.sample(model, num_samples=1000)  # pyright: ignore[reportCallIssue]


MISTAKES = (
    data_that_hold_nan,
    data_of_another_shape,
    a_name_used_twice,
    a_discrete_latent_site,
    a_start_outside_its_set,
    a_likelihood_that_is_nowhere_finite,
    numpy_on_traced_data,
    an_index_out_of_range,
    an_if_on_a_latent_value,
    strings_in_the_data,
    a_mode_asked_for_as_a_sample,
    a_keyword_of_another_library,
)
