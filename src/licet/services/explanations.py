"""Explaining a decision, also of a past instant: by what was known then, or by the very truth that an answer names."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from licet.core.compiled import CompiledCatalog
from licet.core.explain import Explanation
from licet.core.explain import explain as tell
from licet.core.instant import Instant, format_instant, to_instant
from licet.core.question import Question, UserFacts
from licet.core.terms import Terms
from licet.services.checks import Known, check_amounts, known_at, user_facts
from licet.services.errors import NoCatalogThen
from licet.services.history import order_subject, schedule_subject
from licet.services.normal import invalid, normal
from licet.services.ports import View
from licet.services.rows import CatalogRow, Page, TermsRow, UserRow
from licet.services.truth import Snapshots
from licet.wire.event import Event

MAX_PAGES: Final = 10
"""How many pages of events are searched for the words of one subject."""
_PAGE: Final = 500


async def explain(
    view: View,
    question: Question,
    snapshots: Snapshots,
    *,
    at: datetime | None = None,
    known: datetime | None = None,
    basis: str | None = None,
) -> Explanation:
    """Return how a question is answered at an instant (now by default), as a tree from the order to the decision.

    ``known`` is the instant whose knowledge counts: by default the earlier of ``at`` and now. ``basis`` (from a
    decision) beats it: the catalog and terms of exactly that answer. Users are taken as they are now. Raises Invalid
    for a basis or quantity that makes no sense, NoCatalog or NoCatalogThen if none was released by then.
    """
    question = normal(question)
    now = view.time.business if at is None else to_instant(at)
    truth = await _truth(view, question.customer, min(now, to_instant(known) if known else now), basis, snapshots)
    facts = user_facts(question.user, await _user(view, question))
    check_amounts(truth.catalog, question)
    terms = None if truth.terms is None else truth.terms.terms
    words = {} if terms is None else await _event_words(view, terms)
    return tell(
        truth.catalog,
        terms,
        question,
        now,
        user=facts if isinstance(facts, UserFacts) else None,
        events=words,
    )


async def _truth(view: View, customer: str, at: Instant, basis: str | None, snapshots: Snapshots) -> Known:
    """Return the truth of a basis, else that of an instant."""
    if basis is None:
        return await known_at(view, customer, at, snapshots)
    seq = _sequence(view, basis)
    released = await _catalog_at(view, seq)
    if released is None:
        raise NoCatalogThen(f"no catalog had been released by basis {basis}", advice="use the basis of a decision")
    catalog: CompiledCatalog = await snapshots.catalogs.at(view, released.revision)
    return Known(at, catalog, await _terms_at(view, customer, seq), basis)


def _sequence(view: View, basis: str) -> int:
    """Return the sequence in a basis; raises Invalid for one that is not of this workspace's epoch."""
    epoch, colon, seq = basis.partition(":")
    if not colon or not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise invalid("basis", f"{basis!r} is no basis", "take it from a decision; it looks like 1:42")
    if epoch != str(view.workspace.epoch):
        raise invalid("basis", f"{basis!r} is of epoch {epoch}; the log is in epoch {view.workspace.epoch}")
    return int(seq)


async def _catalog_at(view: View, seq: int) -> CatalogRow | None:
    """Return the newest catalog at a sequence, None if nothing was released by then."""
    page = Page(limit=_PAGE)
    while rows := await view.catalogs(page):
        for row in rows:
            if row.seq <= seq:
                return row
        page = Page(after=str(rows[-1].revision), limit=_PAGE)
    return None


async def _terms_at(view: View, customer: str, seq: int) -> TermsRow | None:
    """Return the newest terms at a sequence, None if there was no such customer."""
    page = Page(limit=_PAGE)
    while rows := await view.terms_history(customer, page):
        for row in rows:
            if row.seq <= seq:
                return row
        page = Page(after=str(rows[-1].revision), limit=_PAGE)
    return None


async def _user(view: View, question: Question) -> UserRow | None:
    return None if question.user is None else await view.user(question.customer, question.user)


async def _event_words(view: View, terms: Terms) -> dict[str, str]:
    """Return words for the events that brought the terms: what, by whom, when, and the note."""
    wanted = set(_origins(terms))
    subjects = [f"customer/{terms.customer}"]
    for one in terms.subscriptions:
        if one.source is not None and one.external_id is not None:
            subjects.append(order_subject(one.source, one.external_id))
            if one.schedule is not None:
                subjects.append(schedule_subject(one.source, one.external_id))
    found: dict[str, str] = {}
    for subject in subjects:
        page = Page(limit=_PAGE)
        for _ in range(MAX_PAGES):
            if wanted <= found.keys():
                return found
            events = await view.events(page, subject=subject)
            found |= {event.id: _words(event) for event in events if event.id in wanted}
            if len(events) < _PAGE:
                break
            page = Page(after=str(events[-1].seq), limit=_PAGE)
    return found


def _origins(terms: Terms) -> Iterable[str]:
    """Return the ids of the events that terms name."""
    named: list[str | None] = []
    for one in terms.subscriptions:
        named += [one.event, one.end_event]
        named += [phase.event for phase in one.phases]
        named += [pause.event for pause in one.pauses]
        named += [fact.event for fact in one.payments]
        if one.schedule is not None:
            named += [one.schedule.event, *(phase.event for phase in one.schedule.phases)]
    named += [override.event for override in terms.overrides]
    named += [suspension.event for suspension in terms.suspensions]
    named += [patience.event for patience in terms.leniencies]
    named += [choice.event for choice in terms.ladders]
    named += [membership.event for membership in terms.cohorts]
    return [event for event in named if event is not None]


def _words(event: Event) -> str:
    note = f": {event.note}" if event.note else ""
    return f"{event.type} by {event.actor}, {format_instant(to_instant(event.recorded_at))}{note}"
