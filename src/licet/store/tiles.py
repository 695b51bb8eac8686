"""Tiles of the log's Merkle tree: derived from the entries in chunks, read by proofs, never believed by a verifier."""

from collections.abc import Mapping, Sequence
from typing import Final

from licet.seal.audit import Entry
from licet.seal.tile import TileName
from licet.store.evidence import entry_of
from licet.store.session import Reading, Writing

_EVENT: Final = (
    "seq, id, type, recorded_at, wall_at, effective_at, actor, note, cause, subject, revision, before, after, schema, "
    "documents, prev, hash"
)
# Sequences have no gaps, so that a range is read by its key, whatever the planner knows of the table.
ENTRIES: Final = f"""
    SELECT {_EVENT} FROM event WHERE workspace_id = $1 AND seq > $2 AND seq <= $2 + $3 ORDER BY seq
"""
COUNT: Final = """
    SELECT place + 1 AS count FROM log_tile WHERE workspace_id = $1 AND level = 0 ORDER BY place DESC LIMIT 1
"""
NAMED: Final = """
    SELECT t.level, t.place, t.hashes
    FROM unnest($2::smallint[], $3::bigint[]) AS wanted (level, place)
    JOIN log_tile t ON t.workspace_id = $1 AND t.level = wanted.level AND t.place = wanted.place
"""
# Two servers extend the tiles of one log in turn; nothing else waits for this lock.
LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(format('tiles/%s', $1::text), 0))"
KEEP: Final = """
    INSERT INTO log_tile (workspace_id, level, place, hashes)
    SELECT $1, given.* FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) AS given
    ON CONFLICT (workspace_id, level, place) DO UPDATE SET hashes = EXCLUDED.hashes
"""
FORGET: Final = "DELETE FROM log_tile WHERE workspace_id = $1"


class TileReads(Reading):
    """Reading tiles, and the entries beyond them."""

    async def tile_count(self) -> int:
        """Return how many tiles of level 0 there are, each of 256 entries."""
        row = await self._row(COUNT)
        return 0 if row is None else int(row["count"])

    async def tiles(self, names: Sequence[TileName]) -> Mapping[TileName, bytes]:
        """Return the hashes of tiles, one after the other; a tile that is not there is left out."""
        if not names:
            return {}
        rows = await self._rows(NAMED, [name.level for name in names], [name.place for name in names])
        return {TileName(row["level"], row["place"]): row["hashes"] for row in rows}

    async def entries(self, after: int, limit: int) -> Sequence[Entry]:
        """Return the entries of the ``limit`` next sequences of the log, as their hashes see them."""
        return [entry_of(row)[1] for row in await self._rows(ENTRIES, after, limit)]


class TileWrites(TileReads, Writing):
    """Writing tiles. They change nothing that holds, so they leave no event."""

    async def lock_tiles(self) -> None:
        """Let only one transaction at a time extend the tiles of a log."""
        await self._row(LOCK)

    async def keep_tiles(self, tiles: Mapping[TileName, bytes]) -> None:
        """Write tiles: new ones, and the grown ends of levels."""
        names = list(tiles)
        places = ([name.level for name in names], [name.place for name in names])
        await self._execute(KEEP, *places, [tiles[name] for name in names])

    async def forget_tiles(self) -> None:
        """Delete all tiles of a log, to be derived anew."""
        await self._execute(FORGET)
