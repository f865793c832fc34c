"""The text of Stan programs is read in blocks; no Stan is needed."""

import jax.numpy as jnp
import numpy as np
import pytest

import infer
from infer.models.fronts.stan.given import read_data
from infer.models.fronts.stan.names import gather
from infer.models.fronts.stan.program_text import ProgramText
from infer.models.fronts.stan.shapes import refuse_other_shapes

from .programs import SCALE, SCHOOLS

AWKWARD = """
functions { real twice(real x) { return 2 * x; } }
data { int<lower=1> N; array[N, 2] int<lower=0, upper=N> k; /* int M; */ matrix<lower=0>[N, 3] X;
       vector<offset=1, multiplier=2>[N] v; }
transformed data { real m = mean(v); print("model { data {"); }
parameters { array[2] vector<lower=m>[N] b; }
transformed parameters { vector[N] c = exp(b[1]); jacobian += sum(b[1]); }
model { c ~ std_normal(); }
"""


def test_comments_and_strings_do_not_begin_blocks():
    blocks = ProgramText(AWKWARD).blocks
    assert list(blocks) == [
        "functions", "data", "transformed data", "parameters", "transformed parameters", "model",
    ]  # fmt: skip
    assert blocks["model"] == "model { c ~ std_normal(); }"
    assert "schools" in ProgramText(SCHOOLS).blocks["data"]


def test_names_of_data_are_found_among_bounds_and_sizes():
    assert ProgramText(AWKWARD).data_names == ("N", "k", "X", "v")
    assert ProgramText(SCHOOLS).data_names == ("J", "y", "sigma")
    assert ProgramText("parameters { real x; } model { }").data_names == ()


def test_one_type_may_declare_several_names():
    text = "data { int<lower=0, upper=9> n, m; tuple(int, real) t; vector[n] a, b ,c; }"
    assert ProgramText(text).data_names == ("n", "m", "t", "a", "b", "c")


SHAPED = """
data { int<lower=1> N, K; matrix<lower=0>[N, K + 1] X; array[N] vector<lower=0>[K] y;
       array[2 * N, K] int z; cov_matrix[K] S; real r; vector[rows(X)] u; array[0] real none; }
parameters { real x; } model { }
"""
FITTING = {
    "N": 3, "K": 2, "X": np.ones((3, 3)), "y": np.ones((3, 2)), "z": np.ones((6, 2)),
    "S": np.eye(2), "r": 1.0, "u": np.ones(7), "none": np.ones(0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("X", (3, 2), r"X: .* shape \(3, 3\), .* shape \(3, 2\)"),
        ("X", (9,), r"shape \(3, 3\), .* shape \(9\)"),
        ("y", (2, 3), r"y: .* shape \(3, 2\), .* \(2, 3\). Give its transpose, y.T"),
        ("z", (2, 6), r"shape \(6, 2\), .* \(2, 6\)"),
        ("S", (4,), r"shape \(2, 2\), .* \(4\)"),
        ("r", (2,), r"r: .* shape \(\), .* \(2\)"),
        ("none", (1,), r"shape \(0\), .* \(1\)"),
    ],
)
def test_data_of_another_shape_are_refused(name, shape, message):
    text, data = ProgramText(SHAPED), read_data(FITTING)
    refuse_other_shapes(text, data)
    with pytest.raises(infer.ModelError, match=message):
        refuse_other_shapes(text, data | {name: np.ones(shape)})


def test_axes_of_size_one_and_unknown_sizes_are_allowed():
    data = read_data(FITTING | {"r": [1.0], "X": np.ones((1, 3, 3)), "u": np.ones(5)})
    refuse_other_shapes(ProgramText(SHAPED), data)


def test_the_program_of_the_jacobian_keeps_what_parameters_need():
    text = ProgramText(SCHOOLS).jacobian_program()
    assert "real<lower=0> tau" in text
    assert "theta = mu" not in text
    assert "~" not in text
    assert "jacobian += sum" in ProgramText(AWKWARD).jacobian_program()


def test_transformed_parameters_that_change_the_density_are_refused():
    text = "parameters { real x; } transformed parameters { target += x; } model { }"
    with pytest.raises(infer.ModelError, match="transformed parameters: .*model block"):
        ProgramText(text).jacobian_program()


def test_constants_are_dropped_by_sampling_statements_alone():
    assert ProgramText(SCHOOLS).drops_constants
    assert not ProgramText(SCALE + "// y ~ normal(0, 1)").drops_constants
    assert ProgramText("model { target += normal_lupdf(y | 0, 1); }").drops_constants


def test_included_files_are_read_beside_the_program(tmp_path):
    (tmp_path / "data.stan").write_text("data { real y; }\n")
    path = tmp_path / "model.stan"
    path.write_text("#include data.stan\nparameters { real x; }\nmodel { y ~ normal(x, 1); }\n")
    assert ProgramText.read(path).data_names == ("y",)
    path.write_text("#include other.stan\n")
    with pytest.raises(infer.ModelError, match=r"other\.stan, which it includes"):
        ProgramText.read(path)
    with pytest.raises(infer.ModelError, match=r"nowhere\.stan cannot be read"):
        ProgramText.read(tmp_path / "nowhere.stan")


def test_the_first_index_varies_fastest():
    names = [f"A.{i}.{j}.{k}" for k in (1, 2, 3) for j in (1, 2) for i in (1, 2)]
    found = gather(["x", *names, "z.real", "g.1"], 14)
    assert [own.name for own in found] == ["x", "A", "z.real", "g"]
    assert [own.shape for own in found] == [(), (2, 2, 3), (), (1,)]
    assert [own.is_generated for own in found] == [False, False, False, True]
    flat = jnp.arange(15.0)
    value = np.asarray(found[1].take(flat))
    assert [value[1, 0, 0], value[0, 1, 0], value[0, 0, 1]] == [2, 3, 5]


def test_data_of_other_types_are_refused_by_name(tmp_path):
    with pytest.raises(infer.ModelError, match="y: its rows are not an array.*pad the rows"):
        read_data({"y": [[1.0], [1.0, 2.0]]})
    with pytest.raises(infer.ModelError, match="group: its values are of type"):
        read_data({"group": ["a", "b"]})
    with pytest.raises(infer.ModelError, match="y: the data hold 1 NaN"):
        read_data({"y": [1.0, np.nan]})
    with pytest.raises(infer.ModelError, match="Stan has no missing data"):
        read_data({"y": np.ma.masked_array([1.0, 2.0], [0, 1])})
    with pytest.raises(infer.ModelError, match="data: they cannot be read"):
        read_data(tmp_path / "none.json")
    assert read_data({"flag": True})["flag"].dtype.kind == "i"
