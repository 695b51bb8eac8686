"""Statements: every fact of a balance within a time, with what it drew, and how the balance stood before and after."""

from datetime import datetime
from typing import Final

from msgspec import structs

from licet.core.catalog import Credits, Metered
from licet.core.instant import Instant, instant_words, to_datetime, to_instant
from licet.core.usage.balance import Draw, Refund, Use
from licet.core.usage.course import Course
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Fact
from licet.core.views import wire_amount
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.truth import Snapshots
from licet.services.usage.balance_views import DrawView, EntryView, StatementView
from licet.services.usage.balances import Truth, When, get_balance, past, truth_of
from licet.services.usage.funding import check_holder, counted_feature

MAX_ENTRIES: Final = 1_000
"""Facts of one page of a statement."""


async def get_statement(
    view: View, key: AccountKey, snapshots: Snapshots, period: tuple[datetime | None, datetime | None], page: Page
) -> StatementView:
    """Return the facts of a balance within ``[since, until)`` with their draws, and how it stood before and after.

    ``since`` is by default the beginning of the period that is in, ``until`` now. ``after`` of the page is
    ``<instant in microseconds>-<id>``.
    """
    truth = await truth_of(view, key.customer, snapshots)
    feature = counted_feature(truth.catalog, key.feature)
    check_holder(feature, key)
    course = truth.course(key)
    since, until = _period(truth, course, period)
    found = await past(view, truth, course, since)
    facts, draws = found.facts, found.recalled().draws
    after = _place(page.after)
    within = [one for one in facts if since <= one.effective < until and (one.effective, one.id) > after]
    begun = {one.id: one for one in facts if one.kind == "reserve"}
    limit = min(page.limit, MAX_ENTRIES)
    scale = truth.catalog.features[key.feature].scale
    last = within[limit - 1] if len(within) > limit else None
    notes = await view.notes_of(key.customer, [one for one in within[:limit] if one.kind == "refund"])
    entries = (_entry(one, key, begun, draws, (feature, scale)) for one in within[:limit])
    return StatementView(
        customer=key.customer,
        feature=key.feature,
        holder=key.holder,
        opening=await get_balance(view, key, snapshots, When(at=to_datetime(since), known=to_datetime(truth.at))),
        closing=await get_balance(view, key, snapshots, When(at=to_datetime(until), known=to_datetime(truth.at))),
        entries=tuple(structs.replace(one, note=notes.get(one.id.removeprefix("use_"), "")) for one in entries),
        next=None if last is None else f"{last.effective}-{last.id}",
    )


def _period(truth: Truth, course: Course, period: tuple[datetime | None, datetime | None]) -> tuple[Instant, Instant]:
    since = max(course.period_at(truth.at)[0], 0) if period[0] is None else to_instant(period[0])
    until = truth.at if period[1] is None else min(to_instant(period[1]), truth.at)
    if since > until:
        words = f"{instant_words(to_datetime(since))} is after {instant_words(to_datetime(until))}"
        raise invalid("since", words, "say a beginning before the end")
    return since, until


def _place(after: str) -> tuple[Instant, str]:
    """The place after which a statement goes on; raises Invalid."""
    if not after:
        return (-(2**62), "")
    at, _, name = after.partition("-")
    if not at.isascii() or not at.isdigit() or len(at) > 18:
        raise invalid("after", f"{after!r} is no place in a statement", "take it from the page before: next")
    return int(at), name


def _entry(
    fact: Fact,
    key: AccountKey,
    begun: dict[str, Fact],
    draws: dict[str, tuple[Draw, ...]],
    feature: tuple[Metered | Credits, int],
) -> EntryView:
    made, scale = feature
    meter = made.meter if isinstance(made, Metered) else None
    about = [one for one in (begun.get(fact.of or ""), fact) if one is not None]
    mine = next(
        (one for one in effects(about, key, fact.effective, meter) if one.id == fact.id and _is(one, fact)), None
    )
    amount = 0 if mine is None else mine.amount if isinstance(mine, Use) else -mine.amount
    return EntryView(
        id=f"{'res' if fact.kind == 'reserve' else 'use'}_{fact.id}",
        kind=fact.kind,
        at=to_datetime(fact.effective),
        user=fact.user,
        amount=wire_amount(amount, scale),
        of=None if fact.of is None else f"{'res' if fact.of in begun else 'use'}_{fact.of}",
        draws=tuple(DrawView(grant=one.grant, amount=wire_amount(one.amount, scale)) for one in draws.get(fact.id, ())),
        until=None if fact.until is None else to_datetime(fact.until),
        exceeds=fact.exceeds,
    )


def _is(effect: Use | Refund, fact: Fact) -> bool:
    """Whether an effect is that of the fact itself, not the end that its reservation comes to by itself."""
    return fact.kind != "reserve" or isinstance(effect, Use)
