"""Counting checks: what is counted apart, what gives way where there is no room, and what of a question is kept."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.core.instant import HOUR
from licet.core.tally import CheckKey, SaidUse, SaidUses, Tally, UseKey, fold
from tests.dose import dose

KEYS = st.builds(
    CheckKey,
    st.integers(0, 3).map(lambda hour: hour * HOUR),
    st.sampled_from([f"c{place}" for place in range(30)]),
    st.sampled_from(["", *(f"u{place}" for place in range(30))]),
    st.sampled_from([f"f{place}" for place in range(30)]),
    st.sampled_from(["entitled", "limit_reached"]),
    st.sampled_from(["allowed", "denied"]),
    st.just("enforce"),
)


def key(place: int, hour: int = 0) -> CheckKey:
    """A key of its own for each number."""
    return CheckKey(hour * HOUR, f"c{place}", f"u{place}", f"f{place}", "entitled", "allowed", "enforce")


def whole(key: CheckKey) -> CheckKey:
    """What every level of folding keeps."""
    return fold(key, 3)._replace(folded=0)


@given(st.lists(st.tuples(KEYS, st.booleans()), max_size=dose(200, full=1000)), st.integers(0, 60))
def test_totals_stay_whole(asked: list[tuple[CheckKey, bool]], most: int) -> None:
    """Whatever is asked, however little room and however often taken: nothing is counted twice or lost silently."""
    tally, expected, found, lost = Tally(most), Counter[CheckKey](), Counter[CheckKey](), 0
    for one, taken in asked:
        tally.add(one)
        expected[whole(one)] += 1
        assert len(tally) <= most
        if taken:
            counts, missing = tally.take()
            lost += missing
            for counted, times in counts.items():
                found[whole(counted)] += times
    counts, missing = tally.take()
    for counted, times in counts.items():
        found[whole(counted)] += times
    assert not found - expected
    assert (expected - found).total() == lost + missing
    assert tally.take() == ({}, 0)


def test_with_room_every_key_is_counted_apart() -> None:
    """As long as there is room, each key has its own number and nothing is folded."""
    tally = Tally(100)
    for place in range(80):
        for _ in range(place + 1):
            tally.add(key(place))
    assert tally.take() == ({key(place): place + 1 for place in range(80)}, 0)


def test_the_user_gives_way_first_then_the_customer_then_the_feature() -> None:
    """Beyond 80 of 100 keys users are not told apart, beyond 90 customers, beyond 95 features; what is known stays."""
    tally = Tally(100)
    for place in range(120):
        tally.add(key(place))
    tally.add(key(0))
    counts, lost = tally.take()
    assert lost == 0
    assert Counter(one.folded for one in counts) == {0: 80, 1: 10, 2: 5, 3: 1}
    assert counts[key(0)] == 2
    assert fold(key(80), 1) in counts
    assert fold(key(80), 1) == key(80)._replace(user="", folded=1)
    assert counts[fold(key(0), 3)] == 120 - 95
    assert sum(counts.values()) == 121


def test_an_hour_remembers_its_keys_when_they_are_taken() -> None:
    """A second batch of the same hour has no more room than the first; a new hour has all of it."""
    tally = Tally(100)
    for place in range(80):
        tally.add(key(place))
    tally.take()
    tally.add(key(3))
    tally.add(key(500))
    counts, _ = tally.take()
    assert counts == {key(3): 1, fold(key(500), 1): 1}
    tally.add(key(500, hour=1))
    assert tally.take() == ({key(500, hour=1): 1}, 0)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_what_gave_way_is_never_taken_for_what_is_absent(level: int) -> None:
    """A folded key differs from that of a question that named no user, customer or feature."""
    named = key(1)
    customer, feature = ("" if level > 1 else named.customer), ("" if level > 2 else named.feature)
    absent = named._replace(customer=customer, user="", feature=feature)
    assert fold(named, level) != absent
    assert fold(named, level)[:4] == absent[:4]


def test_without_any_room_checks_are_counted_as_lost() -> None:
    """What cannot even be counted folded is said to be lost, never forgotten."""
    tally = Tally(0)
    tally.add(key(1))
    tally.lose(2)
    assert tally.lost == 3
    assert tally.take() == ({}, 3)


SAID = st.tuples(
    st.builds(UseKey, st.sampled_from(["acme", "globex", "initech"]), st.sampled_from(["projects", "seats"])),
    st.builds(SaidUse, st.integers(0, 9), st.integers(0, 5)),
)


@given(st.lists(SAID, max_size=dose(60, full=400)))
def test_the_newest_use_that_was_said_counts(said: list[tuple[UseKey, SaidUse]]) -> None:
    """Whatever order uses are said in, that of the latest instant is kept; at one instant the one said last."""
    uses = SaidUses()
    for key, use in said:
        uses.add(key, use)
    expected = dict(sorted(said, key=lambda one: one[1].said_at))
    assert uses.take() == expected
    assert uses.take() == {}


def test_uses_beyond_the_room_wait_for_the_next_check() -> None:
    """A use that finds no room is not kept; those that are known go on being replaced."""
    uses = SaidUses(2)
    for place in range(5):
        uses.add(UseKey(f"c{place}", "projects"), SaidUse(place, 0))
    uses.add(UseKey("c1", "projects"), SaidUse(8, 1))
    assert len(uses) == 2
    assert {key.customer: use.used for key, use in uses.take().items()} == {"c0": 0, "c1": 8}
