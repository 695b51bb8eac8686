"""The course of a balance: everything that time and terms bring it, derived whole from catalog, terms and funding.

Facts of usage are none of it: what is left of a balance is the fold of its facts over its course (``balance``).
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import tzinfo
from typing import Literal

from msgspec import Struct

from licet.core.balance import Grant
from licet.core.catalog import AtLimit, Recurrence
from licet.core.compiled import CompiledCatalog
from licet.core.instant import BEGINNING, FOREVER, Duration, Instant
from licet.core.terms import Terms
from licet.core.usage import AccountKey, Funding


class Window(Struct, frozen=True):
    """Allowances that count by windows instead of periods: ``length`` on the wall clock of ``zone``."""

    kind: Literal["rolling", "session"]
    length: Duration
    zone: tzinfo


class Bound(Struct, frozen=True):
    """From ``at`` on: what happens at the limit, and how much may be used beyond all there is (None: no bound)."""

    at: Instant
    at_limit: AtLimit = "block"
    overage_limit: int | None = None


class TopUp(Struct, frozen=True):
    """From ``at`` on the rule of automatic top-ups; ``amount`` 0: none. ``rule`` is the funding that says it."""

    at: Instant
    rule: str
    below: int
    amount: int
    most: int
    expires_after: Duration | None = None
    """On the customer's wall clock; for ever where None."""


class Origin(Struct, frozen=True):
    """Where a grant of a course comes from: the line of a subscription, an override, or funding of its own."""

    kind: Literal["subscription", "override", "funding"]
    id: str
    per: Recurrence | None = None
    """How often a line is whole again; None for funding."""
    trialing: bool = False


class Course(Struct, frozen=True, kw_only=True):
    """What is known of one balance for ``(…, until)`` before anything is used, in minor units.

    Whole from the beginning, but for marks before ``exact_from``; what it says of an instant does not depend on
    ``until``, but by what becomes known later. Of each grant that renews, the first renewal at or after ``until`` is
    among its marks too, so that the order of burning is known; nothing else is.
    """

    key: AccountKey
    zone: tzinfo
    """The customer's: of months of top-ups and of grants that recur."""
    grants: tuple[Grant, ...] = ()
    """By (effective, id). Lines of allowance are grants with marks; an unlimited one has the amount ``UNBOUNDED``."""
    origins: dict[str, Origin] = {}
    """By id of each grant."""
    resets: tuple[Instant, ...] = ()
    """The ends of the balance's own periods, ascending, before ``until``."""
    next_reset: Instant = FOREVER
    """The first end of a period at or after ``until``; FOREVER where none comes."""
    opens: Instant = FOREVER
    """When the first grant begins; before it there is no balance."""
    window: Window | None = None
    gauge: Literal["latest", "max", "unique"] | None = None
    """How its meter holds a level instead of adding up, if it does."""
    bounds: tuple[Bound, ...] = (Bound(BEGINNING),)
    """By instant, from the beginning on: the most lenient of the sources in force."""
    spend_limits: tuple[tuple[Instant, int | None], ...] = ()
    """By instant: how much may be used beyond all there is in a period; None: as the bounds say."""
    carry: bool = False
    """Whether what was used beyond all there was is owed in the next period too."""
    thresholds: tuple[int, ...] = ()
    """Percent of what counts in the period, ascending."""
    top_ups: tuple[TopUp, ...] = ()
    until: Instant = FOREVER
    exact_from: Instant = BEGINNING

    @property
    def feature(self) -> str:
        """The feature whose balance it is."""
        return self.key.feature

    @property
    def holder(self) -> str:
        """Whose it is within the customer; empty for the customer's own."""
        return self.key.holder

    def bound_at(self, now: Instant) -> Bound:
        """Return what happens at the limit at ``now``."""
        return self.bounds[max(0, bisect_right(self.bounds, now, key=lambda one: one.at) - 1)]

    def spend_limit_at(self, now: Instant) -> int | None:
        """Return the spend limit in force at ``now``; None where there is none."""
        place = bisect_right(self.spend_limits, now, key=lambda one: one[0]) - 1
        return self.spend_limits[place][1] if place >= 0 else None

    def top_up_at(self, now: Instant) -> TopUp | None:
        """Return the rule of automatic top-ups in force at ``now``; None where there is none."""
        place = bisect_right(self.top_ups, now, key=lambda one: one.at) - 1
        return self.top_ups[place] if place >= 0 and self.top_ups[place].amount else None

    def period_at(self, now: Instant) -> tuple[Instant, Instant]:
        """Return the balance's own period ``[start, end)`` around ``now``: from its opening, or BEGINNING, on."""
        place = bisect_right(self.resets, now)
        start = self.resets[place - 1] if place else min(self.opens, now)
        return start, self.resets[place] if place < len(self.resets) else self.next_reset


def course_of(
    catalog: CompiledCatalog, terms: Terms, funding: Sequence[Funding], key: AccountKey, until: Instant
) -> Course:
    """Return the course of one balance up to ``until`` (exclusive).

    ``funding`` is all that is known of the customer's; what is about other balances is passed over. Raises KeyError
    for a feature that the catalog does not have or that has no balance.
    """
    raise KeyError(key.feature)
