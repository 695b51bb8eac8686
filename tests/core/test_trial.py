"""What is bought after a trial fell, by the orders that follow it in any order of their arrival."""

from itertools import permutations
from typing import Any

import pytest

from licet.core.derive import derive
from licet.core.orders import OrderDocument, Placement
from licet.core.terms import Terms
from licet.services.history import PlacedOrder, fold_orders
from tests.core.test_placement import EMPTY, kinds, only, order, place
from tests.core.worlds import COMPILED, at, day
from tests.services.arrivals import step

TRIAL: dict[str, Any] = {"trial_start": day(1)}
SEATS: dict[str, Any] = {"price": "price_team", "quantity": 5, "line": "li_1"}


def held(terms: Terms, when: float) -> tuple[str, dict[str, int]]:
    """How the subscription stands on a day and what it gives then."""
    (one,) = derive(COMPILED, terms, at(when)).held
    return one.standing.kind, {f"{item.id}@{item.version}": item.quantity for item in one.segment.state.items}


def arrived(orders: list[OrderDocument]) -> Terms:
    """The terms after orders that arrived in this sequence, as the service places them."""
    terms, placed = EMPTY, list[PlacedOrder]()
    for number, one in enumerate(orders):
        before = sorted(placed, key=lambda known: known.order.occurred_at)
        newest = PlacedOrder(one, f"evt_{number}")
        found: Placement = fold_orders(COMPILED, terms, before, newest, subscription_id="sub_1", zone="UTC")
        terms = found.terms
        placed.append(PlacedOrder(one, newest.event, found.outcome == "refused", found.items))
    return terms


FALLEN: list[tuple[str, OrderDocument, dict[str, int]]] = [
    ("resent", order(20, SEATS, **TRIAL), {"free@2026-01": 1}),
    ("more seats", order(20, SEATS | {"quantity": 9}, **TRIAL), {"free@2026-01": 1}),
    ("an add-on", order(20, SEATS, {"addon": "boost"}, **TRIAL), {"boost@1": 1, "free@2026-01": 1}),
    ("another plan", order(20, {"plan": "business"}, **TRIAL), {"business@2026-01": 1}),
    ("no trial", order(20, SEATS), {"team@2026-01": 5}),
    ("no trial, more seats", order(20, SEATS | {"quantity": 9}), {"team@2026-01": 9}),
    ("bought as it is", order(20, SEATS, trial_start=day(1), trial_end_behavior="convert"), {"team@2026-01": 5}),
]


@pytest.mark.parametrize(("newer", "gives"), [case[1:] for case in FALLEN], ids=[case[0] for case in FALLEN])
def test_an_order_after_the_fall_converts_only_if_it_says_so(newer: OrderDocument, gives: dict[str, int]) -> None:
    """Telling the trial still, the tried plan stays fallen whatever its quantity; another plan, or no trial, is bought.

    Until the order counts, it was Free, and on trial before, whichever order arrived first; twice changes nothing.
    """
    orders = [order(1, SEATS, **TRIAL), order(3, SEATS, **TRIAL), newer]
    for arrival in permutations(orders):
        terms = arrived(list(arrival))
        assert held(terms, 21) == ("active", gives)
        assert held(terms, 10) == ("trialing", {"team@2026-01": 5})
        if newer.trial_end_behavior is None:
            assert held(terms, 16) == ("active", {"free@2026-01": 1})
    known = arrived(orders)
    assert arrived([*orders, newer]) == known


def test_an_addon_on_what_a_trial_fell_to_is_told_if_it_breaks_a_rule() -> None:
    """The add-on that requires Team becomes a finding where only Free is left to carry it."""
    begun = place(EMPTY, order(1, SEATS, **TRIAL))
    assert kinds(place(begun.terms, order(20, SEATS, {"addon": "boost"}, **TRIAL))) == ["combination"]


def test_what_was_bought_after_the_fall_stays_bought() -> None:
    """Once a plan was bought, orders that tell the trial again change its quantity as any other."""
    terms = arrived([order(1, SEATS, **TRIAL), order(20, SEATS), order(25, SEATS | {"quantity": 7}, **TRIAL)])
    assert [held(terms, when)[1] for when in (16, 21, 26)] == [
        {"free@2026-01": 1},
        {"team@2026-01": 5},
        {"team@2026-01": 7},
    ]


def test_an_order_that_ends_what_fell_ends_it_as_it_was() -> None:
    """A cancellation without lines buys nothing, whether it tells the trial or not."""
    for told in (TRIAL, {}):
        begun = place(EMPTY, order(1, SEATS, **TRIAL))
        ended = place(begun.terms, _ending(told))
        assert held(ended.terms, 16) == ("active", {"free@2026-01": 1})
        assert held(ended.terms, 21) == ("ended", {"free@2026-01": 1})


def _ending(told: dict[str, Any]) -> OrderDocument:
    """An order of the twentieth day that ends the subscription then and names nothing."""
    ending = order(20, ends_at=day(20), **told)
    return OrderDocument(
        source=ending.source,
        external_id=ending.external_id,
        customer=ending.customer,
        occurred_at=ending.occurred_at,
        lines=(),
        ends_at=ending.ends_at,
        trial_start=ending.trial_start,
    )


@pytest.mark.parametrize("begins", [15.0, 18.0])
def test_a_step_after_the_trial_is_bought_even_if_it_is_what_was_tried(begins: float) -> None:
    """A ramp may name the tried plan again from the trial's end on: from then it is paid, in the version tried."""
    placed = place(EMPTY, order(1, SEATS, scheduled=[step(begins, SEATS)], **TRIAL))
    assert held(placed.terms, begins) == ("active", {"team@2026-01": 5})
    again = place(placed.terms, order(20, SEATS, **TRIAL))
    assert held(again.terms, 21) == ("active", {"team@2026-01": 5})


def test_a_trial_that_is_over_stays_what_it_was() -> None:
    """A larger plan with no word about trials of its own, bought later, does not reach back into the trial."""
    begun = place(EMPTY, order(1, SEATS, **TRIAL))
    bought = place(begun.terms, order(20, {"plan": "business"}, **TRIAL))
    assert (only(bought).trial_end, only(bought).trial_end_behavior) == (day(15), "fall")
    assert kinds(bought) == []
