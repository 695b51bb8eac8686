"""One event as it was told to one source, and the steps that every reader of events takes."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, to_builtins

from licet.connectors.stripe.shapes import Reference, StripeEvent, reference_id
from licet.core.instant import SECOND, to_datetime
from licet.core.money import Money
from licet.core.orders import CustomerReferences
from licet.services.inbound import DEFAULT_METADATA_KEY, Unreadable

MAX_AMOUNT: Final = 2**53 - 1
_CURRENCY: Final = re.compile(r"[a-z]{3}", re.ASCII | re.IGNORECASE)

T = TypeVar("T", bound=Struct)


class Told(NamedTuple):
    """An event, the source that it came to, and that one's settings."""

    event: StripeEvent
    source: str
    settings: Mapping[str, str]

    @property
    def at(self) -> datetime:
        """When it happened."""
        return moment(self.event.created)

    def shaped(self, shape: type[T], content: Mapping[str, Any] | None = None) -> T:
        """Return the event's object (or ``content``) as the struct that its type promises; raises Unreadable."""
        try:
            return msgspec.convert(self.event.data.object if content is None else content, shape)
        except msgspec.ValidationError as wrong:
            raise Unreadable(f"{self.event.type} {self.event.id} has not the expected shape: {wrong}") from None

    def checked(self, reading: T) -> T:
        """Return what was read after its bounds were checked like those of a request; raises Unreadable."""
        try:
            return msgspec.convert(to_builtins(reading), type(reading))
        except msgspec.ValidationError as wrong:
            raise Unreadable(f"{self.event.type} {self.event.id} says what cannot be kept: {wrong}") from None

    def customer(
        self, external: Reference | None, metadata: Mapping[str, str] | None, client_reference: str | None = None
    ) -> CustomerReferences:
        """Return everything that is said about the customer; empty values say nothing."""
        said = (metadata or {}).get(self.settings.get("customer_metadata", DEFAULT_METADATA_KEY))
        return CustomerReferences(
            external_id=reference_id(external), metadata=said or None, client_reference=client_reference or None
        )


def moment(seconds: int) -> datetime:
    """Return unix seconds as a datetime in UTC."""
    return to_datetime(seconds * SECOND)


def when(seconds: int | None) -> datetime | None:
    """Return unix seconds as a datetime in UTC, where there are any."""
    return None if seconds is None else moment(seconds)


def money_of(amount: int | None, currency: str | None) -> Money | None:
    """Return a sum of money, or None where amount or currency cannot be one: money only adorns what is decided."""
    if amount is None or currency is None or not 0 <= amount <= MAX_AMOUNT or not _CURRENCY.fullmatch(currency):
        return None
    return Money(amount=amount, currency=currency.upper())


def named(*references: Reference | None) -> tuple[str, ...]:
    """Return the ids that are there, each once, in order."""
    return tuple(dict.fromkeys(name for one in references if (name := reference_id(one)) is not None))
