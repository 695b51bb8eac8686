"""Rolling back a release over HTTP: the document to release, and what stays of the time since."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import AtLeast, operation
from licet.api.refusals import places_of
from licet.api.v1.catalog import SENT, TAG, Revision
from licet.core.catalog import Catalog
from licet.core.catalog_diff import Change
from licet.core.instant import to_instant
from licet.door.problems import Place
from licet.services import rollbacks as use

CHANGE: Final = {
    "path": "features.sso.title",
    "kind": "changed",
    "before": "SSO",
    "after": "Single sign-on",
    "sentence": 'The title of feature Single sign-on (sso) changes from "SSO" to "Single sign-on".',
    "effect": "none",
    "warning": "",
}


class RollbackQuery(AtLeast, frozen=True, kw_only=True):
    """Which revision is to be in force again."""

    to: Revision
    at: Annotated[datetime, Meta(tz=True)] | None = None
    """Until when versions released since are sold; business now where absent, and not before it."""
    preview: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """The preview by which it is going to be released: `at` may be as early as that one."""


class RollbackView(Struct, frozen=True, kw_only=True):
    """What to release on ``base`` so that what is live is as in revision ``to``; ``kept`` tells what stays.

    ``problems`` lists what of it could not be released as it stands; it is empty but for the rarest catalogs.
    """

    to: int
    base: int
    at: datetime
    kept: tuple[str, ...]
    changes: tuple[Change, ...]
    problems: tuple[Place, ...]
    doc: Catalog


@operation(
    "GET",
    "/v1/catalog/rollback",
    tag=TAG,
    scopes=("catalog:read", "catalog:write"),
    example_query={"to": "1"},
    answer={
        "to": 1,
        "base": 2,
        "at": "2026-04-10T09:00:00Z",
        "kept": ["team@2026-04, released since, stays for who has it; it is sold only until 2026-04-10T09:00:00Z."],
        "changes": [CHANGE],
        "problems": [],
        "doc": SENT,
    },
    problems=("not_found", "invalid"),
)
async def get_catalog_rollback(call: Call, query: RollbackQuery) -> RollbackView:
    """Compose the catalog that takes a release back. Writes nothing.

    Titles, modes, conditions, defaults, rates, rules between add-ons, bundles, policies and order mappings are as in
    revision `to`. What customers can hold stays: every version, feature and ladder released since is kept, and the
    versions are withdrawn from sale. Preview and release `doc` on `base` like any other catalog.
    """
    async with call.read() as view:
        at = None if query.at is None else to_instant(query.at)
        found = await use.rollback_catalog(view, query.to, at, preview=query.preview)
    return RollbackView(
        to=found.to,
        base=found.base,
        at=found.at,
        kept=found.kept,
        changes=found.changes,
        problems=places_of(found.problems),
        doc=found.doc,
    )
