"""Workspaces and the business clock of test ones, which a logged command may only move forward."""

from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from licet.core.instant import Instant, add_duration, format_instant, parse_duration, to_datetime, to_instant
from licet.services.errors import Conflict
from licet.services.normal import LAST_YEAR, check_duration, invalid, normal
from licet.services.ports import Storage, Tx, View
from licet.services.rows import Actor, Draft, Workspace

BOOTSTRAP: Final = (Workspace(id="live", kind="live"), Workspace(id="test", kind="test"))

_END: Final = to_instant(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))
"""Where a business clock cannot be moved to: what is counted from it must stay within the calendar."""
_Span = Annotated[str, Meta(max_length=40)]


class MoveClock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one: where the business clock is to go."""

    advance: _Span | None = None
    """On by a duration; it goes on running, or standing, as before."""
    to: datetime | None = None
    """To an instant, from which it runs on."""
    frozen_at: datetime | None = None
    """To an instant, at which it stands."""
    offset: _Span | None = None
    """So far ahead of real time, running."""


class ClockView(Struct, frozen=True, kw_only=True):
    """What a workspace's clock shows. ``offset`` in microseconds ahead of real time."""

    workspace: str
    kind: str
    business: datetime
    wall: datetime
    offset: int
    frozen_at: datetime | None


async def bootstrap(storage: Storage, actor: Actor) -> None:
    """Create the workspaces ``live`` and ``test``; does nothing to those that exist."""
    for workspace in BOOTSTRAP:
        await storage.create_workspace(workspace, actor)


def read_clock(view: View) -> ClockView:
    """Return what the clock of a transaction's workspace shows."""
    return ClockView(
        workspace=view.workspace.id,
        kind=view.workspace.kind,
        business=to_datetime(view.time.business),
        wall=to_datetime(view.time.wall),
        offset=view.workspace.clock_offset,
        frozen_at=view.workspace.clock_frozen_at,
    )


async def move_clock(tx: Tx, command: MoveClock) -> ClockView:
    """Move the business clock forward; leaves ``clock.moved``.

    Raises Invalid (not exactly one target, or beyond the year 9000) or Conflict (backwards, or a live workspace, whose
    clock is real time).
    """
    command = normal(command)
    if tx.workspace.kind != "test":
        raise Conflict(
            f"the clock of the live workspace {tx.workspace.id} is real time", advice="use a key of a test workspace"
        )
    await tx.lock_clock()
    offset, frozen_at = _target(tx, command)
    reached = tx.time.wall + offset if frozen_at is None else frozen_at
    if reached < tx.time.business:
        raise Conflict(
            f"{format_instant(reached)} is before the workspace's time {format_instant(tx.time.business)}",
            advice="a business clock only moves forward; to begin again, start a server with a home and a database of "
            "its own: LICET_HOME=DIR licet up",
        )
    await tx.set_clock(offset, frozen_at)
    before = read_clock(tx)
    after = ClockView(
        workspace=before.workspace,
        kind=before.kind,
        business=to_datetime(reached),
        wall=before.wall,
        offset=offset,
        frozen_at=None if frozen_at is None else to_datetime(frozen_at),
    )
    await tx.record(Draft(type="clock.moved", subject="clock", before=_shown(before), after=_shown(after)))
    return after


def _target(tx: Tx, command: MoveClock) -> tuple[int, Instant | None]:
    """Return the offset and standstill that a command asks for."""
    given = [name for name in ("advance", "to", "frozen_at", "offset") if getattr(command, name) is not None]
    if len(given) != 1:
        raise invalid(
            "", f"exactly one of advance, to, frozen_at, offset is needed, not {' and '.join(given) or 'none'}"
        )
    if command.frozen_at is not None:
        return tx.workspace.clock_offset, to_instant(command.frozen_at)
    if command.to is not None:
        return to_instant(command.to) - tx.time.wall, None
    frozen = tx.workspace.clock_frozen_at
    if command.offset is not None:
        return _later(tx, tx.time.wall, command.offset, "offset") - tx.time.wall, None
    reached = _later(tx, tx.time.business, command.advance or "", "advance")
    return (tx.workspace.clock_offset, reached) if frozen is not None else (reached - tx.time.wall, None)


def _later(tx: Tx, start: Instant, span: str, path: str) -> Instant:
    """Return an instant so much later in the workspace's zone; raises Invalid beyond the last year of a clock."""
    check_duration(span, path)
    reached = add_duration(start, parse_duration(span), ZoneInfo(tx.workspace.zone))
    if reached >= _END:
        words = f"{span} from {format_instant(start)} leads beyond the year {LAST_YEAR}"
        raise invalid(path, words, "choose an earlier time; a clock never goes back")
    return reached


def _shown(clock: ClockView) -> dict[str, object]:
    return {
        "business": clock.business.isoformat(),
        "offset_us": clock.offset,
        "frozen_at": clock.frozen_at.isoformat() if clock.frozen_at else None,
    }
