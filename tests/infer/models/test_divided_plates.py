"""A plate whose rows are divided over devices says what it cannot divide."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import make_family
from infer.errors import ModelError

X = np.arange(6.0)


def of_rows(site, x, **more):
    rate = site("rate", dist.Normal(0, 1))
    with site.plate("rows", 6, shard=True, **more) as rows:
        site.observe("y", dist.Normal(rate, 1), x[rows])


def repeated(site, x):
    def step(site, rate, x):
        with site.plate("rows", 6, shard=True):
            site.observe("y", dist.Normal(rate, 1), x)
        return rate, None

    site.scan(step, site("rate", dist.Normal(0, 1)), x)


def twice(site, x):
    of_rows(site.scope("first"), x)
    with site.plate("rows", 3, shard=True) as rows:
        site.observe("z", dist.Normal(0, 1), x[:3][rows])


def test_on_one_device_it_is_a_plate_as_any_other():
    def undivided(site, x):
        plate = site.plate
        site.plate = lambda name, size, shard: plate(name, size)
        of_rows(site, x)

    one, two = (infer.log_density(infer.model(own, x=X)) for own in (of_rows, undivided))
    assert one(jnp.ones(1)) == two(jnp.ones(1))
    assert one.sites == two.sites


CASES = {
    "no row": (lambda: infer.model(of_rows, x=infer.static(X)), "no data have 6 rows"),
    "in a scan": (lambda: infer.model(repeated, x=np.zeros((4, 6))), "inside a scan has shard"),
    "two sizes": (lambda: infer.model(twice, x=X), "has 3 rows here, and 6 at an earlier plate"),
    "minibatch": (
        lambda: infer.model(lambda site, x: of_rows(site, x, minibatch=2), x=X),
        "shard=True and a minibatch",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_divided_is_refused(name):
    make, message = CASES[name]
    with pytest.raises(ModelError, match=f"rows: .*{message}"):
        infer.log_density(make())


def test_several_models_with_divided_plates_are_refused():
    with pytest.raises(ModelError, match="rows: .* there are several models"):
        make_family([infer.model(of_rows, x=X + i) for i in range(2)], jacobian=True)
