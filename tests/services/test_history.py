"""Random lives of a subscription, told in random orders, always end in the same terms: the fold itself, no database."""

from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from random import Random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from licet.connectors.stripe import StripeConnector
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.orders import OrderDocument, PaymentNotice
from licet.core.placement import rank, record_payments
from licet.core.terms import Terms
from licet.services.history import PlacedOrder, fold_orders
from licet.testing.stripe import SignedDelivery, StripeStory
from licet.wire.catalog_text import read_catalog
from tests.services.desk import START
from tests.services.test_stripe_inbox import bare

MERIDIAN = (Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml").read_bytes()
CATALOG: Final[CompiledCatalog] = compile_catalog(read_catalog(MERIDIAN), 1, lambda _: UTC, UTC)

Act = Callable[[StripeStory], SignedDelivery]
ACTS: Final[dict[str, Act]] = {
    "upgrade": lambda told: told.upgrade("price_business_monthly"),
    "downgrade": lambda told: told.upgrade("price_team_monthly"),
    "seats": lambda told: told.change_quantity(told.now % 7 + 1),
    "boost": lambda told: told.add_item("price_api_boost_monthly"),
    "unboost": lambda told: told.remove_item("price_api_boost_monthly"),
    "remind": lambda told: told.trial_will_end(),
    "convert": lambda told: told.end_trial(),
    "lapse": lambda told: told.end_trial_without_payment_method(),
    "renew": lambda told: told.renew(),
    "fail": lambda told: told.fail_payment(),
    "tell": lambda told: told.updated(),
    "pay": lambda told: told.pay(),
    "stop collecting": lambda told: told.pause_collection(),
    "pause": lambda told: told.pause(),
    "resume": lambda told: told.resume(),
    "cancel": lambda told: told.cancel(),
    "uncancel": lambda told: told.uncancel(),
}


class World:
    """What one order of arrival leads to."""

    def __init__(self) -> None:
        self.terms = Terms(customer="acme")
        self.orders: list[PlacedOrder] = []

    def arrive(self, delivery: SignedDelivery) -> None:
        """Take a delivery as the use cases do: the same again is passed over, a late one is put in its place."""
        reading = StripeConnector().read(delivery.body, "stripe", {})
        if isinstance(reading, PaymentNotice):
            self.terms = record_payments(CATALOG, self.terms, reading, event=delivery.id).terms
        elif isinstance(reading, OrderDocument) and all(placed.order != reading for placed in self.orders):
            newest = PlacedOrder(reading, delivery.id)
            placement = fold_orders(
                CATALOG, self.terms, self.orders, newest, subscription_id="sub_1", zone="Europe/Berlin"
            )
            self.terms = placement.terms
            self.orders = sorted([*self.orders, newest], key=lambda placed: rank(placed.order))


def told_as(deliveries: list[SignedDelivery]) -> Terms:
    """The terms after these deliveries in this order."""
    world = World()
    for delivery in deliveries:
        world.arrive(delivery)
    return world.terms


@given(
    acts=st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 40)), max_size=9),
    trial=st.sampled_from([0, 14]),
    missing=st.sampled_from(["create_invoice", "pause", "cancel"]),
    ends=st.booleans(),
    luck=st.randoms(use_true_random=False),
)
def test_any_life_in_any_order_ends_in_the_same_terms(
    acts: list[tuple[str, int]], trial: int, missing: str, ends: bool, luck: Random
) -> None:
    """Events are shuffled and some come twice; terms, but for which event brought what, are those of the true order."""
    told = StripeStory("whsec_of_the_tests", START, customer="acme")
    deliveries = [told.subscribe("price_team_monthly", 3, trial_days=trial, missing_payment_method=missing)]  # type: ignore[arg-type]
    for act, days in acts:
        if trial or act not in ("remind", "convert", "lapse"):
            deliveries.append(ACTS[act](told.wait(days=days)))
    if ends:
        deliveries.append(told.delete())
    truth = told_as(deliveries)
    shuffled = deliveries + luck.sample(deliveries, len(deliveries) // 2)
    luck.shuffle(shuffled)
    assert bare(told_as(shuffled)) == bare(truth)
    assert told_as([*deliveries, *deliveries]) == truth
    assert structs.asdict(truth)["early_payments"] == ()
