"""What the client of a world holds: a truth as a follower would have it, with a clock that the test moves."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from licet.core.catalog import Catalog
from licet.core.instant import DAY, SECOND, Instant, to_instant
from licet.core.question import Context, UserFacts
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from licet.sdk.decision import Decision, Freshness, Page, State
from licet.testing.world_catalog import compiled

EPOCH: Final = 1
FRESH: Final = 45 * SECOND
USABLE: Final = 30 * DAY
"""How long a head of a real server is fresh, and usable without the server."""


class WorldTruth:
    """One workspace in memory. While cut off, what is said waits; time passes all the same."""

    def __init__(self, now: datetime, catalog: Catalog) -> None:
        self.now = now
        self.connected = True
        self.seq = 1
        self.catalog = catalog
        self.compiled = compiled(catalog, self.seq)
        self._truth = Truth(self.compiled)
        self._users: dict[tuple[str, str], UserFacts | None] = {}
        self._waiting: list[Callable[[], None]] = []
        self.page = self._heard()

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
        self.connected = True
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()
        self._hear()

    def release(self, catalog: Catalog) -> None:
        """Take a newer catalog."""
        self.catalog = catalog
        self.compiled = made = compiled(catalog, self.seq + 1)
        self._tell(lambda: self._truth.release(made))

    def put(self, terms: Terms) -> None:
        """Take a customer's newer terms."""
        self._tell(lambda: self._truth.put(terms))

    def put_user(self, customer: str, user: str, facts: UserFacts | None) -> None:
        """Take what is known of a user; None for one who is not active."""
        self._tell(lambda: self._users.__setitem__((customer, user), facts))

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
        """Return the decision on a question, now, from what the client holds."""
        facts = None if user is None else self._users.get((customer, user)) or user
        ruled = self._truth.check(
            customer, feature, self.instant, user=facts, context=context, quantity=quantity, used=used
        )
        return Decision(ruled, self.instant, self.page)

    def freshness(self) -> Freshness:
        """Return how the client's truth stands."""
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
            last_error=None if self.connected else "the test cut this world off (world.offline)",
        )

    def _tell(self, act: Callable[[], None]) -> None:
        """Do it at once, or as soon as the client can be reached."""
        self.seq += 1
        if self.connected:
            act()
            self._hear()
        else:
            self._waiting.append(act)

    def _hear(self) -> None:
        """Hear a head of this instant, if the client can be reached."""
        if self.connected:
            self.page = self._heard()

    def _heard(self) -> Page:
        """What a head of this instant says."""
        now = self.instant
        return Page(basis=f"{EPOCH}:{self.seq}", issued_at=now, fresh_until=now + FRESH, usable_until=now + USABLE)
