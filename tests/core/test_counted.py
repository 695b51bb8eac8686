"""A question that carries what its balance holds is decided by that, and its remedies know what stays."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.case import Ask, Case, given_amount, judge
from licet.core.catalog import Catalog
from licet.core.change import World, world_entitlements
from licet.core.compiled import UNBOUNDED, compile_catalog
from licet.core.decision import Decision, decide
from licet.core.derive import derive
from licet.core.reason import Reason
from licet.core.remedy import Remedy, apply_remedy
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from tests.core import worlds
from tests.core.usage.till import COMPILED, NOW, terms
from tests.dose import dose

BOUGHT = terms("team")
COUNTED = ("projects", "spaces", "quota", "calls", "jobs", "ai", "editor", "sso", "watch")


def case_of(feature: str, bought: Terms = BOUGHT) -> Case:
    """The case of acme and a feature."""
    entitlements = derive(COMPILED, bought, NOW)
    span = entitlements.span(feature)
    return Case(COMPILED, "acme", feature, span.start, span.end, bought, entitlements)


def counted(feature: str, quantity: int, used: int, granted: int, **more: Any) -> Decision:
    """A decision about a balance."""
    return decide(case_of(feature), Ask(None, None, quantity, used, granted, **more))


def test_what_it_holds_counts() -> None:
    """A top-up permits what the sources alone would not, and an emptied balance refuses what they would."""
    assert counted("calls", 1, 500, 501).allowed
    assert not counted("calls", 1, 500, 500).allowed
    assert not counted("calls", 1, 0, 0).allowed
    assert counted("calls", 2**62, 0, UNBOUNDED).allowed
    assert counted("calls", 1, 500, 501).reasons == (Reason.WITHIN_LIMIT,)


def test_rights_come_from_sources_alone() -> None:
    """What was put on a balance gives no right to the feature."""
    decision = counted("extra", 1, 0, 1000)
    assert (decision.allowed, decision.reason, decision.limit) == (False, Reason.NOT_ENTITLED, None)


def test_a_limit_shows_what_is_owed() -> None:
    """The limit of a balance says what it holds in all, and below nothing what was used beyond that."""
    limit = counted("soft", 1, 130, 100).limit
    assert limit is not None
    assert (limit.amount, limit.used, limit.remaining) == (100, 130, -30)
    without = decide(case_of("soft"), Ask(None, None, 1, 530)).limit
    assert without is not None
    assert (without.amount, without.remaining) == (500, 0)
    pool = counted("ai", 1, 12_345, 10_000).limit
    assert pool is not None
    assert (pool.amount, pool.used, pool.remaining) == ("100", "123.45", "-23.45")


@pytest.mark.parametrize(
    ("quantity", "limits", "reasons"),
    [
        (100, {}, (Reason.WITHIN_LIMIT,)),
        (101, {}, (Reason.OVERAGE,)),
        (150, {"overage_limit": 50}, (Reason.OVERAGE,)),
        (151, {"overage_limit": 50}, (Reason.LIMIT_REACHED,)),
        (121, {"overage_limit": 50, "spend_limit": 20}, (Reason.SPEND_LIMIT_REACHED,)),
        (151, {"overage_limit": 50, "spend_limit": 20}, (Reason.LIMIT_REACHED, Reason.SPEND_LIMIT_REACHED)),
    ],
)
def test_what_lies_beyond(quantity: int, limits: dict[str, int], reasons: tuple[Reason, ...]) -> None:
    """Overage is permitted up to its own limit and to the customer's, each with its own reason."""
    assert counted("paid", quantity, 0, 100, **limits).reasons == reasons


def test_lowering_reaches_into_overage() -> None:
    """What is suggested instead is as much as overage permits."""
    remedy = counted("paid", 200, 0, 100, overage_limit=50, spend_limit=20).remedy(NOW)
    assert remedy is not None
    assert (remedy.kind, remedy.steps[0].get("quantity")) == ("lower_quantity", 120)


FLEX = """
{"version": 1, "products": {"p": {}}, "meters": {"sms": {"event": "sms", "aggregate": "sum"}},
 "features": {"sms": {"type": "metered", "meter": "sms", "per": "month", "at_limit": "block"}},
 "plans": {
  "team": {"product": "p", "versions": {"2026-01": {"includes": {"sms": 10}}}},
  "flex": {"product": "p", "versions": {"2026-01": {
   "includes": {"sms": {"amount": 20, "at_limit": "overage", "overage_limit": 4}}}}}}}
"""


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        # All of 10 used, as the caller or the balance says: the other plan has room for 10 more, and 4 beyond that.
        (Ask(None, None, 14, 10), "change_plan"),
        (Ask(None, None, 15, 10), "raise_quantity"),
        (Ask(None, None, 14, 10, 10, 0), "change_plan"),
        (Ask(None, None, 15, 10, 10, 0), "raise_quantity"),
        (Ask(None, None, 14, 10, 10, 0, 3), "raise_quantity"),
        # What was put on it stays beside the other plan.
        (Ask(None, None, 15, 11, 11, 0), "raise_quantity"),
        (Ask(None, None, 14, 11, 11, 0), "change_plan"),
    ],
)
def test_a_remedy_heeds_what_its_overage_permits(ask: Ask, kind: str) -> None:
    """A plan with overage is suggested where its own bound, and the customer's, permits so much, and only there."""
    document = msgspec.json.decode(FLEX, type=Catalog)
    catalog = compile_catalog(document, 1, ZoneInfo, ZoneInfo("UTC"))
    entitlements = derive(catalog, BOUGHT, NOW)
    span = entitlements.span("sms")
    decision = decide(Case(catalog, "acme", "sms", span.start, span.end, BOUGHT, entitlements), ask)
    assert decision.reason is Reason.LIMIT_REACHED
    remedy = decision.remedy(NOW)
    assert remedy is not None
    assert [one.kind for one in remedy.steps] == [kind]


@pytest.mark.parametrize(("quantity", "bought"), [(50, 1), (100, 1), (101, 2)])
def test_a_remedy_keeps_what_was_put_there(quantity: int, bought: int) -> None:
    """With 200 put on top of the plan's 500, all used, as many add-ons are suggested as the rest takes."""
    remedy = counted("calls", quantity, 700, 700).remedy(NOW)
    assert remedy is not None
    assert remedy.kind == "add_addon"
    assert remedy.steps[0].get("quantity") == bought


@settings(max_examples=dose(60), deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(1, 3000), st.sampled_from(["calls", "paid", "drafts"]))
def test_remedies_of_balances_hold(granted: int, used: int, quantity: int, feature: str) -> None:
    """After a remedy the balance, changed by what its sources give more, permits the question of the remedy."""
    ask = Ask(None, None, quantity, used, granted, 50, 20)
    decision = decide(case_of(feature), ask)
    remedy = decision.remedy(NOW)
    if remedy is not None:
        _holds(feature, ask, remedy)


def _holds(feature: str, ask: Ask, remedy: Remedy) -> None:
    world = World(COMPILED, BOUGHT, feature, ask, NOW)
    after = apply_remedy(world, remedy)
    before, now = (world_entitlements(one).rights[feature] for one in (world, after))
    made = COMPILED.features[feature]
    more = given_amount(COMPILED, made, now) - given_amount(COMPILED, made, before)
    granted = (ask.granted or 0) + more
    asked = Ask(None, after.ask.context, after.ask.quantity, ask.used, granted, ask.overage_limit, ask.spend_limit)
    assert decide(case_of(feature, after.terms), asked).allowed, remedy


@settings(max_examples=dose(100), deadline=None)
@given(st.data())
def test_judged_as_ruled(data: st.DataObject) -> None:
    """Where nothing was counted, and where the count is what the permitting sources give, it is the ruling's answer."""
    document = data.draw(worlds.documents())
    bought = worlds.terms_of(document)
    feature = data.draw(st.sampled_from(COUNTED))
    now = NOW - 120 * 86_400_000_000
    user, context = data.draw(worlds.users()), data.draw(worlds.contexts())
    used = data.draw(st.sampled_from([None, 0, 5, 110, 10**6]))
    truth = Truth(worlds.COMPILED, [bought])
    ruled = truth.check(bought.customer, feature, now, user=user, context=context, quantity=2, used=used)
    ask = Ask(user, context, ruled.quantity, ruled.used)
    if worlds.COMPILED.features[feature].counted:
        assert decide(ruled.case, ask) == ruled
    amount = judge(ruled.case, ask).amount
    if amount is not None:
        told = decide(ruled.case, Ask(user, context, ruled.quantity, ruled.used, amount))
        assert (told.allowed, told.reasons, told.would_deny) == (ruled.allowed, ruled.reasons, ruled.would_deny)
