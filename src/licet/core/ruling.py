"""The fast reading of one entitlement: a closure that customers with the same rights share, equal to ``judge``."""

from collections.abc import Callable
from typing import Final

from licet.core.case import NOTHING, AnyCase, Ask, build_facts, judge, limit_reason, permitting_reasons
from licet.core.compiled import CompiledFeature, Gate
from licet.core.decision import Decision
from licet.core.derive import Entitlements
from licet.core.entitlement import Entitlement, Source, merged_amount, merged_at_limit
from licet.core.policies import CompiledPolicy
from licet.core.policy import Facts
from licet.core.quantity import parse_quantity
from licet.core.question import Context, UserFacts
from licet.core.reason import Reason

User = UserFacts | str | None
Wanted = int | str
Ruling = Callable[[AnyCase, Wanted, Wanted | None, User, Context | None], Decision]
"""From case, quantity, used, user and context to a decision; raises ValueError for a quantity that is none."""

_MAX_INT: Final = 2**63 - 1
_Outcome = tuple[int, bool, Reason, bool, Reason]
"""Amount; allowed and reason up to it; allowed and reason beyond it. What is not counted never goes beyond."""
_Test = tuple[int, frozenset[str] | None, frozenset[str] | None, tuple[Callable[[Facts], bool], ...], str | None]
"""Bit of the source, deployments, regions, conditions, standing."""


def make_ruling(case: AnyCase) -> tuple[Ruling, Decision | None]:
    """Return the ruling for every case with the same entitlement, and the one decision where nothing asked matters.

    A refusal is never that one decision: it keeps what was asked, since its remedy depends on it.
    """
    feature = case.catalog.features.get(case.feature)
    entitlements = case.entitlements
    if feature is None or entitlements is None:
        return _asking(feature), _fixed(case)
    if is_restrained(case.feature, entitlements):
        return _asking(feature), None
    ruling, fixed = _by_rights(case, feature, entitlements)
    asking = [one for one in case.catalog.policies.asking if one.about(feature.id)]
    if not asking or feature.mode == "off":
        return ruling, fixed
    refusing = [one for one in asking if one.denies]
    # Also where policies only warn, a decision keeps what was asked: its warnings depend on it.
    return (_guarded(feature, ruling, refusing) if refusing else ruling), None


def is_restrained(feature: str, entitlements: Entitlements) -> bool:
    """Return whether a policy refuses a feature whatever is asked."""
    return any(one.policy.denies and one.policy.about(feature) for one in entitlements.restraints)


def reads_profile(case: AnyCase) -> bool:
    """Return whether conditions about a case may read the customer's profile."""
    entitlements = case.entitlements
    feature = case.catalog.features.get(case.feature)
    if feature is None or entitlements is None:
        return False
    given = entitlements.rights.get(feature.id)
    policies = case.catalog.policies.asking
    return (given is not None and asks(feature, given)) or any(one.about(feature.id) for one in policies)


def _by_rights(case: AnyCase, feature: CompiledFeature, entitlements: Entitlements) -> tuple[Ruling, Decision | None]:
    """The ruling as if there were no policies."""
    given = entitlements.rights.get(case.feature)
    if given is None:
        verdict = judge(case, Ask(), policies=False)
        return _constant(feature, verdict.allowed, verdict.reasons[0]), _fixed(case)
    if asks(feature, given):
        simple = not (given.denials or entitlements.suspended or feature.mode == "off" or case.expired)
        return (_gated(feature, given) if simple else _asking(feature)), None
    verdict = judge(case, Ask(), policies=False)
    if verdict.amount is None:
        return _constant(feature, verdict.allowed, verdict.reasons[0]), _fixed(case)
    beyond = judge(case, Ask(quantity=_MAX_INT, used=_MAX_INT), policies=False)
    within = judge(case, Ask(quantity=0), policies=False)
    outcome = (verdict.amount, within.allowed, within.reasons[0], beyond.allowed, beyond.reasons[0])
    return _counting(feature, outcome), None


def minor_units(quantity: Wanted, scale: int) -> int:
    """Return a quantity in minor units; raises ValueError for what is none."""
    if quantity.__class__ is int and not scale and 0 <= quantity <= _MAX_INT:
        return quantity
    return parse_quantity(quantity, scale)


def asks(feature: CompiledFeature, given: Entitlement) -> bool:
    """Return whether any part of the answer depends on user or context."""
    return (
        feature.gate.asks or any(one.gate.asks for one in given.sources) or any(one.gate.asks for one in given.denials)
    )


def _fixed(case: AnyCase) -> Decision | None:
    """The one decision of a case, unless it refuses."""
    verdict = judge(case, Ask(), policies=False)
    if verdict.allowed and verdict.would_deny is None:
        return Decision(verdict.allowed, verdict.reasons[0], case)
    return None


def _asking(feature: CompiledFeature | None) -> Ruling:
    """Judges each question anew."""
    scale = 0 if feature is None else feature.scale

    def rule(case: AnyCase, quantity: Wanted, used: Wanted | None, user: User, context: Context | None) -> Decision:
        ask = Ask(user, context, minor_units(quantity, scale), None if used is None else minor_units(used, scale))
        verdict = judge(case, ask)
        return Decision(verdict.allowed, verdict.reasons[0], case, ask.quantity, ask.used, user, context)

    return rule


def _guarded(feature: CompiledFeature, ruling: Ruling, policies: list[CompiledPolicy]) -> Ruling:
    """Rules by rights once every policy is false for certain; else judges, since one refuses."""
    clears = tuple(policy.condition.fails for policy in policies)
    judging = _asking(feature)

    def rule(case: AnyCase, quantity: Wanted, used: Wanted | None, user: User, context: Context | None) -> Decision:
        profile = case.profile
        if profile is not None:
            where = context or NOTHING
            facts = build_facts(case.customer, profile, user, where, where.region or profile.region)
            facts.update(case.holding)
            if all(clear(facts) for clear in clears):
                return ruling(case, quantity, used, user, context)
        return judging(case, quantity, used, user, context)

    return rule


def _constant(feature: CompiledFeature, allowed: bool, reason: Reason) -> Ruling:
    """Answers alike whatever is asked; remembers what was."""
    counted, scale = feature.counted, feature.scale

    def rule(case: AnyCase, quantity: Wanted, used: Wanted | None, user: User, context: Context | None) -> Decision:
        if not counted:
            return Decision(allowed, reason, case, 1, None, user, context)
        had = None if used is None else minor_units(used, scale)
        return Decision(allowed, reason, case, minor_units(quantity, scale), had, user, context)

    return rule


def _counting(feature: CompiledFeature, outcome: _Outcome) -> Ruling:
    """Compares a count with a known amount: all that is left where neither user nor context matters."""
    scale = feature.scale
    amount, within, within_reason, beyond, beyond_reason = outcome

    def rule(case: AnyCase, quantity: Wanted, used: Wanted | None, user: User, context: Context | None) -> Decision:
        if scale or quantity.__class__ is not int or not 0 <= quantity <= _MAX_INT:
            quantity = parse_quantity(quantity, scale)
        counted = 0 if used is None else minor_units(used, scale)
        had = None if used is None else counted
        if counted + quantity <= amount:
            return Decision(within, within_reason, case, quantity, had, user, context)
        return Decision(beyond, beyond_reason, case, quantity, had, user, context)

    return rule


def _gated(feature: CompiledFeature, given: Entitlement) -> Ruling:
    """Asks the gates of the sources that nothing blocks; which of them open decides, and is worked out once."""
    open_sources = [source for source in given.sources if not source.blocked]
    tests = [_test(feature.gate, source, 1 << place) for place, source in enumerate(open_sources)]
    outcomes: dict[int, _Outcome] = {}
    judging, counted, scale = _asking(feature), feature.counted, feature.scale

    def rule(case: AnyCase, quantity: Wanted, used: Wanted | None, user: User, context: Context | None) -> Decision:
        mask = _opened(tests, case, user, context or NOTHING)
        if not mask:
            return judging(case, quantity, used, user, context)
        outcome = outcomes.get(mask)
        if outcome is None:
            chosen = [source for place, source in enumerate(open_sources) if mask >> place & 1]
            outcome = outcomes[mask] = _outcome(feature, chosen)
        if not counted:
            return Decision(outcome[1], outcome[2], case, 1, None, user, context)
        wanted, had = minor_units(quantity, scale), 0 if used is None else minor_units(used, scale)
        known = None if used is None else had
        if wanted + had <= outcome[0]:
            return Decision(outcome[1], outcome[2], case, wanted, known, user, context)
        return Decision(outcome[3], outcome[4], case, wanted, known, user, context)

    return rule


def _opened(tests: list[_Test], case: AnyCase, user: User, context: Context) -> int:
    """The bits of the sources whose gates open."""
    profile = case.profile
    if profile is None:
        return 0
    deployment, region = context.deployment, context.region or profile.region
    facts: dict[str, object] | None = None
    mask = 0
    for bit, deployments, regions, conditions, standing in tests:
        if deployments is not None and deployment not in deployments:
            continue
        if regions is not None and region not in regions:
            continue
        if conditions:
            if facts is None:
                facts = build_facts(case.customer, profile, user, context, region)
            facts["standing"] = standing
            if not all(holds(facts) for holds in conditions):
                continue
        mask |= bit
    return mask


def _test(own: Gate, source: Source, bit: int) -> _Test:
    """The feature's and a source's gate as one."""
    gates = (own, source.gate)
    conditions = tuple(gate.condition.holds for gate in gates if gate.condition is not None)
    return (
        bit,
        _both(own.deployments, source.gate.deployments),
        _both(own.regions, source.gate.regions),
        conditions,
        source.standing,
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """What both allow; None allows everything."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _outcome(feature: CompiledFeature, permitting: list[Source]) -> _Outcome:
    """What some permitting sources give together."""
    at_limit = merged_at_limit(permitting)
    within = permitting_reasons(feature, permitting, at_limit, exceeded=False)[0]
    if not feature.counted:
        return 0, True, within, True, within
    amount = merged_amount(feature, permitting)
    if at_limit != "block":
        return amount, True, within, True, permitting_reasons(feature, permitting, at_limit, exceeded=True)[0]
    if feature.mode == "observe":
        return amount, True, within, True, Reason.OBSERVED
    return amount, True, within, False, limit_reason(feature)
