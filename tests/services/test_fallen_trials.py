"""Commands on a subscription sold by hand whose trial fell, or will fall before what is planned."""

from datetime import timedelta

import pytest

from licet.services.changes import ChangeSubscription
from licet.services.errors import Conflict, Invalid, Unsellable
from licet.services.pauses import PauseSubscription, ResumeSubscription
from licet.services.subscriptions import Cancel, SoldItem
from licet.services.trials import ExtendTrial
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk
from tests.services.test_changes import FEBRUARY, MARCH, TEAM, Contract, held, kinds, sold

END = LATER + timedelta(days=14)
AFTER = LATER + timedelta(days=15)
FREE = {"free": 1}


async def fallen(desk: Desk, *items: SoldItem) -> Contract:
    """A contract whose trial of fourteen days fell the day before."""
    contract = await sold(desk, *items, trial="P14D")
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=AFTER))
    assert held(await contract.view())["free"] == 1
    return contract


async def test_what_was_tried_can_be_bought_after_the_fall(desk: Desk) -> None:
    """Team again is Team, paid, with the seats that were tried; until then it was Free, and on trial before."""
    contract = await fallen(desk)
    result = await contract.do(ChangeSubscription(plan="team"))
    assert (result.outcome, kinds(result)["webhooks"]) == ("applied", "gain")
    view = await contract.view()
    assert (view.standing, held(view), view.items[0].quantity_of) == ("active", {"team": 12}, "editor")
    assert "webhooks" not in await contract.has(AFTER - timedelta(microseconds=1))
    assert "webhooks" in await contract.has(MARCH)
    assert (await contract.do(ChangeSubscription(plan="team"))).outcome == "duplicate"
    await contract.do(ChangeSubscription(quantity=3))
    assert held(await contract.view()) == {"team": 3}


async def test_another_version_quantity_or_plan_is_bought_as_said(desk: Desk) -> None:
    """After the fall a version and a quantity may be named with the plan; so may another plan."""
    contract = await fallen(desk)
    await contract.do(ChangeSubscription(plan="team", version="2026-01", quantity=8))
    (item,) = (await contract.view()).items
    assert (item.id, item.version, item.quantity, item.quantity_of) == ("team", "2026-01", 8, "editor")
    await contract.do(ChangeSubscription(plan="business"))
    assert held(await contract.view()) == {"business": 8}


async def test_what_fell_is_the_base_of_a_change(desk: Desk) -> None:
    """An add-on that requires Team, and a quantity that could be Team's, are refused: only Free is held."""
    contract = await fallen(desk)
    with pytest.raises(Unsellable, match="api_boost"):
        await contract.do(ChangeSubscription(add=(SoldItem(addon="api_boost"),)))
    with pytest.raises(Invalid, match="the trial of team fell to free"):
        await contract.do(ChangeSubscription(quantity=8))
    with pytest.raises(Invalid, match="it holds free"):
        await contract.do(ChangeSubscription(quantities={"team": 8}))
    taken = await contract.do(ChangeSubscription(add=(SoldItem(addon="api_boost"),), accept_breaches=True))
    assert {one.kind for one in taken.findings} == {"combination"}
    assert held(await contract.view()) == {**FREE, "api_boost": 1}
    assert "webhooks" not in await contract.has(MARCH)


async def test_addons_of_a_trial_stay_and_can_be_removed(desk: Desk) -> None:
    """What was sold besides the plan is held after the fall, and changed as always."""
    contract = await fallen(desk, TEAM, SoldItem(addon="ai_pack"))
    assert held(await contract.view()) == {**FREE, "ai_pack": 1}
    await contract.do(ChangeSubscription(remove=("ai_pack",)))
    assert held(await contract.view()) == FREE
    assert (await contract.do(ChangeSubscription(plan="free"))).outcome == "duplicate"


async def test_other_commands_leave_the_fall_as_it_is(desk: Desk) -> None:
    """A pause, its end and a cancellation after the fall give nothing of the trial back."""
    contract = await fallen(desk)
    await contract.do(PauseSubscription())
    await contract.do(ResumeSubscription(at=FEBRUARY.isoformat()))
    assert await contract.has(AFTER) == {}
    assert "webhooks" not in await contract.has(FEBRUARY)
    await contract.do(Cancel(at=MARCH.isoformat()))
    assert held(await contract.view()) == FREE
    assert (await contract.view()).ends_at == MARCH


async def test_what_is_planned_for_after_the_fall_is_paid_and_said(desk: Desk) -> None:
    """A change planned while the trial runs begins after the fall, without a trial; the answer says so."""
    contract = await sold(desk, trial="P14D")
    result = await contract.do(ChangeSubscription(plan="business", at=FEBRUARY.isoformat()))
    assert "falls then; what is planned begins all the same, and is paid" in result.remarks[0]
    assert kinds(result)["webhooks"] == "gain"
    assert "webhooks" not in await contract.has(END)
    assert "sso" in await contract.has(FEBRUARY)
    with pytest.raises(Conflict, match="would be part of the longer one"):
        await contract.do(ExtendTrial(until=MARCH.isoformat()))
    longer = await contract.do(ExtendTrial(until=FEBRUARY.isoformat()))
    assert "webhooks" in await contract.has(END)
    assert longer.remarks != ()


async def test_a_trial_may_be_bought_from_its_end_on_while_it_runs(desk: Desk) -> None:
    """The tried plan planned for the end of its trial is not nothing new: Free never comes."""
    contract = await sold(desk, trial="P14D")
    result = await contract.do(ChangeSubscription(plan="team", at=END.isoformat()))
    assert (result.outcome, kinds(result)["webhooks"]) == ("applied", "gain")
    assert (await contract.has(END))["editor"] == 12


async def test_time_passes_over_a_planned_purchase(desk: Desk) -> None:
    """Fallen first and then as planned: a change on top of it counts from what was bought."""
    contract = await sold(desk, trial="P14D")
    await contract.do(ChangeSubscription(plan="business", at=FEBRUARY.isoformat()))
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=AFTER))
    await contract.do(ChangeSubscription(plan="team", scheduled="keep"))
    assert [(item.id, item.quantity) for item in (await contract.view()).items] == [("team", 12)]
    assert "sso" in await contract.has(FEBRUARY)
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=MARCH))
    await contract.do(ChangeSubscription(quantity=4))
    assert held(await contract.view()) == {"business": 4}
