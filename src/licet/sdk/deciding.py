"""How a use is decided in this process: by rights that are known, of quota that is owned; else the server decides.

The server decides whatever is refused here too, so that refusals, remedies and the last units are its own. No I/O.
"""

from collections.abc import Mapping
from datetime import UTC
from math import inf
from typing import Final

from msgspec import Struct

from licet.core.decision import Decision as Ruled
from licet.core.instant import DAY, Instant, add_duration, parse_duration
from licet.core.quantity import parse_quantity
from licet.core.reason import Reason
from licet.core.views import wire_amount
from licet.evaluator.cases import RowCase
from licet.evaluator.errors import NoTruth as Unanswerable
from licet.evaluator.slices import Hold, Key
from licet.sdk.book import Book
from licet.sdk.counting import Counting
from licet.sdk.decision import NOWHERE, Decision
from licet.sdk.errors import Invalid, ReservationEnded
from licet.sdk.options import Options
from licet.sdk.own_quota import OwnQuota
from licet.sdk.owning import MOST as MOST_UNITS
from licet.sdk.owning import Owning, Wants
from licet.sdk.spending import Call
from licet.sdk.standing import wall as real_time
from licet.sdk.taps import Held, Need, Tap, Turn, Wait
from licet.sdk.usage import Quantity, Settled, Usage, Wanted, read_quantity
from licet.wire.usage import ClosingAnswer, ConsumeAnswer

ROUNDS: Final = 4
"""So often slices are waited for before the server decides: another thread may have spent what came."""


class _Refused(Struct, frozen=True):
    """What this process knows forbids it."""

    usage: Usage


class _Holding:
    """A reservation on its way to whoever asked for it, who may be cancelled before it comes."""

    def __init__(self, owning: Owning, wants: Wants, seconds: float) -> None:
        self._owning = owning
        self._wants = wants
        self._seconds = seconds
        self._left = False
        self.made: list[Hold] = []

    def hold(self) -> bool:
        """Hold, if it is owned."""
        made = self._owning.hold(self._wants, self._seconds)
        self.made.extend([] if made is None else [made])
        if self._left:
            self.leave()
        return made is not None

    def leave(self) -> None:
        """Nobody waits for it any more: what was held, or still will be, is overdue and let go with the next look."""
        self._left = True
        for one in self.made:
            one.ends = -inf


class Deciding:
    """One client's way to decide by itself. Where it cannot, ``counting`` asks the server."""

    def __init__(self, options: Options, book: Book, counting: Counting, own: OwnQuota) -> None:
        self._options = options
        self._book = book
        self._counting = counting
        self._own = own

    def resume(self) -> None:
        """Tell what processes that are gone left behind. Waits for a disk."""
        self._own.opened()

    def consume(self, wanted: Wanted) -> Call[Usage]:
        """Take of what is owned, or of a slice that is asked for; else what the server decides."""
        owning = yield from self._opened()
        wants = self._wants(owning, wanted)
        if isinstance(wants, _Refused):
            return (yield from self._counting.consume(wanted, refused=wants.usage))
        if wants is not None and (yield from self._taken(owning, wants, Turn(lambda: owning.take(wants)))):
            first, units = wants[0]
            return Usage(wanted.customer, wanted.feature, first, "", units)
        owning.hub_decided += 1
        return (yield from self._counting.consume(wanted))

    def reserve(self, wanted: Wanted, lasts: str) -> Call[Usage]:
        """Hold of what is owned; ``Usage.told`` is a :class:`Held` then. Else what the server decides."""
        owning = yield from self._opened()
        wants, found = self._wants(owning, wanted), _seconds(lasts)
        if isinstance(wants, _Refused):
            return (yield from self._counting.reserve(wanted, lasts, refused=wants.usage))
        if wants is not None and found is not None:
            holding = _Holding(owning, wants, found / 1_000_000)
            try:
                done = yield from self._taken(owning, wants, Turn(holding.hold))
            except GeneratorExit:
                holding.leave()
                raise
            if done:
                units = wants[0][1]
                held = Held([tap for tap, _ in wants], holding.made[0], self._now() + found)
                return Usage(wanted.customer, wanted.feature, held, "", units)
        owning.hub_decided += 1
        return (yield from self._counting.reserve(wanted, lasts))

    def settled(self, held: Held, used: Quantity, also: Mapping[str, Quantity] | None) -> Call[Settled]:
        """End a hold with what it came to; what is beyond it is taken of what is owned, asked for, or owed."""
        owning = held.taps[0].owning
        if owning.disowned:
            words = "it was reserved by the process that this one was forked from, and only that can settle it"
            raise ReservationEnded(words, "reservation_closed")
        amounts = _amounts(held, used, also)
        more = [(tap, amounts[tap.key] - held.hold.wants[tap.key]) for tap in held.taps]
        wants = [(tap, units) for tap, units in more if units > 0]
        if wants:
            yield from self._asked(owning, wants)
        beyond: dict[Key, int] = {}

        def settle() -> bool:
            beyond.update(owning.settle(held.hold, amounts))
            return True

        turn = Turn(settle)
        yield turn
        _raised(turn)
        first = held.taps[0]
        answer = ClosingAnswer(
            id="",
            closed="settled" if any(amounts.values()) else "released",
            used=wire_amount(amounts[first.key], first.scale),
            exceeded=bool(beyond),
        )
        return Settled(reservation="", answer=answer)

    def released(self, held: Held) -> Call[Settled]:
        """End a hold with nothing used."""
        nothing = {tap.key.feature: 0 for tap in held.taps[1:]}
        return (yield from self.settled(held, 0, nothing))

    def _opened(self) -> Call[Owning]:
        found: list[Owning] = []

        def open_it() -> bool:
            found.append(self._own.opened())
            return True

        if self._own.is_open:
            return self._own.opened()
        turn = Turn(open_it)
        yield turn
        _raised(turn)
        return found[0]

    def _taken(self, owning: Owning, wants: Wants, turn: Turn) -> Call[bool]:
        """Take by ``turn``, asking for what is missing; False where the server is to decide."""
        for _ in range(ROUNDS):
            yield turn
            if isinstance(turn.error, OSError):
                self._own.say(turn.error)
                return False
            _raised(turn)
            if turn.done:
                return True
            if not (yield from self._asked(owning, wants)):
                return False
        return False

    def _asked(self, owning: Owning, wants: Wants) -> Call[bool]:
        """Wait for the slices that are missing; whether there may be enough now."""
        found: list[Need] = []

        def look() -> bool:
            needs = owning.lacks(wants)
            found.extend(needs or ())
            return needs is not None

        turn = Turn(look)
        yield turn
        _raised(turn)
        if not found:
            return turn.done
        wait = Wait(found, self._options.timeout / 2)
        yield wait
        return wait.heard

    def _wants(self, owning: Owning, wanted: Wanted) -> Wants | _Refused | None:
        """Return where to take how much; None for what the server decides."""
        wants: list[tuple[Tap, int]] = []
        asked = [(wanted.feature, wanted.quantity), *((one.feature, one.quantity) for one in wanted.also)]
        for feature, quantity in asked:
            try:
                found = self._tap(owning, wanted, feature)
                if not isinstance(found, Tap):
                    return found
                wants.append((found, parse_quantity(quantity, found.scale)))
                if wants[-1][1] > MOST_UNITS:
                    return None  # so much is in no lease
            except (Unanswerable, ValueError):
                return None  # the server says what is wrong
        return wants

    def _tap(self, owning: Owning, wanted: Wanted, feature: str) -> Tap | _Refused | None:
        """Return where to take a feature; None where it cannot be said here that the customer may use it."""
        truth, page = self._book.truth, self._book.page
        key = Key(wanted.customer, feature)
        catalog = truth.catalog
        made = None if catalog is None else catalog.features.get(feature)
        if page is NOWHERE or made is None or not made.local or not truth.known(wanted.customer):
            return None
        wall = max(real_time(), page.issued_at)
        now = page.business(wall)
        entry = truth.prepared(wanted.customer, feature, now)
        ruled = truth.check(wanted.customer, feature, now, wanted.user, wanted.context, 0)
        case = ruled.case
        if ruled.reason is Reason.OBSERVED or case.expired or not isinstance(case, RowCase) or not case.row:
            return None
        if not ruled.allowed:
            return _Refused(_refused(wanted, Decision(ruled, wall, page), ruled))
        tap = owning.taps.get(key)
        if tap is None or tap.scale != made.scale:
            tap = owning.taps[key] = Tap(owning, key, made.scale, None, str(ruled.reason))
        # What holds for nobody in particular holds for everybody who is not named.
        if wanted.user is None and wanted.context == _ANY:
            tap.entry, tap.reason = entry, str(ruled.reason)
        return tap

    def _now(self) -> Instant:
        page = self._book.page
        return page.business(max(real_time(), page.issued_at))


_ANY: Final = Wanted(customer="", feature="", quantity=1, key="").context


def _refused(wanted: Wanted, decision: Decision, ruled: Ruled) -> Usage:
    answer = ConsumeAnswer(allowed=False, reason=str(ruled.reason), refusals=(decision.view(),))
    return Usage(wanted.customer, wanted.feature, answer, wanted.key, decision=decision, locally=True)


def _seconds(lasts: str) -> int | None:
    """How long a reservation lasts in microseconds; None where the server is to say what is wrong with it."""
    try:
        found = add_duration(0, parse_duration(lasts), UTC)
    except ValueError:
        return None
    return found if 0 < found <= DAY else None


def _amounts(held: Held, used: Quantity, also: Mapping[str, Quantity] | None) -> dict[Key, int]:
    """What each feature came to in minor units: what is not named as reserved. Raises Invalid."""
    by_name = {tap.key.feature: tap for tap in held.taps}
    told = {held.taps[0].key.feature: used, **(also or {})}
    amounts = dict(held.hold.wants)
    for name, quantity in told.items():
        tap = by_name.get(name)
        if tap is None:
            raise Invalid(f"{name!r} was not reserved with this; it is of {', '.join(by_name)}")
        try:
            amounts[tap.key] = parse_quantity(read_quantity(quantity), tap.scale)
        except ValueError as wrong:
            raise Invalid(f"the quantity of {name!r} does not fit: {wrong}") from None
        if amounts[tap.key] > MOST_UNITS:
            raise Invalid(f"{quantity} of {name!r} is more than can be told of at once; at most {MOST_UNITS} units are")
    return amounts


def _raised(turn: Turn) -> None:
    if turn.error is not None:
        raise turn.error
