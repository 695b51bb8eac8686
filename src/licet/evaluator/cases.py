"""The case of one asked pair, kept small: it holds its customer's row and reads it again when somebody looks."""

from typing import Any, Final

from msgspec import structs

from licet.core.case import Case
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.derive import Entitlements, Holdings, Memo
from licet.core.holding import NOTHING_HELD, Holding
from licet.core.instant import BEGINNING, DAY, FOREVER, Instant
from licet.core.ruling import make_ruling
from licet.core.snapshot import shared_ruling
from licet.core.terms import Terms
from licet.evaluator.rows import terms_of

_FAR: Final = 366 * DAY
_REMEMBERED: Final = 2_000


class World:
    """One release of a catalog as an evaluator has it, with what derivation remembers for it."""

    __slots__ = ("_rights", "_terms", "catalog", "memo", "since")

    def __init__(self, catalog: CompiledCatalog) -> None:
        self.catalog = catalog
        self.memo = Memo(catalog)
        self.since: Instant = FOREVER
        """An instant since which most answers hold; one object that they share."""
        self._terms: dict[bytes, Terms] = {}
        self._rights: dict[bytes, Entitlements] = {}

    def terms(self, row: bytes) -> Terms:
        """Return the terms of a row; of some rows they are remembered."""
        found = self._terms.get(row)
        if found is None:
            if len(self._terms) >= _REMEMBERED:
                self._terms.clear()
            found = self._terms[row] = terms_of(row)
        return found

    def rights(self, row: bytes, at: Instant) -> Entitlements:
        """Return the entitlements that a row gives at an instant; of some rows they are remembered."""
        found = self._rights.get(row)
        if found is None or not found.good_from <= at < found.good_until:
            if len(self._rights) >= _REMEMBERED:
                self._rights.clear()
            found = self._rights[row] = Holdings(self.catalog, self.terms(row)).entitlements(at, self.memo)
        return found


class RowCase(Case, frozen=True, gc=False, kw_only=True):
    """A case that keeps the row it rests on in place of terms and entitlements, however much newer the truth becomes.

    Its ``good_until`` never lies beyond the instant at which the truth runs out; ``changes_at`` leaves that aside.
    """

    world: World
    row: bytes
    """Empty where nothing is known of the customer."""
    ruling: Any = None
    """None beside a decision that depends on nothing that is asked."""
    held: Holding = NOTHING_HELD
    """What policies read of it; customers who hold the same share it."""

    @property  # type: ignore[misc]
    def terms(self) -> Terms | None:
        """The terms as they were when it was made; None for an unknown customer."""
        return self.world.terms(self.row) if self.row else None

    @property  # type: ignore[misc]
    def entitlements(self) -> Entitlements | None:
        """The entitlements over the time in which it holds."""
        return self.world.rights(self.row, self.good_from) if self.row else None

    @property
    def holding(self) -> Holding:
        """What policies read of what the customer holds."""
        return self.held

    @property
    def changes_at(self) -> Instant:
        """The instant at which the answer may change by itself, apart from running out; FOREVER where none is known."""
        entitlements = self.entitlements
        return FOREVER if entitlements is None else entitlements.span(self.feature).end


def make_entry(world: World, pair: tuple[str, str], row: bytes, now: Instant, until: Instant) -> RowCase | Decision:
    """Return the answer about a customer and feature made ready for ``now``: the decision where nothing asked matters.

    ``until`` is when the truth runs out, on the business clock.
    """
    # Not remembered: it is read again only if somebody looks.
    entitlements = Holdings(world.catalog, terms_of(row)).entitlements(now, world.memo) if row else None
    start, end = BEGINNING, FOREVER
    if entitlements is not None:
        span = entitlements.span(pair[1])
        if world.since == FOREVER:
            world.since = now
        # Any instant of the span will do: one that most answers share costs nothing, and none is too far off to derive.
        start, end = world.since if span.start <= world.since <= now else max(span.start, now - _FAR), span.end
    start, end = (max(start, until), end) if now >= until else (start, min(end, until))
    held = NOTHING_HELD if entitlements is None else entitlements.holding
    case = RowCase(world.catalog, *pair, start, end, expired=now >= until, world=world, row=row, held=held)
    if entitlements is None or pair[1] not in world.catalog.features:
        ruling, fixed = make_ruling(case)
        reason = None if fixed is None else fixed.reason
    else:
        shared = shared_ruling(case, entitlements, world.memo)
        ruling, reason = shared.ruling, shared.fixed
    if reason is not None:
        return Decision(True, reason, case)
    return structs.replace(case, ruling=ruling)
