"""A trial that ends into a pause gives nothing from that instant on, whatever was lost, late or out of order."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

import pytest

from licet.core.instant import SECOND, Instant, to_instant
from licet.core.question import Question
from licet.core.standing import standing_at
from licet.core.terms import Terms
from licet.services.checks import check
from licet.services.inbound import Reading
from licet.testing.stripe import SignedDelivery
from tests.services.desk import START, Desk, story
from tests.services.stripe_arrivals import State, arrive, catalog, read

TEAM: Final = "price_team_monthly"
TRIAL: Final = START + timedelta(days=7)
HEARD: Final = ("begun", "announced", "still trialing", "paused", "paused as updated", "resumed")


def trial() -> list[SignedDelivery]:
    """A trial of seven days without a payment method, which Stripe ends five minutes late; resumed three days later."""
    told = story()
    begun = told.subscribe(TEAM, 2, trial_days=7, missing_payment_method="pause")
    announced = told.trial_will_end()
    still = told.wait(until=TRIAL).updated()
    paused = told.wait(until=TRIAL + timedelta(minutes=5)).end_trial_without_payment_method()
    return [begun, announced, still, paused, told.as_updated(), told.wait(until=TRIAL + timedelta(days=3)).resume()]


def moments(first: Instant, end: Instant) -> list[Instant]:
    """Instants of ``[first, end)``: its edges, what lies around the late messages, and each hour of a day."""
    inside = [first, first + 1, first + SECOND, first + 300 * SECOND, first + 301 * SECOND, end - 1]
    return [*inside, *(first + hour * 3600 * SECOND for hour in range(1, 25))]


def kinds_at(terms: Terms, instants: Sequence[Instant]) -> set[str]:
    """How the subscription stands at these instants."""
    (one,) = terms.subscriptions
    return {standing_at(one, catalog(), instant).kind for instant in instants}


def heard(readings: Sequence[Reading]) -> Iterator[tuple[tuple[int, ...], State]]:
    """What is true after each sequence of any of the readings: whatever is missing was lost or comes later."""
    path: list[tuple[tuple[int, ...], State]] = [((), State())]
    while path:
        gone, state = path.pop()
        if gone:
            yield gone, state
        path += [
            ((*gone, number), arrive(state, number, reading))
            for number, reading in enumerate(readings)
            if number not in gone
        ]


def test_nothing_is_given_between_the_trial_and_its_resumption_whatever_was_heard() -> None:
    """After each of the 1,956 sequences of any of six messages: paused from the trial's last instant until resumed.

    Before the trial's end it is a trial; after the resumption it gives something only if that was heard.
    """
    deliveries = trial()
    resumed = to_instant(TRIAL + timedelta(days=3))
    window = moments(to_instant(TRIAL), resumed)
    count = 0
    for gone, state in heard(read(deliveries)):
        names = [HEARD[number] for number in gone]
        count += 1
        assert kinds_at(state.terms, window) == {"paused"}, names
        assert kinds_at(state.terms, [to_instant(START), to_instant(TRIAL) - 1]) == {"trialing"}, names
        after = kinds_at(state.terms, [resumed + SECOND, resumed + 9 * 86_400 * SECOND])
        assert after == ({"active"} if "resumed" in names else {"paused"}), names
    assert count == 6 + 30 + 120 + 360 + 720 + 720


def test_a_longer_trial_that_was_not_heard_of_gives_less_and_never_more() -> None:
    """The trial is made longer and then ends paused: in no sequence does it give anything after its real end."""
    told = story()
    begun = told.subscribe(TEAM, 2, trial_days=7, missing_payment_method="pause")
    longer = told.wait(days=3).extend_trial(days=7)
    end = START + timedelta(days=14)
    more = told.wait(days=1).change_quantity(5)
    paused = told.wait(until=end + timedelta(minutes=5)).end_trial_without_payment_method()
    readings = read([begun, longer, more, paused, told.wait(days=1).cancel()])
    window = moments(to_instant(end), to_instant(end + timedelta(days=30)))
    between = [to_instant(TRIAL), to_instant(end) - 1]
    for gone, state in heard(readings):
        assert kinds_at(state.terms, window) <= {"paused", "ended"}, gone
        assert kinds_at(state.terms, between) == ({"paused"} if gone in ((0,),) else {"trialing"}), gone


@pytest.mark.parametrize("lost", [None, 3, 4, (3, 4), (2, 3, 4), (1, 2, 3, 4)])
async def test_a_check_says_paused_with_the_messages_lost(desk: Desk, lost: int | tuple[int, ...] | None) -> None:
    """On the real inbox, long after the trial: refused because it is paused, with or without the news of the pause."""
    missing = (lost,) if isinstance(lost, int) else lost or ()
    for number, delivery in enumerate(trial()[:-1]):
        if number not in missing:
            assert (await desk.deliver(delivery)).outcome in ("applied", "duplicate", "stale")
    async with desk.read() as view:
        decision = await check(view, Question(customer="acme", feature="scenario_planning"), desk.snapshots)
    assert (decision.allowed, decision.reason) == (False, "paused")
