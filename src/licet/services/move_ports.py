"""Moves between versions as storage keeps them: the command, how far it has come, and what it did to whom."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from licet.core.catalog import Id
from licet.services.rows import Page

MAX_NAMED = 1000
"""Customers that one move may name; a cohort may hold any number."""

MoveState = Literal["moving", "moved", "reversing", "reversed"]
"""``moving`` and ``reversing`` have customers to look at still; the other two are done."""
MovedState = Literal["moved", "left_out", "reversed", "kept"]
"""What became of one subscription. ``kept``: it was to be taken back, but something else holds there by now."""


class MoveCommand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version is to be read as which other one, for whom, and from when on."""

    kind: Literal["plan", "addon"] = "plan"
    item: Id
    from_version: Id
    to_version: Id
    cohort: Id | None = None
    """Only customers who belong to this cohort when the move comes to them."""
    customers: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_NAMED)] | None = None
    """Only these. Without a cohort and without customers: everybody who has it."""
    at: Annotated[str, Meta(max_length=40)] = "now"
    """``now``, ``period_end`` (when the subscription's next billing period begins), or an instant."""
    notice: Annotated[str, Meta(max_length=40)] | None = None
    """How long before it begins it is announced at least, as ``P30D``; on the wall clock of each subscription."""


class MoveRow(Struct, frozen=True, kw_only=True):
    """One move and how far it has come. Counts are subscriptions; ``looked_at``, ``total``, ``losing`` customers."""

    id: str
    command: MoveCommand
    base: int
    """The revision of the catalog that it was made on."""
    preview: str | None
    max_losing: int
    """How many customers may lose something by it: a batch that would go beyond is refused."""
    total: int
    """Customers to look at, as many as there were when it began."""
    state: MoveState
    at_customer: str = ""
    """The last customer that was looked at; the next batch goes on after it."""
    looked_at: int = 0
    """Customers."""
    moved: int = 0
    """All that were ever moved, those taken back included."""
    left_out: int = 0
    reversed: int = 0
    kept: int = 0
    losing: int = 0
    """Customers who lost something when they were moved, those taken back since included."""
    actor: str
    note: str = ""
    created_at: datetime
    changed_at: datetime


class MovedRow(Struct, frozen=True, kw_only=True):
    """What a move did to one subscription."""

    move: str
    customer: str
    subscription: str
    """Empty: none of the customer's, who was named, has what is to be moved."""
    state: MovedState
    effective_at: datetime | None
    """From when on it counts, or counted; None where it was left out."""
    words: str = ""
    """Why it was left out or kept."""


class Sought(Struct, frozen=True, kw_only=True):
    """What customers must name in their newest terms to be looked at closely: any of the items, and the cohort."""

    items: tuple[tuple[str, str], ...]
    """(id, version); what may turn into the wanted item is among them."""
    cohort: str | None = None


class MoveReads(Protocol):
    """Reading moves."""

    async def move(self, move: str) -> MoveRow | None:
        """Return one move; in a writing transaction it is locked until commit."""
        ...

    async def moves(self, page: Page) -> Sequence[MoveRow]:
        """List moves, newest first."""
        ...

    async def unfinished_move(self, kind: str, item: str) -> str | None:
        """Return the move of a plan or add-on that is not done; there is at most one."""
        ...

    async def moved_subscriptions(self, move: str, page: Page, state: MovedState | None = None) -> Sequence[MovedRow]:
        """List what a move did, by customer and subscription; ``after`` is (customer, subscription) as a JSON list."""
        ...

    async def still_moved(self, move: str, page: Page) -> Sequence[MovedRow]:
        """List what is moved and was not taken back, of the next ``page.limit`` customers by id."""
        ...

    async def seeking(self, sought: Sought, page: Page) -> Sequence[tuple[str, bool]]:
        """List customers by id, and whether their newest terms name what is sought. More than that is not certain.

        ``page.limit`` may be up to 5,000.
        """
        ...

    async def unknown_customers(self, customers: Sequence[str]) -> Sequence[str]:
        """Return which of these are no customers, in their order."""
        ...


class MoveWrites(MoveReads, Protocol):
    """Keeping moves."""

    async def put_move(self, row: MoveRow) -> None:
        """Insert a move; raises Conflict while another one of the same item is not done."""
        ...

    async def change_move(self, row: MoveRow) -> None:
        """Replace state, place and counts of a move."""
        ...

    async def put_moved(self, rows: Sequence[MovedRow]) -> None:
        """Insert or replace what a move did to subscriptions, in the transaction that does it."""
        ...
