"""What a local truth holds, as whoever hosts it looks at it: up to where, of whom, and whether it is still sound."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from licet.core.compiled import CompiledCatalog
from licet.core.instant import Instant
from licet.evaluator.rows import is_sound, user_key, wire_rows
from licet.evaluator.states import Awaited, Staged, State
from licet.wire.feed import ClockMark, Cursor, TermsRow, UserRow

_SOUND = 500


class Holding:
    """What is held of one workspace. Readers of any thread see all of a set or nothing of it."""

    def __init__(
        self,
        zone_of: Callable[[str], tzinfo] = ZoneInfo,
        *,
        workspace: str = "",
        most_customers: int | None = None,
    ) -> None:
        self.workspace = workspace
        self.zone = "UTC"
        self.partial = False
        """Only customers that were picked are held; of others nothing is known."""
        self.most_customers = most_customers
        self.floor: Instant = 0
        """Real time is never before this: when the newest truth was issued."""
        self._zone_of = zone_of
        self._state = State(None, {})
        self._staged: Staged | None = None
        self.dropped = 0
        """How often customers gave way to others so far."""
        self._sum = 0
        self._looked = 0
        self._lock = threading.Lock()
        self._awaited: dict[str, Awaited] = {}
        self._recent: dict[str, None] = {}
        """Who was asked about or told of since the bound was last kept; the last one last."""

    @property
    def cursor(self) -> Cursor | None:
        """Up to where everything is known; None before the first set."""
        return self._state.cursor

    @property
    def seq(self) -> int:
        """The sequence of the cursor, 0 before the first set."""
        return 0 if self._state.cursor is None else self._state.cursor.seq

    @property
    def basis(self) -> str | None:
        """The token that names the truth an answer rests on, ``1:42``."""
        return None if self._state.cursor is None else str(self._state.cursor)

    @property
    def catalog(self) -> CompiledCatalog | None:
        """The catalog in force; None before the first release."""
        return None if self._state.world is None else self._state.world.catalog

    @property
    def catalog_hash(self) -> str | None:
        """The SHA-256 of the catalog document in force, where whoever released it said so."""
        return self._state.catalog_hash

    @property
    def clock(self) -> ClockMark:
        """The business clock beside real time."""
        return self._state.clock

    @property
    def usable_until(self) -> Instant | None:
        """Real time from which on each feature's ``when_unreachable`` decides; None: never."""
        return self._state.usable

    def __len__(self) -> int:
        """How many rows are held."""
        return len(self._state.held)

    def known(self, customer: str, user: str | None = None) -> bool:
        """Return whether what there is about a customer is held here: its terms, or that there are none.

        With a user, whether that user's row is held.
        """
        return self._state.row(customer if user is None else user_key(customer, user)) is not None

    def digest(self) -> int:
        """Return what all rows add up to (``wire.feed.digest_part``), as they were put."""
        return self._sum

    def rows(self, keys: Iterable[str] | None = None) -> Iterator[TermsRow | UserRow]:
        """Yield all rows, as a feed has them; or those of some keys, as :meth:`pick` returned them."""
        held = self._state.held
        return wire_rows(held if keys is None else {key: held[key] for key in keys if key in held})

    def customers(self) -> list[str]:
        """Return who is known here, also those who have no terms; whoever was seen last comes last."""
        held, recent = self._state.held, list(self._recent)
        late = dict.fromkeys(recent)
        known = [key for key in list(held) if "\0" not in key and key not in late]
        return [*known, *(key for key in late if key in held)]

    def sound(self, most: int = _SOUND) -> bool:
        """Return whether the next ``most`` rows are still what they were made of; goes on where it stopped."""
        held = self._state.held
        start = self._looked if self._looked < len(held) else 0
        keys = list(islice(held, start, start + most))
        self._looked = start + most
        return all(is_sound(key, held[key]) for key in keys)

    def _row(self, key: str) -> tuple[State, bytes | None]:
        """Return a row, and the state that it is of."""
        while True:
            state = self._state
            row = state.row(key)
            if self._state is state:
                return state, row
