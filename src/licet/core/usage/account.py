"""One balance with everything about it: what grants and windows leave, running totals of rated use, thresholds.

A fold like the one of ``balance``: an account's state is a cache of its facts in the order of (effective, id), and of
its course up to the newest of them. Only which thresholds were crossed depends on the order in which facts came.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.usage.balance import Draw, Fact, Ledger, LedgerState, Place, Refund, Use, place_of
from licet.core.usage.course import Course
from licet.core.usage.grant import UNLIMITED
from licet.core.usage.ledger import Passed
from licet.core.usage.lent import Held, Lent
from licet.core.usage.rolling import Gauge, GaugeState, Rolling, RollingState, Session, SessionState, newest_by

_LARGEST: Final = 2**63 - 1
_PLACE: Final = attrgetter("effective", "id")


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
    """In this period; for a window what it holds, for a gauge its level."""
    granted: int
    """What was there when the period began and was put on it since; from ``UNLIMITED`` on there is no limit."""
    remaining: int
    """Negative by ``overage``."""
    overage: int
    resets_at: Instant | None
    lefts: dict[str, int]
    """What is left of each grant that is usable, by id; in windows and for gauges what each is worth."""
    crossed: tuple[int, ...]
    """Thresholds in percent that were crossed in this period."""


class AccountState(Struct, array_like=True):
    """What is kept of an account; ``crossed`` is by percent when that was.

    ``lent`` are its leases, which states of before there were any do not know; ``known`` is since when all of them are
    there, 0 for ever.
    """

    ledger: LedgerState | None
    rolling: RollingState | None
    session: SessionState | None
    gauge: GaugeState | None
    totals: dict[str, int]
    crossed: dict[int, Instant]
    taken: int = 0
    lent: dict[str, Held] | None = None
    known: Instant = 0


class Account:
    """A balance, up to its newest fact."""

    __slots__ = (
        "_alarm",
        "_bounds",
        "_bounds_until",
        "_count",
        "_crossed",
        "_told",
        "course",
        "lent",
        "taken",
        "totals",
    )

    def __init__(self, course: Course) -> None:
        self.course = course
        self._begin(_opened(course, None), {}, {}, Lent({}, BEGINNING))

    def _begin(self, count: "Count", totals: dict[str, int], crossed: dict[int, Instant], lent: Lent) -> None:
        self._count = count
        self.lent = lent
        """The leases of which something may still return."""
        self.totals = totals
        """Running totals of rated use, by name."""
        self._crossed = crossed
        self.taken = 0
        """Facts since a checkpoint: whoever writes one counts from it."""
        self._told: list[int] = []
        self._alarm: int | None = None
        """From how much use on the next threshold is crossed; None: to be worked out."""
        self._bounds: tuple[int | None, int | None] = None, None
        self._bounds_until = BEGINNING

    @classmethod
    def load(cls, course: Course, state: bytes) -> "Account | None":
        """Return the account of a kept state; None where its course has another past by now, or it is unreadable."""
        try:
            kept = _DECODER.decode(state)
        except msgspec.DecodeError:
            return None
        count = _count(course, kept)
        if count is None:
            return None
        account = cls.__new__(cls)
        account.course = course
        account._begin(count, kept.totals, kept.crossed, _lent(kept, count.newest.at))
        account.taken = kept.taken
        return account

    @classmethod
    def resumed(cls, course: Course, state: bytes) -> "Account":
        """Return the account of a checkpoint to go on from.

        Where its course has another past by now, running totals stay, and of each grant what was drawn of it: all is
        right from the next slate on. Raises DecodeError for an unreadable state.
        """
        account = cls.load(course, state)
        if account is None:
            account, kept = cls(course), _DECODER.decode(state)
            account.totals = kept.totals
            if kept.ledger is not None and isinstance(account._count, Ledger):
                count = account._count = Ledger.carried(course.table, kept.ledger)
                lent = account.lent = _lent(kept, count.newest.at)
                for name, one in lent.leases.items():
                    lent.leases[name] = one._replace(draws=count.redrawn(one.draws, kept.ledger))
        account.taken = 0
        return account

    def dump(self) -> bytes:
        """Return its state, compact."""
        count = self._count
        return _ENCODER.encode(
            AccountState(
                count.state() if isinstance(count, Ledger) else None,
                count.state() if isinstance(count, Rolling) else None,
                count.state() if isinstance(count, Session) else None,
                count.state() if isinstance(count, Gauge) else None,
                self.totals,
                self._crossed,
                self.taken,
                self.lent.leases,
                0 if self.lent.known <= BEGINNING else self.lent.known,
            )
        )

    @property
    def place(self) -> Place:
        """The place of the newest fact it holds, or of what time brought since."""
        return self._count.newest

    @property
    def newest(self) -> Instant:
        """The instant of the newest fact it holds, or of what time brought since; BEGINNING where there is nothing."""
        return self._count.newest.at

    @property
    def slate(self) -> Instant:
        """What was used before it changes none of the numbers any more, and nothing of it can return."""
        count = self._count
        if isinstance(count, Ledger):
            return count.slate
        if isinstance(count, Rolling):
            # What is counted by slices may stay a slice longer.
            return max(BEGINNING, count.newest.at - 2 * _length(self.course))
        return count.opened if isinstance(count, Session) else FOREVER

    def room(self, now: Instant) -> Room:
        """Return how much there is; ``now`` no earlier than what it holds."""
        used, left, owed = self._levels(now)
        if now >= self._bounds_until:
            self._bound(now)
        overage, spend = self._bounds
        return Room(
            left,
            used + left - owed,
            used,
            owed,
            None if overage is None else max(0, overage - owed),
            None if spend is None else max(0, spend - owed),
        )

    def counts(self, value: str, now: Instant) -> bool:
        """Whether a ``unique`` meter has not counted this value in the period of ``now`` yet."""
        return not isinstance(self._count, Gauge) or self._count.counts(value, now)

    def admit_use(self, use: Use) -> tuple[Draw, ...]:
        """Take a use and return what it drew, to be kept where it may be given back; raises Late."""
        count = self._count
        if use.effective >= count.next_at:
            self._advance(use.effective)
        draws = count.take(use)
        self.taken += 1
        if use.lease:
            self.lent.take(use, draws)
        if use.rated:
            for name, amount in use.rated:
                self.totals[name] = self.totals.get(name, 0) + amount
        if self.course.thresholds:
            self._watch(use.effective)
        return draws

    def admit_all(self, uses: list[Use]) -> None:
        """Take uses that are not rated, of which nobody asks what they drew; raises Late.

        They are taken in their order of time, all at once where none of them changes anything but amounts.
        """
        ordered = sorted(uses, key=_PLACE) if len(uses) > 1 else uses
        rest = iter(ordered)
        if self.course.thresholds and self._alarm is None:
            self.admit_use(next(rest))
        left = list(rest)
        count = self._count
        if left and isinstance(count, Ledger):
            total = sum([use.amount for use in left])
            quiet = not self.course.thresholds or (self._alarm is not None and count.used + total < self._alarm)
            if quiet and count.take_all(left, total):
                self.taken += len(left)
                return
        for use in left:
            self.admit_use(use)

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: Instant) -> tuple[Draw, ...]:
        """Give a part back of a use of ``since`` and return what is left of its draws; raises Late.

        What a lease drew that is known here is known better than by who asks.
        """
        count = self._count
        held = None if refund.spent is None else self.lent.leases.get(refund.use)
        if held is not None:
            draws, since = held.draws, held.since
        at = max(refund.effective, since)
        if at >= count.next_at:
            self._advance(at)
        left = count.give_back(refund, draws, since)
        self.taken += 1
        if held is not None:
            self.lent.tell(refund, held, left)
        for name, amount in refund.rated:
            self.totals[name] = self.totals.get(name, 0) - amount
        self._alarm = None
        return left

    def passing(self, at: Instant) -> list[Passed]:
        """Let time pass until ``at``, inclusive; return what it did to each grant, nothing of windows and gauges."""
        told: list[Passed] = []
        if at >= self._count.next_at:
            self._advance(at, told)
        return told

    def left_at(self, now: Instant) -> Instant:
        """Return when the newest use that does not count any more at ``now`` left its window; ``now`` elsewhere."""
        count = self._count
        return count.left_at(now) if isinstance(count, Rolling | Session) else now

    def crossings(self) -> tuple[int, ...]:
        """Return the thresholds crossed since last asked, ascending."""
        told, self._told = self._told, []
        return tuple(sorted(told))

    def levels(self, now: Instant) -> tuple[int, int, int]:
        """Return what was used, what is left, and what is owed; ``now`` no earlier than what it holds."""
        used, left, owed = self._levels(now)
        self._forget(now)
        return used, min(left, _LARGEST - used), owed

    def standing(self, now: Instant) -> BalanceNumbers:
        """Return its numbers; ``now`` no earlier than what it holds."""
        used, left, owed = self.levels(now)
        count = self._count
        lefts = count.lefts() if isinstance(count, Ledger) else self.course.table.worths(now)
        return BalanceNumbers(
            at=now,
            used=used,
            granted=used + left - owed,
            remaining=left - owed,
            overage=owed,
            resets_at=self.resets_at(now),
            lefts=lefts,
            crossed=tuple(sorted(self._crossed)),
        )

    def resets_at(self, now: Instant) -> Instant | None:
        """Return when it is whole again: the end of its period or open session; None where there is no such end."""
        count = self._count
        if isinstance(count, Session):
            return count.ends(now)
        if isinstance(count, Rolling):
            return None
        end = self.course.period_at(now)[1]
        return None if end >= FOREVER else end

    def replay(self, facts: Iterable[Fact], held: Mapping[str, Held] | None = None) -> dict[str, tuple[Draw, ...]]:
        """Take facts in whatever order they are given; return what is left of the draws of each use among them.

        ``held`` says of uses that the state holds already what is left of them; they are not taken again. Raises
        KeyError for a refund of a use that is neither there nor among the facts, and Late where the state is beyond
        what is to be taken.
        """
        known = list(facts)
        holds = dict(held or {})
        since = {use: one.since for use, one in holds.items()}
        draws = {use: one.draws for use, one in holds.items()}
        since |= {one.id: one.effective for one in known if isinstance(one, Use)}
        placed = [(place_of(one, BEGINNING if isinstance(one, Use) else since[one.use]), one) for one in known]
        placed.sort(key=lambda one: one[0])
        for _, fact in placed:
            if isinstance(fact, Refund):
                draws[fact.use] = self.refund(fact, draws[fact.use], since[fact.use])
            elif fact.id not in holds:
                draws[fact.id] = self.admit_use(fact)
        return draws

    def _levels(self, now: Instant) -> tuple[int, int, int]:
        """Return what was used, what is left, and what is owed."""
        count = self._count
        if now >= count.next_at:
            self._advance(now)
        if isinstance(count, Ledger):
            return count.used, count.remaining, count.owed
        used = count.used(now)
        more = self.course.table.worth(now) - used
        return (used, more, 0) if more >= 0 else (used, 0, -more)

    def _bound(self, now: Instant) -> None:
        course = self.course
        bound = course.bound_at(now)
        overage = 0 if bound.at_limit == "block" else bound.overage_limit if bound.at_limit == "overage" else None
        self._bounds = overage, course.spend_limit_at(now)
        later = [one.at for one in course.bounds if one.at > now]
        later += [at for at, _ in course.spend_limits if at > now]
        self._bounds_until = min(later, default=FOREVER)

    def _advance(self, at: Instant, told: list[Passed] | None = None) -> None:
        """Let time pass: a new period arms all thresholds, something put on the balance those that it reaches over."""
        count = self._count
        self._alarm = None
        if not isinstance(count, Ledger):
            count.advance(at)
            self.lent.forget(lambda one: one.since >= self.slate, self.slate)
            return
        puts, period = count.puts, count.period
        count.advance(at, told)
        self.lent.forget(lambda one: count.matters(one.draws, one.since), count.slate)
        if count.period != period:
            self._crossed.clear()
        elif count.puts != puts and self._crossed:
            granted = count.used + count.remaining - count.owed
            for percent in [one for one in self._crossed if not _reaches(count.used, granted, one)]:
                del self._crossed[percent]

    def _watch(self, now: Instant) -> None:
        """Note which thresholds were crossed by what was just taken."""
        count = self._count
        if isinstance(count, Ledger):
            used = count.used
            if self._alarm is not None and used < self._alarm:
                return
        else:
            now = max(now, count.newest.at)
            self._forget(now)
        used, left, owed = self._levels(max(now, count.newest.at))
        granted = used + left - owed
        self._alarm = _LARGEST
        for percent in self.course.thresholds:
            if percent not in self._crossed:
                if not _reaches(used, granted, percent):
                    self._alarm = -(-percent * granted // 100) if granted > 0 else _LARGEST
                    return
                self._crossed[percent] = now
                self._told.append(percent)

    def _forget(self, now: Instant) -> None:
        """Arm thresholds whose crossing is over: with its session, the gauge's period, or a rolling window's length."""
        count = self._count
        if not self._crossed or isinstance(count, Ledger):
            return
        if isinstance(count, Rolling):
            over = max(now - _length(self.course), newest_by(self.course.emptied, now) - 1)
        elif isinstance(count, Session):
            over = count.opened - 1 if count.ends(now) is not None else now
        else:
            over = _period_start(self.course, now) - 1
        for percent in [one for one, at in self._crossed.items() if at <= over]:
            del self._crossed[percent]


Count = Ledger | Rolling | Session | Gauge


def _count(course: Course, kept: AccountState) -> Count | None:
    """Return what counts, going on from what is kept; None where that does not go with the course."""
    table = course.table
    state = kept.gauge if course.gauge is not None else kept.session
    if course.gauge is None and course.window is None:
        return None if kept.ledger is None else Ledger.resume(table, kept.ledger)
    if course.gauge is None and course.window is not None and course.window.kind == "rolling":
        if kept.rolling is None:
            return None
        return Rolling.resume(table, course.window.length, kept.rolling, course.emptied)
    # A level that was told stays what it is, whatever becomes known of grants and periods.
    if state is None or (course.gauge != "latest" and state.digest != table.digest(table.place(state.newest.at))):
        return None
    return _opened(course, kept)


def _lent(kept: AccountState, newest: Instant) -> Lent:
    """Return the leases of a kept state; of one that knows none, all are there that are newer than it."""
    if kept.lent is None:
        return Lent({}, newest + 1)
    return Lent(kept.lent, kept.known or BEGINNING)


def slate_of(course: Course, at: Instant) -> Instant:
    """Return the newest instant by ``at`` before which nothing matters any more but running totals."""
    if course.gauge is None and course.window is None:
        return course.table.slate(course.table.place(at))
    if course.gauge == "latest" or (course.window is not None and course.window.kind == "rolling"):
        return BEGINNING
    return _period_start(course, at)


def _opened(course: Course, kept: AccountState | None) -> Count:
    table = course.table
    if course.gauge is not None:
        return Gauge(table, course.gauge, lambda at: _period_start(course, at), None if kept is None else kept.gauge)
    if course.window is None:
        return Ledger(table, None if kept is None else kept.ledger)
    if course.window.kind == "rolling":
        return Rolling(table, course.window.length, None if kept is None else kept.rolling, course.emptied)
    return Session(table, lambda at: _session_end(course, at), None if kept is None else kept.session)


def _session_end(course: Course, at: Instant) -> Instant:
    return min(at + _length(course), course.period_at(at)[1])


def _length(course: Course) -> int:
    return 0 if course.window is None else course.window.length


def _period_start(course: Course, at: Instant) -> Instant:
    place = bisect_right(course.resets, at)
    return course.resets[place - 1] if place else BEGINNING


def _reaches(used: int, granted: int, percent: int) -> bool:
    """Whether a threshold is reached; without a limit, or with nothing granted, none is."""
    return 0 < granted < UNLIMITED and used * 100 >= percent * granted


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(AccountState)
