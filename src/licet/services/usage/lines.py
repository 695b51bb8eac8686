"""The jobs of a posting, read: which steps they are, which balances they touch, and what came of each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from licet.core.instant import Instant, format_instant
from licet.core.usage.admit import Correction, Report, Step
from licet.core.usage.balance import Draw
from licet.core.usage.facts import AccountKey, Closing, Fact, Request, Reservation
from licet.core.usage.reach import holder_of, keys_of
from licet.services.errors import Conflict, KeyReused, NotFound, ServiceError
from licet.services.usage.grounds import UsageGrounds
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.jobs import AdmitJob, CloseJob, CorrectJob, Job, LapseJob, QuotaJob, ReportJob
from licet.services.usage.lane import Result
from licet.services.usage.meters import ReadEvents, read_events, unknown_subjects
from licet.services.usage.owning import OwningStep
from licet.services.usage.ports import KeptKey
from licet.services.usage.reservations import unknown_reservation
from licet.services.usage.steps import closing_of, correction_of, request_of

MAX_BACK: Final = 64
"""Corrections of one fact."""


class Line(Struct, gc=False):
    """One step and the job it is of."""

    place: int
    """Of the job."""
    step: Step
    hash: bytes
    keyed: bool
    source: bytes
    """JSON: what else is known of where it came from."""


class Corrected(Struct, frozen=True):
    """What a correction is about: the fact, and what was given back of it so far."""

    fact: Fact
    back: tuple[Fact, ...]


class Named(Struct):
    """What jobs name besides customers: reservations and facts, found before anything is locked."""

    reservations: dict[str, Fact]
    corrected: dict[str, Corrected | None]
    """By the job's id; None where nothing is found."""


class _Asker(Struct, frozen=True, omit_defaults=True):
    key: str
    """Who asked."""
    feature: str = ""
    """What was asked for first."""
    note: str = ""
    """Why, of a correction."""


class Lines:
    """The steps of a posting in the order of arrival, and the results of jobs that need none."""

    def __init__(self, jobs: Sequence[Job], grounds: UsageGrounds, named: Named, now: Instant) -> None:
        self.jobs = jobs
        self.results: dict[int, Result] = {}
        self.lines: list[Line] = []
        self.counts: dict[int, tuple[int, int]] = {}
        """By job: duplicates and ignored events."""
        self.alike: dict[int, int] = {}
        """Jobs that say what an earlier one of this posting says, under the same key."""
        self._grounds = grounds
        self._named = named
        self._now = now
        self._seen: dict[str, tuple[int, bytes]] = {}
        self._subjects: set[str] = set()
        """Customers that are there."""

    def at(self, now: Instant) -> None:
        """Read what comes next as of an instant, never before that of what was read before."""
        self._now = max(self._now, now)

    def read(self, place: int) -> int:
        """Read a job, one after the other; return how many lines there are by now."""
        try:
            self._read(place, self.jobs[place])
        except ServiceError as error:
            self.results[place] = error
        return len(self.lines)

    def keys(self) -> set[AccountKey]:
        """Return the balances that the steps touch."""
        found: set[AccountKey] = set()
        spans: dict[tuple[str, ...], tuple[Instant, Instant]] = {}
        for line in self.lines:
            step = line.step
            if type(step) is Report and len(step.fact.metered) == 1:
                fact = step.fact
                span = spans.get((fact.customer, *fact.metered))
                if span is not None and span[0] <= fact.effective < span[1]:
                    continue
                self._reach(fact, spans)
            found.update(self._touched(step))
        return found

    def ids(self) -> list[str]:
        """Return the ids of steps that may have come before."""
        return [step_id(line.step) for line in self.lines if line.keyed or type(line.step) is Report]

    def are_reports(self) -> bool:
        """Whether there are steps, and each is a report."""
        return bool(self.lines) and all(type(line.step) is Report for line in self.lines)

    def closings(self) -> list[str]:
        """Return the reservations that steps end."""
        return [line.step.reservation for line in self.lines if type(line.step) is Closing]

    def owning(self) -> list[OwningStep]:
        """Return the steps about quota leases."""
        return [line.step for line in self.lines if isinstance(line.step, OwningStep)]

    def repeated(self, kept: dict[str, KeptKey]) -> dict[int, bytes]:
        """Take out what came before; return the answers given then, by job. What says something else is an error."""
        answers: dict[int, bytes] = {}
        if not kept and not any(type(line.step) is Correction for line in self.lines):
            return answers
        left = []
        for line in self.lines:
            known = kept.get(step_id(line.step))
            if known is None:
                if type(line.step) is Correction and len(line.step.back) >= MAX_BACK:
                    self.results[line.place] = _corrected_often()
                left.append(line)
            elif known.body_hash != line.hash:
                self.results[line.place] = reused(line.step)
            elif type(line.step) is Report:
                duplicates, ignored = self.counts[line.place]
                self.counts[line.place] = (duplicates + 1, ignored)
            else:
                answers[line.place] = known.answer
        self.lines = [line for line in left if line.place not in self.results]
        return answers

    def older(self, border: Instant) -> list[Fact]:
        """Return what is told of before an instant."""
        steps = (line.step for line in self.lines)
        return [step.fact for step in steps if type(step) is Report and step.fact.effective < border]

    def known(self, told: set[str]) -> None:
        """Take out what is recorded, though no key says so any more: it counts as a duplicate."""
        if not told:
            return
        for line in self.lines:
            if step_id(line.step) in told:
                duplicates, ignored = self.counts[line.place]
                self.counts[line.place] = (duplicates + 1, ignored)
        self.lines = [line for line in self.lines if step_id(line.step) not in told]

    def settle(self, reservations: dict[str, Reservation]) -> None:
        """Read the closings anew now that their reservations are locked, and corrections once their draws are known."""
        for line in self.lines:
            if type(line.step) is not Closing:
                continue
            job = self.jobs[line.place]
            if isinstance(job, CloseJob):
                found = reservations.get(line.step.reservation)
                if found is not None:
                    line.step = closing_of(job, found, self._grounds.catalog)

    def firsts(self, due: Sequence[Reservation]) -> dict[AccountKey, Instant]:
        """Return by balance from when on its past matters: to reports, and to what is given back."""
        found: dict[AccountKey, Instant] = {}
        parts = [(one.fact.effective, fact_keys(self._grounds, one.fact)) for one in due]
        for line in self.lines:
            step = line.step
            if type(step) is Report:
                parts.append((step.fact.effective, list(self._touched(step))))
            elif isinstance(step, Closing | Correction):
                of = step.of if isinstance(step, Correction) else self._named.reservations[step.reservation]
                parts.append((of.effective, fact_keys(self._grounds, of)))
            elif isinstance(step, OwningStep):
                parts.extend((one.effective, fact_keys(self._grounds, one)) for one in self._leased(step))
        for at, keys in parts:
            found |= {key: min(at, found.get(key, at)) for key in keys}
        return found

    def refuse_gone(self, gone: set[str]) -> None:
        """Refuse corrections of facts of which is not known any more what they drew."""
        for line in self.lines:
            if type(line.step) is Correction and line.step.of.id in gone:
                self.results[line.place] = _gone(line.step.of)
        self.lines = [line for line in self.lines if line.place not in self.results]

    def draw(self, draws: dict[str, dict[str, tuple[Draw, ...]]]) -> None:
        """Give corrections what is left of what their facts drew, by fact and feature."""
        for line in self.lines:
            if type(line.step) is Correction:
                line.step = msgspec.structs.replace(line.step, draws=draws.get(line.step.of.id, {}))

    def _read(self, place: int, job: Job) -> None:
        if isinstance(job, ReportJob):
            self._read_events(place, job)
            return
        if isinstance(job, QuotaJob | LapseJob):
            source = msgspec.json.encode(_Asker(job.actor.id), order="sorted")
            self.lines.append(Line(place, OwningStep(job), b"", False, source))
            return
        before = self._seen.get(job.id)
        if before is not None:
            if before[1] != job.hash:
                raise reused_key()
            self.alike[place] = before[0]
            return
        first = note = ""
        step: Step
        if isinstance(job, AdmitJob):
            step = request_of(job, self._grounds.catalog, self._grounds.metering, self._now)
            first = job.asked.feature
        elif isinstance(job, CloseJob):
            step = self._closing(job)
        else:
            step, note = self._correction(job), job.asked.note
        self._seen[job.id] = (place, job.hash)
        source = msgspec.json.encode(_Asker(job.actor.id, first, note), order="sorted")
        self.lines.append(Line(place, step, job.hash, job.keyed, source))

    def _closing(self, job: CloseJob) -> Closing:
        fact = self._named.reservations.get(bare(job.reservation))
        if fact is None or job.actor.customer not in (None, fact.customer):
            raise unknown_reservation(job.reservation)
        return closing_of(job, Reservation(fact=fact, draws={}), self._grounds.catalog)

    def _correction(self, job: CorrectJob) -> Correction:
        found = self._named.corrected.get(job.id)
        if found is None or found.fact.customer != job.asked.customer:
            event = job.asked.event
            what = f"event {event.id!r} of {event.source!r}" if event else f"use {job.asked.id or 'without an id'}"
            raise NotFound(
                f"customer {job.asked.customer!r} has no {what}",
                advice="name the id that consume answered with, or source and id of an event that was recorded",
            )
        return correction_of(job, found.fact, found.back, self._grounds.catalog)

    def _read_events(self, place: int, job: ReportJob) -> None:
        read = read_events(self._grounds.metering, job, self._now)
        self._check_subjects(job, read)
        seen, hashes, sources = self._seen, job.hashes, job.sources
        duplicates = read.repeated
        new = {}
        for at, fact in read.facts.items():
            before = seen.get(fact.id)
            if before is None:
                new[at] = fact
            elif before[1] != hashes[at]:
                raise reused(Report(fact=fact))
            else:
                duplicates += 1
        for at, fact in new.items():
            seen[fact.id] = (place, hashes[at])
            self.lines.append(Line(place, Report(fact=fact), hashes[at], True, sources[at]))
        self.counts[place] = (duplicates, read.ignored)

    def _check_subjects(self, job: ReportJob, read: ReadEvents) -> None:
        """Raise Invalid where counted events are about customers that are not there."""
        new = job.customers.keys() - self._subjects
        lost = {one for one in new if self._grounds.ground(one).terms is None}
        self._subjects |= new - lost
        unknown = {fact.customer for fact in read.facts.values() if fact.customer in lost} if lost else ()
        if unknown:
            raise unknown_subjects(job.events, [], sorted(unknown))

    def _reach(self, fact: Fact, spans: dict[tuple[str, ...], tuple[Instant, Instant]]) -> None:
        """Note for how long reports of the same customer and meter touch what this one does, whoever is named."""
        for meter in fact.metered:
            met = self._grounds.reaches.metered(fact.customer, meter, fact.effective)
            if all(one.each == "customer" for one in met.burning):
                spans[fact.customer, meter] = met.since, met.until

    def _touched(self, step: Step) -> Iterable[AccountKey]:
        grounds = self._grounds
        if type(step) is Report:
            fact, reaches = step.fact, grounds.reaches
            return [
                AccountKey(fact.customer, burning.feature, holder)
                for meter in fact.metered
                for burning in reaches.metered(fact.customer, meter, fact.effective).burning
                if (holder := holder_of(burning.each, fact.user, fact.team)) is not None
            ]
        if isinstance(step, Request):
            return self._reached(step)
        if isinstance(step, OwningStep):
            return self._owned(step)
        if not isinstance(step, Closing | Correction):
            raise TypeError(f"nobody knows what {step.id} touches")
        of = step.of if isinstance(step, Correction) else self._named.reservations[step.reservation]
        return fact_keys(grounds, of)

    def _owned(self, step: OwningStep) -> Iterator[AccountKey]:
        grounds = self._grounds
        for fact in self._leased(step):
            yield from fact_keys(grounds, fact)
        for customer, feature in step.pairs():
            reach = grounds.reaches.of(customer, feature, self._now)
            for touch in reach.touches if reach.snapshot is not None else ():
                if touch.burning.feature in grounds.metering.each_of:
                    yield AccountKey(customer, touch.burning.feature)

    def _leased(self, step: OwningStep) -> list[Fact]:
        """The facts by which the leases that a step names were drawn."""
        known = self._named.reservations
        return [known[name] for name in map(lease_fact_id, step.named()) if name in known]

    def _reached(self, step: Request) -> Iterator[AccountKey]:
        grounds = self._grounds
        user = grounds.user(step.customer, step.user)
        each_of = grounds.metering.each_of
        for want in step.wants:
            reach = grounds.reaches.of(step.customer, want.feature, self._now, user, step.context)
            for touch in reach.touches if reach.snapshot is not None else ():
                if touch.burning.feature not in each_of:
                    continue
                holder = holder_of(touch.burning.each, user, step.team)
                if holder is not None:
                    yield AccountKey(step.customer, touch.burning.feature, holder)


def fact_keys(grounds: UsageGrounds, fact: Fact) -> list[AccountKey]:
    """Return the balances that a fact burns."""
    return keys_of(grounds.metering, fact.customer, iter(fact.burns), fact.user, fact.team)


def step_id(step: Step) -> str:
    """Return the id of the fact that a step becomes."""
    return step.fact.id if type(step) is Report else step.id


def bare(name: str) -> str:
    """Return the id of a fact without its prefix; nothing where it is none."""
    digits = name.partition("_")[2]
    return digits if len(digits) == 32 and set(digits) <= set("0123456789abcdef") else ""


def reused(step: Step) -> KeyReused:
    """Return the error for an id that came before with something else."""
    if isinstance(step, Report):
        return KeyReused(
            f"an event of customer {step.fact.customer!r} came before with the same source and id, and other content",
            advice="give each event an id of its own; send a correction to change what was told",
        )
    return reused_key()


def reused_key() -> KeyReused:
    """Return the error for a key that came before with another body."""
    return KeyReused(
        "the idempotency key came before with another request", advice="use a new key for each different request"
    )


def _gone(fact: Fact) -> Conflict:
    return Conflict(
        f"use_{fact.id} was at {format_instant(fact.effective)}, before the facts that are all kept: "
        "what it took is not known by itself any more",
        advice="grant what is to be given back",
    )


def _corrected_often() -> Conflict:
    return Conflict(
        f"this was corrected {MAX_BACK} times, as often as may be", advice="grant what is still to be given back"
    )
