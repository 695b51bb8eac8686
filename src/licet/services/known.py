"""Names in filters: one that nothing bears is refused with the nearest one, for an empty answer would look like a yes.

Nothing that was released leaves a catalog, and no customer is deleted: what has a name today is all that ever had one.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from licet.core.instant import format_instant, to_instant
from licet.core.spelling import nearest
from licet.services.customers import unknown_customer
from licet.services.errors import Invalid, NotFound
from licet.services.ports import View
from licet.services.rows import CheckFilter, Page

_NEAR: Final = 500
"""Customers that are looked through on either side for one that was meant."""


def check_feature(feature: str | None, known: Collection[str], *, near: bool = True) -> None:
    """Raise Invalid for a feature that is none of the known ones; names the nearest of these unless told not to."""
    if feature is None or feature in known:
        return
    words, meant = f"the catalog has no feature {feature!r}", nearest(feature, known) if near else None
    problem = {"path": "feature", "message": words} | ({"suggestion": meant} if meant else {})
    advice = f"did you mean {meant}?" if meant else "check the spelling; ids are case-sensitive"
    raise Invalid(f"feature: {words}", advice=advice, details={"problems": [problem]})


async def check_asked(view: View, customer: str | None) -> None:
    """Raise NotFound for a customer that neither exists nor stands in a check on record; for views of the vendor only.

    The nearest id is named, which a key of one customer must not learn.
    """
    if customer is None or await view.customer(customer) is not None:
        return
    if not await view.count_check_records(CheckFilter(customer=customer)):
        raise await near_customer(view, customer)


async def near_customer(view: View, customer: str) -> NotFound:
    """Return the error for a customer that is not there, with the nearest id among those beside it in the list."""
    rows = await view.customers(Page(limit=_NEAR))
    if len(rows) == _NEAR:
        beside = await view.customers(Page(after=customer[: len(customer) // 2], limit=_NEAR))
        rows = [*rows, *beside]
    error = unknown_customer(customer)
    meant = nearest(customer, (row.id for row in rows), surely=True)
    if meant is not None:
        error.advice = f"did you mean {meant}? ids are case-sensitive"
    return error


def check_period(since: datetime | None, until: datetime | None, path: str = "from") -> None:
    """Raise Invalid for a period that ends before it begins; ``path`` names its beginning."""
    if since is None or until is None or since <= until:
        return
    begin, end = (format_instant(to_instant(one)) for one in (since, until))
    words = f"{begin} comes after the end, {end}"
    raise Invalid(
        f"{path}: {words}",
        advice="choose an earlier beginning, or a later end",
        details={"problems": [{"path": path, "message": words}]},
    )
