"""Waits, budget and breaker."""

from random import Random

from licet.sdk.pacing import BREAK_AFTER, BUDGET, LONGEST, REFILL, Pace


def test_waits_grow_and_stay_within_their_bounds() -> None:
    """Failure after failure the wait doubles, by chance between half of it and all, up to the longest."""
    for seed in range(50):
        pace = Pace(Random(seed))
        waits = [pace.failed(now) for now in range(10)]
        assert waits[0] <= 2 < LONGEST / 2 <= waits[-1] <= LONGEST


def test_quick_tries_come_from_a_budget() -> None:
    """Failures between which it works are answered quickly from a budget, then at the pace of its refill."""
    pace, now, quick = Pace(Random(1)), 0.0, 0
    while now < 3600:
        wait = pace.failed(now)
        quick += wait < LONGEST / 2
        now += wait
        pace.worked()
    assert quick <= BUDGET + 3600 * REFILL + 1


def test_the_breaker_opens_for_everything_and_closes_when_it_works() -> None:
    """After some failures in a row nothing else goes out until the feed's own next try, or success."""
    pace = Pace(Random(1))
    for _ in range(BREAK_AFTER - 1):
        pace.failed(0.0)
    assert not pace.open(0.0)
    wait = pace.failed(0.0)
    assert pace.open(wait - 0.01)
    assert not pace.open(wait)
    pace.failed(0.0)
    pace.worked()
    assert not pace.open(0.0)


def test_what_a_server_asks_for_is_kept_within_reason() -> None:
    """Retry-After is heeded with some chance on top, but not for longer than an hour and a bit."""
    assert 60 <= Pace(Random(1)).failed(0.0, 60.0) <= 73
    assert Pace(Random(1)).failed(0.0, 10.0**9) <= 3600 * 1.2 + 1
