"""Quota leases as they are shown: who owns which slice of what, what is known of it, and what is charged for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.instant import to_datetime
from licet.core.views import Number, wire_amount
from licet.hub.lease import Lease, State
from licet.services.errors import NotFound
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.truth import Catalogs
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.lease_ports import LeaseFilter

_DIGITS: Final = frozenset("0123456789abcdef")


class LeaseView(Struct, frozen=True, kw_only=True):
    """A quota lease, as it stands. Quantities in major units of the feature; its instants are real time."""

    id: str
    customer: str
    feature: str
    state: State
    """``settled`` by its owner's last word; ``escheated``: charged in full without one; ``proven``: it came later."""
    amount: Number
    """What was issued."""
    used: Number
    """What its owner has told of so far."""
    lost: Number
    """What may have been used besides, known to nobody since its owner crashed."""
    outstanding: Number
    """What its owner may still use, as far as is known here."""
    charged: Number
    """What is not there for others because of it."""
    written_off: Number
    """What is charged and was not told of as used: no use, and never billed as such."""
    unit: str | None
    owner: str
    """The evaluator: another one after each start of its process."""
    epoch: int
    issued_at: datetime
    until: datetime
    """From when it is charged in full, unless its owner has had the last word."""
    recalled: bool
    """Whether its owner was asked to close it."""
    use: str
    """``use_…``: the fact by which it was taken from its balances, as statements and exports name it."""


async def get_lease(view: View, lease: str, catalogs: Catalogs, *, customer: str | None = None) -> LeaseView:
    """Return a lease; raises NotFound, also for one of another than ``customer`` where that is given, and NoCatalog."""
    row = await view.lease(lease) if len(lease) == 32 and set(lease) <= _DIGITS else None
    if row is None or customer not in (None, row.lease.customer):
        raise NotFound(
            f"there is no quota lease {lease!r}",
            advice="check the id: 32 hexadecimal digits; settled ones are kept for 35 days",
        )
    return lease_view(row.lease, await catalogs.current(view))


async def list_leases(view: View, only: LeaseFilter, page: Page, catalogs: Catalogs) -> Sequence[LeaseView]:
    """List leases by id; ``after`` of the page is an id. Raises NoCatalog."""
    catalog = await catalogs.current(view)
    return [lease_view(row.lease, catalog) for row in await view.leases(only, page)]


def lease_view(lease: Lease, catalog: CompiledCatalog) -> LeaseView:
    """Return a lease as it is shown; of a feature that the catalog no longer has, in minor units."""
    feature = catalog.features.get(lease.feature)
    scale = 0 if feature is None else feature.scale

    def units(minor: int) -> Number:
        return wire_amount(minor, scale)

    return LeaseView(
        id=lease.id,
        customer=lease.customer,
        feature=lease.feature,
        state=lease.state,
        amount=units(lease.amount),
        used=units(lease.used),
        lost=units(lease.lost),
        outstanding=units(lease.outstanding),
        charged=units(lease.charged),
        written_off=units(lease.written_off),
        unit=None if feature is None or feature.unit is None else feature.unit.many,
        owner=lease.owner,
        epoch=lease.epoch,
        issued_at=to_datetime(lease.issued),
        until=to_datetime(lease.until),
        recalled=lease.recalled,
        use=f"use_{lease_fact_id(lease.id)}",
    )


__all__ = ["LeaseView", "get_lease", "lease_view", "list_leases"]
