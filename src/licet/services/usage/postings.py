"""One posting: locks, what came before, what it rests on, what ended by itself, admission, everything written at once.

A posting that met another one is repeated from its beginning. One job that makes it fail is found by posting each
alone.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from random import random
from typing import Final

from licet.core.instant import Instant
from licet.core.usage.facts import AccountKey
from licet.services.errors import Invalid, ServiceError, Unavailable
from licet.services.rows import Actor
from licet.services.truth import Catalogs
from licet.services.usage.answers import Refusals
from licet.services.usage.grounds import LaneStorage, UsageGrounds
from licet.services.usage.jobs import CorrectJob, Job, Reservations
from licet.services.usage.lane import Result, UsageLanes
from licet.services.usage.ports import Bared, Collided
from licet.services.usage.work import Beyond, Work

TRIES: Final = 6
"""How often a posting is begun where it meets another one."""
_PAUSE: Final = 0.01
POSTING: Final = Actor(id="system:usage")
"""Who is named in the events that postings leave: thresholds and automatic top-ups."""


Thinned = Callable[[str, Mapping[AccountKey, Instant]], None]
"""Told of a workspace's balances of which late facts took checkpoints, and since when."""


def _nobody(_workspace: str, _taken: Mapping[AccountKey, Instant]) -> None:
    pass


class Postings:
    """Whoever posts for one workspace; ``chance`` returns numbers in ``[0, 1)``, by which it waits before repeating."""

    def __init__(
        self,
        storage: LaneStorage,
        workspace: str,
        catalogs: Catalogs,
        chance: Callable[[], float],
        thinned: Thinned = _nobody,
    ) -> None:
        self._thinned = thinned
        self._storage = storage
        self._workspace = workspace
        self._chance = chance
        self._refusals = Refusals()
        self._reservations = Reservations()
        self.grounds = UsageGrounds(storage, workspace, catalogs)

    async def __call__(self, jobs: Sequence[Job]) -> list[Result]:
        """Post jobs in one transaction; an exception among the results is that job's alone.

        Raises Unavailable where the database is away.
        """
        again = _corrected_again(jobs)
        if again:
            return await self._in_turns(jobs, again)
        try:
            found, short = await self._repeated(jobs)
            return await self._once_more(jobs, found, short) if short else found
        except Collided:
            if len(jobs) == 1:
                return [_busy()]
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

    async def _in_turns(self, jobs: Sequence[Job], again: Collection[int]) -> list[Result]:
        """Post what corrects something a second time after the rest: it must see what the first gave back."""
        first = [place for place in range(len(jobs)) if place not in again]
        found: dict[int, Result] = {}
        for places in (first, sorted(again)):
            found.update(zip(places, await self([jobs[place] for place in places]), strict=True))
        return [found[place] for place in range(len(jobs))]

    async def _once_more(self, jobs: Sequence[Job], results: list[Result], short: Sequence[int]) -> list[Result]:
        """Decide again, once, what was refused before something was put on its balance by itself."""
        try:
            later, _ = await self._repeated([jobs[place] for place in short])
        except Exception:  # noqa: BLE001 what was answered first is recorded, and stays
            return results
        found = dict(zip(short, later, strict=True))
        return [found.get(place, result) for place, result in enumerate(results)]

    async def _repeated(self, jobs: Sequence[Job]) -> tuple[list[Result], list[int]]:
        beyond: set[AccountKey] = set()
        recalled: set[AccountKey] = set()
        attempt = 0
        while True:
            try:
                return await self._post(jobs, beyond, recalled)
            except Beyond as found:
                beyond.update(found.keys)
            except Bared as found:
                if recalled.issuperset(found.keys):
                    raise
                recalled.update(found.keys)
            except Collided:
                attempt += 1
                if attempt == TRIES:
                    raise
                await asyncio.sleep(_PAUSE * self._chance() * 2**attempt)

    async def _post(
        self, jobs: Sequence[Job], beyond: Collection[AccountKey], recalled: Collection[AccountKey]
    ) -> tuple[list[Result], list[int]]:
        """Return the results, and the places of those to be decided once more."""
        async with self._storage.post(self._workspace, POSTING) as tx:
            work = Work(tx, self.grounds, self._reservations, jobs, beyond, recalled=recalled)
            await work.run()
        work.committed(self._reservations)
        if tx.taken:
            self._thinned(self._workspace, tx.taken)
        return await work.results(self._refusals), work.short()


def _corrected_again(jobs: Sequence[Job]) -> set[int]:
    """Return the places of jobs that correct what one before them corrects."""
    seen: set[tuple[str, object]] = set()
    found = set()
    for place, job in enumerate(jobs):
        if isinstance(job, CorrectJob):
            named = (job.asked.customer, job.asked.id or job.asked.event)
            if named in seen:
                found.add(place)
            seen.add(named)
    return found


def _busy() -> Unavailable:
    return Unavailable("these balances are changed by too many at once", advice="repeat the request with the same key")


def _too_much() -> Invalid:
    return Invalid(
        "the quantities come to more than is kept (2^63 in minor units)", advice="check the quantity and its unit"
    )


def open_lanes(
    storage: LaneStorage, catalogs: Catalogs, chance: Callable[[], float] = random, thinned: Thinned = _nobody
) -> UsageLanes:
    """Return the lanes of all workspaces of a storage; close them before it."""
    return UsageLanes(lambda workspace: Postings(storage, workspace, catalogs, chance, thinned))
