"""What is ahead of a refused use: when more comes to the balances against it, and from when on it would be permitted.

As far as is known: if nothing else is used, and nothing new is said of the customer.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, structs

from licet.core.case import Ask, Case, judge
from licet.core.compiled import UNBOUNDED
from licet.core.decision import Decision
from licet.core.instant import DAY, FOREVER, Instant
from licet.core.question import Context, UserFacts
from licet.core.reason import Reason
from licet.core.snapshot import Snapshot
from licet.core.usage.account import Account, Room
from licet.core.usage.course import Course
from licet.core.usage.facts import Funding, GrantGiven
from licet.core.usage.grant import UNLIMITED

BY_AMOUNT: Final = frozenset({Reason.LIMIT_REACHED, Reason.CREDIT_EXHAUSTED, Reason.SPEND_LIMIT_REACHED})
"""The reasons of a balance that holds too little."""
FARTHEST: Final = 400 * DAY
"""Nothing is looked for beyond this."""
_MOST: Final = 64
"""Instants at which more may come that are looked at."""


class Stake(Struct, frozen=True):
    """One balance that a use touches, as it stands, and what the use would take of it.

    ``ahead`` returns its course up to an instant, exclusive.
    """

    feature: str
    account: Account
    burn: int
    ahead: Callable[[Instant], Course]
    funding: Sequence[Funding] = ()
    """What is known to have been put on the customer's balances."""


class Outlook(Struct, frozen=True):
    """What is ahead. ``resets_at``: more comes to every balance that is against it; ``fits_at``: it is permitted."""

    resets_at: Instant | None = None
    fits_at: Instant | None = None


NOTHING_AHEAD: Final = Outlook()
"""Nothing is known to come."""


class Asker(Struct, frozen=True):
    """Whose rights count at later instants, and who asks."""

    snapshot: Snapshot
    """One of its own: it is asked about other instants than now."""
    user: UserFacts | str | None = None
    context: Context | None = None

    def permits(self, feature: str, burn: int, room: Room, at: Instant) -> bool:
        """Return whether so much is permitted at an instant, with what there is then."""
        snapshot = self.snapshot
        entitlements = snapshot.entitlements(at)
        span = entitlements.span(feature)
        terms = snapshot.terms
        case = Case(snapshot.catalog, terms.customer, feature, span.start, span.end, terms, entitlements)
        said = judge(case, asked_of(room, burn, self.user, self.context))
        return said.allowed and said.would_deny is None


def asked_of(room: Room, burn: int, user: UserFacts | str | None, context: Context | None) -> Ask:
    """Return the question whether so much more may be taken of what there is."""
    return Ask(
        user,
        context,
        burn,
        room.used,
        UNBOUNDED if room.granted >= UNLIMITED else room.granted,
        None if room.overage_left is None else room.overage + room.overage_left,
        None if room.spend_left is None else room.overage + room.spend_left,
    )


def is_short(decision: Decision) -> bool:
    """Return whether a decision is against a use, or would be, for want of what balances hold."""
    return decision.objects and not BY_AMOUNT.isdisjoint(decision.would_deny or decision.reasons)


def with_outlook(decision: Decision, outlook: Outlook) -> Decision:
    """Return a decision that says what is ahead of it, where that matters."""
    if outlook.resets_at is None or not is_short(decision):
        return decision
    return structs.replace(decision, resets_at=outlook.resets_at, fits_at=outlook.fits_at)


def look_ahead(stakes: Sequence[Stake], asker: Asker, now: Instant) -> Outlook:
    """Return what is ahead of a use that is refused at ``now`` for want of what these balances hold."""
    views = [_Balance(one, asker, max(now, one.account.newest)) for one in stakes]
    against = [one for one in views if not one.fits(one.now)]
    if not against:
        return NOTHING_AHEAD
    more = [one.more_at() for one in against]
    resets_at = None if None in more else max(at for at in more if at is not None)
    fitting = [one.fits_at() for one in against]
    if resets_at is None or None in fitting:
        return Outlook(resets_at)
    fits_at = max(at for at in fitting if at is not None)
    # One balance may have lost by then what it has now.
    return Outlook(resets_at, fits_at if all(one.fits(fits_at) for one in views) else None)


class _Balance:
    """One balance at instants to come."""

    def __init__(self, stake: Stake, asker: Asker, now: Instant) -> None:
        self.now = now
        self._stake = stake
        self._asker = asker
        self._state = stake.account.dump()
        self._until = self._horizon()
        self._course = stake.ahead(self._until + 1)

    def fits(self, at: Instant) -> bool:
        """Whether it permits the use at an instant."""
        account = self._account()
        return account is not None and self._permits(account, at)

    def more_at(self) -> Instant | None:
        """The first instant at which more is left than now; None where none is known."""
        account = self._account()
        if account is None:
            return None
        left = _left(account.room(self.now))
        return self._first(lambda room, _: _left(room) > left)

    def fits_at(self) -> Instant | None:
        """The first instant known at which it permits the use by itself."""
        stake = self._stake
        return self._first(lambda room, at: self._asker.permits(stake.feature, stake.burn, room, at))

    def _first(self, good: Callable[[Room, Instant], bool]) -> Instant | None:
        """The first instant at which what there is then is good."""
        account = self._account()
        if account is None:
            return None
        window = self._course.window
        if window is not None and window.kind == "rolling" and self._course.gauge is None:
            return self._rolled(account, good)
        steps = sorted({*self._turns(account)})
        return next((at for at in steps[:_MOST] if good(account.room(at), at)), None)

    def _rolled(self, account: Account, good: Callable[[Room, Instant], bool]) -> Instant | None:
        """The first instant at which enough has left a rolling window: less and less is in it."""
        low, high = self.now, self._until
        if not good(account.room(high), high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if good(account.room(middle), middle):
                high = middle
            else:
                low = middle
        return high

    def _turns(self, account: Account) -> list[Instant]:
        """When time brings something: steps of its course, and the end of an open session."""
        found = [one.at for one in self._course.table.steps if self.now < one.at <= self._until]
        end = account.resets_at(self.now)
        return found if end is None else [*found, end]

    def _horizon(self) -> Instant:
        """How far to look: to the end of the period, session or window, and to what was put on it for later."""
        stake, course = self._stake, self._stake.account.course
        ends = [self.now]
        end = stake.account.resets_at(self.now)
        if end is not None and end < FOREVER:
            ends.append(end)
        if course.window is not None:
            ends.append(self.now + course.window.length)
        for one in stake.funding:
            if isinstance(one.doc, GrantGiven) and (one.feature, one.holder) == (course.feature, course.holder):
                ends.append(one.doc.effective)
        return min(max(ends), self.now + FARTHEST)

    def _account(self) -> Account | None:
        """The balance as it stands, on a course that reaches far enough."""
        return Account.load(self._course, self._state)

    def _permits(self, account: Account, at: Instant) -> bool:
        return self._asker.permits(self._stake.feature, self._stake.burn, account.room(at), at)


def _left(room: Room) -> int:
    return room.remaining - room.overage
