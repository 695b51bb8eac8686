"""The inbox: every signed message of a foreign system is kept as it came, read once, and ends with words.

A message is acknowledged when it is committed. One that cannot be applied is kept as ``failed`` (the dead letters) and
can be tried again; one that came too early waits for what it names and is applied when that arrives.
"""

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from licet.core.instant import Instant, to_datetime
from licet.core.orders import FindingDraft, name_parts, subject_of
from licet.services.endings import Ending
from licet.services.errors import Conflict, Invalid, NotFound, ServiceError, Unavailable
from licet.services.findings import put_findings, settle_finding
from licet.services.inbound import Connector, Envelope, Ignored, Reading, Unreadable
from licet.services.normal import normal
from licet.services.ports import Storage, Tx, View
from licet.services.readings import carry_out, names_of
from licet.services.rows import Actor, DeliveryOutcome, DeliveryRow, Page, SourceRow
from licet.services.sources import get_source
from licet.services.truth import Catalogs

FAILED: Final = "delivery_failed"
"""The kind of finding that a dead letter opens; it is settled when the message is applied at last."""
MAX_RELEASED: Final = 500
"""How many messages that wait for one name an arrival can set free."""
_ANEW: Final = ("finding", "discarded")
"""What has ended and may still be tried again, by name."""
_ATTEMPTS: Final = 3


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
    anew: bool = False
    """Somebody asked for it: what ended in a finding or was given up is tried again, too."""


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
        connector = connector_of(inbox.connectors, row)
        secrets = await view.source_secrets(source)
        wall = view.time.wall
    connector.verify(headers, body, secrets, wall)
    try:
        envelope = connector.envelope(body)
    except Unreadable as failure:
        _, result = await _keep_failed(inbox, _Message(workspace, row, _unreadable(body, wall), body), failure)
        return result
    return await _receive(inbox, _Message(workspace, row, envelope, body))


async def retry_delivery(inbox: Inbox, workspace: str, source: str, delivery: str) -> DeliveryResult:
    """Try a message again that failed, waits, was given up or ended in a finding, such as an order that was refused.

    One that was given up and fails again stays so, without a new finding; one whose second try changes nothing stays
    as it ended. Raises NotFound, or Conflict (it ended well, its body was erased, or its source is disabled).
    """
    async with inbox.storage.read(workspace) as view:
        row = await get_source(view, source)
        connector_of(inbox.connectors, row)
        kept = await get_delivery(view, source, delivery)
    if kept.outcome not in ("failed", "waiting", *_ANEW):
        raise Conflict(
            f"delivery {delivery} ended as {kept.outcome}",
            advice="only those that failed, wait, were given up or ended in a finding can be tried again",
        )
    if kept.erased_at is not None:
        raise Conflict(
            f"the body of delivery {delivery} was erased with personal values on {kept.erased_at:%Y-%m-%d}",
            advice="what it said is gone: let the sender send what holds now, as a new message",
        )
    return await _receive(inbox, _Message(workspace, row, _envelope(kept), kept.body, anew=True))


async def get_delivery(view: View, source: str, delivery: str) -> DeliveryRow:
    """Return one message as it came and how it ended; raises NotFound."""
    row = await view.delivery(source, delivery)
    if row is None:
        raise NotFound(f"source {source} has no delivery {delivery!r}", advice="list the source's deliveries")
    return row


async def list_deliveries(
    view: View, source: str, page: Page, outcome: DeliveryOutcome | None = None
) -> Sequence[DeliveryRow]:
    """List a source's messages, newest first, all or those that ended one way; raises NotFound for the source."""
    await get_source(view, source)
    return await view.deliveries(source, page, outcome)


async def _receive(inbox: Inbox, message: _Message) -> DeliveryResult:
    """Apply a message, then what waited for it, and so on, each in a transaction of its own.

    A message that waits looks again once for each name that it comes to wait for: it might have looked before the
    other one committed, and of two that look again after their own commit, one sees both. Should the process end here,
    the sender was not answered yet: it sends again, and the duplicate frees what still waits.
    """
    todo = deque([message])
    looked: set[tuple[str, str | None]] = set()
    freed: set[tuple[str, str, str]] = set()
    results: list[DeliveryResult] = []
    while todo:
        one = todo.popleft()
        ending, result = await _settle(inbox, one)
        if one.envelope.id == message.envelope.id:
            results.append(result)
        if ending.outcome == "waiting" and (one.envelope.id, ending.awaits) not in looked:
            looked.add((one.envelope.id, ending.awaits))
            todo.append(one)
        names = [name for name in ending.released if (one.envelope.id, ending.outcome, name) not in freed]
        freed |= {(one.envelope.id, ending.outcome, name) for name in names}
        todo.extend(await _set_free(inbox, one, names))
    return results[-1]


async def _set_free(inbox: Inbox, message: _Message, names: Sequence[str]) -> list[_Message]:
    """Return the messages that wait for one of these names, at most so many for each."""
    if not names:
        return []
    async with inbox.storage.read(message.workspace) as view:
        rows = [row for name in names for row in (await view.waiting(message.source.id, name))[:MAX_RELEASED]]
    return [
        message._replace(envelope=_envelope(row), body=row.body, anew=False)
        for row in rows
        if row.id != message.envelope.id
    ]


async def _settle(inbox: Inbox, message: _Message) -> tuple[Ending, DeliveryResult]:
    """Apply one message; try again where somebody else wrote the same meanwhile; keep what cannot be applied."""
    failure: ServiceError | None = None
    for _ in range(_ATTEMPTS):
        try:
            return await _attempt(inbox, message)
        except (Conflict, Unavailable) as raced:
            failure = raced
        except (Invalid, NotFound, Unreadable) as wrong:
            failure = wrong
            break
    if failure is None:
        raise AssertionError("an attempt either returns or fails")
    if isinstance(failure, Unavailable):
        raise failure
    return await _keep_failed(inbox, message, failure)


async def _attempt(inbox: Inbox, message: _Message) -> tuple[Ending, DeliveryResult]:
    """One transaction: keep the message and apply it. One that came before frees again what may still wait for it."""
    workspace, source, envelope, body, anew = message
    async with inbox.storage.write(workspace, _actor(source), cause=_cause(source, envelope)) as tx:
        earlier = await tx.put_delivery(_row(tx, source, envelope, body))
        if earlier is not None and earlier.fingerprint != envelope.fingerprint:
            await put_findings(tx, [_other_content(source, envelope, earlier)])
            ending = Ending("finding", "the same id came before with other content; the first one counts")
        elif earlier is not None and _ended(earlier) and not (anew and earlier.outcome in _ANEW):
            said = body if earlier.erased_at is not None else earlier.body
            ending = _came_before(earlier)._replace(released=names_of(_read(inbox, source, said)))
        else:
            ending = await carry_out(tx, source, _read(inbox, source, body), inbox.catalogs)
            if earlier is None or earlier.outcome != "finding" or ending.outcome not in ("duplicate", "stale"):
                await tx.end_delivery(source.id, envelope.id, ending.outcome, ending.words, awaits=ending.awaits)
            if earlier is not None and ending.outcome != "waiting":
                await settle_finding(tx, FAILED, _subject(source, envelope), f"tried again: {ending.words}")
    return ending, _result(envelope, ending, tx)


def _read(inbox: Inbox, source: SourceRow, body: bytes) -> Reading:
    """Return what a message means, in normal form; raises Unreadable or Invalid."""
    reading = connector_of(inbox.connectors, source).read(body, source.id, source.settings)
    return reading if isinstance(reading, Ignored) else normal(reading)


async def _keep_failed(inbox: Inbox, message: _Message, failure: ServiceError) -> tuple[Ending, DeliveryResult]:
    """Keep a message that could not be applied, with a finding: its own transaction, the other one left nothing."""
    workspace, source, envelope, body, anew = message
    async with inbox.storage.write(workspace, _actor(source), cause=_cause(source, envelope)) as tx:
        earlier = await tx.put_delivery(_row(tx, source, envelope, body))
        ending = Ending("failed", failure.words)
        if earlier is not None and earlier.outcome == "discarded" and anew:
            ending = Ending("discarded", f"it stays given up: {failure.words}")
        elif earlier is not None and _ended(earlier):
            ending = _came_before(earlier)
        else:
            await tx.end_delivery(source.id, envelope.id, ending.outcome, ending.words)
            await put_findings(tx, [_not_applied(source, envelope, failure)])
    return ending, _result(envelope, ending, tx)


def _result(envelope: Envelope, ending: Ending, tx: Tx) -> DeliveryResult:
    """Return the answer about a message whose transaction has committed."""
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


def _envelope(kept: DeliveryRow) -> Envelope:
    return Envelope(id=kept.id, type=kept.type, created=kept.created, fingerprint=kept.fingerprint)


def _ended(kept: DeliveryRow) -> bool:
    """Whether a message was carried out or found to mean nothing; what else became of it may be tried again."""
    return kept.outcome not in ("received", "failed", "waiting")


def _came_before(earlier: DeliveryRow) -> Ending:
    return Ending("duplicate", f"came before and ended as {earlier.outcome}")


def _not_applied(source: SourceRow, envelope: Envelope, failure: ServiceError) -> FindingDraft:
    return FindingDraft(
        kind=FAILED,
        severity="high",
        subject=_subject(source, envelope),
        words=f"{envelope.type} could not be applied: {failure.words}",
        evidence={"source": source.id, "delivery": envelope.id, "code": failure.code},
    )


def _other_content(source: SourceRow, envelope: Envelope, earlier: DeliveryRow) -> FindingDraft:
    return FindingDraft(
        kind="delivery_changed",
        severity="high",
        subject=_subject(source, envelope),
        words=f"delivery {envelope.id} came twice with different content; the first one counts",
        evidence={"source": source.id, "first": earlier.fingerprint, "second": envelope.fingerprint},
    )


def _subject(source: SourceRow, envelope: Envelope) -> str:
    return ":".join(name_parts(source.id, envelope.id))


def connector_of(connectors: Mapping[str, Connector], source: SourceRow) -> Connector:
    """Return the connector of a source; raises Conflict (disabled), or Invalid for a kind that takes no deliveries."""
    if source.disabled:
        raise Conflict(f"source {source.id} is disabled", advice="enable it, then let the sender deliver again")
    connector = connectors.get(source.kind)
    if connector is None:
        raise Invalid(
            f"source {source.id} is of kind {source.kind}, which takes no deliveries", advice="use POST /v1/orders"
        )
    return connector


def _actor(source: SourceRow) -> Actor:
    return Actor(id=f"source:{source.id}", scopes=frozenset({"orders"}))


def _cause(source: SourceRow, envelope: Envelope) -> str:
    return subject_of("delivery", source.id, envelope.id)
