"""What telling what is used most needs of storage: who used and was refused what just now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class UsedRow(Struct, frozen=True, kw_only=True):
    """How often and how much of a feature a customer used."""

    customer: str
    feature: str
    requests: int
    quantity: int
    total: int
    """Requests and events of all rows together, whatever number of features each of them touched."""


class RefusedRow(Struct, frozen=True, kw_only=True):
    """How often a customer was refused a feature."""

    customer: str
    feature: str
    refused: int


class TopReads(Protocol):
    """Reading what happened just now."""

    async def used_most(self, customer: str | None, since: datetime, limit: int, newest: int) -> Sequence[UsedRow]:
        """Return what was recorded from a real time on, of the ``newest`` facts, by customer and feature."""
        ...

    async def refused_most(self, customer: str | None, since: datetime, limit: int) -> Sequence[RefusedRow]:
        """Return what was refused from a business time on, by customer and feature, most first."""
        ...
