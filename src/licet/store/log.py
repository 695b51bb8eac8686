"""The one ordered log of a workspace: reading it, and writing a transaction's events so that order is commit order.

Events are staged. At the end the row ``log_tip`` is locked, last of all locks; from it follow sequence, previous hash
and a recording time that never goes back. Then one statement moves the tip, inserts the events with their personal
values and sends the one notification. Until the commit nobody else gets past the tip, so the log has no gaps.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from licet.core.instant import to_datetime
from licet.core.usage.facts import Funding
from licet.seal.canonical import canonical
from licet.seal.chain import leaf_hash, link_hash
from licet.seal.commitment import commit, new_salt
from licet.seal.ids import new_id
from licet.services.rows import Draft, Page
from licet.store.documents import CATALOG, CUSTOMER, FUNDING, TERMS, USER, Kind
from licet.store.session import Reading, Writing, business_time, limit_of, number_after, text, utc
from licet.wire.event import Event, content_of

CHANNEL: Final = "licet_log"
PRIVATE: Final = "private"
"""The field of ``after`` that holds the commitments of personal values."""

_COLUMNS: Final = (
    "seq, id, type, recorded_at, wall_at, effective_at, actor, note, cause, subject, revision, before, after, schema, "
    "documents, prev, hash"
)
JSON_COLUMNS: Final = ("before", "after", "documents")
LIST: Final = f"""
    SELECT {_COLUMNS} FROM event
    WHERE workspace_id = $1 AND seq > $2
    AND ($3::text IS NULL OR subject = $3) AND ($4::text IS NULL OR type = $4)
    ORDER BY seq LIMIT $5
"""
LOCK_TIP: Final = """
    SELECT t.seq, t.hash, t.recorded_at, w.clock_offset, w.clock_frozen_at
    FROM log_tip t JOIN workspace w USING (workspace_id)
    WHERE t.workspace_id = $1 FOR UPDATE OF t
"""
APPEND: Final = f"""
    WITH tip AS (
        UPDATE log_tip SET seq = $3, hash = $4, recorded_at = $5
        WHERE workspace_id = $1 AND seq = $2 RETURNING workspace_id, seq
    ), written AS (
        INSERT INTO event (workspace_id, {_COLUMNS})
        SELECT $1, given.* FROM unnest(
            $6::bigint[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[],
            $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::json[], $18::json[],
            $19::integer[], $20::json[], $21::bytea[], $22::bytea[]
        ) AS given
    ), hidden AS (
        INSERT INTO event_private (workspace_id, event_id, field, salt, value)
        SELECT $1, given.* FROM unnest($23::text[], $24::text[], $25::bytea[], $26::text[]) AS given
    )
    SELECT pg_notify('{CHANNEL}', tip.workspace_id || ':' || tip.seq) FROM tip
"""


class Tip(Struct, frozen=True, kw_only=True):
    """The locked end of the log and the instants of this commit."""

    seq: int
    hash: bytes
    recorded_at: datetime
    wall_at: datetime


class Hidden(Struct, frozen=True, kw_only=True):
    """One personal value of an event, with the salt of its commitment."""

    event_id: str
    field: str
    salt: bytes
    value: str


class LogReads(Reading):
    """Reading the log."""

    async def seq(self) -> int:
        """Return the sequence of the newest event at the beginning of this transaction (0 for an empty log)."""
        return self._seq

    async def events(
        self,
        page: Page,
        *,
        subject: str | None = None,
        type: str | None = None,  # noqa: A002 the field's name
    ) -> Sequence[Event]:
        """List events in sequence order; ``after`` is the sequence after which to go on."""
        rows = await self._rows(LIST, number_after(page, 0), subject, type, limit_of(page))
        return [event_of(row) for row in rows]


class LogWrites(LogReads, Writing):
    """Staging events and writing them."""

    async def record(self, draft: Draft) -> str:
        """Stage one event and return its id (``evt_…``)."""
        if self._flushed:
            raise RuntimeError(f"{draft.type} is recorded after the events of the transaction: flush comes last")
        event_id = new_id("evt", self._wall())
        self._drafts.append((event_id, draft))
        return event_id

    async def flush(self) -> int:
        """Write what is staged and return the sequence of the last event; locks the log's tip until commit.

        Raises RuntimeError if something was changed without an event that says so.
        """
        if self._flushed:
            return self.committed_seq
        if self._written and not self._drafts:
            raise RuntimeError(f"{', '.join(sorted(set(self._written)))} changed without an event: record one")
        if self._drafts:
            tip = await self._lock_tip()
            await self._append(tip, await self._write_documents(tip))
            self.committed_seq = tip.seq + len(self._drafts)
        self._flushed = True
        return self.committed_seq

    async def _lock_tip(self) -> Tip:
        row = await self._row(LOCK_TIP)
        if row is None:
            raise RuntimeError(f"workspace {self._ws!r} has no log")
        wall = self._wall()
        # Under the lock: the clock as it is now, also if this or another transaction has moved it.
        clock = structs.replace(
            self.workspace, clock_offset=row["clock_offset"], clock_frozen_at=row["clock_frozen_at"]
        )
        # Real time may be set back while a command runs: what it did is not recorded before it happened.
        recorded_at = to_datetime(max(business_time(clock, wall, row["recorded_at"]), self.time.business))
        return Tip(seq=row["seq"], hash=row["hash"], recorded_at=recorded_at, wall_at=to_datetime(wall))

    async def _write_documents(self, tip: Tip) -> dict[str, str]:
        """Write the documents, which carry the sequence of the transaction's last event; return name and hash of each.

        Hashed is what the database says it has stored, by the same columns as a verifier reads.
        """
        seq, at = tip.seq + len(self._drafts), tip.recorded_at
        release, new, promised = self._new_catalog, self._new_terms, dict[str, str]()
        if release is not None:
            facts = (release.actor, release.note, release.hash, release.doc.decode())
            promised |= await self._promise(CATALOG, release.revision, seq, at, *facts)
        if new:
            revisions, docs = [row.revision for row in new.values()], [text(row.terms) for row in new.values()]
            promised |= await self._promise(TERMS, seq, at, list(new), revisions, docs)
        for user in self._new_users:
            rights = (list(user.roles), text(user.attributes), list(user.teams), user.active)
            whose = (user.customer, user.id, user.revision)
            promised |= await self._promise(USER, *whose, seq, at, *rights)
        if self._new_customers:
            promised |= await self._promise(CUSTOMER, seq, sorted(self._new_customers))
        if self._new_funding:
            promised |= await self._promise(FUNDING, seq, *_funding_columns(self._new_funding))
        return promised

    async def _promise(self, kind: Kind, *args: object) -> dict[str, str]:
        return {kind.name(row): kind.hash(row) for row in await self._rows(kind.write, *args)}

    async def _append(self, tip: Tip, documents: dict[str, str]) -> None:
        events: list[Event] = []
        hidden: list[Hidden] = []
        prev = tip.hash
        for number, (event_id, draft) in enumerate(self._drafts, start=tip.seq + 1):
            values = [
                Hidden(event_id=event_id, field=field, salt=new_salt(), value=value)
                for field, value in sorted(draft.private.items())
            ]
            hidden += values
            last = number == tip.seq + len(self._drafts)
            event = self._event(tip, number, event_id, draft, values)
            event = structs.replace(event, documents=documents if last else {})
            link = link_hash(prev, leaf_hash(canonical(content_of(event))))
            events.append(structs.replace(event, prev=prev.hex(), hash=link.hex()))
            prev = link
        moved = await self._row(
            APPEND, tip.seq, events[-1].seq, prev, tip.recorded_at, *_event_columns(events), *_hidden_columns(hidden)
        )
        if moved is None:
            raise RuntimeError(f"the log of {self._ws!r} moved on although it was locked")

    def _event(self, tip: Tip, seq: int, event_id: str, draft: Draft, hidden: Sequence[Hidden]) -> Event:
        after = msgspec.to_builtins(draft.after, order="deterministic")
        if hidden:
            after = {} if after is None else after
            if not isinstance(after, dict) or PRIVATE in after:
                raise RuntimeError(f"{draft.type} has personal fields, so its `after` is an object without {PRIVATE!r}")
            after = {**after, PRIVATE: {one.field: commit(one.salt, event_id, one.field, one.value) for one in hidden}}
        return Event(
            seq=seq,
            id=event_id,
            type=draft.type,
            recorded_at=tip.recorded_at,
            wall_at=tip.wall_at,
            effective_at=tip.recorded_at if draft.effective_at is None else utc(draft.effective_at),
            actor=self.actor.id,
            note=self._note,
            cause=self._cause,
            subject=draft.subject,
            revision=draft.revision,
            before=msgspec.to_builtins(draft.before, order="deterministic"),
            after=after,
            schema=draft.schema,
            prev="",
            hash="",
        )


def event_of(row: Mapping[str, Any]) -> Event:
    """Return an event's row as a value; whether it is what was written is for the verifier to say."""
    columns: dict[str, Any] = dict(row.items())
    for name in JSON_COLUMNS:
        columns[name] = None if columns[name] is None else msgspec.json.decode(columns[name])
    columns["prev"], columns["hash"] = row["prev"].hex(), row["hash"].hex()
    return Event(**columns)


def _event_columns(events: Sequence[Event]) -> list[list[Any]]:
    columns: list[list[Any]] = []
    for name in (part.strip() for part in _COLUMNS.split(",")):
        values = [getattr(event, name) for event in events]
        if name in JSON_COLUMNS:
            values = [None if value is None else text(value) for value in values]
        elif name in ("prev", "hash"):
            values = [bytes.fromhex(value) for value in values]
        columns.append(values)
    return columns


def _hidden_columns(hidden: Sequence[Hidden]) -> list[list[Any]]:
    return [[getattr(one, name) for one in hidden] for name in ("event_id", "field", "salt", "value")]


def _funding_columns(rows: Sequence[tuple[str, Funding]]) -> list[list[str]]:
    return [
        [customer for customer, _ in rows],
        [one.id for _, one in rows],
        [one.feature for _, one in rows],
        [one.holder for _, one in rows],
        [msgspec.json.encode(one.doc).decode() for _, one in rows],
    ]
