"""Random small functions of one vector, by family of primitives, modes and types.

Each family draws a function at random. It takes a vector of `SIZE` numbers between 0.1 and 0.9 and
returns an array of any shape. Its name says what was drawn. A function without a derivative is
marked, and is then applied to data only.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
from jax import lax
from jax.scipy import linalg

SIZE = 6
Generator = np.random.Generator


class Drawn(NamedTuple):
    """A function, its name, and its properties.

    Attributes:
        name: What was drawn.
        function: Takes a vector of `SIZE` numbers in (0.1, 0.9).
        smooth: Whether JAX can differentiate it.
        digits: "full", or "few" if it rounds to a short type in between.
    """

    name: str
    function: Callable
    smooth: bool = True
    digits: str = "full"


def pick(rng: Generator, *choices):
    return choices[rng.integers(len(choices))]


def named(rng: Generator, table: dict[str, Callable]) -> Drawn:
    name = pick(rng, *table)
    return Drawn(name, table[name])


def matrix(a, rows=SIZE):
    """Make a well-conditioned square matrix of a vector."""
    b = jnp.resize(a, (rows,))
    return jnp.sin(3 * b[:, None] * jnp.arange(1.0, rows + 1) + b) / rows + 2 * jnp.eye(rows)


def positive(a, rows=SIZE):
    m = matrix(a, rows)
    return m @ m.T + jnp.eye(rows)


def scatters(rng: Generator) -> Drawn:
    """Change entries in any way and mode, with indices out of range, repeated or sorted."""
    kind = pick(rng, "set", "add", "subtract", "multiply", "divide", "power", "min", "max", "apply")
    mode = pick(rng, None, "drop", "clip", "promise_in_bounds", "fill")
    rows = pick(rng, 3, 7, 40)
    count = pick(rng, 0, 1, 3, 5, 16)
    reach = pick(rng, 0, 3)
    twice = kind != "set" or mode != "clip"
    places = rng.integers(-reach, rows + reach, count)
    if not twice or kind == "set":
        places = rng.permutation(np.arange(-reach, rows + reach))[:count]
        # For two indices that are clipped to the same row, the order is undefined.
        places = np.unique(np.clip(places, 0, rows - 1)) if mode == "clip" else places
        places = places[(places >= 0) | (mode == "promise_in_bounds")]
    order = pick(rng, False, True)
    places = np.sort(places) if order else places
    dtype = pick(rng, np.int32, np.int64, np.uint8, np.int8)
    places = np.abs(places).astype(dtype) if dtype is np.uint8 else places.astype(dtype)
    if kind == "set":
        places = np.unique(places)
    # Negative indices can repeat others. If indices repeat, JAX cannot differentiate products.
    unique = len(np.unique(places % rows)) == len(places) and mode != "clip"
    width = pick(rng, 0, 1, 4)
    wide = (rows, width) if width else (rows,)
    function = pick(rng, lambda b: 10 * b + 3, jnp.sin, lambda b: jnp.where(b > 0.5, b, b * b))

    def change(a):
        operand = 0.5 + jnp.resize(a, wide)
        new = 0.3 + jnp.resize(a[::-1] * 1.1, (len(places), *wide[1:]))
        at = operand.at[jnp.asarray(places)]
        options = {"mode": mode, "indices_are_sorted": order and reach == 0}
        if kind in ("multiply", "divide", "power") and unique:
            options["unique_indices"] = True
        return (
            at.apply(function, **options) if kind == "apply" else getattr(at, kind)(new, **options)
        )

    name = f"at[{dtype.__name__} {len(places)} of {wide}].{kind}(mode={mode}, outside={reach > 0})"
    return Drawn(name, change, smooth=kind != "apply")


def gathers(rng: Generator) -> Drawn:
    rows, count, reach = pick(rng, 3, 6, 20), pick(rng, 1, 4, 15), pick(rng, 0, 2)
    mode = pick(rng, None, "fill", "clip", "promise_in_bounds", "drop")
    places = jnp.asarray(rng.integers(-reach, rows + reach, count))
    inside = jnp.abs(places) % rows
    begin = jnp.asarray(rng.integers(-2, rows + 2))
    columns = jnp.asarray(rng.integers(0, 3, count))
    return named(
        rng,
        {
            f"get(mode={mode}, outside={reach > 0})": lambda a: (
                jnp.resize(a, (rows,)).at[places].get(mode=mode, fill_value=0.25)
            ),
            f"get rows(mode={mode})": lambda a: (
                jnp.resize(a, (rows, 3)).at[places].get(mode=mode, fill_value=0.5)
            ),
            "take": lambda a: jnp.take(jnp.resize(a, (rows,)), inside),
            "pairs": lambda a: jnp.resize(a, (rows, 3))[inside, columns],
            "take_along_axis": lambda a: jnp.take_along_axis(
                jnp.resize(a, (3, rows)), jnp.tile(inside, (3, 1)), 1
            ),
            "dynamic_slice": lambda a: lax.dynamic_slice(jnp.resize(a, (rows,)), (begin,), (2,)),
            "dynamic_update_slice": lambda a: lax.dynamic_update_slice(
                jnp.resize(a, (rows,)), a[:2] * 2, (begin,)
            ),
            "mask": lambda a: jnp.where(jnp.arange(SIZE) % 2 == 0, a, a[::-1] ** 2),
            "at mask": lambda a: a.at[np.arange(SIZE) > 2].set(0.1),
            "roll": lambda a: jnp.roll(a, 2) * jnp.flip(a),
        },
    )


def products(rng: Generator) -> Drawn:
    m, k, n = (pick(rng, 1, 2, 9, 33, 50) for _ in range(3))
    batch = pick(rng, 2, 3)
    precision = pick(rng, None, "default", "high", "highest", "float32", ("high", "highest"))
    kinds = {"float32": "full", "float64": "full", "bfloat16": "few", "float16": "few"}
    short = pick(rng, *kinds)
    whole = rng.integers(-3, 4, (k, n))

    def cast(a):
        left, right = (jnp.resize(a, s).astype(short) for s in ((m, k), (k, n)))
        dimensions = (((1,), (0,)), ((), ()))
        return lax.dot_general(left, right, dimensions, preferred_element_type=a.dtype)

    def over_two(a):
        left, right = jnp.resize(a, (m, batch, k)), jnp.resize(a * 1.3, (batch, n, k))
        dimensions = (((2,), (2,)), ((1,), (0,)))
        return lax.dot_general(left, right, dimensions, precision=precision)

    name = pick(rng, "matmul", "batches", "short", "einsum", "whole", "outer", "vector")
    functions = {
        "matmul": lambda a: jnp.matmul(
            jnp.resize(a, (m, k)), jnp.resize(a, (k, n)), precision=precision
        ),
        "batches": over_two,
        "short": cast,
        "einsum": lambda a: jnp.einsum(
            "bik,bkj,j->bi", jnp.resize(a, (2, m, k)), jnp.resize(a, (2, k, n)), jnp.ones(n)
        ),
        "whole": lambda a: jnp.resize(a, (m, k)) @ jnp.asarray(whole).astype(a.dtype),
        "outer": lambda a: jnp.tensordot(a[:, None] * a, jnp.resize(a, (SIZE, SIZE, 4)), 2),
        "vector": lambda a: jnp.resize(a, (m, k)) @ jnp.resize(a, (k,)),
    }
    detail = {"short": short, "batches": precision, "matmul": precision}.get(name, "")
    digits = kinds[short] if name == "short" else "full"
    return Drawn(f"{name} {m}x{k}x{n} {detail}", functions[name], digits=digits)


def algebra(rng: Generator) -> Drawn:
    rows = pick(rng, 1, 2, 5, 17, 33, 130)
    lower, trans, unit = pick(rng, False, True), pick(rng, 0, 1), pick(rng, False, True)
    symmetric = lambda a: positive(a, rows)
    side = lambda a: jnp.resize(a, (rows, 3))
    few = min(rows, 5)
    batches = lambda a: jnp.stack([positive(a * s, few) for s in (1.0, 0.7, 0.4)])
    apart = lambda a: positive(a, few) + jnp.diag(3.0 * jnp.arange(few))
    drawn = named(
        rng,
        {
            "cholesky": lambda a: jnp.linalg.cholesky(symmetric(a)),
            "cholesky of batches": lambda a: jnp.linalg.cholesky(batches(a)),
            "upper cholesky": lambda a: linalg.cholesky(symmetric(a), lower=False),
            "cho_solve": lambda a: linalg.cho_solve(linalg.cho_factor(symmetric(a)), side(a)),
            f"solve_triangular {lower} {trans} {unit}": lambda a: linalg.solve_triangular(
                matrix(a, rows), side(a), lower=lower, trans=trans, unit_diagonal=unit
            ),
            "triangular_solve from the right": lambda a: lax.linalg.triangular_solve(
                matrix(a, rows), side(a).T, left_side=False, lower=lower, transpose_a=bool(trans)
            ),
            "solve": lambda a: jnp.linalg.solve(matrix(a, rows), side(a)),
            "inv": lambda a: jnp.linalg.inv(matrix(a, rows)),
            "slogdet": lambda a: jnp.linalg.slogdet(matrix(a, rows))[1][None],
            "det": lambda a: jnp.linalg.det(matrix(a, few))[None],
            "eigvalsh": lambda a: jnp.linalg.eigvalsh(apart(a)),
            "eigh": lambda a: jnp.linalg.eigh(apart(a))[1] ** 2,
            "qr": lambda a: jnp.linalg.qr(matrix(a, few))[1] ** 2,
            "svd": lambda a: jnp.linalg.svd(apart(a), compute_uv=False),
            "expm": lambda a: linalg.expm(matrix(a, few) / 4),
            "pinv": lambda a: jnp.linalg.pinv(matrix(a, few)),
            "solve of a positive": lambda a: linalg.solve(symmetric(a), side(a), assume_a="pos"),
            "block": lambda a: linalg.block_diag(a[:2, None] * a[:2], matrix(a, 3)),
        },
    )
    return drawn._replace(name=f"{drawn.name}, {rows} rows")


def rounded(a, rows=7):
    """Add two products, of which XLA may round either, and either one at each use."""
    b, scales = jnp.resize(a, (rows,)), 0.4 + jnp.arange(rows) / rows
    return jnp.tanh(b / (1 + b * scales)) * scales + b * (1.7 - scales)


def orders(rng: Generator) -> Drawn:
    reverse, long = pick(rng, False, True), pick(rng, 6, 40)
    more = lambda a: jnp.resize(a, (long,)) * (1 + jnp.arange(long) / long)
    knots = jnp.linspace(0.0, 1.0, 7)
    place = jnp.asarray(rng.integers(0, 7, 7))
    return named(
        rng,
        {
            "sort": lambda a: jnp.sort(more(a)) * jnp.arange(long),
            "argsort": lambda a: a[jnp.argsort(jnp.sin(9 * a))],
            "top_k": lambda a: lax.top_k(more(a), 3)[0],
            "median": lambda a: jnp.median(a)[None],
            "quantile": lambda a: jnp.quantile(more(a), jnp.asarray([0.2, 0.7])),
            "searchsorted": lambda a: a * jnp.searchsorted(knots, a),
            "interp": lambda a: jnp.interp(a, knots, jnp.sin(knots)),
            "cumsum": lambda a: lax.cumsum(more(a), reverse=reverse) / long,
            "cumprod": lambda a: lax.cumprod(1.5 - more(a) / 2, reverse=reverse),
            "cummax": lambda a: lax.cummax(jnp.sin(7 * more(a)), reverse=reverse),
            "cummin": lambda a: lax.cummin(jnp.sin(7 * more(a)), reverse=reverse),
            "cumlogsumexp": lambda a: lax.cumlogsumexp(more(a), reverse=reverse),
            "associative_scan": lambda a: lax.associative_scan(
                lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (a, a**2)
            )[1],
            "fft": lambda a: jnp.abs(jnp.fft.fft(a)) ** 2,
            "rfft": lambda a: jnp.fft.irfft(jnp.fft.rfft(a) * jnp.arange(4)),
            "unique": lambda a: jnp.unique(jnp.round(a * 3), size=4),
            "lexsort": lambda a: a[jnp.lexsort((jnp.sin(9 * a), jnp.round(a)))],
            "diff": lambda a: jnp.diff(a, n=2),
            "equal to itself": lambda a: jnp.where((b := rounded(a))[:, None] == b, 2 * b, b),
            "rank": lambda a: jnp.sum((b := rounded(a))[:, None] < b, 0) * b / 9,
            "distances": lambda a: jnp.where((b := rounded(a))[:, None] - b == 0, 0.5, b),
            "larger of pairs": lambda a: jnp.maximum((b := rounded(a))[:, None], b),
            "at the median": lambda a: jnp.where((b := rounded(a)) <= jnp.median(b), b, 2 * b),
            "place in its order": lambda a: jnp.searchsorted(jnp.sort(b := rounded(a)), b) * b / 9,
            "scatter and gather": lambda a: (b := rounded(a)).at[place].max(b[::-1] * b)[place],
        },
    )


def controls(rng: Generator) -> Drawn:
    turns = pick(rng, 1, 3, 8)
    place = jnp.asarray(rng.integers(0, SIZE, 4))
    add = lambda b: b.at[place].add(jnp.sin(b[:4])) / 2

    def newton(a):
        """Take square roots in a while loop, with the derivative of the root."""
        root = lax.while_loop(
            lambda c: jnp.abs(c**2 - a).max() > 1e-6, lambda c: (c + a / c) / 2, jnp.ones_like(a)
        )
        fixed = lax.stop_gradient(root)
        return fixed - (fixed**2 - a) / (2 * fixed)

    def roots(a):
        return lax.custom_root(
            lambda c: c**2 - a,
            jnp.ones_like(a),
            lambda f, c: lax.fori_loop(0, 9, lambda _, c: c - f(c) / (2 * c), c),
            lambda g, y: y / g(jnp.ones_like(y)),
        )

    def linear(a):
        matrix_of_a = positive(a)
        times = lambda v: matrix_of_a @ v
        solve = lambda _, b: jnp.linalg.solve(matrix_of_a, b)
        return lax.custom_linear_solve(times, a, solve, symmetric=True)

    return named(
        rng,
        {
            "scan": lambda a: lax.scan(lambda c, s: (add(c * s), c.sum()), a, a)[1],
            "scan in reverse": lambda a: lax.scan(
                lambda c, s: (c * s + a, c), a, a, reverse=True, unroll=2
            )[1],
            f"fori_loop {turns}": lambda a: lax.fori_loop(0, turns, lambda i, c: add(c + i * a), a),
            "while": newton,
            "custom_root": roots,
            "custom_linear_solve": linear,
            "cond": lambda a: lax.cond(a[0] > a[1], add, lambda b: 2 * b, a),
            "cond in vmap": jax.vmap(lambda b: lax.cond(b > 0.5, jnp.sin, lambda c: c * c, b)),
            "switch": lambda a: lax.switch(jnp.int32(9 * a[0]) % 3, [add, jnp.sin, jnp.exp], a),
            "map": lambda a: lax.map(lambda s: add(a * s).sum(), a),
            "map in batches": lambda a: lax.map(lambda s: (a * s).sum(), a, batch_size=4),
            "nested loops": lambda a: lax.map(
                lambda s: lax.fori_loop(0, 2, lambda _, b: add(b * s), a), a
            ),
            "checkpoint": jax.checkpoint(lambda a: add(jnp.sin(a))),
            "vmap": lambda a: jax.vmap(add)(a[:, None] * a),
            "axis": lambda a: jax.vmap(lambda s: s - lax.pmean(s, "i"), axis_name="i")(a),
            "hessian": lambda a: jax.hessian(lambda b: (add(b) ** 2).sum())(a),
            "jvp": lambda a: jax.jvp(add, (a,), (a * 2,))[1],
            "associative": lambda a: lax.associative_scan(jnp.multiply, a, reverse=True),
        },
    )


@jax.custom_jvp
def own_derivative(a):
    return jnp.sin(a).at[:2].multiply(3.0)


own_derivative.defjvps(lambda t, _, a: t * 2.5)


@jax.custom_vjp
def own_adjoint(a):
    return jnp.cumsum(a)


own_adjoint.defvjp(lambda a: (jnp.cumsum(a), a), lambda a, g: (g * a,))


@jax.custom_vjp
def called(a):
    shape = jax.ShapeDtypeStruct(a.shape, a.dtype)
    return jax.pure_callback(lambda b: np.sin(b), shape, a, vmap_method="sequential")


called.defvjp(lambda a: (called(a), a), lambda a, g: (g * jnp.cos(a),))


@jax.custom_batching.custom_vmap
def own_batches(a):
    return a.at[jnp.array([1, 1])].add(a[:2])


@own_batches.def_vmap
def _(_, batched, a):
    return jax.vmap(lambda b: b.at[jnp.array([1, 1])].add(b[:2]))(a), batched[0]


def customs(rng: Generator) -> Drawn:
    drawn = named(
        rng,
        {
            "custom_jvp": own_derivative,
            "custom_vjp": own_adjoint,
            "pure_callback": called,
            "custom_vmap": own_batches,
            "linear_call": lambda a: jax.custom_derivatives.linear_call(
                lambda r, b: b * r, lambda r, b: b * r, a, a
            ),
            "stop_gradient": lambda a: a * lax.stop_gradient(jnp.sin(a)),
            "closure_convert": lambda a: jax.closure_convert(jnp.tanh, a)[0](a),
            "optimization_barrier": lambda a: lax.optimization_barrier(a) ** 2,
            "inner jit": jax.jit(lambda a: jnp.cos(a), inline=False),
            "relu": lambda a: jax.nn.relu(a - 0.5) + jax.nn.softplus(a),
            "logsumexp": lambda a: special.logsumexp(a[:, None] * a, axis=0),
            "ordered print": lambda a: (jax.debug.callback(lambda _: None, a, ordered=True), a)[1],
            "print": lambda a: (jax.debug.callback(lambda _: None, a), a)[1],
            "ordered io_callback": lambda a: (
                a
                + 0
                * jax.experimental.io_callback(
                    lambda b: np.asarray(b),
                    jax.ShapeDtypeStruct(a.shape, a.dtype),
                    lax.stop_gradient(a),
                    ordered=True,
                )
            ),
        },
    )
    return drawn._replace(smooth=drawn.name != "custom_vmap")


def segments(rng: Generator) -> Drawn:
    groups, rows = pick(rng, 1, 3, 9), pick(rng, 6, 30)
    group = rng.integers(0, groups + pick(rng, 0, 2), rows)
    order = pick(rng, False, True)
    group = jnp.asarray(np.sort(group) if order else group)
    more = lambda a: jnp.resize(jnp.sin(5 * a), (rows,)) * jnp.arange(1.0, rows + 1)
    options = {"num_segments": groups, "indices_are_sorted": order}
    weights = lambda a: jnp.resize(a, (rows,))
    axis = pick(rng, 0, 1, None)
    block = lambda a: jnp.sin(9 * a[:, None] * a + jnp.arange(SIZE))
    reduced = lambda f: lambda a: jnp.atleast_1d(f(block(a), axis=axis))
    return named(
        rng,
        {
            "segment_sum": lambda a: jax.ops.segment_sum(more(a), group, **options) / rows,
            "segment_max": lambda a: jnp.tanh(jax.ops.segment_max(more(a), group, **options)),
            "segment_min": lambda a: jnp.tanh(jax.ops.segment_min(more(a), group, **options)),
            "segment_prod": lambda a: jax.ops.segment_prod(1 + weights(a) / 9, group, **options),
            "bincount": lambda a: jnp.bincount(group, weights(a), length=groups),
            "counts": lambda a: jnp.bincount(group, length=groups) * a[0],
            "level[group]": lambda a: jnp.resize(a, (groups,))[group] * weights(a),
            "table[group]": lambda a: jnp.resize(a, (groups, 4))[group].sum(0),
            "histogram": lambda a: jnp.histogram(group, bins=4)[0] * a[0],
            "sum": reduced(jnp.sum), "prod": reduced(jnp.prod), "max": reduced(jnp.max),
            "min": reduced(jnp.min), "var": reduced(jnp.var), "norm": reduced(jnp.linalg.norm),
            "largest norm": lambda a: jnp.linalg.norm(block(a), ord=jnp.inf, axis=axis or 0),
            "argmax": lambda a: a[jnp.argmax(jnp.sin(9 * a))][None],
            "any": lambda a: jnp.where(jnp.any(block(a) > 0.9, axis=0), a, a * a),
        },
    )  # fmt: skip


def of_two(function):
    return lambda a: function(a + 1.1, 0.2 + a[::-1])


def specials(rng: Generator) -> Drawn:
    shift = pick(rng, 0.0, 1.0, 5.0)
    names = (
        "gammaln",
        "digamma",
        "erf",
        "erfc",
        "erfinv",
        "ndtri",
        "ndtr",
        "log_ndtr",
        "i0",
        "i0e",
    )
    names += ("i1", "i1e", "logit", "expit", "entr", "expi", "exp1", "gamma", "log_softmax")
    two = ("gammainc", "gammaincc", "betaln", "xlogy", "xlog1py", "zeta", "rel_entr", "kl_div")
    one = {n: getattr(special, n) for n in names}
    moved = {
        f"gammaln(x + {shift})": lambda a: special.gammaln(a + shift),
        "polygamma": lambda a: special.polygamma(2, a + 1) / 9,
        "betainc": lambda a: special.betainc(1 + a, 2.0, a),
        "multigammaln": lambda a: special.multigammaln(a + 4, 3),
    }
    pairs = {n: of_two(getattr(special, n)) for n in two}
    pairs |= {
        "gammainc": lambda a: special.gammainc(2.0, a + 1),
        "zeta": lambda a: special.zeta(2 + a, 1.0),
    }
    pairs |= {"gammaincc": lambda a: special.gammaincc(2.0, a + 1)}
    elementary = (
        "log1p",
        "expm1",
        "sinh",
        "arctanh",
        "cbrt",
        "sinc",
        "logaddexp",
        "arctan2",
        "hypot",
    )
    plain = {n: getattr(jnp, n) for n in elementary[:6]}
    plain |= {n: of_two(getattr(jnp, n)) for n in elementary[6:]}
    return named(rng, one | moved | pairs | plain)


def types(rng: Generator) -> Drawn:
    short = pick(rng, "float16", "bfloat16", "float32", "float64")
    whole = pick(rng, "int8", "int16", "int32", "int64", "uint8", "uint32")
    counts = jnp.asarray(rng.integers(0, 5, SIZE)).astype(whole)
    places = jnp.asarray(rng.integers(0, 4, SIZE))
    flags = jnp.asarray(rng.random(SIZE) < 0.5)
    number = lambda b, a: b.astype(a.dtype)
    function = {
        f"through {short}": lambda a: number(jnp.sin(a.astype(short)) * 2, a),
        f"{short} scatter": lambda a: number(
            jnp.zeros(4, short).at[places].add(a.astype(short)), a
        ),
        f"{whole} scatter": lambda a: a[:4] * number(jnp.zeros(4, whole).at[places].add(counts), a),
        f"{whole} max scatter": lambda a: (
            a[:4] * number(jnp.zeros(4, whole).at[places].max(counts), a)
        ),
        f"{whole} product": lambda a: a * number(counts[:, None] * counts, a).sum(0) / 9,
        f"{whole} matmul": lambda a: a * number(jnp.outer(counts, counts) @ counts, a) / 99,
        f"{whole} cumsum": lambda a: a * number(jnp.cumsum(counts), a),
        f"{whole} shift": lambda a: a * number(jnp.left_shift(counts, 1) % 5, a),
        "flags": lambda a: jnp.where(flags, a, 1 - a) * number(flags.sum(), a),
        "flag scatter": lambda a: jnp.where(
            jnp.zeros(SIZE, bool).at[places].set(True), a, a * a
        ),
        "flag max scatter": lambda a: jnp.where(
            jnp.zeros(SIZE, bool).at[places].max(flags), a, a * a
        ),
        "complex": lambda a: jnp.abs(jnp.exp(1j * a) + a[::-1]) ** 2,
        "complex scatter": lambda a: jnp.abs(
            jnp.ones(4, complex).at[places].multiply(a + 0.5j)
        ),
        "complex product": lambda a: ((matrix(a) + 1j) @ (a - 1j)).real,
        "complex solve": lambda a: jnp.abs(
            linalg.solve_triangular(matrix(a) + 0.1j * jnp.eye(SIZE), a + 0j, trans="C")
        ),
        "round": lambda a: jnp.round(9 * a) / 9 + a,
        "floor and mod": lambda a: jnp.floor(5 * a) % 3 + jnp.fmod(a, 0.3),
        "clip": lambda a: jnp.clip(a, 0.3, 0.6),
        "bits": lambda a: a * lax.population_count(jnp.int32(99 * a)).astype(a.dtype),
        "sign": lambda a: jnp.sign(a - 0.5) * a,
        "one_hot": lambda a: jax.nn.one_hot(places, 4, dtype=a.dtype).T @ a,
        "reduce_precision": lambda a: a * 2 + lax.stop_gradient(lax.reduce_precision(a, 8, 7)),
    }  # fmt: skip
    drawn = named(rng, function)
    few = drawn.name.startswith(("through ", short)) and "32" not in short and "64" not in short
    few = few or drawn.name == "reduce_precision"
    return drawn._replace(digits="few" if few else "full")


def windows(rng: Generator) -> Drawn:
    padding = pick(rng, "SAME", "VALID")
    image = lambda a: jnp.resize(jnp.sin(3 * a), (1, 2, 8, 8))
    kernel = lambda a: jnp.resize(a, (3, 2, 3, 3))
    pooled = lambda f, start: (
        lambda a: lax.reduce_window(jnp.sin(7 * a), start, f, (3,), (1,), padding)
    )
    return named(
        rng,
        {
            "convolve": lambda a: jnp.convolve(a, a[:3], mode="same"),
            "conv": lambda a: lax.conv_general_dilated(image(a), kernel(a), (2, 1), padding) / 9,
            "max pool": pooled(lax.max, -jnp.inf),
            "sum pool": pooled(lax.add, 0.0),
            "toeplitz": lambda a: linalg.toeplitz(a) @ a,
            "pad": lambda a: lax.pad(a, jnp.zeros((), a.dtype), [(2, -1, 1)]),
            "tril": lambda a: jnp.tril(a[:, None] * a, -1),
            "concatenate": lambda a: jnp.concatenate([a, a[:2] * 2])[::2],
            "vander": lambda a: jnp.vander(a, 4),
            "polyval": lambda a: jnp.polyval(a, a),
            "normal": lambda a: a * jax.random.normal(jax.random.key(3), a.shape, a.dtype),
            "permutation": lambda a: a * jax.random.permutation(jax.random.key(3), a),
            "gamma": lambda a: jax.random.gamma(jax.random.key(3), 1 + a) / 9,
            "trapezoid": lambda a: jnp.trapezoid(a, jnp.arange(SIZE) * 1.0)[None],
            "cov": lambda a: jnp.cov(jnp.stack([a, jnp.sin(9 * a)])),
            "cg": lambda a: jax.scipy.sparse.linalg.cg(positive(a), a)[0],
        },
    )


FAMILIES = {
    f.__name__: f
    for f in (
        scatters, gathers, products, algebra, orders, controls, customs, segments, specials, types,
        windows,
    )
}  # fmt: skip
