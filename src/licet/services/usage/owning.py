"""Quota leases within a posting: the hub's rules over the balances that are locked and the leases that are loaded."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from licet.core.instant import Instant
from licet.core.usage.admission import Outcome
from licet.core.usage.desk import Bench
from licet.core.usage.facts import Fact, Reservation
from licet.core.usage.leasing import issue, leasable, tell
from licet.hub.authority import Room, answer, lapse
from licet.hub.lease import Disagreement, Lease
from licet.services.errors import QuotaDisagreement
from licet.services.rows import Instants
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.jobs import LapseJob, QuotaJob, pairs_of
from licet.services.usage.lease_ports import LeaseRow
from licet.services.usage.ports import Posting
from licet.telemetry import log
from licet.wire.quota import QuotaAnswer

Owning = QuotaJob | LapseJob
_ENDED: Final = ("settled", "proven")


class Shelf(Struct, frozen=True):
    """The leases that a posting may change, as they were when their balances were locked."""

    rows: Mapping[str, LeaseRow]
    reservations: Mapping[str, Reservation]
    """By the id of the fact by which each was drawn."""
    recalled: Mapping[str, Sequence[str]]
    """By owner, its open leases that were recalled before."""
    epoch: int
    time: Instants


class LeaseBook:
    """The leases of a posting as it goes, on one bench: what ``hub.authority`` calls its books.

    A posting that is decided again begins with a new one.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._rows = dict(shelf.rows)
        self._reservations = dict(shelf.reservations)
        self.changed: dict[str, LeaseRow] = {}
        """By id, the leases that are not what they were."""
        self.issued: set[str] = set()
        self._bench: Bench | None = None
        self._told: list[tuple[Fact, Reservation]] = []

    def on(self, bench: Bench) -> "LeaseBook":
        """Return the same, for one step on a bench."""
        self._bench, self._told = bench, []
        return self

    @property
    def told(self) -> tuple[tuple[Fact, Reservation], ...]:
        """What this step records, in its order."""
        return tuple(self._told)

    @property
    def epoch(self) -> int:
        """The workspace's number."""
        return self._shelf.epoch

    @property
    def now(self) -> Instant:
        """Real time."""
        return self._shelf.time.wall

    def lease(self, lease: str) -> Lease | None:
        """Return a lease by its id."""
        row = self._rows.get(lease)
        return None if row is None else row.lease

    def open_of(self, customer: str, feature: str) -> Iterable[Lease]:
        """Return the open leases of a feature of a customer."""
        about = (customer, feature)
        held = [row.lease for row in self._rows.values()]
        return [one for one in held if one.state == "open" and (one.customer, one.feature) == about]

    def recalled(self, owner: str) -> Iterable[str]:
        """Return the ids of an owner's open leases that were recalled."""
        before = self._shelf.recalled.get(owner, ())
        here = (row.lease for row in self._rows.values())
        now = {one.id for one in here if one.owner == owner and one.recalled and one.state == "open"}
        return [*(one for one in before if one not in self._rows), *now]

    def room(self, customer: str, feature: str, _now: Instant) -> Room:
        """Return what can be issued now; ends of business time are told as so long from now."""
        found = leasable(self._at(), customer, feature)
        time = self._shelf.time
        return Room(found.left, time.wall + max(0, found.ends - time.business), found.denied)

    def issue(self, lease: Lease, _now: Instant) -> None:
        """Set a new lease's amount aside, whatever is there."""
        self.issued.add(lease.id)
        row = LeaseRow(lease=lease)
        try:
            fact, reservation = issue(self._at(), lease_fact_id(lease.id), lease.customer, lease.feature, lease.amount)
        except ValueError as error:
            # It was used all the same, of what is not there any more: known, but nobody's balance.
            log("licet.usage").warning("a claim of no balance", lease=lease.id, why=str(error))
            self._keep(structs.replace(row, recorded=lease.used))
            return
        self._record(fact, reservation)
        if lease.state in _ENDED:
            row = self._tell(row, lease, reservation)
        self._keep(row)

    def settle(self, lease: Lease, _back: int, _more: int, _now: Instant) -> None:
        """Keep a lease as it has become; facts tell of it once it is over, and what was used until then."""
        row = structs.replace(self._rows[lease.id], lease=lease)
        reservation = self._reservations.get(lease_fact_id(lease.id))
        over = lease.state != "open" and (lease.state in _ENDED or lease.used > row.recorded)
        if over and reservation is not None:
            row = self._tell(row, lease, reservation)
        self._keep(row)

    def _tell(self, row: LeaseRow, lease: Lease, reservation: Reservation) -> LeaseRow:
        closed = lease.state in _ENDED
        used, lost = lease.used - row.recorded, lease.lost if closed else 0
        facts, told = tell(self._at(), reservation, used, lost, closed=closed)
        for fact in facts:
            self._record(fact, told)
        return structs.replace(row, recorded=lease.used)

    def _record(self, fact: Fact, reservation: Reservation) -> None:
        self._reservations[reservation.fact.id] = reservation
        self._told.append((fact, reservation))

    def _keep(self, row: LeaseRow) -> None:
        self._rows[row.lease.id] = self.changed[row.lease.id] = row

    def _at(self) -> Bench:
        if self._bench is None:
            raise RuntimeError("a book of leases was opened on no bench")
        return self._bench


class OwningStep:
    """A call of an evaluator, or leases to be charged, as a step of a posting."""

    def __init__(self, job: Owning) -> None:
        self.job = job
        self.id = job.id
        self.book: LeaseBook | None = None
        """That of the posting, as it is decided now."""
        self.answer: QuotaAnswer | None = None

    def decide(self, bench: Any) -> Outcome:
        """Answer the call; raises Disagreement where an owner told what cannot be."""
        if self.book is None:
            raise RuntimeError("a step about leases has no book")
        book = self.book.on(bench)
        if isinstance(self.job, QuotaJob):
            self.answer = answer(book, self.job.call, book.now, only=self.job.actor.customer)
        else:
            found = (book.lease(one) for one in self.job.leases)
            lapse(book, [one for one in found if one is not None], book.now)
        return Outcome(accepted=True, reason=None, asides=book.told)

    def named(self) -> list[str]:
        """Return the leases that it names."""
        if isinstance(self.job, LapseJob):
            return list(self.job.leases)
        call = self.job.call
        return [*(one.id for one in call.told), *(one.id for one in call.asks), *(one.id for one in call.claims)]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the features of customers of which it asks for slices, or claims use."""
        if isinstance(self.job, LapseJob):
            return []
        return pairs_of(self.job.call)


def disagreed(error: Disagreement) -> QuotaDisagreement:
    """Return the error for an owner that told what cannot be."""
    return QuotaDisagreement(str(error), advice="this is a defect of the evaluator: nothing of its call was kept")


async def shelved(tx: Posting, steps: Sequence[OwningStep]) -> dict[str, LeaseRow]:
    """Lock and return the leases that steps are about: those they name, and what is open of the same features."""
    if not steps:
        return {}
    rows = await tx.leases_of({name for one in steps for name in one.named()})
    pairs = {pair for one in steps for pair in one.pairs()}
    pairs |= {(row.lease.customer, row.lease.feature) for row in rows.values()}
    return rows | {row.lease.id: row for row in await tx.open_leases(pairs)}


async def recalled_of(tx: Posting, steps: Sequence[OwningStep]) -> dict[str, list[str]]:
    """Return by owner which of its open leases were recalled before."""
    owners = {one.job.call.owner for one in steps if isinstance(one.job, QuotaJob)}
    found: dict[str, list[str]] = {}
    for row in await tx.recalled_leases(owners) if owners else ():
        found.setdefault(row.lease.owner, []).append(row.lease.id)
    return found
