"""Every order of arrival of consistent Stripe histories: the same terms, or a finding where the truth cannot be known.

Mostly without a database: deliveries are read by the connector and taken as the inbox takes them. A sample on the real
database shows that both end in the same terms.
"""

import sys
from collections.abc import Sequence
from math import factorial
from random import Random
from typing import Final

import pytest

from licet.core.terms import Phase, Terms
from licet.services.rows import FindingFilter, Page
from tests.dose import DOSE
from tests.services.desk import START, Desk
from tests.services.stripe_arrivals import State, arrive, endings, kinds, read, told_in_order
from tests.services.stripe_histories import HISTORIES, Meaning, tell, ties
from tests.services.test_stripe_inbox import bare

LENGTH: Final = 6 if DOSE == "full" else 5
"""How many deliveries of each history are permuted."""
DOUBTS: Final = {"order_conflict", "schedule_conflict"}
"""The findings that say: the truth cannot be known."""


def meaning(state: State) -> Meaning:
    """What a customer has by phase and plan, the days of its pauses, what was said of payments, whether it ends."""
    (one,) = state.terms.subscriptions
    planned = one.schedule.phases if one.schedule else ()
    days = [
        f"{(pause.starts_at - START).days}-{(pause.ends_at - START).days if pause.ends_at else ''}"
        for pause in one.pauses
    ]
    return Meaning(
        items_of(one.phases),
        tuple(days),
        tuple(fact.kind for fact in one.payments),
        one.ends_at is not None,
        items_of(planned),
        tuple(sorted(kinds(state).elements())),
    )


def items_of(phases: Sequence[Phase]) -> tuple[str, ...]:
    """What each phase consists of."""
    return tuple(" + ".join(f"{item.quantity} {item.id}" for item in phase.items) for phase in phases)


def content(terms: Terms) -> bytes:
    """What is compared of terms."""
    return repr(bare(terms)).encode()


@pytest.mark.parametrize("name", HISTORIES)
def test_told_in_time_each_history_means_what_happened(name: str) -> None:
    """The terms that every order of arrival is held against are those that a person would expect of the history."""
    assert meaning(told_in_order(read(tell(name)))) == HISTORIES[name][1]


@pytest.mark.parametrize("name", HISTORIES)
def test_every_order_of_arrival_with_one_delivery_twice(name: str) -> None:
    """All orders of a history, plain and with each delivery told again by another event: always the same terms."""
    readings = read(tell(name, LENGTH))
    truth = told_in_order(readings)
    assert not DOUBTS & set(kinds(truth))
    numbers = list(range(LENGTH))
    count = 0
    for arrivals in (numbers, *([*numbers, twice] for twice in numbers)):
        for ending in endings(readings, arrivals):
            assert bare(ending.state.terms) == bare(truth.terms), ending.example
            assert ending.state.findings == truth.findings, ending.example
            assert not ending.state.waiting, ending.example
            count += ending.orders
    sys.stdout.write(f"{name}: {count} orders of arrival, the same terms\n")
    assert count == factorial(LENGTH) + LENGTH * factorial(LENGTH + 1) // 2


@pytest.mark.parametrize("name", HISTORIES)
def test_equal_seconds_give_the_same_terms_or_a_finding(name: str) -> None:
    """With any neighbors created in one second: the same terms in every order of arrival, or a finding in every one."""
    count = doubtful = 0
    for tied in ties(tell(name, LENGTH)):
        readings = read(tied)
        silent: set[bytes] = set()
        told = 0
        for ending in endings(readings, range(len(readings))):
            count += ending.orders
            if DOUBTS & set(kinds(ending.state)):
                told += ending.orders
            else:
                silent.add(content(ending.state.terms))
        assert len(silent) <= 1, [delivery.created for delivery in tied]
        doubtful += told > 0
        assert not (told and silent), ([delivery.created for delivery in tied], told)
    sys.stdout.write(
        f"{name}: {count} orders of arrival with ties, {doubtful} histories in doubt, each with a finding\n"
    )
    assert count == 2 ** (LENGTH - 1) * factorial(LENGTH)


async def test_the_real_inbox_agrees(desk: Desk, meridian: bytes) -> None:
    """Random arrivals, some twice, also with equal seconds: the database has the same terms and kinds of findings."""
    for number, name in enumerate(HISTORIES):
        random = Random(number)
        for variant in (0, random.randrange(1, 2 ** (LENGTH - 1))):
            tied = list(ties(tell(name, LENGTH)))[variant]
            arrivals = [*range(LENGTH), *random.sample(range(LENGTH), 2)]
            random.shuffle(arrivals)
            other = await desk.branch(f"{name.replace('_', '-')}-{variant}", meridian)
            state, readings = State(), read(tied)
            for place in arrivals:
                await other.deliver(tied[place])
                state = arrive(state, place, readings[place])
            assert bare(await other.terms("acme")) == bare(state.terms), (name, variant, arrivals)
            async with other.read() as view:
                found = {row.kind for row in await view.findings(FindingFilter(state="open"), Page())}
            assert found == set(kinds(state)), (name, variant, arrivals)
