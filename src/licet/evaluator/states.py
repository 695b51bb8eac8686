"""What a local truth holds at one time, and what is on its way into it."""

from collections.abc import Iterable
from typing import Any, Final, Literal
from unicodedata import normalize

from licet.core.instant import FOREVER, Instant
from licet.core.question import UserFacts
from licet.evaluator.cases import World
from licet.evaluator.rows import ABSENT, facts_of, part_of, terms_row, user_key, user_row
from licet.wire.feed import ClockMark, Cursor, TermsRow, UserRow

GONE: Final = b"\0gone"
"""Over a row that is held: it is not there any more. Told from rows by identity."""
_REAL: Final = ClockMark()


class State:
    """What readers see, exchanged as one. ``over`` lies over ``held`` while a set moves in, or customers out."""

    __slots__ = (
        "catalog_hash",
        "clock",
        "cursor",
        "expired_asked",
        "held",
        "over",
        "ready",
        "until",
        "usable",
        "world",
    )

    def __init__(self, world: World | None, held: dict[str, bytes]) -> None:
        self.world = world
        self.held = held
        self.over: dict[str, bytes] = {}
        self.ready: dict[str, dict[str, Any]] = shelves(world)
        self.cursor: Cursor | None = None
        self.clock = _REAL
        self.usable: Instant | None = None
        self.until: Instant = FOREVER
        self.expired_asked = False
        self.catalog_hash: str | None = None

    def row(self, key: str) -> bytes | None:
        """Return what is held under a key, None for nothing.

        It is of this state if this is still the one in force afterwards: what is held moves on with the next one.
        """
        found = self.over.get(key)
        if found is None:
            return self.held.get(key)
        return None if found is GONE else found

    def facts(self, customer: str, user: str) -> UserFacts | str:
        """Return what conditions may read of a user; of one that is not known or not active, only the id."""
        row = self.row(user_key(customer, user))
        if row is None and not user.isascii():
            # Rows have ids in normal form C; who asks need not.
            user = normalize("NFC", user)
            row = self.row(user_key(customer, user))
        return facts_of(user, row)

    def settle(self) -> None:
        """Move what lies over what is held into it."""
        for key, row in self.over.items():
            if row is GONE:
                self.held.pop(key, None)
            else:
                self.held[key] = row
        self.over = {}


def shelves(world: World | None) -> dict[str, dict[str, Any]]:
    """Return where what is made ready is kept, with nothing in it."""
    # By feature first: a process asks about few features of many customers, and every look-up is a cache miss.
    return {} if world is None else {feature: {} for feature in world.catalog.features}


class Staged:
    """A set on its way in."""

    def __init__(
        self,
        kind: Literal["full", "changes"],
        *,
        partial: bool = False,
        picks: bool = False,
        bare: bool = False,
        wanted: bool = False,
    ) -> None:
        self.kind = kind
        self.partial = partial
        self.bare = bare
        self.picks = picks or wanted
        """Also who was not held before is held from now on."""
        self.wanted = wanted
        """No answer was given without the rows that are new in it."""
        self.rows: dict[str, bytes] = {}
        self.sum = 0
        self.world: World | None = None
        self.catalog_hash: str | None = None

    def put(self, key: str, row: bytes, part: int) -> None:
        """Put one row, and what it adds to the digest."""
        self.sum += part - part_of(key, self.rows.get(key, ABSENT))
        self.rows[key] = row

    def put_all(self, customer: str, terms: Iterable[TermsRow], users: Iterable[UserRow]) -> None:
        """Put all there is of a customer."""
        for row in terms:
            self.put(customer, *terms_row(customer, row.revision, row.seq, bytes(row.doc)))
        self.rows.setdefault(customer, ABSENT)
        for user in users:
            self.put(user_key(customer, user.user), *user_row(user))


class Awaited:
    """What came of a customer since all of it was asked for."""

    def __init__(self, at: Cursor | None) -> None:
        self.at = at
        self.rows: dict[str, bytes] = {}
