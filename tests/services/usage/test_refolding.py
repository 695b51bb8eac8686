"""From which checkpoint a balance is folded where leases began before it: the newest, wherever that knows enough."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest

from licet.core.instant import Instant
from licet.core.usage.account import Account
from licet.core.usage.balance import Mark
from licet.core.usage.course import Course
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Fact
from licet.core.usage.recalled import Recalled
from licet.services.usage.held import row_of
from licet.services.usage.ports import BalanceRow
from licet.services.usage.refolding import Span, past_of
from tests.core.usage.test_account import course, grant

END = 100


def fact(name: str, kind: str, at: Instant, burned: int, back: int = 0) -> Fact:
    """A fact of the balance: what ends something is about the lease, or gives back of v."""
    told, of = {"api": burned}, {"return": "lease", "refund": "v"}.get(kind)
    return msgspec.convert(
        {
            "id": name, "kind": kind, "effective": at, "customer": "acme", "burns": told, "of": of,
            "back": {"api": back} if back else {},
        },
        Fact,
    )  # fmt: skip


FACTS = (
    fact("u", "consume", 1, 3),
    fact("lease", "lease", 10, 8),
    fact("v", "consume", 20, 1),
    fact("w", "consume", 60, 1),
)


class Reads:
    """Checkpoints just before and just after the lease, and what is asked."""

    def __init__(
        self,
        balance: Course,
        facts: Sequence[Fact],
        *,
        stripped: int = 0,
        known: int | None = None,
        keeping: bool = False,
    ) -> None:
        self.facts = facts
        self.rows = list[BalanceRow]()
        self.looked = 0
        for until in (5, 30):
            account = Account(balance)
            account.replay(effects([one for one in facts if one.effective < until], balance.key, until))
            if known is not None and until == 30:
                account.lent.known = known
                account.lent.leases = account.lent.leases if keeping else {}
            row = row_of(balance.key, account, until)
            if stripped:
                state = msgspec.msgpack.encode(msgspec.msgpack.decode(row.state, strict=False)[:-stripped])
                row = msgspec.structs.replace(row, state=state)
            self.rows.append(row)

    async def checkpoint(self, key: AccountKey, before: Instant, known: datetime | None = None) -> BalanceRow | None:
        """The newest of before."""
        return max((one for one in self.rows if one.as_of < before), key=lambda one: one.as_of, default=None)

    async def border(self, key: AccountKey) -> Instant | None:
        """Nothing was dropped."""
        return None

    async def facts_of(
        self,
        key: AccountKey,
        *,
        after: tuple[Instant, str] | None = None,
        until: Instant | None = None,
        known: datetime | None = None,
    ) -> Sequence[Fact]:
        """Those after a place."""
        return [one for one in self.facts if after is None or (one.effective, one.id) > after]

    async def ended_after(self, customer: str, since: Instant, until: Instant | None, known: datetime) -> Sequence[str]:
        """None."""
        return ()

    async def first_of(self, customer: str, facts: Sequence[str], since: Instant, until: Instant) -> Instant | None:
        """When the first was."""
        self.looked += 1
        found = (one.effective for one in self.facts if one.id in facts and since <= one.effective <= until)
        return min(found, default=None)


async def from_where(balance: Course, reads: Reads) -> tuple[int | None, int]:
    """The instant of the checkpoint that is gone on from, and how often somebody looked for facts of before; what is
    folded from it is what is folded from all facts."""
    past = await past_of(reads, balance, None, END, Span(END))
    whole = Recalled(balance, effects(reads.facts, balance.key, END))
    assert past.account().standing(END) == whole.standing(END)
    assert past.account().totals == whole.totals
    states = {row.state: row.as_of for row in reads.rows}
    return None if past.base is None else states[past.base.state], reads.looked


LASTING = course("plain", grant("a", 50), resets=(40,))
ENDED = course("plain", grant("a", 50, marks=(Mark(15, "renew", 50),)), grant("b", 5, 15), resets=(15,))


@pytest.mark.parametrize(("burned", "back"), [(0, 8), (3, 5), (8, 0), (2, 0)])
async def test_what_a_state_knows_of_leases_is_not_looked_for(burned: int, back: int) -> None:
    """The last checkpoint serves, whatever is told of a lease of before it, and nobody looks for its fact."""
    told = fact("r", "return", 50, burned, back)
    assert await from_where(LASTING, Reads(LASTING, [*FACTS, told])) == (20, 0)
    # Of a period that is over, with all there was in it, nothing returns.
    assert await from_where(ENDED, Reads(ENDED, [*FACTS, told])) == (20, 0)


@pytest.mark.parametrize("known", [11, 20, 30])
async def test_a_lease_that_a_state_may_have_left_out_is_looked_for(known: int) -> None:
    """Where a state knows all leases since an instant, one of before it that gives something back is looked for, and
    an earlier checkpoint serves; one that gives nothing back is not."""
    told = [*FACTS, fact("r", "return", 50, 3, 5)]
    assert await from_where(LASTING, Reads(LASTING, told, known=known)) == (1, 1)
    assert await from_where(LASTING, Reads(LASTING, told, known=known, keeping=True)) == (20, 0)
    nothing = [*FACTS, fact("r", "return", 50, 8)]
    assert await from_where(LASTING, Reads(LASTING, nothing, known=known)) == (20, 0)


@pytest.mark.parametrize("known", [9, 10])
async def test_a_lease_that_a_state_would_know_is_over_where_it_does_not(known: int) -> None:
    """Of one that began when all were known nothing can return: that it is not there says so, and the state serves."""
    reads = Reads(LASTING, [*FACTS, fact("r", "return", 50, 3, 5)], known=known)
    past = await past_of(reads, LASTING, None, END, Span(END))
    assert past.base is not None
    assert past.base.state == reads.rows[1].state
    assert past.account().standing(END).lefts == {"a": 50 - 3 - 8 - 1 - 1}


async def test_a_state_of_before_there_were_leases_looks_for_them() -> None:
    """What does not say which leases it knows knows none."""
    told = [*FACTS, fact("r", "return", 50, 3, 5)]
    assert await from_where(LASTING, Reads(LASTING, told, stripped=2)) == (1, 1)
    refund = [*FACTS, fact("r", "refund", 50, 1)]
    assert await from_where(LASTING, Reads(LASTING, refund)) == (1, 1)
