"""What a move between versions would do to live customers: judged before it is made, and asked for where it takes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from msgspec import to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.impact import NO_USES, Comparison, Judged, Uses
from licet.core.instant import Instant, to_instant
from licet.services.catalog_previews import Change, PreviewLine, judge_all
from licet.services.errors import PreviewRequired
from licet.services.move_commands import normal_move, subject_hash
from licet.services.move_ports import MAX_NAMED, MoveCommand
from licet.services.move_terms import MovePlan
from licet.services.ports import Storage, Tx
from licet.services.preview_guard import Consent, Wanted, consent
from licet.services.rows import Actor, Page, TermsRow
from licet.services.truth import Catalogs

UNNAMED: Final = "mov_of_a_preview"
"""The move that a preview thinks of; nothing of it is written."""
AGAIN: Final = "preview it on live customers with POST /v1/catalog/moves/previews, then name the preview"
_PAGE: Final = 200


class MoveJudge:
    """Judges customers as if each were told of the move at one instant.

    What differs is looked at where the last of the customer's subscriptions has been moved, with the move and without.
    """

    def __init__(self, catalog: CompiledCatalog, command: MoveCommand, now: Instant) -> None:
        self._plan = MovePlan(catalog, command, UNNAMED)
        self._comparison = Comparison(catalog, catalog, now)
        self._now = now
        self._named = None if command.customers is None else frozenset(command.customers)

    def judge(self, row: TermsRow, uses: Uses) -> Judged | None:
        """Return what happens to one customer; None for one who is not moved."""
        if self._named is not None and row.terms.customer not in self._named:
            return None
        done = self._plan.forward(row.terms, self._now)
        if not done.moves:
            return None
        # What customers share is remembered by their rights, whatever the instant at which they have them.
        self._comparison.at = max(to_instant(one.starts_at) for one in done.moves)
        return self._comparison.judge(row.terms, uses, becomes=done.terms)


async def preview_move(
    storage: Storage, workspace: str, actor: Actor, command: MoveCommand, catalogs: Catalogs
) -> AsyncGenerator[PreviewLine, None]:
    """Judge everybody whom a move would reach, as of now; yields progress, then the finished preview.

    Nobody is moved or told. Raises what ``normal_move`` raises.
    """
    async with storage.read_long(workspace) as view:
        checked, catalog = await normal_move(view, command, catalogs)
        now = view.time.business
        change = Change(
            kind="move",
            base=catalog.revision,
            subject_hash=subject_hash(checked),
            subject=to_builtins(checked),
            at=now,
        )
        async with aclosing(judge_all(storage, view, actor, change, MoveJudge(catalog, checked, now).judge)) as judged:
            async for line in judged:
                yield line


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
    uses = await tx.uses_said([one.terms.customer for one in few])
    for one in few:
        judged = judge(one, uses.get(one.terms.customer, NO_USES))
        if judged is not None and judged.impact.loses:
            raise PreviewRequired(f"customer {one.terms.customer} would lose something by this move", advice=AGAIN)
    return None


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
