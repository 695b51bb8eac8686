"""Statements: all that changed a balance within a time, each with what it did to what remains, from end to end."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from msgspec import structs

from licet.core.instant import HOUR, Instant, instant_words, to_datetime, to_instant
from licet.core.usage.balance import UNLIMITED, Draw, Use
from licet.core.usage.closing import expiry_id
from licet.core.usage.course import Course
from licet.core.usage.facts import AccountKey, BalanceReset, Fact, Funding, GrantGiven, GrantVoided
from licet.core.usage.recalled import SLICE
from licet.core.usage.statement import Row, Trace
from licet.core.views import Number, wire_amount
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.truth import Snapshots
from licet.services.usage.answers import boundless
from licet.services.usage.balance_views import BalanceView, DrawView, EntryKind, EntryView, StatementView
from licet.services.usage.balances import Folded, Truth, balance_view, origin_words, past, truth_of
from licet.services.usage.funding import check_holder, counted_feature

MAX_ENTRIES: Final = 1_000
"""Entries of one page of a statement."""
_OF_LEASES: Final = ("lease", "return", "recovery")
_TOGETHER: Final = ("lease", "return")
"""Those that are told as one where they follow one another; what is told of another period is a row of its own."""
_BEGINNING: Final = (-(2**62), -1, "")
_Place = tuple[Instant, int, str]


async def get_statement(
    view: View, key: AccountKey, snapshots: Snapshots, period: tuple[datetime | None, datetime | None], page: Page
) -> StatementView:
    """Return all that changed a balance within ``[since, until)``, and how it stood before and after.

    ``since`` is by default the beginning of the period that is in, ``until`` now. ``after`` of the page is the place
    of an entry: ``<instant in microseconds>-<rank>-<name>``. Raises as ``get_balance`` does.
    """
    truth = await truth_of(view, key.customer, snapshots)
    check_holder(counted_feature(truth.catalog, key.feature), key)
    course = truth.course(key)
    after = _place(page.after)
    since, until = _period(truth, course, period)
    found = await past(view, truth, course, since)
    trace = Trace(course, found.effects, found.base)
    writing = _Writing(truth, course, {one.id: one for one in found.facts}, trace.draws)
    for _ in trace.until(since):
        await asyncio.sleep(0)
    opening = _standing(truth, course, trace)
    runs: list[list[Row]] = []
    limit, more = min(page.limit, MAX_ENTRIES), False
    end = max(until + 1, trace.end) if until >= truth.at else until
    for number, row in enumerate(trace.rows(end), 1):
        if not number % SLICE:
            await asyncio.sleep(0)
        if more or (row.at, row.rank, row.place) <= after or not _matters(row, course):
            continue
        if runs and writing.are_one(runs[-1][-1], row):
            runs[-1].append(row)
        elif len(runs) < limit:
            runs.append([row])
        else:
            more = True
    entries = [writing.entry(run[0]) if len(run) == 1 else writing.together(run) for run in runs]
    facts = [writing.fact(run[0]) for run in runs]
    notes = await view.notes_of(key.customer, [one for one in facts if one is not None and one.kind == "refund"])
    last = runs[-1][-1] if more else None
    return StatementView(
        customer=key.customer,
        feature=key.feature,
        holder=key.holder,
        opening=opening,
        closing=_standing(truth, course, trace),
        entries=tuple(
            structs.replace(one, note=note) if (note := notes.get(one.id.removeprefix("use_"))) else one
            for one in entries
        ),
        next=None if last is None else f"{last.at}-{last.rank}-{last.place}",
    )


def _period(truth: Truth, course: Course, period: tuple[datetime | None, datetime | None]) -> tuple[Instant, Instant]:
    since = max(course.period_at(truth.at)[0], 0) if period[0] is None else to_instant(period[0])
    until = truth.at if period[1] is None else min(to_instant(period[1]), truth.at)
    if since > until:
        words = f"{instant_words(to_datetime(since))} is after {instant_words(to_datetime(until))}"
        raise invalid("since", words, "say a beginning before the end")
    return since, until


def _place(after: str) -> _Place:
    """The place after which a statement goes on; raises Invalid."""
    if not after:
        return _BEGINNING
    at, _, rest = after.partition("-")
    rank, _, name = rest.partition("-")
    if not at.isascii() or not at.isdigit() or len(at) > 18 or rank not in ("0", "1", "2"):
        raise invalid("after", f"{after!r} is no place in a statement", "take it from the page before: next")
    return int(at), int(rank), name


def _standing(truth: Truth, course: Course, trace: Trace) -> BalanceView:
    numbers = trace.standing()
    return balance_view(truth, Folded(course, numbers, trace.account.room(numbers.at), trace.account))


def _matters(row: Row, course: Course) -> bool:
    """Whether a row is worth reading: what was whole and is whole again says nothing, unless somebody asked for it."""
    if row.kind in ("renew", "fresh") and row.at not in course.emptied:
        return row.before != row.after
    return row.kind != "resets" or row.change != 0


class _Said(NamedTuple):
    """What commands said of a balance."""

    grants: dict[str, GrantGiven]
    voids: dict[str, Funding]
    """By grant."""
    resets: dict[Instant, Funding]


def _said(truth: Truth, course: Course) -> _Said:
    said = _Said({}, {}, {})
    for one in sorted(truth.funding, key=lambda one: one.id):
        if (one.feature, one.holder) != (course.feature, course.holder):
            continue
        if isinstance(one.doc, GrantGiven):
            said.grants[one.id] = one.doc
        elif isinstance(one.doc, GrantVoided):
            said.voids.setdefault(one.doc.grant, one)
        elif isinstance(one.doc, BalanceReset):
            said.resets[one.doc.at] = one
    return said


class _Writing:
    """Rows of a fold, as they are shown."""

    def __init__(
        self, truth: Truth, course: Course, facts: dict[str, Fact], draws: dict[str, tuple[Draw, ...]]
    ) -> None:
        self.truth, self.course, self.facts, self.draws = truth, course, facts, draws
        self.said = _said(truth, course)

    def entry(self, row: Row) -> EntryView:
        """Return a row as it is shown."""
        if row.fact is not None:
            return self._told(row)
        if not row.grant:
            manual = self.said.resets.get(row.at) if row.kind == "resets" else None
            kind: EntryKind = "window" if row.kind == "window" else "period" if manual is None else "reset"
            return EntryView(
                id="" if manual is None else manual.id,
                kind=kind,
                at=to_datetime(row.at),
                change=self._change(row),
                remaining=self._units(row.remaining),
                note=_note(manual),
            )
        return self._brought(row)

    def fact(self, row: Row) -> Fact | None:
        """Return the recorded fact of a row."""
        return None if row.fact is None else self.facts.get(row.fact.id)

    def are_one(self, row: Row, following: Row) -> bool:
        """Return whether two rows, one right after the other, are told as one: of leases, within an hour of UTC."""
        kinds = [None if (fact := self.fact(one)) is None else fact.kind for one in (row, following)]
        return row.at // HOUR == following.at // HOUR and all(kind in _TOGETHER for kind in kinds)

    def together(self, run: Sequence[Row]) -> EntryView:
        """Return several rows of leases as one: what it did, and what remains, is that of all of them."""
        last = run[-1]
        told = [self._told(row) for row in run]
        facts = [fact for row in run if (fact := self.fact(row)) is not None]
        return EntryView(
            id=told[-1].id,
            kind="leases",
            at=to_datetime(last.at),
            change=self._change(last._replace(change=sum(row.change for row in run))),
            remaining=self._units(last.remaining),
            amount=self._units(sum(_taken(row) for row in run)),
            draws=self._drawn(*(one.id for one in facts if one.kind == "lease")),
            **self._of_leases(facts),
        )

    def _of_leases(self, facts: Sequence[Fact]) -> dict[str, Any]:
        """What is told of leases and returns beside what they changed."""
        feature = self.course.feature
        begun = [one for one in facts if one.kind == "lease"]
        over = [one for one in facts if one.kind in ("return", "recovery")]
        metered = Counter[str]()
        for one in over:
            metered.update(one.metered)
        meters = self.truth.catalog.document.meters
        scales = {name: meters[name].scale if name in meters else 0 for name in metered}
        told: dict[str, Any] = {}
        if begun:
            told |= {"issued": len(begun), "leased": self._units(sum(one.burns.get(feature, 0) for one in begun))}
        if over:
            told |= {
                "returned": self._units(sum(one.back.get(feature, 0) for one in over)),
                "used": self._units(sum(one.burns.get(feature, 0) for one in over)),
                "metered": {name: wire_amount(minor, scales[name]) for name, minor in metered.items()},
            }
        return told

    def _told(self, row: Row) -> EntryView:
        effect, fact = row.fact, self.fact(row)
        if effect is None or fact is None:
            raise RuntimeError("a row of a fact without its fact")
        ended = not isinstance(effect, Use) and fact.kind == "reserve"
        of = fact.id if ended else fact.of
        begun = self.facts.get(of or "")
        prefix = "res" if fact.kind == "reserve" and not ended else "use"
        return EntryView(
            id=f"{prefix}_{expiry_id(fact.id) if ended else fact.id}",
            kind="release" if ended else fact.kind,
            at=to_datetime(row.at),
            change=self._change(row),
            remaining=self._units(row.remaining),
            user=fact.user,
            amount=self._units(_taken(row)),
            of=None if of is None else f"{'res' if begun is not None and begun.kind == 'reserve' else 'use'}_{of}",
            draws=() if ended else self._drawn(fact.id),
            until=None if fact.until is None or fact.kind != "reserve" or ended else to_datetime(fact.until),
            exceeds=fact.exceeds,
            **(self._of_leases([fact]) if fact.kind in _OF_LEASES else {}),
        )

    def _brought(self, row: Row) -> EntryView:
        """What time or a command brought to a grant."""
        given, void = self.said.grants.get(row.grant), self.said.voids.get(row.grant)
        kind = self._kind(row, given is not None, void)
        reset = self.said.resets.get(row.at) if kind == "reset" else None
        of = void if kind == "void" else reset
        begins, over = row.kind == "begins", row.kind == "ends"
        stays = row.after - row.amount if row.kind == "renew" else 0
        lost = row.before - stays if row.kind in ("renew", "fresh", "ends") else 0
        return EntryView(
            id=row.grant if of is None else of.id,
            kind=kind,
            at=to_datetime(row.at),
            change=self._change(row),
            remaining=self._units(row.remaining),
            amount=None if over else self._units(row.amount),
            of=None if of is None else row.grant,
            until=None if given is None or given.expires is None or not begins else to_datetime(given.expires),
            kept=self._units(stays) if stays else None,
            forfeited=self._units(lost) if lost > 0 else None,
            cause=given.cause if given is not None and begins else None,
            source=origin_words(self.course.origins.get(row.grant)),
            note=_note(of) if of is not None else given.note if given is not None and begins else "",
        )

    def _kind(self, row: Row, given: bool, void: Funding | None) -> EntryKind:
        origin = self.course.origins.get(row.grant)
        if row.kind == "begins":
            return "grant" if given else "allowance"
        if row.kind == "ends":
            voided = void is not None and isinstance(void.doc, GrantVoided) and void.doc.at <= row.at
            return "void" if voided else "expire" if given else "end"
        if row.kind == "step":
            return "part" if origin is not None and origin.release and row.at not in origin.changes else "change"
        return "reset" if row.at in self.course.emptied else "renew"

    def _drawn(self, *uses: str) -> tuple[DrawView, ...]:
        if self.course.window is not None or self.course.gauge is not None:
            return ()  # nothing is drawn there: grants are a ceiling
        found = Counter[str]()
        for one in (draw for use in uses for draw in self.draws.get(use, ())):
            found[one.grant] += one.amount
        return tuple(DrawView(grant=grant, amount=self._units(amount)) for grant, amount in found.items())

    def _units(self, minor: int) -> Number:
        return wire_amount(boundless(minor, minor), self.truth.catalog.features[self.course.feature].scale)

    def _change(self, row: Row) -> Number | None:
        return None if abs(row.change) >= UNLIMITED else self._units(row.change)


def _taken(row: Row) -> int:
    """What a fact took from the balance; negative where it gave back."""
    effect = row.fact
    return 0 if effect is None else effect.amount if isinstance(effect, Use) else -effect.amount


def _note(funding: Funding | None) -> str:
    return "" if funding is None else funding.doc.note
