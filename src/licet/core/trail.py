"""How bought items are read through moves between versions: what each was bought as, and the moves that changed it.

Moves lie over the orders and never change them: taken back, they leave what was bought.
"""

from collections.abc import Iterable

from msgspec import Struct, structs

from licet.core.compiled import CompiledCatalog
from licet.core.instant import FOREVER, Instant, to_instant
from licet.core.terms import Item, Terms, VersionMove

Moves = tuple[VersionMove, ...]


class Trail(Struct, frozen=True, gc=False):
    """One item as it is read, as it was bought, and the moves between the two in order; none for most."""

    item: Item
    bought: Item
    moves: Moves = ()


def moves_of(terms: Terms, subscription: str) -> Moves:
    """Return the moves of one subscription in the order in which they apply; the document's own order means nothing."""
    if not terms.moves:
        return ()
    return in_order(one for one in terms.moves if one.subscription == subscription)


def in_order(moves: Iterable[VersionMove]) -> Moves:
    """Return moves in the order in which they apply: by start, then by id."""
    return tuple(sorted(moves, key=_place))


def begins(move: VersionMove) -> Instant:
    """Return the instant from which a move is read."""
    return to_instant(move.starts_at)


def stops(move: VersionMove) -> Instant:
    """Return the instant from which a move is read no more; FOREVER for one that was not taken back."""
    return FOREVER if move.ends_at is None else to_instant(move.ends_at)


def follow(catalog: CompiledCatalog, moves: Moves, item: Item, at: Instant) -> Trail:
    """Return how an item is read at ``at`` through ``moves``, which are in order.

    A move to a version that the catalog does not have is passed over: nobody loses what they have by it. Quantity,
    what it counts, bundle and line stay.
    """
    version, passed = item.version, list[VersionMove]()
    for move in moves:
        if (
            (move.kind, move.item, move.from_version) == (item.kind, item.id, version)
            and begins(move) <= at < stops(move)
            and (move.kind, move.item, move.to_version) in catalog.versions
        ):
            version = move.to_version
            passed.append(move)
    if not passed:
        return Trail(item, item)
    return Trail(structs.replace(item, version=version), item, tuple(passed))


def _place(move: VersionMove) -> tuple[Instant, str, str, str, str, str, Instant]:
    """Where a move stands among those of its subscription."""
    return begins(move), move.id, move.kind, move.item, move.from_version, move.to_version, stops(move)
