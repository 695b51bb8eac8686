"""What a right is worth at any hour and to whoever asks: the ways in which it is had, and what each of them needs.

Two rights that give the same at one instant, to nobody in particular, may differ an hour later or for somebody else.
Suspensions and denials of the customer, which are hers on both sides, are left out, so that they hide nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from licet.core.case import Ask, Facts
from licet.core.catalog import Window
from licet.core.compiled import CONFIGURATION, UNBOUNDED, CompiledFeature, Gate
from licet.core.entitlement import LENIENCE, Entitlement, Source, merged_amount, merged_at_limit, merged_value
from licet.core.gains import FREE, ChangeKind, Right, RightChange, Side, right_words
from licet.core.policies import CompiledPolicy
from licet.core.policy import Condition, ConditionError, compile_condition
from licet.core.reason import PRECEDENCE, Reason
from licet.core.window import CompiledWindow, compile_window

_ASKED: Final = ("context", "user")
_HELD: Final = ("plans", "addons", "features", "amounts", "standing")


class Need(Struct, frozen=True):
    """Something that the hour or the question must fulfil. ``facts`` are what it reads of the question."""

    kind: Literal["deployment", "region", "window", "condition"]
    what: frozenset[str] | CompiledWindow | tuple[str, ...]
    facts: tuple[str, ...] = ()

    def fulfils(self, other: "Need") -> bool:
        """Return whether whatever fulfils this fulfils the other too."""
        if self == other:
            return True
        if isinstance(self.what, frozenset) and isinstance(other.what, frozenset):
            return self.kind == other.kind and self.what <= other.what
        if isinstance(self.what, CompiledWindow) and isinstance(other.what, CompiledWindow):
            return _within(self.what, other.what)
        return False


Needs = frozenset[Need]


class Way(Struct, frozen=True):
    """One source of a right, with all that it needs to give."""

    source: Source
    needs: Needs


class Lasting(Struct, frozen=True):
    """One feature of one customer. ``reason`` is why nothing gives it; ``bars`` are rules that refuse it nevertheless.

    A bar refuses unless one of its conditions is false for certain.
    """

    feature: CompiledFeature | None
    reason: Reason | None
    ways: tuple[Way, ...] = ()
    bars: tuple[Needs, ...] = ()

    @property
    def enforced(self) -> bool:
        """Whether checks of it can be refused at all."""
        return self.feature is None or self.feature.mode == "enforce"


def lasting_losses(before: Side, after: Side, only: frozenset[str] | None = None) -> Iterator[RightChange]:
    """Yield what is lost or worth less for some question or at some hour, while both sides stand as they do.

    In the order of the later catalog's features, dropped ones last. It errs on the side of more: conditions that are
    written otherwise count as others. ``only`` leaves out what is known not to differ.
    """
    dropped = [one for one in before.catalog.features if one not in after.catalog.features]
    for feature in (*after.catalog.features, *dropped):
        if only is not None and feature not in only:
            continue
        was, becomes = lasting_of(before, feature), lasting_of(after, feature)
        kind = _lost(was, becomes)
        if kind is not None:
            yield _told(kind, was, becomes)


def lasting_of(side: Side, feature_id: str) -> Lasting:
    """Return what one side gives of a feature whatever the hour and whoever asks."""
    feature = side.catalog.features.get(feature_id)
    if feature is None:
        return Lasting(None, Reason.UNKNOWN_FEATURE)
    given = side.entitlements.rights.get(feature_id) or Entitlement(feature_id, (), ())
    facts = Facts(side.terms, Ask(quantity=0))
    refused = any(one.policy.denies and one.policy.about(feature_id) for one in side.entitlements.restraints)
    bars: list[Needs] = []
    for policy in side.catalog.policies.asking:
        if policy.denies and policy.about(feature_id):
            bar = _bar(policy, side, facts)
            refused = refused or bar == frozenset()
            bars += [bar] if bar else []
    if refused:
        return Lasting(feature, Reason.POLICY_DENIED)
    ways: list[Way] = []
    reasons: list[Reason] = []
    for source in given.sources:
        found = _way(side, feature, source, facts)
        if isinstance(found, Way):
            ways.append(found)
        else:
            reasons.append(found)
    if ways:
        return Lasting(feature, None, tuple(ways), tuple(bars))
    return Lasting(feature, min(reasons, key=PRECEDENCE.__getitem__, default=Reason.NOT_ENTITLED))


def _way(side: Side, feature: CompiledFeature, source: Source, facts: Facts) -> Way | Reason:
    """A source with what it needs, or why it gives nothing in any case."""
    for reason in source.blocked:
        if reason is not Reason.OUTSIDE_WINDOW:
            return reason
    needs = set[Need]()
    for gate in (feature.gate, source.gate):
        refusal = _ask(gate, source.standing, facts, needs)
        if refusal is not None:
            return refusal
    if source.kind == "override":
        window = side.entitlements.overrides[source.place].window
        needs.update(_window(window))
    return Way(source, frozenset(needs))


def _window(window: Window | None) -> Iterator[Need]:
    if window is not None:
        yield Need("window", compile_window(window))


def _ask(gate: Gate, standing: str | None, facts: Facts, needs: set[Need]) -> Reason | None:
    """Add what a gate needs; return why it refuses in any case."""
    if gate.deployments is not None:
        needs.add(Need("deployment", gate.deployments, ("context.deployment",)))
    if gate.regions is not None:
        if facts.region is None:
            needs.add(Need("region", gate.regions, ("context.region",)))
        elif facts.region not in gate.regions:
            return Reason.REGION_NOT_ALLOWED
    if gate.window is not None:
        needs.add(Need("window", gate.window))
    if gate.condition is None:
        return None
    named = facts.named(standing)
    for part in parts_of(gate.condition):
        asked = _asked(part, facts)
        if asked:
            stands = (standing or "",) if "standing" in part.reads else ()
            needs.add(Need("condition", (part.source, *stands), asked))
        elif not part.holds(named):
            return Reason.POLICY_DENIED
    return None


def _bar(policy: CompiledPolicy, side: Side, facts: Facts) -> Needs | None:
    """What must be so for a policy to refuse; nothing where it does in any case, None where it never does."""
    holding = side.entitlements.holding
    named = {**facts.named(None), **holding}
    needs = set[Need]()
    for part in parts_of(policy.condition):
        asked = _asked(part, facts)
        if asked:
            reads = {_root(path) for path in part.reads}
            held = tuple(repr(holding.get(root)) for root in _HELD if root in reads)
            needs.add(Need("condition", (part.source, *held), asked))
        elif part.fails(named):
            return None
    return frozenset(needs)


@lru_cache(maxsize=4096)
def parts_of(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions that must all be true; the condition itself where it is not made of several."""
    texts = condition.parts
    if len(texts) == 1:
        return (condition,)
    try:
        return tuple(compile_condition(text, condition.environment) for text in texts)
    except ConditionError:
        return (condition,)


def _asked(part: Condition, facts: Facts) -> tuple[str, ...]:
    """What a part reads of the question. A region is settled where the customer has one of its own."""
    known = facts.region is not None
    return tuple(
        sorted(path for path in part.reads if _root(path) in _ASKED and not (known and path == "context.region"))
    )


def _root(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def _lost(was: Lasting, becomes: Lasting) -> ChangeKind | None:
    """What kind of loss it is; None for none."""
    if not becomes.enforced or (was.enforced and was.reason is not None):
        return None
    if becomes.reason is not None or becomes.feature is None:
        return "loss"
    if not was.enforced:
        return _bound(becomes.feature, becomes)
    if any(not any(_all_fulfilled(bar, earlier) for earlier in was.bars) for bar in becomes.bars):
        return "changed"
    found = {
        _worse(becomes.feature, _given(was.ways, needs), _given(becomes.ways, needs))
        for needs in {way.needs for way in was.ways}
    }
    found.add(_worse(becomes.feature, [way.source for way in was.ways], [way.source for way in becomes.ways]))
    return "less" if "less" in found else "changed" if "changed" in found else None


def _bound(feature: CompiledFeature, becomes: Lasting) -> ChangeKind | None:
    """What is different from being allowed everything."""
    sources = _given(becomes.ways, frozenset())
    if not sources or becomes.bars:
        return "changed"
    if not feature.counted or merged_at_limit(sources) != "block":
        return None
    return None if merged_amount(feature, sources) >= UNBOUNDED else "less"


def _given(ways: Iterable[Way], fulfilled: Needs) -> list[Source]:
    """The sources that give where no more than this is fulfilled."""
    return [way.source for way in ways if _all_fulfilled(fulfilled, way.needs)]


def _all_fulfilled(fulfilled: Needs, needs: Needs) -> bool:
    return all(any(one.fulfils(need) for one in fulfilled) for need in needs)


def _worse(feature: CompiledFeature, was: Sequence[Source], becomes: Sequence[Source]) -> ChangeKind | None:
    """What becomes of the right under the same circumstances, as far as it is a loss."""
    if not becomes:
        return "changed"
    if feature.counted:
        if merged_amount(feature, becomes) < merged_amount(feature, was):
            return "less"
        return "changed" if LENIENCE[merged_at_limit(becomes)] < LENIENCE[merged_at_limit(was)] else None
    if feature.type != CONFIGURATION:
        return None
    listed = feature.values or ()
    first, second = merged_value(feature, was), merged_value(feature, becomes)
    if first not in listed or second not in listed:
        return None
    return "changed" if listed.index(second) < listed.index(first) else None


def _within(one: CompiledWindow, other: CompiledWindow) -> bool:
    """Whether the one is open only while the other is."""
    if one.start < other.start or one.end > other.end:
        return False
    if not other.daily:
        return True
    if (one.from_minute, one.until_minute) == (other.from_minute, other.until_minute):
        return one.weekdays <= other.weekdays
    crossing = one.until_minute <= one.from_minute or other.until_minute <= other.from_minute
    inside = other.from_minute <= one.from_minute and one.until_minute <= other.until_minute
    return not crossing and inside and one.weekdays <= other.weekdays


def _told(kind: ChangeKind, was: Lasting, becomes: Lasting) -> RightChange:
    named = becomes.feature or was.feature
    if named is None:
        raise AssertionError("a feature that neither side has cannot differ")
    first = _words(was.feature or named, was) if was.enforced else FREE
    second = _words(becomes.feature or named, becomes)
    if first == second:
        second += ", under other conditions"
    return RightChange(feature=named.id, title=named.title, kind=kind, was=first, becomes=second, reason=becomes.reason)


def _words(feature: CompiledFeature, lasting: Lasting) -> str:
    """A right in words, with all on which it depends."""
    if lasting.reason is not None:
        return right_words(feature, Right(lasting.reason))
    sources = [way.source for way in lasting.ways]
    needs = [need for each in (*(way.needs for way in lasting.ways), *lasting.bars) for need in each]
    words = right_words(
        feature,
        Right(
            reason=None,
            amount=merged_amount(feature, sources) if feature.counted else None,
            at_limit=merged_at_limit(sources) if feature.counted else "block",
            pers=tuple(sorted({one.per for one in sources if one.per is not None})) if feature.counted else (),
            value=merged_value(feature, sources),
            depends=tuple(sorted({fact for need in needs for fact in need.facts})),
        ),
    )
    return words + (", at set times" if any(need.kind == "window" for need in needs) else "")
