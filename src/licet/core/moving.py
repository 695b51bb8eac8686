"""Moving customers between versions of what they bought: a dated fact in their terms, which lies over their orders.

Announced, it is the notice; from its start on it is read; taken back, what was bought is read again.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct, structs

from licet.core.compiled import CompiledCatalog
from licet.core.dunning import lay_course
from licet.core.instant import Instant, format_instant, instant_words, to_datetime
from licet.core.terms import MAX_MOVES, Subscription, Terms, VersionMove
from licet.core.timeline import Segment
from licet.core.trail import begins, in_order, moves_of, stops

ObstacleKind = Literal[
    "unknown_subscription",
    "unknown_version",
    "same_version",
    "already_moved",
    "not_held",
    "ended",
    "announced",
    "trial",
    "terms_full",
    "not_moved",
    "taken_back",
    "changed",
    "built_on",
]


class Obstacle(Struct, frozen=True):
    """Why a subscription is not moved, or a move not taken back, in words for the vendor's people."""

    kind: ObstacleKind
    words: str


def moved(terms: Terms, wanted: Iterable[VersionMove]) -> Terms:
    """Return the terms with moves added; one whose id its subscription has already is left out, whatever it says.

    Nothing else in the terms changes. Raises LookupError for a subscription that is not there, and ValueError where
    they would be more than a document may hold, or a move leads nowhere: ask ``movable`` before.
    """
    known = {one.id for one in terms.subscriptions}
    taken = {(one.id, one.subscription) for one in terms.moves}
    moves = list(terms.moves)
    for move in wanted:
        if move.subscription not in known:
            raise LookupError(f"{terms.customer} has no subscription {move.subscription}")
        if move.from_version == move.to_version or (move.ends_at is not None and move.ends_at <= move.starts_at):
            raise ValueError(f"move {move.id} of {move.item}@{move.from_version} leads nowhere")
        if (move.id, move.subscription) not in taken:
            taken.add((move.id, move.subscription))
            moves.append(move)
    if len(moves) > MAX_MOVES:
        raise ValueError(f"{terms.customer} would have {len(moves)} moves; {MAX_MOVES} are allowed")
    return terms if len(moves) == len(terms.moves) else structs.replace(terms, moves=tuple(moves))


def unmoved(terms: Terms, move_id: str, at: Instant, *, subscriptions: Collection[str] | None = None) -> Terms:
    """Return the terms with a move taken back at ``at``, of all subscriptions or of those named.

    One that has not begun by then is taken out, one that has is read until ``at``, and one that had stopped by then
    stays as it is. What was read before ``at`` stays so.
    """
    kept: list[VersionMove] = []
    for move in terms.moves:
        mine = move.id == move_id and (subscriptions is None or move.subscription in subscriptions)
        if not mine or stops(move) <= at:
            kept.append(move)
        elif begins(move) < at:
            kept.append(structs.replace(move, ends_at=to_datetime(at)))
    return terms if tuple(kept) == terms.moves else structs.replace(terms, moves=tuple(kept))


def movable(catalog: CompiledCatalog, terms: Terms, wanted: VersionMove) -> tuple[Obstacle, ...]:
    """Return why one subscription cannot be moved so; nothing where it can.

    It can where it holds, at the move's start or later, an item of the version in question as it is read through the
    moves that are there, and the catalog has the version to move to; not where a trial would then fall to nothing.
    """
    subscription = _subscription(terms, wanted.subscription)
    if subscription is None:
        return (Obstacle("unknown_subscription", f"{terms.customer} has no subscription {wanted.subscription}"),)
    found: list[Obstacle] = []
    source, target = f"{wanted.item}@{wanted.from_version}", f"{wanted.item}@{wanted.to_version}"
    others = moves_of(terms, subscription.id)
    if wanted.from_version == wanted.to_version:
        found.append(Obstacle("same_version", f"a move from {source} to itself changes nothing"))
    if (wanted.kind, wanted.item, wanted.to_version) not in catalog.versions:
        found.append(Obstacle("unknown_version", f"the catalog has no {wanted.kind} {target}"))
    if any(one.id == wanted.id for one in others):
        found.append(Obstacle("already_moved", f"{wanted.id} has moved {subscription.id} already"))
    if found:
        return tuple(found)
    if len(terms.moves) >= MAX_MOVES:
        found.append(
            Obstacle(
                "terms_full",
                f"{terms.customer} has {MAX_MOVES} moves, as many as are allowed; change the subscription instead",
            )
        )
    for other in others:
        same = (other.kind, other.item, other.from_version) == (wanted.kind, wanted.item, wanted.from_version)
        if same and begins(other) >= begins(wanted):
            when = instant_words(other.starts_at)
            words = f"{other.id} moves {source} to {other.to_version} at {when} already; take that back first"
            found.append(Obstacle("announced", words))
    return (*found, *_idle(catalog, terms, subscription, wanted))


def revocable(
    catalog: CompiledCatalog, terms: Terms, subscription: str, move_id: str, at: Instant
) -> tuple[Obstacle, ...]:
    """Return why taking a move back at ``at`` would bring one subscription nothing, or something else than it had.

    Nothing where it can be taken back. ``changed`` and ``ended``: no item is read through it any more, then or later.
    ``built_on``: a later move leads on from where it led.
    """
    held = _subscription(terms, subscription)
    if held is None:
        return (Obstacle("unknown_subscription", f"{terms.customer} has no subscription {subscription}"),)
    move = next((one for one in moves_of(terms, subscription) if one.id == move_id), None)
    if move is None:
        return (Obstacle("not_moved", f"{move_id} has not moved {subscription}"),)
    if move.ends_at is not None and stops(move) <= at:
        return (Obstacle("taken_back", f"{move_id} was taken back at {instant_words(move.ends_at)}"),)
    ahead = _ahead(catalog, terms, held, at)
    if not ahead:
        return (Obstacle("ended", f"{subscription} has ended"),)
    trails = [trail for one in ahead for trail in one.state.trails if move in trail.moves]
    if not trails:
        words = f"nothing of {subscription} is {move.item}@{move.to_version} by {move_id} any more"
        return (Obstacle("changed", words),)
    later = in_order({one for trail in trails for one in trail.moves[trail.moves.index(move) + 1 :]})
    return tuple(
        Obstacle("built_on", f"{one.id} leads on from {one.from_version} to {one.to_version}; take that back first")
        for one in later
    )


def _idle(
    catalog: CompiledCatalog, terms: Terms, subscription: Subscription, wanted: VersionMove
) -> tuple[Obstacle, ...]:
    """Why a move would do nothing, or more than it should: nothing is read through it, or it cuts a trial short."""
    after = structs.replace(terms, moves=(*terms.moves, wanted))
    ahead = _ahead(catalog, after, subscription, begins(wanted))
    when = instant_words(wanted.starts_at)
    if not ahead:
        return (Obstacle("ended", f"{subscription.id} has ended by {when}"),)
    if not any(wanted in trail.moves for one in ahead for trail in one.state.trails):
        words = f"{subscription.id} has no {wanted.kind} {wanted.item}@{wanted.from_version} at {when} or later"
        return (Obstacle("not_held", words),)
    course = lay_course(catalog, after, subscription)
    stop, _ = course.stop()
    if course.trial_stop > stop or lay_course(catalog, terms, subscription).stop()[0] <= stop:
        return ()
    falls = f"the trial of {subscription.id} falls at {format_instant(stop)}"
    return (Obstacle("trial", f"{falls}, and {wanted.item}@{wanted.to_version} says of nothing that follows"),)


def _ahead(catalog: CompiledCatalog, terms: Terms, subscription: Subscription, at: Instant) -> tuple[Segment, ...]:
    """What a subscription is at ``at`` and later, until it ends."""
    timeline = lay_course(catalog, terms, subscription).segments()
    return tuple(one for one in timeline if one.end > at and one.state.kind != "ended")


def _subscription(terms: Terms, name: str) -> Subscription | None:
    """One subscription by its id."""
    return next((one for one in terms.subscriptions if one.id == name), None)
