"""Errors say where, what was found and how to fix it."""


class ExplainedError(ValueError):
    """An error in three parts: where, what was found, how to fix it.

    Attributes:
        where: The site, argument or rule at fault.
        found: What was found there.
        mend: How the user can fix it.
    """

    def __init__(self, where: str, found: str, mend: str) -> None:
        super().__init__(f"{where}: {found}. {mend}")
        self.where, self.found, self.mend = where, found, mend

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.where, self.found, self.mend)


class BijectorError(ExplainedError):
    """A set, a map or a rule cannot be used as requested."""
