"""List the public names of both packages with their arguments: `python -m tests.public_names`.

The list is kept in `tests/public_names.txt`, so that no name or argument changes unnoticed. After a
change that is meant, write it again and say in the changelog what a user has to do.
"""

import inspect
from pathlib import Path

import bijectors
import infer

PLAIN = (bool, int, float, str, type(None))
LISTED = Path(__file__).with_suffix(".txt")


def describe(name: str, found: object) -> str:
    """Describe a public name: the arguments of a function, or of making an object of a class."""
    if not callable(found) or (isinstance(found, type) and issubclass(found, BaseException | dict)):
        return f"{name}: {type(found).__name__}"
    kind = "class " if isinstance(found, type) else ""
    signature = inspect.signature(found)
    short = [_shorten(parameter) for parameter in signature.parameters.values()]
    return f"{kind}{name}{signature.replace(parameters=short, return_annotation=signature.empty)}"


def _shorten(parameter: inspect.Parameter) -> inspect.Parameter:
    """Drop annotations, which versions of a library write differently, and long defaults."""
    default = parameter.default
    if default is not parameter.empty and not isinstance(default, PLAIN):
        default = Ellipsis
    return parameter.replace(annotation=parameter.empty, default=default)


def list_names() -> list[str]:
    """List all public names, one on each line."""
    lines = []
    for package in (bijectors, infer):
        names = getattr(package, "__all__", None) or [n for n in vars(package) if n[0] != "_"]
        for name in sorted(set(names)):
            found = getattr(package, name)
            is_ours = getattr(found, "__module__", "").partition(".")[0] in ("bijectors", "infer")
            if is_ours and not inspect.ismodule(found):
                lines.append(describe(f"{package.__name__}.{name}", found))
    return lines


if __name__ == "__main__":
    LISTED.write_text("\n".join(list_names()) + "\n")
