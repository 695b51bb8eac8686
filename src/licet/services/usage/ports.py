"""What usage needs of storage: rows, and the two ways in. ``store`` implements them; nothing else contains SQL.

A *posting* is one transaction of many requests of one workspace: it locks balances in key order, sees what came before,
and writes everything in one statement. Usage leaves no event for each fact; sealed segments of it do.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from licet.core.instant import BEGINNING, FOREVER, Instant, to_instant
from licet.core.usage.facts import AccountKey, Fact, Funding, Reservation
from licet.services.rows import Actor, Draft, Instants, Page, Workspace
from licet.services.usage.lease_ports import LeaseLocks, LeaseReads, LeaseRow
from licet.services.usage.many_ports import GroundsReads, PastsReads


class BalanceRow(Struct, frozen=True, kw_only=True):
    """What is kept of one balance: a cache of the fold, as ``core.account`` writes it, and its numbers for lists."""

    key: AccountKey
    state: bytes
    used: int
    """In this period, in minor units; for a gauge its level."""
    granted: int
    """All that was put on it and counts in this period; at least 2^62 stands for unlimited."""
    remaining: int
    """Negative by what was used beyond all there was."""
    as_of: Instant
    """Effective instant of the newest fact it holds."""
    serial: int = 0
    """That of the last fact of the posting that wrote it: no fact it holds is newer. Given by storage."""
    whole: bool = True
    """Of a checkpoint: whether it holds all facts that are not kept any more. Given by storage."""


class Grounds(Struct, frozen=True, kw_only=True):
    """Which versions decide about one customer: newest terms and newest funding by sequence; 0 where there is none."""

    customer: str
    revision: int
    """Of the terms; 0: there is no such customer."""
    terms_seq: int
    funding_seq: int


class KeptKey(Struct, frozen=True, kw_only=True):
    """What is kept of an accepted request or event by its id: what it said (hashed) and what was answered."""

    id: str
    body_hash: bytes
    """16 bytes."""
    serial: int
    answer: bytes
    """As it was answered, empty for a report: a repetition is answered the same."""


class Refused(Struct, frozen=True, kw_only=True):
    """A refused request. Of each id the newest is kept, once."""

    id: str
    customer: str
    feature: str
    user: str | None
    quantity: int
    reason: str
    refused_at: Instant


class Posted(Struct, frozen=True, kw_only=True):
    """Everything one posting writes. All of it, or nothing."""

    facts: Sequence[Fact] = ()
    """In the order of their serials."""
    sources: Sequence[bytes] = ()
    """Beside each fact what else is known of where it came from, as JSON (``{}`` for nothing)."""
    keys: Sequence[KeptKey] = ()
    """One for each fact that may come again; ``serial`` is counted from 1 within ``facts`` and becomes the real one."""
    balances: Sequence[BalanceRow] = ()
    checkpoints: Sequence[BalanceRow] = ()
    """Earlier states of balances, from which a late fact is folded anew."""
    refusals: Sequence[Refused] = ()
    reservations: Sequence[Reservation] = ()
    """New, or ended, or with other draws than before."""
    leases: Sequence[LeaseRow] = ()
    """As they are now. Of those in ``issued`` none may have been there before: one that was is a collision."""
    issued: frozenset[str] = frozenset()
    """Ids of leases that are new."""
    packed: Sequence[object] | None = None
    """How facts, keys and balances are sent, where ``pack`` worked that out before."""


class FactRow(Struct, frozen=True, kw_only=True):
    """One recorded fact. Serials of a workspace have no gaps and grow in the order of commits."""

    serial: int
    recorded_at: datetime
    fact: Fact
    source: bytes
    """JSON: of an event ``source``, ``type``, ``id``, ``subject``; of a request the ``key`` that asked; of a correction
    also its ``note``."""


class SegmentRow(Struct, frozen=True, kw_only=True):
    """Sealed usage: ``count`` facts from ``first``, the RFC 9162 root over them, and the root of the segment before."""

    number: int
    first: int
    count: int
    root: bytes
    previous: bytes
    sealed_at: datetime


class UsageHour(Struct, frozen=True, kw_only=True):
    """What one meter counted for one customer within an hour of effective time, by its dimensions."""

    customer: str
    meter: str
    hour: datetime
    dimensions: dict[str, str]
    events: int
    quantity: int
    """The sum, corrections taken off."""
    highest: int | None = None
    latest: int | None = None
    latest_at: Instant | None = None

    @property
    def place(self) -> str:
        """Where it stands in a list: the cursor with which to go on after it."""
        return msgspec.json.encode((self.customer, self.meter, to_instant(self.hour), self.dimensions)).decode()


class UsageFilter(Struct, frozen=True, kw_only=True):
    """Which usage: ``[since, until)`` of effective time."""

    customer: str | None = None
    meter: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class UsageReads(PastsReads, GroundsReads, LeaseReads, Protocol):
    """Reading usage, as of one state of the database."""

    async def grounds(self, customers: Sequence[str]) -> Sequence[Grounds]:
        """Return which versions decide about each customer that exists."""
        ...

    async def funding(self, customer: str, seq: int | None = None) -> Sequence[Funding]:
        """Return all that was put on a customer's balances (as known at ``seq``), by id."""
        ...

    async def balance(self, key: AccountKey) -> BalanceRow | None:
        """Return what is kept of a balance."""
        ...

    async def balances(self, customer: str, page: Page) -> Sequence[BalanceRow]:
        """List a customer's balances by (feature, holder); ``after`` is ``feature/holder``."""
        ...

    async def notes_of(self, customer: str, refunds: Sequence[Fact]) -> dict[str, str]:
        """Return the notes that corrections of a customer were given, by id; those without one are not named."""
        ...

    async def usage_facts(self, only: UsageFilter, page: Page) -> Sequence[FactRow]:
        """List facts by serial; ``after`` is the serial after which to go on."""
        ...

    async def usage_hours(self, only: UsageFilter, page: Page, *, days: bool = False) -> Sequence[UsageHour]:
        """List usage by hours of UTC (``days``: by days) that begin in the filter's time; ``hour`` is their begin.

        By (customer, meter, hour, dimensions), that which is not sealed yet included; ``after`` is a row's ``place``.
        """
        ...

    async def unique_values(self, customer: str, meter: str, since: Instant, until: Instant) -> int:
        """Return how many different values a meter counted in ``[since, until)``, of those already sealed or not."""
        ...

    async def reservation(self, reservation: str) -> Reservation | None:
        """Return one reservation by the id of its fact."""
        ...

    async def open_reservations(
        self, customer: str, page: Page, *, beyond: Instant = BEGINNING, by: Instant = FOREVER - 1
    ) -> Sequence[Reservation]:
        """List reservations that nobody closed, by id, that end after ``beyond`` and at ``by`` at the latest."""
        ...

    async def refused(self, only: UsageFilter, page: Page) -> Sequence[Refused]:
        """List refused requests, newest first; ``meter`` of the filter is a feature here."""
        ...

    async def segments(self, page: Page) -> Sequence[SegmentRow]:
        """List sealed segments by number."""
        ...


class FundingWrites(Protocol):
    """Putting something on balances: a command like any other, with events."""

    async def put_funding(self, customer: str, funding: Funding) -> None:
        """Append one; the customer must be locked. Its ``seq`` becomes that of the transaction's last event."""
        ...


class Posting(UsageReads, LeaseLocks, Protocol):
    """The transaction of a posting. Locks in key order; nobody else decides about these balances until it ends."""

    workspace: Workspace
    time: Instants
    tip: int
    """The sequence of the log's newest event when it began, or after the last ``lock``: where it has not moved, nothing
    has changed for anybody."""
    taken: dict[AccountKey, Instant]
    """Since when balances lack checkpoints, for a late fact took them and no others were written."""

    async def lock(self, keys: Sequence[AccountKey]) -> dict[AccountKey, BalanceRow]:
        """Lock these balances, in key order, made first where they are not there; return those that hold something.

        ``time`` and ``tip`` are taken anew after it: what waited comes after what it waited for. All that a posting
        locks it locks in one call, or two of them may wait for each other.
        """
        ...

    async def hold(self, expected: Sequence[tuple[AccountKey, int, Instant]]) -> bool:
        """Lock balances as ``lock`` does, and return whether each has the serial under which it is expected.

        Beside it the ``as_of`` of that row. Where not, nothing may be done but roll back.
        """
        ...

    def later(self) -> Instant:
        """Return the business time by now, going by the clock as it was last looked at."""
        ...

    def pack(self, posted: Posted) -> Posted:
        """Work out how it is sent, for another transaction to post."""
        ...

    async def kept(self, ids: Sequence[str]) -> dict[str, KeptKey]:
        """Return what is kept of ids that came before; asked after the locks, so that nothing comes in between."""
        ...

    async def told(self, facts: Sequence[Fact]) -> set[str]:
        """Return the ids of those facts that are recorded, found by customer, instant and id: also without a key."""
        ...

    async def due(self, keys: Sequence[AccountKey], now: Instant) -> Sequence[Reservation]:
        """Return the reservations of locked balances that ended by themselves by ``now`` and are not closed."""
        ...

    async def reservations(self, ids: Sequence[str]) -> dict[str, Reservation]:
        """Lock and return reservations by id, closed or not; after their balances, which ``reservation`` tells."""
        ...

    async def record(self, draft: Draft) -> str:
        """Stage an event of the log (thresholds, automatic top-ups), committed with everything else."""
        ...

    async def put_funding(self, customer: str, funding: Funding) -> None:
        """Append an automatic top-up."""
        ...

    async def post(self, posted: Posted) -> int:
        """Write all of it in one statement and return the serial of the first fact.

        Raises Collided where an id came in between through other balances: roll back and repeat the whole.
        """
        ...


class Collided(Exception):
    """A posting met another one: nothing was written; repeating it from its beginning is right."""


class Bared(Exception):
    """Late facts took the last checkpoints that hold what was dropped: fold ``keys`` anew, so that others do."""

    def __init__(self, keys: Collection[AccountKey]) -> None:
        super().__init__(f"{len(keys)} balances would lose what was dropped with its month")
        self.keys = keys


class UsageStorage(Protocol):
    """The part of the storage that posts."""

    def post(self, workspace: str, actor: Actor) -> AbstractAsyncContextManager[Posting]:
        """Begin a posting on a connection held for postings; commits when the block ends without an error.

        Deadlocks and races of ids raise Collided; a lost connection raises Unavailable as everywhere.
        """
        ...

    async def forget_usage(
        self, workspace: str, keys: datetime, refusals: datetime, most: int = 10_000, facts: datetime | None = None
    ) -> int:
        """Delete keys of sealed facts recorded before a real time, refusals of before another; at most so many of each.

        With the keys go reservations that ended so long ago, with the facts of before ``facts`` checkpoints of before.
        Keys are kept for 35 days at least, whatever is asked. Returns how many there were of the kind with most.
        """
        ...

    async def seal(self, workspace: str, most: int = 10_000, least: int = 1) -> SegmentRow | None:
        """Seal the next facts: segment, root, hourly roll-up and one event ``usage.sealed``, in one transaction.

        None where there are fewer than ``least`` to seal. Of several that try at once one does it.
        """
        ...

    async def keep_partitions(self, ahead: int, before: datetime | None) -> list[str]:
        """Make the partitions of this month and ``ahead`` more; drop those wholly sealed that end before ``before``.

        Returns what was made and dropped, for the log.
        """
        ...

    def export_usage(self, workspace: str, only: UsageFilter) -> AsyncIterator[Sequence[FactRow]]:
        """Yield facts by serial from one state of the database, some thousands at a time."""
        ...
