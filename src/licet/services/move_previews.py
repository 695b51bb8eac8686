"""What a move between versions, or its way back, would do to live customers: judged before, and asked for."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Final

from msgspec import Struct, to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.impact import NO_USES, Comparison, Judged, Uses
from licet.core.instant import Instant, to_instant
from licet.services.catalog_previews import Change, PreviewLine, judge_all
from licet.services.errors import PreviewRequired
from licet.services.move_commands import ready_move, stand_alone, subject_hash
from licet.services.move_ports import MAX_NAMED, MoveCommand, MovedRow, MoveRow
from licet.services.move_terms import LeftOut, MovePlan, all_back
from licet.services.move_views import known_move
from licet.services.ports import Storage, Tx, View
from licet.services.preview_guard import Consent, Wanted, consent
from licet.services.preview_ports import AsideExample, AsideGroup, Judge
from licet.services.rows import Actor, Page, TermsRow
from licet.services.truth import Catalogs

UNNAMED: Final = "mov_of_a_preview"
"""The move that a preview thinks of; nothing of it is written."""
AGAIN: Final = "preview it on live customers with POST /v1/catalog/moves/previews, then name the preview"
BACK_AGAIN: Final = (
    "preview it on live customers with POST /v1/catalog/moves/{move}/reverse/previews, then name the preview"
)
MAX_EXAMPLES: Final = 10
"""Subscriptions that a preview names of those that are passed by for one reason."""
_PAGE: Final = 200
_TURN: Final = 20
"""Customers judged before others have their turn."""


class MoveReversal(Struct, frozen=True):
    """What a preview of the way back is about: the move that is taken back."""

    reverse: str


class Aside:
    """What a move passes by, counted by reason; the first of each are remembered."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._examples: dict[str, list[AsideExample]] = {}

    def add(self, customer: str, found: Iterable[LeftOut]) -> None:
        """Count what is passed by of one customer."""
        for one in found:
            self._counts[one.reason] += 1
            known = self._examples.setdefault(one.reason, [])
            if len(known) < MAX_EXAMPLES:
                subscription = one.subscription or None
                known.append(AsideExample(customer=customer, subscription=subscription, words=one.words))

    def groups(self) -> tuple[AsideGroup, ...]:
        """Return what was counted, the most frequent reason first."""
        return tuple(
            AsideGroup(reason=reason, count=count, examples=tuple(self._examples[reason]))
            for reason, count in sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))
        )


class MoveJudge:
    """Judges customers as if each were told of the move at one instant.

    What differs is looked at where the last of the customer's subscriptions has been moved, with the move and without.
    """

    def __init__(self, catalog: CompiledCatalog, command: MoveCommand, now: Instant, move: str = UNNAMED) -> None:
        self._plan = MovePlan(catalog, command, move)
        self._comparison = Comparison(catalog, catalog, now)
        self._now = now
        self._named = None if command.customers is None else frozenset(command.customers)
        self.aside = Aside()

    def judge(self, row: TermsRow, uses: Uses) -> Judged | None:
        """Return what happens to one customer; None for one who is not moved."""
        if self._named is not None and row.terms.customer not in self._named:
            return None
        done = self._plan.forward(row.terms, self._now)
        self.aside.add(row.terms.customer, done.left_out)
        if not done.moves:
            if self._named is not None and not done.left_out:
                self.aside.add(row.terms.customer, (self._plan.nothing(row.terms, self._now),))
            return None
        # What customers share is remembered by their rights, whatever the instant at which they have them.
        self._comparison.at = max(to_instant(one.starts_at) for one in done.moves)
        return self._comparison.judge(row.terms, uses, becomes=done.terms)


class ReturnJudge:
    """Judges customers as if a move of theirs were taken back at one instant.

    Where it has begun, what differs then is looked at; where it is only announced, what differs when it would begin.
    """

    def __init__(self, catalog: CompiledCatalog, move: str, now: Instant) -> None:
        self._catalog, self._move, self._now = catalog, move, now
        self._comparison = Comparison(catalog, catalog, now)
        self.aside = Aside()

    def judge(self, row: TermsRow, uses: Uses) -> Judged | None:
        """Return what happens to one customer; None for one of whom nothing goes back."""
        done = all_back(self._catalog, row.terms, self._move, self._now)
        self.aside.add(row.terms.customer, done.kept)
        if not done.moves:
            return None
        self._comparison.at = max(self._now, *(to_instant(one.starts_at) for one in done.moves))
        return self._comparison.judge(row.terms, uses, becomes=done.terms)


async def preview_move(
    storage: Storage, workspace: str, actor: Actor, command: MoveCommand, catalogs: Catalogs
) -> AsyncGenerator[PreviewLine, None]:
    """Judge everybody whom a move would reach, as of now; yields progress, then the finished preview.

    Nobody is moved or told. Raises what ``ready_move`` raises.
    """
    async with storage.read_long(workspace) as view:
        checked, catalog = await ready_move(view, command, catalogs)
        judge = MoveJudge(catalog, checked, view.time.business)
        change = _change(view, catalog, checked, judge)
        async with aclosing(judge_all(storage, view, actor, change, judge.judge)) as judged:
            async for line in judged:
                yield line


async def ready_return(view: View, move: str) -> None:
    """Raise NotFound, or Conflict where a move cannot be taken back yet since another one of the same item is not done.

    One that is taken back already, or is just being, can be looked at all the same.
    """
    row = await known_move(view, move)
    if row.state in ("moving", "moved"):
        await stand_alone(view, row.command, move)


async def preview_return(
    storage: Storage, workspace: str, actor: Actor, move: str, catalogs: Catalogs
) -> AsyncGenerator[PreviewLine, None]:
    """Judge everybody whom taking a move back would reach, as of now; yields progress, then the finished preview.

    Nothing is taken back. Raises NotFound, or Conflict while another move of the same item is not done.
    """
    async with storage.read_long(workspace) as view:
        await ready_return(view, move)
        catalog = await catalogs.current(view)
        judge = ReturnJudge(catalog, move, view.time.business)
        change = _change(view, catalog, MoveReversal(move), judge)
        async with aclosing(judge_all(storage, view, actor, change, judge.judge)) as judged:
            async for line in judged:
                yield line


def _change(
    view: View, catalog: CompiledCatalog, subject: MoveCommand | MoveReversal, judge: MoveJudge | ReturnJudge
) -> Change:
    """What is previewed: exactly this subject, on the newest catalog, as of now."""
    return Change(
        kind="move",
        base=catalog.revision,
        subject_hash=subject_hash(subject),
        subject=to_builtins(subject),
        at=view.time.business,
        aside=judge.aside.groups,
    )


async def consent_to_move(
    tx: Tx, catalog: CompiledCatalog, command: MoveCommand, preview: str | None, max_losing: int
) -> Consent | None:
    """Return by what a normal command may be carried out; None where few are concerned and nobody loses anything.

    Raises PreviewRequired, PreviewStale or BlastRadius.
    """
    judge = MoveJudge(catalog, command, tx.time.business).judge
    if preview is not None:
        wanted = Wanted(kind="move", base=catalog.revision, subject_hash=subject_hash(command), again=AGAIN)
        return await consent(tx, wanted, preview, max_losing, judge)
    few = await _few(tx, command)
    if few is None:
        raise PreviewRequired("this move may reach more customers than are judged without a preview", advice=AGAIN)
    await _nobody_loses(tx, few, judge, "by this move", AGAIN)
    return None


async def consent_to_return(
    tx: Tx, catalog: CompiledCatalog, row: MoveRow, preview: str | None, max_losing: int
) -> Consent | None:
    """Return by what a move may be taken back; None where few were moved and nobody loses anything by it.

    Raises PreviewRequired, PreviewStale or BlastRadius.
    """
    judge, again = ReturnJudge(catalog, row.id, tx.time.business).judge, BACK_AGAIN.format(move=row.id)
    if preview is not None:
        content = subject_hash(MoveReversal(row.id))
        wanted = Wanted(kind="move", base=catalog.revision, subject_hash=content, again=again)
        return await consent(tx, wanted, preview, max_losing, judge)
    if row.moved > MAX_NAMED:
        raise PreviewRequired(f"{row.moved:,} subscriptions were moved, too many to judge unseen", advice=again)
    await _nobody_loses(tx, await _moved(tx, row), judge, "if this move were taken back", again)
    return None


async def _nobody_loses(tx: Tx, few: Sequence[TermsRow], judge: Judge, by: str, again: str) -> None:
    """Raise PreviewRequired where one of some customers would lose something."""
    uses = await tx.uses_said([one.terms.customer for one in few])
    for place, one in enumerate(few):
        judged = judge(one, uses.get(one.terms.customer, NO_USES))
        if judged is not None and judged.impact.loses:
            raise PreviewRequired(f"customer {one.terms.customer} would lose something {by}", advice=again)
        if place % _TURN == _TURN - 1:
            await asyncio.sleep(0)


async def _moved(tx: Tx, row: MoveRow) -> list[TermsRow]:
    """The terms of all whom a move has moved and who were not taken back."""
    customers: list[str] = []
    page: Sequence[MovedRow] | None = None
    while page is None or page:
        page = await tx.still_moved(row.id, Page(after=customers[-1] if customers else "", limit=_PAGE))
        customers += sorted({one.customer for one in page})
    found = [await tx.terms(customer) for customer in customers]
    return [one for one in found if one is not None]


async def _few(tx: Tx, command: MoveCommand) -> list[TermsRow] | None:
    """The terms of all who may be reached; None where that may be more than a move can name."""
    if command.customers is not None:
        found = [await tx.terms(customer) for customer in command.customers]
        return [one for one in found if one is not None]
    if await tx.count_customers() > MAX_NAMED:
        return None
    rows: list[TermsRow] = []
    while page := await tx.terms_page(Page(after=rows[-1].terms.customer if rows else "", limit=_PAGE)):
        rows += page
    return rows
