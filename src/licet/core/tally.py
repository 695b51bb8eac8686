"""Counting checks in bounded memory: one number per hour, customer, user, feature, reason, outcome and mode.

Where there are more keys than room, the user gives way first, then the customer, then the feature: totals stay whole.
"""

from typing import Final, Literal, NamedTuple

from licet.core.instant import HOUR, Instant
from licet.core.views import DecisionView

MAX_KEYS: Final = 20_000
"""Different keys of one hour that are counted apart; also the most that wait to be written."""
MAX_SAID: Final = 20_000
"""Customers and features of which the use last said waits to be written."""
FOLDED: Final = ("", "user", "customer", "feature")
"""What gave way, by the level of folding: nothing, the user, then the customer too, then the feature too."""
_SHARES: Final = (80, 90, 95, 100)
"""Percent of the room up to which keys of each level are taken in: what is folded always finds some."""

Outcome = Literal["allowed", "denied", "would_deny"]
"""``would_deny``: allowed by a feature in observe mode that would have been refused."""


class CheckKey(NamedTuple):
    """What a check is counted under. A part that is absent or has given way is the empty text.

    ``hour`` is the first instant of a whole hour of business time. ``folded`` is a place in :data:`FOLDED`.
    """

    hour: Instant
    customer: str
    user: str
    feature: str
    reason: str
    outcome: Outcome
    mode: str
    folded: int = 0


def outcome_of(decision: DecisionView) -> Outcome:
    """Return how a decision counts."""
    if decision.would_deny is not None:
        return "would_deny"
    return "allowed" if decision.allowed else "denied"


def counted_reason(decision: DecisionView) -> str:
    """Return the reason a decision is counted under: the first, or the first with which it would have been refused."""
    return decision.would_deny[0] if decision.would_deny else decision.reason


def key_of(decision: DecisionView, user: str | None, now: Instant) -> CheckKey:
    """Return what a decision of business time ``now`` is counted under."""
    return CheckKey(
        now - now % HOUR,
        decision.customer,
        user or "",
        decision.feature,
        counted_reason(decision),
        outcome_of(decision),
        decision.mode or "",
    )


def fold(key: CheckKey, level: int) -> CheckKey:
    """Return a key without what has given way at a level of :data:`FOLDED`."""
    if level == 0:
        return key
    if level == 1:
        return key._replace(user="", folded=1)
    if level == 2:
        return key._replace(user="", customer="", folded=2)
    return key._replace(user="", customer="", feature="", folded=3)


class Tally:
    """Counts that wait to be written, at most ``most`` keys; remembers which keys its newest hour has had.

    So an hour has at most ``most`` keys however often it is taken. What finds no room at all is only counted as lost.
    """

    def __init__(self, most: int = MAX_KEYS) -> None:
        self._rooms = tuple(most * share // 100 for share in _SHARES)
        self._counts: dict[CheckKey, int] = {}
        self._known: set[CheckKey] = set()
        self._hour: Instant = 0
        self._lost = 0

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def lost(self) -> int:
        """Checks since the last :meth:`take` that found no room."""
        return self._lost

    def add(self, key: CheckKey, times: int = 1) -> None:
        """Count a check, or so many that are counted under the same."""
        if key in self._counts:
            self._counts[key] += times
            return
        if key.hour > self._hour:
            self._hour = key.hour
            self._known.clear()
        for level, room in enumerate(self._rooms):
            folded = fold(key, level)
            if folded in self._known or max(len(self._known), len(self._counts)) < room:
                self._known.add(folded)
                self._counts[folded] = self._counts.get(folded, 0) + times
                return
        self._lost += times

    def lose(self, times: int) -> None:
        """Count checks as lost."""
        self._lost += times

    def take(self) -> tuple[dict[CheckKey, int], int]:
        """Return everything counted and lost since the last time, and begin anew."""
        taken = self._counts, self._lost
        self._counts, self._lost = {}, 0
        return taken


class UseKey(NamedTuple):
    """Whose use of which limit."""

    customer: str
    feature: str


class SaidUse(NamedTuple):
    """How much of a limit a caller said is used, in minor units, and when (business time)."""

    used: int
    said_at: Instant


class SaidUses:
    """The newest use that was said of each customer's limits, of at most ``most`` of them, until it is written.

    What finds no room is not kept: it is said again with the next check.
    """

    def __init__(self, most: int = MAX_SAID) -> None:
        self._most = most
        self._said: dict[UseKey, SaidUse] = {}

    def __len__(self) -> int:
        return len(self._said)

    def add(self, key: UseKey, said: SaidUse) -> None:
        """Keep what was said, unless something later was; of two at one instant the one that came last counts."""
        known = self._said.get(key)
        if known is None and len(self._said) >= self._most:
            return
        if known is None or known.said_at <= said.said_at:
            self._said[key] = said

    def take(self) -> dict[UseKey, SaidUse]:
        """Return everything kept since the last time, and begin anew."""
        taken, self._said = self._said, {}
        return taken
