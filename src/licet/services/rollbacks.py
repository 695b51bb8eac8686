"""Rolling back a release: the document is composed here and released like any other, so that nothing goes round it."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from licet.core.catalog import Catalog
from licet.core.catalog_check import check_catalog
from licet.core.catalog_diff import Change, diff_catalogs
from licet.core.catalog_release import with_release
from licet.core.instant import SECOND, Instant, format_instant, to_datetime, to_instant
from licet.core.problem import Problem
from licet.core.rollback import compose_rollback
from licet.services.catalogs import get_catalog
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.preview_guard import MAX_AGE

GRACE: Final = 60 * SECOND
"""How long an instant that was now may be named again."""


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


async def rollback_catalog(
    view: View, to: int, at: Instant | None = None, *, preview: str | None = None
) -> CatalogRollback:
    """Compose the catalog that takes what is live back to revision ``to``; raises NotFound for one that is not there.

    Versions released since are sold until ``at``; by default business now, in whole seconds. Raises Invalid for an
    earlier one, by which sales that were right would have been wrong; as early as a ``preview`` is that preview's own.
    """
    target, newest = await get_catalog(view, to), await get_catalog(view)
    ends = view.time.business // SECOND * SECOND if at is None else at
    if ends < await _earliest(view, preview):
        raise invalid(
            "at",
            f"{format_instant(ends)} has passed; it is {format_instant(view.time.business)}",
            "what was sold since then was on sale; leave at out to withdraw it from now on, or name a later instant",
        )
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


async def _earliest(view: View, preview: str | None) -> Instant:
    """Until when versions may be sold at the earliest: until now, as it was when the preview to release by was made."""
    now = view.time.business
    row = None if preview is None else await view.preview(preview)
    if row is not None and timedelta() <= to_datetime(now) - row.at <= MAX_AGE:
        return to_instant(row.at) - GRACE
    return now - GRACE
