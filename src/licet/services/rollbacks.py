"""Rolling back a release: the document is composed here and released like any other, so that nothing goes round it."""

from datetime import datetime

from msgspec import Struct

from licet.core.catalog import Catalog
from licet.core.catalog_check import check_catalog
from licet.core.catalog_diff import Change, diff_catalogs
from licet.core.catalog_release import with_release
from licet.core.instant import SECOND, Instant, to_datetime
from licet.core.problem import Problem
from licet.core.rollback import compose_rollback
from licet.services.catalogs import get_catalog
from licet.services.ports import View


class CatalogRollback(Struct, frozen=True, kw_only=True):
    """What to release on top of ``base`` so that revision ``to`` is in force again. Nothing is written."""

    to: int
    base: int
    at: datetime
    """Until when versions released since are sold."""
    kept: tuple[str, ...]
    """What stays of the time since, in sentences."""
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    """What of it could not be released as it stands; empty but for the rarest catalogs."""
    doc: Catalog


async def rollback_catalog(view: View, to: int, at: Instant | None = None) -> CatalogRollback:
    """Compose the catalog that takes what is live back to revision ``to``; raises NotFound for one that is not there.

    Versions released since are sold until ``at``; by default business now, in whole seconds.
    """
    target, newest = await get_catalog(view, to), await get_catalog(view)
    ends = view.time.business // SECOND * SECOND if at is None else at
    made = compose_rollback(target.doc, newest.doc, ends)
    return CatalogRollback(
        to=target.revision,
        base=newest.revision,
        at=to_datetime(ends),
        kept=made.kept,
        changes=diff_catalogs(newest.doc, made.catalog),
        problems=tuple(with_release(newest.doc, made.catalog, check_catalog(made.catalog))),
        doc=made.catalog,
    )
