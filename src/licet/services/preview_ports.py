"""Previews as storage keeps them, and the protocols for reading and writing them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from licet.core.gains import RightChange
from licet.core.impact import Exceeded, Impact, Judged, Uses
from licet.services.rows import Page, TermsRow

PreviewKind = Literal["catalog", "move"]
Judge = Callable[[TermsRow, Uses], Judged | None]
"""What happens to one customer; None for one whom the change does not concern at all (it is not counted)."""


class FeatureCount(Struct, frozen=True, kw_only=True):
    """How many customers get, lose or exceed one feature."""

    feature: str
    title: str
    gain: int = 0
    loss: int = 0
    more: int = 0
    less: int = 0
    changed: int = 0
    exceeded: int = 0
    later: int = 0
    """Lost or worth less only at another time, or to other questions."""


class ImpactGroup(Struct, frozen=True, kw_only=True):
    """Customers to whom exactly the same happens."""

    number: int
    customers: int
    changes: tuple[RightChange, ...] = ()
    exceeding: tuple[str, ...] = ()
    breaking: tuple[str, ...] = ()
    narrowed: tuple[str, ...] = ()
    later: tuple[RightChange, ...] = ()
    examples: tuple[str, ...] = ()
    """At most 3 of them, by id."""


class AsideExample(Struct, frozen=True, kw_only=True):
    """One subscription that a move passes by."""

    customer: str
    subscription: str | None
    """None: none of this customer's, who was named, has what is moved."""
    words: str
    """Why, with the instant or the other move that is in the way."""


class AsideGroup(Struct, frozen=True, kw_only=True):
    """Subscriptions that a move passes by for the same reason."""

    reason: str
    """A stable word, such as ``announced``, ``ended`` or ``not_held``."""
    count: int
    """Subscriptions; a customer who was named and has none of it counts as one."""
    examples: tuple[AsideExample, ...]
    """The first by customer, 10 at most."""


class PreviewSummary(Struct, frozen=True, kw_only=True):
    """What a change does, counted in customers. ``losing`` counts those who exceed a limit or break a rule too."""

    customers: int
    affected: int
    gaining: int
    losing: int
    exceeding: int
    breaking: int
    features: tuple[FeatureCount, ...] = ()
    groups: tuple[ImpactGroup, ...] = ()
    """The largest, 50 at most."""
    left_out: tuple[AsideGroup, ...] = ()
    """Of a move: what it would leave out, or what would keep what it has where a move is taken back."""


class PreviewRow(Struct, frozen=True, kw_only=True):
    """One preview. ``begun_at`` and ``finished_at`` are real time; ``at`` is the business instant judged at."""

    id: str
    kind: PreviewKind
    base: int
    """The catalog revision on which it was made."""
    subject_hash: str
    """SHA-256 of what is previewed, in hexadecimal: a preview holds for exactly this."""
    subject: Any = None
    """What is previewed, as far as it is kept."""
    at: datetime
    what_if: bool = False
    """Whether the instant was asked for; nothing is ever done by such a preview."""
    seq: int
    """The newest event that it knows of."""
    begun_at: datetime
    finished_at: datetime | None = None
    actor: str
    done: int = 0
    total: int
    summary: PreviewSummary | None = None


class GroupRow(Struct, frozen=True, kw_only=True):
    """One impact that some customers share. ``marks`` are the words by which it is found."""

    number: int
    impact: Impact
    marks: tuple[str, ...]


class TouchedRow(Struct, frozen=True, kw_only=True):
    """A customer to whom something happens, in the group of those to whom the same does."""

    customer: str
    number: int
    exceeded: tuple[Exceeded, ...] = ()


class TouchedCustomer(Struct, frozen=True, kw_only=True):
    """What happens to one customer."""

    customer: str
    impact: Impact
    exceeded: tuple[Exceeded, ...] = ()


class PreviewReads(Protocol):
    """Reading previews, and the terms of many customers at once."""

    async def has_customers(self) -> bool:
        """Return whether there is any customer."""
        ...

    async def count_customers(self) -> int:
        """Return how many customers there are; each of them has terms."""
        ...

    async def terms_page(self, page: Page) -> Sequence[TermsRow]:
        """List the newest terms of customers, by customer."""
        ...

    async def terms_since(self, seq: int, limit: int) -> Sequence[TermsRow]:
        """List the newest terms of at most ``limit`` customers whose terms changed after a sequence, by customer."""
        ...

    async def preview(self, preview: str) -> PreviewRow | None:
        """Return one preview."""
        ...

    async def preview_groups(self, preview: str, limit: int) -> Sequence[ImpactGroup]:
        """Return the largest groups of a preview with how many they are and who, the largest first."""
        ...

    async def preview_customers(self, preview: str, mark: str | None, page: Page) -> Sequence[TouchedCustomer]:
        """List to whom something happens, by customer; only groups that have a mark, where one is given."""
        ...

    async def uses_crossing(self, preview: str, limit: int) -> Sequence[str]:
        """List at most ``limit`` customers, of those to whom a preview says that something happens, who by what was
        said since use more than a limit that it lowers and did not then, or the other way round."""
        ...

    async def preview_impacts(self, preview: str, customers: Sequence[str]) -> Mapping[str, TouchedCustomer]:
        """Return what happens to some customers; those to whom nothing does are left out."""
        ...


class PreviewWrites(Protocol):
    """Writing previews, piece by piece. They decide nothing by themselves and leave no events."""

    async def begin_preview(self, row: PreviewRow) -> None:
        """Insert a preview that is not finished."""
        ...

    async def keep_preview(
        self, preview: str, done: int, groups: Sequence[GroupRow], touched: Sequence[TouchedRow]
    ) -> None:
        """Add what was found; raises Conflict where the preview was forgotten meanwhile."""
        ...

    async def finish_preview(self, preview: str, summary: PreviewSummary, finished_at: datetime) -> None:
        """Say that a preview is whole; raises Conflict where it was forgotten meanwhile."""
        ...

    async def forget_previews(self, before: datetime, keep: int) -> int:
        """Delete previews begun before a real instant, and all but the newest ``keep``; return how many."""
        ...
