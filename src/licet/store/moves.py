"""Moves between versions: the commands, how far each has come, and what it did to each subscription."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import structs

from licet.services.errors import Conflict, Invalid
from licet.services.move_ports import MoveCommand, MovedRow, MovedState, MoveRow, Sought
from licet.services.rows import Page
from licet.store.session import Reading, Writing, as_struct, limit_of, text

LARGEST_LOOK: Final = 5000
_COUNTED: Final = "state, at_customer, looked_at, moved, left_out, reversed, kept, losing, max_losing"
_COLUMNS: Final = f"id, doc, {_COUNTED}, actor, created_at, changed_at"
ONE: Final = f"SELECT {_COLUMNS} FROM version_move WHERE workspace_id = $1 AND id = $2"
LOCK: Final = f"{ONE} FOR UPDATE"
LIST: Final = f"""
    SELECT {_COLUMNS} FROM version_move
    WHERE workspace_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3
"""
UNFINISHED: Final = """
    SELECT id FROM version_move
    WHERE workspace_id = $1 AND kind = $2 AND item = $3 AND state IN ('moving', 'reversing')
"""
INSERT: Final = f"""
    INSERT INTO version_move (workspace_id, kind, item, {_COLUMNS})
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    ON CONFLICT (workspace_id, kind, item) WHERE state IN ('moving', 'reversing') DO NOTHING
"""
CHANGE: Final = """
    UPDATE version_move
    SET state = $3, at_customer = $4, looked_at = $5, moved = $6, left_out = $7, reversed = $8, kept = $9,
        losing = $10, max_losing = $11, changed_at = $12
    WHERE workspace_id = $1 AND id = $2
"""
_MOVED: Final = "move, customer, subscription, state, effective_at, words"
SUBSCRIPTIONS: Final = f"""
    SELECT {_MOVED} FROM version_move_customer
    WHERE workspace_id = $1 AND move = $2 AND ($3::text IS NULL OR state = $3)
      AND (customer, subscription) > ($4::text COLLATE "C", $5::text COLLATE "C")
    ORDER BY customer, subscription LIMIT $6
"""
STILL_MOVED: Final = f"""
    SELECT {_MOVED} FROM version_move_customer
    WHERE workspace_id = $1 AND move = $2 AND state = 'moved' AND customer IN (
        SELECT DISTINCT customer FROM version_move_customer
        WHERE workspace_id = $1 AND move = $2 AND state = 'moved' AND customer > $3
        ORDER BY customer LIMIT $4
    )
    ORDER BY customer, subscription
"""
PUT_MOVED: Final = f"""
    INSERT INTO version_move_customer (workspace_id, {_MOVED})
    SELECT $1, $2, given.* FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[]) AS given
    ON CONFLICT (workspace_id, move, customer, subscription)
    DO UPDATE SET state = excluded.state, words = excluded.words
"""
# What is sought are JSON strings as canonical JSON writes them: whoever has the item names both of a pair.
SEEKING: Final = """
    SELECT c.id, coalesce(t.found, false) AS found
    FROM (SELECT workspace_id, id FROM customer WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3) AS c
    LEFT JOIN LATERAL (
        SELECT ($6::text IS NULL OR strpos(newest.doc, $6) > 0) AND EXISTS (
            SELECT FROM unnest($4::text[], $5::text[]) AS given (item, version)
            WHERE strpos(newest.doc, given.item) > 0 AND strpos(newest.doc, given.version) > 0
        ) AS found
        FROM (
            SELECT doc::text AS doc FROM terms
            WHERE workspace_id = $1 AND customer = c.id ORDER BY revision DESC LIMIT 1
        ) AS newest
    ) AS t ON true
    ORDER BY c.id
"""
UNKNOWN: Final = """
    SELECT given.name FROM unnest($2::text[]) WITH ORDINALITY AS given (name, place)
    WHERE NOT EXISTS (SELECT FROM customer WHERE workspace_id = $1 AND id = given.name) ORDER BY given.place
"""


class MoveReads(Reading):
    """Reading moves."""

    async def move(self, move: str) -> MoveRow | None:
        """Return one move."""
        row = await self._row(ONE, move)
        return None if row is None else _move(row)

    async def moves(self, page: Page) -> Sequence[MoveRow]:
        """List moves, newest first."""
        return [_move(row) for row in await self._rows(LIST, page.after, limit_of(page))]

    async def unfinished_move(self, kind: str, item: str) -> str | None:
        """Return the move of a plan or add-on that is not done; there is at most one."""
        row = await self._row(UNFINISHED, kind, item)
        return None if row is None else str(row["id"])

    async def moved_subscriptions(self, move: str, page: Page, state: MovedState | None = None) -> Sequence[MovedRow]:
        """List what a move did, by customer and subscription."""
        customer, subscription = _pair(page.after)
        rows = await self._rows(SUBSCRIPTIONS, move, state, customer, subscription, limit_of(page))
        return [as_struct(row, MovedRow) for row in rows]

    async def still_moved(self, move: str, page: Page) -> Sequence[MovedRow]:
        """List what is moved and was not taken back, of the next ``page.limit`` customers by id."""
        return [as_struct(row, MovedRow) for row in await self._rows(STILL_MOVED, move, page.after, limit_of(page))]

    async def seeking(self, sought: Sought, page: Page) -> Sequence[tuple[str, bool]]:
        """List customers by id, and whether their newest terms name what is sought."""
        if not 1 <= page.limit <= LARGEST_LOOK:
            raise Invalid(f"limit is {page.limit}; it must be 1 to {LARGEST_LOOK}")
        items, versions = [text(item) for item, _ in sought.items], [text(version) for _, version in sought.items]
        cohort = None if sought.cohort is None else text(sought.cohort)
        rows = await self._rows(SEEKING, page.after, page.limit, items, versions, cohort)
        return [(row["id"], row["found"]) for row in rows]

    async def unknown_customers(self, customers: Sequence[str]) -> Sequence[str]:
        """Return which of these are no customers, in their order."""
        return [row["name"] for row in await self._rows(UNKNOWN, list(customers))]


class MoveWrites(MoveReads, Writing):
    """Keeping moves. One that is read in a writing transaction is locked until commit: batches take turns."""

    async def move(self, move: str) -> MoveRow | None:
        """Lock and return one move."""
        row = await self._row(LOCK, move)
        return None if row is None else _move(row)

    async def put_move(self, row: MoveRow) -> None:
        """Insert a move; raises Conflict while another one of the same item is not done."""
        self._write(f"move/{row.id}")
        command = row.command
        counted = structs.asdict(row)
        names = [name.strip() for name in _COUNTED.split(",")]
        doc = text({name: counted[name] for name in ("command", "base", "preview", "total", "note")})
        values = (doc, *(counted[name] for name in names), row.actor, row.created_at, row.changed_at)
        if not await self._execute(INSERT, command.kind, command.item, row.id, *values):
            raise Conflict(
                f"another move of {command.item} is not done yet",
                advice="see `licet catalog moves`; resume or reverse that one first",
            )

    async def change_move(self, row: MoveRow) -> None:
        """Replace state, place and counts of a move; raises Conflict while another of the same item is not done."""
        self._write(f"move/{row.id}")
        counts = (row.looked_at, row.moved, row.left_out, row.reversed, row.kept, row.losing, row.max_losing)
        try:
            await self._execute(CHANGE, row.id, row.state, row.at_customer, *counts, row.changed_at)
        except asyncpg.UniqueViolationError:
            raise Conflict(
                f"another move of {row.command.item} is not done yet",
                advice="see `licet catalog moves`; resume or reverse that one first",
            ) from None

    async def put_moved(self, rows: Sequence[MovedRow]) -> None:
        """Insert or replace what a move did to subscriptions."""
        if not rows:
            return
        self._write(f"move/{rows[0].move}")
        columns = [[getattr(row, name.strip()) for row in rows] for name in _MOVED.split(",")[1:]]
        await self._execute(PUT_MOVED, rows[0].move, *columns)


def _pair(after: str) -> tuple[str, str]:
    if not after:
        return "", ""
    try:
        return msgspec.json.decode(after, type=tuple[str, str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid(f"cursor {after!r} is not one of this list", advice="use the cursor of the page before") from None


def _move(row: asyncpg.Record) -> MoveRow:
    parts: dict[str, Any] = dict(row)
    doc = msgspec.json.decode(parts.pop("doc"))
    return as_struct({**parts, **doc}, MoveRow, command=msgspec.convert(doc["command"], MoveCommand))
