"""What counts without drawing: windows that roll or open at a use, and gauges, for which grants are a ceiling."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Final, Literal

from msgspec import Struct

from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.usage.drawing import Draw, Late, Place, Refund, Use, last
from licet.core.usage.grant import Timetable

EXACT: Final = 2_048
"""Up to so many instants at which there was use a rolling window is exact; beyond, it counts by slices."""
SLICES: Final = 4_096
"""A slice is this part of the window's length. What was used in one counts until the end of it leaves the window."""
MAX_VALUES: Final = 100_000
"""So many different values are counted within a period; more change nothing of a balance."""

_HASH: Final = 8
_FIRST: Final = Place(BEGINNING, -1, "")


class RollingState(Struct, array_like=True):
    """Use by instant (by end of its slice, once ``coarse``), ascending.

    ``peak``: how many instants were in the window at most since ``floor``. A reset empties the window: ``floor`` then.
    """

    newest: Place = _FIRST
    ats: list[Instant] = []
    amounts: list[int] = []
    coarse: bool = False
    peak: int = 0
    floor: Instant = BEGINNING


class SessionState(Struct, array_like=True):
    """The newest session: the use that opened it, when it ends, and how much was used in it."""

    digest: bytes = b""
    newest: Place = _FIRST
    opened: Place = _FIRST
    ends: Instant = BEGINNING
    used: int = 0


class GaugeState(Struct, array_like=True):
    """A level, and for what is unique the values of the period that began at ``period``, 8 bytes of hash each."""

    digest: bytes = b""
    newest: Place = _FIRST
    period: Instant = BEGINNING
    level: int = 0
    values: bytes = b""


class Ceiling:
    """What all of them share: what grants in force are worth, and that nothing is drawn from them."""

    __slots__ = ("_table", "next_at")

    def __init__(self, table: Timetable, at: Instant) -> None:
        self._table = table
        self.next_at: Instant = BEGINNING
        """When the grants are worth something else next."""
        self.advance(at)

    def advance(self, at: Instant) -> None:
        """Let time pass until ``at``, inclusive."""
        place = self._table.place(at)
        self.next_at = self._table.steps[place].at if place < len(self._table.steps) else FOREVER


class Rolling(Ceiling):
    """Use within ``(now - length, now]``, from the newest of the ``resets`` (ascending) on."""

    __slots__ = ("_length", "_resets", "_slice", "_state", "_sum")

    def __init__(
        self, table: Timetable, length: int, state: RollingState | None = None, resets: Sequence[Instant] = ()
    ) -> None:
        self._state = state or RollingState()
        super().__init__(table, self._state.newest.at)
        self._length = length
        self._resets = resets
        self._slice = -(-length // SLICES)
        self._sum = sum(self._state.amounts)

    @classmethod
    def resume(
        cls, table: Timetable, length: int, state: RollingState, resets: Sequence[Instant] = ()
    ) -> "Rolling | None":
        """Go on from a state (which becomes its own); None where a reset of its past was not known to it."""
        since = newest_by(resets, state.newest.at)
        return None if since > state.floor else cls(table, length, state, resets)

    def state(self) -> RollingState:
        """Return the state, ready to be written."""
        return self._state

    @property
    def newest(self) -> Place:
        """The place of the newest fact."""
        return self._state.newest

    def used(self, now: Instant) -> int:
        """Return what was used within the window that ends at ``now``, no earlier than any fact."""
        if self._resets and newest_by(self._resets, now) > self._state.floor:
            return 0
        gone = bisect_right(self._state.ats, now - self._length)
        return self._sum - sum(self._state.amounts[:gone]) if gone else self._sum

    def left_at(self, now: Instant) -> Instant:
        """Return when the newest use that has left the window by ``now`` did; ``now`` where none is known to have."""
        gone = bisect_right(self._state.ats, now - self._length)
        return self._state.ats[gone - 1] + self._length if gone else now

    def take(self, use: Use) -> tuple[Draw, ...]:
        """Take a use; raises Late where an earlier one would have made the window count by slices."""
        state = self._state
        place = Place(use.effective, 0, use.id)
        self._empty(place.at)
        if place >= state.newest:
            state.newest = place
            self._leave(place.at)
        elif place.at < self._since:
            return (Draw("", 0, use.amount),) if use.amount else ()
        elif state.coarse or state.peak >= EXACT or place.at <= state.floor != self._since:
            raise Late(place.at)
        else:
            state.peak += 1
        if not use.amount:
            return ()
        if place.at > state.newest.at - self._length:
            self._add(place.at, use.amount)
        return (Draw("", 0, use.amount),)

    def give_back(self, refund: Refund, draws: Iterable[Draw], since: Instant) -> tuple[Draw, ...]:
        """Give back a part of a use of ``since``: it counts as if it had been less, as long as it counts."""
        state = self._state
        self._empty(max(refund.effective, since))
        state.newest = max(state.newest, Place(max(refund.effective, since), 1, refund.id))
        kept = list(draws)
        given = sum(one.amount for one in last(kept, refund.amount))
        if since < self._since:
            return tuple(kept)
        at = self._end_of_slice(since) if state.coarse else since
        place = bisect_left(state.ats, at)
        if place < len(state.ats) and state.ats[place] == at:
            state.amounts[place] -= given
            self._sum -= given
        return tuple(kept)

    @property
    def _since(self) -> Instant:
        """The newest reset that has passed: what was used before it does not count any more."""
        return newest_by(self._resets, self._state.newest.at) if self._resets else BEGINNING

    def _empty(self, now: Instant) -> None:
        """Empty the window where a reset has passed by ``now``: from then on it is exact again."""
        state = self._state
        if self._resets and (since := newest_by(self._resets, now)) > state.floor:
            state.ats, state.amounts, self._sum = [], [], 0
            state.coarse, state.peak, state.floor = False, 0, since

    def _end_of_slice(self, at: Instant) -> Instant:
        return -(-at // self._slice) * self._slice

    def _leave(self, now: Instant) -> None:
        """Forget what is not in the window any more; an empty one is exact again."""
        state = self._state
        if not state.ats or state.ats[0] > now - self._length:
            return
        gone = bisect_right(state.ats, now - self._length)
        self._sum -= sum(state.amounts[:gone])
        del state.ats[:gone], state.amounts[:gone]
        if not state.ats and state.peak >= EXACT:
            state.coarse, state.peak, state.floor = False, 0, now

    def _add(self, at: Instant, amount: int) -> None:
        state = self._state
        self._sum += amount
        key = self._end_of_slice(at) if state.coarse else at
        place = bisect_left(state.ats, key)
        if place < len(state.ats) and state.ats[place] == key:
            state.amounts[place] += amount
            return
        state.ats.insert(place, key)
        state.amounts.insert(place, amount)
        state.peak = max(state.peak, len(state.ats))
        if not state.coarse and len(state.ats) > EXACT:
            self._coarsen()

    def _coarsen(self) -> None:
        state = self._state
        slices: dict[Instant, int] = {}
        for at, amount in zip(state.ats, state.amounts, strict=True):
            end = self._end_of_slice(at)
            slices[end] = slices.get(end, 0) + amount
        state.ats, state.amounts, state.coarse = list(slices), list(slices.values()), True


class Session(Ceiling):
    """Use within a window that opens at the first use that none covers; ``ends_of`` says when one ends."""

    __slots__ = ("_ends_of", "_state")

    def __init__(
        self, table: Timetable, ends_of: Callable[[Instant], Instant], state: SessionState | None = None
    ) -> None:
        self._state = state or SessionState()
        super().__init__(table, self._state.newest.at)
        self._ends_of = ends_of
        if state is not None and state.ends > BEGINNING:
            # What is known by now may cut it: a reset after its newest use does.
            state.ends = ends_of(state.opened.at)

    def state(self) -> SessionState:
        """Return the state, ready to be written."""
        self._state.digest = self._table.digest(self._table.place(self._state.newest.at))
        return self._state

    @property
    def newest(self) -> Place:
        """The place of the newest fact."""
        return self._state.newest

    @property
    def opened(self) -> Instant:
        """When the newest session opened."""
        return self._state.opened.at

    def ends(self, now: Instant) -> Instant | None:
        """Return when the session ends that is open at ``now``; None where none is."""
        return self._state.ends if now < self._state.ends else None

    def used(self, now: Instant) -> int:
        """Return what was used in the session that is open at ``now``, no earlier than any fact."""
        return self._state.used if now < self._state.ends else 0

    def left_at(self, now: Instant) -> Instant:
        """Return when the newest session ended, if it has by ``now``; else ``now``."""
        return min(now, self._state.ends)

    def take(self, use: Use) -> tuple[Draw, ...]:
        """Take a use; raises Late where it might have opened another session."""
        state = self._state
        place = Place(use.effective, 0, use.id)
        if place < state.newest and (place < state.opened or place.at >= state.ends):
            raise Late(place.at)
        state.newest = max(state.newest, place)
        if not use.amount:
            return ()
        if place.at >= state.ends:
            state.opened, state.ends, state.used = place, self._ends_of(place.at), 0
        state.used += use.amount
        return (Draw("", 0, use.amount),)

    def give_back(self, refund: Refund, draws: Iterable[Draw], since: Instant) -> tuple[Draw, ...]:
        """Give back a part of a use of ``since``; it matters as long as that use's session is the newest."""
        state = self._state
        state.newest = max(state.newest, Place(max(refund.effective, since), 1, refund.id))
        kept = list(draws)
        given = sum(one.amount for one in last(kept, refund.amount))
        if state.opened.at <= since < state.ends:
            state.used -= given
        return tuple(kept)


class _Values:
    """Different values by their hashes: those of a state, sorted one after another, and new ones besides.

    What a look and a new one cost hardly grows with how many there are: the long row is looked into and copied as a
    whole, never taken apart.
    """

    __slots__ = ("_kept", "_new")

    def __init__(self, kept: bytes) -> None:
        self._kept = kept
        self._new: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._kept) // _HASH + len(self._new)

    def __contains__(self, value: bytes) -> bool:
        return value in self._new or self._kept.startswith(value, _HASH * self._place(value))

    def add(self, value: bytes) -> None:
        """Add one, if it is not there."""
        if value not in self:
            self._new.add(value)

    def dump(self) -> bytes:
        """Return all of them, sorted."""
        if self._new:
            pieces, done = [], 0
            for value in sorted(self._new):
                place = _HASH * self._place(value)
                pieces += [self._kept[done:place], value]
                done = place
            self._kept, self._new = b"".join([*pieces, self._kept[done:]]), set()
        return self._kept

    def _place(self, value: bytes) -> int:
        """Where a value is in the row, or would be."""
        kept, low, high = self._kept, 0, len(self._kept) // _HASH
        while low < high:
            middle = (low + high) // 2
            if kept[_HASH * middle : _HASH * middle + _HASH] < value:
                low = middle + 1
            else:
                high = middle
        return low


class Gauge(Ceiling):
    """A level: the latest value told, or by period the highest one or how many different ones there were.

    Parts that are given back change nothing, and no value comes too late.
    """

    __slots__ = ("_kind", "_period_of", "_state", "_values")

    def __init__(
        self,
        table: Timetable,
        kind: Literal["latest", "max", "unique"],
        period_of: Callable[[Instant], Instant],
        state: GaugeState | None = None,
    ) -> None:
        self._state = state or GaugeState()
        super().__init__(table, self._state.newest.at)
        self._kind = kind
        self._period_of = period_of
        self._values = _Values(self._state.values)

    def state(self) -> GaugeState:
        """Return the state, ready to be written."""
        state = self._state
        state.digest = self._table.digest(self._table.place(state.newest.at))
        state.values = self._values.dump()
        return state

    @property
    def newest(self) -> Place:
        """The place of the newest value."""
        return self._state.newest

    def used(self, now: Instant) -> int:
        """Return the level at ``now``, no earlier than any value."""
        state = self._state
        if self._kind == "latest" or self._period_of(now) <= state.period:
            return state.level * (len(self._values) if self._kind == "unique" else 1)
        return 0

    def counts(self, value: str, now: Instant) -> bool:
        """Whether this value is a new one in the period of ``now``."""
        return self._period_of(now) != self._state.period or _hash(value) not in self._values

    def take(self, use: Use) -> tuple[Draw, ...]:
        """Take a value: ``use.amount``, or for ``unique`` what one value counts."""
        state = self._state
        place = Place(use.effective, 0, use.id)
        newer = place >= state.newest
        state.newest = max(state.newest, place)
        if self._kind == "latest":
            state.level = use.amount if newer else state.level
            return ()
        period = self._period_of(place.at)
        if period < state.period:
            return ()
        if period > state.period:
            state.period, state.level, self._values = period, 0, _Values(b"")
        state.level = max(state.level, use.amount)
        if self._kind == "unique" and len(self._values) < MAX_VALUES:
            self._values.add(_hash(use.value))
        return ()

    def give_back(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Leave a level what it is; raises Late for what undoes its use: the rest tells the level then."""
        if refund.undoes:
            raise Late(since)
        return draws


def newest_by(instants: Sequence[Instant], now: Instant) -> Instant:
    """Return the newest of some instants (ascending) that has come by ``now``; BEGINNING where none has."""
    place = bisect_right(instants, now)
    return instants[place - 1] if place else BEGINNING


def _hash(value: str) -> bytes:
    return blake2b(value.encode(), digest_size=_HASH).digest()
