"""Say that a run gave up the native form of its program, because that computed wrong numbers."""

from collections.abc import Iterator

from ...run.run import Run
from ...run.self_check import WRONG_NUMBERS
from ..finding import Finding


def find_wrong_native_form(run: Run) -> Iterator[Finding]:
    """Yield a finding if the self-check of the run found a difference; its draws are right."""
    why = run.why_not_native or ""
    if why.startswith(WRONG_NUMBERS):
        yield Finding(
            "wrong_native_form",
            f"{why}. The run went on in the ordinary form, and its draws are right, but slower; "
            "the native form is off for the rest of this process.",
            "Please report it with the model and the output of python -m infer; until it is "
            "mended, infer.native(False) avoids the native form from the start.",
        )
