"""What a request reaches: the balances it touches, what the rights say about each, and how much of each it burns.

The asked feature; and of its meter every other metered feature, and all credits that burn it, which the customer has
from any source that is not over. All of them must permit.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from licet.core.case import NOTHING, AnyCase, Ask, Case, judge
from licet.core.catalog import AtLimit, Each, Mode
from licet.core.compiled import UNBOUNDED, CompiledCatalog
from licet.core.derive import Entitlements
from licet.core.entitlement import Entitlement
from licet.core.instant import BEGINNING, FOREVER, Instant
from licet.core.question import Context, UserFacts
from licet.core.reason import Reason
from licet.core.ruling import asks
from licet.core.snapshot import Snapshot
from licet.core.usage.facts import AccountKey
from licet.core.usage.metering import Burning, CompiledMeter, Metering

User = UserFacts | str | None
_ROOM: Final = 50_000
_OVER: Final = frozenset({Reason.ENDED, Reason.NOT_STARTED, Reason.TRIAL_EXPIRED})


class Verdict(Struct, frozen=True, gc=False):
    """What the rights say about one feature to one user in one context, counts left aside."""

    case: AnyCase
    allowed: bool
    """Whether they permit. What is observed always may; ``would_deny`` says with what it would not."""
    reason: Reason
    would_deny: tuple[Reason, ...]
    at_limit: AtLimit
    mode: Mode


class Touch(Struct, frozen=True, gc=False):
    """One balance that a want touches, and what the rights say about it."""

    burning: Burning
    verdict: Verdict
    key: AccountKey | None = None
    """Of the customer's own balance; None where each user or team has its own."""
    asks: bool = False
    """Whether what the rights say of it depends on user or context."""


class Reach(Struct, frozen=True, gc=False):
    """What asking for one feature touches, the asked one first; good over ``[good_from, good_until)``.

    ``meter`` is what is counted; None for credits asked for directly, and where nothing is.
    """

    customer: str
    feature: str
    good_from: Instant
    good_until: Instant
    meter: CompiledMeter | None
    touches: tuple[Touch, ...]
    snapshot: Snapshot | None
    asks: bool
    """Whether the answer depends on user or context."""


class Metered(NamedTuple):
    """What a report of a meter touches, good over ``[since, until)`` for one snapshot of a customer."""

    snapshot: Snapshot | None
    since: Instant
    until: Instant
    burning: tuple[Burning, ...]


_UNKNOWN: Final = Metered(None, BEGINNING, FOREVER, ())


class Reaches:
    """What requests reach under one catalog; what depends on neither user nor context is worked out once.

    ``snapshot`` returns what a customer has by now; for another one than before everything is worked out anew.
    """

    def __init__(
        self, catalog: CompiledCatalog, metering: Metering, snapshot: Callable[[str], Snapshot | None]
    ) -> None:
        self.catalog = catalog
        self.metering = metering
        self._snapshot = snapshot
        self._known: dict[tuple[str, str], Reach] = {}
        self._metered: dict[tuple[str, str], Metered] = {}

    def of(self, customer: str, feature: str, now: Instant, user: User = None, context: Context = NOTHING) -> Reach:
        """Return what a customer's want of a feature reaches at ``now``."""
        known = self._known.get((customer, feature))
        snapshot = self._snapshot(customer)
        if known is not None and known.snapshot is snapshot and known.good_from <= now < known.good_until:
            if not known.asks:
                return known
            return self._make(snapshot, (customer, feature), now, user, context)
        found = self._make(snapshot, (customer, feature), now, user, context)
        if len(self._known) >= _ROOM:
            self._known.clear()
        self._known[customer, feature] = found
        return found

    def metered(self, customer: str, meter: str, at: Instant) -> Metered:
        """Return what a report of a meter touches: the balances that the customer had at that instant."""
        snapshot = self._snapshot(customer)
        if snapshot is None:
            return _UNKNOWN
        known = self._metered.get((customer, meter))
        if known is None or known.snapshot is not snapshot or not known.since <= at < known.until:
            entitlements = snapshot.entitlements(at)
            found = self.metering.burning.get(meter, ())
            found = tuple(one for one in found if has_source(entitlements, one.feature))
            if len(self._metered) >= _ROOM:
                self._metered.clear()
            known = Metered(snapshot, entitlements.good_from, entitlements.good_until, found)
            self._metered[customer, meter] = known
        return known

    def _make(
        self, snapshot: Snapshot | None, about: tuple[str, str], now: Instant, user: User, context: Context
    ) -> Reach:
        """Work it out for a customer and a feature."""
        customer, feature = about
        counted = self.metering.meter_of.get(feature)
        meter = None if counted is None else self.metering.meters[counted]
        if snapshot is None:
            case = Case(self.catalog, customer, feature, BEGINNING, FOREVER)
            touch = Touch(Burning(feature, "customer"), _verdict(case, user, context))
            return Reach(customer, feature, BEGINNING, FOREVER, meter, (touch,), None, False)
        entitlements = snapshot.entitlements(now)
        touches, span, asking = [], entitlements.span(feature), False
        for one in self._touched(feature, meter, entitlements):
            here = entitlements.span(one.feature)
            span = span.within(here.start, here.end)
            case = Case(self.catalog, customer, one.feature, here.start, here.end, snapshot.terms, entitlements)
            key = AccountKey(customer, one.feature) if one.each == "customer" else None
            asks = _asking(case, entitlements)
            touches.append(Touch(one, _verdict(case, user, context), key, asks))
            asking = asking or asks
        return Reach(customer, feature, span.start, span.end, meter, tuple(touches), snapshot, asking)

    def _touched(self, feature: str, meter: CompiledMeter | None, entitlements: Entitlements) -> Iterator[Burning]:
        """The asked feature, then what else its meter touches."""
        yield Burning(feature, self.metering.each_of.get(feature, "customer"))
        if meter is not None:
            for one in self.metering.burning[meter.id]:
                if one.feature != feature and has_source(entitlements, one.feature):
                    yield one


def has_source(entitlements: Entitlements, feature: str) -> bool:
    """Return whether some source speaks about a feature that is not over, and has begun: then its balance counts.

    What is paused or suspended still does, so that nobody gets around a pool by letting it be blocked.
    """
    given = entitlements.rights.get(feature)
    return given is not None and any(_OVER.isdisjoint(one.blocked) for one in given.sources)


def holder_of(each: Each, user: User, team: str | None) -> str | None:
    """Return whose own balance it is; None where nobody was named."""
    if each == "customer":
        return ""
    if each == "team":
        return None if team is None else f"team:{team}"
    name = user.id if isinstance(user, UserFacts) else user
    return None if name is None else f"user:{name}"


def keys_of(
    metering: Metering, customer: str, features: Iterable[str], user: User, team: str | None
) -> list[AccountKey]:
    """Return the accounts of features, without those whose user or team nobody named."""
    found = [(one, holder_of(metering.each_of.get(one, "customer"), user, team)) for one in features]
    return [AccountKey(customer, feature, holder) for feature, holder in found if holder is not None]


def _verdict(case: Case, user: User, context: Context) -> Verdict:
    """Judge as if there were no end of everything."""
    said = judge(case, Ask(user, context, 0, 0, UNBOUNDED))
    feature = case.catalog.features.get(case.feature)
    mode: Mode = "enforce" if feature is None else feature.mode
    return Verdict(case, said.allowed, said.reasons[0], said.would_deny or (), said.at_limit, mode)


def _asking(case: Case, entitlements: Entitlements) -> bool:
    """Whether user or context matter."""
    feature = case.catalog.features.get(case.feature)
    if feature is None:
        return False
    given = entitlements.rights.get(case.feature) or Entitlement(case.feature, (), ())
    return asks(feature, given) or any(one.about(case.feature) for one in case.catalog.policies.asking)
