"""Leniency with one subscription's non-payment: promises to pay, and pauses of the ladder's clock. Both begin now."""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs, to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.dunning import lay_course
from licet.core.episode import open_invoices
from licet.core.instant import format_instant, instant_words, to_instant
from licet.core.orders import subject_of
from licet.core.terms import MAX_LENIENCIES, Leniency, Subscription, Terms
from licet.seal.ids import new_id
from licet.services.customers import business_now, lock
from licet.services.dunning import owned_subscription
from licet.services.errors import Conflict, NotFound
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.rows import Draft, TermsRow
from licet.services.terms import next_revision
from licet.services.truth import Catalogs

LONGEST_PROMISE: Final = timedelta(days=366)
"""How far ahead somebody may promise to pay."""


class PromiseToPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The customer promised to pay before ``until``; until then the ladder only warns."""

    until: Annotated[datetime, Meta(tz=True)]
    """Exclusive; at most 366 days ahead."""
    note: Annotated[str, Meta(max_length=2000)] = ""


class PauseDunning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From now on the ladder's clock stands still, until ``until`` or until it is resumed."""

    until: Annotated[datetime, Meta(tz=True)] | None = None
    """Exclusive; open-ended where absent."""
    note: Annotated[str, Meta(max_length=2000)] = ""


class EndLeniency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a promise is withdrawn or a pause ended; kept in the log."""

    note: Annotated[str, Meta(max_length=2000)] = ""


class LeniencyAnswer(Struct, frozen=True, kw_only=True):
    """A promise or a pause as it stands in the terms."""

    leniency: Leniency
    owed: tuple[str, ...]
    """The invoices of the subscription that are owed now."""
    remarks: tuple[str, ...] = ()
    """What is odd about it, in words."""


async def promise(
    tx: Tx, customer: str, subscription: str, command: PromiseToPay, catalogs: Catalogs
) -> LeniencyAnswer:
    """Note a promise to pay from now on; leaves ``promise.made``.

    Raises NotFound, Invalid (``until`` is not ahead, or too far) or Conflict: the subscription has ended, one is
    running, or there are too many.
    """
    command = normal(command)
    await lock(tx, customer)
    now = business_now(tx)
    if command.until > now + LONGEST_PROMISE:
        latest = instant_words(now + LONGEST_PROMISE)
        raise invalid(
            "until",
            f"{instant_words(command.until)} is too far ahead; at most {latest} can be promised",
            "promise for less long, or choose a more patient ladder for the customer",
        )
    made = Leniency(
        id=new_id("prm", tx.time.wall),
        kind="promise",
        subscription=subscription,
        starts_at=now,
        ends_at=command.until,
        note=command.note,
    )
    return await _begin(tx, customer, made, "promise.made", catalogs)


async def withdraw_promise(
    tx: Tx, customer: str, subscription: str, promised: str, command: EndLeniency
) -> LeniencyAnswer:
    """End a promise now; leaves ``promise.withdrawn``. Raises NotFound, or Conflict if it has ended already."""
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    owned_subscription(before.terms, subscription)
    running = _of(before.terms, subscription, "promise")
    known = next((one for one in running if one.id == promised), None)
    if known is None:
        raise NotFound(
            f"subscription {subscription} has no promise {promised!r}",
            advice=f"read what is promised: GET /v1/customers/{customer}/dunning",
        )
    if not _runs(known, now):
        raise Conflict(f"the promise {promised} ended at {_end(known)}", advice="nothing needs to be done")
    return await _end_them(tx, before, [known], "promise.withdrawn", command)


async def pause_dunning(
    tx: Tx, customer: str, subscription: str, command: PauseDunning, catalogs: Catalogs
) -> LeniencyAnswer:
    """Let the ladder's clock stand still from now on; leaves ``dunning.paused``.

    Raises NotFound, Invalid (``until`` is not ahead) or Conflict: the subscription has ended, it is paused already, or
    there are too many.
    """
    command = normal(command)
    await lock(tx, customer)
    made = Leniency(
        id=new_id("pau", tx.time.wall),
        kind="pause",
        subscription=subscription,
        starts_at=business_now(tx),
        ends_at=command.until,
        note=command.note,
    )
    return await _begin(tx, customer, made, "dunning.paused", catalogs)


async def resume_dunning(tx: Tx, customer: str, subscription: str, command: EndLeniency) -> LeniencyAnswer:
    """Let the ladder's clock go on now; leaves ``dunning.resumed``. Raises NotFound, or Conflict if it goes already."""
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    owned_subscription(before.terms, subscription)
    running = [one for one in _of(before.terms, subscription, "pause") if _runs(one, now)]
    if not running:
        raise Conflict(f"the dunning of subscription {subscription} is not paused", advice="nothing needs to be done")
    return await _end_them(tx, before, running, "dunning.resumed", command)


async def _begin(tx: Tx, customer: str, made: Leniency, event_type: str, catalogs: Catalogs) -> LeniencyAnswer:
    """Add a leniency that begins now."""
    before, now = await lock(tx, customer), business_now(tx)
    known = owned_subscription(before.terms, made.subscription)
    if made.ends_at is not None and made.ends_at <= now:
        raise invalid(
            "until", f"{instant_words(made.ends_at)} is not ahead; it is {instant_words(now)}", "name a later instant"
        )
    catalog = await catalogs.current(tx)
    _check_lasts(catalog, before.terms, known, now)
    running = next((one for one in _of(before.terms, made.subscription, made.kind) if _runs(one, now)), None)
    if running is not None:
        raise Conflict(
            f"a {made.kind} of subscription {made.subscription} is running until {_end(running)}: {running.id}",
            advice="withdraw it first" if made.kind == "promise" else "resume first",
        )
    if len(before.terms.leniencies) >= MAX_LENIENCIES:
        raise Conflict(
            f"customer {customer} has been given {MAX_LENIENCIES} promises and pauses already",
            advice="choose a more patient ladder for it",
        )
    event = await tx.record(_draft(event_type, before, None, made, made.ends_at))
    made = structs.replace(made, event=event)
    await _put(tx, before, (*before.terms.leniencies, made))
    answer = _answer(before.terms, made, now)
    return structs.replace(answer, remarks=(*answer.remarks, *_too_late(catalog, before.terms, known, made)))


def _check_lasts(catalog: CompiledCatalog, terms: Terms, known: Subscription, now: datetime) -> None:
    """Raise Conflict for a subscription that has ended: no patience brings it back."""
    stop, _ = lay_course(catalog, terms, known).stop()
    if stop <= to_instant(now):
        raise Conflict(
            f"subscription {known.id} has ended at {format_instant(stop)}; neither promise nor pause brings it back",
            advice="sell it anew",
        )


def _too_late(catalog: CompiledCatalog, terms: Terms, known: Subscription, made: Leniency) -> tuple[str, ...]:
    """Return the warning that a pause does not hold back an end which was reached and which only a promise delays."""
    course, now = lay_course(catalog, terms, known), to_instant(made.starts_at)
    climb, (stop, _) = course.climb_at(now), course.stop()
    if made.kind != "pause" or climb is None or stop != course.ladder_end:
        return ()
    reached = [at for at, stage in climb.steps if stage.do == "end" and at <= now]
    if not reached:
        return ()
    return (
        f"the ladder reached the end at {format_instant(reached[0])} and only a promise delays it: unless it is paid "
        f"before, the subscription ends for good at {format_instant(stop)}, pause or not",
    )


async def _end_them(
    tx: Tx, before: TermsRow, running: list[Leniency], event_type: str, command: EndLeniency
) -> LeniencyAnswer:
    """End leniencies now; the newest of them is answered."""
    now = business_now(tx)
    last = structs.replace(running[-1], ends_at=now)
    after = to_builtins(last) | ({"note": command.note} if command.note else {})
    await tx.record(_draft(event_type, before, running[-1], after, now))
    ended = tuple(structs.replace(one, ends_at=now) if one in running else one for one in before.terms.leniencies)
    await _put(tx, before, ended)
    return _answer(before.terms, last, now)


async def _put(tx: Tx, before: TermsRow, leniencies: tuple[Leniency, ...]) -> None:
    """Append the terms with these leniencies."""
    await tx.put_terms(before.terms.customer, structs.replace(before.terms, leniencies=leniencies))


def _of(terms: Terms, subscription: str, kind: Literal["promise", "pause"]) -> list[Leniency]:
    return [one for one in terms.leniencies if (one.subscription, one.kind) == (subscription, kind)]


def _runs(one: Leniency, now: datetime) -> bool:
    return one.ends_at is None or one.ends_at > now


def _end(one: Leniency) -> str:
    return "it is ended" if one.ends_at is None else instant_words(one.ends_at)


def _answer(terms: Terms, leniency: Leniency, now: datetime) -> LeniencyAnswer:
    """Return the answer, which says so where nothing is owed."""
    payments = owned_subscription(terms, leniency.subscription).payments
    owed = open_invoices(payments, to_instant(now))
    idle = not owed and _runs(leniency, now)
    remarks = (f"nothing is owed now; the {leniency.kind} counts for what is missed while it lasts",) if idle else ()
    return LeniencyAnswer(leniency=leniency, owed=owed, remarks=remarks)


def _draft(kind: str, before: TermsRow, was: Leniency | None, after: object, at: datetime | None) -> Draft:
    return Draft(
        type=kind,
        subject=subject_of("customer", before.terms.customer),
        before=None if was is None else to_builtins(was),
        after=to_builtins(after),
        effective_at=at,
        revision=next_revision(before),
    )
