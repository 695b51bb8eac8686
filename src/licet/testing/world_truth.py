"""What the clients of a world hold: the evaluator's own truth, told by hand, with a clock that the test moves."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from licet.core.catalog import Catalog
from licet.core.instant import DAY, SECOND, Instant, to_instant
from licet.core.question import Context, UserFacts
from licet.core.terms import Attributes, Terms
from licet.evaluator.truth import LocalTruth
from licet.sdk.decision import Decision, Freshness, Page, State
from licet.sdk.errors import Unreachable
from licet.testing.world_catalog import compiled
from licet.wire.feed import Cursor, UserRow

EPOCH: Final = 1
CUT: Final = "the test cut this world off; world.online() ends it"
FRESH: Final = 45 * SECOND
USABLE: Final = 30 * DAY
"""How long a head of a real server is fresh, and usable without the server."""


class WorldTruth:
    """One workspace in memory. While cut off, what is said waits; time passes all the same."""

    def __init__(self, now: datetime, catalog: Catalog) -> None:
        self.now = now
        self.connected = True
        self.empty = False
        """The clients hold no truth at all."""
        self._seq = 0
        self._truth = LocalTruth(workspace="world")
        self._waiting: list[Callable[[], None]] = []
        self.page: Page
        self.release(catalog)

    @property
    def instant(self) -> Instant:
        """What time it is, as the core counts it."""
        return to_instant(self.now)

    def pass_time(self, moment: datetime) -> None:
        """Let it be later. Connected, the client hears a head every few seconds; cut off, its truth grows old."""
        self.now = moment
        self._hear()

    def cut(self) -> None:
        """Let the client hear nothing any more."""
        self.connected = False

    def join(self) -> None:
        """Let the client hear everything that it missed."""
        self.connected, self.empty = True, False
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()
        self._hear()

    def release(self, catalog: Catalog) -> None:
        """Take a newer catalog: what is sold from now on, and what the client reads as soon as it hears of it."""
        revision = self._seq + 1
        self.catalog = catalog
        self.compiled = compiled(catalog, revision)
        self._tell(lambda: self._truth.release(catalog, revision))

    def put(self, terms: Terms, revision: int) -> None:
        """Take a customer's newer terms."""
        seq, doc = self._seq + 1, msgspec.json.encode(terms, order="sorted")
        self._tell(lambda: self._truth.put_terms(terms.customer, revision, seq, doc))

    def put_user(
        self, customer: str, user: str, roles: tuple[str, ...], attributes: Mapping[str, Any], *, active: bool
    ) -> None:
        """Take what is known of a user; raises ValueError for attributes that no condition could read."""
        try:
            given = msgspec.convert(attributes, Attributes)
        except msgspec.ValidationError as error:
            raise ValueError(f"attributes of {user!r} that no condition can read: {error}") from None
        seq = self._seq + 1
        row = UserRow(
            customer=customer,
            user=user,
            revision=seq,
            seq=seq,
            active=active,
            roles=roles,
            attributes=given,
        )
        self._tell(lambda: self._truth.put_user(row))

    def decide(
        self,
        customer: str,
        feature: str,
        *,
        user: str | None = None,
        context: Context | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> Decision:
        """Return the decision on a question, now, from what the client holds; raises NoTruth where that is nothing."""
        self.refuse_empty()
        now = self._truth.business(self.instant)
        ruled = self._truth.check(customer, feature, now, user=user, context=context, quantity=quantity, used=used)
        return Decision(ruled, self.instant, self.page)

    def facts(self, customer: str, user: str) -> UserFacts | str:
        """Return what conditions may read of a user; of one that is not known only the id."""
        return self._truth.facts(customer, user)

    def entitlements(self, customer: str) -> dict[str, Decision]:
        """Return what a customer has, now, from what the client holds; raises NoTruth where that is nothing."""
        self.refuse_empty()
        held, catalog = self._truth.entitlements(customer, self._truth.business(self.instant)), self._truth.catalog
        if held is None or catalog is None:
            return {}
        return {one: self.decide(customer, one, quantity=0) for one in catalog.features if one in held.rights}

    def refuse_empty(self) -> None:
        """Raise NoTruth where the clients hold nothing."""
        if self.empty:
            raise Unreachable("nothing has come to this world's clients yet (world.empty); world.online() ends it")

    def freshness(self) -> Freshness:
        """Return how the client's truth stands."""
        if self.empty:
            return Freshness(state="empty", age_seconds=None, cursor=None, connected=False, last_error=CUT)
        state: State = "fresh"
        if self.instant >= self.page.usable_until:
            state = "expired"
        elif self.instant >= self.page.fresh_until:
            state = "stale"
        return Freshness(
            state=state,
            age_seconds=(self.instant - self.page.issued_at) / SECOND,
            cursor=self.page.basis,
            connected=self.connected,
            last_error=None if self.connected else CUT,
        )

    def _tell(self, act: Callable[[], None]) -> None:
        """Do it at once, or as soon as the client can be reached."""
        self._seq += 1
        if self.connected:
            act()
            self._hear()
        else:
            self._waiting.append(act)

    def _hear(self) -> None:
        """Hear a head of this instant, if the client can be reached."""
        if not self.connected:
            return
        now, cursor = self.instant, Cursor(EPOCH, self._seq)
        self._truth.commit(cursor, usable_until=now + USABLE, issued_at=now)
        self.page = Page(basis=str(cursor), issued_at=now, fresh_until=now + FRESH, usable_until=now + USABLE)
