"""Orders and what was planned before them: the plan never beats what an order says later, whichever is heard first."""

from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.derive import derive
from licet.core.instant import to_instant
from tests.core.worlds import COMPILED, day
from tests.dose import dose
from tests.services.arrivals import TEAM, Message, World, order, plain, plan, step, told

BUSINESS: dict[str, Any] = {"plan": "business"}
FREE: dict[str, Any] = {"plan": "free"}
MORE = {**TEAM, "quantity": 8}
Held = tuple[str, list[tuple[str, int]]]
TEAM_HELD: Held = ("active", [("team", 5)])
BUSINESS_HELD: Held = ("active", [("business", 1)])


def held(world: World, when: float) -> Held:
    """The standing on a day, and what gives then."""
    (one,) = derive(COMPILED, world.terms, to_instant(day(when))).held
    return one.standing.kind, [(item.id, item.quantity) for item in one.segment.state.items]


@pytest.mark.parametrize(
    ("history", "truth"),
    [
        pytest.param(
            [order(0), plan(1, step(10, BUSINESS)), order(12)],
            {9: TEAM_HELD, 11: BUSINESS_HELD, 12: TEAM_HELD, 40: TEAM_HELD},
            id="still what was sold",
        ),
        pytest.param(
            [order(0), plan(1, step(10, BUSINESS)), order(10)],
            {9: TEAM_HELD, 10: TEAM_HELD, 13: TEAM_HELD},
            id="at one instant the order counts",
        ),
        pytest.param(
            [order(0, BUSINESS), plan(1, step(10, FREE)), order(12, BUSINESS)],
            {11: ("active", [("free", 1)]), 12: BUSINESS_HELD, 13: BUSINESS_HELD},
            id="a downgrade that did not come",
        ),
        pytest.param(
            [order(0), plan(1, step(10, BUSINESS), step(20, FREE)), order(12), order(15)],
            {11: BUSINESS_HELD, 16: TEAM_HELD, 20: ("active", [("free", 1)])},
            id="what is planned for later stays planned",
        ),
        pytest.param(
            [order(0), plan(1, step(10, BUSINESS)), order(12, effective_at=day(8))],
            {9: TEAM_HELD, 11: TEAM_HELD, 13: TEAM_HELD},
            id="an order knows of the time before it",
        ),
        pytest.param(
            [order(0), plan(1, step(10, BUSINESS)), order(5, scheduled=[step(12, TEAM)])],
            {11: BUSINESS_HELD, 12: TEAM_HELD},
            id="what an order schedules begins, too",
        ),
        pytest.param(
            [order(0), plan(1, ends_at=day(15)), order(16, MORE)],
            {14: TEAM_HELD, 15: TEAM_HELD, 17: ("active", [("team", 8)])},
            id="an end that did not come",
        ),
        pytest.param(
            [order(0), plan(1, ends_at=day(15)), order(15)],
            {15: TEAM_HELD},
            id="an end at the instant of an order",
        ),
        pytest.param(
            [order(0), plan(1, ends_at=day(15)), order(14), order(16, ends_at=day(16))],
            {14: TEAM_HELD, 15: ("ended", [("team", 5)])},
            id="an end that nobody denies",
        ),
        pytest.param(
            [order(0), plan(1, ends_at=day(15)), order(16), order(20, ends_at=day(20))],
            {17: TEAM_HELD, 20: ("ended", [("team", 5)])},
            id="an end that was another",
        ),
        pytest.param(
            [order(0), plan(1, step(10, BUSINESS), ends_at=day(15)), order(5, unplanned=True)],
            {11: TEAM_HELD, 16: TEAM_HELD},
            id="nothing is planned any more",
        ),
        pytest.param(
            [order(0), plan(6, step(10, BUSINESS)), order(5, unplanned=True)],
            {11: BUSINESS_HELD},
            id="planned anew since",
        ),
        pytest.param(
            [
                order(0, trial_start=day(0), trial_end=day(5), trial_end_behavior="fall"),
                plan(1, step(10, BUSINESS)),
                order(12, trial_start=day(0), trial_end=day(5), trial_end_behavior="fall"),
            ],
            {
                4: ("trialing", [("team", 5)]),
                6: ("active", [("free", 1)]),
                11: BUSINESS_HELD,
                13: ("active", [("free", 1)]),
            },
            id="a trial that fell stays fallen",
        ),
    ],
)
def test_an_order_knows_better_than_a_plan(history: list[Message], truth: dict[float, Held]) -> None:
    """What an order says counts from its instant on against what was planned, even where it says nothing new."""
    content = plain(told(history).terms)
    for arrivals in permutations(history):
        world = told(arrivals)
        assert {when: held(world, when) for when in truth} == truth
        assert world.findings == set()
        assert plain(world.terms) == content


WORDS: dict[str, tuple[dict[str, Any], Held]] = {
    "team": (TEAM, TEAM_HELD),
    "more": (MORE, ("active", [("team", 8)])),
    "business": (BUSINESS, BUSINESS_HELD),
}
words = st.sampled_from(sorted(WORDS))


@settings(max_examples=dose(80, full=4000), deadline=None)
@given(
    st.dictionaries(st.integers(1, 30), words, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 9), st.dictionaries(st.integers(10, 32), words, max_size=3)), max_size=2),
    st.none() | st.integers(10, 32),
    st.randoms(use_true_random=False),
)
def test_at_the_instant_of_an_order_what_it_says_is_in_force(
    orders: dict[int, str], plans: list[tuple[int, dict[int, str]]], ends: int | None, luck: Random
) -> None:
    """Random orders and plans, equal instants among them, heard in any order: the plan is true only between orders."""
    history: list[Message] = [order(0), *(order(when, WORDS[word][0]) for when, word in orders.items())]
    more = {} if ends is None else {"ends_at": day(ends)}
    history += [
        plan(when + 0.5, *(step(at, WORDS[word][0]) for at, word in sorted(steps.items())), **more)
        for when, steps in dict(plans).items()
    ]
    luck.shuffle(history)
    world = told(history)
    for when, word in orders.items():
        assert held(world, when) == WORDS[word][1]
    assert plain(world.terms) == plain(told(sorted(history, key=lambda one: one.occurred_at)).terms)  # type: ignore[union-attr]
