"""The lane on which a workspace's usage is decided: what gathered while the last posting was in flight goes together.

There is no timer. A reply comes when the transaction that holds what it says is committed. For one event loop.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct

from licet.services.errors import Unavailable
from licet.services.rows import Actor
from licet.services.usage.jobs import (
    Job,
    Offer,
    Reply,
    ReportJob,
    admitting,
    correcting,
    lapsing,
    owning,
    releasing,
    reporting,
    settling,
)
from licet.wire.quota import QuotaCall
from licet.wire.usage import CloudEvent, ConsumeAsked, CorrectionAsked, EventsAnswer, ReserveAsked, SettleAsked

MAX_REQUESTS: Final = 512
"""Requests of one posting."""
MAX_POSTED_EVENTS: Final = 10_000
"""Events of one posting."""
IN_FLIGHT: Final = 1
"""Postings of one workspace and process at a time: a second one would mostly wait for the balances of the first, and
what gathers meanwhile goes together for the price of one."""
MAX_WAITING: Final = 10_000
"""Requests of one workspace and process that wait."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Bytes of events among them, about."""

Result = Reply | EventsAnswer | Exception


class Poster(Protocol):
    """Whoever posts: one transaction for all of the jobs, one result for each."""

    async def __call__(self, jobs: Sequence[Job]) -> Sequence[Result]:
        """Decide and record; an exception among the results is that job's alone, one that is raised is everybody's."""
        ...


class Preparing(Protocol):
    """The next posting while it is prepared: it pulls what it prepares out of the lane, one after the other."""

    @property
    def is_open(self) -> bool:
        """Whether it pulls more."""
        ...

    def go_on(self) -> None:
        """Something came that it may pull."""
        ...

    def close(self) -> bool:
        """Pull nothing more; return whether it may serve."""
        ...


@runtime_checkable
class Ahead(Protocol):
    """A poster that prepares the next posting while the one in flight is written."""

    pull: Callable[[], Job | None]
    """Set by the lane: returns what goes into the next posting after what was pulled before it, if there is any."""

    def preparing(self) -> Preparing | None:
        """Return the next posting; None where there is nothing to prepare it on."""
        ...


class Waiting(Struct, eq=False):
    """A job that waits, and who wants its result."""

    job: Job
    owner: str
    """The customer, or who reports."""
    key: str
    events: int
    size: int
    done: Callable[[Result], None]
    wanted: "asyncio.Future[Reply | EventsAnswer] | None"
    """Canceled where nobody wants the result any more."""


class UsageLane:
    """One workspace's lane. Every call returns when what it says is durable; a refusal is a reply, not an error.

    Raises Unavailable where too much waits or the lane was closed, and what is wrong with the request alone:
    Invalid, NotFound, Conflict (a reservation that was closed or has expired), KeyReused.
    """

    def __init__(self, post: Poster) -> None:
        self._post = post
        self._queue: deque[Waiting] = deque()
        self._bytes = 0
        self._flying: set[asyncio.Task[None]] = set()
        self._closed = False
        self._next: list[Waiting] = []
        """What goes next, and is prepared."""
        self._events = 0
        """Of those."""
        self._ahead = post if isinstance(post, Ahead) else None
        """The same, where it can prepare a posting; asked once, for it takes a microsecond or more."""
        if self._ahead is not None:
            self._ahead.pull = self._pull

    async def consume(self, actor: Actor, asked: ConsumeAsked, key: str | None = None) -> Reply:
        """Decide and record use; ``key`` is the idempotency key where ``asked`` has none. JSON of ``ConsumeAnswer``."""
        return await self._reply(admitting(actor, "consume", asked, key))

    async def reserve(self, actor: Actor, asked: ReserveAsked, key: str | None = None) -> Reply:
        """Set a quantity aside until it is settled, released or over. JSON of ``ConsumeAnswer``."""
        return await self._reply(admitting(actor, "reserve", asked, key))

    async def settle(self, actor: Actor, reservation: str, asked: SettleAsked, key: str | None = None) -> Reply:
        """End a reservation with what it came to. JSON of ``ClosingAnswer``."""
        return await self._reply(settling(actor, reservation, asked, key))

    async def release(self, actor: Actor, reservation: str, key: str | None = None) -> Reply:
        """End a reservation that came to nothing. JSON of ``ClosingAnswer``."""
        return await self._reply(releasing(actor, reservation, key))

    async def report(self, actor: Actor, events: Sequence[CloudEvent], *, size: int | None = None) -> EventsAnswer:
        """Record events of usage, at most 10,000; all of them or none. ``size`` is how many bytes they came in."""
        found = await self._submit(reporting(actor, events, size))
        if not isinstance(found, EventsAnswer):
            raise TypeError("a report is answered by counts")
        return found

    async def correct(self, actor: Actor, asked: CorrectionAsked, key: str | None = None) -> Reply:
        """Give back a part of what was consumed or reported. JSON of ``ConsumeAnswer``: what was given back."""
        return await self._reply(correcting(actor, asked, key))

    async def quota(self, actor: Actor, call: QuotaCall) -> Reply:
        """Answer what an evaluator asks and tells of its leases. JSON of ``QuotaAnswer``.

        Raises Conflict (``quota_disagreement``) where it told what cannot be; then nothing of the call is kept.
        """
        return await self._reply(owning(actor, call))

    async def lapse(self, actor: Actor, leases: Sequence[str]) -> Reply:
        """Charge leases in full whose time or epoch is over by now; nothing happens to others."""
        return await self._reply(lapsing(actor, leases))

    def take(
        self, offer: Offer, done: Callable[[Result], None], wanted: "asyncio.Future[Reply | EventsAnswer] | None" = None
    ) -> None:
        """Let a job wait, and call ``done`` once with its result, never before this returns; it must not raise.

        A job whose ``wanted`` was canceled before it went is left out.
        """
        if self._closed:
            raise Unavailable("the server is stopping", advice="repeat the request with the same key in a moment")
        size = offer.size
        if len(self._queue) >= MAX_WAITING or (size and self._bytes + size > MAX_WAITING_BYTES):
            raise Unavailable(
                f"{len(self._queue)} requests wait already; no more are taken",
                advice="repeat the request with the same key in a second, and send less at once",
            )
        job = offer.job
        self._queue.append(Waiting(job, offer.owner, job.actor.id, offer.events, size, done, wanted))
        self._bytes += size
        self._start()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    async def close(self) -> None:
        """Take nothing more, and return when everything taken has its result."""
        self._closed = True
        while self._flying:
            await asyncio.wait(set(self._flying))

    async def _reply(self, offer: Offer) -> Reply:
        found = await self._submit(offer)
        if not isinstance(found, Reply):
            raise TypeError("a request is answered by a reply")
        return found

    async def _submit(self, offer: Offer) -> Reply | EventsAnswer:
        wanted: asyncio.Future[Reply | EventsAnswer] = asyncio.get_running_loop().create_future()
        self.take(offer, partial(_settle, wanted), wanted)
        # The future is the caller's alone: where it goes away, what is in flight goes on.
        return await wanted

    def _start(self) -> None:
        while (self._next or self._queue) and len(self._flying) < IN_FLIGHT:
            preparing = self._preparing()
            serves = preparing is not None and preparing.close()
            if self._next and not serves:
                self._bytes += sum(one.size for one in self._next)
                self._queue.extendleft(reversed(self._next))
                self._next = []
            batch, self._next, self._events = self._next, [], 0
            batch = batch or self._take()
            if not batch:
                return
            task = asyncio.get_running_loop().create_task(self._fly(batch))
            self._flying.add(task)
            task.add_done_callback(self._landed)
        if self._queue and self._flying:
            preparing = self._preparing()
            if preparing is not None and preparing.is_open:
                preparing.go_on()

    def _preparing(self) -> Preparing | None:
        return None if self._ahead is None else self._ahead.preparing()

    def _pull(self) -> Job | None:
        """Take a report out of the queue for the next posting; where many wait, they wait for their share of it."""
        while self._queue and len(self._next) + len(self._queue) <= MAX_REQUESTS // 2:
            one = self._queue[0]
            if type(one.job) is not ReportJob or self._events + one.events > MAX_POSTED_EVENTS:
                return None
            self._queue.popleft()
            self._bytes -= one.size
            if not _is_unwanted(one):
                self._next.append(one)
                self._events += one.events
                return one.job
        return None

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        self._start()

    def _take(self) -> list[Waiting]:
        """Take from the queue what goes together, in the order of arrival."""
        if any(map(_is_unwanted, self._queue)):
            self._bytes -= sum(one.size for one in self._queue if _is_unwanted(one))
            self._queue = deque(one for one in self._queue if not _is_unwanted(one))
        if len(self._queue) <= MAX_REQUESTS // 2 and sum(one.events for one in self._queue) <= MAX_POSTED_EVENTS:
            chosen = list(self._queue)
            self._queue.clear()
        else:
            places = share(self._queue)
            chosen = [one for place, one in enumerate(self._queue) if place in places]
            self._queue = deque(one for place, one in enumerate(self._queue) if place not in places)
        self._bytes -= sum(one.size for one in chosen)
        return chosen

    async def _fly(self, batch: list[Waiting]) -> None:
        results: Sequence[Result]
        try:
            results = await self._post([one.job for one in batch])
        except asyncio.CancelledError:
            self._tell(batch, [_cut_off()] * len(batch))
            raise
        except Exception as error:  # noqa: BLE001 whoever waits learns what it was
            results = [error] * len(batch)
        self._tell(batch, results)

    @staticmethod
    def _tell(batch: Sequence[Waiting], results: Sequence[Result]) -> None:
        for one, result in zip(batch, results, strict=True):
            try:
                one.done(result)
            except Exception as error:  # noqa: BLE001 the others get theirs
                asyncio.get_running_loop().call_exception_handler({"message": "a reply failed", "exception": error})


def _cut_off() -> Unavailable:
    return Unavailable(
        "the posting was cut off: whether it was written is not known", advice="repeat the request with the same key"
    )


def _is_unwanted(one: Waiting) -> bool:
    return one.wanted is not None and one.wanted.cancelled()


def _settle(wanted: "asyncio.Future[Reply | EventsAnswer]", result: Result) -> None:
    if wanted.done():
        return
    if isinstance(result, Exception):
        wanted.set_exception(result)
    else:
        wanted.set_result(result)


def share(queue: Sequence[Waiting] | deque[Waiting]) -> set[int]:
    """Return the places in a queue that go into the next posting.

    First nobody gets more than half of it: no customer and no key; then what room is left goes to customers that wait
    behind the same key, then to whoever waits.
    """
    taken: set[int] = set()
    events = 0
    owners, keys = Counter[str](), Counter[str]()
    limits: tuple[Callable[[Waiting], bool], ...] = (
        lambda one: max(owners[one.owner], keys[one.key]) < MAX_REQUESTS // 2,
        lambda one: owners[one.owner] < MAX_REQUESTS // 2,
        lambda _: True,
    )
    for fits in limits:
        for place, one in enumerate(queue):
            if len(taken) >= MAX_REQUESTS:
                return taken
            if place in taken or not fits(one) or (events and events + one.events > MAX_POSTED_EVENTS):
                continue
            taken.add(place)
            events += one.events
            owners[one.owner] += 1
            keys[one.key] += 1
    return taken


class UsageLanes:
    """The lanes of all workspaces of one process; ``poster`` makes who posts for a workspace."""

    def __init__(self, poster: Callable[[str], Poster]) -> None:
        self._poster = poster
        self._lanes: dict[str, UsageLane] = {}

    def of(self, workspace: str) -> UsageLane:
        """Return the lane of a workspace."""
        lane = self._lanes.get(workspace)
        if lane is None:
            lane = self._lanes[workspace] = UsageLane(self._poster(workspace))
        return lane

    async def close(self) -> None:
        """Take nothing more, and return when everything taken has its result."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
