"""Released catalogs: one append-only document per revision."""

import hashlib
from collections.abc import Sequence
from typing import Final

import asyncpg

from licet.core.instant import to_datetime
from licet.services.errors import Conflict
from licet.services.rows import CatalogRow, Page
from licet.store.session import Reading, Writing, as_struct, limit_of, number_after

_COLUMNS: Final = "revision, doc, hash, released_at, actor, note, seq"
NEWEST: Final = f"SELECT {_COLUMNS} FROM catalog WHERE workspace_id = $1 ORDER BY revision DESC LIMIT 1"
ONE: Final = f"SELECT {_COLUMNS} FROM catalog WHERE workspace_id = $1 AND revision = $2"
LIST: Final = (
    f"SELECT {_COLUMNS} FROM catalog WHERE workspace_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3"
)
NEWEST_REVISION: Final = "SELECT coalesce(max(revision), 0) AS revision FROM catalog WHERE workspace_id = $1"
LOCK: Final = "SELECT 1 FROM workspace WHERE workspace_id = $1 FOR NO KEY UPDATE"


class CatalogReads(Reading):
    """Reading releases. A release of this transaction is seen by it, though not yet written."""

    async def catalog(self, revision: int | None = None) -> CatalogRow | None:
        """Return a released catalog, by default the newest."""
        new = self._new_catalog
        if new is not None and revision in (None, new.revision):
            return new
        row = await (self._row(NEWEST) if revision is None else self._row(ONE, revision))
        return None if row is None else catalog_of(row)

    async def catalog_revision(self) -> int:
        """Return the newest catalog revision (0 before the first release)."""
        if self._new_catalog is not None:
            return self._new_catalog.revision
        row = await self._row(NEWEST_REVISION)
        return 0 if row is None else int(row["revision"])

    async def catalogs(self, page: Page) -> Sequence[CatalogRow]:
        """List committed releases, newest first; ``after`` is the revision before which to go on."""
        rows = await self._rows(LIST, number_after(page, 2**62), limit_of(page))
        return [catalog_of(row) for row in rows]


class CatalogWrites(CatalogReads, Writing):
    """Releasing."""

    async def put_catalog(self, doc: bytes, base_revision: int, note: str) -> int:
        """Release a catalog on top of ``base_revision``; raises Conflict if that is not the newest."""
        if self._new_catalog is not None:
            raise Conflict("this transaction has released already", advice="release once for each transaction")
        self._write("catalog")
        await self._row(LOCK)
        newest = await self.catalog_revision()
        if newest != base_revision:
            raise Conflict(
                f"the catalog is at revision {newest}, not at {base_revision} any more",
                advice="look at the difference to the newest revision, then release on top of it",
                details={"newest": newest, "base": base_revision},
            )
        self._new_catalog = CatalogRow(
            revision=newest + 1,
            doc=doc,
            hash=hashlib.sha256(doc).hexdigest(),
            released_at=to_datetime(self.time.business),
            actor=self.actor.id,
            note=note,
        )
        return newest + 1


def catalog_of(row: asyncpg.Record) -> CatalogRow:
    """Return a row with a catalog's columns as a struct."""
    return as_struct(row, CatalogRow, doc=row["doc"].encode())
