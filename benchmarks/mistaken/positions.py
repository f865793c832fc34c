"""Mistakes with a log density and a position, as BlackJAX takes them."""

import blackjax

import bijectors as bj
import infer


def a_function_for_a_model():
    """A function alone says neither what it takes nor where that may lie."""
    infer.sample(lambda position: -(position["mean"] ** 2))  # pyright: ignore[reportArgumentType]


def a_position_for_sets():
    """A position is one point; a set is where all of them lie."""
    position = {"mean": 0.0, "log_scale": 0.0}
    infer.declared(lambda position: -(position["mean"] ** 2), position)  # pyright: ignore[reportArgumentType]


def a_whole_number_in_a_position():
    """A whole number is part of the program, since gradients move only floats."""
    infer.tree_model({"mean": 0}, lambda q: -(q["mean"] ** 2), {"**": bj.Real()})


def a_kernel_of_blackjax():
    """A kernel is one step; an engine tunes itself and runs many chains."""
    model = infer.tree_model({"mean": 0.0}, lambda q: -(q["mean"] ** 2), {"**": bj.Real()})
    infer.sample(model, blackjax.nuts)  # pyright: ignore[reportArgumentType]


def nuts_by_its_name_in_blackjax():
    """Where an engine of ours is the same algorithm, it is the one to use."""
    infer.BlackJAX("nuts")


MISTAKES = (
    a_function_for_a_model,
    a_position_for_sets,
    a_whole_number_in_a_position,
    a_kernel_of_blackjax,
    nuts_by_its_name_in_blackjax,
)
