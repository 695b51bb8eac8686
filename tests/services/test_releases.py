"""Random catalogs released between orders that arrive in random order: what was bought stays bought, no database."""

from datetime import UTC, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.placement import rank
from licet.core.terms import Subscription, Terms
from licet.services.history import PlacedOrder, base_zone, earlier_offers, fold_orders
from licet.wire.catalog_text import read_catalog
from tests.services.desk import START
from tests.services.test_history import MERIDIAN

BUSINESS: Final = b"    MER-BUS: {plan: business, quantity: editor}\n"
_BEGIN, _END = MERIDIAN.index(b"      2026-07:\n        description: More room"), MERIDIAN.index(b"  business:\n")
BACKDATED: Final = MERIDIAN[:_END] + MERIDIAN[_BEGIN:_END].replace(b"2026-07", b"2026-12") + MERIDIAN[_END:]
CATALOGS: Final = [
    compile_catalog(read_catalog(text), revision, ZoneInfo, UTC)
    for revision, text in enumerate(
        (
            MERIDIAN,
            MERIDIAN.replace(BUSINESS, b""),
            MERIDIAN.replace(BUSINESS, BUSINESS.replace(b"business", b"enterprise")),
            BACKDATED,
        )
    )
]
PRICES: Final = ("MER-TEAM", "MER-BUS")
Arrival = tuple[int, str, int, str]


def bought(place: int, price: str) -> OrderDocument:
    """An order whose quantity tells which one it is."""
    return OrderDocument(
        source="crm",
        external_id="deal-1",
        customer=CustomerReferences(id="acme"),
        occurred_at=START + timedelta(days=place),
        lines=(OrderLine(price=price, quantity=place + 1),),
    )


def take(terms: Terms, orders: list[PlacedOrder], order: OrderDocument, catalog: CompiledCatalog, zone: str) -> Terms:
    """Take one order as the use case does, and add it to ``orders`` as the log would."""
    pinned = base_zone(orders, zone)
    sellers = {name: CATALOGS[revision] for name, revision in earlier_offers(orders, order).items()}
    placement = fold_orders(
        catalog, terms, orders, PlacedOrder(order, ""), subscription_id="sub_1", zone=pinned, sellers=sellers
    )
    orders.append(PlacedOrder(order, "", placement.outcome == "refused", placement.items, pinned))
    orders.sort(key=lambda placed: rank(placed.order))
    return placement.terms


def contents(subscription: Subscription) -> dict[int, tuple[str, str]]:
    """By quantity, which plan and version every order brought."""
    return {phase.items[0].quantity: (phase.items[0].id, phase.items[0].version) for phase in subscription.phases}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from(PRICES),
            st.integers(0, len(CATALOGS) - 1),
            st.sampled_from(["Europe/Berlin", "Asia/Tokyo"]),
        ),
        min_size=1,
        max_size=7,
        unique_by=lambda one: one[0],
    )
)
def test_what_was_bought_stays_bought(arrivals: list[Arrival]) -> None:
    """No release, and no move of the customer, changes the plan, quantity or zone of an order that counts; none that
    was refused ever counts; and versions are only ever those that were on sale when an order arrived."""
    terms, orders = Terms(customer="acme"), list[PlacedOrder]()
    for place, price, release, zone in arrivals:
        had = contents(terms.subscriptions[0]) if terms.subscriptions else {}
        zones = {one.zone for one in terms.subscriptions}
        terms = take(terms, orders, bought(place, price), CATALOGS[release], zone)
        has = contents(terms.subscriptions[0]) if terms.subscriptions else {}
        assert {quantity: has[quantity][0] for quantity in had} == {quantity: had[quantity][0] for quantity in had}
        assert set(has) == {placed.order.lines[0].quantity for placed in orders if not placed.refused}
        assert zones <= {one.zone for one in terms.subscriptions}
        offered = {(item.id, item.sold) for placed in orders if not placed.refused for item in placed.items or ()}
        assert set(has.values()) <= offered
