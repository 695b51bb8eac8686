"""Which ladder a customer climbs: a choice for one customer comes before its cohort's and its plan's."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field, structs, to_builtins

from licet.core.catalog import Id
from licet.core.episode import read_episodes
from licet.core.instant import instant_words, to_datetime, to_instant
from licet.core.orders import subject_of
from licet.core.spelling import nearest
from licet.core.terms import MAX_LADDER_CHOICES, LadderChoice, Terms
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.rows import Draft
from licet.services.terms import next_revision
from licet.services.truth import Catalogs


class ChooseLadder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ladder of all episodes of non-payment that begin from ``from`` on."""

    ladder: Id | None
    """A ladder of the catalog; null: none at all, non-payment has no consequences."""
    from_: Annotated[datetime, Meta(tz=True)] | None = field(default=None, name="from")
    """Not in the past; now where absent."""
    note: Annotated[str, Meta(max_length=2000)] = ""


class ClearLadder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the choice ends; kept in the log."""

    note: Annotated[str, Meta(max_length=2000)] = ""


class LadderAnswer(Struct, frozen=True, kw_only=True):
    """The choices that count for the customer from now on, and what they do not change."""

    ladders: tuple[LadderChoice, ...]
    """Those in force or ahead; none: each subscription climbs its cohort's or its plan's ladder."""
    remarks: tuple[str, ...] = ()
    """Episodes that have begun: they keep the ladder they began with."""


async def choose_ladder(tx: Tx, customer: str, command: ChooseLadder, catalogs: Catalogs) -> LadderAnswer:
    """Choose a customer's ladder from now or later; leaves ``ladder.chosen``, nothing if it is chosen already.

    It takes the place of every choice that would count from then on. Raises NotFound (customer), Invalid (no such
    ladder, in the past) or Conflict (no catalog, too many choices).
    """
    command = normal(command)
    known = (await catalogs.current(tx)).document.ladders
    if command.ladder is not None and command.ladder not in known:
        meant = nearest(command.ladder, known)
        names = ", ".join([*known][:10]) or "none at all"
        advice = f"write {meant}" if meant else f"it has {names}; null means that non-payment has no consequences"
        raise invalid("ladder", f"the catalog has no ladder {command.ladder!r}", advice)
    before, now = await lock(tx, customer), business_now(tx)
    starts_at = command.from_ or now
    if starts_at < now:
        raise invalid(
            "from", f"{instant_words(starts_at)} has passed; it is {instant_words(now)}", "the past stays as it was"
        )
    if _stands(before.terms, command.ladder, starts_at):
        return _answer(before.terms, now)
    kept = _until(before.terms, starts_at)
    if len(kept) >= MAX_LADDER_CHOICES:
        raise Conflict(
            f"the ladder of customer {customer} was chosen {MAX_LADDER_CHOICES} times already",
            advice="put the customer into a cohort that has the ladder",
        )
    choice = LadderChoice(ladder=command.ladder, starts_at=starts_at, note=command.note)
    event = await tx.record(
        Draft(
            type="ladder.chosen",
            subject=subject_of("customer", customer),
            before=to_builtins(_ahead(before.terms, now)),
            after=to_builtins(choice),
            effective_at=starts_at,
            revision=next_revision(before),
        )
    )
    after = structs.replace(before.terms, ladders=(*kept, structs.replace(choice, event=event)))
    await tx.put_terms(customer, after)
    return _answer(after, now)


async def clear_ladder(tx: Tx, customer: str, command: ClearLadder) -> LadderAnswer:
    """End every choice now: cohort and plan count again; leaves ``ladder.cleared``.

    Raises NotFound, or Conflict if no choice is in force or ahead.
    """
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    ending = _ahead(before.terms, now)
    if not ending:
        raise Conflict(f"no ladder is chosen for customer {customer}", advice="nothing needs to be done")
    await tx.record(
        Draft(
            type="ladder.cleared",
            subject=subject_of("customer", customer),
            before=to_builtins(ending),
            after={"ends_at": now.isoformat(), "note": command.note},
            effective_at=now,
            revision=next_revision(before),
        )
    )
    after = structs.replace(before.terms, ladders=_until(before.terms, now))
    await tx.put_terms(customer, after)
    return _answer(after, now)


def _ahead(terms: Terms, now: datetime) -> tuple[LadderChoice, ...]:
    """Return the choices in force at an instant or beginning later."""
    return tuple(one for one in terms.ladders if one.ends_at is None or one.ends_at > now)


def _until(terms: Terms, at: datetime) -> tuple[LadderChoice, ...]:
    """Return the choices cut off at an instant; what would begin only then is gone."""
    return tuple(
        structs.replace(one, ends_at=at) if one.ends_at is None or one.ends_at > at else one
        for one in terms.ladders
        if one.starts_at < at
    )


def _stands(terms: Terms, ladder: str | None, at: datetime) -> bool:
    """Whether exactly this is chosen already for all time from an instant on."""
    return any(one.ladder == ladder and one.starts_at <= at and one.ends_at is None for one in terms.ladders)


def _answer(terms: Terms, now: datetime) -> LadderAnswer:
    return LadderAnswer(ladders=_ahead(terms, now), remarks=running_episodes(terms, now))


def running_episodes(terms: Terms, now: datetime) -> tuple[str, ...]:
    """Return a sentence for each subscription with an episode of non-payment: it keeps the ladder it began with."""
    at, found = to_instant(now), []
    for subscription in terms.subscriptions:
        for episode in read_episodes(subscription.payments):
            if episode.start <= at < episode.end:
                since = f"{to_datetime(episode.start):%Y-%m-%d %H:%M} UTC"
                found.append(
                    f"subscription {subscription.id} owes since {since}: until that is settled it keeps the ladder "
                    "with which that began"
                )
    return tuple(found)
