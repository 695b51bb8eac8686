"""Reading usage: balances, the facts of one of them, reservations, refusals, lists."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from licet.core.instant import BEGINNING, FOREVER, Instant, to_datetime, to_instant
from licet.core.usage.facts import AccountKey, Fact, Reservation
from licet.services.rows import Page
from licet.services.usage.ports import BalanceRow, FactRow, Refused, SegmentRow, UsageFilter
from licet.store.session import as_struct, limit_of, number_after
from licet.store.usage.funding import FundingReads
from licet.store.usage.hours import HourReads
from licet.store.usage.leases import LeaseReads
from licet.store.usage.rows import balance_of, fact_row, ident, reservation_of

_FACT: Final = "f.serial, f.recorded_at, f.effective_at, f.id, f.kind, f.customer, f.doc, f.source"
_BALANCE: Final = "b.customer, b.feature, b.holder, b.state, b.used, b.granted, b.remaining, b.as_of, b.serial"
ONE: Final = f"""
    SELECT {_BALANCE} FROM balance b
    WHERE b.workspace_id = $1 AND b.customer = $2 AND b.feature = $3 AND b.holder = $4 AND b.as_of IS NOT NULL
"""
LIST: Final = f"""
    SELECT {_BALANCE} FROM balance b
    WHERE b.workspace_id = $1 AND b.customer = $2 AND (b.feature, b.holder) > ($3, $4) AND b.as_of IS NOT NULL
    ORDER BY b.feature, b.holder LIMIT $5
"""
# What ended was known to be open still: it ended by itself, or was.
ENDED_AFTER: Final = """
    SELECT f.doc ->> 'of' AS of FROM usage_fact f
    WHERE f.workspace_id = $1 AND f.customer = $2 AND f.effective_at > $3 AND f.effective_at < $4
        AND f.recorded_at > $5 AND f.kind IN ('settle', 'release')
"""
FIRST_OF: Final = """
    SELECT min(f.effective_at) AS at FROM usage_fact f
    WHERE f.workspace_id = $1 AND f.customer = $2 AND f.effective_at >= $3 AND f.effective_at <= $4
        AND f.id = ANY ($5::bytea[])
"""
NOTES: Final = """
    SELECT f.id, f.source ->> 'note' AS note FROM usage_fact f
    WHERE f.workspace_id = $1 AND f.customer = $2 AND f.effective_at >= $3 AND f.effective_at <= $4
        AND f.id = ANY ($5::bytea[]) AND f.source ->> 'note' IS NOT NULL
"""
FACTS: Final = f"""
    SELECT {_FACT} FROM usage_fact f
    WHERE f.workspace_id = $1 AND f.serial > $2 AND ($3::text IS NULL OR f.customer = $3)
        AND ($4::text IS NULL OR f.doc #> ARRAY['metered', $4] IS NOT NULL)
        AND ($5::timestamptz IS NULL OR f.effective_at >= $5) AND ($6::timestamptz IS NULL OR f.effective_at < $6)
    ORDER BY f.serial LIMIT $7
"""
# Leases are kept as reservations without an end.
OPEN: Final = """
    SELECT doc FROM reservation
    WHERE workspace_id = $1 AND customer = $2 AND NOT closed AND id > $3 AND until > $4 AND until <= $5
        AND until < 'infinity'
    ORDER BY id LIMIT $6
"""
REFUSED: Final = """
    SELECT id, customer, feature, user_id AS user, quantity, reason, refused_at FROM usage_refusal
    WHERE workspace_id = $1 AND ($2::text IS NULL OR customer = $2) AND ($3::text IS NULL OR feature = $3)
        AND ($4::timestamptz IS NULL OR refused_at >= $4) AND ($5::timestamptz IS NULL OR refused_at < $5)
        AND ($6::bytea IS NULL OR (refused_at, id) < (
            SELECT r.refused_at, r.id FROM usage_refusal r WHERE r.workspace_id = $1 AND r.id = $6
        ))
    ORDER BY refused_at DESC, id DESC LIMIT $7
"""
SEGMENTS: Final = """
    SELECT number, first, count, root, previous, sealed_at FROM usage_segment
    WHERE workspace_id = $1 AND number > $2 ORDER BY number LIMIT $3
"""
FIRST: Final = to_datetime(BEGINNING)
LAST: Final = to_datetime(FOREVER - 1)
# Both parts may hold a slash; a holder is empty or begins with its kind.
_HOLDER: Final = re.compile(r"/(?=\Z|user:|team:)")


class UsageReads(LeaseReads, HourReads, FundingReads):
    """Reading usage, as of one state of the database."""

    async def balance(self, key: AccountKey) -> BalanceRow | None:
        """Return what is kept of a balance."""
        row = await self._row(ONE, *key)
        return None if row is None else balance_of(row)

    async def balances(self, customer: str, page: Page) -> Sequence[BalanceRow]:
        """List a customer's balances by (feature, holder); ``after`` is ``feature/holder``."""
        feature, holder = _place_of(page.after)
        return [balance_of(row) for row in await self._rows(LIST, customer, feature, holder, limit_of(page))]

    async def facts_of(
        self,
        key: AccountKey,
        *,
        after: tuple[Instant, str] | None = None,
        until: Instant | None = None,
        known: datetime | None = None,
    ) -> Sequence[Fact]:
        """Return the facts that burn of a balance, by (effective, id), and what settles and releases there are about.

        The beginnings of reservations come along in their places, also those before ``after``.
        """
        return (await self.facts_of_each([(key, after)], until=until, known=known))[0]

    async def checkpoint(self, key: AccountKey, before: Instant, known: datetime | None = None) -> BalanceRow | None:
        """Return the newest checkpoint of a balance that is of before an instant (and was recorded by ``known``)."""
        return (await self.checkpoints([(key, before)], known))[0]

    async def ended_after(self, customer: str, since: Instant, until: Instant | None, known: datetime) -> Sequence[str]:
        """Return the reservations whose ends, effective in ``(since, until)``, were recorded after a time."""
        end = LAST if until is None else to_datetime(until)
        return [row["of"] for row in await self._rows(ENDED_AFTER, customer, _time(since), end, known)]

    async def border(self, key: AccountKey) -> Instant | None:
        """Return since when a balance can be folded, where facts were dropped; None where it can since its first."""
        return (await self.borders([key]))[0]

    async def first_of(self, customer: str, facts: Sequence[str], since: Instant, until: Instant) -> Instant | None:
        """Return when the first of some facts of a customer was effective, of those in ``[since, until]``."""
        row = await self._row(FIRST_OF, customer, _time(since), _time(until), [ident(one) for one in facts])
        return None if row is None or row["at"] is None else to_instant(row["at"])

    async def notes_of(self, customer: str, refunds: Sequence[Fact]) -> dict[str, str]:
        """Return the notes that corrections of a customer were given, by id; those without one are not named."""
        if not refunds:
            return {}
        ats = [fact.effective for fact in refunds]
        ids = [ident(fact.id) for fact in refunds]
        rows = await self._rows(NOTES, customer, _time(min(ats)), _time(max(ats)), ids)
        return {row["id"].hex(): row["note"] for row in rows}

    async def usage_facts(self, only: UsageFilter, page: Page) -> Sequence[FactRow]:
        """List facts by serial; ``after`` is the serial after which to go on."""
        return await self.next_facts(only, number_after(page, 0), limit_of(page))

    async def next_facts(self, only: UsageFilter, after: int, limit: int) -> Sequence[FactRow]:
        """Return facts by serial, after one."""
        rows = await self._rows(FACTS, after, only.customer, only.meter, only.since, only.until, limit)
        return [fact_row(row) for row in rows]

    async def reservation(self, reservation: str) -> Reservation | None:
        """Return one reservation by the id of its fact."""
        return (await self._reservations([reservation])).get(reservation)

    async def open_reservations(
        self, customer: str, page: Page, *, beyond: Instant = BEGINNING, by: Instant = FOREVER - 1
    ) -> Sequence[Reservation]:
        """List reservations that nobody closed, by id, that end after ``beyond`` and at ``by`` at the latest."""
        after = ident(page.after) if page.after else b""
        rows = await self._rows(OPEN, customer, after, to_datetime(beyond), to_datetime(by), limit_of(page))
        return [reservation_of(row) for row in rows]

    async def refused(self, only: UsageFilter, page: Page) -> Sequence[Refused]:
        """List refused requests, newest first; ``meter`` of the filter is a feature here."""
        after = ident(page.after) if page.after else None
        about = (only.customer, only.meter, only.since, only.until)
        rows = await self._rows(REFUSED, *about, after, limit_of(page))
        return [as_struct(row, Refused, id=row["id"].hex(), refused_at=to_instant(row["refused_at"])) for row in rows]

    async def segments(self, page: Page) -> Sequence[SegmentRow]:
        """List sealed segments by number."""
        rows = await self._rows(SEGMENTS, number_after(page, 0), limit_of(page))
        return [as_struct(row, SegmentRow) for row in rows]


def _time(at: Instant) -> datetime:
    return to_datetime(max(BEGINNING, min(at, FOREVER - 1)))


def _place_of(after: str) -> tuple[str, str]:
    """Return the feature and the holder after which a list of balances goes on."""
    if not after:
        return "", ""
    feature, *holder = _HOLDER.split(after, maxsplit=1)
    return feature, "".join(holder)
