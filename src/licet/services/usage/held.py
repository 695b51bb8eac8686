"""Accounts as this process wrote them last, kept from one posting to the next, and the rows they are written as.

What is kept is a cache: it serves only where the balance's row has the serial under which it was kept, so another
process that wrote in between is never passed over.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from licet.core.instant import DAY, Instant
from licet.core.quantity import MAX_QUANTITY
from licet.core.usage.account import Account
from licet.core.usage.course import Course
from licet.core.usage.facts import AccountKey, Fact
from licet.core.usage.recalled import EVERY
from licet.services.truth import Recent
from licet.services.usage.grounds import UsageGrounds
from licet.services.usage.lines import fact_keys
from licet.services.usage.ports import BalanceRow

MAX_HELD: Final = 10_000
"""Accounts of one workspace that are kept, the least recently written dropped first: some 4 KiB each."""
MAX_STATE: Final = 16_384
"""Bytes of a state beyond which an account is not kept."""


class Held(Struct, frozen=True, gc=False):
    """An account and the row it was written as, in the posting whose last fact has ``serial``; 0: not known yet."""

    serial: int
    row: BalanceRow
    account: Account | None
    """None where something else may have changed it since: the row tells."""

    def on(self, course: Course) -> Account | None:
        """Return the account with a course; None where that has another past."""
        account = self.account
        return account if account is not None and account.course is course else Account.load(course, self.row.state)


class HeldAccounts:
    """The accounts that are kept. Whoever takes one out owns it and may change it: nobody else finds it then."""

    def __init__(self, size: int = MAX_HELD) -> None:
        self._kept: Recent[AccountKey, Held] = Recent(size)

    def take(self, key: AccountKey) -> Held | None:
        """Take one out."""
        return self._kept.pop(key)

    def put(self, held: Iterable[Held], serial: int) -> None:
        """Keep what a posting wrote once it is committed, under the serial of its last fact."""
        for one in held:
            self._kept.put(one.row.key, Held(serial, one.row, one.account))


class Handed:
    """What a posting is about to write, for the one after it to be prepared on."""

    def __init__(self) -> None:
        self.serial = 0
        """Of the posting's last fact, once it is committed."""
        self.failed = False
        self._held: dict[AccountKey, Held] = {}

    def hold(self, rows: Sequence[BalanceRow], accounts: Mapping[AccountKey, object], *, whole: bool = True) -> None:
        """Hand over the accounts whose rows are written (not ``whole``: the rows alone).

        Those with windows, gauges and long states are not kept.
        """
        for row in rows:
            account = accounts.get(row.key)
            if type(account) is Account and len(row.state) <= MAX_STATE:
                course = account.course
                if course.window is None and course.gauge is None:
                    self._held[row.key] = Held(0, row, account if whole else None)

    def take(self, key: AccountKey) -> Held | None:
        """Take one out, as it is once the posting is committed."""
        return self._held.pop(key, None)

    def commit(self, serial: int, accounts: HeldAccounts) -> None:
        """Keep what nobody took."""
        self.serial = serial
        accounts.put(self._held.values(), serial)
        self._held = {}

    def fail(self) -> None:
        """Nothing was written: what is prepared on it is of no use, and nothing is kept."""
        self.failed = True
        self._held = {}


def row_of(key: AccountKey, account: Account, at: Instant) -> BalanceRow:
    """Return an account as it is kept, with its numbers at an instant; raises OverflowError beyond int64."""
    # One of which all was taken back holds nothing: whatever comes is later.
    as_of = max(account.newest, 0)
    used, left, owed = account.levels(at)
    if max(used, owed, *account.totals.values()) > MAX_QUANTITY:
        raise OverflowError(f"{key} comes to more than is kept")
    granted, remaining = used + left - owed, left - owed
    return BalanceRow(key=key, state=account.dump(), used=used, granted=granted, remaining=remaining, as_of=as_of)


def is_due(row: BalanceRow, account: Account, taken: int) -> bool:
    """Whether what a balance was before, with ``taken`` facts since its checkpoint, is to be one."""
    return taken >= EVERY or row.as_of // DAY < account.newest // DAY


def without_late(due: dict[AccountKey, BalanceRow], facts: Sequence[Fact], grounds: UsageGrounds) -> None:
    """Leave out checkpoints that are due, but that one of the facts comes before."""
    for fact in facts if due else ():
        for key in fact_keys(grounds, fact):
            if key in due and fact.effective <= due[key].as_of:
                del due[key]
