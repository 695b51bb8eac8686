"""What erasing and exporting need of storage, as protocols and rows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from licet.services.rows import FindingRow

Section = Literal[
    "customer",
    "external_id",
    "team",
    "user",
    "user_revision",
    "terms",
    "event",
    "payment_reference",
    "finding",
    "check_count",
    "check_record",
    "said_use",
    "version_move",
    "balance",
    "funding",
    "reservation",
    "quota_lease",
    "usage_fact",
    "usage_refusal",
    "usage_hour",
    "key",
]
"""What the tables hold about a customer, in the order in which it is exported."""


class PersonalValue(Struct, frozen=True, kw_only=True):
    """A personal value beside the log. ``user`` is None where it is the customer's own."""

    event: str
    field: str
    value: str
    user: str | None = None


class NamedRow(Struct, frozen=True, kw_only=True):
    """A row of today that holds a name or a mail address; ``user`` is None for the customer's own."""

    user: str | None
    name: str | None
    email: str | None


class KeptAnswer(Struct, frozen=True, kw_only=True):
    """An answer kept under an idempotency key, opened."""

    route: str
    key: str
    content: bytes


class Place(Struct, frozen=True):
    """How far a source's messages have been looked through, oldest first."""

    received_at: datetime
    id: str


class ErasureReads(Protocol):
    """Finding what is held about a customer, or one user of it."""

    async def personal_values_of(self, customer: str, user: str | None = None) -> Sequence[PersonalValue]:
        """Return the personal values beside the log: of the customer and all its users, or of one user."""
        ...

    async def erased_fields(self, events: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return by event the fields that it committed to and whose values are no longer there."""
        ...

    async def erasures(self, subjects: Sequence[str]) -> Mapping[str, str]:
        """Return the id of the event that erased last what was personal, by subject; what never was is left out."""
        ...

    async def erased_users(self, customer: str) -> Sequence[str]:
        """Return the subjects under which the log holds erasures of single users of a customer."""
        ...

    async def named_rows(self, customer: str, user: str | None = None) -> Sequence[NamedRow]:
        """Return the rows of today that hold a name or a mail address."""
        ...

    async def checks_about(self, customer: str, user: str | None = None) -> tuple[int, int]:
        """Return how many recorded checks and refused requests there are, and how many counts that name a user."""
        ...

    async def foreign_names(self, customer: str) -> Mapping[str, frozenset[str]]:
        """Return by source every name that it has, or had, for the customer, its subscriptions and its payments.

        Names that belong to another customer by now are left out.
        """
        ...

    async def deliveries_naming(
        self, source: str, words: Sequence[str], after: Place | None
    ) -> tuple[Sequence[str], Place | None]:
        """Look through the next messages of a source, oldest first, for whole words in their bodies.

        Returns the ids of those that may hold one, and where to go on (None: nothing is left). Erased ones are left
        out.
        """
        ...

    async def findings_about(
        self, customer: str, subjects: Sequence[str], after: str, limit: int
    ) -> Sequence[FindingRow]:
        """List findings about a customer, or about one of ``subjects``, by id."""
        ...

    def held(self, section: Section, customer: str) -> AsyncIterator[bytes]:
        """Yield the rows of a section about a customer as JSON objects, as they are stored."""
        ...


class ErasureWrites(Protocol):
    """Removing personal values. Whoever calls any of these records one event about the person."""

    async def drop_values(self, values: Sequence[PersonalValue]) -> int:
        """Delete personal values and their salts; returns how many there were."""
        ...

    async def drop_names(self, customer: str, *, whole: bool, users: Sequence[str], at: datetime) -> int:
        """Empty name and mail address of these users' rows, and of the customer's own where ``whole``.

        Sets ``erased_at`` of all of them and returns how many rows held anything.
        """
        ...

    async def drop_checks(self, customer: str, user: str | None = None) -> tuple[int, int]:
        """Delete recorded checks and refused requests, let counts no longer name a user; returns how many of each."""
        ...

    async def blank_deliveries(self, source: str, words: Mapping[str, str], at: datetime) -> int:
        """Replace the bodies of messages by a marker; ``words`` has the ids, and what is said of each from now on."""
        ...

    async def kept_answers(
        self, routes: Sequence[str], customer: str, after: tuple[str, str], limit: int
    ) -> tuple[Sequence[KeptAnswer], tuple[str, str] | None]:
        """Look through the next answers kept under routes that begin so, and that may be about a customer.

        Returns those that can be opened, and where to go on (None: nothing is left).
        """
        ...

    async def blank_answers(self, answers: Sequence[KeptAnswer]) -> int:
        """Forget the contents of answers, and what was asked; a repeated request is then refused, not done again."""
        ...

    async def scrub_finding(self, row: FindingRow) -> None:
        """Replace words, evidence and repair of a finding."""
        ...
