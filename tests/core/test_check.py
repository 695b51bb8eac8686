"""The prepared, lazy check against the slow, plain one, and what must not change an answer."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.decision import Decision
from licet.core.instant import to_instant
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from tests.core.eager import Answer, check_eager
from tests.core.worlds import CATALOG, COMPILED, FEATURE_IDS, FEATURES, POLICIES, catalog_of, moments, questions, terms
from tests.dose import dose

RULES = ("deny", "allow", "last_known")
CHEQUERED = [
    catalog_of(
        {
            **CATALOG,
            "policies": {name: POLICIES[name] for name in policies},
            "features": {
                name: {**feature, "when_unreachable": RULES[(place + shift) % 3]}
                for place, (name, feature) in enumerate(FEATURES.items())
            },
        }
    )
    for shift, policies in enumerate(([], ["blind", "saas"], ["no_testers", "night"]))
]
"""The catalog thrice, with another rule for what ran out for each feature."""
TRUTH = Truth(COMPILED)
"""One truth for all examples, so that rulings made for one customer serve the next with equal rights."""


def told(decision: Decision) -> Answer:
    """The comparable part of a decision, read through its lazy properties."""
    judgement = decision.judgement
    entitlements = decision.case.entitlements
    sources = []
    for hearing in judgement.hearings:
        source = hearing.source
        name = f"{source.id}@{source.version}"
        if source.kind == "override" and entitlements is not None:
            name = entitlements.overrides[source.place].id
        sources.append((source.kind, name, not hearing.reasons, hearing.reasons, source.amount, source.value))
    known = decision.case.feature in COMPILED.features
    return Answer(
        decision.allowed,
        decision.reasons,
        decision.would_deny,
        decision.value,
        judgement.amount,
        judgement.at_limit if known else None,
        decision.missing,
        tuple(sources),
        tuple((one.policy, one.text) for one in decision.warnings),
    )


@settings(max_examples=dose(300, full=12000), deadline=None)
@given(terms(), moments(), st.sampled_from([-1, 0, 1]), questions())
def test_lazy_equals_eager(customer: Terms, when: Any, shift: int, question: dict[str, Any]) -> None:
    """Every feature's prepared decision says exactly what the slow reading of the documents says, around boundaries."""
    now = to_instant(when) + shift
    TRUTH.put(customer)
    for feature in FEATURE_IDS:
        decision = TRUTH.check("acme", feature, now, **question)
        assert told(decision) == check_eager(COMPILED, customer, feature, now, **question)
        assert decision.reason == decision.reasons[0]
        assert bool(decision) is decision.allowed


@settings(max_examples=dose(25), deadline=None)
@given(terms(), moments(), moments(), questions(), st.integers(0, 2))
def test_what_ran_out_is_answered_by_each_features_rule(
    customer: Terms, when: Any, end: Any, question: dict[str, Any], number: int
) -> None:
    """Before, at and after the end of a truth the prepared decision says what the slow reading says."""
    catalog, usable = CHEQUERED[number], to_instant(end)
    truth = Truth(catalog, [customer], usable_until=usable)
    for now in (usable - 1, usable, to_instant(when)):
        for feature in FEATURE_IDS:
            decision = truth.check("acme", feature, now, **question)
            expected = check_eager(catalog, customer, feature, now, usable_until=usable, **question)
            assert told(decision) == expected
            assert (decision.reason, bool(decision)) == (expected.reasons[0], expected.allowed)
    nobody = truth.check("nobody", "sso", usable, **question)
    expected = check_eager(catalog, None, "sso", usable, usable_until=usable, **question)
    assert (nobody.allowed, nobody.reasons) == (expected.allowed, expected.reasons)
