"""What a function reads besides its arguments, as its code says."""

import dis
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

# Instructions that read global variables, and those of outer functions.
LOADS = {
    "LOAD_NAME", "LOAD_GLOBAL", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF",
    "LOAD_FROM_DICT_OR_GLOBALS",
}  # fmt: skip


class Code(NamedTuple):
    """What a function reads, as its code says.

    Attributes:
        chains: Names of globals and of variables of outer functions, each with the attributes that
            are read of it.
        imports: Names of modules that it imports.
        is_impure: Whether it changes global variables.
        digest: Digest of the code.
    """

    chains: tuple[tuple[str, ...], ...]
    imports: tuple[str, ...]
    is_impure: bool
    digest: str


@lru_cache(maxsize=4096)
def read_code(code: CodeType) -> Code:
    """Read code, and that of inner functions."""
    inner = [read_code(own) for own in code.co_consts if isinstance(own, CodeType)]
    plain = [own for own in code.co_consts if not isinstance(own, CodeType)]
    chains: list[tuple[str, ...]] = [chain for own in inner for chain in own.chains]
    imports = [name for own in inner for name in own.imports]
    is_open, is_impure = False, any(own.is_impure for own in inner)
    for step in dis.get_instructions(code):
        is_impure |= step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
        if step.opname == "IMPORT_NAME":
            imports.append(step.argval)
        if step.opname in LOADS:
            chains.append((step.argval,))
            is_open = True
        elif is_open and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chains[-1] += (step.argval,)
        elif step.opname not in ("CACHE", "EXTENDED_ARG", "PUSH_NULL", "PRECALL"):
            is_open = False
    digest = repr((code.co_code, plain, code.co_names, [own.digest for own in inner]))
    return Code(tuple(dict.fromkeys(chains)), tuple(imports), is_impure, digest)
