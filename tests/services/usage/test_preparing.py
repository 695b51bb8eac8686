"""A posting that is prepared while the one before is written comes to what it would have come to without that."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from licet.services.rows import Actor, Page
from licet.services.truth import Catalogs
from licet.services.usage.funding import give_grant
from licet.services.usage.funding_views import GiveGrant
from licet.services.usage.jobs import reporting
from licet.services.usage.lane import UsageLane
from licet.services.usage.ports import Collided, Posting, UsageFilter
from licet.services.usage.postings import Postings
from licet.store.postgres import PostgresStorage
from licet.wire.usage import CloudEvent, EventsAnswer
from tests.services.usage.metered import CALLER, Place, place_in, told

Turn = Callable[[], Awaitable[None]]
CUSTOMERS = [f"c{number}" for number in range(5)]
KINDS = ("llm.tokens", "llm.tokens", "llm.tokens", "llm.tokens", "llm.tokens", "llm.tokens", "api.call", "disk.level")


class Turns:
    """The storage, with something that happens before a posting begins, or instead of its commit."""

    def __init__(self, storage: PostgresStorage) -> None:
        self._storage = storage
        self.before: list[Turn | None] = []
        self.failures: list[Exception | None] = []

    def read(self, workspace: str) -> AbstractAsyncContextManager[Any]:
        """Begin to read."""
        return self._storage.read(workspace)

    @asynccontextmanager
    async def post(self, workspace: str, actor: Actor) -> AsyncIterator[Posting]:
        """Begin a posting when the turn before it is over; end it as the next failure says."""
        turn = self.before.pop(0) if self.before else None
        failure = self.failures.pop(0) if self.failures else None
        if turn is not None:
            await turn()
        async with self._storage.post(workspace, actor) as tx:
            yield tx
            if failure is not None:
                raise failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


class Bench:
    """A lane whose postings are prepared, and another process beside it."""

    def __init__(self, place: Place, turns: Turns) -> None:
        self.place = place
        self.turns = turns
        self.postings = Postings(turns, "test", Catalogs(), lambda: 0.5)
        self.other = Postings(place.storage, "test", Catalogs(), lambda: 0.5)
        self.lane = UsageLane(self.postings)

    async def report(self, *reports: Sequence[CloudEvent]) -> list[EventsAnswer | BaseException]:
        """Report all at once: the first is posted alone, the others are prepared while it is written."""
        return await asyncio.gather(*(self.lane.report(CALLER, one) for one in reports), return_exceptions=True)

    async def used(self, feature: str = "tokens") -> list[int]:
        """What each customer used by its balance."""
        return [int((await self.place.balance(feature, one)).used) for one in CUSTOMERS]

    async def facts(self, prefix: str = "c") -> list[tuple[Any, ...]]:
        """What is recorded about customers, by serial."""
        async with self.place.storage.read("test") as view:
            rows = await view.usage_facts(UsageFilter(), Page(limit=500))
        return [
            (one.fact.customer[1:], one.fact.effective, dict(one.fact.metered), dict(one.fact.burns))
            for one in rows
            if one.fact.customer.startswith(prefix)
        ]


@pytest.fixture
async def bench(storage: PostgresStorage) -> AsyncIterator[Bench]:
    """A bench where five customers have tokens, each of which reported once."""
    async with place_in(storage) as place:
        for customer in CUSTOMERS:
            await place.join(customer, "team")
        made = Bench(place, Turns(storage))
        await made.report([tokens(customer, f"first-{customer}") for customer in CUSTOMERS])
        yield made
        await made.lane.close()


def tokens(customer: str, name: str, quantity: int = 1, **rest: Any) -> CloudEvent:
    """A report of tokens."""
    return told(customer, name, quantity, kind="llm.tokens", **rest)


def each(name: str, quantity: int = 1) -> list[CloudEvent]:
    """One report about each customer."""
    return [tokens(customer, f"{name}-{customer}", quantity) for customer in CUSTOMERS]


def recorded(answers: Sequence[EventsAnswer | BaseException]) -> list[int]:
    """How many events each answer says were recorded; an error is raised."""
    found = []
    for one in answers:
        if isinstance(one, BaseException):
            raise one
        found.append(one.recorded)
    return found


async def test_what_comes_while_a_posting_is_written_is_prepared_and_written_as_it_is(bench: Bench) -> None:
    """Reports that come while another is posted are written as they were prepared, each once and on each balance."""
    answers = await bench.report(*(each(f"r{number}", number + 1) for number in range(6)))
    assert recorded(answers) == [5] * 6
    assert bench.postings.prepared
    assert await bench.used() == [22] * 5
    again = await bench.report(*(each(f"s{number}") for number in range(6)))
    assert recorded(again) == [5] * 6
    assert bench.postings.prepared >= 2, "one is prepared on what another one that was prepared has written"
    assert await bench.used() == [28] * 5


async def test_another_process_that_writes_in_between_is_seen(bench: Bench) -> None:
    """Where another process writes the same balances in between, the preparation is thrown away, and all is counted."""

    async def between() -> None:
        results = await bench.other([reporting(CALLER, each("other", 100), None).job])
        assert isinstance(results[0], EventsAnswer)

    bench.turns.before = [None, between]
    assert recorded(await bench.report(*(each(f"r{number}") for number in range(4)))) == [5] * 4
    assert not bench.postings.prepared
    assert await bench.used() == [105] * 5
    assert recorded(await bench.report(*(each(f"s{number}") for number in range(4)))) == [5] * 4
    assert await bench.used() == [109] * 5


async def test_a_funding_in_between_is_seen(bench: Bench) -> None:
    """Where something is put on a balance in between, the numbers that are kept of it hold that too."""
    before = (await bench.place.balance("tokens", "c0")).granted

    async def between() -> None:
        async with bench.place.write() as tx:
            await give_grant(tx, "c0", GiveGrant(feature="tokens", amount=50), bench.place.catalogs)

    bench.turns.before = [None, between]
    assert recorded(await bench.report(*(each(f"r{number}") for number in range(4)))) == [5] * 4
    assert not bench.postings.prepared
    after = await bench.place.balance("tokens", "c0")
    assert (int(after.granted), int(after.used)) == (int(before) + 50, 5)


@pytest.mark.parametrize("failure", [Collided("met another"), RuntimeError("broken")])
async def test_what_was_prepared_on_a_failed_posting_is_thrown_away(bench: Bench, failure: Exception) -> None:
    """Where a posting fails, nothing of it is in what was prepared on it: what is recorded is on the balances."""
    bench.turns.failures = [failure]
    answers = await bench.report(*(each(f"r{number}") for number in range(4)))
    failed = sum(isinstance(one, RuntimeError) for one in answers)
    assert failed == (1 if isinstance(failure, RuntimeError) else 0)
    assert await bench.used() == [5 - failed] * 5
    assert len(await bench.facts()) == 5 * (5 - failed)


async def test_a_prepared_posting_that_fails_at_its_commit_leaves_nothing(bench: Bench) -> None:
    """Where a prepared posting collides at its end, it is posted plainly; what was prepared on it is thrown away."""
    bench.turns.failures = [None, Collided("met another")]
    assert recorded(await bench.report(*(each(f"r{number}") for number in range(4)))) == [5] * 4
    assert await bench.used() == [5] * 5
    assert len(await bench.facts()) == 25


async def test_an_event_told_again_while_it_is_written_counts_once(bench: Bench) -> None:
    """An event that stands in a posting and in the one prepared on it is recorded once and told as a duplicate."""
    answers = await bench.report(each("same"), [*each("same"), *each("new")], each("same"))
    assert sum(recorded(answers)) == 10
    assert sum(one.duplicates for one in answers if isinstance(one, EventsAnswer)) == 10
    assert await bench.used() == [3] * 5


async def test_late_events_are_prepared_or_not_and_counted_all_the_same(bench: Bench) -> None:
    """Reports of before, of last month and of long ago come to the same whether they are prepared or not."""
    now = await bench.place.now()
    ages = [timedelta(seconds=2), timedelta(hours=3), timedelta(days=45), timedelta(0)]
    reports = [
        [tokens(customer, f"late-{place}-{customer}", 3, time=now - age) for customer in CUSTOMERS]
        for place, age in enumerate(ages)
    ]
    assert recorded(await bench.report(*reports)) == [5] * 4
    assert len(await bench.facts()) == 25
    balances = [await bench.place.balance("tokens", one) for one in CUSTOMERS]
    assert len({int(one.used) for one in balances}) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_mixture_comes_to_the_same_prepared_or_not(bench: Bench, seed: int) -> None:
    """Random reports about customers, and the same about their twins in another process without preparing: alike."""
    rng = random.Random(seed)
    for customer in CUSTOMERS:
        await bench.place.join(f"t{customer[1:]}", "team")
    twins = [tokens(f"t{customer[1:]}", f"first-t{customer}") for customer in CUSTOMERS]
    await bench.other([reporting(CALLER, twins, None).job])
    now = await bench.place.now()
    rounds = []
    for turn in range(8):
        reports = []
        for place in range(rng.randrange(1, 6)):
            about = [
                (
                    rng.randrange(5),
                    rng.randrange(1, 40),
                    rng.choice(KINDS),
                )
                for _ in range(rng.randrange(1, 8))
            ]
            at = now - timedelta(seconds=rng.choice((0, 0, 1, 60, 90_000)), microseconds=-(turn * 100 + place))
            reports.append([(*one, at, f"{turn}-{place}-{number}") for number, one in enumerate(about)])
        rounds.append(reports)
    for reports in rounds:
        mine = [[told(f"c{c}", n, q, kind=kind, time=at) for c, q, kind, at, n in one] for one in reports]
        theirs = [[told(f"t{c}", f"t{n}", q, kind=kind, time=at) for c, q, kind, at, n in one] for one in reports]
        answers = await bench.report(*mine)
        others = [(await bench.other([reporting(CALLER, one, None).job]))[0] for one in theirs]
        assert answers == others
    assert bench.postings.prepared
    first = len(CUSTOMERS)
    mine_facts, their_facts = (await bench.facts("c"))[first:], (await bench.facts("t"))[first:]
    assert mine_facts == their_facts
    for feature in ("tokens", "calls", "disk"):
        for customer in CUSTOMERS:
            one = await bench.place.balance(feature, customer)
            twin = await bench.place.balance(feature, f"t{customer[1:]}")
            assert (one.used, one.granted, one.remaining) == (twin.used, twin.granted, twin.remaining)
