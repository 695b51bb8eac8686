"""The connector that the inbox runs for sources of the kind ``stripe``."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from licet.connectors.stripe.read import read_event
from licet.connectors.stripe.shapes import StripeEvent
from licet.connectors.stripe.verify import verify_signature
from licet.core.instant import SECOND, Instant, to_datetime
from licet.services.inbound import Envelope, Reading, Unreadable

SIGNATURE_HEADER: Final = "stripe-signature"


class StripeConnector:
    """Verifies and reads Stripe's events. Holds nothing; one serves every source."""

    kind: Final = "stripe"

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: Instant) -> None:
        """Raise BadSignature unless ``body`` is signed with one of ``secrets`` about ``now`` (real time)."""
        verify_signature(headers.get(SIGNATURE_HEADER), body, secrets, now)

    def envelope(self, body: bytes) -> Envelope:
        """Return id, type and time of an event, and a fingerprint of its type, time and data; raises Unreadable.

        The other fields (``pending_webhooks``, ``request``) differ between attempts to deliver the same event.
        """
        event = _decode(body)
        parts = msgspec.json.decode(body)
        same = {name: parts[name] for name in ("type", "created", "data")}
        return Envelope(
            id=event.id,
            type=event.type,
            created=to_datetime(event.created * SECOND),
            fingerprint=sha256(msgspec.json.encode(same, order="sorted")).hexdigest(),
        )

    def read(self, body: bytes, source: str, settings: Mapping[str, str]) -> Reading:
        """Return what an event means for ``source``; raises Unreadable."""
        return read_event(_decode(body), source, settings)


def _decode(body: bytes) -> StripeEvent:
    """Return the event in a body; raises Unreadable."""
    try:
        event = msgspec.json.decode(body, type=StripeEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Unreadable(f"the body is not an event of Stripe: {wrong}") from None
    if event.object != "event":
        raise Unreadable(f"the body is of the object {event.object!r}; only snapshot events are read")
    return event
