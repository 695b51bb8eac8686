"""A connector of the tests whose messages are readings themselves, so that any reading can be delivered as such."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, cast

import msgspec
from msgspec import Struct

from licet.core.instant import Instant
from licet.core.orders import EntitlementSummary, OrderDocument, PaymentLink, PaymentNotice, Reversal, ScheduleNotice
from licet.services.deliveries import DeliveryResult, Inbox, receive_delivery
from licet.services.inbound import CustomerHint, Envelope, Ignored, Reading, Unreadable

KINDS: Final[Mapping[str, type[Struct]]] = {
    one.__name__: one
    for one in (
        OrderDocument,
        PaymentNotice,
        ScheduleNotice,
        Reversal,
        PaymentLink,
        EntitlementSummary,
        CustomerHint,
        Ignored,
    )
}


class Spoken:
    """Reads messages of the form ``{id, created, kind, content}``; ``unknown`` kinds cannot be read until learnt."""

    kind = "stripe"

    def __init__(self) -> None:
        self.unknown: set[str] = set()

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: Instant) -> None:
        """Everybody is believed."""

    def envelope(self, body: bytes) -> Envelope:
        """Return the message's id, kind and time; its bytes are its fingerprint."""
        told = msgspec.json.decode(body)
        created = datetime.fromisoformat(told["created"])
        return Envelope(id=told["id"], type=told["kind"], created=created, fingerprint=sha256(body).hexdigest())

    def read(self, body: bytes, source: str, settings: Mapping[str, str]) -> Reading:
        """Return the reading that the message is."""
        told = msgspec.json.decode(body)
        if told["id"] in self.unknown:
            raise Unreadable(f"nobody has taught me {told['id']} yet")
        return cast(Reading, msgspec.convert(told["content"], KINDS[told["kind"]]))


def message(name: str, reading: Struct, created: datetime = datetime(2026, 12, 1, tzinfo=UTC)) -> bytes:
    """Return the body of a message."""
    content = msgspec.to_builtins(reading)
    told = {"id": name, "created": created.isoformat(), "kind": type(reading).__name__, "content": content}
    return msgspec.json.encode(told, order="deterministic")


async def say(inbox: Inbox, name: str, reading: Struct, *, workspace: str = "test") -> DeliveryResult:
    """Deliver a reading as a message of its own."""
    return await receive_delivery(inbox, workspace, "stripe", {}, message(name, reading))
