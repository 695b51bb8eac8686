"""The case of one asked pair, kept small: what equals share lies apart, its row is read when somebody looks."""

from typing import Final
from zoneinfo import ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from licet.core.case import Case
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.derive import Entitlements, Holdings, Memo
from licet.core.holding import NOTHING_HELD, Holding
from licet.core.instant import BEGINNING, DAY, FOREVER, HOUR, Instant
from licet.core.reason import Reason
from licet.core.ruling import Ruling, make_ruling
from licet.core.snapshot import Shared, shared_ruling
from licet.core.terms import Profile, Terms
from licet.evaluator.errors import NotUnderstood
from licet.evaluator.rows import terms_of

_FAR: Final = 366 * DAY
_REMEMBERED: Final = 2_000
_ALIKE: Final = 50_000
_PROFILES: Final = 10_000


class Reader:
    """One release of a catalog, and rows read under it; of some rows it is remembered."""

    __slots__ = ("_rights", "_terms", "_unread", "catalog", "memo")

    def __init__(self, catalog: CompiledCatalog) -> None:
        self.catalog = catalog
        self.memo = Memo(catalog)
        self._terms: dict[bytes, Terms] = {}
        self._rights: dict[bytes, Entitlements] = {}
        self._unread: dict[bytes, str] = {}

    def terms(self, row: bytes) -> Terms:
        """Return the terms of a row. Raises NotUnderstood."""
        found = self._terms.get(row)
        if found is None:
            if len(self._terms) >= _REMEMBERED:
                self._terms.clear()
            found = self._terms[row] = self.read(row)
        return found

    def read(self, row: bytes) -> Terms:
        """Return the terms of a row, which are not remembered; that they cannot be read is. Raises NotUnderstood."""
        words = self._unread.get(row) if self._unread else None
        if words is None:
            try:
                return terms_of(row)
            except msgspec.ValidationError as wrong:
                words = f"terms that need a newer version of licet: {wrong}"
                if len(self._unread) >= _REMEMBERED:
                    self._unread.clear()
                self._unread[row] = words
        raise NotUnderstood(words)

    def derive(self, terms: Terms, at: Instant) -> Entitlements:
        """Return the entitlements that terms give at an instant. Raises NotUnderstood."""
        try:
            return Holdings(self.catalog, terms).entitlements(at, self.memo)
        except ZoneInfoNotFoundError as wrong:
            words = f"terms in a time zone unknown to this machine ({wrong.args[0]}); install the package tzdata"
            raise NotUnderstood(words) from None

    def rights(self, row: bytes, at: Instant) -> Entitlements:
        """Return the entitlements that a row gives at an instant. Raises NotUnderstood."""
        found = self._rights.get(row)
        if found is None or not found.good_from <= at < found.good_until:
            if len(self._rights) >= _REMEMBERED:
                self._rights.clear()
            found = self._rights[row] = self.derive(self.terms(row), at)
        return found


class Alike(Struct, frozen=True, gc=False, kw_only=True):
    """What answers about one feature share whose rights, bounds and profile are equal.

    A check reads this one for many customers, so that it stays where the processor reads fast.
    """

    reader: Reader
    feature: str
    good_from: Instant
    good_until: Instant
    expired: bool
    ruling: Ruling | None
    """None where nothing asked matters."""
    reason: Reason | None
    """That of the one allowing decision, where nothing asked matters."""
    held: Holding
    """What policies read of what the customer holds."""
    profile: Profile | None
    """What conditions read of the customer, where they do and not too many differ; None: read the row."""


class World:
    """One release of a catalog as an evaluator has it, with what its answers share."""

    __slots__ = ("_alike", "_profiles", "catalog", "reader", "since")

    def __init__(self, catalog: CompiledCatalog) -> None:
        self.catalog = catalog
        # Answers hold the reader and not this: what they share would hold itself, and never be freed.
        self.reader = Reader(catalog)
        self.since: Instant = FOREVER
        """An instant since which most answers hold; one object that they share."""
        self._alike: dict[tuple[object, ...], tuple[Shared, Alike]] = {}
        self._profiles: dict[bytes, Profile] = {}

    def profile(self, profile: Profile) -> Profile | None:
        """Return the one profile that stands for all equal ones; None where too many differ."""
        key = msgspec.json.encode(profile)
        found = self._profiles.get(key)
        if found is None and len(self._profiles) < _PROFILES:
            found = self._profiles[key] = profile
        return found

    def alike(self, case: Case) -> Alike:
        """Return what a case shares with all that are ruled alike."""
        entitlements = case.entitlements
        bounds = (case.feature, case.good_from, case.good_until, case.expired)
        if entitlements is None or case.terms is None or case.feature not in self.catalog.features:
            ruling, fixed = make_ruling(case)
            held = NOTHING_HELD if entitlements is None else entitlements.holding
            reason = None if fixed is None else fixed.reason
            return self._make(bounds, ruling if reason is None else None, reason, held, None)
        shared = shared_ruling(case, entitlements, self.reader.memo)
        profile = self.profile(case.terms.profile) if shared.reads else None
        key = (*bounds, id(shared), id(entitlements.holding), id(profile))
        found = self._alike.get(key)
        if found is None:
            if len(self._alike) >= _ALIKE:
                self._alike.clear()
            asking = shared.ruling if shared.fixed is None else None
            made = self._make(bounds, asking, shared.fixed, entitlements.holding, profile)
            # What the key names by identity is kept with it, so that nothing else comes to have that identity.
            found = self._alike[key] = (shared, made)
        return found[1]

    def _make(
        self,
        bounds: tuple[str, Instant, Instant, bool],
        ruling: Ruling | None,
        reason: Reason | None,
        held: Holding,
        profile: Profile | None,
    ) -> Alike:
        feature, start, end, expired = bounds
        return Alike(
            reader=self.reader,
            feature=feature,
            good_from=start,
            good_until=end,
            expired=expired,
            ruling=ruling,
            reason=reason,
            held=held,
            profile=profile,
        )


class RowCase(Struct, frozen=True, gc=False, eq=False):
    """A case that keeps the row it rests on in place of terms and entitlements, however much newer the truth becomes.

    It equals only itself, so that what is kept by case is found without reading it.

    Its ``good_until`` never lies beyond the instant at which the truth runs out, nor beyond the last full hour before
    the answer may change; ``changes_at`` leaves both aside.
    """

    alike: Alike
    customer: str
    row: bytes
    """Empty where nothing is known of the customer."""

    @property
    def catalog(self) -> CompiledCatalog:
        """The catalog in force."""
        return self.alike.reader.catalog

    @property
    def feature(self) -> str:
        """About what."""
        return self.alike.feature

    @property
    def good_from(self) -> Instant:
        """The first instant at which it holds."""
        return self.alike.good_from

    @property
    def good_until(self) -> Instant:
        """The first instant at which it holds no more."""
        return self.alike.good_until

    @property
    def expired(self) -> bool:
        """Whether what is known is past its last usable instant."""
        return self.alike.expired

    @property
    def terms(self) -> Terms | None:
        """The terms as they were when it was made; None for an unknown customer."""
        return self.alike.reader.terms(self.row) if self.row else None

    @property
    def profile(self) -> Profile | None:
        """What conditions read of the customer; None for an unknown one."""
        known = self.alike.profile
        if known is not None:
            return known
        terms = self.terms
        return None if terms is None else terms.profile

    @property
    def entitlements(self) -> Entitlements | None:
        """The entitlements over the time in which it holds."""
        return self.alike.reader.rights(self.row, self.alike.good_from) if self.row else None

    @property
    def holding(self) -> Holding:
        """What policies read of what the customer holds."""
        return self.alike.held

    @property
    def changes_at(self) -> Instant:
        """The instant at which the answer may change by itself, apart from running out; FOREVER where none is known."""
        entitlements = self.entitlements
        return FOREVER if entitlements is None else entitlements.span(self.alike.feature).end


class RowDecision(Decision, frozen=True, gc=False, kw_only=True):
    """The one decision about a customer and feature where nothing asked matters."""

    alike: Alike
    """That of its case: a check need not read the case."""


def make_entry(world: World, pair: tuple[str, str], row: bytes, now: Instant, until: Instant) -> RowCase | RowDecision:
    """Return the answer about a customer and feature made ready for ``now``: the decision where nothing asked matters.

    ``until`` is when the truth runs out, on the business clock. Raises NotUnderstood.
    """
    # Not remembered: it is read again only if somebody looks.
    terms = world.reader.read(row) if row else None
    entitlements = None if terms is None else world.reader.derive(terms, now)
    start, end = BEGINNING, FOREVER
    if entitlements is not None:
        span = entitlements.span(pair[1])
        start, end = _start(world, span.start, now), span.end
    start, end = (max(start, until), end) if now >= until else (start, min(end, until))
    hour = end - end % HOUR
    case = Case(world.catalog, *pair, start, hour if hour > now else end, terms, entitlements, now >= until)
    alike = world.alike(case)
    kept = RowCase(alike, pair[0], row)
    return kept if alike.reason is None else RowDecision(True, alike.reason, kept, alike=alike)


def _start(world: World, start: Instant, now: Instant) -> Instant:
    """Return an instant of a span, at or before ``now``, that as many answers as possible share.

    Any will do; none is too far off to derive at.
    """
    if world.since == FOREVER:
        world.since = now
    if start <= world.since <= now:
        return world.since
    start = max(start, now - _FAR)
    hour = -(-start // HOUR) * HOUR
    return hour if hour <= now else start
