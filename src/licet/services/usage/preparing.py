"""The next posting of reports, decided and encoded while PostgreSQL writes the one before.

It goes by accounts as they stand once that one is committed, and by a log that does not move. In its own transaction
the rows are locked, and everything it went by is looked at again: where anything is not as expected, it is thrown away
and its jobs are posted as others are. Ids that came before are found by the insert, which collides.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.instant import SECOND
from licet.core.usage.account import Account
from licet.core.usage.admit import Batch, Decided, Refold, Report, begin, conclude
from licet.core.usage.facts import AccountKey, Fact, Funding
from licet.core.usage.recalled import EVERY
from licet.services.errors import ServiceError
from licet.services.usage.grounds import UsageGrounds
from licet.services.usage.held import Handed, HeldAccounts, is_due, row_of, without_late
from licet.services.usage.jobs import Job, ReportJob
from licet.services.usage.lane import Result
from licet.services.usage.lines import Lines, Named
from licet.services.usage.ports import BalanceRow, KeptKey, Posted, Posting
from licet.services.usage.work import REMEMBERED, SLICE, WHOLE
from licet.telemetry import log
from licet.wire.usage import EventsAnswer

QUIET: Final = 0.002
"""Seconds without another job after which what there is is encoded; what comes later is added all the same."""
LASTS: Final = 5 * SECOND
"""How long after it was begun it may be written: periods and rights hardly turn meanwhile, and courses reach on."""


class Unlike(Exception):
    """Something is not as it was taken to be: what was prepared is of no use."""


class Preparation:
    """A posting that is prepared on the one that ``tx`` is writing, and that ``handed`` over its accounts."""

    def __init__(
        self,
        tx: Posting,
        grounds: UsageGrounds,
        accounts: HeldAccounts,
        handed: Handed,
        pull: Callable[[], Job | None],
    ) -> None:
        self.jobs: list[Job] = []
        self.is_open = True
        self._pull = pull
        self._before = tx
        self._grounds = grounds
        self._accounts = accounts
        self._handed = handed
        self._now = self._newest = tx.later()
        self._lines = Lines(self.jobs, grounds, Named({}, {}), self._now)
        self._decided: Decided | None = None
        self._open: dict[AccountKey, Account] = {}
        self._rows: dict[AccountKey, BalanceRow] = {}
        self._serials: dict[AccountKey, int] = {}
        """Under which each row is expected; 0: under that of the posting before."""
        self._taken: dict[AccountKey, int] = {}
        self._marked: set[AccountKey] = set()
        self._versions: dict[str, tuple[int, int]] = {}
        """By customer of which terms and funding it went by."""
        self._catalog: CompiledCatalog | None = None
        self._posted: Posted | None = None
        self._broken = False
        self._stir = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def go_on(self) -> None:
        """Something came that may be pulled."""
        self._stir.set()
        if self.is_open and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._prepare())

    def close(self) -> bool:
        """Pull nothing more; return whether what was pulled may be written as it is prepared."""
        self.is_open = False
        self._stir.set()
        return not self._broken and not self._handed.failed

    async def ready(self) -> bool:
        """Return whether there is something to be written, once it is prepared."""
        self.close()
        if self._task is not None:
            await self._task
        return not self._broken and not self._handed.failed and self._posted is not None

    def give_up(self) -> None:
        """Prepare no further."""
        self._broken, self.is_open = True, False
        if self._task is not None:
            self._task.cancel()

    async def write(self, tx: Posting) -> Posted:
        """Lock, look at everything again, and return what is to be posted; raises Unlike."""
        posted, before = self._posted, self._handed
        if posted is None or before.failed or not before.serial:
            raise Unlike("it is not prepared, or what it is prepared on was not written")
        expected = [(key, self._serials[key] or before.serial, self._rows[key].as_of) for key in self._open]
        if not await tx.hold(expected):
            raise Unlike("another posting wrote the balances")
        clock, was = tx.workspace, self._before.workspace
        if clock != was:
            raise Unlike("the clock was set")
        if tx.tip != self._before.tip:
            await self._grounds.verify(tx.tip, self._versions)
            if self._catalog is not self._grounds.catalog or any(
                self._version(customer) != version for customer, version in self._versions.items()
            ):
                raise Unlike("catalog, terms or funding have changed")
        if not self._newest <= tx.time.business < self._now + LASTS:
            raise Unlike("time stood still or ran away")
        if await tx.due(list(self._open), tx.time.business):
            raise Unlike("a reservation has ended")
        return posted

    def hand(self, posted: Posted) -> Handed:
        """Hand the accounts over for the posting after this one."""
        handed = Handed()
        handed.hold(posted.balances, self._open)
        return handed

    def results(self) -> list[Result]:
        """Return what is answered to each job, once it is committed."""
        lines = self._lines
        told = dict.fromkeys(range(len(self.jobs)), 0)
        for line in lines.lines:
            told[line.place] += 1
        found: list[Result] = []
        for place in range(len(self.jobs)):
            result = lines.results.get(place)
            if result is None:
                duplicates, ignored = lines.counts[place]
                result = EventsAnswer(recorded=told[place], duplicates=duplicates, ignored=ignored)
            found.append(result)
        return found

    async def _prepare(self) -> None:
        try:
            while True:
                while self.is_open and (job := self._pull()) is not None:
                    self.jobs.append(job)
                    self._posted = None
                    await self._read(job)
                if self.is_open and await self._stirred():
                    continue
                if self.jobs and self._posted is None:
                    await self._finish()
                if not self.is_open or not self._stir.is_set():
                    return
        except (Unlike, Refold, ServiceError, OverflowError) as error:
            self._broken, self.is_open = True, False
            log("licet.usage").debug("not prepared", why=repr(error))

    async def _stirred(self) -> bool:
        """Wait a moment; return whether something came."""
        self._stir.clear()
        try:
            async with asyncio.timeout(QUIET):
                await self._stir.wait()
        except TimeoutError:
            return False
        return self.is_open

    async def _read(self, job: Job) -> None:
        """Read one job and decide its reports."""
        place, lines = len(self.jobs) - 1, self._lines
        if not isinstance(job, ReportJob):
            raise Unlike("not a report")
        new = [one for one in job.customers if one not in self._versions]
        await self._grounds.verify(self._before.tip, new)
        catalog = self._grounds.catalog
        if self._catalog not in (None, catalog):
            raise Unlike("the catalog has changed")
        self._catalog = catalog
        self._versions |= {one: self._version(one) for one in new}
        done = len(lines.lines)
        self._newest = self._before.later()
        lines.at(self._newest)
        lines.read(place)
        if self._decided is None:
            self._decided = begin(self._grounds.reaches, self._account, Batch(steps=[]), self._now)
        decided, border = self._decided, self._now - REMEMBERED
        for first in range(done, len(lines.lines), SLICE):
            await asyncio.sleep(0)
            for line in lines.lines[first : first + SLICE]:
                if type(line.step) is not Report or line.step.fact.effective < border:
                    raise Unlike("told of long ago")
                decided.outcomes.append(decided.reporting.take(line.step.fact))

    def _account(self, key: AccountKey) -> Account:
        held = self._handed.take(key) or self._accounts.take(key)
        if held is None:
            raise Unlike(f"{key} is not kept")
        account = held.on(self._grounds.course(key, self._now))
        if account is None or account.taken >= 2 * EVERY:
            raise Unlike(f"{key} is to be folded anew")
        self._open[key], self._rows[key] = account, held.row
        self._serials[key], self._taken[key] = held.serial, account.taken
        return account

    async def _finish(self) -> None:
        decided = self._decided
        if decided is None:
            raise Unlike("nothing was read")
        decided.reporting.end()
        admitted = conclude(decided, self._now, self._funding)
        if admitted.crossings or admitted.top_ups:
            raise Unlike("a threshold was crossed")
        facts: list[Fact] = [one.fact for one in decided.outcomes if one.fact is not None]
        if len(facts) != len(self._lines.lines) or not facts:
            raise Unlike("there is nothing to be written")
        checkpoints = self._checkpoints(admitted.changed, facts)
        balances = []
        for number, key in enumerate(admitted.changed, 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            account = self._open[key]
            balances.append(row_of(key, account, max(self._now, account.newest)))
        lines = self._lines.lines
        posted = Posted(
            facts=facts,
            sources=[line.source for line in lines],
            keys=[
                KeptKey(id=fact.id, body_hash=line.hash, serial=number, answer=b"")
                for number, (fact, line) in enumerate(zip(facts, lines, strict=True), 1)
            ],
            balances=balances,
            checkpoints=checkpoints,
        )
        await asyncio.sleep(0)
        self._posted = self._before.pack(posted)

    def _checkpoints(self, changed: Sequence[AccountKey], facts: Sequence[Fact]) -> list[BalanceRow]:
        due = {
            key: structs.replace(self._rows[key], serial=WHOLE)
            for key in changed
            if is_due(self._rows[key], self._open[key], self._taken[key])
        }
        without_late(due, facts, self._grounds)
        for key in due.keys() - self._marked:
            self._marked.add(key)
            self._open[key].taken -= self._taken[key]
        return list(due.values())

    def _version(self, customer: str) -> tuple[int, int]:
        ground = self._grounds.ground(customer)
        return (0 if ground.terms is None else ground.terms.revision), ground.funding_seq

    def _funding(self, customer: str) -> Sequence[Funding]:
        return self._grounds.ground(customer).funding
