"""Cohorts: sets of customers, named in the catalog, that a ladder can be given to at once."""

from datetime import datetime

from msgspec import Struct, structs, to_builtins

from licet.core.orders import subject_of
from licet.core.spelling import nearest
from licet.core.terms import MAX_MEMBERSHIPS, Membership, Terms
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict, NotFound
from licet.services.ladders import running_episodes
from licet.services.ports import Tx
from licet.services.rows import Draft
from licet.services.terms import next_revision
from licet.services.truth import Catalogs


class CohortsAnswer(Struct, frozen=True, kw_only=True):
    """The cohorts to which a customer belongs now."""

    cohorts: tuple[Membership, ...]
    remarks: tuple[str, ...] = ()
    """Episodes that have begun: they keep the ladder they began with."""


async def join_cohort(tx: Tx, customer: str, cohort: str, catalogs: Catalogs) -> CohortsAnswer:
    """Let a customer belong to a cohort from now on; leaves ``cohort.joined``.

    Raises NotFound (customer, cohort) or Conflict (no catalog, it belongs to it already, too many memberships).
    """
    known = (await catalogs.current(tx)).document.cohorts
    if cohort not in known:
        meant = nearest(cohort, known)
        advice = f"was {meant} meant?" if meant else "name it under `cohorts` in the catalog first"
        raise NotFound(f"the catalog has no cohort {cohort!r}", advice=advice)
    before, now = await lock(tx, customer), business_now(tx)
    if any(one.cohort == cohort for one in _running(before.terms, now)):
        raise Conflict(f"customer {customer} belongs to cohort {cohort} already", advice="nothing needs to be done")
    if len(before.terms.cohorts) >= MAX_MEMBERSHIPS:
        raise Conflict(
            f"customer {customer} has joined cohorts {MAX_MEMBERSHIPS} times already",
            advice="choose a ladder for this customer instead",
        )
    joined = Membership(cohort=cohort, starts_at=now)
    event = await tx.record(
        Draft(
            type="cohort.joined",
            subject=subject_of("customer", customer),
            after=to_builtins(joined),
            effective_at=now,
            revision=next_revision(before),
        )
    )
    joined = structs.replace(joined, event=event)
    after = structs.replace(before.terms, cohorts=(*before.terms.cohorts, joined))
    await tx.put_terms(customer, after)
    return _answer(after, now)


async def leave_cohort(tx: Tx, customer: str, cohort: str) -> CohortsAnswer:
    """End a customer's membership now; leaves ``cohort.left``. Raises NotFound, or Conflict if it is not in it."""
    before, now = await lock(tx, customer), business_now(tx)
    ending = [one for one in _running(before.terms, now) if one.cohort == cohort]
    if not ending:
        mine = ", ".join(one.cohort for one in _running(before.terms, now)) or "none"
        raise Conflict(f"customer {customer} does not belong to cohort {cohort!r}", advice=f"it belongs to {mine}")
    kept = tuple(structs.replace(one, ends_at=now) if one in ending else one for one in before.terms.cohorts)
    await tx.record(
        Draft(
            type="cohort.left",
            subject=subject_of("customer", customer),
            before=to_builtins(ending[0]),
            after=to_builtins(structs.replace(ending[0], ends_at=now)),
            effective_at=now,
            revision=next_revision(before),
        )
    )
    after = structs.replace(before.terms, cohorts=kept)
    await tx.put_terms(customer, after)
    return _answer(after, now)


def _running(terms: Terms, now: datetime) -> tuple[Membership, ...]:
    """Return the memberships that have not ended."""
    return tuple(one for one in terms.cohorts if one.ends_at is None or one.ends_at > now)


def _answer(terms: Terms, now: datetime) -> CohortsAnswer:
    return CohortsAnswer(cohorts=_running(terms, now), remarks=running_episodes(terms, now))
