"""What is used most just now: by customer and feature, with what is left and what was refused."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from licet.core.catalog import Credits, Metered
from licet.core.instant import SECOND, to_datetime
from licet.core.usage import AccountKey
from licet.core.views import Number, wire_amount
from licet.services.ports import View
from licet.services.truth import Catalogs
from licet.services.usage_answers import boundless

MAX_SECONDS: Final = 3600
MAX_FACTS: Final = 100_000
"""The newest facts of a workspace that are looked at."""


class TopRow(Struct, frozen=True, kw_only=True):
    """One feature of one customer. Numbers of the balance are the customer's own, as last kept."""

    customer: str
    feature: str
    requests: int
    """Requests and events that were recorded."""
    quantity: Number
    """What they took from balances."""
    refused: int
    used: Number | None
    granted: Number | None
    remaining: Number | None
    unit: str | None


class Top(Struct, frozen=True, kw_only=True):
    """What was used most within the last seconds."""

    at: datetime
    seconds: int
    items: tuple[TopRow, ...]


async def top(view: View, customer: str | None, seconds: int, limit: int, catalogs: Catalogs) -> Top:
    """Return what was used, and what was refused, within the last seconds, the most requests first."""
    catalog = await catalogs.current(view)
    span = seconds * SECOND
    used = await view.used_most(customer, to_datetime(view.time.wall - span), limit, MAX_FACTS)
    refused = await view.refused_most(customer, to_datetime(view.time.business - span), limit)
    counts = {(one.customer, one.feature): (one.requests, one.quantity) for one in used}
    denied = {(one.customer, one.feature): one.refused for one in refused}
    places = sorted({*counts, *denied}, key=lambda one: (-counts.get(one, (0, 0))[0] - denied.get(one, 0), one))
    rows = []
    for place in places[:limit]:
        feature = catalog.features.get(place[1])
        scale = 0 if feature is None else feature.scale
        made = catalog.document.features.get(place[1])
        is_own = isinstance(made, Metered | Credits) and made.each == "customer"
        kept = await view.balance(AccountKey(*place)) if is_own else None
        requests, quantity = counts.get(place, (0, 0))
        rows.append(
            TopRow(
                customer=place[0],
                feature=place[1],
                requests=requests,
                quantity=wire_amount(quantity, scale),
                refused=denied.get(place, 0),
                used=None if kept is None else wire_amount(kept.used, scale),
                granted=None if kept is None else wire_amount(boundless(kept.granted, kept.granted), scale),
                remaining=None if kept is None else wire_amount(boundless(kept.remaining, kept.granted), scale),
                unit=None if feature is None or feature.unit is None else feature.unit.many,
            )
        )
    return Top(at=to_datetime(view.time.business), seconds=seconds, items=tuple(rows))
