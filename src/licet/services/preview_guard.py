"""What touches live customers is made only by a preview of exactly this, and only while few enough lose something."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct

from licet.core.impact import NO_USES, Impact
from licet.core.instant import to_datetime
from licet.services.errors import BlastRadius, PreviewRequired, PreviewStale
from licet.services.ports import Tx, View
from licet.services.preview_ports import Judge, PreviewKind, PreviewRow, PreviewSummary
from licet.services.proposals import Proposed, compare_catalogs
from licet.services.rows import TermsRow

MAX_AGE: Final = timedelta(hours=1)
"""How long a preview holds after it was begun, in real time and in business time."""
MAX_JUDGED_AGAIN: Final = 1_000
"""Customers whose terms, or whose use of a lowered limit, may have changed since; of more, it is made anew."""
_TURN: Final = 20
"""Customers judged before others have their turn."""
SHOWN_LOSSES: Final = 3
"""Kinds of loss that a refusal tells, the most frequent."""


NOBODY: Final = PreviewSummary(customers=0, affected=0, gaining=0, losing=0, exceeding=0, breaking=0)


class Consent(Struct, frozen=True, kw_only=True):
    """By what a change of live customers was allowed: the preview, its numbers as of now, and how many may lose."""

    id: str
    """The preview's."""
    customers: int
    affected: int
    gaining: int
    losing: int
    exceeding: int
    breaking: int
    judged_again: int
    """Customers among them whose terms changed since the preview was made, or whose use crossed a lowered limit."""
    max_losing: int


class Wanted(Struct, frozen=True, kw_only=True):
    """What is about to be done: of which kind, on which base, with which content."""

    kind: PreviewKind
    base: int
    subject_hash: str
    again: str
    """How to make a preview of it, as advice."""


async def consent_to_release(tx: Tx, proposed: Proposed, preview: str | None, max_losing: int) -> Consent | None:
    """Return by what a catalog may be released; None where it can touch nobody.

    Raises PreviewRequired, PreviewStale or BlastRadius.
    """
    if not proposed.touches or not await tx.has_customers():
        return None
    wanted = _release_of(proposed)
    if preview is None:
        live = [one.sentence for one in proposed.changes if one.effect == "live"]
        more = f" (and {len(live) - 1} more)" if len(live) > 1 else ""
        raise PreviewRequired(
            f"this release can move what customers have already: {live[0]}{more}", advice=wanted.again
        )
    comparison = compare_catalogs(tx.workspace, proposed, tx.time.business)
    return await consent(tx, wanted, preview, max_losing, lambda row, uses: comparison.judge(row.terms, uses))


async def check_preview_of(view: View, proposed: Proposed, preview: str) -> None:
    """Raise PreviewStale unless a release of this catalog may go by a preview, as of now."""
    wanted = _release_of(proposed)
    row, _ = await _fitting(view, wanted, preview)
    await _changed_since(view, row, wanted)


def _release_of(proposed: Proposed) -> Wanted:
    again = "preview it on live customers with POST /v1/catalog/previews, then name the preview"
    return Wanted(kind="catalog", base=proposed.base, subject_hash=proposed.content_hash, again=again)


async def consent(tx: Tx, wanted: Wanted, preview: str, max_losing: int, judge: Judge) -> Consent:
    """Return by what a change is allowed: a finished preview of exactly it, where at most ``max_losing`` lose.

    Customers whose terms changed since, or who crossed a lowered limit, are judged again, as of now. Raises
    PreviewStale or BlastRadius.
    """
    row, summary = await _fitting(tx, wanted, preview)
    changed = await _changed_since(tx, row, wanted)
    tally = Tally(summary)
    before = await tx.preview_impacts(preview, [one.terms.customer for one in changed])
    uses = await tx.uses_said([one.terms.customer for one in changed])
    for place, one in enumerate(changed):
        customer = one.terms.customer
        if customer in before:
            tally.count(before[customer].impact, -1)
        judged = judge(one, uses.get(customer, NO_USES))
        if judged is not None:
            tally.count(judged.impact, 1)
        if place % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    found = tally.counts
    if found["losing"] > max_losing:
        raise _too_many(preview, tally, max_losing)
    return Consent(
        id=preview,
        customers=summary.customers if wanted.kind == "move" else await tx.count_customers(),
        affected=found["affected"],
        gaining=found["gaining"],
        losing=found["losing"],
        exceeding=found["exceeding"],
        breaking=found["breaking"],
        judged_again=len(changed),
        max_losing=max_losing,
    )


async def _changed_since(tx: View, row: PreviewRow, wanted: Wanted) -> Sequence[TermsRow]:
    """The terms of whoever is not as the preview saw them any more; raises PreviewStale where they are too many."""
    changed = [*await tx.terms_since(row.seq, MAX_JUDGED_AGAIN + 1)]
    known = {one.terms.customer for one in changed}
    crossing = [one for one in await tx.uses_crossing(row.id, MAX_JUDGED_AGAIN + 1) if one not in known]
    if len(changed) + len(crossing) > MAX_JUDGED_AGAIN:
        raise PreviewStale(
            f"the terms of more than {MAX_JUDGED_AGAIN:,} customers changed since the preview {row.id} was made, or "
            "what they use of a lowered limit",
            advice=wanted.again,
        )
    found = [await tx.terms(customer) for customer in crossing]
    return changed + [one for one in found if one is not None]


async def _fitting(tx: View, wanted: Wanted, preview: str) -> tuple[PreviewRow, PreviewSummary]:
    """The named preview; raises PreviewStale where it is not one of exactly this, whole and of late."""
    row = await tx.preview(preview)
    if row is None:
        raise PreviewStale(f"there is no preview {preview}; it may have been forgotten", advice=wanted.again)
    if row.finished_at is None or row.summary is None:
        raise PreviewStale(
            f"the preview {preview} is not finished: {row.done:,} of {row.total:,} customers were judged",
            advice=wanted.again,
        )
    why = None
    if row.kind != wanted.kind:
        why = f"is one of a {row.kind}"
    elif row.base != wanted.base:
        why = f"was made on revision {row.base}; the catalog is at revision {wanted.base}"
    elif row.subject_hash != wanted.subject_hash:
        why = "is of another content than what is sent now"
    elif row.what_if:
        why = f"judged customers as of {row.at:%Y-%m-%d %H:%M} UTC, as was asked for, not as of now"
    elif to_datetime(tx.time.wall) - row.begun_at > MAX_AGE:
        why = f"was begun at {row.begun_at:%Y-%m-%d %H:%M} UTC, more than an hour ago"
    elif not timedelta() <= to_datetime(tx.time.business) - row.at <= MAX_AGE:
        now = to_datetime(tx.time.business)
        why = (
            f"judged customers as of {row.at:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} now, and it holds an hour"
        )
    if why is not None:
        raise PreviewStale(f"the preview {preview} {why}", advice=wanted.again)
    return row, row.summary


class Tally:
    """The counts of a preview, moved by customers who are judged again."""

    def __init__(self, summary: PreviewSummary = NOBODY) -> None:
        self.counts = Counter(
            affected=summary.affected,
            gaining=summary.gaining,
            losing=summary.losing,
            exceeding=summary.exceeding,
            breaking=summary.breaking,
        )
        self.titles = {one.feature: one.title for one in summary.features}
        self.losses = Counter[tuple[str, str]]()
        for one in summary.features:
            for kind in ("loss", "less", "exceeded", "later", "changed"):
                times: int = getattr(one, kind)
                self.losses[kind, one.feature] += times

    def count(self, impact: Impact, times: int = 1) -> None:
        """Add a customer to whom this happens, or take it away."""
        if impact.nothing:
            return
        self.counts["affected"] += times
        self.counts["gaining"] += times * impact.gains
        self.counts["losing"] += times * impact.loses
        self.counts["exceeding"] += times * bool(impact.exceeding)
        self.counts["breaking"] += times * bool(impact.breaking)
        for change in impact.changes:
            self.titles[change.feature] = change.title
            if change.kind in ("loss", "less", "changed"):
                self.losses[change.kind, change.feature] += times
        for change in impact.later:
            self.titles[change.feature] = change.title
            self.losses["later", change.feature] += times
        for feature in impact.exceeding:
            self.losses["exceeded", feature] += times

    def words(self) -> Iterable[str]:
        """What is lost, the most frequent first."""
        said = {
            "loss": "lose {}",
            "less": "have less of {}",
            "exceeded": "use more of {} than would be allowed",
            "later": "lose {} at another time, or have less of it then",
            "changed": "have {} otherwise than before",
        }
        losses = [(times, *which) for which, times in self.losses.items() if times > 0]
        for times, kind, feature in sorted(losses, key=lambda one: (one[1] == "changed", -one[0], *one[1:])):
            yield f"{times:,} {said[kind].format(self.titles.get(feature, feature))}"
        if self.counts["breaking"]:
            yield f"{self.counts['breaking']:,} would hold what may not be held together"


def _too_many(preview: str, tally: Tally, max_losing: int) -> BlastRadius:
    losing = tally.counts["losing"]
    words = [*tally.words()]
    look = f"look who: GET /v1/catalog/previews/{preview}/customers?effect=losing"
    more = f"; {len(words) - SHOWN_LOSSES} more kinds of loss" if len(words) > SHOWN_LOSSES else ""
    return BlastRadius(
        f"{losing:,} customer{'' if losing == 1 else 's'} would lose something, at most {max_losing:,} may: "
        f"{'; '.join(words[:SHOWN_LOSSES])}{more}",
        advice=f"{look}; allow it with max_losing={losing}",
        details={"losing": losing, "max_losing": max_losing, "losses": words[:SHOWN_LOSSES]},
    )
