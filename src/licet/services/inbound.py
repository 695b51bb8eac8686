"""What a connector is: it knows one foreign system's signatures and words, and turns a message into ours.

Connectors are pure: they get bytes and the time, and touch neither network nor database. ``deliveries`` runs them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from licet.core.instant import Instant
from licet.core.orders import (
    CustomerReferences,
    EntitlementSummary,
    OrderDocument,
    PaymentLink,
    PaymentNotice,
    Reversal,
    ScheduleNotice,
)
from licet.services.errors import ServiceError


class Unreadable(ServiceError):
    """A delivery is rightly signed but cannot be understood; it is kept as failed."""

    code = "unreadable"


class Envelope(Struct, frozen=True, kw_only=True):
    """What is read of every message. ``fingerprint`` covers type, created and data only."""

    id: str
    type: str
    created: datetime
    fingerprint: str


class CustomerHint(Struct, frozen=True, kw_only=True):
    """Who a foreign customer is here, said without an order (a finished checkout)."""

    customer: CustomerReferences


class Ignored(Struct, frozen=True, kw_only=True):
    """A message that means nothing to rights, and why."""

    words: str


DEFAULT_METADATA_KEY: Final = "licet_customer"
"""The metadata key that holds the vendor's own customer id, where a source's settings name no other."""

Reading = (
    OrderDocument
    | PaymentNotice
    | ScheduleNotice
    | Reversal
    | PaymentLink
    | EntitlementSummary
    | CustomerHint
    | Ignored
)


class Connector(Protocol):
    """One kind of foreign system."""

    @property
    def kind(self) -> str:
        """The kind that configured sources name."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: Instant) -> None:
        """Raise BadSignature unless ``body`` is signed with one of ``secrets`` about ``now`` (real time).

        ``headers`` have lower-case names.
        """
        ...

    def envelope(self, body: bytes) -> Envelope:
        """Return what every message has; raises Unreadable."""
        ...

    def read(self, body: bytes, source: str, settings: Mapping[str, str]) -> Reading:
        """Return what a message means for ``source``; raises Unreadable."""
        ...
