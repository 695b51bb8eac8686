"""The impact of a change on one customer: which rights move, what is used beyond a new limit, which rules break."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from licet.core.combination import Breach
from licet.core.compiled import CompiledCatalog, CompiledFeature, Gate
from licet.core.derive import Entitlements, Memo, derive
from licet.core.entitlement import LENIENCE
from licet.core.gains import Differing, RightChange, Side, differing_rights
from licet.core.holding import Holding, customer_facts
from licet.core.instant import Instant
from licet.core.policies import Policies, Restraint, weigh
from licet.core.policy import Condition
from licet.core.quantity import format_quantity
from licet.core.rights import Rights, Shape
from licet.core.terms import Terms
from licet.core.touching import reach_of
from licet.core.words import amount_words, number_words

_ROOM: Final = 20_000
_ALL: Final = frozenset(("id", "region", "country", "attributes"))


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
    its limit earlier, or has a value that the feature lists before the one it had.
    """

    changes: tuple[RightChange, ...] = ()
    exceeding: tuple[str, ...] = ()
    breaking: tuple[str, ...] = ()
    narrowed: tuple[str, ...] = ()

    @property
    def gains(self) -> bool:
        """Whether anything becomes more or new."""
        return any(one.kind in ("gain", "more") for one in self.changes)

    @property
    def loses(self) -> bool:
        """Whether anything is lost, becomes less, narrower, exceeded or broken: what counts for the blast radius."""
        return bool(self.exceeding or self.breaking or self.narrowed) or any(
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
        self._reads = _customer_reads((before, after))
        self._reach = reach_of(before, after)
        policies = before.document.policies
        bends = any(one.bends for one in after.policies.settled)
        self._same_policies = policies == after.document.policies and not bends

    def judge(self, terms: Terms, uses: Uses = NO_USES, *, becomes: Terms | None = None) -> Judged:
        """Return what the change does to a customer; ``becomes`` are its terms after it, where they change too."""
        had = derive(self.before, terms, self.at, self._had)
        if becomes is None and self._reach is not None and self._reach.holds_for(terms):
            known = self._by_shape(terms, had, self._reach.features)
        else:
            later = terms if becomes is None else becomes
            known = self._by_rights(terms, had, later)
        if not uses or not known.tight:
            return known.judged
        exceeded = tuple(_exceeded(known.tight, uses))
        if not exceeded:
            return known.judged
        features = tuple(one.feature for one in exceeded)
        return Judged(msgspec.structs.replace(known.judged.impact, exceeding=features), exceeded)

    def _by_shape(self, terms: Terms, had: Entitlements, features: frozenset[str]) -> _Compared:
        """Compare a customer whose shape is the same under both catalogs."""
        shape, restraints = self._had.shape, None
        if not self._same_policies:
            restraints = _weighed(self.after.policies, terms, self._has.rights(shape)[2])
        key = (id(had.rights), had.suspended, _told(had.restraints), _told(restraints), self._own(terms, terms))
        known = self._known.get(key)
        if known is None:
            rights, breaches, holding = self._has.rights(shape)
            if restraints is None:
                restraints = _weighed(self.after.policies, terms, holding)
            has = msgspec.structs.replace(had, rights=rights, breaches=breaches, holding=holding, restraints=restraints)
            sides = Side(self.before, terms, had), Side(self.after, terms, has)
            known = self._keep(key, self._compare(*sides, features, (had.rights, rights)))
        return known

    def _by_rights(self, terms: Terms, had: Entitlements, later: Terms) -> _Compared:
        """Compare a customer of whom anything may differ."""
        has = derive(self.after, later, self.at, self._has)
        held = id(had.rights), id(has.rights), had.suspended, has.suspended
        key = (*held, _told(had.restraints), _told(has.restraints), self._own(terms, later))
        known = self._known.get(key)
        if known is None:
            sides = Side(self.before, terms, had), Side(self.after, later, has)
            known = self._keep(key, self._compare(*sides, None, (had.rights, has.rights)))
        return known

    def _keep(self, key: tuple[object, ...], known: _Compared) -> _Compared:
        if len(self._known) >= self._room:
            self._known.clear()
        self._known[key] = known
        return known

    def _compare(
        self, before: Side, after: Side, features: frozenset[str] | None, alive: tuple[object, ...]
    ) -> _Compared:
        differing = tuple(differing_rights(before, after, features))
        broken = {(one.rule, one.item, one.others) for one in before.entitlements.breaches}
        breaking = tuple(
            one.words for one in after.entitlements.breaches if (one.rule, one.item, one.others) not in broken
        )
        judged = UNTOUCHED
        if differing or breaking:
            narrowed = tuple(one.change.feature for one in differing if _narrower(self.after, one))
            changes = tuple(one.change for one in differing)
            judged = Judged(Impact(changes=changes, breaking=breaking, narrowed=narrowed))
        return _Compared(alive, judged, tuple(_tight(self.after, differing)))

    def _own(self, terms: Terms, later: Terms) -> object:
        """What conditions on what is asked may read of this customer itself; None where they read nothing of it."""
        reads, profile = self._reads, terms.profile
        overrides = terms.overrides if later is terms else (*terms.overrides, *later.overrides)
        if overrides and any(one.when is not None or one.regions is not None for one in overrides):
            reads = _ALL
        if not reads:
            return None
        return (
            terms.customer if "id" in reads else None,
            profile.region if "region" in reads else None,
            profile.country if "country" in reads else None,
            msgspec.json.encode(profile.attributes, order="deterministic") if "attributes" in reads else None,
        )


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
    if set(becomes.depends) - set(was.depends) or LENIENCE[becomes.at_limit] < LENIENCE[was.at_limit]:
        return True
    listed = after.features[one.change.feature].values or ()
    if was.value not in listed or becomes.value not in listed:
        return False
    return listed.index(becomes.value) < listed.index(was.value)


def _tight(after: CompiledCatalog, differing: Iterable[Differing]) -> Iterator[_Tight]:
    """Limits that are held on both sides and refuse earlier than before."""
    for one in differing:
        was, becomes = one.was, one.becomes
        if was.reason is not None or becomes.reason is not None or becomes.at_limit != "block":
            continue
        if becomes.amount is None or was.amount is None:
            continue
        if becomes.amount < was.amount or was.at_limit != "block":
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
    facts = {"customer": customer_facts(terms), **holding}
    return tuple(one for policy in policies.settled if (one := weigh(policy, facts)) is not None)


def _told(restraints: tuple[Restraint, ...] | None) -> object:
    """What tells restraints apart; None where they are those that the other side tells."""
    return None if restraints is None else tuple((one.policy.id, one.decided, one.missing) for one in restraints)


def _customer_reads(catalogs: Iterable[CompiledCatalog]) -> frozenset[str]:
    """What of a customer itself is read by conditions that are weighed with each right."""
    found = set[str]()
    for catalog in catalogs:
        for gate in _gates(catalog):
            if gate.regions is not None:
                found.add("region")
        for condition in _conditions(catalog):
            for path in condition.reads:
                root, _, rest = path.partition(".")
                # A region that is not asked about is the customer's own.
                if path in ("context", "context.region"):
                    found.add("region")
                elif root == "customer" and rest in ("id", "region", "country"):
                    found.add(rest)
                elif root.startswith("customer"):
                    found |= {"attributes"} if rest.startswith("attributes") else _ALL
    return frozenset(found)


def _gates(catalog: CompiledCatalog) -> Iterator[Gate]:
    for feature in catalog.features.values():
        yield feature.gate
    for version in catalog.versions.values():
        for include in version.includes.values():
            yield include.gate


def _conditions(catalog: CompiledCatalog) -> Iterator[Condition]:
    yield from (gate.condition for gate in _gates(catalog) if gate.condition is not None)
    yield from (policy.condition for policy in catalog.policies.asking)
