"""A poster of tests: it decides nothing and writes nothing, and takes as long as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import structs

from licet.api.app import create_app
from licet.api.serving import Manner, bound_socket, serving
from licet.services.signing import make_keysets
from licet.services.usage.jobs import CloseJob, CorrectJob, Job, LapseJob, QuotaJob, Reply, ReportJob
from licet.services.usage.lane import Result, UsageLanes
from licet.settings import Settings
from licet.wire.quota import LeaseGiven, QuotaAnswer
from licet.wire.usage import ClosingAnswer, ConsumeAnswer, EventsAnswer
from licet.wiring import assemble
from tests.api.house import UNHURRIED, House, root_of
from tests.store.worlds import OPERATOR, World


class FakePoster:
    """Answers every job by what it says alone, once the gate is open; keeps what it was given."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.errors: dict[str, Exception] = {}
        """By the customer of a consume, or of the first lease asked for."""
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, jobs: Sequence[Job]) -> Sequence[Result]:
        """Answer a posting."""
        self.jobs += jobs
        await self.gate.wait()
        return [self._answer(job) for job in jobs]

    def _answer(self, job: Job) -> Result:
        if isinstance(job, ReportJob):
            return EventsAnswer(recorded=len(job.events), duplicates=0, ignored=0)
        if isinstance(job, CloseJob):
            closing = ClosingAnswer(id=job.reservation, closed="released" if job.asked is None else "settled")
            return Reply(msgspec.json.encode(closing))
        if isinstance(job, LapseJob):
            return Reply(b"{}")
        called = [one.customer for one in job.call.asks] if isinstance(job, QuotaJob) else [job.asked.customer]
        customer = called[0] if called else ""
        error = self.errors.get(customer)
        if error is not None:
            return error
        if isinstance(job, QuotaJob):
            given = (LeaseGiven(id=one.id, epoch=1, amount=one.wanted, seconds=120.0, left=7) for one in job.call.asks)
            return Reply(msgspec.json.encode(QuotaAnswer(number=job.call.number, epoch=1, given=tuple(given))))
        if isinstance(job, CorrectJob):
            return Reply(msgspec.json.encode(ConsumeAnswer(allowed=True, reason="within_limit", id=f"use_{job.id}")))
        made = f"{'use' if job.kind == 'consume' else 'res'}_{job.id if job.keyed else 32 * '0'}"
        said = ConsumeAnswer(allowed=True, reason="within_limit", id=made, quantity=job.asked.quantity)
        repeated = job.keyed and any(one is not job and getattr(one, "id", None) == job.id for one in self.jobs)
        return Reply(msgspec.json.encode(said), repeated=repeated)


@asynccontextmanager
async def open_counter(world: World, poster: FakePoster, manner: Manner | None = None) -> AsyncIterator[House]:
    """Run a server whose lanes end at a poster of tests."""
    async with world.storage(size=4) as storage:
        await make_keysets(storage, OPERATOR, root_of)
        built = assemble(storage, world.access, Settings(), pace=UNHURRIED)
        parts = structs.replace(built.parts, lanes=UsageLanes(lambda _: poster))
        built = structs.replace(built, parts=parts, app=create_app(parts))
        with bound_socket("127.0.0.1", 0) as bound:
            async with serving(built.app, bound, manner or Manner(shutdown_seconds=5)) as port:
                house = House(f"http://127.0.0.1:{port}", built, storage)
                try:
                    yield house
                finally:
                    await house.close()
