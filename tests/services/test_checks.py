"""Checks, entitlements and explanations from a real database."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from licet.core.explain import render_tree
from licet.core.question import Context, Question
from licet.services.checks import MAX_BATCH, check, check_batch, entitlements
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import Invalid, NoCatalog, NoCatalogThen, NotFound
from licet.services.explanations import explain
from licet.services.past import known_at
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.truth import Catalogs, Snapshots
from licet.services.users import PutUser, put_user
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk, story

SSO = Question(customer="acme", feature="sso")


async def answer(desk: Desk, question: Question) -> str:
    """The reason of a decision."""
    async with desk.read() as view:
        return (await check(view, question, desk.snapshots)).reason


async def wait_until(desk: Desk, moment: datetime) -> None:
    """Move the business clock."""
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=moment))


async def test_a_signed_order_is_access(desk: Desk) -> None:
    """The whole way: a delivery arrives, and the next check permits; the basis names the log's newest event."""
    assert await answer(desk, SSO) == "unknown_customer"
    result = await desk.deliver(story("acme").subscribe("price_business_monthly", 5))
    async with desk.read() as view:
        decision = await check(view, SSO, desk.snapshots)
    assert (decision.allowed, decision.reason, decision.basis) == (True, "entitled", f"1:{result.seq}")
    assert decision.sources[0].line is not None


async def test_one_thing_is_said_in_the_singular(desk: Desk) -> None:
    """Free includes 1 data source, Team 5 data sources."""
    for customer, price, words in [("acme", "price_free", "data source"), ("b", "price_team_monthly", "data sources")]:
        await desk.deliver(story(customer, seed=len(customer)).subscribe(price))
        async with desk.read() as view:
            decision = await check(view, Question(customer=customer, feature="data_sources"), desk.snapshots)
        assert decision.limit is not None
        assert decision.limit.unit == words


async def test_a_trial_ends_by_the_clock_alone(desk: Desk) -> None:
    """No message and no job: the same terms answer in_trial before the end and trial_expired at it."""
    late = LATER + timedelta(days=14)
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        item = SoldItem(plan="business")
        trial = Sell(items=(item,), trial="P14D", trial_end_behavior="end", accept_breaches=True)
        await sell(tx, "acme", trial, desk.catalogs)
    assert await answer(desk, SSO) == "in_trial"
    await wait_until(desk, late - timedelta(microseconds=1))
    assert await answer(desk, SSO) == "in_trial"
    await wait_until(desk, late)
    assert await answer(desk, SSO) == "trial_expired"


async def test_a_user_is_read_for_conditions(desk: Desk) -> None:
    """Roles of an active user reach the condition; of an inactive or unknown one they do not."""
    await desk.deliver(story("acme").subscribe("price_business_monthly", 5))
    question = Question(customer="acme", feature="autopilot", user="ann")
    async with desk.read() as view:
        unknown = await check(view, question, desk.snapshots)
    async with desk.write() as tx:
        await put_user(tx, "acme", "ann", PutUser(roles=("planner",)))
    async with desk.read() as view:
        planner = await check(view, question, desk.snapshots)
    async with desk.write() as tx:
        await put_user(tx, "acme", "ann", PutUser(roles=("planner",), active=False))
    async with desk.read() as view:
        gone = await check(view, question, desk.snapshots)
    assert (unknown.would_deny, planner.would_deny, gone.would_deny) == (("policy_denied",), None, ("policy_denied",))


async def test_a_batch_is_answered_in_order_from_one_state(desk: Desk) -> None:
    """Each question gets its answer at its place; too many are refused."""
    await desk.deliver(story("acme").subscribe("price_business_monthly", 5))
    questions = [SSO, Question(customer="nobody", feature="sso"), Question(customer="acme", feature="ssso")]
    async with desk.read() as view:
        decisions = await check_batch(view, questions, desk.snapshots)
        assert [one.reason for one in decisions] == ["entitled", "unknown_customer", "unknown_feature"]
        with pytest.raises(Invalid, match="at most 500"):
            await check_batch(view, [SSO] * (MAX_BATCH + 1), desk.snapshots)


@pytest.mark.parametrize("quantity", ["1.5", "-1", "1e3", "many"])
async def test_a_quantity_that_is_none_is_refused(desk: Desk, quantity: str) -> None:
    """A quantity that does not fit the feature is an error with its place, not a decision."""
    await desk.deliver(story("acme").subscribe("price_business_monthly", 5))
    with pytest.raises(Invalid) as caught:
        await answer(desk, Question(customer="acme", feature="projects", quantity=quantity))
    assert caught.value.details["problems"][0]["path"] == "quantity"


async def test_before_the_first_catalog_there_is_no_answer(desk: Desk) -> None:
    """Without a catalog a question cannot be answered, which is a conflict and not a refusal."""
    live = Desk(desk.storage, desk.inbox, "live")
    with pytest.raises(NoCatalog, match="no catalog has been released in workspace live") as caught:
        await answer(live, SSO)
    assert "licet catalog apply" in caught.value.advice
    async with live.read() as view:
        with pytest.raises(NoCatalog):
            await known_at(view, "acme", 0, live.snapshots)


async def test_entitlements_list_what_any_source_speaks_about(desk: Desk) -> None:
    """One decision per feature, what comes next, and the rules that are broken."""
    told = story("acme")
    await desk.deliver(told.subscribe("price_team_monthly", 3, extra=[("price_api_boost_monthly", 7)]))
    async with desk.read() as view:
        shown = await entitlements(view, "acme", desk.snapshots)
        with pytest.raises(NotFound):
            await entitlements(view, "nobody", desk.snapshots)
    by_feature = {one.feature: one for one in shown.entitlements}
    assert by_feature["editor"].limit is not None
    assert by_feature["editor"].limit.amount == 3
    assert "offline_updates" not in by_feature
    assert [one.kind for one in shown.upcoming[:3]] == ["period"] * 3
    assert [(one.rule, one.item) for one in shown.breaches] == [("maximum", "api_boost")]


async def test_the_past_is_answered_by_what_was_known_then(desk: Desk) -> None:
    """An order that arrived late changes what is known now, not what was known then; a catalog likewise."""
    async with desk.read() as view:
        with pytest.raises(NoCatalogThen, match="no catalog had been released by"):
            await entitlements(view, "acme", desk.snapshots, at=datetime(2020, 1, 1, tzinfo=UTC))
    await wait_until(desk, LATER + timedelta(days=10))
    await desk.deliver(story("acme").subscribe("price_business_monthly", 5))
    await wait_until(desk, LATER + timedelta(days=20))
    async with desk.read() as view:
        with pytest.raises(NotFound):
            await entitlements(view, "acme", desk.snapshots, at=LATER + timedelta(days=9))
        then = await entitlements(view, "acme", desk.snapshots, at=LATER + timedelta(days=10))
    assert then.terms_revision == 1
    assert any(one.feature == "sso" and one.allowed for one in then.entitlements)


async def test_explain_leads_from_the_order_to_the_decision(desk: Desk) -> None:
    """The tree names the order, its source and time, the plan with its version, and who brought it."""
    told = story("acme")
    await desk.deliver(told.subscribe("price_business_monthly", 5))
    async with desk.read() as view:
        explanation = await explain(view, SSO, desk.snapshots)
    text = render_tree(explanation.tree)
    for part in ("acme and sso: allowed (entitled)", told.subscription, "business@", "order.applied by source:stripe"):
        assert part in text, text
    assert explanation.decision.reason == "entitled"


async def test_explain_accepts_the_basis_of_an_old_answer(desk: Desk) -> None:
    """What a stale evaluator answered is explained by the terms and catalog that it had."""
    told = story("acme")
    first = await desk.deliver(told.subscribe("price_business_monthly", 5))
    await desk.deliver(told.cancel(at_period_end=False))
    async with desk.read() as view:
        stale = await explain(view, SSO, desk.snapshots, basis=f"1:{first.seq}")
        fresh = await explain(view, SSO, desk.snapshots)
        assert (stale.decision.reason, fresh.decision.reason) == ("entitled", "ended")
        nobody = await explain(view, SSO, desk.snapshots, basis=f"1:{first.seq - 3}")
        assert nobody.decision.reason == "unknown_customer"
        for wrong in ("42", "2:42", "1:x", "1:" + "9" * 30):
            with pytest.raises(Invalid):
                await explain(view, SSO, desk.snapshots, basis=wrong)
        with pytest.raises(NoCatalogThen):
            await explain(view, SSO, desk.snapshots, basis="1:1")


async def test_context_reaches_the_conditions(desk: Desk) -> None:
    """Where the program runs decides what is bound to a place."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        await sell(tx, "acme", Sell(items=(SoldItem(plan="enterprise"), SoldItem(addon="dark_site"))), desk.catalogs)
    for context, reason in (
        (Context(deployment="air_gapped"), "entitled"),
        (Context(deployment="saas"), "deployment_not_allowed"),
    ):
        assert await answer(desk, Question(customer="acme", feature="offline_updates", context=context)) == reason


async def test_a_newer_catalog_counts_at_once(desk: Desk, meridian: bytes) -> None:
    """A release changes live parts for every customer with the next question; nothing cached stands in its way."""
    await desk.deliver(story("acme").subscribe("price_business_monthly", 5))
    assert await answer(desk, SSO) == "entitled"
    closed = meridian.replace(b"type: switch\n    rank: 310", b'type: switch\n    when: "false"\n    rank: 310')
    assert (await desk.release(closed)).revision == 2
    assert await answer(desk, SSO) == "policy_denied"


async def test_the_basis_of_a_past_answer_leads_to_the_same_answer(desk: Desk) -> None:
    """An answer about the past names the truth of then: explained by its basis, it is the same again."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        await sell(tx, "acme", Sell(items=(SoldItem(plan="team"),)), desk.catalogs)
    async with desk.read() as view:
        before = view.time.business
    past = LATER + timedelta(days=1)
    await wait_until(desk, past + timedelta(days=9))
    async with desk.write() as tx:
        item = SoldItem(plan="business")
        await sell(tx, "acme", Sell(items=(item,), starts_at=LATER), desk.catalogs)
    async with desk.read() as view:
        assert view.time.business > before
        listed = await entitlements(view, "acme", desk.snapshots, at=past)
        bases = {one.basis for one in listed.entitlements}
        assert len(bases) == 1
        known = await explain(view, SSO, desk.snapshots, at=past)
        again = await explain(view, SSO, desk.snapshots, at=past, basis=bases.pop())
        assert known.decision.reason == again.decision.reason == "not_entitled"
        assert (await explain(view, SSO, desk.snapshots)).decision.reason == "entitled"


async def test_a_catalog_that_was_dropped_and_compiled_again_still_answers(desk: Desk) -> None:
    """Compiled catalogs and what derivation remembers are dropped apart; no mixture of them reaches an answer."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        await sell(tx, "acme", Sell(items=(SoldItem(plan="business"),)), desk.catalogs)
    snapshots = Snapshots(Catalogs(size=1), size=1)
    for _ in range(2):
        async with desk.read() as view:
            assert (await check(view, SSO, snapshots)).allowed
            snapshots.catalogs = Catalogs(size=1)
            other = structs.replace(SSO, customer="nobody")
            assert not (await check(view, other, snapshots)).allowed


async def test_an_amount_that_does_not_fit_is_named(desk: Desk) -> None:
    """The problem says which of the two numbers is wrong."""
    projects = Question(customer="acme", feature="projects")
    for wrong, path in (
        (structs.replace(projects, used="1.5"), "used"),
        (structs.replace(projects, quantity="x"), "quantity"),
    ):
        async with desk.read() as view:
            with pytest.raises(Invalid) as caught:
                await check(view, wrong, desk.snapshots)
        assert caught.value.details["problems"][0]["path"] == path
