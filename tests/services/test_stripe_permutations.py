"""Every order of arrival of consistent Stripe histories: the same terms, or a finding where the truth cannot be known.

Mostly without a database: deliveries are read by the connector and folded as the services fold them. A sample on the
real database shows that both end in the same terms.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from licet.connectors.stripe import StripeConnector
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.orders import OrderDocument, PaymentNotice, Placement
from licet.core.placement import record_payments
from licet.core.terms import Terms
from licet.services.history import PlacedOrder, fold_orders
from licet.services.inbound import Reading
from licet.services.normal import normal
from licet.services.rows import FindingFilter, Page
from licet.testing.stripe import SignedDelivery
from licet.wire.catalog_text import read_catalog
from tests.dose import DOSE
from tests.services.desk import START, Desk, story
from tests.services.test_stripe_inbox import bare

LENGTH: Final = 6 if DOSE == "full" else 5
"""How many deliveries of each history are permuted."""
CONNECTOR: Final = StripeConnector()


class State(NamedTuple):
    """What has arrived so far and what follows from it."""

    terms: Terms = Terms(customer="acme")
    orders: tuple[PlacedOrder, ...] = ()
    waiting: tuple[PaymentNotice, ...] = ()
    findings: frozenset[tuple[str, str]] = frozenset()


@cache
def catalog() -> CompiledCatalog:
    """The example vendor's catalog."""
    text = (Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml").read_bytes()
    return compile_catalog(read_catalog(text), 1, ZoneInfo, ZoneInfo("UTC"))


def arrive(state: State, number: int, reading: Reading) -> State:
    """What is true after one more delivery, as the inbox and the use cases make it.

    That one event comes twice under one id is not looked at: each time is taken for an event of its own.
    """
    if isinstance(reading, PaymentNotice):
        notice = normal(reading)
        if not state.terms.subscriptions:
            return state._replace(waiting=(*state.waiting, notice))
        return _kept(state, record_payments(catalog(), state.terms, notice))
    if not isinstance(reading, OrderDocument):
        return state
    placed = PlacedOrder(normal(reading), f"evt_{number}")
    if any(one.order == placed.order for one in state.orders):
        return state
    known = sorted(state.orders, key=lambda one: (one.order.occurred_at, one.order.sequence or 0))
    placement = fold_orders(catalog(), state.terms, known, placed, subscription_id="sub_1", zone="UTC")
    waiting = state.waiting
    state = _kept(state, placement)._replace(orders=(*state.orders, placed), waiting=())
    for notice in waiting:
        state = _kept(state, record_payments(catalog(), state.terms, notice))
    return state


def _kept(state: State, placement: Placement) -> State:
    """The state with the terms and findings of a placement."""
    told = frozenset((finding.kind, finding.subject) for finding in placement.findings)
    return state._replace(terms=placement.terms, findings=state.findings | told)


def trial_converting() -> list[SignedDelivery]:
    """A trial that is announced to end, converts and is paid; then more seats."""
    told = story()
    return [
        told.subscribe("price_team_monthly", 3, trial_days=14),
        told.trial_will_end(),
        told.end_trial(),
        told.pay(),
        told.wait(days=9).change_quantity(5),
        told.renew(),
    ]


def upgraded() -> list[SignedDelivery]:
    """Bought and paid, upgraded, an add-on beside it, fewer seats, the next period."""
    told = story()
    return [
        told.subscribe("price_team_monthly", 3),
        told.pay(),
        told.wait(days=5).upgrade("price_business_monthly", 4),
        told.add_item("price_api_boost_monthly"),
        told.wait(days=2).change_quantity(2),
        told.renew(),
    ]


def failed_then_paid() -> list[SignedDelivery]:
    """A payment fails, the status says so, it is paid, the status says so."""
    told = story()
    return [
        told.subscribe("price_team_monthly", 2),
        told.wait(days=31).fail_payment(),
        told.updated(),
        told.wait(days=8).pay(),
        told.updated(),
        told.wait(days=1).upgrade("price_business_monthly"),
    ]


def canceled_at_period_end() -> list[SignedDelivery]:
    """More seats, then an end is planned, taken back, planned again, and reached."""
    told = story()
    return [
        told.subscribe("price_team_monthly", 2),
        told.wait(days=3).change_quantity(7),
        told.wait(days=2).cancel(),
        told.uncancel(),
        told.cancel(),
        told.delete(),
    ]


def paused_and_resumed() -> list[SignedDelivery]:
    """Paid, paused, resumed, upgraded, paused again."""
    told = story()
    return [
        told.subscribe("price_team_monthly", 2),
        told.pay(),
        told.wait(days=4).pause(),
        told.wait(days=4).resume(),
        told.wait(days=4).upgrade("price_business_monthly"),
        told.wait(days=4).pause(),
    ]


def trial_into_pause() -> list[SignedDelivery]:
    """A trial without a payment method ends paused, is resumed, paid and canceled."""
    told = story()
    return [
        told.subscribe("price_team_monthly", 2, trial_days=7, missing_payment_method="pause"),
        told.trial_will_end(),
        told.end_trial_without_payment_method(),
        told.wait(days=3).resume(),
        told.pay(),
        told.wait(days=3).cancel(at_period_end=False),
    ]


STORIES: Final[dict[str, Callable[[], list[SignedDelivery]]]] = {
    "trial_converting": trial_converting,
    "upgraded": upgraded,
    "failed_then_paid": failed_then_paid,
    "canceled_at_period_end": canceled_at_period_end,
    "paused_and_resumed": paused_and_resumed,
    "trial_into_pause": trial_into_pause,
}


def dated(delivery: SignedDelivery, created: int) -> SignedDelivery:
    """The same delivery as if its event had been created at another second."""
    body = json.dumps({**json.loads(delivery.body), "created": created}).encode()
    return structs.replace(delivery, body=body, created=created)


def ties(history: Sequence[SignedDelivery]) -> Iterator[list[SignedDelivery]]:
    """The history with every choice of neighbors created in one second: 2 ** (length - 1) of them, the first untied."""
    for choice in range(2 ** (len(history) - 1)):
        tied = [history[0]]
        for number, delivery in enumerate(history[1:]):
            same = choice >> number & 1
            tied.append(dated(delivery, tied[-1].created) if same else delivery)
        yield tied


def endings(readings: Sequence[Reading], arrivals: Sequence[int]) -> Iterator[tuple[tuple[int, ...], State]]:
    """Every order in which ``arrivals`` (numbers of readings, some perhaps twice) can come, and what is true then."""
    path: list[tuple[tuple[int, ...], tuple[int, ...], State]] = [((), tuple(sorted(arrivals)), State())]
    while path:
        gone, left, state = path.pop()
        if not left:
            yield gone, state
        for number, _ in groupby(left):
            place = left.index(number)
            after = arrive(state, number, readings[number])
            path.append(((*gone, number), left[:place] + left[place + 1 :], after))


def read(history: Sequence[SignedDelivery]) -> list[Reading]:
    """What the connector makes of the deliveries."""
    return [CONNECTOR.read(delivery.body, "stripe", {}) for delivery in history]


def told_in_order(readings: Sequence[Reading]) -> State:
    """What is true when every delivery comes once and in time."""
    state = State()
    for number, reading in enumerate(readings):
        state = arrive(state, number, reading)
    return state


def summary(terms: Terms) -> tuple[list[str], list[str], list[str], bool]:
    """What a customer has by phase, the days of its pauses (from the start), what was said of payments, if it ends."""
    (one,) = terms.subscriptions
    phases = [" + ".join(f"{item.quantity} {item.id}" for item in phase.items) for phase in one.phases]
    days = [
        f"{(pause.starts_at - START).days}-{(pause.ends_at - START).days if pause.ends_at else ''}"
        for pause in one.pauses
    ]
    return phases, days, [fact.kind for fact in one.payments], one.ends_at is not None


@pytest.mark.parametrize("name", STORIES)
def test_told_in_time_each_history_means_what_happened(name: str) -> None:
    """The terms that every order of arrival is held against are those that a person would expect of the history."""
    expected: dict[str, tuple[list[str], list[str], list[str], bool]] = {
        "trial_converting": (["3 team", "5 team"], [], ["paid"], False),
        "upgraded": (
            ["3 team", "4 business", "4 business + 1 api_boost", "2 business + 1 api_boost"],
            [],
            ["paid"],
            False,
        ),
        "failed_then_paid": (["2 team", "2 business"], [], ["failed", "failed", "paid", "paid"], False),
        "canceled_at_period_end": (["2 team", "7 team"], [], [], True),
        "paused_and_resumed": (["2 team", "2 business"], ["4-8", "16-"], ["paid"], False),
        "trial_into_pause": (["2 team"], ["7-10"], ["paid"], True),
    }
    state = told_in_order(read(STORIES[name]()))
    assert summary(state.terms) == expected[name]
    assert not state.findings


@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_arrival_with_one_delivery_twice(name: str) -> None:
    """All orders of a history, plain and with each delivery told again by another event: always the same terms."""
    readings = read(STORIES[name]()[:LENGTH])
    truth = told_in_order(readings)
    assert not truth.findings
    numbers = list(range(len(readings)))
    count = 0
    for arrivals in (numbers, *([*numbers, twice] for twice in numbers)):
        for order, state in endings(readings, arrivals):
            assert bare(state.terms) == bare(truth.terms), order
            assert not state.findings, order
            count += 1
    sys.stdout.write(f"{name}: {count} orders of arrival, the same terms\n")
    assert count == {5: 120 + 5 * 360, 6: 720 + 6 * 2520}[len(readings)]


@pytest.mark.parametrize("name", STORIES)
def test_equal_seconds_give_the_same_terms_or_a_finding(name: str) -> None:
    """With any neighbors created in one second: the same terms in every order of arrival, or a finding in every one."""
    count = doubtful = 0
    for tied in ties(STORIES[name]()[:LENGTH]):
        readings = read(tied)
        silent: set[bytes] = set()
        told = 0
        for _, state in endings(readings, range(len(readings))):
            count += 1
            if state.findings:
                told += 1
            else:
                silent.add(repr(bare(state.terms)).encode())
        assert len(silent) <= 1, [delivery.created for delivery in tied]
        doubtful += told > 0
        assert not (told and silent), ([delivery.created for delivery in tied], told)
    sys.stdout.write(
        f"{name}: {count} orders of arrival with ties, {doubtful} histories in doubt, each with a finding\n"
    )


async def test_the_real_inbox_agrees(desk: Desk, meridian: bytes) -> None:
    """Random arrivals, some twice, also with equal seconds: the database has the same terms and kinds of findings."""
    for number, (name, tell) in enumerate(STORIES.items()):
        random = Random(number)
        for variant in (0, 2 ** (LENGTH - 1) - 1, random.randrange(1, 2 ** (LENGTH - 1))):
            tied = list(ties(tell()[:LENGTH]))[variant]
            arrivals = [*range(LENGTH), *random.sample(range(LENGTH), 2)]
            random.shuffle(arrivals)
            other = await desk.branch(f"{name.replace('_', '-')}-{variant}", meridian)
            state, readings = State(), read(tied)
            for place in arrivals:
                await other.deliver(tied[place])
                state = arrive(state, place, readings[place])
            assert bare(await other.terms("acme")) == bare(state.terms), (name, variant, arrivals)
            async with other.read() as view:
                kinds = {row.kind for row in await view.findings(FindingFilter(state="open"), Page())}
            assert kinds == {kind for kind, _ in state.findings}, (name, variant, arrivals)
