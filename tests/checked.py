"""Check the arguments of a function with beartype, whose checker is built at the first call."""

from beartype import beartype


def on_first_call(function):
    """Building all 4,000 checkers at import takes half the time of importing the packages."""
    checked = None

    def check(*args, **kwargs):
        nonlocal checked
        if checked is None:
            checked = beartype(function)
        return checked(*args, **kwargs)

    return check
