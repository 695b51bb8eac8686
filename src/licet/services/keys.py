"""API keys ``lct_<live|test>_<id>_<160 random bits>``: shown once, kept as SHA-256. Their times are real time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, structs, to_builtins

from licet.core.catalog import Id
from licet.core.instant import Instant, add_duration, instant_words, parse_duration, to_datetime, to_instant
from licet.seal.apikey import NewApiKey, make_api_key
from licet.services.customers import get_customer
from licet.services.errors import Conflict, NotFound
from licet.services.normal import check_duration, invalid, normal
from licet.services.ports import Tx, View
from licet.services.rows import Draft, KeyKind, KeyRow, Page, Scope

MAX_OVERLAP_DAYS: Final = 30


class CreateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new key; ``expires_at`` is real time, None means until revoked."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: frozenset[Scope]
    kind: KeyKind = "server"
    customer: Id | None = None
    expires_at: datetime | None = None


class RotateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace a key; the old one goes on for ``overlap`` (at most 30 days)."""

    overlap: Annotated[str, Meta(max_length=40)] = "PT1H"


class NewKey(NamedTuple):
    """A key and its secret, which is shown this once."""

    key: KeyRow
    secret: str


async def create_key(tx: Tx, command: CreateKey) -> NewKey:
    """Create a key; leaves ``key.created``. Raises Invalid (no scope, expired) or NotFound (customer)."""
    command = normal(command)
    now = to_datetime(tx.time.wall)
    if not command.scopes:
        raise invalid("scopes", "a key needs at least one scope", "check is enough to ask for decisions")
    if command.expires_at is not None and command.expires_at <= now:
        raise invalid("expires_at", f"{instant_words(command.expires_at)} has passed; it is {instant_words(now)}")
    if command.customer is not None:
        await get_customer(tx, command.customer)
    fresh = make_api_key(tx.workspace.kind)
    made = await _put(
        tx,
        fresh,
        KeyRow(
            id=fresh.id,
            workspace=tx.workspace.id,
            kind=command.kind,
            name=command.name,
            scopes=command.scopes,
            customer=command.customer,
            created_at=now,
            expires_at=command.expires_at,
        ),
    )
    await tx.record(_draft("key.created", None, made.key))
    return made


async def rotate_key(tx: Tx, key: str, command: RotateKey) -> NewKey:
    """Make a successor with the same rights; the old key ends after the overlap; leaves ``key.rotated``.

    Raises NotFound, Conflict (the key has ended already) or Invalid (overlap).
    """
    check_duration(command.overlap, "overlap")
    now = tx.time.wall
    ends = add_duration(now, parse_duration(command.overlap), ZoneInfo("UTC"))
    if ends > add_duration(now, parse_duration(f"P{MAX_OVERLAP_DAYS}D"), ZoneInfo("UTC")):
        raise invalid("overlap", f"{command.overlap} is too long; at most P{MAX_OVERLAP_DAYS}D is allowed")
    old = await tx.revoke_key(key, to_datetime(ends))
    if old is None:
        raise _unknown(key)
    if _ended(structs.replace(old, revoked_at=None), now) or (old.revoked_at and to_instant(old.revoked_at) < now):
        raise Conflict(f"the key {key} has ended already", advice="create a new key")
    fresh = make_api_key(tx.workspace.kind)
    made = await _put(tx, fresh, structs.replace(old, id=fresh.id, created_at=to_datetime(now), revoked_at=None))
    await tx.record(_draft("key.rotated", old, made.key))
    return made


async def revoke_key(tx: Tx, key: str) -> KeyRow:
    """Let a key end now; leaves ``key.revoked``. Raises NotFound."""
    row = await tx.revoke_key(key)
    if row is None:
        raise _unknown(key)
    await tx.record(_draft("key.revoked", None, row))
    return row


async def list_keys(view: View, page: Page) -> Sequence[KeyRow]:
    """List the workspace's keys by id, also those that have ended."""
    return await view.keys(page)


async def _put(tx: Tx, fresh: NewApiKey, row: KeyRow) -> NewKey:
    """Insert a key; its token is returned and kept nowhere."""
    await tx.put_key(row, fresh.hash)
    return NewKey(row, fresh.token)


def _ended(row: KeyRow, now: Instant) -> bool:
    """Say whether a key has been revoked or has expired at ``now``."""
    ends = (row.expires_at, row.revoked_at)
    return any(end is not None and to_instant(end) <= now for end in ends)


def _unknown(key: str) -> NotFound:
    """Return the error for a key that is not there."""
    return NotFound(f"there is no key {key!r} in this workspace", advice="list the keys with: licet keys list")


def _draft(kind: str, before: KeyRow | None, after: KeyRow) -> Draft:
    """Return the event of a key, which never holds its secret."""
    return Draft(
        type=kind,
        subject=f"key/{(before or after).id}",
        before=None if before is None else _public(before),
        after=_public(after),
    )


def _public(row: KeyRow) -> dict[str, Any]:
    """Return a key as the log shows it."""
    shown: dict[str, Any] = to_builtins(row)
    return shown | {"scopes": sorted(row.scopes)}
