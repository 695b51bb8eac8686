"""Quota leases: reading them, locking them within a posting, and how a posting writes them.

What a lease drew and what is held of it stands in its reservation, which is found by the id that the row names.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from licet.core.instant import BEGINNING, FOREVER, Instant, to_datetime
from licet.core.usage.facts import Fact
from licet.services.rows import Page
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.lease_ports import LeaseFilter, LeaseRow, LeaseSum
from licet.services.usage.ports import Posted
from licet.store.session import limit_of
from licet.store.usage.many import ManyReads
from licet.store.usage.rows import ident

ONE: Final = "SELECT l.doc FROM quota_lease l WHERE l.workspace_id = $1 AND l.id = $2"
LIST: Final = """
    SELECT l.doc FROM quota_lease l
    WHERE l.workspace_id = $1 AND l.id > $2 AND ($3::text IS NULL OR l.customer = $3)
        AND ($4::text IS NULL OR l.feature = $4) AND ($5::text IS NULL OR l.state = $5)
    ORDER BY l.id LIMIT $6
"""
# Those that ended are looked up from the earliest begin on that is asked about: what was lost in years adds nothing.
SUMS: Final = """
    WITH kept AS (
        SELECT l.reservation, l.effective_at, true AS leased FROM quota_lease l
        WHERE l.workspace_id = $1 AND l.customer = $2 AND l.state = 'open'
        UNION ALL
        SELECT l.reservation, l.effective_at, false FROM quota_lease l
        WHERE l.workspace_id = $1 AND l.customer = $2 AND l.held AND l.state <> 'open' AND l.effective_at >= $5
    )
    SELECT h.key AS feature,
        coalesce(sum(h.value::numeric) FILTER (
            WHERE kept.leased AND (given.since IS NULL OR kept.effective_at >= given.since)
        ), 0) AS leased,
        coalesce(sum(h.value::numeric) FILTER (WHERE NOT kept.leased AND kept.effective_at >= given.since), 0)
            AS written_off
    FROM kept CROSS JOIN LATERAL (
        SELECT n.doc FROM reservation n WHERE n.workspace_id = $1 AND n.id = kept.reservation LIMIT 1
    ) r CROSS JOIN LATERAL json_each_text(r.doc -> 'held') AS h
        LEFT JOIN unnest($3::text[], $4::timestamptz[]) AS given (feature, since) ON given.feature = h.key
    GROUP BY h.key ORDER BY h.key
"""
HELD: Final = """
    SELECT (SELECT count(*) FROM quota_lease l WHERE l.workspace_id = $1 AND l.state = 'open') AS open,
        (SELECT count(*) FROM quota_lease l WHERE l.workspace_id = $1 AND l.held AND l.state <> 'open') AS written_off
"""
# Epochs are few: each is a place of its own in the index.
LOST: Final = """
    SELECT l.id FROM (
        SELECT n.id, n.until FROM quota_lease n
        WHERE n.workspace_id = $1 AND n.state = 'open' AND n.epoch = $2 AND n.until <= $3
        UNION ALL
        SELECT n.id, n.until FROM quota_lease n WHERE n.workspace_id = $1 AND n.state = 'open' AND n.epoch < $2
        UNION ALL
        SELECT n.id, n.until FROM quota_lease n WHERE n.workspace_id = $1 AND n.state = 'open' AND n.epoch > $2
    ) l ORDER BY l.until, l.id LIMIT $4
"""
LOCK: Final = """
    SELECT l.doc FROM unnest($2::bytea[]) AS given (id) CROSS JOIN LATERAL (
        SELECT n.doc FROM quota_lease n WHERE n.workspace_id = $1 AND n.id = given.id LIMIT 1 FOR NO KEY UPDATE
    ) l
"""
# Found first and locked then, so that locks are taken in the order of ids whatever the order of finding. What became of
# them is looked at outside: within, a planner that knows nothing of the table takes the index of open ones.
OPEN: Final = """
    WITH found AS MATERIALIZED (
        SELECT l.id FROM unnest($2::text[], $3::text[]) AS given (customer, feature) CROSS JOIN LATERAL (
            SELECT n.id FROM quota_lease n
            WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.feature = given.feature
                AND n.state = 'open' OFFSET 0
        ) l ORDER BY l.id
    )
    SELECT l.doc FROM found CROSS JOIN LATERAL (
        SELECT n.doc, n.state FROM quota_lease n
        WHERE n.workspace_id = $1 AND n.id = found.id LIMIT 1 FOR NO KEY UPDATE
    ) l WHERE l.state = 'open'
"""
RECALLED: Final = """
    SELECT l.doc FROM quota_lease l
    WHERE l.workspace_id = $1 AND l.owner = ANY ($2::bytea[]) AND l.recalled AND l.state = 'open' ORDER BY l.id
"""
_GIVEN: Final = "id, customer, feature, owner, epoch, state, until, recalled, held, reservation, effective_at, doc"
WRITES: Final = f"""
    leases AS (
        SELECT given.*, given.effective_at IS NOT NULL AS issued,
            CASE WHEN given.state IN ('settled', 'proven') THEN $4::timestamptz END AS ended_at
        FROM unnest($46::bytea[], $47::text[], $48::text[], $49::bytea[], $50::bigint[], $51::text[],
            $52::timestamptz[], $53::boolean[], $54::boolean[], $55::bytea[], $56::timestamptz[], $57::json[])
            AS given ({_GIVEN})
    ), issued AS (
        INSERT INTO quota_lease (workspace_id, {_GIVEN}, ended_at)
        SELECT $1, {_GIVEN}, ended_at FROM leases WHERE leases.issued
    ), changed AS (
        UPDATE quota_lease l
        SET epoch = given.epoch, state = given.state, until = given.until, recalled = given.recalled, held = given.held,
            ended_at = CASE WHEN given.ended_at IS NOT NULL THEN coalesce(l.ended_at, given.ended_at) END,
            doc = given.doc
        FROM leases given WHERE l.workspace_id = $1 AND l.id = given.id AND NOT given.issued
        RETURNING l.id
    )"""
"""The part of a posting's statement that writes leases, numbered after what each posting may have."""
FORGET: Final = """
    WITH old AS MATERIALIZED (
        SELECT l.id FROM quota_lease l WHERE l.workspace_id = $1 AND NOT l.held AND l.ended_at < $2
        ORDER BY l.ended_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM quota_lease l USING old WHERE l.workspace_id = $1 AND l.id = old.id RETURNING l.reservation
    )
    DELETE FROM reservation r USING gone WHERE r.workspace_id = $1 AND r.id = gone.reservation
"""
"""Leases of which nothing is held go with their reservations a while after their owners' last word."""
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(LeaseRow).decode


class LeaseReads(ManyReads):
    """Reading leases, as of one state of the database."""

    async def lease(self, lease: str) -> LeaseRow | None:
        """Return one by its id; raises Invalid for what is no id."""
        row = await self._row(ONE, ident(lease))
        return None if row is None else _decode(row["doc"])

    async def lease_facts(self, leases: Collection[str]) -> dict[str, Fact]:
        """Return the facts by which leases were drawn, by the id of the lease, of those that there are; not locked."""
        facts = {lease_fact_id(one): one for one in leases}
        return {facts[name]: one.fact for name, one in (await self._reservations(list(facts))).items()}

    async def leases(self, only: LeaseFilter, page: Page) -> Sequence[LeaseRow]:
        """List leases by id; ``after`` is an id."""
        after = ident(page.after) if page.after else b""
        rows = await self._rows(LIST, after, only.customer, only.feature, only.state, limit_of(page))
        return [_decode(row["doc"]) for row in rows]

    async def lease_sums(self, customer: str, since: dict[str, Instant]) -> Sequence[LeaseSum]:
        """Return what leases hold of a customer's balances, by feature.

        ``since`` says by feature from when on (business time) what was set aside counts: the begin of its period. Of
        features that it does not name nothing is written off, and all that is out is leased.
        """
        begins = [to_datetime(max(BEGINNING, min(at, FOREVER - 1))) for at in since.values()]
        rows = await self._rows(SUMS, customer, list(since), begins, min(begins, default=None))
        return [
            LeaseSum(feature=row["feature"], leased=int(row["leased"]), written_off=int(row["written_off"]))
            for row in rows
        ]

    async def held_leases(self) -> tuple[int, int]:
        """Return how many leases are open, and of how many that ended a part is written off."""
        row = await self._row(HELD)
        return (0, 0) if row is None else (int(row["open"]), int(row["written_off"]))

    async def lost_leases(self, epoch: int, now: Instant, most: int) -> Sequence[str]:
        """Return ids of open leases whose time (real) or epoch is over, those that ended first first."""
        return [row["id"].hex() for row in await self._rows(LOST, epoch, to_datetime(now), most)]


class LeaseLocks(LeaseReads):
    """Leases within a posting, locked in the order of their ids. Their balances are locked before."""

    async def leases_of(self, ids: Collection[str]) -> dict[str, LeaseRow]:
        """Lock and return leases by id, those that there are."""
        rows = await self._rows(LOCK, sorted({ident(one) for one in ids})) if ids else ()
        return {one.lease.id: one for one in (_decode(row["doc"]) for row in rows)}

    async def open_leases(self, pairs: Collection[tuple[str, str]]) -> Sequence[LeaseRow]:
        """Lock and return the open leases of features of customers by id, each pair ``(customer, feature)``."""
        named = sorted(set(pairs))
        rows = await self._rows(OPEN, *map(list, zip(*named, strict=True))) if named else ()
        return [_decode(row["doc"]) for row in rows]

    async def recalled_leases(self, owners: Collection[str]) -> Sequence[LeaseRow]:
        """Return the open leases of owners that were recalled, by id; not locked."""
        rows = await self._rows(RECALLED, [ident(one) for one in sorted(set(owners))]) if owners else ()
        return [_decode(row["doc"]) for row in rows]


def lease_columns(posted: Posted, now: Instant) -> list[list[Any]]:
    """Return the leases of a posting as columns, by id. New ones alone say when their facts are effective.

    ``now`` (business time) stands for that where nothing was drawn: its owner used what is no longer there.
    """
    rows = sorted({one.lease.id: one for one in posted.leases}.values(), key=lambda one: one.lease.id)
    facts = [lease_fact_id(one.lease.id) for one in rows]
    begun = {one.fact.id: one.fact.effective for one in posted.reservations}
    begins = [
        to_datetime(begun.get(fact, now)) if one.lease.id in posted.issued else None
        for one, fact in zip(rows, facts, strict=True)
    ]
    return [
        [ident(one.lease.id) for one in rows],
        [one.lease.customer for one in rows],
        [one.lease.feature for one in rows],
        [ident(one.lease.owner) for one in rows],
        [one.lease.epoch for one in rows],
        [one.lease.state for one in rows],
        [to_datetime(one.lease.until) for one in rows],
        [one.lease.recalled for one in rows],
        [one.held for one in rows],
        [ident(fact) for fact in facts],
        begins,
        [_encode(one).decode() for one in rows],
    ]
