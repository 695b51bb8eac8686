"""The case of one customer and one feature: everything but the question itself, and how a question is judged by it."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from msgspec import Struct, structs

from licet.core.catalog import AtLimit
from licet.core.compiled import SWITCH, UNBOUNDED, CompiledCatalog, CompiledFeature, Gate
from licet.core.derive import Entitlements
from licet.core.entitlement import (
    Entitlement,
    Source,
    merged_amount,
    merged_at_limit,
    merged_overage_limit,
    merged_value,
)
from licet.core.holding import NOTHING_HELD, Holding, customer_facts
from licet.core.instalment import at_once
from licet.core.instant import Instant
from licet.core.policies import Policies, Restraint, weigh
from licet.core.policy import lacking
from licet.core.question import Context, UserFacts
from licet.core.reason import PRECEDENCE, Reason
from licet.core.terms import Profile, Terms
from licet.core.timeline import LIVE

NOTHING = Context()


class AnyCase(Protocol):
    """What is read of a case, however it is kept; see :class:`Case`."""

    @property
    def catalog(self) -> CompiledCatalog:
        """The catalog in force."""

    @property
    def customer(self) -> str:
        """About whom."""

    @property
    def feature(self) -> str:
        """About what."""

    @property
    def good_from(self) -> Instant:
        """The first instant at which it holds."""

    @property
    def good_until(self) -> Instant:
        """The first instant at which it holds no more."""

    @property
    def terms(self) -> Terms | None:
        """The customer's terms; None for an unknown customer."""

    @property
    def entitlements(self) -> Entitlements | None:
        """What they give over the time in which it holds."""

    @property
    def expired(self) -> bool:
        """Whether what is known is past its last usable instant."""

    @property
    def profile(self) -> Profile | None:
        """What conditions read of the customer; None for an unknown one."""

    @property
    def changes_at(self) -> Instant:
        """The instant at which the answer may change by itself, apart from running out; FOREVER where none is known."""

    @property
    def holding(self) -> Holding:
        """What policies read of what the customer holds."""


class Case(Struct, frozen=True, gc=False):
    """What is known before the question. ``terms`` is None for an unknown customer.

    ``good_from`` and ``good_until`` bound the time in which it holds: ``[good_from, good_until)``. ``expired``: what is
    known is past its last usable instant, and the feature's ``when_unreachable`` has a say.
    """

    catalog: CompiledCatalog
    customer: str
    feature: str
    good_from: Instant
    good_until: Instant
    terms: Terms | None = None
    entitlements: Entitlements | None = None
    expired: bool = False

    @property
    def profile(self) -> Profile | None:
        """What conditions read of the customer; None for an unknown one."""
        return None if self.terms is None else self.terms.profile

    @property
    def changes_at(self) -> Instant:
        """The instant at which the answer may change by itself, apart from running out; FOREVER where none is known."""
        return self.good_until

    @property
    def holding(self) -> Holding:
        """What policies read of what the customer holds; nothing where nothing is known of it."""
        entitlements = self.entitlements
        return NOTHING_HELD if entitlements is None else entitlements.holding


class Ask(Struct, frozen=True, gc=False):
    """The question itself. ``quantity`` and ``used`` in minor units; ``used`` None where nobody counted."""

    user: UserFacts | str | None = None
    context: Context | None = None
    quantity: int = 1
    used: int | None = None
    granted: int | None = None
    """What the balance holds in all, where there is one: it counts in place of what the sources give."""
    overage_limit: int | None = None
    """How much of it may be used beyond all there is, where more is charged; None: no bound."""
    spend_limit: int | None = None
    """How much the customer allows to be used beyond all there is, where more is charged; None: no bound."""
    extra: int | None = None
    """What the balance holds beyond what the sources in force give at once: so a remedy can ask about others."""
    by_sources: bool = False
    """Whether those in force say how much may be used beyond, in place of ``overage_limit``: as for a remedy."""


class Hearing(Struct, frozen=True):
    """What one source says to one question."""

    source: Source
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]


class Judgement(Struct, frozen=True):
    """The whole answer. ``amount`` is None unless some source permits; ``reasons`` are in precedence."""

    allowed: bool
    reasons: tuple[Reason, ...]
    would_deny: tuple[Reason, ...] | None
    hearings: tuple[Hearing, ...]
    value: bool | str | None
    amount: int | None
    at_limit: AtLimit
    missing: tuple[str, ...]
    restraints: tuple[Restraint, ...] = ()
    """The policies that apply, the severest first; none where the feature is not enforced."""


def judge(case: AnyCase, ask: Ask, *, policies: bool = True) -> Judgement:
    """Return the answer to a question, with everything there is to say about it.

    Customer-wide suspension, denials and policies block whatever else permits; each source is heard on its own; any
    that permits is enough; at a blocking limit the count decides. ``policies`` leaves those of the catalog out.
    """
    feature = case.catalog.features.get(case.feature)
    # Read once: a case may work them out anew each time it is asked for them.
    terms, entitlements = case.terms, case.entitlements
    if feature is None or terms is None or entitlements is None:
        return _unknown(case, feature, known=terms is not None)
    given = entitlements.rights.get(case.feature) or Entitlement(case.feature, (), ())
    facts = Facts(terms, ask)
    hearings = tuple(facts.hear(feature, source) for source in given.sources)
    permitting = [one.source for one in hearings if not one.reasons]
    refusals, missing = _blocks(entitlements, given, facts)
    ruled = policies and feature.mode != "off"
    restraints = facts.restraints(case.catalog.policies, entitlements, feature.id) if ruled else ()
    for restraint in restraints:
        if restraint.policy.denies:
            refusals.add(Reason.POLICY_DENIED)
            missing.extend(restraint.missing)
    if not permitting:
        competing = [one for one in hearings if in_force(one)] or hearings
        refusals.update(reason for one in competing for reason in one.reasons)
        missing.extend(name for one in competing for name in one.missing)
        if not hearings:
            refusals.add(Reason.NOT_ENTITLED)
    amount = _amount(case, feature, given, permitting, ask) if feature.counted and permitting else None
    at_limit = merged_at_limit(permitting) if permitting else feature.at_limit
    over = 0 if amount is None else (ask.used or 0) + ask.quantity - amount
    if over > 0:
        bounded = with_overage_limit(case.catalog, feature, given, ask) if ask.by_sources else ask
        refusals.update(beyond_reasons(feature, at_limit, over, bounded))
    said = () if refusals else permitting_reasons(feature, permitting, at_limit, exceeded=over > 0)
    allowed, reasons, would_deny = _ruled(feature, refusals, said, expired=case.expired)
    return Judgement(
        allowed=allowed,
        reasons=reasons,
        would_deny=would_deny,
        hearings=hearings,
        value=allowed if feature.type == SWITCH else merged_value(feature, permitting),
        amount=amount,
        at_limit=at_limit,
        missing=tuple(sorted(set(missing))),
        restraints=restraints,
    )


_OUT_OF_FORCE: Final = frozenset({Reason.ENDED, Reason.NOT_STARTED})


def in_force(hearing: Hearing) -> bool:
    """Whether a source gives in general: its subscription stands, or its override has begun and is not over.

    Where one source is in force and refuses, those that are not have no say in why: they would be no way out.
    """
    source = hearing.source
    if source.kind == "override":
        return _OUT_OF_FORCE.isdisjoint(source.blocked)
    return source.standing in LIVE


def limit_reason(feature: CompiledFeature) -> Reason:
    """Return why a hard limit refuses, by the feature's type."""
    return {"credits": Reason.CREDIT_EXHAUSTED, "seats": Reason.SEAT_LIMIT_REACHED}.get(
        feature.type, Reason.LIMIT_REACHED
    )


def beyond_reasons(feature: CompiledFeature, at_limit: AtLimit, over: int, ask: Ask) -> list[Reason]:
    """Return what refuses a use that goes ``over`` all there is by so much, in minor units."""
    if at_limit == "block":
        return [limit_reason(feature)]
    if at_limit == "warn":
        return []
    reasons = [limit_reason(feature)] if ask.overage_limit is not None and over > ask.overage_limit else []
    if ask.spend_limit is not None and over > ask.spend_limit:
        reasons.append(Reason.SPEND_LIMIT_REACHED)
    return reasons


def with_overage_limit(catalog: CompiledCatalog, feature: CompiledFeature, given: Entitlement, ask: Ask) -> Ask:
    """Return a question with the bound that the sources in force set on use beyond all there is."""
    sources = [one for one in given.sources if not one.blocked]
    return structs.replace(ask, overage_limit=merged_overage_limit(catalog, feature, sources))


def given_amount(catalog: CompiledCatalog, feature: CompiledFeature, given: Entitlement) -> int:
    """Return what the sources in force give a balance at once: conditions on user and context left aside.

    Of what is released in parts that is the first part.
    """
    return merged_amount(feature, at_once(catalog, feature.id, [one for one in given.sources if not one.blocked]))


def _amount(case: AnyCase, feature: CompiledFeature, given: Entitlement, permitting: list[Source], ask: Ask) -> int:
    """What may be used in all: what a balance is known to hold, else what the sources that permit give."""
    if ask.granted is not None:
        return ask.granted
    if ask.extra is None:
        return merged_amount(feature, permitting)
    amount = given_amount(case.catalog, feature, given)
    return amount if amount >= UNBOUNDED else amount + ask.extra


def permitting_reasons(
    feature: CompiledFeature, permitting: list[Source], at_limit: AtLimit, *, exceeded: bool
) -> tuple[Reason, ...]:
    """Return why it is allowed, the most telling first.

    Past a soft limit that is said first. A trial or unpaid invoice is named only where no source stands without one,
    and then takes the place of ``entitled`` and ``within_limit``.
    """
    said: list[Reason] = []
    if exceeded:
        said.append(Reason.OVERAGE if at_limit == "overage" else Reason.SOFT_LIMIT_EXCEEDED)
    standings = {one.standing for one in permitting}
    if not standings & {None, "active"}:
        said.append(Reason.IN_TRIAL if "trialing" in standings else Reason.IN_GRACE)
    if not said:
        said.append(Reason.WITHIN_LIMIT if feature.counted else Reason.ENTITLED)
    return tuple(said)


def _ruled(
    feature: CompiledFeature | None, refusals: set[Reason], permits: tuple[Reason, ...], *, expired: bool
) -> tuple[bool, tuple[Reason, ...], tuple[Reason, ...] | None]:
    """Whether it is allowed, why, and with what it would be refused, after the rule for what ran out and the mode.

    An unknown feature has neither: what it is refused with stays as it is.
    """
    mode, rule = ("enforce", "last_known") if feature is None else (feature.mode, feature.when_unreachable)
    if mode == "off":
        return True, (Reason.NOT_ENFORCED,), None
    if expired and rule == "deny":
        refusals = {*refusals, Reason.SNAPSHOT_EXPIRED}
    elif expired and refusals and rule == "allow":
        return True, (Reason.NOT_ENFORCED,), None
    if not refusals:
        return True, (Reason.LAST_KNOWN, *permits) if expired else permits, None
    reasons = tuple(sorted(refusals, key=PRECEDENCE.__getitem__))
    return (True, (Reason.OBSERVED,), reasons) if mode == "observe" else (False, reasons, None)


def _unknown(case: AnyCase, feature: CompiledFeature | None, *, known: bool) -> Judgement:
    """The answer about a customer or feature nobody knows. The feature's mode counts also for an unknown customer."""
    refusals = set() if known else {Reason.UNKNOWN_CUSTOMER}
    if feature is None:
        refusals.add(Reason.UNKNOWN_FEATURE)
    allowed, reasons, would_deny = _ruled(feature, refusals, (), expired=case.expired)
    return Judgement(
        allowed=allowed,
        reasons=reasons,
        would_deny=would_deny,
        hearings=(),
        value=allowed if feature is not None and feature.type == SWITCH else None,
        amount=None,
        at_limit="block" if feature is None else feature.at_limit,
        missing=(),
    )


def _blocks(entitlements: Entitlements, given: Entitlement, facts: "Facts") -> tuple[set[Reason], list[str]]:
    """What refuses whatever the sources say. A denial that cannot be decided for want of facts denies."""
    refusals: set[Reason] = set()
    missing: list[str] = []
    if entitlements.suspended:
        refusals.add(Reason.CUSTOMER_SUSPENDED)
    for denial in given.denials:
        reasons, lacking, undecided = facts.ask_gate(denial.gate, None)
        if not reasons or undecided:
            refusals.add(Reason.DENIED_BY_OVERRIDE)
            missing.extend(lacking)
    return refusals, missing


class Facts:
    """What conditions can read in one question: context (region defaults to the customer's), customer, user."""

    def __init__(self, terms: Terms, ask: Ask) -> None:
        self.context = ask.context or NOTHING
        self.region = self.context.region or terms.profile.region
        self.ask = ask
        self.terms = terms
        self._all: dict[str, Any] | None = None

    def hear(self, feature: CompiledFeature, source: Source) -> Hearing:
        """Ask one source: the feature's own gate and the source's, both on top of what blocks it already."""
        reasons, missing = set(source.blocked), set[str]()
        for gate in (feature.gate, source.gate):
            if gate.asks:
                more, lacking, _ = self.ask_gate(gate, source.standing)
                reasons.update(more)
                missing.update(lacking)
        return Hearing(source, tuple(sorted(reasons, key=PRECEDENCE.__getitem__)), tuple(sorted(missing)))

    def ask_gate(self, gate: Gate, standing: str | None) -> tuple[list[Reason], list[str], bool]:
        """Return the gate's reasons against, the facts it misses, and whether only those are against."""
        reasons: list[Reason] = []
        missing: list[str] = []
        sure = False
        if gate.deployments is not None and self.context.deployment not in gate.deployments:
            reasons.append(Reason.DEPLOYMENT_NOT_ALLOWED)
            if self.context.deployment is None:
                missing.append("context.deployment")
            else:
                sure = True
        if gate.regions is not None and self.region not in gate.regions:
            reasons.append(Reason.REGION_NOT_ALLOWED)
            if self.region is None:
                missing.append("context.region")
            else:
                sure = True
        if gate.condition is not None:
            verdict = gate.condition.evaluate(self.named(standing))
            if not verdict.holds:
                reasons.append(Reason.POLICY_DENIED)
                missing.extend(verdict.missing or lacking(gate.condition, self.named(standing)))
                sure = sure or not (verdict.missing or verdict.errors)
        return reasons, missing, bool(reasons) and not sure

    def restraints(self, policies: Policies, entitlements: Entitlements, feature: str) -> tuple[Restraint, ...]:
        """Return the policies that apply to a feature, the severest first."""
        if not policies:
            return ()
        found = [one for one in entitlements.restraints if one.policy.about(feature)]
        asking = [one for one in policies.asking if one.about(feature)]
        if asking:
            facts = {**self.named(None), **entitlements.holding}
            found += [one for policy in asking if (one := weigh(policy, facts)) is not None]
            found.sort(key=lambda one: policies.order[one.policy.id])
        return tuple(found)

    def named(self, standing: str | None) -> Mapping[str, object]:
        """The facts by the names that conditions use."""
        if self._all is None:
            self._all = build_facts(self.terms.customer, self.terms.profile, self.ask.user, self.context, self.region)
        return {**self._all, "standing": standing}


def build_facts(
    customer: str, profile: Profile, user: UserFacts | str | None, context: Context, region: str | None
) -> dict[str, object]:
    """Return customer, context and user as nested mappings; what is not known is left out or None."""
    facts: dict[str, object] = {
        "context": {
            "deployment": context.deployment,
            "region": region,
            "country": context.country,
            "version": context.version,
            "attributes": context.attributes,
        },
        "customer": customer_facts(customer, profile),
    }
    if isinstance(user, UserFacts):
        facts["user"] = {"id": user.id, "roles": user.roles, "attributes": user.attributes}
    elif user is not None:
        facts["user"] = {"id": user}
    return facts
