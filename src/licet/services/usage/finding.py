"""What jobs name by id, looked up before anything is locked: reservations, leases, and the facts of corrections."""

from collections.abc import Sequence

import msgspec
from msgspec import structs

from licet.core.usage.facts import Fact
from licet.services.rows import Page
from licet.services.usage.ids import fact_id, lease_fact_id
from licet.services.usage.jobs import CloseJob, CorrectJob, Job, LapseJob, QuotaJob, Reservations, event_id
from licet.services.usage.lines import MAX_BACK, Corrected, Named, bare
from licet.services.usage.owning import OwningStep
from licet.services.usage.ports import Posting, UsageFilter


async def find(tx: Posting, jobs: Sequence[Job], known: Reservations) -> Named:
    """Return what jobs name, as far as it is there; ``known`` are facts of reservations that need no looking up."""
    named = Named({}, {})
    for job in jobs:
        if isinstance(job, CloseJob):
            await _closed(tx, job, known, named)
        elif isinstance(job, QuotaJob | LapseJob):
            await _leased(tx, OwningStep(job).named(), known, named)
        elif isinstance(job, CorrectJob) and job.id not in named.corrected:
            named.corrected[job.id] = await _corrected(tx, job)
    return named


async def _closed(tx: Posting, job: CloseJob, known: Reservations, named: Named) -> None:
    name = bare(job.reservation)
    fact = known.get(name) if name else None
    if fact is None and name:
        found = await tx.reservation(name)
        fact = None if found is None else found.fact
    if fact is not None and fact.kind == "reserve":
        named.reservations[name] = fact


async def _leased(tx: Posting, leases: Sequence[str], known: Reservations, named: Named) -> None:
    unknown = []
    for lease in leases:
        fact = known.get(lease_fact_id(lease))
        if fact is None:
            unknown.append(lease)
        else:
            named.reservations[fact.id] = fact
    found = await tx.lease_facts(unknown) if unknown else {}
    named.reservations |= {fact.id: fact for fact in found.values()}


async def _corrected(tx: Posting, job: CorrectJob) -> Corrected | None:
    for name in _names(job):
        found = await _recorded(tx, name)
        if found is not None and found.fact.customer == job.asked.customer:
            return found
    return None


async def _recorded(tx: Posting, name: str) -> Corrected | None:
    chain = [chained_id(name, number) for number in range(MAX_BACK)]
    kept = await tx.kept([name, *chain])
    if name not in kept:
        return None
    serial = kept[name].serial
    rows = await tx.usage_facts(UsageFilter(), Page(after=str(serial - 1), limit=1))
    if not rows or rows[0].fact.id != name:
        return None
    back = tuple(msgspec.json.decode(kept[one].answer, type=Fact) for one in chain if one in kept)
    return Corrected(_as_asked(rows[0].fact, rows[0].source), back)


def _names(job: CorrectJob) -> list[str]:
    """Return the ids that what a correction is about may have: an event may have been told by a bound key or not."""
    asked = job.asked
    if asked.id:
        name = bare(asked.id)
        return [name] if name else []
    if asked.event is None:
        return []
    source, event = asked.event.source, asked.event.id
    names = [event_id(source, event, None), event_id(source, event, asked.customer)]
    return names if job.actor.customer is None else names[::-1]


def chained_id(fact: str, number: int) -> str:
    """Return the id under which the n-th correction of a fact is kept: of two at once one meets the other."""
    return fact_id("key", "correction", fact, str(number))


def _as_asked(fact: Fact, source: bytes) -> Fact:
    """Return a fact with what was asked first in its first place, as it was asked."""
    first = msgspec.json.decode(source).get("feature")
    if first not in fact.asked:
        return fact
    rest = {name: part for name, part in fact.asked.items() if name != first}
    return structs.replace(fact, asked={first: fact.asked[first], **rest})
