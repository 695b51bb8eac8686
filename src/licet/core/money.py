"""Sums of money that foreign systems name: kept and shown with findings, never computed with beyond adding."""

from typing import Annotated

from msgspec import Meta, Struct


class Money(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount in the smallest unit of its currency (cents), as billing systems say it; at least 0."""

    amount: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    """ISO 4217, three capital letters."""
