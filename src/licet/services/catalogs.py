"""The catalog as code: previewed, released on top of the revision it was made from, never changed afterwards."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, to_builtins

from licet.core.catalog import Catalog, decode_catalog, encode_catalog
from licet.core.catalog_diff import Change, diff_catalogs
from licet.core.instant import Instant
from licet.core.matrix import Audience, Matrix, feature_matrix
from licet.core.problem import Problem
from licet.services.errors import NotFound, StaleBase
from licet.services.ports import Tx, View
from licet.services.preview_guard import check_preview_of, consent_to_release
from licet.services.proposals import Proposed, compile_proposed, read_proposed
from licet.services.rows import CatalogRow, Draft, Page
from licet.wire.catalog_text import CatalogTextError, read_catalog, write_catalog


class CatalogPreview(Struct, frozen=True, kw_only=True):
    """What a release would do: nothing is written. ``problems`` empty means that it can be applied on ``base``."""

    base: int
    problems: tuple[Problem, ...]
    changes: tuple[Change, ...]


class CatalogApplied(Struct, frozen=True, kw_only=True):
    """A release. ``released`` is false where nothing differed; the revision is then the one there was."""

    revision: int
    hash: str
    changes: tuple[Change, ...]
    released: bool


class CatalogView(Struct, frozen=True, kw_only=True):
    """A released catalog."""

    revision: int
    hash: str
    released_at: datetime
    actor: str
    note: str
    doc: Catalog


class CatalogRevision(Struct, frozen=True, kw_only=True):
    """One line of the list of releases."""

    revision: int
    hash: str
    released_at: datetime
    actor: str
    note: str


async def preview_catalog(view: View, text: bytes, *, preview: str | None = None) -> CatalogPreview:
    """Say what is wrong with a catalog (YAML or JSON) and how it differs from the newest release.

    Raises PreviewStale where a ``preview`` on live customers is named by which it could not be released.
    """
    newest = await view.catalog()
    base, old = (0, None) if newest is None else (newest.revision, decode_catalog(newest.doc))
    try:
        new = read_catalog(text, released=old)
    except CatalogTextError as wrong:
        changes = () if wrong.catalog is None else diff_catalogs(old, wrong.catalog)
        return CatalogPreview(base=base, problems=wrong.problems, changes=changes)
    changes = diff_catalogs(old, new)
    if preview is not None and changes:
        await check_preview_of(view, Proposed(newest=newest, old=old, new=new, changes=changes), preview)
    return CatalogPreview(base=base, problems=(), changes=changes)


async def apply_catalog(
    tx: Tx, text: bytes, base: int, *, note: str = "", preview: str | None = None, max_losing: int = 0
) -> CatalogApplied:
    """Release a catalog on top of revision ``base`` (0 for the first); leaves ``catalog.released``.

    Nothing is written where nothing differs. What can move what customers have already needs a ``preview`` of exactly
    this, in which at most ``max_losing`` customers lose something. Raises StaleBase, CatalogInvalid with every problem,
    PreviewRequired, PreviewStale, or BlastRadius.
    """
    newest = await tx.catalog()
    revision = 0 if newest is None else newest.revision
    if base != revision:
        raise StaleBase(
            f"the catalog is at revision {revision}; this change was made on revision {base}",
            advice="preview it again on the newest revision, then apply",
            details={"base": base, "newest": revision},
        )
    proposed = read_proposed(text, newest)
    changes = proposed.changes
    if newest is not None and not changes:
        return CatalogApplied(revision=revision, hash=newest.hash, changes=(), released=False)
    compile_proposed(tx.workspace, proposed.new, revision + 1)
    consent = await consent_to_release(tx, proposed, preview, max_losing)
    made = await tx.put_catalog(encode_catalog(proposed.new), revision, note)
    row = await tx.catalog(made)
    if row is None:
        raise AssertionError("a release is seen by its own transaction")
    await tx.record(
        Draft(
            type="catalog.released",
            subject="catalog",
            before=None if newest is None else {"revision": newest.revision, "hash": newest.hash},
            after={
                "revision": made,
                "hash": row.hash,
                "changes": [one.sentence for one in changes],
                **({} if consent is None else {"preview": to_builtins(consent)}),
            },
            revision=made,
        )
    )
    return CatalogApplied(revision=made, hash=row.hash, changes=changes, released=True)


async def get_catalog(view: View, revision: int | None = None) -> CatalogView:
    """Return a release, by default the newest; raises NotFound."""
    row = await view.catalog(revision)
    if row is None:
        raise await _no_revision(view, revision)
    return CatalogView(
        revision=row.revision,
        hash=row.hash,
        released_at=row.released_at,
        actor=row.actor,
        note=row.note,
        doc=decode_catalog(row.doc),
    )


async def get_catalog_text(view: View, revision: int | None = None) -> str:
    """Return a release as YAML that applies to the same catalog; raises NotFound."""
    return write_catalog((await get_catalog(view, revision)).doc)


async def list_catalogs(view: View, page: Page) -> Sequence[CatalogRevision]:
    """List releases, newest first; ``page.after`` is the revision before which to go on."""
    return [_line(row) for row in await view.catalogs(page)]


async def get_matrix(view: View, at: Instant | None = None, audience: Audience = "customer") -> Matrix:
    """Return the feature matrix of what is sold at an instant (business now by default); raises NotFound."""
    catalog = await get_catalog(view)
    return feature_matrix(catalog.doc, view.time.business if at is None else at, audience)


async def _no_revision(view: View, revision: int | None) -> NotFound:
    """Return the error for a release that is not there: what there is instead, and what to do."""
    newest = await view.catalog_revision()
    if newest == 0:
        return NotFound(
            f"no catalog has been released in workspace {view.workspace.id}",
            advice="release one with: licet catalog apply catalog.yaml",
        )
    return NotFound(
        f"there is no catalog revision {revision}; the newest is {newest}",
        advice=f"ask for a revision from 1 to {newest}, or leave it out for the newest",
    )


def _line(row: CatalogRow) -> CatalogRevision:
    return CatalogRevision(
        revision=row.revision, hash=row.hash, released_at=row.released_at, actor=row.actor, note=row.note
    )
