"""Changes of subscriptions sold by hand: what holds from when, what is only foreseen, and what is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct, structs

from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.services.changes import ChangeSubscription, Unschedule, change, unschedule
from licet.services.checks import entitlements
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import Conflict, Invalid, NotFound, Unsellable
from licet.services.manual import ChangeResult
from licet.services.orders import receive_order
from licet.services.pauses import PauseSubscription, ResumeSubscription, pause, resume
from licet.services.ports import Tx
from licet.services.subscription_views import SubscriptionView, get_subscription, list_subscriptions
from licet.services.subscriptions import (
    Cancel,
    Extend,
    Reinstate,
    Sell,
    SoldItem,
    cancel,
    extend,
    reinstate,
    sell,
)
from licet.services.trials import ConvertTrial, ExtendTrial, convert_trial, extend_trial
from licet.services.truth import Catalogs
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk

Command = Callable[[Tx, str, str, Any, Catalogs], Awaitable[ChangeResult]]
COMMANDS: dict[type[Struct], Command] = {
    ChangeSubscription: change,
    Unschedule: unschedule,
    PauseSubscription: pause,
    ResumeSubscription: resume,
    Cancel: cancel,
    Extend: extend,
    Reinstate: reinstate,
    ExtendTrial: extend_trial,
    ConvertTrial: convert_trial,
}
TEAM = SoldItem(plan="team", quantity=12, quantity_of="editor")
FEBRUARY, MARCH, APRIL = (datetime(2028, month, 1, tzinfo=UTC) for month in (2, 3, 4))


class Contract:
    """One subscription of acme, sold by hand at the desk's frozen now."""

    def __init__(self, desk: Desk, subscription: str) -> None:
        self.desk = desk
        self.subscription = subscription

    async def do(self, command: Struct) -> ChangeResult:
        """Carry out a command."""
        async with self.desk.write() as tx:
            return await COMMANDS[type(command)](tx, "acme", self.subscription, command, self.desk.catalogs)

    async def view(self) -> SubscriptionView:
        """The subscription as it is read."""
        async with self.desk.read() as view:
            return await get_subscription(view, "acme", self.subscription, self.desk.catalogs)

    async def has(self, at: datetime | None = None) -> dict[str, Any]:
        """Each feature that is held at an instant, with its amount or value."""
        async with self.desk.read() as view:
            told = await entitlements(view, "acme", self.desk.snapshots, at=at)
        return {
            one.feature: one.value if one.limit is None else one.limit.amount
            for one in told.entitlements
            if one.allowed and one.would_deny is None
        }

    async def seq(self) -> int:
        """The newest sequence of the log."""
        async with self.desk.read() as view:
            return await view.seq()


async def sold(desk: Desk, *items: SoldItem, **how: Any) -> Contract:
    """Sell to a new customer acme."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        result = await sell(tx, "acme", Sell(items=items or (TEAM,), **how), desk.catalogs)
    assert result.subscription is not None
    return Contract(desk, result.subscription)


def held(view: SubscriptionView) -> dict[str, int]:
    """What it consists of: ids with quantities."""
    return {item.id: item.quantity for item in view.items}


def kinds(result: ChangeResult) -> dict[str, str]:
    """The kinds of changes of rights by feature."""
    return {one.feature: one.kind for one in result.changes}


async def test_an_upgrade_now_keeps_quantity_and_addons_and_tells_what_is_gained(desk: Desk) -> None:
    """Business instead of Team: the twelve editors and the AI Pack stay, and the changes name gains in words."""
    contract = await sold(desk, TEAM, SoldItem(addon="ai_pack"))
    result = await contract.do(ChangeSubscription(plan="business"))
    assert (result.outcome, result.effective_at) == ("applied", LATER)
    assert held(await contract.view()) == {"business": 12, "ai_pack": 1}
    told = {one.feature: one for one in result.changes}
    assert (told["sso"].kind, told["sso"].was, told["sso"].becomes) == ("gain", "not included", "on")
    assert (told["projects"].kind, told["projects"].becomes) == ("more", "200 projects")
    assert (await contract.has())["sso"] is True
    assert "editor" not in told


async def test_a_dry_run_writes_nothing_and_tells_the_same(desk: Desk) -> None:
    """Foreseen and carried out, a change tells the same; foreseeing leaves log and terms as they were."""
    contract = await sold(desk)
    before, seq = await desk.terms("acme"), await contract.seq()
    wanted = ChangeSubscription(plan="business", add=(SoldItem(addon="api_boost"),), at="period_end")
    foreseen = await contract.do(structs.replace(wanted, dry_run=True))
    assert (await desk.terms("acme"), await contract.seq()) == (before, seq)
    assert (foreseen.order, foreseen.dry_run, foreseen.outcome) == (None, True, "foreseen")
    done = await contract.do(wanted)
    assert (done.changes, done.scheduled, done.effective_at) == (foreseen.changes, foreseen.scheduled, FEBRUARY)
    assert await contract.seq() > seq


async def test_a_sale_can_be_foreseen(desk: Desk) -> None:
    """A sale's dry run tells every gain, names no subscription and writes nothing."""
    contract = await sold(desk, SoldItem(plan="free"))
    seq = await contract.seq()
    async with desk.write() as tx:
        told = await sell(tx, "acme", Sell(items=(TEAM,), trial="P14D", dry_run=True), desk.catalogs)
    assert (told.subscription, told.order, told.outcome, await contract.seq()) == (None, None, "foreseen", seq)
    assert kinds(told)["webhooks"] == "gain"
    assert len((await desk.terms("acme")).subscriptions) == 1


async def test_a_downgrade_at_period_end_is_seen_in_the_future_only(desk: Desk) -> None:
    """Until the next billing period nothing changes; from its first instant the smaller plan holds."""
    contract = await sold(desk, SoldItem(plan="business"))
    result = await contract.do(ChangeSubscription(plan="team", at="period_end"))
    assert result.effective_at == FEBRUARY
    assert kinds(result)["sso"] == "loss"
    assert "sso" in await contract.has(FEBRUARY - timedelta(microseconds=1))
    assert "sso" not in await contract.has(FEBRUARY)
    view = await contract.view()
    assert held(view) == {"business": 1}
    assert [(one.at, [item.id for item in one.items]) for one in view.scheduled] == [(FEBRUARY, ["team"])]


async def test_two_scheduled_changes_both_hold(desk: Desk) -> None:
    """Changes for two dates, entered in either order, are both seen on their dates."""
    contract = await sold(desk)
    await contract.do(ChangeSubscription(quantity=30, at=MARCH.isoformat()))
    await contract.do(ChangeSubscription(quantity=20, at=FEBRUARY.isoformat(), scheduled="keep"))
    await contract.do(ChangeSubscription(quantity=40, at=APRIL.isoformat(), scheduled="keep"))
    amounts = [(await contract.has(day))["editor"] for day in (LATER, FEBRUARY, MARCH, APRIL)]
    assert amounts == [12, 20, 30, 40]


async def test_where_changes_are_scheduled_it_must_be_said_what_becomes_of_them(desk: Desk) -> None:
    """Without a word it is a conflict that lists them; keep leaves them as planned, drop lets all fall away."""
    contract = await sold(desk)
    await contract.do(ChangeSubscription(quantity=30, at=MARCH.isoformat()))
    with pytest.raises(Conflict, match=r"from 2028-03-01T00:00:00Z team × 30") as caught:
        await contract.do(ChangeSubscription(quantity=20))
    assert '"keep"' in caught.value.advice
    await contract.do(ChangeSubscription(quantity=20, scheduled="keep"))
    assert [(await contract.has(day))["editor"] for day in (LATER, MARCH)] == [20, 30]
    result = await contract.do(ChangeSubscription(quantity=25, scheduled="drop"))
    assert result.scheduled == ()
    assert [(await contract.has(day))["editor"] for day in (LATER, MARCH)] == [25, 25]


async def test_unschedule_drops_what_is_planned(desk: Desk) -> None:
    """What was planned falls away, told with the rights of its first instant; a second time it is a conflict."""
    contract = await sold(desk)
    await contract.do(ChangeSubscription(plan="business", at=MARCH.isoformat()))
    result = await contract.do(Unschedule())
    assert (result.effective_at, kinds(result)["sso"]) == (MARCH, "loss")
    assert "sso" not in await contract.has(APRIL)
    with pytest.raises(Conflict, match="nothing is scheduled"):
        await contract.do(Unschedule())


async def test_addons_come_go_and_are_counted(desk: Desk) -> None:
    """An add-on is added, counted up and removed, each time as the terms then say."""
    contract = await sold(desk)
    await contract.do(ChangeSubscription(add=(SoldItem(addon="api_boost", quantity=2),)))
    assert (await contract.has())["api_calls"] == 1_100_000
    await contract.do(ChangeSubscription(quantities={"api_boost": 3}, quantity=15))
    assert held(await contract.view()) == {"team": 15, "api_boost": 3}
    await contract.do(ChangeSubscription(remove=("api_boost",)))
    assert held(await contract.view()) == {"team": 15}


async def test_a_change_that_changes_nothing_writes_nothing(desk: Desk) -> None:
    """The same quantity or plan again, now or later, is a duplicate and leaves no event."""
    contract = await sold(desk)
    seq = await contract.seq()
    for command in (ChangeSubscription(quantity=12), ChangeSubscription(plan="team", at="period_end")):
        assert (await contract.do(command)).outcome == "duplicate"
    assert await contract.seq() == seq


async def test_who_keeps_the_plan_keeps_its_version(desk: Desk) -> None:
    """A quantity changes no version; naming the plan moves to the version on sale, or to the one that is named."""
    contract = await sold(desk, SoldItem(plan="team", version="2026-01"))
    await contract.do(ChangeSubscription(quantity=3))
    assert (await contract.view()).items[0].version == "2026-01"
    await contract.do(ChangeSubscription(plan="team"))
    assert (await contract.view()).items[0].version == "2026-07"
    await contract.do(ChangeSubscription(plan="team", version="2026-01", at="period_end"))
    assert (await contract.view()).scheduled[0].items[0].version == "2026-01"


async def test_a_pause_takes_everything_and_a_resumption_gives_it_back(desk: Desk) -> None:
    """Paused from a date until another, seen in advance; resumed earlier, it goes on from then."""
    contract = await sold(desk)
    result = await contract.do(PauseSubscription(at=FEBRUARY.isoformat(), until=APRIL.isoformat()))
    assert {one.reason for one in result.changes} == {"paused"}
    assert await contract.has(FEBRUARY) == {}
    assert "webhooks" in await contract.has(APRIL)
    with pytest.raises(Conflict, match="paused from 2028-02-01"):
        await contract.do(PauseSubscription(at=MARCH.isoformat()))
    with pytest.raises(Conflict, match="it will be from 2028-02-01"):
        await contract.do(ResumeSubscription())
    back = await contract.do(ResumeSubscription(at=MARCH.isoformat()))
    assert kinds(back)["webhooks"] == "gain"
    assert "webhooks" in await contract.has(MARCH)
    await contract.do(ResumeSubscription(at=FEBRUARY.isoformat()))
    assert "webhooks" in await contract.has(FEBRUARY)


async def test_a_pause_now_and_its_end_in_the_same_instant(desk: Desk) -> None:
    """On a clock that stands still, pausing and resuming at once leaves no pause behind."""
    contract = await sold(desk)
    await contract.do(PauseSubscription())
    assert await contract.has() == {}
    assert (await contract.view()).standing == "paused"
    await contract.do(ResumeSubscription())
    assert ((await contract.view()).standing, (await contract.view()).pauses) == ("active", ())


async def test_a_cancellation_at_period_end_can_be_taken_back(desk: Desk) -> None:
    """It ends with the period, until it is reinstated; a subscription sold with an end keeps that end."""
    contract = await sold(desk, ends_at=APRIL)
    result = await contract.do(Cancel(at="period_end"))
    assert (result.effective_at, (await contract.view()).ends_at) == (FEBRUARY, FEBRUARY)
    assert await contract.has(FEBRUARY) == {}
    with pytest.raises(Conflict, match="ends already"):
        await contract.do(Cancel(at=MARCH.isoformat()))
    back = await contract.do(Reinstate())
    assert kinds(back)["webhooks"] == "gain"
    assert (await contract.view()).ends_at == APRIL
    with pytest.raises(Conflict, match="is the end it was sold with"):
        await contract.do(Reinstate())


async def test_an_agreed_end_is_extended(desk: Desk) -> None:
    """Sold with an end, it ends later or never; a cancellation afterwards is taken back to the end it had last."""
    contract = await sold(desk, ends_at=MARCH)
    with pytest.raises(Conflict) as caught:
        await contract.do(Cancel(at=APRIL.isoformat()))
    assert "extend" in caught.value.advice
    result = await contract.do(Extend(until=APRIL.isoformat()))
    assert (result.effective_at, kinds(result)["webhooks"], (await contract.view()).ends_at) == (MARCH, "gain", APRIL)
    await contract.do(Cancel(at=FEBRUARY.isoformat()))
    await contract.do(Reinstate())
    assert (await contract.view()).ends_at == APRIL
    await contract.do(Extend(until=None))
    assert (await contract.view()).ends_at is None
    with pytest.raises(Conflict, match="has no end; it renews"):
        await contract.do(Extend(until=None))
    await contract.do(Cancel(at=FEBRUARY.isoformat()))
    await contract.do(Reinstate())
    assert (await contract.view()).ends_at is None


async def test_a_plan_comes_in_where_none_is_left(desk: Desk) -> None:
    """With only an add-on left, a plan is added by its name; rules and a second plan are held to as always."""
    contract = await sold(desk, TEAM, SoldItem(addon="ai_pack"))
    await contract.do(ChangeSubscription(remove=("team",), accept_breaches=True))
    assert held(await contract.view()) == {"ai_pack": 1}
    with pytest.raises(Invalid, match="no plan 'teem'"):
        await contract.do(ChangeSubscription(plan="teem"))
    await contract.do(ChangeSubscription(plan="business", quantity=3))
    assert held(await contract.view()) == {"ai_pack": 1, "business": 3}
    with pytest.raises(Invalid, match="business is held already"):
        await contract.do(ChangeSubscription(add=(SoldItem(plan="team"),)))


async def test_the_same_change_planned_twice_is_unchanged(desk: Desk) -> None:
    """Planned for the same instant again, it writes nothing and asks nothing; another one still asks."""
    contract = await sold(desk)
    wanted = ChangeSubscription(plan="business", at=MARCH.isoformat())
    await contract.do(wanted)
    seq = await contract.seq()
    assert (await contract.do(wanted)).outcome == "duplicate"
    assert await contract.seq() == seq
    with pytest.raises(Conflict, match="changes are scheduled"):
        await contract.do(ChangeSubscription(plan="business", at=FEBRUARY.isoformat()))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"trial_end_behavior": "fall"}, "none is sold"),
        ({"period": "P0D"}, "period: P0D is too short"),
        ({"period": "PT59M"}, "too short"),
        ({"trial": "PT0S"}, "trial: PT0S is too short"),
    ],
)
async def test_a_sale_without_sense_is_refused(desk: Desk, how: dict[str, Any], words: str) -> None:
    """What follows a trial needs one, and neither a billing period nor a trial lasts less than an hour."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        with pytest.raises(Invalid, match=words):
            await sell(tx, "acme", Sell(items=(TEAM,), **how), desk.catalogs)
        await sell(tx, "acme", Sell(items=(TEAM,), period="PT1H"), desk.catalogs)


async def test_an_order_needs_a_period_too(desk: Desk) -> None:
    """A period of no length is refused from any source, in words."""
    order = OrderDocument(
        source="crm",
        external_id="deal-0",
        customer=CustomerReferences(id="acme"),
        occurred_at=LATER,
        lines=(OrderLine(plan="team"),),
        period="P0D",
    )
    async with desk.write() as tx:
        with pytest.raises(Invalid, match="it lasts an hour"):
            await receive_order(tx, order, desk.catalogs)


async def test_what_was_planned_comes_back_with_a_reinstatement(desk: Desk) -> None:
    """A planned change beyond a cancellation is not shown while it cannot happen, and stands again afterwards."""
    contract = await sold(desk)
    await contract.do(ChangeSubscription(quantity=30, at=MARCH.isoformat()))
    assert (await contract.do(Cancel(at="period_end"))).scheduled == ()
    assert [one.at for one in (await contract.do(Reinstate())).scheduled] == [MARCH]
    assert (await contract.has(MARCH))["editor"] == 30


async def test_a_trial_lasts_longer_or_becomes_paid(desk: Desk) -> None:
    """Extended, it falls to Free later; converted, it is paid at once and never falls."""
    contract = await sold(desk, trial="P14D")
    end = LATER + timedelta(days=14)
    assert "webhooks" not in await contract.has(end)
    result = await contract.do(ExtendTrial(until=FEBRUARY.isoformat()))
    assert (result.effective_at, kinds(result)["webhooks"]) == (end, "gain")
    assert "webhooks" in await contract.has(end)
    assert "webhooks" not in await contract.has(FEBRUARY)
    await contract.do(ConvertTrial())
    assert ((await contract.view()).standing, "webhooks" in await contract.has(APRIL)) == ("active", True)
    with pytest.raises(Conflict, match="was over"):
        await contract.do(ExtendTrial(until=APRIL.isoformat()))


async def test_a_trial_that_ended_in_a_pause_is_resumed_into_what_is_paid(desk: Desk) -> None:
    """Resuming after such a trial lets it be active from then on, and keeps the pause in between."""
    contract = await sold(desk, trial="P14D", trial_end_behavior="pause")
    await contract.do(ResumeSubscription(at=FEBRUARY.isoformat()))
    assert await contract.has(FEBRUARY - timedelta(days=1)) == {}
    assert "webhooks" in await contract.has(FEBRUARY)


async def test_time_alone_carries_out_what_is_scheduled(desk: Desk) -> None:
    """The business clock passes the date of a change: rights follow without anything else happening."""
    contract = await sold(desk)
    await contract.do(ChangeSubscription(plan="business", at=FEBRUARY.isoformat()))
    assert "sso" not in await contract.has()
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=FEBRUARY))
    assert "sso" in await contract.has()
    assert held(await contract.view()) == {"business": 12}
    assert (await contract.view()).scheduled == ()
    await contract.do(ChangeSubscription(quantity=5))
    assert held(await contract.view()) == {"business": 5}


async def test_a_broken_rule_is_refused_unless_accepted(desk: Desk) -> None:
    """A downgrade that leaves an add-on without its plan names both ways out; accepted, it becomes a finding."""
    contract = await sold(desk, SoldItem(plan="business"), SoldItem(addon="salesforce_sync"))
    with pytest.raises(Unsellable) as caught:
        await contract.do(ChangeSubscription(plan="team"))
    (problem,) = caught.value.details["problems"]
    assert "remove salesforce_sync" in problem["suggestion"]
    result = await contract.do(ChangeSubscription(plan="team", accept_breaches=True))
    assert {one.kind for one in result.findings} == {"combination"}
    await contract.do(ChangeSubscription(quantity=2))
    together = ChangeSubscription(plan="free", remove=("salesforce_sync",))
    assert (await contract.do(together)).outcome == "applied"


async def test_a_bundle_is_exchanged_whole(desk: Desk) -> None:
    """A plan in the place of a bundle takes its add-ons along; a bundle comes in with the plan removed."""
    contract = await sold(desk, SoldItem(bundle="revenue_suite"))
    await contract.do(ChangeSubscription(plan="business", quantity=30))
    assert held(await contract.view()) == {"business": 30}
    await contract.do(ChangeSubscription(remove=("business",), add=(SoldItem(bundle="revenue_suite"),)))
    assert sorted(held(await contract.view())) == ["ai_pack", "business", "salesforce_sync"]


async def test_one_that_has_not_begun_changes_from_its_start(desk: Desk) -> None:
    """Now means the start of what begins later; cancelled now, it never begins."""
    contract = await sold(desk, starts_at=FEBRUARY)
    result = await contract.do(ChangeSubscription(plan="business"))
    assert result.effective_at == FEBRUARY
    assert "sso" in await contract.has(FEBRUARY)
    assert (await contract.view()).standing == "not_started"
    assert (await contract.do(ChangeSubscription(quantity=3, at="period_end"))).effective_at == MARCH
    await contract.do(Cancel())
    assert await contract.has(FEBRUARY) == {}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (ChangeSubscription(), "nothing is said to change"),
        (ChangeSubscription(version="2026-01"), "none is named"),
        (ChangeSubscription(plan="teem"), "no plan 'teem'"),
        (ChangeSubscription(plan="team", version="2027"), "no version '2027'"),
        (ChangeSubscription(quantity=2, at="2027-12-31"), "is past"),
        (ChangeSubscription(quantity=2, at="tomorrow"), "is no moment"),
        (ChangeSubscription(quantity=2, at="2028-02-01T00:00:00"), "is no moment"),
        (ChangeSubscription(quantity=2, at=APRIL.isoformat()), "not before the end"),
        (ChangeSubscription(quantities={"api_bost": 1}), "holds no 'api_bost'"),
        (ChangeSubscription(remove=("ai_pack",)), "it holds team"),
        (ChangeSubscription(remove=("team",)), "nothing would be left"),
        (ChangeSubscription(add=(SoldItem(plan="business"),)), "team is held already"),
        (ChangeSubscription(add=(SoldItem(addon="nothing"),)), "no addon 'nothing'"),
        (PauseSubscription(until="2028-01-01"), "is not after"),
        (PauseSubscription(until="2028-05-01"), "after the end"),
        (Cancel(at="2027-12-31"), "is past"),
        (Extend(until=APRIL.isoformat()), "is not after the present end"),
        (ExtendTrial(until="2028-01-02"), "not after the present end"),
        (ExtendTrial(until="2028-05-01"), "after the end"),
    ],
)
async def test_what_makes_no_sense_is_refused(desk: Desk, command: Struct, words: str) -> None:
    """Each is told in words with the value, dry or not, and leaves nothing in the log."""
    contract = await sold(desk, trial="P14D", ends_at=APRIL)
    seq = await contract.seq()
    for dry in (True, False):
        with pytest.raises(Invalid, match=words):
            await contract.do(structs.replace(command, dry_run=dry))
    assert await contract.seq() == seq


async def test_what_has_ended_or_belongs_to_others_is_not_changed(desk: Desk) -> None:
    """After its end, and where a foreign system sold it, every command is a conflict that says where to turn."""
    contract = await sold(desk)
    await contract.do(Cancel())
    commands = [
        ChangeSubscription(quantity=2),
        Unschedule(),
        PauseSubscription(),
        ResumeSubscription(),
        Cancel(),
        Extend(until=None),
        Reinstate(),
        ExtendTrial(until="2029-01-01"),
        ConvertTrial(),
    ]
    for command in commands:
        with pytest.raises(Conflict, match=r"has ended|ends already"):
            await contract.do(command)
    foreign = OrderDocument(
        source="crm",
        external_id="deal-1",
        customer=CustomerReferences(id="acme"),
        occurred_at=LATER,
        lines=(OrderLine(plan="team"),),
    )
    async with desk.write() as tx:
        placed = await receive_order(tx, foreign, desk.catalogs)
    for command in commands:
        with pytest.raises(Conflict, match="comes from crm") as caught:
            await Contract(desk, placed.subscription or "").do(command)
        assert "in crm" in caught.value.advice
    with pytest.raises(NotFound, match="no subscription"):
        await Contract(desk, "sub_unknown").do(Cancel())


async def test_reading_shows_period_trial_and_standing(desk: Desk) -> None:
    """The view names the billing period that runs, the trial and what follows it; all of them are listed by start."""
    contract = await sold(desk, trial="P14D")
    view = await contract.view()
    assert view.period is not None
    assert (view.period.start, view.period.end) == (LATER, FEBRUARY)
    assert view.trial is not None
    assert (view.standing, view.trial.then, view.until) == ("trialing", "fall", LATER + timedelta(days=14))
    async with desk.write() as tx:
        await sell(tx, "acme", Sell(items=(SoldItem(plan="free"),), starts_at=FEBRUARY), desk.catalogs)
    async with desk.read() as reading:
        listed = await list_subscriptions(reading, "acme", desk.catalogs)
    assert [(one.standing, one.source) for one in listed.items] == [("trialing", "manual"), ("not_started", "manual")]


async def test_changes_at_once_are_serialized_and_none_is_lost(desk: Desk) -> None:
    """Eight changes of eight dates at the same time: each one is there afterwards, in an order of its own."""
    contract = await sold(desk)
    days = [FEBRUARY + timedelta(days=number) for number in range(8)]
    done = await asyncio.gather(
        *(
            contract.do(ChangeSubscription(quantity=20 + number, at=at.isoformat(), scheduled="keep"))
            for number, at in enumerate(days)
        )
    )
    assert {one.outcome for one in done} == {"applied"}
    assert len({one.order for one in done}) == 8
    assert [(await contract.has(at))["editor"] for at in days] == [20 + number for number in range(8)]
    assert (await contract.has())["editor"] == 12
