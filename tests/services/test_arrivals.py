"""Every order of arrival of a generic history ends in the same terms: ramps, final ends, ties, plans, payments."""

from itertools import pairwise, permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import structs

from licet.core.orders import OrderDocument
from tests.core.worlds import day
from tests.dose import dose
from tests.services.arrivals import TEAM, Message, World, fact, notice, order, plain, plan, step, told

LINES = [
    TEAM,
    {**TEAM, "quantity": 9},
    {"plan": "team"},
    {"plan": "free"},
    {"plan": "business"},
    {"price": "price_boost", "line": "li_2"},
    {"addon": "lab"},
    {"price": "price_suite"},
    {"price": "price_unknown"},
]
KNOWN = LINES[:-1]
lines: SearchStrategy[list[dict[str, Any]]] = st.one_of(
    st.lists(st.sampled_from(LINES[:3]), min_size=1, max_size=1), st.lists(st.sampled_from(LINES), max_size=2)
)


@st.composite
def orders(draw: st.DrawFn, when: int) -> OrderDocument:
    """Any order of an instant, with whatever an order may say."""
    more: dict[str, Any] = {"lines": draw(lines)}
    ahead = draw(st.lists(st.integers(1, 20), max_size=2, unique=True))
    more["scheduled"] = [step(when + days, *draw(lines)) for days in sorted(ahead)]
    more["final"] = draw(st.sampled_from([False, False, False, True]))
    more["payments"] = draw(st.lists(st.sampled_from(FACTS), max_size=1))
    for name, value in (
        ("ends_at", day(when + draw(st.integers(-3, 20)))),
        ("starts_at", day(draw(st.integers(0, 3)))),
        ("paused", draw(st.booleans())),
        ("trial_start", day(0)),
        ("trial_end", day(draw(st.integers(1, 9)))),
        ("trial_end_behavior", draw(st.sampled_from(["convert", "fall", "pause", "end"]))),
        ("unplanned", True),
        ("zone", draw(st.sampled_from(["Europe/Berlin", "Asia/Tokyo"]))),
    ):
        if draw(st.sampled_from([False, False, True])):
            more[name] = value
    return order(when, **more)


FACTS = [
    fact("failed", 3),
    fact("paid", 5, money={"amount": 700, "currency": "EUR"}),
    fact("paid", 5),
    fact("due", 8, "in_2", stated_at=day(1)),
    fact("due", 8, "in_2", stated_at=day(2)),
    fact("disputed", 9),
]


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Orders of different instants, plans of different instants, and payment facts."""
    instants = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4, unique=True))
    found: list[Message] = [draw(orders(when)) for when in instants]
    for when in draw(st.lists(st.integers(0, 12), max_size=2, unique=True)):
        ahead = sorted(draw(st.lists(st.integers(1, 20), max_size=2, unique=True)))
        ends = draw(st.sampled_from([{}, {"ends_at": day(when + 15)}]))
        # A plan that means nothing here is refused, and told again: a matter of its own.
        steps = [step(when + days, *draw(st.lists(st.sampled_from(KNOWN), max_size=2))) for days in ahead]
        found.append(plan(when, *steps, **ends))
    found += [notice(one) for one in draw(st.lists(st.sampled_from(FACTS), max_size=2))]
    return found


@settings(max_examples=dose(120, full=6000), deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_any_generic_history_in_any_order_ends_in_the_same_terms(history: list[Message], luck: Random) -> None:
    """Messages are shuffled and some come twice; the terms, but for which event brought what, are the same."""
    truth = told(history).terms
    for _ in range(2):
        shuffled = history + luck.sample(history, len(history) // 2)
        luck.shuffle(shuffled)
        assert plain(told(shuffled).terms) == plain(truth)


CHAIN = [
    order(4, state="a", lines=[{"plan": "free"}]),
    order(4, state="b", follows="a", lines=[TEAM], payments=[fact("failed", 4)]),
    order(4, state="c", follows="b", lines=[TEAM, {"addon": "lab"}], paused=True),
    order(4, state="a", follows="c", lines=[{"plan": "free"}], ends_at=day(30)),
]
EARLIER = order(2, {"plan": "business"}, state="z")
AFTER = [structs.replace(CHAIN[0], follows="z"), *CHAIN[1:]]


@pytest.mark.parametrize("length", [2, 3, 4])
@pytest.mark.parametrize("history", [CHAIN, AFTER])
def test_orders_of_one_second_follow_one_another(history: list[OrderDocument], length: int) -> None:
    """Each says the state it follows: in any order of arrival the last of them is in force, and no finding is left.

    The fourth leaves the state of the first again, so that only the whole trail says which one came last.
    """
    chain = history[:length]
    truth = plain(told([EARLIER, *chain]).terms)
    assert truth["subscriptions"][0]["phases"][-1]["items"][0]["id"] == ("free" if length == 4 else "team")
    for arrivals in permutations([EARLIER, *chain]):
        world = told(arrivals)
        assert plain(world.terms) == truth
        assert world.findings == set()


@pytest.mark.parametrize(
    ("before", "pair"),
    [
        ([], [CHAIN[0], CHAIN[2]]),
        ([EARLIER], [AFTER[0], CHAIN[2]]),
        ([EARLIER], [order(4, lines=[{"plan": "free"}], state="y", follows="z"), order(4, state="z", follows="y")]),
    ],
)
def test_what_follows_the_state_before_comes_first(before: list[OrderDocument], pair: list[OrderDocument]) -> None:
    """Of two with a gap between them, and of a change that was taken back, the one that follows the past is older."""
    for arrivals in permutations([*before, *pair]):
        world = told(arrivals)
        assert world.terms.subscriptions[0].phases[-1].items[0].id == "team"
        assert world.last is not None
        if before == [] or arrivals[0] is EARLIER:
            assert world.findings == set(), "the past is known, so nothing is ever in doubt"


def test_a_tie_that_nothing_decides_is_a_finding() -> None:
    """Two that follow the same state, and two of which one says nothing: the first to arrive stays in force."""
    for second in (order(4, {"plan": "business"}, state="d", follows="a"), order(4, {"plan": "business"})):
        for pair in ([CHAIN[1], second], [second, CHAIN[1]]):
            world = told([EARLIER, *pair])
            assert world.findings == {("order_conflict", "shop:s1")}
            wanted = "team" if pair[0] is CHAIN[1] else "business"
            assert world.terms.subscriptions[0].phases[-1].items[0].id == wanted
            assert world.last is not None
            assert world.last.outcome == "conflict"


PLANS: list[Message] = [
    order(1, TEAM),
    order(8, {**TEAM, "quantity": 7}),
    plan(3, step(20, {**TEAM, "quantity": 8})),
    plan(9, step(20, {**TEAM, "quantity": 9}), step(25, TEAM, {"addon": "lab"}), ends_at=day(33)),
    notice(fact("failed", 9)),
]


def test_the_newest_plan_counts_and_keeps_what_is_in_force() -> None:
    """Whatever comes first, the plan of day 9 is in force, and Team in the version that was bought on day 1."""
    for arrivals in permutations(PLANS):
        (subscription,) = told(arrivals).terms.subscriptions
        assert subscription.schedule is not None
        assert subscription.schedule.occurred_at == day(9)
        assert [
            (phase.starts_at, [(one.id, one.version, one.quantity) for one in phase.items])
            for phase in subscription.schedule.phases
        ] == [
            (day(20), [("team", "2026-01", 9)]),
            (day(25), [("team", "2026-01", 5), ("lab", "1", 1)]),
        ]
        assert subscription.schedule.ends_at == day(33)


def test_a_final_order_absorbs() -> None:
    """After a cancellation for good, what is dated later brings its payment facts and nothing else, in any order."""
    end = order(5, ends_at=day(5), final=True)
    again = order(9, {"plan": "business"}, paused=True, zone="Asia/Tokyo", payments=[fact("paid", 9)])
    messages: list[Message] = [order(1), end, again, order(3, {**TEAM, "quantity": 2}), plan(7, step(20, TEAM))]
    truth = told(messages).terms
    (subscription,) = truth.subscriptions
    assert (subscription.ends_at, subscription.final, subscription.schedule) == (day(5), True, None)
    assert (subscription.pauses, subscription.zone) == ((), "UTC")
    assert [phase.starts_at for phase in subscription.phases] == [day(1), day(3), day(5)]
    assert [one.invoice for one in subscription.payments] == ["in_1"]
    for arrivals in permutations(messages):
        assert plain(told(arrivals).terms) == plain(truth)


def test_of_two_final_orders_the_later_counts() -> None:
    """Final orders rank among themselves by time; what is dated between them is as idle as what comes after."""
    messages: list[Message] = [
        order(1),
        order(5, ends_at=day(5), final=True),
        order(7, {"plan": "business"}),
        order(9, ends_at=day(6), final=True),
    ]
    for arrivals in permutations(messages):
        (subscription,) = told(arrivals).terms.subscriptions
        assert (subscription.ends_at, len(subscription.phases)) == (day(6), 1)


def test_what_ends_before_it_begins_is_not_begun() -> None:
    """It is refused, its payment facts wait; it counts as soon as an earlier order makes the subscription known."""
    never = order(5, ends_at=day(4), payments=[fact("paid", 5)])
    world = told([never])
    assert world.last is not None
    assert (world.last.outcome, world.terms.subscriptions) == ("refused", ())
    assert world.findings == {("ends_before_start", "shop:s1")}
    assert [one.fact.invoice for one in world.terms.early_payments] == ["in_1"]
    for arrivals in permutations([never, order(2), order(1)]):
        (subscription,) = told(arrivals).terms.subscriptions
        assert (subscription.ends_at, len(subscription.payments)) == (day(4), 1)
    for later in permutations([never, order(8)]):
        (subscription,) = told(later).terms.subscriptions
        assert (subscription.ends_at, len(subscription.payments)) == (None, 1)


SEATS = {"a": 5, "b": 9, "c": 7}


def walk(states: str, *, told: bool = True) -> list[OrderDocument]:
    """Changes of one second from state to state, each in a message of its own where it is ``told`` which."""
    return [
        order(
            4,
            {**TEAM, "quantity": SEATS[after]},
            state=after,
            follows=before,
            **({"message": f"evt_{place}"} if told else {}),
        )
        for place, (before, after) in enumerate(pairwise(states))
    ]


def seats(world: World) -> int:
    """How many seats are in force at last."""
    return world.terms.subscriptions[0].phases[-1].items[0].quantity


def test_a_change_that_is_made_again_within_a_second_counts_again() -> None:
    """From 5 to 9, back, and to 9 again: the third says what the first said, but it is another change."""
    begun = order(2, {**TEAM, "quantity": 5}, state="a")
    for arrivals in permutations([begun, *walk("abab")]):
        world = told(arrivals)
        assert (seats(world), world.findings) == (9, set())
    twice = told([begun, *walk("abab"), *walk("abab")])
    assert (seats(twice), len(twice.orders)) == (9, 4)
    unnamed = [structs.replace(one, message=None) for one in walk("abab")]
    assert seats(told([begun, *unnamed])) == 5, "without ids the third is the first again"


def test_one_change_told_by_two_events_is_taken_once() -> None:
    """One that names no message speaks of the change that another names; with a later change nothing is in doubt."""
    begun = order(2, {**TEAM, "quantity": 5}, state="a")
    besides = structs.replace(walk("ab")[0], message=None, payments=order(4, payments=[fact("failed", 4)]).payments)
    for arrivals in permutations([begun, *walk("aba"), besides]):
        world = told(arrivals)
        assert (seats(world), world.findings) == (5, set())


@settings(max_examples=dose(75, full=3000), deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_any_walk_of_a_second_ends_where_it_ended(steps: list[str], luck: Random) -> None:
    """Random changes between three states, some made again and again, heard in any order and some twice."""
    changes = walk("".join(["a", *steps]))
    history = [order(2, {**TEAM, "quantity": 5}, state="a"), *changes, *luck.sample(changes, len(changes) // 2)]
    luck.shuffle(history)
    world = told(history)
    assert (seats(world), world.findings) == (SEATS[steps[-1]], set())


def test_two_contents_of_one_step_are_a_finding() -> None:
    """Where two messages of the same step want different things, the first to arrive counts, and somebody is told."""
    begun = order(2, {"plan": "free"}, state="a")
    one, other = (order(4, {"plan": plan}, state="b", follows="a") for plan in ("team", "business"))
    after = order(4, {**TEAM, "quantity": 7}, state="c", follows="b")
    for arrivals in permutations([begun, one, other]):
        world = told(arrivals)
        first = next(message for message in arrivals if message is not begun)
        assert world.terms.subscriptions[0].phases[-1].items[0].id == first.lines[0].plan
        assert world.findings == {("order_conflict", "shop:s1")}
    for arrivals in permutations([begun, one, other, after]):
        world = told(arrivals)
        assert (seats(world), world.findings) == (7, {("order_conflict", "shop:s1")})
