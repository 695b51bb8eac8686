"""Reading the log as evidence: entries as they are stored, the stored end, personal values with their salts."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.seal.audit import Entry
from licet.seal.canonical import NotCanonical, canonical
from licet.store.log import JSON_COLUMNS, LIST, Hidden, event_of
from licet.store.session import Reading, as_struct
from licet.wire.event import Event, content_of

PAGE: Final = 500
TIP: Final = "SELECT seq, hash FROM log_tip WHERE workspace_id = $1"
VALUES: Final = """
    SELECT event_id, field, salt, value FROM event_private
    WHERE workspace_id = $1 AND event_id = ANY ($2::text[]) ORDER BY event_id, field
"""


BELOW: Final = "SELECT seq FROM event WHERE workspace_id = $1 AND (seq IS NULL OR seq < 1) ORDER BY seq LIMIT 100"


class EvidenceReads(Reading):
    """What a verifier reads."""

    async def log_page(self, after: int) -> Sequence[tuple[Event, Entry]]:
        """Return the next (at most 500) entries after a sequence, each as a value and as its hashes see it."""
        return [entry_of(row) for row in await self._rows(LIST, after, None, None, PAGE)]

    async def entries_below(self) -> Sequence[int]:
        """Return the sequences (at most 100; 0 for none at all) of entries that stand before the first of the log."""
        return [row["seq"] or 0 for row in await self._rows(BELOW)]

    async def log_tip(self) -> tuple[int, bytes]:
        """Return the stored end of the log: sequence and hash."""
        row = await self._row(TIP)
        return (0, b"") if row is None else (row["seq"], row["hash"])

    async def personal_values(self, event_ids: Sequence[str]) -> Sequence[Hidden]:
        """Return the personal values of events that have not been erased."""
        return [as_struct(row, Hidden) for row in await self._rows(VALUES, list(event_ids))]


def entry_of(row: asyncpg.Record) -> tuple[Event, Entry]:
    """Return an event's row as a value, and as its hashes see it."""
    content = None
    try:
        event = event_of(row)
        content = canonical(content_of(event))
    except NotCanonical:
        pass
    except msgspec.DecodeError:
        # PostgreSQL takes JSON (lone surrogates) that no event can hold: nobody but an attacker wrote it.
        event = event_of({**row, **dict.fromkeys(JSON_COLUMNS)})
    entry = Entry(seq=row["seq"], content=content, prev=row["prev"], hash=row["hash"])
    return event, entry
