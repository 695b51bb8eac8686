"""The work of one posting, step by step, inside its transaction; and the replies, once that is committed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct, structs

from licet.core.instant import DAY, Instant
from licet.core.question import UserFacts
from licet.core.usage.account import Account
from licet.core.usage.admit import Admitted, Batch, Correction, Decided, Outcome, Purse, Refold, Report, begin, conclude
from licet.core.usage.balance import Draw
from licet.core.usage.facts import AccountKey, Closing, Fact, Funding, Request, Reservation
from licet.core.usage.recalled import EVERY, Recalled
from licet.services.usage.answers import (
    Refusals,
    accepted_answer,
    closing_answer,
    corrected_answer,
    encode,
    error_of,
    refused_answer,
)
from licet.services.usage.balances import meter_of
from licet.services.usage.finding import chained_id, find
from licet.services.usage.gathering import Wanted, pasts_of
from licet.services.usage.grounds import UsageGrounds
from licet.services.usage.held import Handed, HeldAccounts, is_due, row_of, without_late
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.jobs import (
    AdmitJob,
    CloseJob,
    Job,
    Reply,
    Reservations,
    customers_of,
)
from licet.services.usage.lane import Result
from licet.services.usage.lines import Line, Lines, Named, fact_keys, step_id
from licet.services.usage.marks import record_crossings, record_top_ups, refused_row
from licet.services.usage.owning import LeaseBook, OwningStep, Shelf, recalled_of, shelved
from licet.services.usage.ports import BalanceRow, Collided, KeptKey, Posted, Posting
from licet.services.usage.refolding import Span, settled
from licet.telemetry import log
from licet.wire.usage import EventsAnswer

REMEMBERED = 30 * DAY
"""What is told of longer ago is looked for among the facts: its key may be forgotten."""
SLICE = 250
"""Steps that are decided, and balances that are opened or written down, before others have their turn: some ms."""
WHOLE = 1
"""Marks a checkpoint that holds all there was when it was written, and not only what was effective by then."""
_NO_SOURCE = b"{}"


def _nobody(_: Handed) -> None:
    pass


class _Written(Struct):
    """What is gathered for the one statement that writes."""

    facts: list[Fact]
    sources: list[bytes]
    keys: list[KeptKey]
    reservations: dict[str, Reservation]


class Beyond(Exception):
    """What ended by itself took of balances that were not locked: begin again, and lock ``keys`` too."""

    def __init__(self, keys: Collection[AccountKey]) -> None:
        super().__init__(f"{len(keys)} more balances are to be locked")
        self.keys = keys


class Work:
    """One attempt at posting jobs, which locks the balances they touch and those ``beyond`` them.

    Those to be ``recalled`` are folded anew.
    """

    def __init__(
        self,
        tx: Posting,
        grounds: UsageGrounds,
        known: Reservations,
        jobs: Sequence[Job],
        accounts: HeldAccounts,
        *,
        beyond: Collection[AccountKey] = (),
        recalled: Collection[AccountKey] = (),
        handing: Callable[[Handed], None] = _nobody,
    ) -> None:
        self._tx = tx
        self._accounts = accounts
        self._handing = handing
        self._handed: Handed | None = None
        self._serial = 0
        self._beyond = beyond
        self._grounds = grounds
        self._known = known
        self._jobs = jobs
        self._rows: dict[AccountKey, BalanceRow] = {}
        self._open: dict[AccountKey, Purse] = {}
        self._recalled = set(recalled)
        self._taken: dict[AccountKey, int] = {}
        self._bodies: dict[int, bytes] = {}
        self._repeats: dict[int, bytes] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._short: set[int] = set()
        self._made: list[Fact] = []
        self._basis = ""
        self._told = Counter[int]()
        self._shelf: Shelf | None = None
        self._book: LeaseBook | None = None

    async def run(self) -> None:
        """Do everything up to the commit; raises Collided where another posting was met, and Beyond."""
        tx = self._tx
        named = await find(tx, self._jobs, self._known)
        await self._verify(named)
        self._lines = Lines(self._jobs, self._grounds, named, tx.time.business)
        await self._read()
        keys = sorted({*self._lines.keys(), *self._beyond})
        tip = tx.tip
        self._rows = await tx.lock(keys)
        if tx.tip != tip:
            await self._verify(named)
            if not self._lines.keys() <= set(keys):
                raise Collided("what is touched has changed meanwhile")
        self._now = tx.time.business
        self._basis = f"{tx.workspace.epoch}:{tx.tip}"
        if self._lines.are_reports():
            admitted = await self._reported(keys)
            if admitted is not None:
                await self._write(admitted)
                return
        self._repeats = self._lines.repeated(await tx.kept(self._lines.ids()))
        self._lines.known(await tx.told(self._lines.older(self._now - REMEMBERED)))
        if not self._lines.lines:
            return
        steps = self._lines.owning()
        rows = await shelved(tx, steps)
        leased = [lease_fact_id(one) for one in rows]
        reservations = await tx.reservations([*self._lines.closings(), *leased])
        self._lines.settle(reservations)
        due = await tx.due(keys, self._now)
        held = [*due, *(reservations[one] for one in leased if one in reservations)]
        beyond = {key for one in held for key in fact_keys(self._grounds, one.fact)}.difference(keys)
        if beyond:
            raise Beyond(beyond)
        if steps:
            recalled = await recalled_of(tx, steps)
            self._shelf = Shelf(rows, reservations, recalled, tx.workspace.epoch, tx.time)
        admitted = await self._admit(keys, reservations, due)
        await self._write(admitted)

    async def _reported(self, keys: Sequence[AccountKey]) -> Admitted | None:
        """Decide reports while the database is asked whether any of them came before: mostly none did.

        None where one did, or they are not that simple: then nothing was decided.
        """
        ahead = asyncio.ensure_future(self._ahead(keys))
        try:
            before = (
                await self._tx.kept(self._lines.ids())
                or await self._tx.told(self._lines.older(self._now - REMEMBERED))
                or await self._tx.due(keys, self._now)
            )
            decided = await ahead
        finally:
            ahead.cancel()
        return None if before or decided is None else conclude(decided, self._now, self._funding)

    async def _ahead(self, keys: Sequence[AccountKey]) -> Decided | None:
        """Decide as if nothing came before, without asking the database; None where that cannot be."""
        self._open = {}
        for number, key in enumerate(keys, 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            account = self._load(key)
            if account is None or account.taken >= 2 * EVERY:
                return None
            self._open[key] = account
        try:
            return await self._decide(Batch(steps=[line.step for line in self._lines.lines]))
        except (Refold, Collided, OverflowError) as error:
            # What is wrong is found again without what came before.
            log("licet.usage").debug("not decided ahead", why=repr(error))
            return None

    async def _decide(self, batch: Batch) -> Decided:
        decided = begin(self._grounds.reaches, self._account, batch, self._now)
        for done in range(0, len(batch.steps), SLICE):
            if done:
                await asyncio.sleep(0)
            decided.go_on(SLICE)
        return decided

    async def _read(self) -> None:
        known = 0
        for place in range(len(self._jobs)):
            lines = self._lines.read(place)
            if lines - known > SLICE:
                known = lines
                await asyncio.sleep(0)

    def failed(self) -> None:
        """Nothing was written: whoever prepares anything on it is told."""
        if self._handed is not None:
            self._handed.fail()

    def committed(self, known: Reservations) -> None:
        """Remember what is durable now."""
        if self._handed is not None:
            self._handed.commit(self._serial, self._accounts)
        for fact in self._made:
            if fact.kind in ("reserve", "lease"):
                known.put(fact)

    async def results(self, refusals: Refusals) -> list[Result]:
        """Return what is answered to each job; remedies of refusals are looked for here, after the commit."""
        lines = self._lines
        self._told = Counter(line.place for line in lines.lines)
        found: list[Result] = []
        for number, job in enumerate(self._jobs):
            place = lines.alike.get(number, number)
            if place in lines.results:
                found.append(lines.results[place])
            elif place in lines.counts:
                found.append(self._events_answer(place))
            elif place in self._repeats:
                found.append(Reply(self._repeats[place], repeated=True))
            elif place in self._bodies:
                found.append(Reply(self._bodies[place], repeated=place != number))
            else:
                found.append(await self._refused(place, job, refusals))
        return found

    def short(self) -> list[int]:
        """Return the places of jobs that were refused for want of what was put on by itself after them."""
        alike = self._lines.alike
        return [number for number in range(len(self._jobs)) if alike.get(number, number) in self._short]

    async def _refused(self, place: int, job: Job, refusals: Refusals) -> Result:
        outcome = self._outcomes[place]
        if outcome.error is not None:
            named = job.reservation if isinstance(job, CloseJob) else "what is named"
            return error_of(outcome, named)
        views = []
        team = job.asked.team if isinstance(job, AdmitJob) else None
        for told in refusals.outlooks.told(outcome.refusals, team, self._grounds, self._open, self._now):
            views.append(refusals.view(told, self._now, self._basis))
            await asyncio.sleep(0)
        return Reply(encode(refused_answer(outcome, views)), allowed=False)

    def _events_answer(self, place: int) -> EventsAnswer:
        duplicates, ignored = self._lines.counts[place]
        return EventsAnswer(recorded=self._told[place], duplicates=duplicates, ignored=ignored)

    async def _verify(self, named: Named) -> None:
        facts = [*named.reservations.values(), *(one.fact for one in named.corrected.values() if one is not None)]
        customers = dict.fromkeys([*customers_of(self._jobs), *(fact.customer for fact in facts)])
        users = {
            (job.asked.customer, job.asked.user): None
            for job in self._jobs
            if isinstance(job, AdmitJob) and job.asked.user is not None
        }
        await self._grounds.verify(self._tx.tip, customers, users)

    async def _admit(
        self, keys: Sequence[AccountKey], reservations: dict[str, Reservation], due: Sequence[Reservation]
    ) -> Admitted:
        """Decide; an account that must be folded anew for it is, and everything is decided again."""
        for line in self._lines.lines:
            if type(line.step) is Correction:
                self._recalled.update(fact_keys(self._grounds, line.step.of))
        while True:
            await self._open_all(keys, due)
            self._lines.refuse_gone(self._gone())
            self._lines.draw(self._draws())
            self._book = None if self._shelf is None else LeaseBook(self._shelf)
            for owning in self._lines.owning():
                owning.book = self._book
            batch = Batch(
                steps=[line.step for line in self._lines.lines],
                users=self._users(),
                reservations=reservations,
                due=due,
            )
            try:
                decided = await self._decide(batch)
            except Refold as again:
                if again.keys <= self._recalled:
                    raise
                self._recalled |= again.keys
                continue
            for account in self._open.values():
                if isinstance(account, Recalled):
                    await settled(account)
            return conclude(decided, self._now, self._funding)

    def _users(self) -> dict[tuple[str, str], UserFacts]:
        found = {}
        for line in self._lines.lines:
            step = line.step
            if isinstance(step, Request) and step.user is not None:
                facts = self._grounds.user(step.customer, step.user)
                if isinstance(facts, UserFacts):
                    found[step.customer, step.user] = facts
        return found

    def _funding(self, customer: str) -> Sequence[Funding]:
        return self._grounds.ground(customer).funding

    def _account(self, key: AccountKey) -> Purse:
        found = self._open.get(key)
        if found is None:
            raise Collided(f"{key} was not locked: what is touched has changed meanwhile")
        return found

    async def _open_all(self, keys: Sequence[AccountKey], due: Sequence[Reservation]) -> None:
        """Open every locked account as it is kept; where that does not serve, from its facts."""
        self._open = {}
        firsts: dict[AccountKey, Instant] | None = None
        wanted: dict[AccountKey, Wanted] = {}
        for number, key in enumerate(keys, 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            row, account = self._rows.get(key), self._load(key)
            if account is not None and row is not None and account.taken >= 2 * EVERY:
                firsts = self._lines.firsts(due) if firsts is None else firsts
                # Among late facts none of its states is a checkpoint as it is: one is made of its past.
                if firsts.get(key, self._now) <= row.as_of:
                    self._recalled.add(key)
                    account = None
            if account is not None:
                self._open[key] = account
                continue
            firsts = self._lines.firsts(due) if firsts is None else firsts
            meter = meter_of(self._grounds.catalog, key.feature)
            before = min(firsts.get(key, self._now), self._now)
            wanted[key] = Wanted(self._grounds.course(key, self._now), meter, before)
        if wanted:
            pasts = await pasts_of(self._tx, list(wanted.values()), Span(self._now, noted=True))
            for key, past in zip(wanted, pasts, strict=True):
                self._open[key] = await settled(past.recalled())

    def _load(self, key: AccountKey) -> Account | None:
        """Return a locked account as it is kept; None where that does not serve."""
        row = self._rows.get(key)
        if row is None or key in self._recalled:
            return None
        held, course = self._accounts.take(key), self._grounds.course(key, self._now)
        if held is not None and held.serial == row.serial and held.row.state == row.state:
            account = held.on(course)
        else:
            account = Account.load(course, row.state)
        if account is not None:
            self._taken[key] = account.taken
        return account

    def _gone(self) -> set[str]:
        """The corrected facts that are not among those that balances are folded from."""
        found: set[str] = set()
        for line in self._lines.lines:
            if type(line.step) is Correction and not any(one.undoes for one in line.step.back):
                name = line.step.of.id
                accounts = [self._open.get(key) for key in fact_keys(self._grounds, line.step.of)]
                if any(isinstance(one, Recalled) and not one.holds(name) for one in accounts):
                    found.add(name)
        return found

    def _draws(self) -> dict[str, dict[str, tuple[Draw, ...]]]:
        """What is left of what corrected facts drew."""
        found: dict[str, dict[str, tuple[Draw, ...]]] = {}
        for line in self._lines.lines:
            if type(line.step) is Correction:
                of = line.step.of
                for key in fact_keys(self._grounds, of):
                    account = self._open.get(key)
                    if isinstance(account, Recalled):
                        found.setdefault(of.id, {})[key.feature] = account.draws.get(of.id, ())
        return found

    async def _write(self, admitted: Admitted) -> None:
        """Write everything that came of it."""
        written = _Written([], [], [], {})
        for fact, reservation in admitted.released:
            written.facts.append(fact)
            written.sources.append(_NO_SOURCE)
            written.reservations[reservation.fact.id] = reservation
        refusals = []
        topped = {(one.key.customer, one.key.feature) for one in admitted.top_ups}
        for number, (line, outcome) in enumerate(zip(self._lines.lines, admitted.outcomes, strict=True), 1):
            if number % (4 * SLICE) == 0:
                await asyncio.sleep(0)
            if outcome.fact is not None:
                self._accepted(line, outcome, written)
            elif isinstance(line.step, OwningStep):
                self._owned(line, outcome, written)
            elif outcome.accepted and isinstance(line.step, Request):
                # Of a customer that is not there: its feature's mode permits it, and nothing is recorded.
                self._bodies[line.place] = encode(accepted_answer(line.step, outcome, self._grounds.catalog))
            else:
                self._outcomes[line.place] = outcome
                if any((one.case.customer, one.case.feature) in topped for one in outcome.refusals):
                    self._short.add(line.place)
                    continue
                refused = refused_row(line.step, outcome, self._now)
                if refused is not None:
                    refusals.append(refused)
        self._made = written.facts
        book = self._book
        leases = [] if book is None else list(book.changed.values())
        if not (written.facts or refusals or written.reservations or admitted.top_ups or leases):
            return
        await self._redrawn(written.reservations)
        await record_crossings(self._tx, self._grounds.catalog, admitted.crossings)
        await record_top_ups(self._tx, self._grounds.catalog, admitted.top_ups)
        checkpoints = await self._checkpoints(admitted.changed, written.facts)
        posted = Posted(
            facts=written.facts,
            sources=written.sources,
            keys=written.keys,
            balances=await self._balances(admitted.changed),
            checkpoints=checkpoints,
            refusals=refusals,
            reservations=list(written.reservations.values()),
            leases=leases,
            issued=frozenset() if book is None else frozenset(book.issued),
        )
        handed = self._handed = Handed()
        # What refusals are told looks at accounts after the commit.
        alone = self._lines.are_reports()
        handed.hold(posted.balances, self._open, whole=alone)
        if alone and not (admitted.crossings or admitted.top_ups or admitted.released):
            self._handing(handed)
        self._serial = await self._tx.post(posted) + len(posted.facts) - 1

    def _owned(self, line: Line, outcome: Outcome, written: _Written) -> None:
        """Gather what is written of a step about leases, and its answer."""
        for fact, reservation in outcome.asides:
            written.facts.append(fact)
            written.sources.append(line.source)
            written.reservations[reservation.fact.id] = reservation
        answer = line.step.answer if isinstance(line.step, OwningStep) else None
        self._bodies[line.place] = b"{}" if answer is None else encode(answer)

    def _accepted(self, line: Line, outcome: Outcome, written: _Written) -> None:
        """Gather what is written of an accepted step, and its answer."""
        fact, step = outcome.fact, line.step
        if fact is None:
            return
        written.facts.append(fact)
        written.sources.append(line.source)
        serial = len(written.facts)
        if outcome.reservation is not None:
            written.reservations[outcome.reservation.fact.id] = outcome.reservation
        if type(step) is Report:
            written.keys.append(KeptKey(id=fact.id, body_hash=line.hash, serial=serial, answer=b""))
            return
        catalog = self._grounds.catalog
        if isinstance(step, Request):
            body = encode(accepted_answer(step, outcome, catalog))
        elif isinstance(step, Closing):
            body = encode(closing_answer(step, outcome, catalog))
        elif isinstance(step, Correction):
            body = encode(corrected_answer(outcome, catalog, self._grounds.metering, step.of))
            chained = chained_id(step.of.id, len(step.back))
            written.keys.append(KeptKey(id=chained, body_hash=line.hash, serial=serial, answer=encode(fact)))
        else:
            raise TypeError(f"nobody knows how {step.id} is answered")
        self._bodies[line.place] = body
        # Also what cannot be repeated is found by its id, for corrections.
        if line.keyed or isinstance(step, Request):
            written.keys.append(KeptKey(id=step_id(step), body_hash=line.hash, serial=serial, answer=body))

    async def _redrawn(self, reservations: dict[str, Reservation]) -> None:
        """Let open reservations say what they draw by now, where a balance they drew from was folded anew."""
        found = dict(reservations)
        for account in self._open.values():
            if not isinstance(account, Recalled):
                continue
            rest = [one for one in account.draws if one not in found]
            for one in (await self._tx.reservations(rest)).values() if rest else ():
                if one.closed is None:
                    found[one.fact.id] = one
        for name, reservation in found.items():
            draws = dict(reservation.draws)
            for key in fact_keys(self._grounds, reservation.fact):
                held = self._open.get(key)
                if isinstance(held, Recalled) and name in held.draws:
                    draws[key.feature] = held.draws[name]
            if draws != reservation.draws:
                reservations[name] = structs.replace(reservation, draws=draws)

    async def _balances(self, keys: Sequence[AccountKey]) -> list[BalanceRow]:
        found = []
        for number, key in enumerate(keys, 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            found.append(self._balance(key))
        return found

    def _balance(self, key: AccountKey) -> BalanceRow:
        account = self._account(key)
        kept = account.account if isinstance(account, Recalled) else account
        if not isinstance(kept, Account):
            raise TypeError(f"{key} is kept by an account")
        return row_of(key, kept, max(self._now, kept.newest))

    async def _checkpoints(self, changed: Sequence[AccountKey], facts: Sequence[Fact]) -> list[BalanceRow]:
        """What balances were before this posting, where a day is over or many facts came, and none is a late one."""
        found: list[BalanceRow] = []
        due: dict[AccountKey, BalanceRow] = {}
        for key in changed:
            account, row = self._account(key), self._rows.get(key)
            if isinstance(account, Recalled):
                rebased = account.rebased()
                if rebased is not None:
                    found.append(structs.replace(row_of(key, rebased, rebased.newest), serial=WHOLE))
                for one in account.checkpoints():
                    found.append(row_of(key, one, one.newest))
                    await asyncio.sleep(0)
            elif row is not None and isinstance(account, Account) and is_due(row, account, self._taken.get(key, 0)):
                due[key] = row
        if not due:
            return found
        without_late(due, facts, self._grounds)
        for key in due:
            account = self._account(key)
            if isinstance(account, Account):
                account.taken -= self._taken.get(key, 0)
        return [*found, *due.values()]
