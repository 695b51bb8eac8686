"""Moves as they are told: each with how far it has come, and what it did to whom."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from licet.services.errors import NotFound
from licet.services.move_ports import MovedState, MoveRow, MoveState
from licet.services.ports import View
from licet.services.rows import Page


class MoveView(Struct, frozen=True, kw_only=True):
    """One move and how far it has come."""

    id: str
    state: MoveState
    """``moving`` and ``reversing`` wait for the next batch; ``moved`` and ``reversed`` are done."""
    kind: str
    item: str
    from_version: str
    to_version: str
    cohort: str | None
    customers: int | None
    """How many customers were named; None: not by name."""
    at: str
    notice: str | None
    base: int
    preview: str | None
    max_losing: int
    """How many customers may lose something by it; `advance` raises it."""
    total: int
    """Customers to look at, as many as there were when it began."""
    looked_at: int
    moved: int
    """Subscriptions that were moved, those taken back since included."""
    left_out: int
    """Subscriptions that have the version and could not be moved."""
    reversed: int
    """Subscriptions of which it was taken back."""
    kept: int
    """Subscriptions that were to go back and have something else by now."""
    losing: int
    """Customers who lost something when they were moved."""
    actor: str
    note: str
    created_at: datetime
    changed_at: datetime


class MovedSubscription(Struct, frozen=True, kw_only=True):
    """What a move did to one subscription."""

    customer: str
    subscription: str | None
    """None: none of this customer's, who was named, has what is moved."""
    state: MovedState
    effective_at: datetime | None
    """From when on it counts; None where it was left out."""
    words: str
    """Why it was left out or kept."""


async def get_move(view: View, move: str) -> MoveView:
    """Return one move; raises NotFound."""
    return view_of(await known_move(view, move))


async def list_moves(view: View, page: Page) -> Sequence[MoveView]:
    """List moves, newest first."""
    return [view_of(row) for row in await view.moves(page)]


async def list_moved(view: View, move: str, page: Page, state: MovedState | None) -> Sequence[MovedSubscription]:
    """List what a move did to subscriptions, by customer; raises NotFound."""
    await known_move(view, move)
    return [
        MovedSubscription(
            customer=one.customer,
            subscription=one.subscription or None,
            state=one.state,
            effective_at=one.effective_at,
            words=one.words,
        )
        for one in await view.moved_subscriptions(move, page, state)
    ]


async def known_move(view: View, move: str) -> MoveRow:
    """Return a move, locked in a writing transaction; raises NotFound."""
    row = await view.move(move)
    if row is None:
        raise NotFound(f"there is no move {move!r}", advice="list them: licet catalog moves")
    return row


def view_of(row: MoveRow) -> MoveView:
    """Return a move as it is told."""
    command = row.command
    return MoveView(
        id=row.id,
        state=row.state,
        kind=command.kind,
        item=command.item,
        from_version=command.from_version,
        to_version=command.to_version,
        cohort=command.cohort,
        customers=None if command.customers is None else len(command.customers),
        at=command.at,
        notice=command.notice,
        base=row.base,
        preview=row.preview,
        max_losing=row.max_losing,
        total=row.total,
        looked_at=row.looked_at,
        moved=row.moved,
        left_out=row.left_out,
        reversed=row.reversed,
        kept=row.kept,
        losing=row.losing,
        actor=row.actor,
        note=row.note,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
