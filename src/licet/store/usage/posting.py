"""The transaction of a posting: balances locked in key order, everything written in one statement.

Lock order, for everybody: balances by key, leases by id, reservations by id, the tip of usage (in the statement
that writes), the tip of the log (at commit, and only where something is recorded).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import asyncpg
from msgspec import structs

from licet.core.instant import Instant, to_datetime
from licet.core.usage.facts import AccountKey, Fact, Funding, Reservation
from licet.services.rows import Actor, Instants
from licet.services.usage.ports import BalanceRow, Bared, Collided, KeptKey, Posted
from licet.store.customers import CustomerReads
from licet.store.log import LogWrites
from licet.store.session import BEGIN_WRITE, Opening, business_time
from licet.store.usage.funding import FundingWrites
from licet.store.usage.leases import WRITES, LeaseLocks, lease_columns
from licet.store.usage.reads import UsageReads
from licet.store.usage.rows import (
    balance_columns,
    balance_of,
    fact_columns,
    ident,
    idents,
    kept_columns,
    key_columns,
    reservation_doc,
    reservation_of,
)

_BALANCE: Final = "b.customer, b.feature, b.holder, b.state, b.used, b.granted, b.remaining, b.as_of, b.serial"
# Each balance, key and reservation is looked up by itself, in the order of the list: a planner that knows nothing of
# the tables yet joins whole workspaces otherwise.
LOCK: Final = f"""
    SELECT {_BALANCE} FROM unnest($2::text[], $3::text[], $4::text[]) AS given (customer, feature, holder)
    CROSS JOIN LATERAL (
        SELECT {_BALANCE} FROM balance b
        WHERE b.workspace_id = $1 AND b.customer = given.customer AND b.feature = given.feature
            AND b.holder = given.holder
        LIMIT 1 FOR NO KEY UPDATE
    ) b
"""
HOLD: Final = """
    SELECT given.place, b.serial
    FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS given (customer, feature, holder, place)
    CROSS JOIN LATERAL (
        SELECT b.serial FROM balance b
        WHERE b.workspace_id = $1 AND b.customer = given.customer AND b.feature = given.feature
            AND b.holder = given.holder
        LIMIT 1 FOR NO KEY UPDATE
    ) b
"""
MAKE: Final = """
    INSERT INTO balance (workspace_id, customer, feature, holder)
    SELECT $1, given.* FROM unnest($2::text[], $3::text[], $4::text[]) AS given (customer, feature, holder)
    ORDER BY given.customer, given.feature, given.holder
    ON CONFLICT (workspace_id, customer, feature, holder) DO NOTHING
"""
# What this posting waited for has moved clock, log and tip by now, so they are read after the locks.
NOW: Final = """
    SELECT w.clock_offset, w.clock_frozen_at, t.seq, greatest(t.recorded_at, u.recorded_at) AS recorded_at
    FROM workspace w JOIN log_tip t USING (workspace_id) LEFT JOIN usage_tip u USING (workspace_id)
    WHERE w.workspace_id = $1
"""
KEPT: Final = """
    SELECT k.id, k.body_hash, k.serial, k.answer FROM generate_series(1, $2) AS given (place) CROSS JOIN LATERAL (
        SELECT n.id, n.body_hash, n.serial, n.answer FROM usage_key n
        WHERE n.workspace_id = $1 AND n.id = substring($3::bytea FROM given.place * 16 - 15 FOR 16) LIMIT 1
    ) k
"""
TOLD: Final = """
    SELECT given.id FROM unnest($2::text[], $3::timestamptz[], $4::bytea[]) AS given (customer, at, id)
    CROSS JOIN LATERAL (
        SELECT FROM usage_fact f
        WHERE f.workspace_id = $1 AND f.customer = given.customer AND f.effective_at = given.at AND f.id = given.id
        LIMIT 1
    ) f
"""
DUE: Final = """
    SELECT id, doc FROM reservation
    WHERE workspace_id = $1 AND NOT closed AND customer = ANY ($2::text[]) AND until <= $3
        AND until < 'infinity'
    ORDER BY id FOR NO KEY UPDATE
"""
RESERVATIONS: Final = """
    SELECT r.id, r.doc FROM unnest($2::bytea[]) AS given (id) CROSS JOIN LATERAL (
        SELECT n.id, n.doc FROM reservation n
        WHERE n.workspace_id = $1 AND n.id = given.id LIMIT 1 FOR NO KEY UPDATE
    ) r
"""
# Facts, keys and balances, which every posting has. The tip's row is held from here to the commit. Keys are inserted
# plainly: passing over one that is there would leave its balance charged twice. Long lists come as one text or one run
# of bytes, which costs both ends a tenth of what an array does; what a list is short of is the same everywhere.
_POST: Final = """
    WITH tip AS (
        INSERT INTO usage_tip AS t (workspace_id, serial, recorded_at) VALUES ($1, $2, $3)
        ON CONFLICT (workspace_id) DO UPDATE
        SET serial = t.serial + excluded.serial, recorded_at = greatest(t.recorded_at, excluded.recorded_at)
        RETURNING serial - $2 AS base, serial, recorded_at
    ), facts AS (
        INSERT INTO usage_fact
            (workspace_id, serial, recorded_at, wall_at, effective_at, id, kind, customer, doc, source)
        SELECT $1, tip.base + given.place, tip.recorded_at, $4, ($5::timestamptz[])[coalesce(given.at::int, 1)],
            substring($7::bytea FROM given.place * 16 - 15 FOR 16), coalesce(given.kind, 'report'), given.customer,
            given.doc::json, given.source::json
        FROM tip, ROWS FROM (generate_series(1, $2::int), string_to_table($6, E'\\x1f'), string_to_table($8, E'\\x1f'),
            string_to_table($9, E'\\x1f'), string_to_table($10, E'\\x1f'), string_to_table($11, E'\\x1f'))
            AS given (place, at, kind, customer, doc, source)
    ), keys AS (
        INSERT INTO usage_key (workspace_id, id, body_hash, serial, answer)
        SELECT $1, substring($13::bytea FROM given.number * 16 - 15 FOR 16),
            substring($14::bytea FROM given.number * 16 - 15 FOR 16), tip.base + coalesce(given.place, given.number),
            coalesce(given.answer, '')
        FROM tip, ROWS FROM (generate_series(1, $12), unnest($15::bigint[]), unnest($16::bytea[]))
            AS given (number, place, answer)
    ), held AS (
        INSERT INTO balance (workspace_id, customer, feature, holder, state, used, granted, remaining, as_of, serial)
        SELECT $1, given.*, tip.serial FROM tip, unnest($17::text[], $18::text[], $19::text[], $20::bytea[],
            $21::bigint[], $22::bigint[], $23::bigint[], $24::timestamptz[]) AS given
        ON CONFLICT (workspace_id, customer, feature, holder) DO UPDATE
        SET state = excluded.state, used = excluded.used, granted = excluded.granted,
            remaining = excluded.remaining, as_of = excluded.as_of, serial = excluded.serial
    )"""
POST: Final = f"{_POST} SELECT tip.base + 1 AS first FROM tip"
_MORE: Final = f"""{_POST}, marks AS (
        INSERT INTO balance_checkpoint (workspace_id, customer, feature, holder, state, used, granted, remaining,
            as_of, serial, recorded_at)
        SELECT $1, given.customer, given.feature, given.holder, given.state, given.used, given.granted, given.remaining,
            given.as_of, CASE WHEN given.whole THEN tip.serial ELSE 0 END, tip.recorded_at
        FROM unnest($25::text[], $26::text[], $27::text[], $28::bytea[], $29::bigint[], $30::bigint[], $31::bigint[],
            $32::timestamptz[], $45::boolean[])
            AS given (customer, feature, holder, state, used, granted, remaining, as_of, whole), tip
        ON CONFLICT (workspace_id, customer, feature, holder, as_of) DO UPDATE
        SET state = excluded.state, used = excluded.used, granted = excluded.granted, remaining = excluded.remaining,
            serial = excluded.serial, recorded_at = excluded.recorded_at
    ), refused AS (
        INSERT INTO usage_refusal (workspace_id, id, customer, feature, user_id, quantity, reason, refused_at)
        SELECT $1, given.* FROM unnest($33::bytea[], $34::text[], $35::text[], $36::text[], $37::bigint[],
            $38::text[], $39::timestamptz[]) AS given
        ON CONFLICT (workspace_id, id) DO UPDATE
        SET customer = excluded.customer, feature = excluded.feature, user_id = excluded.user_id,
            quantity = excluded.quantity, reason = excluded.reason, refused_at = excluded.refused_at
    ), reserved AS (
        INSERT INTO reservation (workspace_id, id, customer, until, closed, doc)
        SELECT $1, given.id, given.customer, coalesce(given.until, 'infinity'), given.closed, given.doc
        FROM unnest($40::bytea[], $41::text[], $42::timestamptz[], $43::boolean[], $44::json[])
            AS given (id, customer, until, closed, doc)
        ON CONFLICT (workspace_id, id) DO UPDATE SET closed = excluded.closed, doc = excluded.doc
    )"""
POST_MORE: Final = f"{_MORE} SELECT tip.base + 1 AS first FROM tip"
POST_LEASES: Final = f"""{_MORE}, {WRITES}
    SELECT tip.base + 1 AS first, (SELECT count(*) FROM changed) AS changed FROM tip
"""
FORGET_MARKS: Final = """
    DELETE FROM balance_checkpoint c
    USING unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS given (customer, feature, holder, since)
    WHERE c.workspace_id = $1 AND c.customer = given.customer AND c.feature = given.feature
        AND c.holder = given.holder AND c.as_of >= given.since
"""
# Of these, what was dropped is in no checkpoint any more.
BARED: Final = """
    SELECT given.* FROM usage_seal s
    CROSS JOIN unnest($2::text[], $3::text[], $4::text[]) AS given (customer, feature, holder)
    WHERE s.workspace_id = $1 AND s.dropped IS NOT NULL AND NOT EXISTS (
        SELECT FROM balance_checkpoint n
        WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.feature = given.feature
            AND n.holder = given.holder AND (n.as_of >= s.dropped_until OR n.serial > s.dropped)
    )
"""


class PostgresPosting(FundingWrites, LogWrites, LeaseLocks, UsageReads, CustomerReads):
    """One posting's transaction."""

    def __init__(self, opening: Opening, actor: Actor) -> None:
        super().__init__(opening, actor, "", None)
        self.tip = opening.seq
        self._before: dict[AccountKey, Instant | None] = {}
        """Of each locked balance the effective instant of the newest fact that it holds."""
        self._holds = False
        self.taken: dict[AccountKey, Instant] = {}

    async def lock(self, keys: Sequence[AccountKey]) -> dict[AccountKey, BalanceRow]:
        """Lock these balances, in key order, made first where they are not there; return those that hold something.

        ``time`` and ``tip`` are taken anew after it: what waited comes after what it waited for. All that a posting
        locks is locked in one call, so that no two postings wait for each other in a circle.
        """
        wanted = sorted(set(keys))
        columns = key_columns(wanted)
        rows = await self._rows(LOCK, *columns)
        if len(rows) < len(wanted):
            # Who holds some and waits to make others meets who does it the other way round: let go of them first.
            if not self._before and not self._holds:
                await self._conn.execute(f"ROLLBACK; {BEGIN_WRITE.format(self._ws)}")
            await self._execute(MAKE, *columns)
            rows = await self._rows(LOCK, *columns)
        await self._look()
        found = {row.key: row for row in (balance_of(row) for row in rows if row["as_of"] is not None)}
        self._before |= {key: found[key].as_of if key in found else None for key in wanted}
        return found

    async def hold(self, expected: Sequence[tuple[AccountKey, int, Instant]]) -> bool:
        """Lock balances in key order, and return whether each has the serial under which it is expected.

        Beside it the ``as_of`` of that row. ``time`` and ``tip`` are taken anew after it.
        """
        wanted = sorted(expected)
        rows = await self._rows(HOLD, *key_columns([key for key, *_ in wanted]))
        if {row["place"]: row["serial"] for row in rows} != {at: one[1] for at, one in enumerate(wanted, 1)}:
            return False
        self._before |= {key: as_of for key, _, as_of in wanted}
        await self._look()
        return True

    def later(self) -> Instant:
        """Return the business time by now, going by the clock as it was last looked at."""
        return business_time(self.workspace, max(self._wall(), self.time.wall), to_datetime(self.time.business))

    def pack(self, posted: Posted) -> Posted:
        """Work out how it is sent, for another transaction to post."""
        return structs.replace(posted, packed=_first(posted))

    async def kept(self, ids: Sequence[str]) -> dict[str, KeptKey]:
        """Return what is kept of ids that came before; asked after the locks, so that nothing comes in between."""
        if not ids:
            return {}
        rows = await self._rows(KEPT, len(ids), idents(ids))
        return {
            name: KeptKey(id=name, body_hash=row["body_hash"], serial=row["serial"], answer=row["answer"])
            for name, row in ((row["id"].hex(), row) for row in rows)
        }

    async def told(self, facts: Sequence[Fact]) -> set[str]:
        """Return the ids of those facts that are recorded, whether their keys are kept or not."""
        if not facts:
            return set()
        ats = [to_datetime(one.effective) for one in facts]
        rows = await self._rows(TOLD, [one.customer for one in facts], ats, [ident(one.id) for one in facts])
        return {row["id"].hex() for row in rows}

    async def due(self, keys: Sequence[AccountKey], now: Instant) -> Sequence[Reservation]:
        """Return the reservations of locked balances that ended by themselves by ``now`` and are not closed, by id."""
        wanted, self._holds = set(keys), True
        rows = await self._rows(DUE, sorted({key.customer for key in wanted}), to_datetime(now))
        return [one for one in map(reservation_of, rows) if not wanted.isdisjoint(_touched(one.fact))]

    async def reservations(self, ids: Sequence[str]) -> dict[str, Reservation]:
        """Lock and return reservations by id, closed or not. Their balances must be locked before."""
        if not ids:
            return {}
        self._holds = True
        rows = await self._rows(RESERVATIONS, sorted({ident(one) for one in ids}))
        return {row["id"].hex(): reservation_of(row) for row in rows}

    async def put_funding(self, customer: str, funding: Funding) -> None:
        """Append an automatic top-up; the balance is locked, so that nobody else decides about it."""
        self._stage_funding(customer, funding)

    async def post(self, posted: Posted) -> int:
        """Write all of it in one statement and return the serial of the first fact.

        Checkpoints that hold facts after a late one are forgotten before. Balances and checkpoints get the serial of
        the posting's last fact: no fact they hold is newer. Raises Collided where an id came in between through other
        balances, Bared where those were the last that hold what was dropped, RuntimeError for a balance that was not
        locked.
        """
        unlocked = [one.key for one in posted.balances if one.key not in self._before]
        if unlocked:
            raise RuntimeError(f"{unlocked[0]} was not locked: it would not be written")
        late, self._holds = self._late(posted), True
        taken = bool(late) and await self._execute(
            FORGET_MARKS, *key_columns(list(late)), [to_datetime(at) for at in late.values()]
        )
        if taken:
            marked = {one.key for one in posted.checkpoints}
            self.taken = {key: at for key, at in late.items() if key not in marked}
        more = posted.checkpoints or posted.refusals or posted.reservations or posted.leases
        columns = [
            len(posted.facts),
            to_datetime(self.time.business),
            to_datetime(self.time.wall),
            *(posted.packed or _first(posted)),
            *(_more(posted) if more else ()),
            *(lease_columns(posted, self.time.business) if posted.leases else ()),
        ]
        with collisions():
            row = await self._row(POST_LEASES if posted.leases else POST_MORE if more else POST, *columns)
        if row is None:
            raise RuntimeError("nothing was posted")
        if posted.leases and row["changed"] < len({one.lease.id for one in posted.leases} - posted.issued):
            raise RuntimeError("a lease was posted as changed that is not there")
        bared = await self._rows(BARED, *key_columns(list(late))) if taken else ()
        if bared:
            raise Bared({AccountKey(*found) for found in bared})
        return int(row["first"])

    async def _look(self) -> None:
        row = await self._row(NOW)
        if row is None:
            raise RuntimeError(f"workspace {self._ws!r} has no log")
        clock = structs.replace(
            self.workspace, clock_offset=row["clock_offset"], clock_frozen_at=row["clock_frozen_at"]
        )
        wall = max(self._wall(), self.time.wall)
        business = max(business_time(clock, wall, row["recorded_at"]), self.time.business)
        self.workspace, self.time, self.tip = clock, Instants(business=business, wall=wall), row["seq"]

    def _late(self, posted: Posted) -> dict[AccountKey, Instant]:
        """Return the balances of which a fact comes before others that they hold, each with the first such instant."""
        newest = max((at for at in self._before.values() if at is not None), default=None)
        if newest is None:
            return {}
        begun = {one.fact.id: one.fact for one in posted.reservations}
        found: dict[AccountKey, Instant] = {}
        for fact in posted.facts:
            if fact.effective > newest:
                continue
            # A release says nothing of what it gives back: its reservation does.
            released = begun.get(fact.of or "") if fact.kind == "release" else None
            for key in {*_touched(fact), *(() if released is None else _touched(released))}:
                before = self._before.get(key)
                if before is not None and fact.effective <= before:
                    found[key] = min(found.get(key, fact.effective), fact.effective)
        return found


def _first(posted: Posted) -> list[Any]:
    """Return the columns that every posting has, after its length and its times."""
    return [
        *fact_columns(posted.facts, posted.sources),
        *kept_columns(posted.keys),
        *balance_columns(posted.balances),
    ]


def _more(posted: Posted) -> list[Any]:
    """Return the columns of what only some postings have."""
    refusals = list({one.id: one for one in posted.refusals}.values())
    refusals.sort(key=lambda one: one.id)
    reservations = sorted({one.fact.id: one for one in posted.reservations}.values(), key=lambda one: one.fact.id)
    return [
        *balance_columns(posted.checkpoints),
        [ident(one.id) for one in refusals],
        [one.customer for one in refusals],
        [one.feature for one in refusals],
        [one.user for one in refusals],
        [one.quantity for one in refusals],
        [one.reason for one in refusals],
        [to_datetime(one.refused_at) for one in refusals],
        [ident(one.fact.id) for one in reservations],
        [one.fact.customer for one in reservations],
        [_until(one) for one in reservations],
        [one.closed is not None for one in reservations],
        [reservation_doc(one) for one in reservations],
        # One made of a past says nothing of facts recorded by now that are effective later: they may be dropped.
        [one.serial > 0 for one in posted.checkpoints],
    ]


def _until(reservation: Reservation) -> datetime | None:
    """Return when a reservation ends by itself. A lease never does: its row goes with the lease's."""
    until = reservation.fact.until
    if reservation.fact.kind == "lease":
        return None
    if until is None:
        raise RuntimeError(f"reservation {reservation.fact.id} never ends by itself: each does")
    return to_datetime(until)


def _touched(fact: Fact) -> Iterator[AccountKey]:
    """Yield the balances of which a fact may have burned."""
    for feature in fact.burns:
        for holder in ("", f"user:{fact.user}", f"team:{fact.team}"):
            yield AccountKey(fact.customer, feature, holder)


@contextmanager
def collisions() -> Iterator[None]:
    """Let races of ids, deadlocks and a month that is not there yet be what they are: a reason to begin again."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Collided(f"another posting had the same id: {error.detail}") from error
    except asyncpg.TransactionRollbackError as error:
        raise Collided(f"the posting met another one: {error}") from error
    except asyncpg.CheckViolationError as error:
        if error.table_name == "usage_fact" and error.constraint_name is None:
            raise Collided("the month has no place for facts yet") from error
        raise
