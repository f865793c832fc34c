"""Keep the prior of a log density that is prior and likelihood in one."""

from ..protocol.account import Account
from ..protocol.reader import Reader
from ..protocol.site import Term
from ..protocol.undivided import divide
from .change import Change, Run


class PriorPart(Change):
    """Leave the rows of the likelihood out of the log density."""

    def run(self, inner: Run, reader: Reader) -> Account:
        account = inner(reader)
        divided = divide(account)
        if divided is not None:
            account.terms = [Term(divided.name, "prior", divided.log_prior)]
            account.rows = None
        return account
