"""Remedies: each one permits when it is applied, and none among all single changes or pairs is cheaper."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from licet.core.case import Ask
from licet.core.change import COSTS, World
from licet.core.decision import Decision
from licet.core.instant import to_instant
from licet.core.quantity import parse_quantity
from licet.core.reason import Reason
from licet.core.remedy import Remedy, apply_remedy
from licet.core.snapshot import Truth
from tests.core import brute
from tests.core.worlds import COMPILED, contexts, day, documents, terms_of, users
from tests.dose import DOSE, dose

NOW = 20
CASES: dict[Reason, list[str]] = {
    Reason.CUSTOMER_SUSPENDED: ["sso", "projects", "tier"],
    Reason.SUSPENDED: ["sso", "projects", "calls"],
    Reason.ENDED: ["sso", "jobs", "tier"],
    Reason.TRIAL_EXPIRED: ["sso", "editor", "ai"],
    Reason.PAUSED: ["sso", "projects", "quota"],
    Reason.NOT_STARTED: ["sso", "projects"],
    Reason.NOT_ENTITLED: ["beta", "loose", "lonely", "sso", "sync"],
    Reason.DENIED_BY_OVERRIDE: ["sso", "projects", "audit"],
    Reason.DEPLOYMENT_NOT_ALLOWED: ["export"],
    Reason.REGION_NOT_ALLOWED: ["audit", "sso"],
    Reason.POLICY_DENIED: ["beta", "watch"],
    Reason.RESTRICTED: ["sso", "ai"],
    Reason.OUTSIDE_WINDOW: ["nightly", "promo"],
    Reason.SEAT_LIMIT_REACHED: ["editor"],
    Reason.LIMIT_REACHED: ["projects", "calls", "jobs", "quota"],
    Reason.CREDIT_EXHAUSTED: ["ai"],
}
"""The reasons that have a remedy now, and features to meet them with."""


def _plan(reason: Reason) -> list[dict[str, Any]]:
    """The items with which a reason can be met."""
    name = "business" if reason in (Reason.POLICY_DENIED, Reason.REGION_NOT_ALLOWED) else "team"
    if reason is Reason.NOT_ENTITLED:
        return [{"kind": "plan", "id": "free", "version": "2026-01"}]
    return [{"kind": "plan", "id": name, "version": "2026-01"}]


def _subscription(draw: st.DrawFn, reason: Reason) -> dict[str, Any]:
    """A subscription that meets a reason at NOW."""
    before = draw(st.sampled_from([0.25, 1, 2.5]))
    made: dict[str, Any] = {"id": "sub_main", "phases": [{"starts_at": day(1), "items": _plan(reason)}]}
    if reason is Reason.SUSPENDED:
        made["payments"] = [{"kind": "failed", "at": day(NOW - 9 - before), "invoice": "in_1"}]
    if reason is Reason.RESTRICTED:
        made["payments"] = [{"kind": "failed", "at": day(NOW - 3 - before), "invoice": "in_1"}]
    if reason is Reason.ENDED:
        made["ends_at"] = day(NOW - before)
    if reason is Reason.PAUSED:
        made["pauses"] = [{"starts_at": day(NOW - before)}]
    if reason is Reason.NOT_STARTED:
        made["phases"][0]["starts_at"] = day(NOW + before * 6)
    if reason is Reason.TRIAL_EXPIRED:
        made |= {"trial_end": day(NOW - before), "trial_end_behavior": draw(st.sampled_from(["end", "fall"]))}
    return made


@st.composite
def refused(draw: st.DrawFn, reason: Reason) -> tuple[World, Decision]:
    """A world whose question is refused, among others, for one reason."""
    document: dict[str, Any] = {"customer": "acme", "profile": {}}
    if draw(st.integers(0, 3)) == 0:
        document = draw(documents())
    feature = draw(st.sampled_from(CASES[reason]))
    document["subscriptions"] = [_subscription(draw, reason), *document.get("subscriptions", [])[:1]]
    if reason is Reason.CUSTOMER_SUSPENDED:
        document["suspensions"] = [{"starts_at": day(NOW - draw(st.integers(1, 5)))}]
    if reason is Reason.DENIED_BY_OVERRIDE:
        denial: dict[str, Any] = {"id": "ovr_deny", "feature": feature, "effect": "deny", "starts_at": day(2)}
        denial |= draw(
            st.sampled_from([{}, {"deployments": ["saas"]}, {"regions": ["eu"]}, {"when": 'context.region == "eu"'}])
        )
        document["overrides"] = [denial]
    terms = terms_of(document)
    # The window of promo opens on day 5 and, once closed, never again: no remedy would be left to test on day 20.
    start = 2 if reason is Reason.OUTSIDE_WINDOW and feature == "promo" else NOW
    now = to_instant(day(start) + timedelta(hours=draw(st.integers(0, 48))))
    scale = COMPILED.features[feature].scale
    quantity = draw(st.sampled_from([1, 2, 30, 2000]))
    used = draw(st.sampled_from([None, 0, 4, 25, 110]))
    context, user = draw(contexts()), draw(users())
    decision = Truth(COMPILED, [terms]).check(
        "acme", feature, now, user=user, context=context, quantity=quantity, used=used
    )
    assume(reason in (decision.would_deny or decision.reasons))
    ask = Ask(user, context, parse_quantity(quantity, scale), None if used is None else parse_quantity(used, scale))
    return World(COMPILED, terms, feature, ask, now), decision


@pytest.mark.slow
@pytest.mark.parametrize("reason", list(CASES), ids=str)
def test_remedy_permits_and_none_is_cheaper(reason: Reason) -> None:
    """Random refusals for each remediable reason: the remedy permits, and brute force finds none cheaper."""
    met: list[int] = []
    # Each is measured against some six hundred changes, read slowly: the whole number is for the full dose.
    examples = dose(15, full=2500)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=DOSE != "full",
        suppress_health_check=list(HealthCheck),
    )
    @given(refused(reason))
    def hold(case: tuple[World, Decision]) -> None:
        world, decision = case
        remedy = decision.remedy(world.now)
        if remedy is not None:
            met.append(remedy.cost)
            _proves(world, remedy)
        _none_cheaper(world, remedy, tiny=reason is Reason.NOT_ENTITLED and len(world.terms.subscriptions) == 1)

    hold()
    assert len(met) >= examples * 4 // 5


@pytest.mark.parametrize("used", [0, 5])
def test_a_step_is_told_where_the_steps_before_it_have_led(used: int) -> None:
    """A step that changes what an earlier one has put in place is told, and the whole still permits."""
    begins = datetime(2026, 3, 27, tzinfo=UTC)
    item = {"kind": "plan", "id": "free", "version": "2026-01"}
    paused = {
        "id": "sub_0",
        "phases": [{"starts_at": begins, "items": [item]}],
        "pauses": [{"starts_at": begins}],
        "trial_start": begins,
        "trial_end": begins,
    }
    terms, now = terms_of({"customer": "acme", "subscriptions": [paused]}), to_instant(begins)
    remedy = Truth(COMPILED, [terms]).check("acme", "editor", now, used=used).remedy(now)
    assert remedy is not None
    assert [step.kind for step in remedy.steps] == (["add_addon"] if used else []) + ["change_plan", "resume"]
    assert len(remedy.step_words) == len(remedy.support) == len(remedy.steps)
    _proves(World(COMPILED, terms, "editor", Ask(used=used), now), remedy)


def _proves(world: World, remedy: Remedy) -> None:
    """The remedy permits, breaks no rule between sold items, and costs what its steps cost."""
    after = apply_remedy(world, remedy)
    assert brute.permits(after), remedy
    if remedy.kind != "wait":
        assert brute.sound(world, after), remedy
    assert remedy.cost == sum(COSTS[step.kind] + step.surcharge for step in remedy.steps)


def _none_cheaper(world: World, remedy: Remedy | None, *, tiny: bool) -> None:
    """No single change, no wait, no two orders, and no pair of a sample of the rest, permits for less."""
    bound = 2**31 if remedy is None else remedy.cost
    priced = [(cost, changed) for cost, changed in brute.singles(world) if cost < bound]
    later = brute.waits(world) if bound > COSTS["wait"] else ()
    for cost, changed in [*priced, *brute.combined(world, bound, tiny=tiny)]:
        assert not (brute.permits(changed) and brute.sound(world, changed)), (cost, remedy)
    for cost, changed in later:
        assert changed.now <= world.now or not brute.permits(changed), (cost, remedy)
    if remedy is None or len(world.terms.subscriptions) > 1:
        return
    for first, changed in priced[:: max(1, len(priced) // 12)]:
        for second, twice in brute.singles(changed):
            if first + second < bound:
                assert not (brute.permits(twice) and brute.sound(world, twice)), (first, second, remedy)
