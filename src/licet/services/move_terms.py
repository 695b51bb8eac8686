"""What a move between versions does to the terms of one customer: which subscriptions, from when on, and who stays."""

from collections.abc import Iterable
from datetime import tzinfo
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog, VersionKey
from licet.core.instant import FOREVER, Instant, add_duration, parse_duration, parse_instant, to_datetime, to_instant
from licet.core.moving import Obstacle, movable, moved, revocable, unmoved
from licet.core.terms import Subscription, Terms, VersionMove
from licet.core.upcoming import recurrences
from licet.services.move_ports import MoveCommand

NOW: Final = "now"
PERIOD_END: Final = "period_end"
_ELSEWHERE: Final = frozenset({"not_held", "ended", "unknown_subscription", "already_moved"})
"""Of a subscription with such an obstacle a move says nothing: it is not about it, or has dealt with it."""
_STANDS: Final = frozenset({"built_on", "not_moved", "taken_back", "unknown_subscription"})
"""With such an obstacle the terms stay as they are when a move is taken back."""
NO_PERIOD: Final = "it has no further billing period: name an instant instead"
_NOBODY: Final = "nothing of it is {item}@{version}, now or later"
_NO_MEMBER: Final = "it does not belong to the cohort {cohort}"


class LeftOut(Struct, frozen=True):
    """A subscription that has what is to be moved and cannot be, or cannot go back, with the reason in words."""

    subscription: str
    """Empty: none of the customer's has what is to be moved."""
    words: str
    reason: str
    """The kind of the first obstacle, ``no_period`` or ``not_member``."""


class Forward(Struct, frozen=True):
    """What a move does to one customer: the terms after it, the new facts in them, and what is left out."""

    terms: Terms
    moves: tuple[VersionMove, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


class Backward(Struct, frozen=True):
    """What taking a move of one subscription back does. ``words`` say why it stays as it is; empty: it goes back."""

    terms: Terms
    move: VersionMove | None
    words: str = ""
    reason: str = ""


class Returned(Struct, frozen=True):
    """What taking a move back does to one customer: the terms after it, what goes back, and what stays as it is."""

    terms: Terms
    moves: tuple[VersionMove, ...] = ()
    kept: tuple[LeftOut, ...] = ()


def belongs(terms: Terms, cohort: str | None, now: Instant) -> bool:
    """Return whether a customer belongs to a cohort at an instant; to None everybody does."""
    return cohort is None or any(
        one.cohort == cohort
        and to_instant(one.starts_at) <= now
        and (one.ends_at is None or now < to_instant(one.ends_at))
        for one in terms.cohorts
    )


def effective_at(command: MoveCommand, subscription: Subscription, now: Instant, zone: tzinfo) -> Instant | None:
    """Return from when on a subscription is moved that is told of it at ``now``; None where that never comes.

    Never before the notice is over, which runs on the wall clock of ``zone``, and never in the past: where the instant
    that was named has gone by, it is as soon as the notice allows.
    """
    earliest = now if command.notice is None else add_duration(now, parse_duration(command.notice), zone)
    found = earliest
    if command.at == PERIOD_END:
        starts = recurrences(subscription, earliest if command.notice is None else earliest - 1, zone, 1)
        found = starts[0] if starts else FOREVER
    elif command.at != NOW:
        found = max(parse_instant(command.at), earliest)
    return None if found >= FOREVER else found


class MovePlan:
    """One command under one catalog, ready to be looked at for any number of customers. ``move`` is its id."""

    def __init__(self, catalog: CompiledCatalog, command: MoveCommand, move: str) -> None:
        self.catalog = catalog
        self.command = command
        self.move = move
        self.wanted: VersionKey = (command.kind, command.item, command.from_version)
        self.origins = frozenset(
            {self.wanted, *(key for key, version in catalog.versions.items() if version.then == self.wanted)}
        )
        """What terms name of which something may be the version in question: itself, and trials that fall to it."""

    def forward(self, terms: Terms, now: Instant) -> Forward:
        """Return what the move does to a customer who is told of it at ``now``; the same terms where it does nothing.

        Subscriptions that have nothing of it, now or later, are passed over; those that have and cannot be moved are
        left out, each with words.
        """
        if not belongs(terms, self.command.cohort, now):
            return Forward(terms)
        after, made, left = terms, [], []
        for subscription in terms.subscriptions:
            if not self._named_by(terms, subscription):
                continue
            obstacles = movable(self.catalog, after, self._fact(subscription.id, now))
            if _ELSEWHERE.intersection(one.kind for one in obstacles):
                continue
            zone = self.catalog.zone(subscription.zone, terms.profile.zone)
            starts_at = effective_at(self.command, subscription, now, zone)
            if starts_at is None:
                left.append(LeftOut(subscription.id, NO_PERIOD, "no_period"))
                continue
            wanted = self._fact(subscription.id, starts_at)
            if starts_at != now:
                obstacles = movable(self.catalog, after, wanted)
            if obstacles:
                left.append(LeftOut(subscription.id, _told(obstacles), obstacles[0].kind))
            else:
                after = moved(after, (wanted,))
                made.append(wanted)
        return Forward(after, tuple(made), tuple(left))

    def nothing(self, terms: Terms, now: Instant) -> LeftOut:
        """Return why a customer who was named has nothing that is moved or left out."""
        command = self.command
        if not belongs(terms, command.cohort, now):
            return LeftOut("", _NO_MEMBER.format(cohort=command.cohort), "not_member")
        return LeftOut("", _NOBODY.format(item=command.item, version=command.from_version), "not_held")

    def _named_by(self, terms: Terms, subscription: Subscription) -> bool:
        """Whether what was bought, is planned or was moved names an origin: a quick look before a thorough one."""
        schedule = subscription.schedule
        phases = subscription.phases if schedule is None else (*subscription.phases, *schedule.phases)
        return any(
            (item.kind, item.id, item.version) in self.origins for phase in phases for item in phase.items
        ) or any(
            one.subscription == subscription.id and (one.kind, one.item, one.to_version) in self.origins
            for one in terms.moves
        )

    def _fact(self, subscription: str, starts_at: Instant) -> VersionMove:
        command = self.command
        return VersionMove(
            id=self.move,
            subscription=subscription,
            kind=command.kind,
            item=command.item,
            from_version=command.from_version,
            to_version=command.to_version,
            starts_at=to_datetime(starts_at),
        )


def move_back(catalog: CompiledCatalog, terms: Terms, move: str, subscription: str, now: Instant) -> Backward:
    """Return what taking one subscription's move back at ``now`` does.

    Where nothing is read through it any more, it is ended all the same, so that no later order meets it again; where
    another move leads on from it, it stays.
    """
    fact = next((one for one in terms.moves if one.id == move and one.subscription == subscription), None)
    obstacles = revocable(catalog, terms, subscription, move, now)
    if _STANDS.intersection(one.kind for one in obstacles):
        return Backward(terms, fact, _told(obstacles), _reason(obstacles))
    after = unmoved(terms, move, now, subscriptions=(subscription,))
    return Backward(after, fact, _told(obstacles), _reason(obstacles))


def all_back(catalog: CompiledCatalog, terms: Terms, move: str, now: Instant) -> Returned:
    """Return what taking a move back at ``now`` does to all subscriptions of a customer that are moved by it still."""
    after, back, kept = terms, [], []
    for fact in terms.moves:
        if fact.id != move:
            continue
        done = move_back(catalog, after, move, fact.subscription, now)
        after = done.terms
        if not done.words:
            back.append(fact)
        elif done.reason != "taken_back":
            kept.append(LeftOut(fact.subscription, done.words, done.reason))
    return Returned(after, tuple(back), tuple(kept))


def _told(obstacles: Iterable[Obstacle]) -> str:
    return "; ".join(one.words for one in obstacles)


def _reason(obstacles: Iterable[Obstacle]) -> str:
    return next((one.kind for one in obstacles), "")
