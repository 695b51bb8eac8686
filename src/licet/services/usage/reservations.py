"""Reservations, as they stand: open, settled, or released, if only by having reached their end."""

from typing import Final

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.instant import FOREVER, Instant, to_datetime
from licet.core.usage.facts import Reservation
from licet.core.views import wire_amount
from licet.services.customers import unknown_customer
from licet.services.errors import NotFound
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.truth import Snapshots
from licet.services.usage.balance_views import DrawView, ReservationView

_DIGITS: Final = frozenset("0123456789abcdef")


async def get_reservation(
    view: View, reservation: str, snapshots: Snapshots, *, customer: str | None = None
) -> ReservationView:
    """Return a reservation; raises NotFound, also for one of another than ``customer`` where that is given."""
    bare = reservation.removeprefix("res_")
    known = len(bare) == 32 and set(bare) <= _DIGITS
    found = await view.reservation(bare) if known else None
    if found is None or found.fact.kind == "lease" or customer not in (None, found.fact.customer):
        raise unknown_reservation(reservation)
    catalog = await snapshots.catalogs.current(view)
    return reservation_view(found, catalog, view.time.business)


async def list_reservations(view: View, customer: str, snapshots: Snapshots, page: Page) -> list[ReservationView]:
    """List a customer's open reservations, by id; one that ended by itself is none, noted or not.

    A page goes on after an id as it is shown. Raises NotFound for a customer that is not there.
    """
    if await view.terms(customer) is None:
        raise unknown_customer(customer)
    catalog = await snapshots.catalogs.current(view)
    now = view.time.business
    bare = structs.replace(page, after=page.after.removeprefix("res_"))
    return [reservation_view(one, catalog, now) for one in await view.open_reservations(customer, bare, beyond=now)]


def unknown_reservation(reservation: str) -> NotFound:
    """Return the error for a reservation that is not there."""
    return NotFound(f"there is no reservation {reservation!r}", advice="check the id that reserve answered with")


def reservation_view(found: Reservation, catalog: CompiledCatalog, now: Instant) -> ReservationView:
    """Return a reservation as it is shown; one that ended by itself is released, whether or not anybody noted it."""
    fact = found.fact
    until = FOREVER if fact.until is None else fact.until
    scales = {name: made.scale for name, made in catalog.features.items()}
    return ReservationView(
        id=f"res_{fact.id}",
        customer=fact.customer,
        reserved_at=to_datetime(fact.effective),
        expires_at=to_datetime(until),
        state=found.closed or ("released" if until <= now else "open"),
        user=fact.user,
        team=fact.team,
        quantities={name: wire_amount(part, scales.get(name, 0)) for name, part in fact.asked.items()},
        draws={
            name: tuple(DrawView(grant=one.grant, amount=wire_amount(one.amount, scales.get(name, 0))) for one in drawn)
            for name, drawn in found.draws.items()
        },
    )
