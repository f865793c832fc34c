"""Recognize objects of TFP by the names of their classes, without importing it."""


def is_of_tfp(distribution: object) -> bool:
    """Return whether an object is an instance of a class of TFP or of a subclass."""
    return any(map(_is_theirs, type(distribution).__mro__))


def is_a(distribution: object, *names: str) -> bool:
    """Return whether an object is an instance of a class of TFP with one of these names."""
    kinds = filter(_is_theirs, type(distribution).__mro__)
    return any(kind.__name__.lstrip("_") in names for kind in kinds)


def is_joint(distribution: object) -> bool:
    """Return whether an object is a joint distribution of TFP."""
    return is_a(distribution, "JointDistribution")


def _is_theirs(kind: type) -> bool:
    return kind.__module__.startswith("tensorflow_probability.")
