"""The impact of a change on one customer: which rights move, what is used beyond a new limit, which rules break.

Rights are compared at one instant. What an override, a suspension, a pause, a trial, non-payment or opening hours hide
at that instant is looked for as well: at every later instant at which something of the customer changes by itself, for
whoever asks, and once more as if whoever pays late had paid, who pauses had resumed and who tries had bought.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct, structs

from licet.core.combination import Breach
from licet.core.compiled import CompiledCatalog, CompiledFeature
from licet.core.derive import Holdings, Memo
from licet.core.entitlement import LENIENCE
from licet.core.gains import Differing, RightChange, Side, differing_rights
from licet.core.holding import Holding, customer_facts
from licet.core.instant import FOREVER, Instant, to_instant
from licet.core.lasting import lasting_losses
from licet.core.policies import Policies, Restraint, weigh
from licet.core.quantity import format_quantity
from licet.core.rights import Rights, Shape
from licet.core.terms import Subscription, Terms
from licet.core.timeline import segment_at
from licet.core.touching import EVERYTHING, customer_reads, reach_of
from licet.core.words import amount_words, number_words

_ROOM: Final = 20_000
_OPENINGS: Final = 14
"""How many times that something opens or closes are looked at, where policies read it."""


class Exceeded(Struct, frozen=True, kw_only=True):
    """What is used beyond a limit that the change lowers, or from which on it refuses more."""

    feature: str
    title: str
    used: int
    """As callers last said it, in minor units."""
    limit: int
    words: str
    """``25 projects are used, 20 would be allowed``."""


class Impact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a change does to one customer at an instant. Customers to whom the same happens have equal impacts.

    ``changes`` are rights that move, ``exceeding`` the features of which more is used than would be allowed (how much
    is told per customer, see :class:`Exceeded`), ``breaking`` rules between sold items that only then are broken.
    ``narrowed`` are the features whose right is worth less though its amount is the same: it depends on more, stops at
    its limit earlier, or has a value that the feature lists before the one it had. ``later`` is what is lost only at
    another time, to other questions, or once nothing hides it any more: of each feature what comes first.
    """

    changes: tuple[RightChange, ...] = ()
    exceeding: tuple[str, ...] = ()
    limits: tuple[tuple[str, int], ...] = ()
    """The limits that refuse earlier than before, in minor units: what is used decides whether they are exceeded."""
    breaking: tuple[str, ...] = ()
    narrowed: tuple[str, ...] = ()
    later: tuple[RightChange, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing at all happens."""
        return not (self.changes or self.exceeding or self.breaking or self.later)

    @property
    def gains(self) -> bool:
        """Whether anything becomes more or new."""
        return any(one.kind in ("gain", "more") for one in self.changes)

    @property
    def loses(self) -> bool:
        """Whether anything is lost, becomes less, narrower, exceeded or broken: what counts for the blast radius.

        At the instant or later.
        """
        return bool(self.exceeding or self.breaking or self.narrowed or self.later) or any(
            one.kind in ("loss", "less") for one in self.changes
        )


NOTHING = Impact()
Uses = Mapping[str, int]
"""By feature, what of a limit is used, in minor units, as far as it is known."""
NO_USES: Final[Uses] = {}


class Judged(Struct, frozen=True):
    """What happens to one customer: the impact that it shares with others, and how much is exceeded here."""

    impact: Impact
    exceeded: tuple[Exceeded, ...] = ()


UNTOUCHED: Final = Judged(NOTHING)


class _Tight(Struct, frozen=True):
    """A limit that may be exceeded after the change by what was allowed before."""

    feature: CompiledFeature
    limit: int


class _Compared(Struct, frozen=True):
    """What two sides differ in, for everybody who shares them. Keeps what it is kept under alive."""

    alive: tuple[object, ...]
    judged: Judged
    tight: tuple[_Tight, ...]


class _Outlook(Struct, frozen=True):
    """What two sides lose in the long run, for everybody who shares them. Keeps what it is kept under alive."""

    alive: tuple[object, ...]
    lost: tuple[RightChange, ...]


class _Laid(Struct, frozen=True):
    """A customer laid out in time under both catalogs; ``has`` is None where the shapes are those of ``had``.

    ``features`` are those that may differ, None for all. ``own`` is what conditions read of the customer itself.
    """

    had: Holdings
    has: Holdings | None
    features: frozenset[str] | None
    own: object


class _Noting(Memo):
    """A memo that notes which shape was asked for last."""

    shape: Shape

    def rights(self, shape: Shape) -> tuple[Rights, tuple[Breach, ...], Holding]:
        """Return what the memo knows of a shape."""
        self.shape = shape
        return super().rights(shape)


class Comparison:
    """Judges customers under two catalogs at one instant; what customers share is compared once.

    The memory it takes is bounded: it forgets everything when it is full, which changes cost, never an answer.
    """

    def __init__(self, before: CompiledCatalog, after: CompiledCatalog, at: Instant, *, room: int = _ROOM) -> None:
        self.before, self.after, self.at = before, after, at
        self._had, self._has = _Noting(before, room), Memo(after, room)
        self._room = room
        self._known: dict[tuple[object, ...], _Compared] = {}
        self._outlooked: dict[tuple[object, ...], _Outlook] = {}
        self._reads = customer_reads((before, after))
        self._reach = reach_of(before, after)
        policies = before.document.policies
        bends = any(one.bends for one in after.policies.settled)
        self._same_policies = policies == after.document.policies and not bends
        self._watches = bool(before.policies.watched or after.policies.watched)

    def judge(self, terms: Terms, uses: Uses = NO_USES, *, becomes: Terms | None = None) -> Judged:
        """Return what the change does to a customer; ``becomes`` are its terms after it, where they change too."""
        laid = self._lay(terms, becomes)
        sides, key = self._sides(laid, self.at)
        known = self._known.get(key)
        if known is None:
            known = self._keep(key, self._compare(*sides, laid.features))
        judged = known.judged
        if later := self._later(laid, sides, key, judged.impact):
            judged = Judged(structs.replace(judged.impact, later=later))
        exceeded = tuple(_exceeded(known.tight, uses)) if uses and known.tight else ()
        if not exceeded:
            return judged
        features = tuple(one.feature for one in exceeded)
        return Judged(structs.replace(judged.impact, exceeding=features), exceeded)

    def _lay(self, terms: Terms, becomes: Terms | None) -> _Laid:
        """A customer laid out in time; under the later catalog only where something but rights may differ."""
        later, reach = terms if becomes is None else becomes, self._reach
        own = self._own(terms, later)
        if becomes is None and reach is not None and reach.holds_for(terms):
            return _Laid(Holdings(self.before, terms), None, reach.features, own)
        return _Laid(Holdings(self.before, terms), Holdings(self.after, later), None, own)

    def _sides(self, laid: _Laid, at: Instant) -> tuple[tuple[Side, Side], tuple[object, ...]]:
        """Both sides at an instant, and what those to whom the same happens have in common."""
        had = laid.had.entitlements(at, self._had)
        if laid.has is not None:
            later, has = laid.has.terms, laid.has.entitlements(at, self._has)
        else:
            rights, breaches, holding = self._has.rights(self._had.shape)
            later, restraints = laid.had.terms, had.restraints
            if not self._same_policies:
                restraints = _weighed(self.after.policies, later, holding)
            has = structs.replace(had, rights=rights, breaches=breaches, holding=holding, restraints=restraints)
        told = _told(had.restraints), _told(has.restraints)
        key = (id(had.rights), id(has.rights), had.suspended, has.suspended, *told, laid.own)
        return (Side(self.before, laid.had.terms, had), Side(self.after, later, has)), key

    def _later(
        self, laid: _Laid, sides: tuple[Side, Side], key: tuple[object, ...], impact: Impact
    ) -> tuple[RightChange, ...]:
        """What is lost beyond what the impact at the instant tells, of each feature what comes first."""
        told = {one.feature for one in impact.changes if one.kind in ("loss", "less")} | {*impact.narrowed}
        found: dict[str, RightChange] = {}
        for one in self._outlooks(laid, sides, key):
            for change in one.lost:
                if change.feature not in told:
                    found.setdefault(change.feature, change)
        return tuple(found.values())

    def _outlooks(self, laid: _Laid, sides: tuple[Side, Side], key: tuple[object, ...]) -> Iterator[_Outlook]:
        """What is lost in the long run: from the instant on, then wherever something changes by itself."""
        yield self._outlook(sides, key, laid.features)
        for one in (laid, self._unhidden(laid)):
            if one is None:
                continue
            if one is not laid:
                yield self._outlook(*self._sides(one, self.at), one.features)
            for at in self._turns(one):
                yield self._outlook(*self._sides(one, at), one.features)

    def _outlook(self, sides: tuple[Side, Side], key: tuple[object, ...], features: frozenset[str] | None) -> _Outlook:
        known = self._outlooked.get(key)
        if known is None:
            if len(self._outlooked) >= self._room:
                self._outlooked.clear()
            alive = tuple(side.entitlements.rights for side in sides)
            known = self._outlooked[key] = _Outlook(alive, tuple(lasting_losses(*sides, features)))
        return known

    def _turns(self, laid: _Laid) -> list[Instant]:
        """The later instants at which something of a customer changes by itself, opening hours left out.

        Where policies read whether something is open, the next of those too.
        """
        found = set[Instant]()
        for holdings in (laid.had, laid.has):
            if holdings is None:
                continue
            for timeline in holdings.timelines:
                found.update(one.start for one in timeline)
            for override in holdings.overrides:
                found.add(to_instant(override.starts_at))
                if override.ends_at is not None:
                    found.add(to_instant(override.ends_at))
            if self._watches:
                at = self.at
                for _ in range(_OPENINGS):
                    at = holdings.span_at(at).end
                    if at >= FOREVER:
                        break
                    found.add(at)
        return sorted(at for at in found if self.at < at < FOREVER)

    def _unhidden(self, laid: _Laid) -> _Laid | None:
        """The customer as if nothing were paused, unpaid or on trial; None where nothing is.

        A trial that has fallen is left as it is: what was tried comes back by a purchase only.
        """
        held = zip(laid.had.subscriptions, laid.had.timelines, strict=True)
        hiding = frozenset(
            one.id
            for one, timeline in held
            if (one.pauses or one.payments or (one.trial_end is not None and not _fallen(one, self.at)))
            and segment_at(timeline, self.at).state.kind != "ended"
        )
        if not hiding:
            return None
        had = Holdings(self.before, _bared(laid.had.terms, hiding, self.at))
        has = None if laid.has is None else Holdings(self.after, _bared(laid.has.terms, hiding, self.at))
        return structs.replace(laid, had=had, has=has)

    def _keep(self, key: tuple[object, ...], known: _Compared) -> _Compared:
        if len(self._known) >= self._room:
            self._known.clear()
        self._known[key] = known
        return known

    def _compare(self, before: Side, after: Side, features: frozenset[str] | None) -> _Compared:
        differing = tuple(differing_rights(before, after, features))
        broken = {(one.rule, one.item, one.others) for one in before.entitlements.breaches}
        breaking = tuple(
            one.words for one in after.entitlements.breaches if (one.rule, one.item, one.others) not in broken
        )
        judged = UNTOUCHED
        if differing or breaking:
            narrowed = tuple(one.change.feature for one in differing if _narrower(self.after, one))
            changes = tuple(one.change for one in differing)
            limits = tuple((one.feature.id, one.limit) for one in _tight(self.after, differing))
            judged = Judged(Impact(changes=changes, breaking=breaking, narrowed=narrowed, limits=limits))
        alive = before.entitlements.rights, after.entitlements.rights
        return _Compared(alive, judged, tuple(_tight(self.after, differing)))

    def _own(self, terms: Terms, later: Terms) -> object:
        """What conditions on what is asked may read of this customer itself; None where they read nothing of it."""
        reads, profile = self._reads, terms.profile
        overrides = terms.overrides if later is terms else (*terms.overrides, *later.overrides)
        if overrides and any(one.when is not None or one.regions is not None for one in overrides):
            reads = EVERYTHING
        windows = tuple(one.window for one in overrides if one.window is not None)
        if not reads:
            return windows or None
        return (
            windows,
            terms.customer if "id" in reads else None,
            profile.region if "region" in reads else None,
            profile.country if "country" in reads else None,
            msgspec.json.encode(profile.attributes, order="deterministic") if "attributes" in reads else None,
        )


def _fallen(subscription: Subscription, at: Instant) -> bool:
    """Whether a trial has ended by an instant, and given way to what follows it."""
    ends = subscription.trial_end
    return subscription.trial_end_behavior == "fall" and ends is not None and to_instant(ends) <= at


def _bared(terms: Terms, hiding: frozenset[str], at: Instant) -> Terms:
    """Terms in which some subscriptions were never paused or unpaid, nor are on trial."""
    return structs.replace(
        terms, subscriptions=tuple(_bare(one, at) if one.id in hiding else one for one in terms.subscriptions)
    )


def _bare(one: Subscription, at: Instant) -> Subscription:
    paid = structs.replace(one, pauses=(), payments=())
    return paid if _fallen(one, at) else structs.replace(paid, trial_start=None, trial_end=None)


def judge_impact(
    before: CompiledCatalog, after: CompiledCatalog, terms: Terms, at: Instant, uses: Uses = NO_USES
) -> Judged:
    """Return what replacing one catalog by another does to a single customer at ``at``."""
    return Comparison(before, after, at, room=1).judge(terms, uses)


def _narrower(after: CompiledCatalog, one: Differing) -> bool:
    """Whether a right that is held on both sides, neither more nor less of it, is worth less."""
    was, becomes = one.was, one.becomes
    if one.change.kind != "changed":
        return False
    # What was answered although its conditions were not met asks for all of them from now on.
    bound = () if not was.enforced else was.depends
    if set(becomes.depends) - set(bound) or LENIENCE[becomes.at_limit] < LENIENCE[was.at_limit]:
        return True
    listed = after.features[one.change.feature].values or ()
    if was.value not in listed or becomes.value not in listed:
        return False
    return listed.index(becomes.value) < listed.index(was.value)


def _tight(after: CompiledCatalog, differing: Iterable[Differing]) -> Iterator[_Tight]:
    """Limits that are held on both sides and refuse earlier than before."""
    for one in differing:
        was, becomes = one.was, one.becomes
        if (was.enforced and was.reason is not None) or becomes.reason is not None:
            continue
        if becomes.amount is None or becomes.at_limit != "block" or not becomes.enforced:
            continue
        if not was.enforced or was.amount is None or becomes.amount < was.amount or was.at_limit != "block":
            yield _Tight(after.features[one.change.feature], becomes.amount)


def _exceeded(tight: Iterable[_Tight], uses: Uses) -> Iterator[Exceeded]:
    for one in tight:
        feature, used = one.feature, uses.get(one.feature.id, 0)
        if used > one.limit:
            said = f"{amount_words(feature, used)} {'is' if used == 10**feature.scale else 'are'} used"
            allowed = number_words(format_quantity(one.limit, feature.scale))
            yield Exceeded(
                feature=feature.id,
                title=feature.title,
                used=used,
                limit=one.limit,
                words=f"{said}, {allowed} would be allowed",
            )


def _weighed(policies: Policies, terms: Terms, holding: Holding) -> tuple[Restraint, ...]:
    """The policies that apply to a customer whatever is asked."""
    if not policies.settled:
        return ()
    facts = {"customer": customer_facts(terms.customer, terms.profile), **holding}
    return tuple(one for policy in policies.settled if (one := weigh(policy, facts)) is not None)


def _told(restraints: tuple[Restraint, ...] | None) -> object:
    """What tells restraints apart; None where they are those that the other side tells."""
    return None if restraints is None else tuple((one.policy.id, one.decided, one.missing) for one in restraints)
