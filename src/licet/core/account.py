"""One balance with everything about it: what grants and windows leave, running totals of rated use, thresholds.

A fold like the one of ``balance``: an account's state is a cache of its facts in the order of (effective, id), and of
its course up to the newest of them.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from licet.core.balance import Draw, Fact, Refund, Use
from licet.core.instant import Instant

if TYPE_CHECKING:
    from licet.core.course import Course


class Room(NamedTuple):
    """How much there is at an instant, in minor units."""

    remaining: int
    """What grants still cover, never negative."""
    granted: int
    used: int
    overage: int
    """What was used beyond all there was."""
    overage_left: int | None
    """How much more may be used beyond what there is, by ``at_limit`` and the overage limit; None: no bound."""
    spend_left: int | None
    """The same by the customer's spend limit."""


class BalanceNumbers(Struct, frozen=True, kw_only=True):
    """A balance at an instant, in minor units: always ``granted - used == remaining``."""

    at: Instant
    used: int
    granted: int
    remaining: int
    """Negative by ``overage``."""
    overage: int
    resets_at: Instant | None
    lefts: dict[str, int]
    """What is left of each grant that is usable, by id; in windows and gauges what each is worth."""
    crossed: tuple[int, ...]
    """Thresholds in percent that were crossed in this period."""


class Account:
    """A balance, up to its newest fact."""

    def __init__(self, course: "Course") -> None:
        self.course = course

    @classmethod
    def load(cls, course: "Course", state: bytes) -> "Account | None":
        """Return the account of a kept state; None where its course has another past by now, or it is unreadable."""
        return None

    def dump(self) -> bytes:
        """Return its state, compact."""
        return b""

    @property
    def newest(self) -> Instant:
        """The instant of the newest fact it holds."""
        return 0

    def room(self, now: Instant) -> Room:
        """Return how much there is; ``now`` no earlier than what it holds."""
        return Room(0, 0, 0, 0, 0, None)

    def rated(self, key: str) -> int:
        """Return the running total of ``meter@rate``."""
        return 0

    def counts(self, value: str, now: Instant) -> bool:
        """Whether a ``unique`` meter has not counted this value in the period of ``now`` yet."""
        return True

    def admit_use(self, use: Use) -> tuple[Draw, ...]:
        """Take a use and return what it drew, to be kept where it may be given back; raises Late."""
        return ()

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part back of a use of ``since`` and return what is left of its draws; raises Late."""
        return ()

    def crossings(self) -> tuple[int, ...]:
        """Return the thresholds crossed since last asked, ascending."""
        return ()

    def standing(self, now: Instant) -> BalanceNumbers:
        """Return its numbers; ``now`` no earlier than what it holds."""
        return BalanceNumbers(at=now, used=0, granted=0, remaining=0, overage=0, resets_at=None, lefts={}, crossed=())

    def replay(self, facts: Iterable[Fact]) -> dict[str, tuple[Draw, ...]]:
        """Take facts in whatever order they are given; return what is left of the draws of each use among them."""
        return {}
