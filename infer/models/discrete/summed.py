"""Run a program, and sum its discrete sites out of its log density if it has any."""

from collections.abc import Callable

from ..protocol.account import Account
from ..protocol.reader import Reader


def run_summed(run: Callable[[Reader], Account], reader: Reader) -> Account:
    """Run a program, and sum its discrete sites out of its log density."""
    account = run(reader)
    if not account.summed:
        return account
    # Few models have any.
    from .sum_out import sum_out

    return sum_out(run, reader, account)
