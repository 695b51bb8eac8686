"""The inbox: every signed message of a foreign system is kept as it came, read once, and ends with words.

A message is acknowledged when it is committed. One that cannot be applied is kept as ``failed`` (the dead letters) and
can be tried again; one that came too early waits for what it names and is applied when that arrives.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from licet.core.instant import Instant, to_datetime
from licet.core.orders import CustomerReferences, FindingDraft, OrderDocument, Outcome, PaymentNotice, name_parts
from licet.services.errors import Conflict, Invalid, NotFound, ServiceError, Unavailable
from licet.services.findings import put_findings
from licet.services.inbound import Connector, CustomerHint, Envelope, Ignored, Reading, Unreadable
from licet.services.matching import match_customer, settle_customer
from licet.services.orders import receive_order, receive_payments
from licet.services.ports import Storage, Tx, View
from licet.services.rows import Actor, DeliveryOutcome, DeliveryRow, Page, SourceRow
from licet.services.sources import get_source, section_of
from licet.services.truth import Catalogs

MAX_RELEASED: Final = 500
"""How many messages that wait for one name an arrival can set free."""
_ATTEMPTS: Final = 3
_OUTCOMES: Final[Mapping[Outcome, DeliveryOutcome]] = {
    "applied": "applied",
    "stale": "stale",
    "duplicate": "duplicate",
    "conflict": "finding",
    "refused": "finding",
}


class DeliveryResult(Struct, frozen=True, kw_only=True):
    """How a delivery ended, in words for the sender's log."""

    delivery: str
    outcome: DeliveryOutcome
    words: str
    seq: int = 0


class Inbox(NamedTuple):
    """What receiving needs besides a workspace."""

    storage: Storage
    connectors: Mapping[str, Connector]
    catalogs: Catalogs


class _Message(NamedTuple):
    """A verified message."""

    workspace: str
    source: SourceRow
    envelope: Envelope
    body: bytes


class _Ending(NamedTuple):
    """How one message ended; ``released`` names what others may have waited for."""

    outcome: DeliveryOutcome
    words: str
    awaits: str | None = None
    released: tuple[str, ...] = ()


async def receive_delivery(
    inbox: Inbox, workspace: str, source: str, headers: Mapping[str, str], body: bytes
) -> DeliveryResult:
    """Verify, keep and apply one message of a configured source.

    ``headers`` have lower-case names. Signatures are checked against real time. Raises NotFound (workspace, source),
    Conflict (disabled source), BadSignature; then nothing is kept. Whatever else is wrong with the message is kept
    with it: the outcome is then ``failed`` and the sender need not send it again.
    """
    async with inbox.storage.read(workspace) as view:
        row = await get_source(view, source)
        connector = _connector(inbox, row)
        secrets = await view.source_secrets(source)
        wall = view.time.wall
    connector.verify(headers, body, secrets, wall)
    try:
        envelope = connector.envelope(body)
    except Unreadable as failure:
        return await _keep_failed(inbox, _Message(workspace, row, _unreadable(body, wall), body), failure)
    return await _receive(inbox, _Message(workspace, row, envelope, body))


async def retry_delivery(inbox: Inbox, workspace: str, source: str, delivery: str) -> DeliveryResult:
    """Try a failed or waiting message again; raises NotFound, or Conflict if it ended well."""
    async with inbox.storage.read(workspace) as view:
        row = await get_source(view, source)
        kept = await get_delivery(view, source, delivery)
    if kept.outcome not in ("failed", "waiting"):
        raise Conflict(f"delivery {delivery} ended as {kept.outcome}", advice="only failed and waiting ones can be")
    envelope = Envelope(id=kept.id, type=kept.type, created=kept.created, fingerprint=kept.fingerprint)
    return await _receive(inbox, _Message(workspace, row, envelope, kept.body))


async def get_delivery(view: View, source: str, delivery: str) -> DeliveryRow:
    """Return one message as it came and how it ended; raises NotFound."""
    row = await view.delivery(source, delivery)
    if row is None:
        raise NotFound(f"source {source} has no delivery {delivery!r}", advice="list the source's deliveries")
    return row


async def list_deliveries(view: View, source: str, page: Page) -> Sequence[DeliveryRow]:
    """List a source's messages, newest first; raises NotFound for an unknown source."""
    await get_source(view, source)
    return await view.deliveries(source, page)


async def _receive(inbox: Inbox, message: _Message, *, look_again: bool = True) -> DeliveryResult:
    """Apply a message; try again where somebody else wrote the same meanwhile; keep what cannot be applied."""
    failure: ServiceError | None = None
    for _ in range(_ATTEMPTS):
        try:
            ending, result = await _attempt(inbox, message)
        except (Conflict, Unavailable) as raced:
            failure = raced
        except (Invalid, NotFound, Unreadable) as wrong:
            failure = wrong
            break
        else:
            return await _look_again(inbox, message, ending, result, waits=look_again)
    if failure is None:
        raise AssertionError("an attempt either returns or fails")
    if isinstance(failure, Unavailable):
        raise failure
    return await _keep_failed(inbox, message, failure)


async def _look_again(
    inbox: Inbox, message: _Message, ending: _Ending, result: DeliveryResult, *, waits: bool
) -> DeliveryResult:
    """After the commit, apply what waited for this message, each in a transaction of its own.

    A message that waits looks again once (``waits``): each might have looked before the other committed, and of two
    that look again after their own commit, one sees both. Should the process end here, the sender was not answered
    yet: it sends again, and the duplicate frees what still waits.
    """
    workspace, source, _, _ = message
    if ending.outcome == "waiting":
        return await _receive(inbox, message, look_again=False) if waits else result
    for name in ending.released:
        async with inbox.storage.read(workspace) as view:
            rows = await view.waiting(source.id, name)
        for row in rows[:MAX_RELEASED]:
            late = Envelope(id=row.id, type=row.type, created=row.created, fingerprint=row.fingerprint)
            await _receive(inbox, _Message(workspace, source, late, row.body))
    return result


async def _attempt(inbox: Inbox, message: _Message) -> tuple[_Ending, DeliveryResult]:
    """One transaction: keep the message and apply it. One that came before frees again what may still wait for it."""
    workspace, source, envelope, body = message
    async with inbox.storage.write(workspace, _actor(source), cause=_cause(source, envelope)) as tx:
        earlier = await tx.put_delivery(_row(tx, source, envelope, body))
        if earlier is not None and earlier.fingerprint != envelope.fingerprint:
            await put_findings(tx, [_other_content(source, envelope, earlier)])
            ending = _Ending("finding", "the same id came before with other content; the first one counts")
        elif earlier is not None and _ended(earlier):
            reading = _connector(inbox, source).read(earlier.body, source.id, source.settings)
            ending = _came_before(earlier)._replace(released=_names(reading))
        else:
            reading = _connector(inbox, source).read(body, source.id, source.settings)
            ending = await _apply(inbox, tx, source, reading)
            await tx.end_delivery(source.id, envelope.id, ending.outcome, ending.words, awaits=ending.awaits)
    return ending, DeliveryResult(
        delivery=envelope.id, outcome=ending.outcome, words=ending.words, seq=tx.committed_seq
    )


async def _apply(inbox: Inbox, tx: Tx, source: SourceRow, reading: Reading) -> _Ending:
    """Carry out what a message means."""
    match reading:
        case OrderDocument():
            return await _apply_order(inbox, tx, source, reading)
        case PaymentNotice():
            result = await receive_payments(tx, reading, inbox.catalogs)
            if result is None:
                return _Ending("waiting", f"waits for subscription {reading.external_id}", awaits=reading.external_id)
            return _Ending(_OUTCOMES[result.outcome], f"payment of customer {result.customer}: {result.outcome}")
        case CustomerHint():
            return await _apply_hint(tx, source, reading)
        case Ignored():
            return _Ending("ignored", reading.words)


async def _apply_order(inbox: Inbox, tx: Tx, source: SourceRow, order: OrderDocument) -> _Ending:
    """Place an order, unless only a foreign id names its customer and the source says to wait for a better name."""
    match = await match_customer(tx, order.source, order.customer, order.external_id)
    foreign = order.customer.external_id
    if match.customer is None and match.foreign_only and source.settings.get("unknown_customer") == "wait" and foreign:
        return _Ending("waiting", f"waits to hear who {foreign} is", awaits=foreign)
    section = section_of(source, (await inbox.catalogs.current(tx)).document)
    result = await receive_order(tx, order, inbox.catalogs, match=match, section=section)
    words = f"order for customer {result.customer}: {result.outcome}"
    released = _names(order) if result.subscription is not None else ()
    return _Ending(_OUTCOMES[result.outcome], words, released=released)


async def _apply_hint(tx: Tx, source: SourceRow, hint: CustomerHint) -> _Ending:
    """Link a foreign customer to ours, where the message names both."""
    match = await match_customer(tx, source.id, hint.customer)
    await put_findings(tx, match.findings)
    if match.customer is None and match.foreign_only:
        return _Ending("ignored", "it names no customer of ours")
    customer = await settle_customer(tx, source.id, hint.customer, match)
    foreign = hint.customer.external_id
    outcome: DeliveryOutcome = "finding" if match.findings else "applied" if match.link else "duplicate"
    return _Ending(outcome, f"{foreign} is customer {customer.id}", released=_names(hint))


def _names(reading: Reading) -> tuple[str, ...]:
    """Return what other messages may have waited for: a subscription, or who a foreign customer is."""
    match reading:
        case OrderDocument():
            return (reading.external_id,)
        case CustomerHint(customer=CustomerReferences(external_id=str(foreign))):
            return (foreign,)
        case _:
            return ()


async def _keep_failed(inbox: Inbox, message: _Message, failure: ServiceError) -> DeliveryResult:
    """Keep a message that could not be applied, with a finding: its own transaction, the other one left nothing."""
    workspace, source, envelope, body = message
    async with inbox.storage.write(workspace, _actor(source), cause=_cause(source, envelope)) as tx:
        earlier = await tx.put_delivery(_row(tx, source, envelope, body))
        ending = _Ending("failed", failure.words)
        if earlier is not None and _ended(earlier):
            ending = _came_before(earlier)
        else:
            await tx.end_delivery(source.id, envelope.id, ending.outcome, ending.words)
            await put_findings(tx, [_not_applied(source, envelope, failure)])
    return DeliveryResult(delivery=envelope.id, outcome=ending.outcome, words=ending.words, seq=tx.committed_seq)


def _unreadable(body: bytes, wall: Instant) -> Envelope:
    """Return an envelope for a message that has none; the same bytes again are the same message."""
    fingerprint = hashlib.sha256(body).hexdigest()
    return Envelope(
        id=f"unreadable_{fingerprint[:32]}", type="unreadable", created=to_datetime(wall), fingerprint=fingerprint
    )


def _row(tx: Tx, source: SourceRow, envelope: Envelope, body: bytes) -> DeliveryRow:
    return DeliveryRow(
        source=source.id,
        id=envelope.id,
        type=envelope.type,
        fingerprint=envelope.fingerprint,
        created=envelope.created,
        received_at=to_datetime(tx.time.wall),
        body=body,
    )


def _ended(kept: DeliveryRow) -> bool:
    """Whether a message was carried out or found to mean nothing; what else became of it may be tried again."""
    return kept.outcome not in ("received", "failed", "waiting")


def _came_before(earlier: DeliveryRow) -> _Ending:
    return _Ending("duplicate", f"came before and ended as {earlier.outcome}")


def _not_applied(source: SourceRow, envelope: Envelope, failure: ServiceError) -> FindingDraft:
    return FindingDraft(
        kind="delivery_failed",
        severity="high",
        subject=":".join(name_parts(source.id, envelope.id)),
        words=f"{envelope.type} could not be applied: {failure.words}",
        evidence={"source": source.id, "delivery": envelope.id, "code": failure.code},
    )


def _other_content(source: SourceRow, envelope: Envelope, earlier: DeliveryRow) -> FindingDraft:
    return FindingDraft(
        kind="delivery_changed",
        severity="high",
        subject=":".join(name_parts(source.id, envelope.id)),
        words=f"delivery {envelope.id} came twice with different content; the first one counts",
        evidence={"source": source.id, "first": earlier.fingerprint, "second": envelope.fingerprint},
    )


def _connector(inbox: Inbox, source: SourceRow) -> Connector:
    """Return the connector of a source; raises Conflict if it is disabled or of a kind that takes no deliveries."""
    if source.disabled:
        raise Conflict(f"source {source.id} is disabled", advice="enable it, then let the sender deliver again")
    connector = inbox.connectors.get(source.kind)
    if connector is None:
        raise Invalid(
            f"source {source.id} is of kind {source.kind}, which takes no deliveries", advice="use POST /v1/orders"
        )
    return connector


def _actor(source: SourceRow) -> Actor:
    return Actor(id=f"source:{source.id}", scopes=frozenset({"orders"}))


def _cause(source: SourceRow, envelope: Envelope) -> str:
    return "/".join(("delivery", *name_parts(source.id, envelope.id)))
