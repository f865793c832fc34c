"""Say where, what was found and how to mend it: the one shape of every error here."""


class ExplainedError(ValueError):
    """An error in three parts: where, what was found, how to mend it.

    Attributes:
        where: The site, argument or rule at fault.
        found: What was found there.
        mend: What the user can do about it.
    """

    def __init__(self, where: str, found: str, mend: str) -> None:
        super().__init__(f"{where}: {found}. {mend}")
        self.where, self.found, self.mend = where, found, mend


class BijectorError(ExplainedError):
    """A set, a map or a rule that cannot be used as asked."""
