"""Invoices and payments that people tell: when an invoice must be paid, and what became of it.

They are facts like those of a billing system and merge with them, so that they count for subscriptions of any source.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct, to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.dunning import read_dunning, stage_reached
from licet.core.episode import OPEN, open_invoices
from licet.core.instant import instant_words, to_datetime, to_instant
from licet.core.money import Money
from licet.core.orders import CustomerReferences, FindingDraft, ForeignId, PaymentNotice, subject_of
from licet.core.payments import fact_key
from licet.core.placement import record_payments
from licet.core.spelling import nearest
from licet.core.terms import MAX_PAYMENTS, PaymentFact, Subscription, Terms
from licet.core.timeline import subscription_start
from licet.services.amends import settle_debts
from licet.services.customers import business_now, lock
from licet.services.dunning import owned_subscription
from licet.services.errors import Conflict
from licet.services.findings import put_findings
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.rows import Draft, TermsRow
from licet.services.terms import next_revision
from licet.services.truth import Catalogs

MOMENT = timedelta(microseconds=1)
"""By so much a statement is newer than the one before it where the clock stands still."""


class IssueInvoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invoice that must be paid by ``due_at``. Issued again with another date, that date counts."""

    invoice: ForeignId
    due_at: Annotated[datetime, Meta(tz=True)]
    """From this instant on it is owed, unless it was settled before."""
    money: Money | None = None
    """What it is about."""
    accept_consequences: bool = False
    """State it even where the date lies so far back that the subscription is suspended or ended at once."""


class RecordPayment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an invoice: ``paid`` and ``voided`` settle it, after the others it is owed."""

    invoice: ForeignId
    kind: Literal["paid", "failed", "uncollectible", "voided", "disputed"]
    at: Annotated[datetime, Meta(tz=True)] | None = None
    """When it happened, not in the future; now where absent."""
    money: Money | None = None
    """How much it was about."""
    accept_consequences: bool = False
    """Record it even where it happened so long ago that the subscription is suspended or ended at once."""


class PaymentAnswer(Struct, frozen=True, kw_only=True):
    """What was recorded, and what is owed with it."""

    subscription: str
    outcome: Literal["applied", "duplicate"]
    """``duplicate``: this was known; nothing was written."""
    payment: PaymentFact
    owed: tuple[str, ...]
    """The invoices that are owed now."""
    remarks: tuple[str, ...] = ()
    """What is odd about it, in words."""
    findings: tuple[FindingDraft, ...] = ()


async def issue_invoice(
    tx: Tx, customer: str, subscription: str, command: IssueInvoice, catalogs: Catalogs
) -> PaymentAnswer:
    """State when an invoice is due; leaves ``invoice.issued``, or ``invoice.due_moved`` if it had another date.

    Raises NotFound, Invalid (due before the subscription began), or Conflict: it is settled, the subscription has no
    room for more, or the date lies so far back that it would be suspended or ended at once and nobody accepted that.
    """
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    known = owned_subscription(before.terms, subscription)
    _check_begun(known, command.due_at, "due_at", now)
    settled = _settled(known, command.invoice)
    if settled is not None:
        raise Conflict(
            f"invoice {command.invoice} was {settled.kind} on {instant_words(settled.at)}; nothing is due for it",
            advice="issue a new invoice under a name of its own",
        )
    dates = [fact for fact in known.payments if fact.kind == "due" and fact.invoice == command.invoice]
    last = max(dates, key=_stated, default=None)
    if last is not None and (last.at, last.money) == (command.due_at, command.money or last.money):
        return _answer(known, last, "duplicate", now)
    stated_at = now if last is None else max(now, _stated(last) + MOMENT)
    money = command.money or (last.money if last else None)
    fact = PaymentFact(kind="due", at=command.due_at, invoice=command.invoice, stated_at=stated_at, money=money)
    said = "invoice.issued" if last is None else "invoice.due_moved"
    remarks = (_passed(command.due_at, now),) if command.due_at <= now else ()
    keeping = _Keeping(tx, before, known, said, last, accepted=command.accept_consequences)
    return await _keep(keeping, fact, catalogs, remarks)


async def record_payment(
    tx: Tx, customer: str, subscription: str, command: RecordPayment, catalogs: Catalogs
) -> PaymentAnswer:
    """Record what became of an invoice, known or not; leaves ``payment.recorded`` unless it is known.

    A payment takes effect at its own instant. Raises NotFound, Invalid (in the future, or missed before the
    subscription began), or Conflict: no room for more, or missed so long ago that the subscription would be suspended
    or ended at once and nobody accepted that.
    """
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    known = owned_subscription(before.terms, subscription)
    at = command.at or now
    if at > now:
        raise invalid(
            "at",
            f"{instant_words(at)} is in the future; it is {instant_words(now)}",
            "record a payment when it has been made; a promise to pay is one of its own",
        )
    if command.kind in OPEN:
        _check_begun(known, at, "at", now)
    fact = PaymentFact(kind=command.kind, at=at, invoice=command.invoice, money=command.money)
    if any(fact_key(one) == fact_key(fact) and fact.money in (None, one.money) for one in known.payments):
        return _answer(known, fact, "duplicate", now)
    keeping = _Keeping(tx, before, known, "payment.recorded", None, accepted=command.accept_consequences)
    return await _keep(keeping, fact, catalogs, _oddities(known, fact, now))


class _Keeping(Struct, frozen=True):
    """Where a fact is kept: the locked terms, the subscription, and the event that says so."""

    tx: Tx
    before: TermsRow
    subscription: Subscription
    event: str
    replaces: PaymentFact | None
    accepted: bool
    """Whether somebody accepted that it suspends or ends the subscription at once."""


async def _keep(
    keeping: _Keeping, fact: PaymentFact, catalogs: Catalogs, remarks: tuple[str, ...] = ()
) -> PaymentAnswer:
    """Merge a fact into the terms as any billing system's, with the findings that come of it."""
    tx, before, known = keeping.tx, keeping.before, keeping.subscription
    customer, catalog = before.terms.customer, await catalogs.current(tx)
    notice = PaymentNotice(
        source=known.source or "",
        external_id=known.external_id or "",
        customer=CustomerReferences(id=customer),
        payments=(fact,),
    )
    now = business_now(tx)
    _check_consequences(keeping, catalog, record_payments(catalog, before.terms, notice, silent=True).terms, fact, now)
    if record_payments(catalog, before.terms, notice).outcome == "refused":
        raise Conflict(
            f"subscription {known.id} has {MAX_PAYMENTS} facts already after which something is owed",
            advice="record what settles the invoices; sell its follow-up as a new subscription",
        )
    event = await tx.record(_draft(keeping, notice))
    placement = record_payments(catalog, before.terms, notice, event=event)
    await tx.put_terms(customer, placement.terms)
    await put_findings(tx, placement.findings, customer=customer)
    await settle_debts(tx, catalog, placement.terms, notice.source, notice.external_id)
    after = owned_subscription(placement.terms, known.id)
    kept = next((one for one in after.payments if fact_key(one) == fact_key(fact)), fact)
    remarks = (*remarks, *_idle(catalog, placement.terms, known.id, kept, now))
    return _answer(after, kept, "applied", now, remarks=remarks, findings=placement.findings)


def _idle(
    catalog: CompiledCatalog, terms: Terms, subscription: str, fact: PaymentFact, now: datetime
) -> tuple[str, ...]:
    """Return why nothing follows from what is owed or settled, where nothing does."""
    stands = read_dunning(catalog, terms, subscription, to_instant(now))
    if stands is None:
        return ()
    if fact.kind not in OPEN:
        by_ladder = stage_reached(catalog, terms, subscription, to_instant(now)) == "end"
        return ("non-payment has ended the subscription, and it stays ended",) if by_ladder else ()
    if stands.standing == "ended":
        return ("the subscription has ended, so nothing more follows from what is owed for it",)
    if stands.ladder is None:
        return ("no ladder counts for the subscription, so nothing follows from what is owed for it",)
    return ()


def _check_begun(subscription: Subscription, at: datetime, path: str, now: datetime) -> None:
    """Raise Invalid for an invoice that was missed before the subscription began; one that is to begin may owe now."""
    start = to_datetime(subscription_start(subscription))
    if at < start <= now:
        raise invalid(
            path,
            f"{instant_words(at)} is before subscription {subscription.id} began, {instant_words(start)}",
            "correct the date; what was missed before the beginning is owed from the beginning on",
        )


def _check_consequences(
    keeping: _Keeping, catalog: CompiledCatalog, after: Terms, fact: PaymentFact, now: datetime
) -> None:
    """Raise Conflict where a date of the past would suspend or end the subscription at once, unless accepted."""
    if keeping.accepted or fact.at >= now:
        return
    known, instant = keeping.subscription.id, to_instant(now)
    had, has = (stage_reached(catalog, terms, known, instant) for terms in (keeping.before.terms, after))
    if has not in ("suspend", "end") or has == had:
        return
    done = "ended for good" if has == "end" else "suspended"
    raise Conflict(
        f"{instant_words(fact.at)} lies so far back that the ladder has reached `{has}` by now, {instant_words(now)}: "
        f"subscription {known} would be {done} at once",
        advice='correct the date, or say that it is meant: --yes, over HTTP "accept_consequences": true',
    )


def _draft(keeping: _Keeping, notice: PaymentNotice) -> Draft:
    """Return the event of a fact, of the same shape as one from a billing system."""
    (fact,) = notice.payments
    return Draft(
        type=keeping.event,
        subject=subject_of("customer", keeping.before.terms.customer),
        before=None if keeping.replaces is None else {"payments": [to_builtins(keeping.replaces)]},
        after={"source": notice.source, "external_id": notice.external_id, "payments": [to_builtins(fact)]},
        effective_at=fact.at,
        revision=next_revision(keeping.before),
    )


def _answer(
    subscription: Subscription,
    fact: PaymentFact,
    outcome: Literal["applied", "duplicate"],
    now: datetime,
    *,
    remarks: tuple[str, ...] = (),
    findings: tuple[FindingDraft, ...] = (),
) -> PaymentAnswer:
    return PaymentAnswer(
        subscription=subscription.id,
        outcome=outcome,
        payment=fact,
        owed=open_invoices(subscription.payments, to_instant(now)),
        remarks=remarks,
        findings=findings,
    )


def _stated(fact: PaymentFact) -> datetime:
    """Return when a due date was stated."""
    return fact.stated_at or fact.at


def _settled(subscription: Subscription, invoice: str) -> PaymentFact | None:
    """Return the fact that settled an invoice for good, None while there is none."""
    told = [fact for fact in subscription.payments if fact.invoice == invoice and fact.kind != "due"]
    newest = max(told, key=lambda fact: (fact.at, fact.kind in ("paid", "voided")), default=None)
    return newest if newest is not None and newest.kind in ("paid", "voided") else None


def _passed(due_at: datetime, now: datetime) -> str:
    return (
        f"it has been due since {due_at:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d}: the ladder is counted from then"
    )


def _oddities(subscription: Subscription, fact: PaymentFact, now: datetime) -> tuple[str, ...]:
    """Return what speaks for a slip of the pen: a settled invoice that nobody knows, while another is owed."""
    invoices = {one.invoice for one in subscription.payments}
    owed = open_invoices(subscription.payments, to_instant(now))
    if fact.kind not in ("paid", "voided") or fact.invoice in invoices or not owed:
        return ()
    meant = nearest(fact.invoice, owed)
    words = f"nobody knew invoice {fact.invoice}; owed is still {', '.join(owed[:5])}"
    return (f"{words}; was {meant} meant?" if meant else words,)
