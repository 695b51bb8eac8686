"""What ten thousand clients do to a server that was away."""

from collections import Counter

from licet.sdk.flow import Plan
from licet.sdk.pacing import LONGEST
from tests.dose import dose
from tests.sdk.followers import LATENCY, Town

DOWN, UP = 25.0, 145.0
PLAN = Plan(url="http://licet.example", spread=20.0)


def test_everybody_is_fresh_again_within_one_poll_and_nobody_storms() -> None:
    """10,000 followers of a server that was gone for two minutes: all are fresh within one poll interval after it is
    back, no second has more requests than a third of them, and while it is away and after, not more than an eighth.
    """
    many = dose(10_000, full=40_000)
    town = Town(many, 7, ((DOWN, UP),), PLAN)
    town.run(UP + LONGEST + 3 * LATENCY)
    assert all(one.heard >= UP for one in town.followers)
    assert all(one.following.connected and one.following.error is None for one in town.followers)
    rates = Counter(int(at) for at in town.requests)
    assert max(rates.values()) <= many / 3
    assert max(rate for second, rate in rates.items() if second >= DOWN + 30) <= many / 8


def test_the_same_seed_is_the_same_course() -> None:
    """A run can be repeated: one seed gives the same requests at the same instants, another seed others."""

    def requests(seed: int) -> list[float]:
        town = Town(50, seed, ((10.0, 60.0), (70.0, 71.0)), PLAN)
        town.run(120.0)
        return town.requests

    assert requests(1) == requests(1) != requests(2)


def test_a_server_that_comes_and_goes_is_not_hammered() -> None:
    """A server that is there for one second in ten gets, over ten minutes, no more than one request in five seconds
    from each follower on average: quick retries come from a budget.
    """
    outages = tuple((float(start), start + 9.0) for start in range(1, 600, 10))
    town = Town(20, 3, outages, PLAN)
    town.run(600.0)
    assert len(town.requests) / len(town.followers) <= 600 / 5
