"""An account within a batch: what a quantity would burn of it now, whether that fits, and taking it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from msgspec import Struct, structs

from licet.core.case import Ask, Judgement, judge
from licet.core.compiled import UNBOUNDED
from licet.core.decision import Decision, decide
from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.quantity import MAX_QUANTITY
from licet.core.question import Context
from licet.core.usage.account import Account, BalanceNumbers, Room
from licet.core.usage.admission import Take
from licet.core.usage.balance import Draw, Late, Refund, Use
from licet.core.usage.course import Course
from licet.core.usage.facts import AccountKey, Fact, Want
from licet.core.usage.metering import Burning, Metering
from licet.core.usage.reach import Reaches, Touch, User, Verdict, holder_of

BOUNDLESS: Final = 2**62
"""From here on an amount stands for unlimited."""
NO_ROOM: Final = Room(0, 0, 0, 0, None, None)
"""Of what is recorded whatever there is."""
BURNED: Final = ""
"""The running total of all that was burned at rates, in credits."""


class Purse(Protocol):
    """What admission needs of an account; ``core.account.Account`` is one."""

    @property
    def course(self) -> Course:
        """What time and terms bring it."""

    @property
    def newest(self) -> Instant:
        """The instant of the newest fact it holds."""

    @property
    def totals(self) -> Mapping[str, int]:
        """The running totals by name."""

    def room(self, now: Instant) -> Room:
        """How much there is."""

    def counts(self, value: str, now: Instant) -> bool:
        """Whether a value has not been counted yet."""

    def admit_use(self, use: Use) -> tuple[Draw, ...]:
        """Take a use; return its draws."""

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part back; return what is left of the draws."""

    def crossings(self) -> tuple[int, ...]:
        """Return the thresholds crossed since last asked."""

    def standing(self, now: Instant) -> BalanceNumbers:
        """Return its numbers."""

    def resets_at(self, now: Instant) -> Instant | None:
        """Return when it is whole again; asked after what is taken, which may open a session."""


class Refold(Exception):
    """An account cannot take a fact of the past as it is: give it with its past (or fold it anew) and repeat.

    Nothing of the batch may be kept: the accounts that were handed in are to be thrown away. ``keys`` are all of which
    that is known by then.
    """

    def __init__(self, key: AccountKey, at: Instant) -> None:
        super().__init__(f"{key} must be folded anew from {at}")
        self.key = key
        self.at = at
        self.keys = {key}


class Lates:
    """Goes on where accounts must be folded anew, and says in the end of which: so they all are at once."""

    def __init__(self) -> None:
        self._first: Refold | None = None

    def note(self, again: Refold) -> None:
        """Note what could not be done."""
        if self._first is None:
            self._first = again
        self._first.keys |= again.keys

    def end(self) -> None:
        """Raise Refold where any was noted."""
        if self._first is not None:
            raise self._first


class Desk:
    """One account at hand. ``touched`` once anything was taken or given back; ``short`` once something was refused that
    only the amounts are against, its own among them."""

    __slots__ = ("_excess", "_resets", "_resets_known", "account", "key", "short", "touched")

    def __init__(self, key: AccountKey, account: Purse) -> None:
        self.key = key
        self.account = account
        self.touched = False
        self.short = False
        self._excess: int | None = None
        self._resets: Instant | None = None
        self._resets_known = BEGINNING

    def excess(self, metering: Metering) -> int:
        """Return what was burned at rates beyond what all rated use comes to; negative: what it lacks.

        Roundings of what was given back make it; the next rated use makes up for it.
        """
        known = self._excess
        if known is None:
            totals = self.account.totals
            known = totals.get(BURNED, 0)
            for name, total in totals.items():
                rate = metering.rate_of(self.key.feature, name) if name else None
                if rate is not None:
                    known -= rate.of(total)
            self._excess = known
        return known

    def take(self, use: Use, more: int | None = None) -> tuple[Draw, ...]:
        """Take a use; raises Refold where the account has to be folded anew for it.

        ``more`` is what it burns at rates beyond what they come to, where that is known.
        """
        self.touched = True
        if use.rated:
            self._excess = None if more is None or self._excess is None else self._excess + more
        try:
            return self.account.admit_use(use)
        except Late as late:
            raise Refold(self.key, late.at) from late

    def take_all(self, uses: list[Use]) -> None:
        """Take uses that burn nothing at rates; raises Refold as :meth:`take` does."""
        account = self.account
        if type(account) is not Account:
            for use in uses:
                self.take(use)
            return
        self.touched = True
        try:
            account.admit_all(uses)
        except Late as late:
            raise Refold(self.key, late.at) from late

    def give_back(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part of a use of ``since`` back; raises Refold as :meth:`take` does."""
        self.touched = True
        if refund.rated:
            self._excess = None
        try:
            return self.account.refund(refund, draws, since)
        except Late as late:
            raise Refold(self.key, late.at) from late

    def resets_at(self, now: Instant) -> Instant | None:
        """Return when it is whole again, as the account says; asked after what is taken."""
        if now >= self._resets_known:
            self._resets = self.account.resets_at(now)
            # A period's end stays; sessions open and windows roll.
            if self.account.course.window is None:
                self._resets_known = FOREVER if self._resets is None else self._resets
        return self._resets


class Spot(NamedTuple):
    """Where reports of one meter of one customer go in ``[since, until)``, where that is one balance, one for one."""

    since: Instant
    until: Instant
    desk: Desk | None


class Bench:
    """Everything at hand for one batch: accounts opened once, and what is known of time and rights."""

    def __init__(self, reaches: Reaches, accounts: Callable[[AccountKey], Purse], now: Instant) -> None:
        self.reaches = reaches
        self.metering = reaches.metering
        self.now = now
        self.desks: dict[AccountKey, Desk] = {}
        self.spots: dict[tuple[str, str], Spot] = {}
        """By customer and meter where the newest report went."""
        self.given_back: dict[str, tuple[tuple[Fact, ...], dict[str, tuple[Draw, ...]]]] = {}
        """By fact what this batch gave back of it, and what is left of its draws."""
        self._accounts = accounts

    def desk(self, key: AccountKey) -> Desk:
        """Return an account."""
        found = self.desks.get(key)
        if found is None:
            found = self.desks[key] = Desk(key, self._accounts(key))
        return found

    def instant(self, desks: Iterable[Desk]) -> Instant:
        """Return the instant of what comes next on some accounts: now, and after all that they hold already.

        So the order in which things were decided is that in which they are folded, whatever their ids.
        """
        at = self.now
        for desk in desks:
            newest = desk.account.newest
            if newest >= at:
                at = newest + 1
        return at

    def own(self, feature: str, customer: str, user: User, team: str | None) -> AccountKey | None:
        """Return the account of a feature for whoever is named; None where it takes a name that is not given."""
        holder = holder_of(self.metering.each_of.get(feature, "customer"), user, team)
        return None if holder is None else AccountKey(customer, feature, holder)


def take_of(desk: Desk, taken: int, at: Instant) -> Take:
    """Return how an account stands after something was taken or given back."""
    room = desk.account.room(at)
    return Take(desk.key, taken, room.used, room.granted, room.granted - room.used, desk.resets_at(at))


class Planned(Struct, gc=False):
    """What a request would take from one account, want after want; nothing is taken yet."""

    desk: Desk
    room: Room
    burn: int = 0
    """In all."""
    rated: dict[str, int] | None = None
    """Of the meter by name of the running total."""
    at_rates: int = 0
    """The part of ``burn`` that came by rates."""
    due: int = 0
    """What those rates come to, whatever was burned in excess before."""
    ahead: int = 0
    """``due`` of the quantity whose cost was asked last."""
    apart: bool = False
    """Whether it is set aside: rounded up by itself, and in no running total before it is known what it came to."""
    value: str = ""
    unit: int = 0
    """What a value counts, if it does."""

    def cost(self, burning: Burning, quantity: int, metering: Metering) -> int:
        """Return what a quantity burns on top of what is planned."""
        rate = burning.rate
        if rate is None:
            return quantity
        before = 0 if self.apart else self.desk.account.totals.get(burning.total, 0)
        if self.rated is not None:
            before += self.rated.get(burning.total, 0)
        self.ahead = rate.burn(before, quantity)
        return max(0, self.ahead - self._excess(metering))

    def most(self, touch: Touch, metering: Metering) -> int:
        """Return the largest quantity that fits on top of what is planned."""
        burning, bound = touch.burning, self.bound(touch.verdict)
        if bound is None:
            return MAX_QUANTITY
        left = max(0, bound - self.burn)
        if burning.rate is None:
            return left
        ahead = 0 if self.rated is None else self.rated.get(burning.total, 0)
        before = ahead if self.apart else self.desk.account.totals.get(burning.total, 0) + ahead
        return burning.rate.most(before, left + self._excess(metering))

    def bound(self, verdict: Verdict) -> int | None:
        """Return how much may be taken in all; None: no bound."""
        room, at_limit = self.room, verdict.at_limit
        if room.granted >= BOUNDLESS or at_limit == "warn":
            return None
        if at_limit == "block":
            return room.remaining
        beyond = room.overage_left, room.spend_left
        if beyond == (None, None):
            return None
        return room.remaining + max(0, min(one for one in beyond if one is not None))

    def add(self, burning: Burning, quantity: int, cost: int) -> None:
        """Plan to take a quantity, of which the cost was asked last."""
        self.burn += cost
        if burning.rate is not None:
            self.at_rates += cost
            self.due += self.ahead
            if self.rated is None:
                self.rated = {}
            self.rated[burning.total] = self.rated.get(burning.total, 0) + quantity

    def over(self, burn: int) -> int:
        """Return by how much a burn goes beyond all there is."""
        return 0 if self.room.granted >= BOUNDLESS else burn - self.room.remaining

    def take(self, fact: str, at: Instant, amount: int, *, lease: bool = False) -> tuple[Draw, ...]:
        """Take what is planned, ``amount`` as it is recorded; return what it drew."""
        if self.rated is None or self.apart:
            return self.desk.take(Use(fact, at, self.unit if self.value else amount, (), self.value, lease))
        rated = (*self.rated.items(), (BURNED, self.at_rates))
        return self.desk.take(Use(fact, at, amount, rated, self.value), self.at_rates - self.due)

    def _excess(self, metering: Metering) -> int:
        """What rated use planned before has not made up for yet."""
        if self.apart:
            return 0
        return self.desk.excess(metering) + self.at_rates - self.due


def asked(planned: Planned, burn: int, user: User, context: Context) -> Ask:
    """Return the question that a balance is asked: whether so much more may be burned of it."""
    room = planned.room
    granted = UNBOUNDED if room.granted >= BOUNDLESS else room.granted
    return Ask(user, context, burn, room.used, granted, _whole(room, room.overage_left), _whole(room, room.spend_left))


def refusal(touch: Touch, ask: Ask, wants: tuple[Want, ...] = ()) -> Decision:
    """Return the decision of one balance; ``wants`` are those of other features that reached it."""
    decision = decide(touch.verdict.case, ask)
    return structs.replace(decision, wants=wants) if wants else decision


def judged(touch: Touch, ask: Ask) -> Judgement:
    """Return the judgement of one balance."""
    return judge(touch.verdict.case, ask)


def _whole(room: Room, left: int | None) -> int | None:
    """A bound on use beyond all there is, from what is left of it."""
    return None if left is None else room.overage + left
