"""The lane by itself, with a poster that only counts: batching, bounds, fairness, cancellation and its end."""

import asyncio
from collections import Counter as Counted
from collections.abc import Sequence

import pytest

from licet.services.errors import Invalid, Unavailable
from licet.services.rows import Actor
from licet.services.usage.jobs import Job, Reply, ReportJob, customers_of
from licet.services.usage.lane import MAX_REQUESTS, MAX_WAITING, Result, UsageLane
from licet.wire.usage import ConsumeAsked, EventsAnswer
from tests.services.usage.metered import told


class Counter:
    """Posts nothing; says of each job in which posting it was. ``gate`` holds postings back."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[list[Job]] = []
        self.flying = 0
        self.most = 0

    async def __call__(self, jobs: Sequence[Job]) -> Sequence[Result]:
        """Wait for the gate and answer."""
        self.batches.append([*jobs])
        self.flying += 1
        self.most = max(self.most, self.flying)
        await self.gate.wait()
        self.flying -= 1
        return [
            EventsAnswer(recorded=len(one.events), duplicates=0, ignored=0)
            if isinstance(one, ReportJob)
            else Invalid("bad")
            if customers_of([one]) == ["bad"]
            else Reply(b"{}")
            for one in jobs
        ]


def asker(key: str = "key:a") -> Actor:
    """Who asks."""
    return Actor(id=key, scopes=frozenset({"usage"}))


async def begin(lane: UsageLane, customer: str, many: int, key: str = "key:a") -> list[asyncio.Task[Reply]]:
    """Let many ask for one customer; returns once all wait."""
    asked = ConsumeAsked(customer=customer, feature="f")
    tasks = [asyncio.ensure_future(lane.consume(asker(key), asked)) for _ in range(many)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_gathers_goes_together() -> None:
    """While a posting is in flight everything else gathers, and goes in as few postings as it fits in."""
    poster = Counter()
    lane = UsageLane(poster)
    poster.gate.clear()
    tasks = await begin(lane, "acme", 1 + MAX_REQUESTS + 10)
    assert [len(one) for one in poster.batches] == [1]
    poster.gate.set()
    await asyncio.gather(*tasks)
    assert [len(one) for one in poster.batches] == [1, MAX_REQUESTS, 10]
    assert poster.most == 1


async def test_one_customer_leaves_room_for_others() -> None:
    """A customer with a long queue gets half of a posting while others wait, also behind one key."""
    poster = Counter()
    lane = UsageLane(poster)
    poster.gate.clear()
    noisy = await begin(lane, "noisy", 2_000)
    quiet = await begin(lane, "quiet", 100)
    other = await begin(lane, "other", 200, "key:b")
    poster.gate.set()
    await asyncio.gather(*quiet, *other)
    third = customers_counted(poster.batches[1])
    assert third["noisy"] <= MAX_REQUESTS // 2
    assert third["other"] == 200
    served = sum((customers_counted(one) for one in poster.batches[1:3]), start=customers_counted([]))
    assert served["quiet"] == 100
    await asyncio.gather(*noisy)


def customers_counted(batch: Sequence[Job]) -> Counted[str]:
    """How often each customer is in a posting."""
    return Counted(customer for job in batch for customer in customers_of([job]))


async def test_too_much_is_refused_and_said() -> None:
    """Beyond its bounds the lane says at once that it is full, and goes on with what it took."""
    poster = Counter()
    lane = UsageLane(poster)
    poster.gate.clear()
    tasks = await begin(lane, "acme", MAX_WAITING + 1)
    with pytest.raises(Unavailable, match="wait already"):
        await lane.consume(asker(), ConsumeAsked(customer="acme", feature="f"))
    poster.gate.set()
    assert len(await asyncio.gather(*tasks)) == MAX_WAITING + 1
    poster.gate.clear()
    large = [told("acme", "x", 1)]
    reports = [asyncio.ensure_future(lane.report(asker(), large, size=30_000_000)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await lane.report(asker(), large, size=30_000_000)
    poster.gate.set()
    assert [one.recorded for one in await asyncio.gather(*reports)] == [1] * 3


async def test_an_error_is_its_own() -> None:
    """What is wrong with one request fails nobody else of its posting; what fails the posting fails all of it."""
    poster = Counter()
    lane = UsageLane(poster)
    poster.gate.clear()
    good, bad = await begin(lane, "acme", 5), await begin(lane, "bad", 3)
    poster.gate.set()
    results = await asyncio.gather(*good, *bad, return_exceptions=True)
    assert [isinstance(one, Reply) for one in results] == [True] * 5 + [False] * 3


async def test_who_goes_away_undoes_nothing() -> None:
    """A caller that is cancelled while it waits is left out; while it is in flight nothing is undone."""
    poster = Counter()
    lane = UsageLane(poster)
    poster.gate.clear()
    flying, waiting, rest = await begin(lane, "acme", 1), await begin(lane, "acme", 1), await begin(lane, "acme", 2)
    flying[0].cancel()
    waiting[0].cancel()
    await asyncio.sleep(0)
    poster.gate.set()
    await asyncio.gather(*rest)
    assert [len(one) for one in poster.batches] == [1, 2]


async def test_the_end_waits_for_what_was_taken() -> None:
    """Closing takes nothing more, and returns when everything taken has its result."""
    poster = Counter()
    lane = UsageLane(poster)
    poster.gate.clear()
    tasks = await begin(lane, "acme", 700)
    closing = asyncio.ensure_future(lane.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="stopping"):
        await lane.consume(asker(), ConsumeAsked(customer="acme", feature="f"))
    assert not closing.done()
    poster.gate.set()
    await closing
    assert all(one.done() for one in tasks)


async def test_whoever_waits_for_a_posting_that_is_cut_off_is_told() -> None:
    """A posting that is cancelled tells whoever is in it to repeat; the lane goes on with the next."""
    poster = Counter()
    poster.gate.clear()
    lane = UsageLane(poster)
    cut, *others = await begin(lane, "acme", 3)
    (posting,) = lane._flying
    posting.cancel()
    with pytest.raises(Unavailable, match="cut off"):
        await asyncio.wait_for(cut, 2)
    poster.gate.set()
    assert [one.allowed for one in await asyncio.wait_for(asyncio.gather(*others), 2)] == [True, True]
    await lane.close()
