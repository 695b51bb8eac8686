"""What quota leases need of storage. ``store.usage.leases`` implements it; who owns what is ``hub.lease``."""

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from licet.core.instant import Instant
from licet.core.usage.facts import Fact
from licet.hub.lease import Lease
from licet.services.rows import Page


class LeaseRow(Struct, frozen=True, kw_only=True):
    """A quota lease as it is kept. Its instants are real time."""

    lease: Lease
    recorded: int = 0
    """Of what its owner told as used, what facts tell of already."""

    @property
    def held(self) -> bool:
        """Whether anything of it stays drawn that is not known as used."""
        return self.lease.state in ("open", "escheated") or self.lease.lost > 0


class LeaseFilter(Struct, frozen=True, kw_only=True):
    """Which leases of a workspace."""

    customer: str | None = None
    feature: str | None = None
    state: str | None = None


class LeaseSum(Struct, frozen=True, kw_only=True):
    """Of one balance what leases hold, in its minor units."""

    feature: str
    leased: int
    """Of open leases of this period: what their owners may still spend, and what they spent and nobody was told of
    yet."""
    written_off: int
    """Of leases that ended in this or an earlier period: what stays drawn and is no use."""


class LeaseReads(Protocol):
    """Reading leases, as of one state of the database."""

    async def lease(self, lease: str) -> LeaseRow | None:
        """Return one by its id."""
        ...

    async def lease_facts(self, leases: Collection[str]) -> dict[str, Fact]:
        """Return the facts by which leases were drawn, by the id of the lease, of those that there are; not locked."""
        ...

    async def leases(self, only: LeaseFilter, page: Page) -> Sequence[LeaseRow]:
        """List leases by id; ``after`` is an id."""
        ...

    async def lease_sums(self, customer: str, since: dict[str, Instant]) -> Sequence[LeaseSum]:
        """Return what leases hold of a customer's balances, by feature.

        ``since`` says by feature from when on what was set aside counts: the begin of its period.
        """
        ...

    async def held_leases(self) -> tuple[int, int]:
        """Return how many leases are open, and of how many that ended a part is written off."""
        ...

    async def lost_leases(self, epoch: int, now: Instant, most: int) -> Sequence[str]:
        """Return ids of open leases whose time (real) or epoch is over, those that ended first first."""
        ...


class LeaseLocks(Protocol):
    """Leases within a posting. Their balances are locked before: whoever changes a lease holds all balances it drew."""

    async def leases_of(self, ids: Collection[str]) -> dict[str, LeaseRow]:
        """Lock and return leases by id, those that there are."""
        ...

    async def open_leases(self, pairs: Collection[tuple[str, str]]) -> Sequence[LeaseRow]:
        """Lock and return the open leases of features of customers, each pair ``(customer, feature)``."""
        ...

    async def recalled_leases(self, owners: Collection[str]) -> Sequence[LeaseRow]:
        """Return the open leases of owners that were recalled; not locked."""
        ...


__all__ = ["LeaseFilter", "LeaseLocks", "LeaseReads", "LeaseRow", "LeaseSum"]
