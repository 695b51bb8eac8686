"""One posting: locks, what came before, what it rests on, what ended by itself, admission, everything written at once.

A posting that met another one is repeated from its beginning. One job that makes it fail is found by posting each
alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import random
from typing import Final

from licet.services.errors import Invalid, ServiceError, Unavailable
from licet.services.rows import Actor
from licet.services.truth import Catalogs
from licet.services.usage_answers import Refusals
from licet.services.usage_grounds import LaneStorage, UsageGrounds
from licet.services.usage_jobs import Job, Reservations
from licet.services.usage_lane import Result, UsageLanes
from licet.services.usage_ports import Collided
from licet.services.usage_work import Work

TRIES: Final = 6
"""How often a posting is begun where it meets another one."""
_PAUSE: Final = 0.01
POSTING: Final = Actor(id="system:usage")
"""Who is named in the events that postings leave: thresholds and automatic top-ups."""


class Postings:
    """Whoever posts for one workspace; ``chance`` returns numbers in ``[0, 1)``, by which it waits before repeating."""

    def __init__(self, storage: LaneStorage, workspace: str, catalogs: Catalogs, chance: Callable[[], float]) -> None:
        self._storage = storage
        self._workspace = workspace
        self._chance = chance
        self._refusals = Refusals()
        self._reservations = Reservations()
        self.grounds = UsageGrounds(storage, workspace, catalogs)

    async def __call__(self, jobs: Sequence[Job]) -> list[Result]:
        """Post jobs in one transaction; an exception among the results is that job's alone.

        Raises Unavailable where the database is away, or where other postings are met again and again.
        """
        try:
            return await self._repeated(jobs)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 whose it is, is seen by posting each alone
            if len(jobs) == 1:
                return [_too_much() if isinstance(error, OverflowError) else error]
        # Something is wrong with one of them: nobody else fails because of it.
        results: list[Result] = []
        for job in jobs:
            results += await self([job])
        return results

    async def _repeated(self, jobs: Sequence[Job]) -> list[Result]:
        for attempt in range(TRIES):
            try:
                return await self._post(jobs)
            except Collided:
                await asyncio.sleep(_PAUSE * self._chance() * 2**attempt)
        raise Unavailable(
            "these balances are changed by too many at once", advice="repeat the request with the same key"
        )

    async def _post(self, jobs: Sequence[Job]) -> list[Result]:
        async with self._storage.post(self._workspace, POSTING) as tx:
            work = Work(tx, self.grounds, self._reservations, jobs)
            await work.run()
        work.committed(self._reservations)
        return await work.results(self._refusals)


def _too_much() -> Invalid:
    return Invalid(
        "the quantities come to more than is kept (2^63 in minor units)", advice="check the quantity and its unit"
    )


def open_lanes(storage: LaneStorage, catalogs: Catalogs, chance: Callable[[], float] = random) -> UsageLanes:
    """Return the lanes of all workspaces of a storage; close them before it."""
    return UsageLanes(lambda workspace: Postings(storage, workspace, catalogs, chance))
