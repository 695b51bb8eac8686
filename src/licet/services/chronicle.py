"""What changed in one customer's rights, when and why: its events, releases that touched it, and passing time.

Rights are compared as they were known at each instant, so a late order shows when it was recorded, not when it counted
from. Nothing of this is stored: each page is computed from the log and the documents of then.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, Literal

from msgspec import Struct, structs

from licet.core.audience import Audience
from licet.core.compiled import CompiledCatalog
from licet.core.gains import RightChange, compare_rights
from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.orders import subject_of
from licet.core.passage import passages
from licet.core.terms import Terms
from licet.services.customers import unknown_customer
from licet.services.eventwords import RELEASED, event_words
from licet.services.known import check_feature
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.truth import Snapshots
from licet.wire.event import Event

_EXTRA: Final = 10
"""Events read beyond a page, so that the transaction at its end is whole."""
_LEADING: Final = frozenset({"order", "schedule"})


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One command, or one instant at which time changed something by itself, and what became of the rights."""

    at: datetime
    """When it was recorded, on the business clock; for ``time``, when it came into force."""
    kind: Literal["event", "time"]
    words: tuple[str, ...]
    changes: tuple[RightChange, ...]
    """The rights gained, lost or changed at ``at``, as known then; those that begin later follow as ``time``."""
    events: tuple[str, ...] = ()
    """The ids of its events, in the order of the log."""
    seq: int | None = None
    by: str | None = None
    note: str = ""
    effective_at: datetime | None = None
    """When it counts from, where that is another instant than ``at``."""


class Stretch(Struct, frozen=True, kw_only=True):
    """Which part of the past: recorded from ``start`` until before ``end``; a page of it, and one feature of it."""

    page: Page
    start: datetime | None = None
    end: datetime | None = None
    feature: str | None = None
    audience: Audience = "server"
    """Customers read that a release touched them, not what else it changed nor why."""


class Truth(Struct, frozen=True):
    """What was known of the customer at a sequence."""

    catalog: CompiledCatalog | None
    terms: Terms


async def customer_history(
    view: View, customer: str, stretch: Stretch, snapshots: Snapshots
) -> tuple[list[HistoryEntry], int | None]:
    """Return one page of a customer's history, newest first, and the sequence before which the next one goes on.

    A page reads as many events as its limit says; entries of passing time come on top, and releases that changed
    nothing for the customer are left out, so it may hold more or fewer. Raises NotFound, and Invalid for a feature that
    the catalog lacks.
    """
    known = await view.terms(customer)
    if known is None:
        raise unknown_customer(customer)
    await _check(view, stretch, snapshots)
    last = view.time.business if stretch.end is None else min(to_instant(stretch.end) - 1, view.time.business)
    low = 0 if stretch.start is None else await view.seq_at(to_datetime(to_instant(stretch.start) - 1))
    before, until = await _upper(view, stretch, last)
    most = stretch.page.limit + _EXTRA
    subjects = [*subjects_of(known.terms), *await view.erased_users(customer)]
    events = await view.events_about(subjects, after=low, before=before, limit=most)
    groups = [tuple(found)[::-1] for _, found in groupby(events, _transaction)]
    more = len(events) == most
    if more and len(groups) > 1:
        groups.pop()
    erased = await view.erased_fields([event.id for event in events if _has_personal(event)])
    telling = _Telling(view, customer, snapshots, erased)
    entries = await telling.tell(groups, before, until)
    if not more and stretch.start is not None:
        entries += telling.passed(to_instant(stretch.start) - 1)
    entries = [one if stretch.audience == "server" else _outward(one) for one in entries]
    return [*_about(entries, stretch.feature)], groups[-1][0].seq if more else None


async def _check(view: View, stretch: Stretch, snapshots: Snapshots) -> None:
    """Raise Invalid for a feature that the catalog lacks; customers are not told which ones it has."""
    if stretch.feature is not None and await view.catalog_revision():
        known = (await snapshots.catalogs.current(view)).document.features
        check_feature(stretch.feature, known, near=stretch.audience == "server")


def subjects_of(terms: Terms) -> list[str]:
    """Return what the log's events about a customer are about: itself, its foreign subscriptions, the catalog."""
    found = [subject_of("customer", terms.customer), "catalog"]
    for one in terms.subscriptions:
        if one.source is not None and one.external_id is not None:
            found += [subject_of(noun, one.source, one.external_id) for noun in ("order", "schedule")]
    return found


class _Telling:
    """Goes back through the past, from a truth to the one before."""

    def __init__(self, view: View, customer: str, snapshots: Snapshots, erased: Mapping[str, Sequence[str]]) -> None:
        self._view = view
        self._erased = erased
        self._customer = customer
        self._snapshots = snapshots
        self._truth = Truth(None, Terms(customer=customer))
        self._until = 0

    async def tell(self, groups: Sequence[tuple[Event, ...]], before: int, until: Instant) -> list[HistoryEntry]:
        """Return the entries of these transactions, newest first, and of the time after each."""
        entries: list[HistoryEntry] = []
        self._truth, self._until = await self._at(before - 1), until
        for group in groups:
            at = to_instant(group[0].recorded_at)
            entries += self.passed(at)
            earlier = await self._at(group[0].seq - 1)
            changes = _compare(earlier, self._truth, at)
            if changes or any(event.subject != "catalog" for event in group):
                entries.append(_entry(group, changes, self._erased))
            self._truth, self._until = earlier, at
            # Comparing takes a few ms: others get their turn in between.
            await asyncio.sleep(0)
        return entries

    def passed(self, start: Instant) -> list[HistoryEntry]:
        """Return what time changed by itself after ``start``, newest first, by the truth that held."""
        if self._truth.catalog is None or start >= self._until:
            return []
        found, whole = passages(self._truth.catalog, self._truth.terms, start, self._until)
        entries = [
            HistoryEntry(at=to_datetime(one.at), kind="time", words=one.words, changes=one.changes) for one in found
        ]
        if not whole and entries:
            cut = "what time changed after that is not listed: ask from there on"
            entries[-1] = structs.replace(entries[-1], words=(*entries[-1].words, cut))
        return entries[::-1]

    async def _at(self, seq: int) -> Truth:
        released = await self._view.catalog_at(seq)
        catalog = None if released is None else await self._snapshots.catalogs.at(self._view, released.revision)
        row = await self._view.terms_at(self._customer, seq)
        return Truth(catalog, Terms(customer=self._customer) if row is None else row.terms)


async def _upper(view: View, stretch: Stretch, last: Instant) -> tuple[int, Instant]:
    """Return the sequence before which a page lies, and the instant until which it tells of time."""
    end = await view.seq_at(to_datetime(last)) + 1
    after = stretch.page.after
    if not after:
        return end, last
    named = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
    rows = await view.events(Page(after=str(max(0, named - 1)), limit=1))
    if not rows or rows[0].seq != named or named > end:
        raise invalid("cursor", "the cursor is not one of this list", "use the cursor of the page before")
    return named, to_instant(rows[0].recorded_at)


def _transaction(event: Event) -> tuple[datetime, datetime, str]:
    """What the events of one transaction have in common."""
    return event.wall_at, event.recorded_at, event.actor


def _compare(earlier: Truth, later: Truth, at: Instant) -> tuple[RightChange, ...]:
    if later.catalog is None or earlier == later:
        return ()
    return compare_rights(earlier.catalog or later.catalog, earlier.terms, later.catalog, later.terms, at)


def _entry(
    group: tuple[Event, ...], changes: tuple[RightChange, ...], erased: Mapping[str, Sequence[str]]
) -> HistoryEntry:
    lead, last = group[0], group[-1]
    return HistoryEntry(
        at=lead.recorded_at,
        kind="event",
        words=tuple(dict.fromkeys(_words(group, erased))),
        changes=changes,
        events=tuple(event.id for event in group),
        seq=last.seq,
        by=lead.actor,
        note=lead.note or _said(lead),
        effective_at=next((one.effective_at for one in group if one.effective_at != one.recorded_at), None),
    )


def _outward(entry: HistoryEntry) -> HistoryEntry:
    """The entry as customers may read it."""
    words = tuple(one.partition(": ")[0] if one.startswith(RELEASED) else one for one in entry.words)
    return entry if words == entry.words else structs.replace(entry, words=words, note="")


def _has_personal(event: Event) -> bool:
    return isinstance(event.after, dict) and bool(event.after.get("private"))


def _words(group: tuple[Event, ...], erased: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What the events say, and which personal values are no longer there.

    What became of the subscription follows from its order and is not said twice.
    """
    led = any(event.type.partition(".")[0] in _LEADING for event in group)
    for event in group:
        if not (led and event.type.startswith("subscription.")):
            gone = erased.get(event.id)
            yield event_words(event) + (f" ({' and '.join(gone)} erased)" if gone else "")


def _said(event: Event) -> str:
    """The note that is part of what was commanded."""
    return str(event.after.get("note") or "") if isinstance(event.after, dict) else ""


def _about(entries: Sequence[HistoryEntry], feature: str | None) -> Iterator[HistoryEntry]:
    """Only what changed one feature, where one is asked about."""
    for entry in entries:
        if feature is None:
            yield entry
            continue
        changes = tuple(one for one in entry.changes if one.feature == feature)
        if changes:
            yield structs.replace(entry, changes=changes)
