"""Deliberate mistakes in Stan programs, each with the error it raises; it needs the extra `stan`.

python benchmarks/mistakes_stan.py > benchmarks/mistakes_stan.md

`mistakes.py` puts what this prints at the end of docs/errors.md.
"""

import numpy as np
from mistaken.page import print_section

import infer


def a_semicolon_forgotten():
    """Stan reads the program before it is run, and says where it stops making sense."""
    infer.from_stan("""
    parameters {
      real x
    }
    model {
      x ~ normal(0, 1);
    }
    """)


def data_without_a_size():
    """Sizes are data of the program like all others."""
    program = """
    data { int N; vector[N] y; }
    parameters { real mean; }
    model { y ~ normal(mean, 1); }
    """
    infer.from_stan(program, {"y": np.zeros(3)})


def a_matrix_turned_round():
    """The numbers would fill the matrix in another order."""
    program = """
    data { int N; matrix[N, 2] X; vector[N] y; }
    parameters { vector[2] slope; }
    model { y ~ normal(X * slope, 1); }
    """
    infer.from_stan(program, {"N": 3, "X": np.zeros((2, 3)), "y": np.zeros(3)})


def a_size_that_is_a_float():
    """JSON and NumPy tell 3.0 from 3, and so does Stan."""
    program = "data { int N; } parameters { vector[N] x; } model { x ~ normal(0, 1); }"
    infer.from_stan(program, {"N": 3.0})


def a_number_that_stan_cannot_infer():
    """Stan infers continuous values; a sum over the others is written by hand."""
    infer.from_stan("parameters { int count; } model { count ~ poisson(3); }")


def dims_of_another_name():
    """Names of axes are those of quantities in the program."""
    program = "parameters { vector[2] slope; } model { slope ~ normal(0, 1); }"
    infer.from_stan(program, dims={"slopes": "predictor"})


MISTAKES = (
    a_semicolon_forgotten,
    data_without_a_size,
    a_matrix_turned_round,
    a_size_that_is_a_float,
    a_number_that_stan_cannot_infer,
    dims_of_another_name,
)


def main() -> None:
    """Print the section."""
    print_section("Stan programs", "Models by `infer.from_stan`; see [](stan.md).", MISTAKES)


if __name__ == "__main__":
    main()
