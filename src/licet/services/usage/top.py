"""What is used most just now: by customer and feature, with what is left and what was refused."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from licet.core.catalog import Credits, Metered
from licet.core.compiled import CompiledCatalog
from licet.core.instant import SECOND, to_datetime
from licet.core.usage.account import BalanceNumbers
from licet.core.usage.facts import AccountKey
from licet.core.usage.metering import GAUGES
from licet.core.views import Number, wire_amount
from licet.services.errors import NotFound
from licet.services.ports import View
from licet.services.truth import Snapshots
from licet.services.usage.answers import boundless
from licet.services.usage.balances import Truth, folded, truth_of

MAX_SECONDS: Final = 3600
MAX_FACTS: Final = 100_000
"""The newest facts of a workspace that are looked at."""

MAX_COUNTED: Final = 100
"""Of so many rows the balances are told."""


class TopRow(Struct, frozen=True, kw_only=True):
    """One feature of one customer. Numbers of the balance (in the first 100 rows) are the customer's own as of now."""

    customer: str
    feature: str
    requests: int
    """Requests and events that were recorded."""
    quantity: Number | None
    """What they took from balances; None for a level, which nothing adds up to."""
    refused: int
    used: Number | None
    granted: Number | None
    remaining: Number | None
    unit: str | None


class Top(Struct, frozen=True, kw_only=True):
    """What was used most within the last seconds."""

    at: datetime
    seconds: int
    requests: int = 0
    """All requests and events: one that takes from several balances is in the row of each, and counts once here."""
    items: tuple[TopRow, ...]


async def top(view: View, customer: str | None, seconds: int, limit: int, snapshots: Snapshots) -> Top:
    """Return what was used, and what was refused, within the last seconds, the most requests first."""
    catalog = await snapshots.catalogs.current(view)
    span = seconds * SECOND
    used = await view.used_most(customer, to_datetime(view.time.wall - span), limit, MAX_FACTS)
    refused = await view.refused_most(customer, to_datetime(view.time.business - span), limit)
    counts = {(one.customer, one.feature): (one.requests, one.quantity) for one in used}
    denied = {(one.customer, one.feature): one.refused for one in refused}
    places = sorted({*counts, *denied}, key=lambda one: (-counts.get(one, (0, 0))[0] - denied.get(one, 0), one))
    standing = _Standing(view, snapshots)
    rows = []
    for number, place in enumerate(places[:limit]):
        requests, quantity = counts.get(place, (0, 0))
        counted = requests, quantity, denied.get(place, 0)
        rows.append(await _row(standing if number < MAX_COUNTED else None, catalog, place, counted))
    requests = used[0].total if used else 0
    return Top(at=to_datetime(view.time.business), seconds=seconds, requests=requests, items=tuple(rows))


class _Standing:
    """Balances as they stand now; what is known of a customer is read once."""

    def __init__(self, view: View, snapshots: Snapshots) -> None:
        self._view, self._snapshots = view, snapshots
        self._truths: dict[str, Truth | None] = {}

    async def of(self, key: AccountKey) -> BalanceNumbers | None:
        """Return the numbers of a balance; None for a customer that is not known any more."""
        if key.customer not in self._truths:
            try:
                self._truths[key.customer] = await truth_of(self._view, key.customer, self._snapshots)
            except NotFound:
                self._truths[key.customer] = None
        truth = self._truths[key.customer]
        return None if truth is None else (await folded(self._view, truth, key)).numbers


async def _row(
    standing: _Standing | None, catalog: CompiledCatalog, place: tuple[str, str], counted: tuple[int, int, int]
) -> TopRow:
    customer, name = place
    requests, quantity, refused = counted
    feature, made = catalog.features.get(name), catalog.document.features.get(name)
    scale = 0 if feature is None else feature.scale
    is_own = isinstance(made, Metered | Credits) and made.each == "customer"
    now = await standing.of(AccountKey(customer, name)) if is_own and standing is not None else None
    is_level = isinstance(made, Metered) and catalog.document.meters[made.meter].aggregate in GAUGES
    return TopRow(
        customer=customer,
        feature=name,
        requests=requests,
        quantity=None if is_level else wire_amount(quantity, scale),
        refused=refused,
        used=None if now is None else wire_amount(now.used, scale),
        granted=None if now is None else wire_amount(boundless(now.granted, now.granted), scale),
        remaining=None if now is None else wire_amount(boundless(now.remaining, now.granted), scale),
        unit=None if feature is None or feature.unit is None else feature.unit.many,
    )
