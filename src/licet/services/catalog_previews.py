"""Previews on live customers: a change is judged for everybody before it is made, counted, listed and kept.

A preview is written piece by piece while the work goes on, and counts only once it is finished: one whose server
died stays unfinished, can be looked at, and can never be applied.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from licet.core.gains import RightChange
from licet.core.impact import Exceeded, Impact, Judged, Uses
from licet.core.instant import Instant, to_datetime
from licet.seal.ids import new_id
from licet.services.errors import NotFound, StaleBase
from licet.services.ports import Storage, View
from licet.services.preview_ports import (
    AsideGroup,
    FeatureCount,
    GroupRow,
    Judge,
    PreviewKind,
    PreviewRow,
    PreviewSummary,
    TouchedRow,
)
from licet.services.proposals import Proposed, compare_catalogs
from licet.services.rows import Actor, Page, TermsRow

KEPT_DAYS: Final = 7
KEPT: Final = 20
"""Previews of a workspace, those that broke off among them; the oldest give way."""
PAGE: Final = 100
TURN_SECONDS: Final = 0.003
"""How long customers are judged before others have their turn."""
TOLD_SECONDS: Final = 0.5
"""How often progress is told and what was found is written."""
MAX_UNWRITTEN: Final = 2_000
MAX_KNOWN: Final = 100_000
"""Different impacts that are remembered; beyond them, equal ones may stand in two groups."""
SHOWN_GROUPS: Final = 50

Effect = Literal["gaining", "losing", "exceeding", "breaking"]
_KINDS: Final[Mapping[str, Effect | None]] = {
    "gain": "gaining",
    "more": "gaining",
    "loss": "losing",
    "less": "losing",
    "changed": None,
}


class Change(Struct, frozen=True, kw_only=True):
    """What is previewed: a catalog on its base, or a move of customers between versions."""

    kind: PreviewKind
    base: int
    subject_hash: str
    """SHA-256 in hexadecimal of all that the preview depends on besides base and customers."""
    subject: Any = None
    at: Instant
    aside: Callable[[], tuple[AsideGroup, ...]] = tuple
    """Asked when everybody was judged: what the change passes by, with the reasons."""
    what_if: bool = False


class PreviewView(Struct, frozen=True, kw_only=True):
    """A preview. ``summary`` is there once it is finished; until then ``done`` of ``total`` customers were judged."""

    id: str
    kind: PreviewKind
    base: int
    at: datetime
    what_if: bool
    """Whether the instant was asked for; nothing is released by such a preview."""
    seq: int
    begun_at: datetime
    finished_at: datetime | None
    done: int
    total: int
    summary: PreviewSummary | None


class Progress(Struct, frozen=True, kw_only=True):
    """How far the work has come, in customers. ``preview`` is the id of what is being made."""

    done: int
    of: int
    preview: str


class PreviewLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an answer that comes while the work goes on: progress, or at the end the preview."""

    progress: Progress | None = None
    preview: PreviewView | None = None


class TouchedView(Struct, frozen=True, kw_only=True):
    """What happens to one customer."""

    customer: str
    changes: tuple[RightChange, ...]
    exceeding: tuple[str, ...]
    exceeded: tuple[Exceeded, ...]
    breaking: tuple[str, ...]
    narrowed: tuple[str, ...] = ()
    """Features whose right is worth less though there is as much of it."""
    later: tuple[RightChange, ...] = ()
    """What is lost only at another time, to other questions, or once nothing hides it any more."""


async def preview_on_customers(
    storage: Storage, workspace: str, actor: Actor, proposed: Proposed, at: Instant | None = None
) -> AsyncGenerator[PreviewLine, None]:
    """Judge every customer under the newest catalog and under a proposed one, at one instant (business now).

    With ``at`` it only tells what would be then: nothing is released by it. Reads one consistent state from beginning
    to end; yields progress, then the finished preview. Raises StaleBase where somebody released since the catalog was
    read, Unavailable where as many go on as may be at once.
    """
    async with storage.read_long(workspace) as view:
        if await view.catalog_revision() != proposed.base:
            raise StaleBase(
                f"somebody released while this was read; it was made on revision {proposed.base}",
                advice="preview it again on the newest revision",
            )
        chosen = view.time.business if at is None else at
        comparison = await asyncio.to_thread(compare_catalogs, view.workspace, proposed, chosen)
        change = Change(
            kind="catalog",
            base=proposed.base,
            subject_hash=proposed.content_hash,
            subject={"changes": len(proposed.changes)},
            at=chosen,
            what_if=at is not None,
        )
        judged = judge_all(storage, view, actor, change, lambda row, uses: comparison.judge(row.terms, uses))
        async with aclosing(judged):
            async for line in judged:
                yield line


async def judge_all(
    storage: Storage, view: View, actor: Actor, change: Change, judge: Judge
) -> AsyncGenerator[PreviewLine, None]:
    """Judge every customer of a view, keeping what is found as a new preview; yields progress, at the end the preview.

    Others have their turn every few milliseconds. Memory is bounded: what happens to many is kept once.
    """
    row = await _begin(storage, view, actor, change)
    workspace, loop, tally = view.workspace.id, asyncio.get_running_loop(), _Tally()
    yield PreviewLine(progress=Progress(done=0, of=row.total, preview=row.id))
    told = loop.time()
    pages = _pages(view)
    async with aclosing(pages):
        async for page, uses in pages:
            turn = loop.time() + TURN_SECONDS
            for one in page:
                tally.add(one.terms.customer, judge(one, uses.get(one.terms.customer, {})))
                if loop.time() >= turn:
                    await asyncio.sleep(0)
                    turn = loop.time() + TURN_SECONDS
            if loop.time() - told >= TOLD_SECONDS or tally.unwritten >= MAX_UNWRITTEN:
                await _keep(storage, workspace, actor, row.id, tally)
                yield PreviewLine(progress=Progress(done=tally.done, of=row.total, preview=row.id))
                told = loop.time()
    async with storage.write(workspace, actor) as tx:
        groups, touched = tally.take()
        await tx.keep_preview(row.id, tally.done, groups, touched)
        summary = tally.summary()
        groups_shown = tuple(await tx.preview_groups(row.id, SHOWN_GROUPS))
        summary = structs.replace(summary, groups=groups_shown, left_out=change.aside())
        await tx.finish_preview(row.id, summary, to_datetime(tx.time.wall))
        finished = await tx.preview(row.id)
    if finished is None:
        raise AssertionError("a preview is seen by the transaction that finished it")
    yield PreviewLine(preview=_view(finished))


async def get_preview(view: View, preview: str) -> PreviewView:
    """Return a preview, finished or not; raises NotFound."""
    row = await view.preview(preview)
    if row is None:
        raise NotFound(
            f"there is no preview {preview}",
            advice=f"previews are kept for {KEPT_DAYS} days, the newest {KEPT} of them: make it again",
        )
    return _view(row)


async def list_preview_customers(
    view: View, preview: str, page: Page, *, feature: str | None = None, effect: Effect | None = None
) -> Sequence[TouchedView]:
    """List the customers to whom a preview says that something happens, by id; raises NotFound.

    ``effect`` keeps those with that effect, ``feature`` those where that feature is concerned; both together those
    with that effect on that feature.
    """
    await get_preview(view, preview)
    mark = None if feature is None and effect is None else _mark(effect or "", feature or "")
    rows = await view.preview_customers(preview, mark, page)
    return [
        TouchedView(
            customer=row.customer,
            changes=row.impact.changes,
            exceeding=row.impact.exceeding,
            exceeded=row.exceeded,
            breaking=row.impact.breaking,
            narrowed=row.impact.narrowed,
            later=row.impact.later,
        )
        for row in rows
    ]


async def _begin(storage: Storage, view: View, actor: Actor, change: Change) -> PreviewRow:
    """Make room, and write that a preview has begun."""
    row = PreviewRow(
        id=new_id("prv", view.time.wall),
        kind=change.kind,
        base=change.base,
        subject_hash=change.subject_hash,
        subject=change.subject,
        at=to_datetime(change.at),
        what_if=change.what_if,
        seq=await view.seq(),
        begun_at=to_datetime(view.time.wall),
        actor=actor.id,
        total=await view.count_customers(),
    )
    async with storage.write(view.workspace.id, actor) as tx:
        await tx.begin_preview(row)
        await tx.forget_previews(row.begun_at - timedelta(days=KEPT_DAYS), KEPT)
    return row


async def _keep(storage: Storage, workspace: str, actor: Actor, preview: str, tally: "_Tally") -> None:
    groups, touched = tally.take()
    async with storage.write(workspace, actor) as tx:
        await tx.keep_preview(preview, tally.done, groups, touched)


async def _pages(view: View) -> AsyncGenerator[tuple[Sequence[TermsRow], Mapping[str, Uses]], None]:
    """Yield all customers' newest terms and what is used, page by page; the next is fetched meanwhile."""
    coming = asyncio.ensure_future(_page(view, ""))
    try:
        while True:
            page, uses = await coming
            if len(page) == PAGE:
                coming = asyncio.ensure_future(_page(view, page[-1].terms.customer))
            if page:
                yield page, uses
            if len(page) < PAGE:
                return
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.wait([coming])


async def _page(view: View, after: str) -> tuple[Sequence[TermsRow], Mapping[str, Uses]]:
    rows = await view.terms_page(Page(after=after, limit=PAGE))
    return rows, await view.uses_said([row.terms.customer for row in rows])


class _Tally:
    """What was found so far: counts, and the rows that are not written yet."""

    def __init__(self) -> None:
        self.done = 0
        self._counts = dict.fromkeys(("customers", "affected", "gaining", "losing", "exceeding", "breaking"), 0)
        self._features: dict[str, dict[str, Any]] = {}
        self._numbers: dict[bytes, int] = {}
        self._groups = 0
        self._new_groups: list[GroupRow] = []
        self._touched: list[TouchedRow] = []

    @property
    def unwritten(self) -> int:
        """How many customers wait for being written."""
        return len(self._touched)

    def add(self, customer: str, judged: Judged | None) -> None:
        """Count one customer."""
        self.done += 1
        if judged is None:
            return
        impact, counts = judged.impact, self._counts
        counts["customers"] += 1
        if impact.nothing:
            return
        counts["affected"] += 1
        counts["gaining"] += impact.gains
        counts["losing"] += impact.loses
        counts["exceeding"] += bool(impact.exceeding)
        counts["breaking"] += bool(impact.breaking)
        for change in impact.changes:
            self._count(change.feature, change.title, change.kind)
        for change in impact.later:
            self._count(change.feature, change.title, "later")
        for one in judged.exceeded:
            self._count(one.feature, one.title, "exceeded")
        self._touched.append(TouchedRow(customer=customer, number=self._number(impact), exceeded=judged.exceeded))

    def take(self) -> tuple[Sequence[GroupRow], Sequence[TouchedRow]]:
        """Return what is not written yet, and forget it."""
        groups, touched = self._new_groups, self._touched
        self._new_groups, self._touched = [], []
        return groups, touched

    def summary(self) -> PreviewSummary:
        """Return the counts, the features that most lose first."""
        features = [FeatureCount(**one) for one in self._features.values()]
        lost = {one.feature: one.loss + one.less + one.exceeded + one.later for one in features}
        features.sort(key=lambda one: (-lost[one.feature], -one.gain - one.more, one.feature))
        return msgspec.convert({**self._counts, "features": features}, PreviewSummary)

    def _count(self, feature: str, title: str, kind: str) -> None:
        known = self._features.setdefault(feature, {"feature": feature, "title": title})
        known[kind] = known.get(kind, 0) + 1

    def _number(self, impact: Impact) -> int:
        """The group of an impact, a new one where it was not met before."""
        digest = blake2b(msgspec.json.encode(impact), digest_size=16).digest()
        number = self._numbers.get(digest)
        if number is None:
            if len(self._numbers) >= MAX_KNOWN:
                self._numbers.clear()
            self._groups += 1
            number = self._numbers[digest] = self._groups
            self._new_groups.append(GroupRow(number=number, impact=impact, marks=marks_of(impact)))
        return number


def marks_of(impact: Impact) -> tuple[str, ...]:
    """Return the words by which those are found to whom this happens: effects, features, and both together."""
    marks = set[str]()
    for change in impact.changes:
        marks.add(_mark("", change.feature))
        if effect := _KINDS[change.kind]:
            marks.add(_mark(effect, change.feature))
    for feature in impact.exceeding:
        marks |= {_mark("", feature), _mark("exceeding", feature), _mark("losing", feature)}
    marks |= {_mark("losing", feature) for feature in impact.narrowed}
    for change in impact.later:
        marks |= {_mark("", change.feature), _mark("losing", change.feature)}
    held: dict[str, bool] = {
        "gaining": impact.gains,
        "losing": impact.loses,
        "exceeding": bool(impact.exceeding),
        "breaking": bool(impact.breaking),
    }
    return tuple(sorted(marks | {_mark(effect, "") for effect, holds in held.items() if holds}))


def _mark(effect: str, feature: str) -> str:
    return f"{effect} {feature}"


def _view(row: PreviewRow) -> PreviewView:
    return PreviewView(
        id=row.id,
        kind=row.kind,
        base=row.base,
        at=row.at,
        what_if=row.what_if,
        seq=row.seq,
        begun_at=row.begun_at,
        finished_at=row.finished_at,
        done=row.done,
        total=row.total,
        summary=row.summary,
    )
