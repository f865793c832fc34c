"""A model whose entries have scales of their own is known before anything is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.density.own_scales import has_own_scales

DATA = np.linspace(-1.0, 1.0, 12).reshape(3, 4)


def horseshoe(site, x):
    tau, lam = site("tau", dist.HalfCauchy(0.1)), site("lam", dist.HalfCauchy(1.0), shape=(4,))
    z = site("z", dist.Normal(), shape=(4,))
    wide = site("wide", dist.InverseGamma(2.0, 8.0))
    bounded = jnp.sqrt(wide) * lam / jnp.sqrt(wide + tau**2 * lam**2)
    site.observe("y", dist.Normal(x @ (z * (bounded * tau)), 1.0), x[:, 0])


def centered(site, x):
    lam = site("lam", dist.HalfCauchy(1.0), shape=(4,))
    slope = site("slope", dist.Normal(0.0, lam), shape=(4,), centered="auto")
    site.observe("y", dist.Normal(x @ slope, 1.0), x[:, 0])


def one_scale_for_all(site, x):
    tau, z = site("tau", dist.HalfCauchy(1.0)), site("z", dist.Normal(), shape=(4,))
    site.observe("y", dist.Normal(x @ (z * tau), 1.0), x[:, 0])


def one_scale_for_a_row(site, x):
    tau, z = site("tau", dist.HalfCauchy(1.0), shape=(3,)), site("z", dist.Normal(), shape=(3, 4))
    site.observe("y", dist.Normal(z * tau[:, None], 1.0), x)


def scales_of_differences(site, x):
    lam, z = site("lam", dist.HalfCauchy(1.0), shape=(4,)), site("z", dist.Normal(), shape=(4,))
    ability = site("ability", dist.Normal(), shape=(3, 1))
    site.observe("y", dist.Normal(lam * (ability - z), 1.0), x)


def narrow(site, x):
    lam, z = site("lam", dist.HalfNormal(1.0), shape=(4,)), site("z", dist.Normal(), shape=(4,))
    site.observe("y", dist.Normal(x @ (z * lam), 1.0), x[:, 0])


def printed(site, x):
    jax.debug.callback(lambda value: None, site("printed", dist.Normal(), shape=(4,)))
    horseshoe(site, x)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (horseshoe, True),
        (centered, False),
        (one_scale_for_all, False),
        (one_scale_for_a_row, False),
        (scales_of_differences, False),
        (narrow, False),
        (printed, True),
    ],
)
def test_scales_of_single_entries_are_found(model, expected):
    assert has_own_scales(infer.model(model, x=DATA)) is expected


def test_they_are_found_in_a_numpyro_program():
    def program(x):
        lam = numpyro.sample("lam", dist.HalfCauchy(1.0).expand([4]))
        z = numpyro.sample("z", dist.Normal().expand([4]))
        numpyro.sample("y", dist.Normal(x @ jnp.multiply(lam, z), 1.0), obs=x[:, 0])

    assert has_own_scales(infer.from_numpyro(program, x=DATA))


def test_they_are_found_where_the_density_divides_by_them():
    def log_density(q):
        return -0.5 * (((q["x"] - 0.0) / q["lam"]) ** 2).sum() - q["lam"].sum()

    sites = {"lam": bj.Positive(shape=(4,)), "x": bj.Real(shape=(4,))}
    assert has_own_scales(infer.declared(log_density, sites))
