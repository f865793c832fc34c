"""Check the shapes in signatures while tests run, by jaxtyping and beartype.

jaxtyping's own import hook wraps every function, but most signatures name no shape, and pyright has
checked those. This one wraps a function or a dataclass only if it names a shape, and builds the
checker of a function at its first call.
"""

import ast
import sys
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader

import jaxtyping
from beartype import beartype

PACKAGES = ("bijectors", "infer")
# Shapes that the packages name; those of jaxtyping are found by their import.
ALIASES = {"ArrayLike", "Scalar", "Slots", "Vector"}
WITHOUT_SHAPE = {"Array", "PRNGKeyArray"}


def install() -> None:
    """Check the packages; they must not have been imported yet."""
    loaded = [name for name in PACKAGES if name in sys.modules]
    assert not loaded, f"{loaded} were imported before their signatures could be checked"
    sys.meta_path.insert(0, _Finder())


def check(function):
    """Check the arguments and the result of a function."""
    checked = None

    @wraps(function)
    def call(*args, **kwargs):
        nonlocal checked
        if checked is None:
            checked = jaxtyping.jaxtyped(function, typechecker=beartype)
        return checked(*args, **kwargs)

    return call


def check_fields(cls):
    """Check the fields of a dataclass when an instance is made."""
    return jaxtyping.jaxtyped(cls, typechecker=beartype)


class _Finder(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname):
        # Not from Python's cache of compiled files, where the module stands without checks.
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data, path, *, _optimize=-1):
        module = ast.parse(data, path)
        _decorate(module, _names_of_shapes(module))
        return compile(module, path, "exec", dont_inherit=True, optimize=_optimize)


def _names_of_shapes(module):
    imports = [node for node in module.body if isinstance(node, ast.ImportFrom)]
    from_jaxtyping = {
        alias.asname or alias.name
        for node in imports
        if node.module == "jaxtyping"
        for alias in node.names
    }
    return from_jaxtyping - WITHOUT_SHAPE | ALIASES


def _decorate(module, shapes):
    """Add decorators to what names a shape; functions get theirs innermost, classes outermost."""
    for node in list(ast.walk(module)):
        if isinstance(node, ast.FunctionDef) and _mentions(_annotations(node), shapes):
            node.decorator_list.append(_decorator("check", node))
        if isinstance(node, ast.ClassDef) and _mentions(_fields(node), shapes):
            node.decorator_list.insert(0, _decorator("check_fields", node))


def _annotations(function):
    own = function.args
    arguments = [*own.posonlyargs, *own.args, *own.kwonlyargs, own.vararg, own.kwarg]
    return [function.returns, *(a.annotation for a in arguments if a is not None)]


def _fields(cls):
    return [node.annotation for node in cls.body if isinstance(node, ast.AnnAssign)]


def _mentions(annotations, shapes):
    inner = (node for own in annotations if own is not None for node in ast.walk(own))
    return any(isinstance(node, ast.Name) and node.id in shapes for node in inner)


def _decorator(name, at):
    source = f"__import__({__name__!r}, fromlist=[{name!r}]).{name}"
    made = ast.parse(source, mode="eval").body
    for node in ast.walk(made):
        ast.copy_location(node, at)
    return made
