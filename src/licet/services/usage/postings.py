"""One posting: locks, what came before, what it rests on, what ended by itself, admission, everything written at once.

A posting that met another one is repeated from its beginning. One job that makes it fail is found by posting each
alone.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import is_not
from random import random
from typing import Final

from licet.core.instant import Instant
from licet.core.usage.facts import AccountKey
from licet.hub.lease import Disagreement
from licet.services.errors import Invalid, ServiceError, Unavailable
from licet.services.rows import Actor
from licet.services.truth import Catalogs
from licet.services.usage.answers import Refusals
from licet.services.usage.grounds import LaneStorage, UsageGrounds
from licet.services.usage.held import Handed, HeldAccounts
from licet.services.usage.jobs import CorrectJob, Job, Reservations
from licet.services.usage.lane import Result, UsageLanes
from licet.services.usage.owning import disagreed
from licet.services.usage.ports import Bared, Collided, Posting
from licet.services.usage.preparing import Preparation, Unlike
from licet.services.usage.work import Beyond, Work
from licet.telemetry import log

PLAINLY: Final = 8
"""After a posting was prepared in vain, so many are not prepared."""
TRIES: Final = 6
"""How often a posting is begun where it meets another one."""
_PAUSE: Final = 0.01
POSTING: Final = Actor(id="system:usage")
"""Who is named in the events that postings leave: thresholds and automatic top-ups."""


Thinned = Callable[[str, Mapping[AccountKey, Instant]], None]
"""Told of a workspace's balances of which late facts took checkpoints, and since when."""


def _nobody(_workspace: str, _taken: Mapping[AccountKey, Instant]) -> None:
    pass


def _nothing() -> Job | None:
    return None


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
        self._accounts = HeldAccounts()
        self._next: Preparation | None = None
        self._plainly = 0
        """How many postings more are not prepared."""
        self.prepared = 0
        """How many postings were written as they were prepared."""
        self.pull: Callable[[], Job | None] = _nothing
        """Returns what is to be prepared next, if anything."""
        self.grounds = UsageGrounds(storage, workspace, catalogs)

    def preparing(self) -> Preparation | None:
        """Return what the next posting is prepared in; None where the one in flight is nothing to prepare it on."""
        return self._next

    async def __call__(self, jobs: Sequence[Job]) -> list[Result]:
        """Post jobs in one transaction; an exception among the results is that job's alone.

        Raises Unavailable where the database is away.
        """
        prepared, self._next = self._next, None
        if prepared is not None:
            found = await self._prepared(prepared, jobs)
            if found is not None:
                return found
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
                return [_as_told(error)]
        # Something is wrong with one of them: nobody else fails because of it.
        results: list[Result] = []
        for job in jobs:
            results += await self([job])
        return results

    async def _prepared(self, prepared: Preparation, jobs: Sequence[Job]) -> list[Result] | None:
        """Post what was prepared; None where it is of no use: then nothing of it was written."""
        if len(jobs) != len(prepared.jobs) or any(map(is_not, jobs, prepared.jobs)) or not await prepared.ready():
            prepared.give_up()
            return None
        handed = Handed()
        try:
            async with self._storage.post(self._workspace, POSTING) as tx:
                posted = await prepared.write(tx)
                handed = prepared.hand(posted)
                self._hand(tx, handed)
                serial = await tx.post(posted) + len(posted.facts) - 1
        except (Unlike, Bared, Collided) as error:
            handed.fail()
            self._plainly = PLAINLY
            log("licet.usage").debug("thrown away", why=repr(error))
            return None
        except BaseException:
            handed.fail()
            raise
        handed.commit(serial, self._accounts)
        self.prepared += 1
        if tx.taken:
            self._thinned(self._workspace, tx.taken)
        return prepared.results()

    def _hand(self, tx: Posting, handed: Handed) -> None:
        """Let the next posting be prepared on what is written now."""
        if self._plainly:
            self._plainly -= 1
        elif self._next is None:
            self._next = Preparation(tx, self.grounds, self._accounts, handed, self.pull)
            self._next.go_on()

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
        except Exception as error:  # noqa: BLE001 what was answered first is recorded, and stays
            log("licet.usage").warning("not decided once more", why=repr(error))
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
        work = None
        try:
            async with self._storage.post(self._workspace, POSTING) as tx:
                known, hand = self._reservations, partial(self._hand, tx)
                work = Work(
                    tx, self.grounds, known, jobs, self._accounts, beyond=beyond, recalled=recalled, handing=hand
                )
                await work.run()
        except BaseException:
            if work is not None:
                work.failed()
            raise
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


def _as_told(error: Exception) -> Exception:
    """Return what whoever asked is told of an error."""
    if isinstance(error, OverflowError):
        return _too_much()
    return disagreed(error) if isinstance(error, Disagreement) else error


def _too_much() -> Invalid:
    return Invalid(
        "the quantities come to more than is kept (2^63 in minor units)", advice="check the quantity and its unit"
    )


def open_lanes(
    storage: LaneStorage, catalogs: Catalogs, chance: Callable[[], float] = random, thinned: Thinned = _nobody
) -> UsageLanes:
    """Return the lanes of all workspaces of a storage; close them before it."""
    return UsageLanes(lambda workspace: Postings(storage, workspace, catalogs, chance, thinned))
