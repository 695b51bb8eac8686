"""Compiled truths kept between transactions: catalogs and snapshots, which never change once made."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from licet.core.catalog import decode_catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.derive import Memo
from licet.core.snapshot import Snapshot
from licet.services.errors import NoCatalog, NotFound
from licet.services.ports import View
from licet.services.rows import TermsRow

MAX_CATALOGS: Final = 64
MAX_SNAPSHOTS: Final = 20_000
MAX_RELEASES: Final = 5_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most ``size`` values, the least recently used dropped first. For one event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value kept under a key, None if there is none."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def pop(self, key: K) -> V | None:
        """Take a value out and return it, None if there is none."""
        return self._kept.pop(key, None)

    def put(self, key: K, value: V) -> V:
        """Keep a value and return it."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value


class Catalogs:
    """Compiled catalogs by workspace and revision; a released revision is immutable, so none ever gets stale."""

    def __init__(self, size: int = MAX_CATALOGS) -> None:
        self._kept: Recent[tuple[str, str, int], CompiledCatalog] = Recent(size)

    async def current(self, view: View) -> CompiledCatalog:
        """Return the newest catalog; raises NoCatalog before the first release."""
        revision = await view.catalog_revision()
        if revision == 0:
            raise NoCatalog(view.workspace.id)
        return await self.at(view, revision)

    async def at(self, view: View, revision: int) -> CompiledCatalog:
        """Return a catalog revision; raises NotFound."""
        key = (view.workspace.id, view.workspace.zone, revision)
        found = self._kept.get(key)
        if found is not None:
            return found
        row = await view.catalog(revision)
        if row is None:
            raise NotFound(f"there is no catalog revision {revision}", advice="list them: GET /v1/catalog/revisions")
        return self._kept.put(
            key, compile_catalog(decode_catalog(row.doc), row.revision, ZoneInfo, ZoneInfo(view.workspace.zone))
        )


class Snapshots:
    """What customers have, ready to be asked, by the revisions of terms and catalog that it rests on."""

    def __init__(self, catalogs: Catalogs, size: int = MAX_SNAPSHOTS) -> None:
        self.catalogs = catalogs
        self.releases: Recent[tuple[str, str], str] = Recent(MAX_RELEASES)
        """What is known of releases for ever: by ``plan/team/2026-01`` the first revision that has it, by ``@3`` the
        event that released a revision.
        """
        self._kept: Recent[tuple[str, str, int, int], Snapshot] = Recent(size)
        self._memos: Recent[tuple[str, str, int], Memo] = Recent(MAX_CATALOGS)

    def of(self, view: View, catalog: CompiledCatalog, terms: TermsRow) -> Snapshot:
        """Return the snapshot of a customer under a catalog."""
        key = (view.workspace.id, terms.terms.customer, terms.revision, catalog.revision)
        found = self._kept.get(key)
        if found is not None and found.catalog is catalog:
            return found
        return self._kept.put(key, Snapshot(catalog, terms.terms, self._memo(view, catalog)))

    def _memo(self, view: View, catalog: CompiledCatalog) -> Memo:
        """Return what derivation remembers for a catalog."""
        key = (view.workspace.id, view.workspace.zone, catalog.revision)
        known = self._memos.get(key)
        # A catalog that was dropped and compiled again is another object, and a memo holds parts of its own.
        return known if known is not None and known.catalog is catalog else self._memos.put(key, Memo(catalog))
