"""Consistent Stripe histories of six deliveries each, for tests that let them arrive in every order."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from msgspec import structs

from licet.testing.stripe import SignedDelivery
from tests.services.desk import START, story

TEAM, BUSINESS, BOOST = "price_team_monthly", "price_business_monthly", "price_api_boost_monthly"


class Meaning(NamedTuple):
    """What a history of six deliveries means, told in time."""

    phases: Sequence[str]
    pauses: Sequence[str] = ()
    """The days from the start."""
    payments: Sequence[str] = ()
    ends: bool = False
    planned: Sequence[str] = ()
    findings: Sequence[str] = ()


def trial_converting() -> list[SignedDelivery]:
    """A trial that is announced to end, converts and is paid; then more seats."""
    told = story()
    return [
        told.subscribe(TEAM, 3, trial_days=14),
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
        told.subscribe(TEAM, 3),
        told.pay(),
        told.wait(days=5).upgrade(BUSINESS, 4),
        told.add_item(BOOST),
        told.wait(days=2).change_quantity(2),
        told.renew(),
    ]


def failed_then_paid() -> list[SignedDelivery]:
    """A payment fails, the status says so, it is paid, the status says so."""
    told = story()
    return [
        told.subscribe(TEAM, 2),
        told.wait(days=31).fail_payment(),
        told.updated(),
        told.wait(days=8).pay(),
        told.updated(),
        told.wait(days=1).upgrade(BUSINESS),
    ]


def canceled_at_period_end() -> list[SignedDelivery]:
    """More seats, then an end is planned, taken back, planned again, and reached."""
    told = story()
    return [
        told.subscribe(TEAM, 2),
        told.wait(days=3).change_quantity(7),
        told.wait(days=2).cancel(),
        told.uncancel(),
        told.cancel(),
        told.delete(),
    ]


def paused_and_resumed() -> list[SignedDelivery]:
    """Paid, paused (told by two events of one second), resumed, upgraded, paused again."""
    told = story()
    return [
        told.subscribe(TEAM, 2),
        told.wait(days=4).pause(),
        told.as_updated(),
        told.wait(days=4).resume(),
        told.wait(days=4).upgrade(BUSINESS),
        told.wait(days=4).pause(),
    ]


def trial_into_pause() -> list[SignedDelivery]:
    """A trial without a payment method ends paused, is resumed, paid and canceled."""
    told = story()
    return [
        told.subscribe(TEAM, 2, trial_days=7, missing_payment_method="pause"),
        told.trial_will_end(),
        told.end_trial_without_payment_method(),
        told.wait(days=3).resume(),
        told.pay(),
        told.wait(days=3).cancel(at_period_end=False),
    ]


def trial_into_pause_at_once() -> list[SignedDelivery]:
    """A trial ends paused in its very last second, told by two events; then resumed, paid and paused again."""
    told = story()
    return [
        told.subscribe(TEAM, 3, trial_days=7, missing_payment_method="pause"),
        told.end_trial_without_payment_method(),
        told.as_updated(),
        told.wait(days=3).resume(),
        told.pay(),
        told.wait(days=3).pause(),
    ]


def deleted_then_updated() -> list[SignedDelivery]:
    """More seats, ended; an update that an odd clock dates after the end; a debt, and an update that is no news."""
    told = story()
    first = told.subscribe(TEAM, 2)
    change = told.wait(days=3).change_quantity(7)
    odd = told.upgrade(BUSINESS, 9)
    told.upgrade(TEAM, 7)
    gone = told.wait(days=2).delete()
    return [
        first,
        change,
        gone,
        dated(odd, gone.created + 60),
        told.wait(days=1).fail_payment(),
        told.wait(days=1).updated(),
    ]


def three_in_one_second() -> list[SignedDelivery]:
    """More seats, another plan, an add-on and its removal, all in one second; then it is paid."""
    told = story()
    return [
        told.subscribe(TEAM, 2),
        told.wait(days=3).change_quantity(5),
        told.together().upgrade(BUSINESS, 4),
        told.together().add_item(BOOST),
        told.pay(),
        told.together().remove_item(BOOST),
    ]


def scheduled() -> list[SignedDelivery]:
    """Two changes are planned, the first begins, the plan is made shorter, and let go."""
    told = story()
    first, second = START + timedelta(days=40), START + timedelta(days=80)
    return [
        told.subscribe(TEAM, 2),
        told.wait(days=2).schedule((first, TEAM, 8), (second, BUSINESS, 8)),
        told.begin_phase(),
        told.wait(days=1).schedule((second, BUSINESS, 9)),
        told.wait(days=1).change_quantity(9),
        told.wait(days=1).release_schedule(),
    ]


def scheduled_to_end() -> list[SignedDelivery]:
    """A schedule that ends the subscription: planned, begun, completed, deleted; and an update that comes late."""
    told = story()
    first = START + timedelta(days=40)
    begun = told.subscribe(TEAM, 2)
    return [
        begun,
        told.attach_schedule(),
        told.wait(days=2).schedule((first, BUSINESS, 8), until=START + timedelta(days=70)),
        told.begin_phase(),
        told.complete_schedule(),
        told.delete(),
    ]


def sent_and_due() -> list[SignedDelivery]:
    """An invoice that is sent: due, due later, overdue, paid, and the seats of the next weeks."""
    told = story()
    return [
        told.subscribe(TEAM, 2, days_until_due=14),
        told.finalize_invoice(),
        told.wait(days=3).postpone(7),
        told.overdue(),
        told.wait(days=5).pay(),
        told.wait(days=5).change_quantity(3),
    ]


def disputed_and_won() -> list[SignedDelivery]:
    """Paid, told twice, taken back, won."""
    told = story()
    return [
        told.subscribe(TEAM, 2),
        told.pay(),
        told.payment_made(),
        told.wait(days=9).dispute(),
        told.wait(days=30).win_dispute(),
        told.wait(days=1).change_quantity(3),
    ]


def disputed_and_lost() -> list[SignedDelivery]:
    """In the older API: paid, given back in part, an inquiry that becomes a dispute, lost; then it is ended."""
    told = story(legacy=True)
    first, paid = told.subscribe(TEAM, 2), told.pay()
    refund = told.wait(days=3).refund(1000)
    told.wait(days=3).dispute(inquiry=True)
    return [first, paid, refund, told.withdraw_funds(), told.wait(days=30).lose_dispute(), told.delete()]


HISTORIES: Final[dict[str, tuple[Callable[[], list[SignedDelivery]], Meaning]]] = {
    "trial_converting": (
        trial_converting,
        Meaning(
            ("3 team", "5 team"),
            payments=("paid",),
        ),
    ),
    "upgraded": (
        upgraded,
        Meaning(
            ("3 team", "4 business", "4 business + 1 api_boost", "2 business + 1 api_boost"),
            payments=("paid",),
        ),
    ),
    "failed_then_paid": (
        failed_then_paid,
        Meaning(
            ("2 team", "2 business"),
            payments=("failed", "failed", "paid", "paid"),
        ),
    ),
    "canceled_at_period_end": (
        canceled_at_period_end,
        Meaning(
            ("2 team", "7 team"),
            ends=True,
        ),
    ),
    "paused_and_resumed": (
        paused_and_resumed,
        Meaning(
            ("2 team", "2 business"),
            pauses=("4-8", "16-"),
        ),
    ),
    "trial_into_pause": (trial_into_pause, Meaning(("2 team",), pauses=("7-10",), payments=("paid",), ends=True)),
    "trial_into_pause_at_once": (
        trial_into_pause_at_once,
        Meaning(("3 team",), pauses=("7-10", "13-"), payments=("paid",)),
    ),
    "deleted_then_updated": (
        deleted_then_updated,
        Meaning(
            ("2 team", "7 team"),
            payments=("failed",),
            ends=True,
        ),
    ),
    "three_in_one_second": (
        three_in_one_second,
        Meaning(
            ("2 team", "4 business + 1 api_boost", "4 business"),
            payments=("paid",),
        ),
    ),
    "scheduled": (
        scheduled,
        Meaning(("2 team", "8 team", "9 team")),
    ),
    "scheduled_to_end": (
        scheduled_to_end,
        Meaning(
            ("2 team", "8 business"),
            ends=True,
        ),
    ),
    "sent_and_due": (
        sent_and_due,
        Meaning(
            ("2 team", "3 team"),
            payments=("due", "due", "due", "paid"),
        ),
    ),
    "disputed_and_won": (
        disputed_and_won,
        Meaning(
            ("2 team", "3 team"),
            payments=("paid", "disputed", "paid"),
        ),
    ),
    "disputed_and_lost": (
        disputed_and_lost,
        Meaning(
            ("2 team",),
            payments=("paid", "disputed", "uncollectible"),
            ends=True,
            findings=("payment_disputed", "payment_refunded"),
        ),
    ),
}


def tell(name: str, length: int = 6) -> list[SignedDelivery]:
    """The first deliveries of a history."""
    return HISTORIES[name][0]()[:length]


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
