"""What usage reads of many balances, customers and users at once: in as many statements as of one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from licet.core.instant import Instant
from licet.core.usage.facts import AccountKey, Fact, Funding
from licet.services.rows import TermsRow, UserRow

if TYPE_CHECKING:
    from licet.services.usage.ports import BalanceRow


class PastReads(Protocol):
    """Reading what one balance is folded from."""

    async def checkpoint(self, key: AccountKey, before: Instant, known: datetime | None = None) -> "BalanceRow | None":
        """Return the newest checkpoint of a balance that is of before an instant (and was recorded by ``known``).

        It holds every fact effective by its ``as_of``, and no other.
        """
        ...

    async def border(self, key: AccountKey) -> Instant | None:
        """Return since when a balance can be folded, where facts were dropped; None where it can since its first."""
        ...

    async def facts_of(
        self,
        key: AccountKey,
        *,
        after: tuple[Instant, str] | None = None,
        until: Instant | None = None,
        known: datetime | None = None,
    ) -> Sequence[Fact]:
        """Return the facts that burn of a balance, by (effective, id): after a place, effective before ``until``.

        ``known``: only those recorded by then. With them come the reservations' beginnings that later ones are about.
        """
        ...

    async def ended_after(self, customer: str, since: Instant, until: Instant | None, known: datetime) -> Sequence[str]:
        """Return the reservations whose ends, effective in ``(since, until)``, were recorded after a time."""
        ...

    async def first_of(self, customer: str, facts: Sequence[str], since: Instant, until: Instant) -> Instant | None:
        """Return when the first of some facts of a customer was effective, of those in ``[since, until]``."""
        ...


class PastsReads(PastReads, Protocol):
    """Reading what many balances are folded from; answers are in the order of what was asked."""

    async def checkpoints(
        self, asked: Sequence[tuple[AccountKey, Instant]], known: datetime | None = None
    ) -> "Sequence[BalanceRow | None]":
        """Return of each balance its newest checkpoint of before an instant."""
        ...

    async def borders(self, keys: Sequence[AccountKey]) -> Sequence[Instant | None]:
        """Return of each balance since when it can be folded."""
        ...

    async def facts_of_each(
        self,
        asked: Sequence[tuple[AccountKey, tuple[Instant, str] | None]],
        *,
        until: Instant | None = None,
        known: datetime | None = None,
    ) -> Sequence[Sequence[Fact]]:
        """Return of each balance the facts that burn of it after a place."""
        ...


class GroundsReads(Protocol):
    """Reading on what many customers' usage is decided; who is not there is not named in the answers."""

    async def newest_terms(self, customers: Sequence[str]) -> Mapping[str, TermsRow]:
        """Return the newest terms of customers."""
        ...

    async def users_named(self, named: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], UserRow]:
        """Return users, each named by customer and id."""
        ...

    async def funding_of_each(self, customers: Sequence[str]) -> Mapping[str, Sequence[Funding]]:
        """Return all that is recorded as put on the balances of customers, by id."""
        ...
