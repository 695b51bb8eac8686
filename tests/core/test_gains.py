"""Gains and losses: held against the answers of checks, and turned round."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.decision import Decision
from licet.core.gains import RightChange, compare_rights, right_of
from licet.core.question import Context, UserFacts
from licet.core.reason import Reason
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from tests.core.worlds import CATALOG, COMPILED, FEATURE_IDS, at, catalog_of, day, terms, terms_of

ENFORCED = catalog_of(
    {
        **CATALOG,
        "features": {
            name: {key: value for key, value in feature.items() if key != "mode"}
            for name, feature in CATALOG["features"].items()
        },
    }
)
"""The vendor's catalog with every feature enforced, so that a check says by its answer what is held."""
TURNED = {"gain": "loss", "loss": "gain", "more": "less", "less": "more", "changed": "changed"}
MOMENTS = st.integers(0, 160).map(lambda quarter: at(quarter / 4))
PLAN = {"kind": "plan", "id": "team", "version": "2026-01"}
ANYBODY = [
    (user, Context(deployment=deployment, attributes={"beta": True}))
    for user in (None, UserFacts(id="bob", roles=("tester",)))
    for deployment in ("saas", "desktop", "on_prem")
]


def customer(*items: dict[str, Any], **more: Any) -> Terms:
    """A customer with one subscription."""
    held = {"id": "sub_1", "phases": [{"starts_at": day(1), "items": [*items]}], **more}
    return terms_of({"customer": "acme", "profile": {"region": "eu"}, "subscriptions": [held]})


def changes(before: Terms, after: Terms, number: float = 2) -> dict[str, RightChange]:
    """What becomes different under one catalog, by feature."""
    return {one.feature: one for one in compare_rights(COMPILED, before, COMPILED, after, at(number))}


@settings(max_examples=40)
@given(terms(), MOMENTS)
def test_the_same_is_no_change(some: Terms, now: int) -> None:
    """Terms compared with themselves give nothing."""
    assert compare_rights(COMPILED, some, COMPILED, some, now) == ()


@settings(max_examples=60)
@given(terms(), terms(), MOMENTS)
def test_turned_round_each_gain_is_a_loss(one: Terms, other: Terms, now: int) -> None:
    """The sides exchanged: the same features in the same order, each kind turned, each word on the other side."""
    there = compare_rights(COMPILED, one, COMPILED, other, now)
    back = compare_rights(COMPILED, other, COMPILED, one, now)
    assert [(x.feature, TURNED[x.kind], x.becomes, x.was, x.reason) for x in there] == [
        (x.feature, x.kind, x.was, x.becomes, x.reason) for x in back
    ]


def answer(truth: Truth, feature: str, now: int) -> Decision:
    """What a check says to nobody in particular."""
    return truth.check("acme", feature, now, quantity=0)


@settings(max_examples=80)
@given(terms(), terms(), MOMENTS)
def test_it_says_what_checks_say(one: Terms, other: Terms, now: int) -> None:
    """Where nothing asked matters, kinds and reasons follow from two checks; elsewhere what anybody may do is held."""
    sides = [Truth(ENFORCED, [side]) for side in (one, other)]
    told = {change.feature: change for change in compare_rights(ENFORCED, one, ENFORCED, other, now)}
    for feature in FEATURE_IDS:
        snapshots = [truth.snapshot("acme") for truth in sides]
        rights = [
            right_of(ENFORCED, side, snapshot.entitlements(now), feature)
            for side, snapshot in zip((one, other), snapshots, strict=True)
            if snapshot is not None
        ]
        for truth, right in zip(sides, rights, strict=True):
            if any(truth.check("acme", feature, now, user=user, context=said, quantity=0) for user, said in ANYBODY):
                assert right.reason is None, feature
        if any(right.depends for right in rights):
            continue
        was, becomes = (answer(truth, feature, now) for truth in sides)
        if any(Reason.DENIED_BY_OVERRIDE in side.reasons and side.missing for side in (was, becomes)):
            continue
        assert [right.reason is None for right in rights] == [was.allowed, becomes.allowed], feature
        expected = kind_of(was, becomes)
        assert (told[feature].kind if feature in told else None) == expected, feature
        if expected in ("gain", "loss"):
            assert told[feature].reason == (was if becomes.allowed else becomes).reason


def kind_of(was: Decision, becomes: Decision) -> str | None:
    """The kind of change that two answers show."""
    if was.allowed != becomes.allowed:
        return "gain" if becomes.allowed else "loss"
    if not was.allowed:
        return None
    before, after = was.judgement, becomes.judgement
    if before.amount is not None and after.amount is not None and before.amount != after.amount:
        return "more" if after.amount > before.amount else "less"
    same = (before.value, before.amount, before.at_limit) == (after.value, after.amount, after.at_limit)
    return None if same else "changed"


def test_a_larger_plan_is_told_in_words() -> None:
    """Amounts with their units and what happens beyond them, values, and why something was not there."""
    told = changes(customer(PLAN), customer({**PLAN, "id": "business"}))
    assert (told["projects"].was, told["projects"].becomes, told["projects"].kind) == (
        "20 projects",
        "unlimited projects",
        "more",
    )
    assert (told["tier"].was, told["tier"].becomes, told["tier"].kind) == ("fast", "max", "changed")
    assert told["beta"].becomes.startswith("on, depending on ")
    assert (told["loose"].kind, told["loose"].was, told["loose"].reason) == ("gain", "not included", "not_entitled")
    assert told["spaces"].becomes == "10, more with a warning"


@pytest.mark.parametrize(
    ("more", "word"), [({"pauses": [{"starts_at": day(1)}]}, "paused"), ({"ends_at": day(2)}, "ended")]
)
def test_what_falls_away_says_why(more: dict[str, Any], word: str) -> None:
    """A pause and an end take every right that was there, each with its reason."""
    told = changes(customer(PLAN), customer(PLAN, **more))
    assert {(one.kind, one.becomes, one.reason) for one in told.values()} == {("loss", word, Reason(word))}
    assert "sso" in told


def test_two_catalogs_are_compared_too() -> None:
    """A feature that a later catalog drops is lost, one that it adds to the plan is gained; dropped ones come last."""
    features = {**CATALOG["features"], "fresh": {"type": "switch", "title": "Fresh"}}
    del features["lonely"]
    team = CATALOG["plans"]["team"]["versions"]["2026-01"]
    includes = {**team["includes"], "fresh": True, "projects": 25}
    plans = {**CATALOG["plans"], "team": {"product": "m", "versions": {"2026-01": {**team, "includes": includes}}}}
    later = catalog_of({**CATALOG, "features": features, "plans": plans})
    gift = {"id": "ovr_1", "feature": "lonely", "starts_at": day(0)}
    held = terms_of({**_plain(customer(PLAN)), "overrides": [gift]})
    told = compare_rights(COMPILED, held, later, held, at(2))
    assert [(one.feature, one.kind) for one in told] == [("projects", "more"), ("fresh", "gain"), ("lonely", "loss")]
    assert (told[-1].becomes, told[-1].reason) == ("not there", "unknown_feature")


def _plain(some: Terms) -> dict[str, Any]:
    return {"customer": some.customer, "subscriptions": some.subscriptions}
