"""API keys over HTTP. A secret is told once, in the answer that makes it."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Struct, structs

from licet.api.call import Call
from licet.api.contract import Listing, Paging, Reply, operation
from licet.services import keys as use
from licet.services.keys import CreateKey, NewKey, RotateKey
from licet.services.rows import KeyKind, KeyRow, Scope

TAG: Final = "Keys"
KEY: Final = {
    "id": "k5cqv3zt6yb2m4na",
    "workspace": "live",
    "kind": "server",
    "name": "web app",
    "scopes": ["check"],
    "customer": None,
    "created_at": "2026-03-01T09:00:00Z",
    "expires_at": None,
    "revoked_at": None,
}
MADE: Final = {"key": KEY, "secret": "lct_live_k5cqv3zt6yb2m4na_h7s2q5w3e4r6t7y2u3i4o5p6a7s2d3f4"}
THE_KEY: Final = {"key": "k5cqv3zt6yb2m4na"}


class KeyView(Struct, frozen=True, kw_only=True):
    """An API key without its secret. Its times are real time."""

    id: str
    workspace: str
    kind: KeyKind
    name: str
    scopes: tuple[Scope, ...]
    customer: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key. ``secret`` is what `Authorization: Bearer` takes; null when the answer is a replay."""

    key: KeyView
    secret: str | None


@operation(
    "POST",
    "/v1/keys",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    status=201,
    example={"name": "web app", "scopes": ["check"]},
    answer=MADE,
    problems=("not_found",),
)
async def create_key(call: Call, body: CreateKey) -> Annotated[Reply, MadeKey]:
    """Create a key.

    The secret is in this answer and nowhere else: only its hash is kept, so a replay under the same idempotency key
    has null there. A key that names a customer sees that customer and nothing else.
    """
    return _made(await use.create_key(call.tx, body))


@operation("GET", "/v1/keys", tag=TAG, scopes=("admin",), answer={"items": [KEY], "next": None})
async def list_keys(call: Call, query: Paging) -> Listing[KeyView]:
    """List the workspace's keys by id, also those that have ended."""
    async with call.read() as view:
        rows = await use.list_keys(view, query.page)
    return query.listing([_view(row) for row in rows], lambda row: row.id)


@operation(
    "POST",
    "/v1/keys/{key}/rotate",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    status=201,
    example_path=THE_KEY,
    example={"overlap": "PT1H"},
    optional_body=True,
    answer=MADE,
    problems=("conflict",),
)
async def rotate_key(call: Call, key: str, body: RotateKey) -> Annotated[Reply, MadeKey]:
    """Replace a key by a new one with the same rights; the old one works on for the overlap."""
    return _made(await use.rotate_key(call.tx, key, body))


@operation(
    "POST",
    "/v1/keys/{key}/revoke",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    example_path=THE_KEY,
    answer=KEY | {"revoked_at": "2026-03-02T10:00:00Z"},
)
async def revoke_key(call: Call, key: str) -> KeyView:
    """Take a key back. It works nowhere any more within a second."""
    return _view(await use.revoke_key(call.tx, key))


def _made(made: NewKey) -> Reply:
    told = MadeKey(key=_view(made.key), secret=made.secret)
    return Reply(told, kept=structs.replace(told, secret=None))


def _view(row: KeyRow) -> KeyView:
    return KeyView(
        id=row.id,
        workspace=row.workspace,
        kind=row.kind,
        name=row.name,
        scopes=tuple(sorted(row.scopes)),
        customer=row.customer,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
