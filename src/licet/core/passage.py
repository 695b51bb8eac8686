"""What passing time alone does to a customer's rights: trials that end, phases that begin, ladders that climb.

Opening hours are left out: that a window opens and closes every day is no change of what somebody has.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Entitlements, Holdings
from licet.core.gains import RightChange, compare_rights
from licet.core.instant import Instant, to_instant
from licet.core.reason import Reason
from licet.core.terms import Override, Terms
from licet.core.timeline import State, item_key

MOST_STEPS: Final = 400
"""How many boundaries are looked at in one stretch of time."""


class Passage(Struct, frozen=True, kw_only=True):
    """An instant at which something changed by itself: what did, in words, and the rights that differ since."""

    at: Instant
    words: tuple[str, ...]
    changes: tuple[RightChange, ...]


def passages(catalog: CompiledCatalog, terms: Terms, start: Instant, end: Instant) -> tuple[tuple[Passage, ...], bool]:
    """Return what changed by itself in ``(start, end]``, in order of time, and whether all of it was looked at."""
    holdings = Holdings(catalog, terms)
    found: list[Passage] = []
    before, before_at = holdings.entitlements(start), start
    for _ in range(MOST_STEPS):
        at = before.good_until
        if at > end:
            return tuple(found), True
        after = holdings.entitlements(at)
        words = tuple(_words(before, after, before_at, at))
        changes = rights_changed(catalog, terms, before_at, at)
        if words or changes:
            found.append(Passage(at=at, words=words, changes=changes))
        before, before_at = after, at
    return tuple(found), False


def rights_changed(catalog: CompiledCatalog, terms: Terms, before: Instant, after: Instant) -> tuple[RightChange, ...]:
    """Return the rights that differ at two instants by the same terms, opening hours left out."""
    changed = compare_rights(catalog, terms, catalog, terms, after, before_at=before)
    return tuple(one for one in changed if one.reason != Reason.OUTSIDE_WINDOW)


def _words(before: Entitlements, after: Entitlements, was: Instant, now: Instant) -> Iterator[str]:
    """What changed: standings, items, overrides, the suspension of the whole customer."""
    for had, has in zip(before.held, after.held, strict=True):
        name = _name([item.id for item in has.segment.state.items] or [item.id for item in had.segment.state.items])
        here, there = had.standing, has.standing
        if here.kind != there.kind:
            yield f"{name} is {there.kind.replace('_', ' ')}, was {here.kind.replace('_', ' ')}"
        elif here.restricted != there.restricted:
            yield f"{name}: the ladder restricts {', '.join(there.restricted) or 'nothing more'}"
        elif moved := _moved(had.segment.state, has.segment.state):
            yield from moved
        elif had.segment.state.items != has.segment.state.items:
            items = _name([item.id for item in had.segment.state.items])
            yield f"{items} became {name}" if items != name else f"the next phase of {name} began"
    for override in after.overrides:
        yield from _override(override, was, now)
    if before.suspended != after.suspended:
        yield "the customer is suspended" if after.suspended else "the customer is no longer suspended"


def _moved(had: State, has: State) -> list[str]:
    """What became another version while what was bought stayed the same; nothing where something else was bought."""
    before, after = (
        sorted(zip(one.bought, one.items, strict=True), key=lambda pair: item_key(pair[0])) for one in (had, has)
    )
    if [bought for bought, _ in before] != [bought for bought, _ in after]:
        return []
    return [
        f"{new.id} was moved from version {old.version} to {new.version}"
        for (_, old), (_, new) in zip(before, after, strict=True)
        if old.version != new.version
    ]


def _override(override: Override, was: Instant, now: Instant) -> Iterator[str]:
    what = "denied" if override.effect == "deny" else "given"
    if was < to_instant(override.starts_at) <= now:
        yield f"{override.feature} is {what} by override {override.id} from now on"
    if override.ends_at is not None and was < to_instant(override.ends_at) <= now:
        yield f"override {override.id} of {override.feature} has ended"


def _name(items: list[str]) -> str:
    return " + ".join(items) or "nothing"
