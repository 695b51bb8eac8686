"""What was told not to be paused stays so: after a resumption no later word about the trial pauses it again."""

from itertools import permutations
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.derive import derive
from licet.core.instant import to_instant
from licet.core.orders import OrderDocument
from licet.core.terms import MAX_PAUSES
from tests.core.worlds import COMPILED, day
from tests.dose import dose
from tests.services.arrivals import TEAM, Message, World, order, plain, told


def trial(when: float, ends: float = 10, *lines: dict[str, Any], **more: Any) -> OrderDocument:
    """An order of a subscription whose trial ends paused."""
    dates = {"starts_at": day(0), "trial_start": day(0), "trial_end": day(ends), "trial_end_behavior": "pause"}
    return order(when, *lines, **dates, **more)


def standings(world: World, *days: float) -> list[str]:
    """The standing on each of these days."""
    return [derive(COMPILED, world.terms, to_instant(day(when))).held[0].standing.kind for when in days]


def pauses(world: World) -> list[tuple[object, object]]:
    """The pauses that the terms hold."""
    return [(one.starts_at, one.ends_at) for one in world.terms.subscriptions[0].pauses]


def test_an_order_that_says_nothing_about_pauses_changes_none() -> None:
    """Resumed on day 12, more seats on day 20 without a word of pauses: it goes on, and was paused from day 10 on."""
    history = [trial(0), trial(12, paused=False), trial(20, 10, {**TEAM, "quantity": 6})]
    truth = ["trialing", "paused", "active", "active"]
    for arrivals in permutations(history):
        world = told(arrivals)
        assert standings(world, 9, 11, 13, 21) == truth
        assert pauses(world) == [(day(10), day(12))]


def test_not_paused_at_the_end_of_the_trial_is_never_paused() -> None:
    """Told at the very end of the trial, and again ten days later: no pause is made up for the time between."""
    for arrivals in permutations([trial(0, paused=False), trial(10, paused=False), trial(20, paused=False)]):
        world = told(arrivals)
        assert standings(world, 9, 10, 15, 21) == ["trialing", "active", "active", "active"]
        assert pauses(world) == []


def test_a_trial_that_is_moved_after_the_resumption_pauses_nothing() -> None:
    """Its end is said to have been a day later: what was told on day 12 was not paused, whatever the trial was."""
    for arrivals in permutations([trial(0, paused=False), trial(12, paused=False), trial(20, 11, paused=False)]):
        world = told(arrivals)
        assert standings(world, 13, 15, 21) == ["active", "active", "active"]
        assert pauses(world) == [(day(10), day(12))]


def test_a_new_trial_pauses_again_when_it_ends() -> None:
    """A trial that is given after the resumption ends in the future: then nobody has told anything of that time."""
    world = told([trial(0), trial(12, paused=False), trial(14, 25)])
    assert standings(world, 11, 13, 24, 26) == ["paused", "trialing", "trialing", "paused"]


def test_of_very_many_pauses_the_first_are_forgotten() -> None:
    """So many are kept as an order can tell; the newest ones, and the one that runs, always."""
    world = told([order(0)])
    for number in range(MAX_PAUSES + 10):
        world.arrive(order(1 + number, paused=True))
        if number < MAX_PAUSES + 9:
            world.arrive(order(1.5 + number, paused=False))
    held = pauses(world)
    assert len(held) == MAX_PAUSES
    assert (held[0], held[-1]) == ((day(11), day(11.5)), (day(MAX_PAUSES + 10), None))


@settings(max_examples=dose(80, full=4000), deadline=None)
@given(
    st.dictionaries(
        st.integers(1, 20),
        st.tuples(st.sampled_from([None, True, False]), st.sampled_from([5, 6, 12]), st.integers(1, 3)),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_what_an_order_tells_of_a_pause_is_true_at_its_instant(
    orders: dict[int, tuple[bool | None, int, int]], luck: Random
) -> None:
    """Random words about pauses and trials, instants of trials' ends among them, heard in any order, stay true."""
    history: list[OrderDocument] = [trial(0)]
    for when, (paused, ends, seats) in orders.items():
        history.append(trial(when, ends, {**TEAM, "quantity": seats}, **({} if paused is None else {"paused": paused})))
    history.sort(key=lambda one: one.occurred_at)
    arrivals: list[Message] = [*history]
    truth = plain(told(arrivals).terms)
    luck.shuffle(arrivals)
    world = told(arrivals)
    assert plain(world.terms) == truth
    for when, (paused, _, _) in orders.items():
        if paused is not None:
            assert (standings(world, when) == ["paused"]) is paused
