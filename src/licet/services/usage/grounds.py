"""On what usage is decided: compiled catalog, terms, funding and users, kept between postings by their versions.

What is kept is verified inside each posting: where the log has not moved since, nothing has changed for anybody; where
it has, one look at the versions says for whom. For one workspace and one event loop; bounded.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Memo
from licet.core.instant import DAY, Instant
from licet.core.question import UserFacts
from licet.core.snapshot import Snapshot
from licet.core.usage.course import Course, course_of
from licet.core.usage.facts import AccountKey, Funding
from licet.core.usage.metering import Metering, metering_of
from licet.core.usage.reach import Reaches
from licet.services.errors import NoCatalog
from licet.services.past import user_facts
from licet.services.rows import TermsRow
from licet.services.truth import Catalogs, Recent
from licet.services.usage.funding import FundingReads
from licet.services.usage.ports import UsageStorage

MAX_CUSTOMERS: Final = 20_000
MAX_COURSES: Final = 3 * MAX_CUSTOMERS
MAX_USERS: Final = 20_000
AHEAD: Final = 2 * DAY
"""How far ahead courses are worked out."""


class LaneStorage(UsageStorage, Protocol):
    """The parts of the storage that lanes use: postings, and reading what they rest on."""

    def read(self, workspace: str) -> AbstractAsyncContextManager[FundingReads]:
        """Begin a read-only transaction."""
        ...


class Ground(Struct, frozen=True):
    """What is known of one customer, as of a sequence of the log; ``terms`` None where there is no such customer."""

    seq: int
    terms: TermsRow | None = None
    funding: tuple[Funding, ...] = ()
    funding_seq: int = 0


class _User(Struct, frozen=True):
    seq: int
    facts: UserFacts | str | None


class UsageGrounds:
    """What is known of a workspace's customers; :meth:`verify` makes it what holds at a sequence or later."""

    def __init__(self, storage: LaneStorage, workspace: str, catalogs: Catalogs) -> None:
        self._storage = storage
        self._workspace = workspace
        self._catalogs = catalogs
        self._customers: Recent[str, Ground] = Recent(MAX_CUSTOMERS)
        self._users: Recent[tuple[str, str], _User] = Recent(MAX_USERS)
        self._courses: Recent[AccountKey, tuple[int, int, int, Course]] = Recent(MAX_COURSES)
        self._snapshots: Recent[str, tuple[int, Snapshot]] = Recent(MAX_CUSTOMERS)
        self._near: dict[str, Snapshot] = {}
        """Those of this posting's customers, found again at once."""
        self._catalog: tuple[int, CompiledCatalog, Reaches, Memo] | None = None
        """The sequence at which it was the newest, the catalog, what is reached, and what derivation remembers."""

    @property
    def catalog(self) -> CompiledCatalog:
        """The newest catalog."""
        if self._catalog is None:
            raise NoCatalog(self._workspace)
        return self._catalog[1]

    @property
    def metering(self) -> Metering:
        """What the newest catalog meters."""
        if self._catalog is None:
            raise NoCatalog(self._workspace)
        return self._catalog[2].metering

    @property
    def reaches(self) -> Reaches:
        """What requests reach under the newest catalog."""
        if self._catalog is None:
            raise NoCatalog(self._workspace)
        return self._catalog[2]

    async def verify(self, tip: int, customers: Iterable[str], users: Iterable[tuple[str, str]] = ()) -> None:
        """Look again at everything named that was last looked at before a sequence; raises NoCatalog.

        What comes after the look is known by the next posting, which begins after it.
        """
        self._near.clear()
        old = [one for one in customers if (known := self._customers.get(one)) is None or known.seq < tip]
        people = [one for one in users if (was := self._users.get(one)) is None or was.seq < tip]
        if self._catalog is not None and self._catalog[0] >= tip and not old and not people:
            return
        async with self._storage.read(self._workspace) as view:
            seq = await view.seq()
            await self._read_catalog(view, seq)
            await self._read_customers(view, seq, old)
            users = await view.users_named(people) if people else {}
            for one in people:
                self._users.put(one, _User(seq, user_facts(one[1], users.get(one))))
        self._near.clear()

    def ground(self, customer: str) -> Ground:
        """Return what is known of a customer that was verified."""
        return self._customers.get(customer) or Ground(0)

    def user(self, customer: str, user: str | None) -> UserFacts | str | None:
        """Return what conditions may read of a user that was verified; else the id alone."""
        known = None if user is None else self._users.get((customer, user))
        return user if known is None else known.facts

    def snapshot(self, customer: str) -> Snapshot | None:
        """Return what a customer has, ready to be asked; None for one that is not known."""
        near = self._near.get(customer)
        return self._find_snapshot(customer) if near is None else near

    def _find_snapshot(self, customer: str) -> Snapshot | None:
        ground, known = self.ground(customer), self._snapshots.get(customer)
        if ground.terms is None or self._catalog is None:
            return None
        _, catalog, _, memo = self._catalog
        if known is None or known[0] != ground.terms.revision or known[1].catalog is not catalog:
            known = self._snapshots.put(customer, (ground.terms.revision, Snapshot(catalog, ground.terms.terms, memo)))
        self._near[customer] = known[1]
        return known[1]

    def course(self, key: AccountKey, now: Instant) -> Course:
        """Return the course of a balance, good for ``now`` and the time shortly after."""
        ground, catalog = self.ground(key.customer), self.catalog
        if ground.terms is None:
            raise KeyError(key.customer)
        version = catalog.revision, ground.terms.revision, ground.funding_seq
        known = self._courses.get(key)
        if known is None or known[:3] != version or known[3].until <= now:
            made = course_of(catalog, ground.terms.terms, ground.funding, key, now + AHEAD)
            known = self._courses.put(key, (*version, made))
        return known[3]

    async def _read_catalog(self, view: FundingReads, seq: int) -> None:
        revision = await view.catalog_revision()
        if revision == 0:
            raise NoCatalog(self._workspace)
        known = self._catalog
        if known is not None and known[1].revision == revision:
            self._catalog = (max(seq, known[0]), *known[1:])
            return
        catalog = await self._catalogs.at(view, revision)
        if known is None or known[1].revision < revision:
            self._catalog = (seq, catalog, Reaches(catalog, metering_of(catalog), self.snapshot), Memo(catalog))

    async def _read_customers(self, view: FundingReads, seq: int, customers: Sequence[str]) -> None:
        if not customers:
            return
        versions = {one.customer: one for one in await view.grounds(customers)}
        before = {one: known for one in customers if (known := self._customers.get(one)) is not None}
        moved = [one for one, found in versions.items() if _revision(before.get(one)) != found.revision]
        funded = [one for one, found in versions.items() if _funding_seq(before.get(one)) != found.funding_seq]
        terms = await view.newest_terms(moved) if moved else {}
        funding = await view.funding_of_each(funded) if funded else {}
        for customer in customers:
            known, found = self._customers.get(customer), versions.get(customer)
            if known is not None and known.seq >= seq:
                continue
            if found is None:
                self._customers.put(customer, Ground(seq))
                continue
            made = Ground(
                seq,
                terms.get(customer) or (None if known is None else known.terms),
                tuple(funding.get(customer, () if known is None or customer in funded else known.funding)),
                found.funding_seq,
            )
            self._customers.put(customer, made)


def _revision(ground: Ground | None) -> int:
    return 0 if ground is None or ground.terms is None else ground.terms.revision


def _funding_seq(ground: Ground | None) -> int:
    return 0 if ground is None else ground.funding_seq
