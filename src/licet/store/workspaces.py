"""Workspaces: their rows, their clocks, and the list of all under the narrow role."""

import re
from typing import Final

import msgspec
from msgspec import structs

from licet.core.instant import Instant, format_instant, to_datetime
from licet.seal.chain import genesis
from licet.services.errors import Conflict, UnknownWorkspace
from licet.services.rows import Instants, Workspace
from licet.store.connections import Connection
from licet.store.session import Writing, business_time

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
ONE: Final = """
    SELECT w.workspace_id AS id, w.kind, w.zone, w.clock_offset, w.clock_frozen_at, w.epoch, t.seq, t.recorded_at
    FROM workspace w JOIN log_tip t USING (workspace_id) WHERE w.workspace_id = $1
"""
LOCK: Final = """
    SELECT w.workspace_id AS id, w.kind, w.zone, w.clock_offset, w.clock_frozen_at, w.epoch
    FROM workspace w WHERE w.workspace_id = $1 FOR NO KEY UPDATE
"""
NEWEST: Final = "SELECT recorded_at FROM log_tip WHERE workspace_id = $1"
INDEX: Final = "INSERT INTO workspace_index (workspace_id) VALUES ($1) ON CONFLICT DO NOTHING"
INSERT: Final = """
    INSERT INTO workspace (workspace_id, kind, zone, clock_offset, clock_frozen_at, epoch, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
INSERT_TIP: Final = """
    INSERT INTO log_tip (workspace_id, seq, hash, recorded_at) VALUES ($1, 0, $2, $3) ON CONFLICT DO NOTHING
"""
SET_CLOCK: Final = "UPDATE workspace SET clock_offset = $2, clock_frozen_at = $3 WHERE workspace_id = $1"
ALL: Final = "SELECT id, kind, zone, clock_offset, clock_frozen_at, epoch, seq FROM all_workspaces()"


class ClockWrites(Writing):
    """Moving the business clock of a test workspace."""

    async def lock_clock(self) -> None:
        """Lock the business clock until commit; ``time`` is the time at which the lock was got."""
        await self._row(LOCK)
        await self._look_at_clock()

    async def set_clock(self, offset: int, frozen_at: int | None) -> None:
        """Move the business clock (microseconds); raises Conflict backwards or in a live workspace."""
        self._write("clock")
        row = await self._row(LOCK)
        newest = await self._row(NEWEST)
        if row is None or newest is None:
            raise UnknownWorkspace(f"there is no workspace {self._ws!r}")
        current = msgspec.convert(dict(row), Workspace)
        if current.kind == "live":
            raise Conflict(
                f"workspace {self._ws!r} is live: its clock is real time", advice="move the clock of a test workspace"
            )
        wall = self._wall()
        before = business_time(current, wall, newest["recorded_at"])
        then = wall + offset if frozen_at is None else frozen_at
        if then < before:
            raise Conflict(
                f"the clock is at {format_instant(before)} and cannot go back to {format_instant(then)}",
                advice="a business clock only moves forward: choose a later time, or a new test workspace",
            )
        frozen = None if frozen_at is None else to_datetime(frozen_at)
        await self._execute(SET_CLOCK, offset, frozen)
        self.workspace = structs.replace(current, clock_offset=offset, clock_frozen_at=frozen)
        self.time = Instants(business=then, wall=wall)


def check_id(workspace: str) -> str:
    """Return a workspace's id if it can be one; raises UnknownWorkspace. Its letters need no quoting in SQL."""
    if _ID.fullmatch(workspace) is None:
        raise UnknownWorkspace(
            f"{workspace!r} is not a workspace", advice="ids are 1 to 63 of a-z, 0-9, - and _, such as live or test"
        )
    return workspace


async def insert_workspace(conn: Connection, workspace: Workspace, wall: Instant) -> bool:
    """Insert a workspace with an empty log inside a transaction for it; False if it exists."""
    await conn.execute(INDEX, workspace.id)
    at = to_datetime(wall)
    clock = (workspace.clock_offset, workspace.clock_frozen_at, workspace.epoch)
    done = await conn.execute(INSERT, workspace.id, workspace.kind, workspace.zone, *clock, at)
    if not done.endswith(" 1"):
        return False
    begins = (
        to_datetime(wall + workspace.clock_offset) if workspace.clock_frozen_at is None else workspace.clock_frozen_at
    )
    await conn.execute(INSERT_TIP, workspace.id, genesis(workspace.id), begins)
    return True
