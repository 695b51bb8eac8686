"""Gains and losses: what a customer may do by one pair of catalog and terms, compared with another, at an instant.

Compared are rights, not answers to one question: a right that depends on the user or the place counts as held while
its conditions can be met, and the words say on what it depends. Whether a feature is enforced plays a part only where
it is so on one side alone: what nobody was refused is then held whatever was bought.
"""

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct, structs

from licet.core.case import Ask, Facts, Hearing, in_force
from licet.core.catalog import AtLimit, Recurrence
from licet.core.compiled import SWITCH, UNBOUNDED, CompiledCatalog, CompiledFeature
from licet.core.derive import Entitlements, derive
from licet.core.entitlement import Entitlement, Source, merged_amount, merged_at_limit, merged_value
from licet.core.instant import Instant
from licet.core.policies import Restraint
from licet.core.policy import lacking
from licet.core.quantity import format_quantity
from licet.core.reason import PRECEDENCE, Reason
from licet.core.terms import Terms
from licet.core.wording import span_words
from licet.core.words import amount_words, fact_words, number_words

ChangeKind = Literal["gain", "loss", "more", "less", "changed"]

_WITHOUT: dict[Reason, str] = {
    Reason.NOT_ENTITLED: "not included",
    Reason.UNKNOWN_FEATURE: "not there",
    Reason.CUSTOMER_SUSPENDED: "suspended",
    Reason.DENIED_BY_OVERRIDE: "switched off",
    Reason.REGION_NOT_ALLOWED: "not in this region",
    Reason.POLICY_DENIED: "not under these conditions",
}
"""What a reason is called in a comparison, where that is not its own name."""
FREE: Final = "allowed, not enforced"
"""What a right is called that is there because its feature is not enforced."""


class RightChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of one right. ``reason`` says why it is not there, on the side where it is not."""

    feature: str
    title: str
    kind: ChangeKind
    was: str
    """In words: ``20 projects``, ``on``, a configuration's value, or why it was not there."""
    becomes: str
    reason: Reason | None = None


class Right(Struct, frozen=True):
    """What one customer holds of one feature at an instant. ``reason`` is None where it is held."""

    reason: Reason | None
    amount: int | None = None
    """In minor units, merged from all sources; None for what is not counted."""
    at_limit: AtLimit = "block"
    pers: tuple[Recurrence, ...] = ()
    value: str | None = None
    depends: tuple[str, ...] = ()
    """Facts that nobody was asked for, and on which it depends whether all of this is there."""
    enforced: bool = True
    """Without this every check of the feature is answered allowed."""
    besides: tuple[str, ...] = ()
    """What sources say of allowances besides, in words: what rolls over, how it is released, bounds of overage."""


class Side(Struct, frozen=True):
    """One side of a comparison: entitlements with the catalog and terms that they were derived from."""

    catalog: CompiledCatalog
    terms: Terms
    entitlements: Entitlements


class Differing(Struct, frozen=True):
    """One right that differs: what it was, what it becomes, and that in words."""

    was: Right
    becomes: Right
    change: RightChange


def compare_rights(
    before_catalog: CompiledCatalog,
    before: Terms,
    after_catalog: CompiledCatalog,
    after: Terms,
    at: Instant,
    *,
    before_at: Instant | None = None,
) -> tuple[RightChange, ...]:
    """Return every right that differs at ``at``, in the order of the later catalog's features, dropped ones last.

    The same on both sides gives nothing; the sides exchanged give each change turned round. ``before_at`` reads the
    earlier side at another instant: what passing time changes.
    """
    had = derive(before_catalog, before, at if before_at is None else before_at)
    has = derive(after_catalog, after, at)
    sides = Side(before_catalog, before, had), Side(after_catalog, after, has)
    return tuple(one.change for one in differing_rights(*sides))


def differing_rights(before: Side, after: Side, only: frozenset[str] | None = None) -> Iterator[Differing]:
    """Yield every right that differs between two sides, in the order of the later catalog's features, dropped last.

    ``only`` leaves out what is known not to differ.
    """
    dropped = [one for one in before.catalog.features if one not in after.catalog.features]
    for feature in (*after.catalog.features, *dropped):
        if only is not None and feature not in only:
            continue
        was = right_of(before.catalog, before.terms, before.entitlements, feature)
        becomes = right_of(after.catalog, after.terms, after.entitlements, feature)
        # What one side does not know at all is neither won nor lost for not being enforced on the other.
        if feature not in before.catalog.features:
            was = structs.replace(was, enforced=becomes.enforced)
        elif feature not in after.catalog.features:
            becomes = structs.replace(becomes, enforced=was.enforced)
        kind = _kind(was, becomes)
        if kind is None:
            continue
        later = after.catalog.features.get(feature) or before.catalog.features[feature]
        earlier = before.catalog.features.get(feature, later)
        apart = was.enforced != becomes.enforced
        change = RightChange(
            feature=feature,
            title=later.title,
            kind=kind,
            was=FREE if apart and not was.enforced else _told(earlier, was, becomes),
            becomes=FREE if apart and not becomes.enforced else _told(later, becomes, was),
            reason=(was if apart and not becomes.enforced else becomes).reason or (None if apart else was.reason),
        )
        yield Differing(was, becomes, change)


def right_of(catalog: CompiledCatalog, terms: Terms, entitlements: Entitlements, feature_id: str) -> Right:
    """Return what ``terms`` give of one feature under a catalog; ``entitlements`` are those derived from the two."""
    feature = catalog.features.get(feature_id)
    if feature is None:
        return Right(Reason.UNKNOWN_FEATURE)
    given = entitlements.rights.get(feature_id) or Entitlement(feature_id, (), ())
    facts = Facts(terms, Ask(quantity=0))
    hearings = tuple(facts.hear(feature, source) for source in given.sources)
    held = {one.source: lacks for one in hearings if (lacks := _lacks(feature, one, facts)) is not None}
    restraints = facts.restraints(catalog.policies, entitlements, feature.id)
    asking = {fact for one in restraints if _asks(one) for fact in one.missing}
    refusals = set(_blocks(entitlements, given, facts, restraints))
    enforced = feature.mode == "enforce"
    if not held:
        competing = [one for one in hearings if in_force(one)] or hearings
        refusals.update(reason for one in competing for reason in one.reasons)
        if not hearings:
            refusals.add(Reason.NOT_ENTITLED)
    if refusals:
        return Right(min(refusals, key=PRECEDENCE.__getitem__), enforced=enforced)
    sources = [*held]
    return Right(
        reason=None,
        amount=merged_amount(feature, sources) if feature.counted else None,
        at_limit=merged_at_limit(sources) if feature.counted else "block",
        pers=tuple(sorted({one.per for one in sources if one.per is not None})) if feature.counted else (),
        value=merged_value(feature, sources),
        depends=tuple(sorted({*_depends(feature, [*held.values()]), *asking})),
        enforced=enforced,
        besides=tuple(sorted(words for one in sources for words in _besides(catalog, feature, one))),
    )


def _besides(catalog: CompiledCatalog, feature: CompiledFeature, source: Source) -> Iterator[str]:
    """What one source says of its allowance besides amount and period."""
    if feature.per is None or source.kind == "override":
        return
    include = catalog.versions[source.kind, source.id, source.version].includes[feature.id]
    least, most = include.rollover
    if most:
        yield ("all" if most >= UNBOUNDED else f"up to {_number(feature, most)}") + " kept"
    if least:
        yield f"at least {_number(feature, least)} kept"
    if include.release is not None:
        yield f"released by {include.release}"
    if include.overage_limit is not None and include.overage_limit < UNBOUNDED:
        yield f"up to {_number(feature, include.overage_limit)} beyond"


def _number(feature: CompiledFeature, amount: int) -> str:
    """Return an amount without its unit, which was said just before."""
    return number_words(format_quantity(amount, feature.scale))


def _told(feature: CompiledFeature, right: Right, other: Right) -> str:
    """A right in words, with what it says besides where the other one says something else."""
    words = right_words(feature, right)
    return words if right.besides == other.besides else ", ".join((words, *right.besides))


def right_words(feature: CompiledFeature, right: Right) -> str:
    """Return a right in words: ``100,000 API calls per month, more is billed by use``, ``on``, ``not included``."""
    if right.reason is not None:
        return _WITHOUT.get(right.reason, right.reason.replace("_", " "))
    words = "on" if right.value is None else right.value
    if right.amount is not None:
        words = amount_words(feature, right.amount) + " and ".join(_per(feature, right.pers))
        words += {"block": "", "warn": ", more with a warning", "overage": ", more is billed by use"}[right.at_limit]
    if right.depends:
        words += f", depending on {' and '.join(dict.fromkeys(map(fact_words, right.depends)))}"
    return words


def _per(feature: CompiledFeature, pers: tuple[Recurrence, ...]) -> Iterator[str]:
    long = "" if feature.length is None else span_words(feature.length)
    for per in pers:
        if per == "rolling":
            yield f" within any {long}" if long else " per rolling window"
        elif per == "session":
            yield f" per session of {long}" if long else " per session"
        elif per != "lifetime":
            yield " per billing period" if per == "period" else f" per {per}"


def _depends(feature: CompiledFeature, lacking_facts: list[tuple[str, ...]]) -> tuple[str, ...]:
    """For a switch what the least demanding source needs, since one is enough; else what any of them does."""
    if feature.type == SWITCH:
        return min(lacking_facts, key=lambda lacks: (len(lacks), lacks))
    return tuple(sorted({fact for lacks in lacking_facts for fact in lacks}))


def _lacks(feature: CompiledFeature, hearing: Hearing, facts: Facts) -> tuple[str, ...] | None:
    """The facts that a source still needs to permit, which nobody was asked for; None where it refuses in any case."""
    if hearing.source.blocked:
        return None
    missing: set[str] = set()
    for gate in (feature.gate, hearing.source.gate):
        if gate.deployments is not None:
            missing.add("context.deployment")
        if gate.regions is not None and facts.region not in gate.regions:
            if facts.region is not None:
                return None
            missing.add("context.region")
        if gate.condition is not None:
            named = facts.named(hearing.source.standing)
            verdict = gate.condition.evaluate(named)
            if not verdict.holds:
                unknown = verdict.missing or lacking(gate.condition, named)
                if not unknown:
                    return None
                missing.update(unknown)
    return tuple(sorted(missing))


def _blocks(
    entitlements: Entitlements, given: Entitlement, facts: Facts, restraints: tuple[Restraint, ...]
) -> Iterator[Reason]:
    """What takes a right away from the whole customer; a denial or policy for some users or places does not."""
    if entitlements.suspended:
        yield Reason.CUSTOMER_SUSPENDED
    if any(not facts.ask_gate(denial.gate, None)[0] for denial in given.denials):
        yield Reason.DENIED_BY_OVERRIDE
    if any(one.policy.denies and not _asks(one) for one in restraints):
        yield Reason.POLICY_DENIED


def _asks(one: Restraint) -> bool:
    """Whether it refuses only those who do not say the right facts."""
    return one.policy.denies and one.policy.asks and not one.decided


def _kind(was: Right, becomes: Right) -> ChangeKind | None:
    """What kind of change it is; None for none. Why somebody has no right may differ: that is no change of rights."""
    if was.enforced != becomes.enforced:
        return _bound(becomes) if becomes.enforced else _freed(was)
    if was.reason is not None or becomes.reason is not None:
        if was.reason is not None and becomes.reason is not None:
            return None
        return "loss" if was.reason is None else "gain"
    if was == becomes:
        return None
    if was.amount is None or becomes.amount is None or was.pers != becomes.pers or was.amount == becomes.amount:
        return "changed"
    return "more" if becomes.amount > was.amount else "less"


def _bound(right: Right) -> ChangeKind | None:
    """What is different from being allowed everything; nothing where this right refuses nothing either."""
    if right.reason is not None:
        return "loss"
    if right.amount is not None and right.amount < UNBOUNDED and right.at_limit == "block":
        return "less"
    return "changed" if right.depends else None


def _freed(right: Right) -> ChangeKind | None:
    """The same turned round."""
    kind = _bound(right)
    if kind == "loss":
        return "gain"
    return "more" if kind == "less" else kind
