"""A database as it was before findings had owners and the log held hashes of documents: migrations 1 to 3, and rows."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import asyncpg
from msgspec import structs

from licet.core.catalog import encode_catalog
from licet.seal.canonical import canonical
from licet.seal.chain import genesis, leaf_hash, link_hash
from licet.seal.commitment import commit
from licet.store.migrate import migrate
from licet.store.setup import MIGRATIONS
from licet.wire.catalog_text import read_catalog
from licet.wire.event import Event, content_of
from tests.store.databases import Database

NEWEST_THEN: Final = 3
DAY: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
CUSTOMER: Final = "a/b"
"""Its id stood in subjects as it is."""
CATALOG: Final = """
version: 1
features:
  sso: {type: switch, title: Single sign-on}
  hooks: {type: switch, title: Webhooks}
products:
  app: {title: App}
plans:
  team: {title: Team, versions: {2026-01: {product: app, includes: {sso: true}}}}
  pro: {title: Pro, versions: {2026-01: {product: app, includes: {sso: true, hooks: true}}}}
"""
_SALT: Final = b"s" * 32


def _at(minutes: int) -> datetime:
    return DAY + timedelta(minutes=minutes)


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


SOLD: Final[dict[str, Any]] = {
    "id": "sub_old",
    "phases": [{"starts_at": _written(_at(5)), "items": [{"kind": "plan", "id": "team", "version": "2026-01"}]}],
    "source": "crm",
    "external_id": "deal-1",
    "occurred_at": _written(_at(5)),
    "event": f"evt_{5:032x}",
}
ORDER: Final[dict[str, Any]] = {
    "document": {
        "source": "crm",
        "external_id": "deal-1",
        "customer": {"id": CUSTOMER},
        "occurred_at": _written(_at(5)),
        "lines": [{"line": "1", "plan": "team"}],
    },
    "customer": CUSTOMER,
    "subscription": "sub_old",
    "zone": "UTC",
}


def _event(
    seq: int, type_: str, subject: str, revision: int | None, *, before: Any = None, after: Any = None, minute: int = -1
) -> Event:
    at = _at(seq if minute < 0 else minute)
    return Event(
        seq=seq,
        id=f"evt_{seq:032x}",
        type=type_,
        recorded_at=at,
        wall_at=at,
        effective_at=at,
        actor="local:ann",
        note="",
        cause=None,
        subject=subject,
        revision=revision,
        before=before,
        after=after,
        schema=1,
        prev="",
        hash="",
    )


def _person(region: str, ident: str = CUSTOMER) -> dict[str, Any]:
    return {"id": ident, "external_ids": {"crm": "c-1"}, "profile": {"region": region}}


def _named(seq: int, person: dict[str, Any], name: str) -> dict[str, Any]:
    return {**person, "private": {"name": commit(_SALT, f"evt_{seq:032x}", "name", name)}}


def _log() -> list[Event]:
    """Made, released, bought for, changed; 5 and 6 in one transaction."""
    about, user = f"customer/{CUSTOMER}", {"id": "ann", "roles": ["admin"]}
    return [
        _event(1, "workspace.created", "workspace", None, after={"kind": "live", "zone": "UTC"}),
        _event(2, "catalog.released", "catalog", 1, after={"revision": 1}),
        _event(3, "customer.created", about, 1, after=_named(3, _person("eu"), "Ann")),
        _event(4, "customer.changed", about, 2, before=_person("eu"), after=_named(4, _person("us"), "Ann")),
        _event(5, "order.applied", "order/crm/deal-1", None, after=ORDER),
        _event(6, "subscription.created", about, 3, after=SOLD, minute=5),
        _event(7, "user.created", f"{about}/user/ann", 1, after=_named(7, user, "Bea")),
    ]


def _chained(events: Sequence[Event], workspace: str) -> list[Event]:
    found, prev = [], genesis(workspace)
    for event in events:
        link = link_hash(prev, leaf_hash(canonical(content_of(event))))
        found.append(structs.replace(event, prev=prev.hex(), hash=link.hex()))
        prev = link
    return found


async def build_old_database(database: Database, folder: Path, owner: str) -> None:
    """Migrate an empty database to number 3 as its owner, and fill the workspace ``live`` with a life of then."""
    for number in range(1, NEWEST_THEN + 1):
        for file in MIGRATIONS.glob(f"{number:04}_*.sql"):
            shutil.copy(file, folder)
    conn: asyncpg.Connection[asyncpg.Record] = await database.connect()
    try:
        await conn.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}; SET ROLE {owner}")
        assert len(await migrate(conn, folder)) == NEWEST_THEN
        # Row-level security binds the owner, too; the superuser fills the tables.
        await conn.execute("RESET ROLE")
        await _fill(conn)
    finally:
        await conn.close()


async def _fill(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    events = _chained(_log(), "live")
    await conn.execute("INSERT INTO workspace_index VALUES ('live')")
    await conn.execute(
        "INSERT INTO workspace (workspace_id, kind, zone, created_at) VALUES ('live', 'live', 'UTC', $1)", DAY
    )
    last = events[-1]
    await conn.execute(
        "INSERT INTO log_tip VALUES ('live', $1, $2, $3)", last.seq, bytes.fromhex(last.hash), last.recorded_at
    )
    await conn.executemany(
        "INSERT INTO event VALUES ('live', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        [
            (
                one.seq, one.id, one.type, one.recorded_at, one.wall_at, one.effective_at, one.actor, one.note,
                one.cause, one.subject, one.revision, None if one.before is None else json.dumps(one.before),
                None if one.after is None else json.dumps(one.after), one.schema, bytes.fromhex(one.prev),
                bytes.fromhex(one.hash),
            )
            for one in events
        ],
    )  # fmt: skip
    await conn.executemany(
        "INSERT INTO event_private VALUES ('live', $1, 'name', $2, $3)",
        [(f"evt_{seq:032x}", _SALT, name) for seq, name in ((3, "Ann"), (4, "Ann"), (7, "Bea"))],
    )
    doc = encode_catalog(read_catalog(CATALOG))
    await conn.execute(
        "INSERT INTO catalog VALUES ('live', 1, 2, $1, 'local:ann', '', $2, $3)",
        _at(2), sha256(doc).hexdigest(), doc.decode(),
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO customer VALUES ('live', $1, 2, 'Ann', NULL, '{\"region\":\"us\"}', $2, $3)",
        CUSTOMER,
        _at(3),
        _at(4),
    )
    await conn.execute("INSERT INTO customer_external VALUES ('live', 'crm', 'c-1', $1)", CUSTOMER)
    await conn.execute("INSERT INTO subscription_index VALUES ('live', 'crm', 'deal-1', $1)", CUSTOMER)
    regions = [("eu", 3, 3, []), ("us", 4, 4, []), ("us", 6, 5, [SOLD])]
    await conn.executemany(
        "INSERT INTO terms VALUES ('live', $1, $2, $3, $4, $5)",
        [
            (
                CUSTOMER, number, seq, _at(minute),
                json.dumps({"customer": CUSTOMER, "profile": {"region": region}, "subscriptions": sold}),
            )
            for number, (region, seq, minute, sold) in enumerate(regions, start=1)
        ],
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO customer_user VALUES ('live', $1, 'ann', 1, 'Bea', NULL, '{admin}', '{}', '{}', true, $2, $2)",
        CUSTOMER, _at(7),
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO user_revision VALUES ('live', $1, 'ann', 1, 7, $2, '{admin}', '{}', '{}', true)", CUSTOMER, _at(7)
    )
    await _fill_inbox(conn)


async def _fill_inbox(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    await conn.execute("INSERT INTO source VALUES ('live', 'stripe', 'stripe', '{}', false, $1)", DAY)
    await conn.executemany(
        "INSERT INTO delivery VALUES ('live', 'stripe', $1, 'invoice.paid', $2, $3, $3, '{}', $4, $5, $6)",
        [
            (name, "f" * 64, _at(place), outcome, f"ended as {outcome}", awaits)
            for place, (name, outcome, awaits) in enumerate(
                [("evt_a", "applied", None), ("evt_f", "failed", None), ("evt_w", "waiting", "sub_9")]
            )
        ],
    )
    await conn.executemany(
        "INSERT INTO finding VALUES ('live', $1, 'order_conflict', 'medium', $2, 'two answers', '{}', $3, 2, $4, $5)",
        [("fnd_open", "crm:deal-1", "open", _at(5), _at(6)), ("fnd_done", "crm:deal-2", "resolved", _at(5), _at(6))],
    )
