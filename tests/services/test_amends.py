"""Findings about a subscription go by themselves when a newer order no longer gives cause for them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from licet.core.finding import KINDS
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.services.amends import COMBINATION, DIFFERS, DISPUTED, OF_AN_ORDER
from licet.services.orders import OrderResult, receive_order
from licet.services.rows import FindingFilter, Page
from tests.services.desk import Desk

BOUGHT: Final = datetime(2026, 12, 1, 9, tzinfo=UTC)
TEAM: Final = OrderLine(line="1", plan="team")


async def placed(desk: Desk, *lines: OrderLine, days: int = 0, **more: Any) -> OrderResult:
    """Place an order of the one subscription of these tests, so many days after it was bought."""
    order = OrderDocument(
        source="crm",
        external_id="deal/1",
        customer=CustomerReferences(id="acme"),
        occurred_at=BOUGHT + timedelta(days=days),
        lines=lines,
        **more,
    )
    async with desk.write() as tx:
        return await receive_order(tx, order, desk.catalogs)


async def states(desk: Desk) -> dict[str, str]:
    """The state of each finding by kind."""
    async with desk.read() as view:
        return {row.kind: row.state for row in await view.findings(FindingFilter(), Page())}


def test_every_kind_that_is_settled_here_is_registered() -> None:
    """No kind is settled that nobody makes."""
    assert {DIFFERS, DISPUTED, COMBINATION, *OF_AN_ORDER} <= KINDS.keys()


async def test_a_right_order_settles_what_the_one_before_was_wrong_about(desk: Desk) -> None:
    """An unknown price and an unknown item are gone with the next order that has neither; the log says which."""
    await placed(desk, TEAM, OrderLine(line="2", price="nobody-knows"), OrderLine(line="3", addon="nothing-such"))
    assert await states(desk) == {"unknown_price": "open", "unknown_item": "open"}
    await placed(desk, TEAM, OrderLine(line="2", price="nobody-knows"), days=1)
    assert await states(desk) == {"unknown_price": "open", "unknown_item": "resolved"}
    await placed(desk, TEAM, days=2)
    assert await states(desk) == {"unknown_price": "resolved", "unknown_item": "resolved"}
    assert len(await desk.events(type="finding.resolved")) == 2


async def test_an_order_of_nothing_begins_nothing(desk: Desk) -> None:
    """Refused with a finding that the next order settles; an older one that comes late finds it in force."""
    result = await placed(desk)
    assert (result.outcome, result.subscription, [one.kind for one in result.findings]) == (
        "refused",
        None,
        ["nothing_sold"],
    )
    assert (await placed(desk)).outcome == "duplicate"
    await placed(desk, TEAM, days=-3)
    (late,) = (await desk.terms("acme")).subscriptions
    assert [len(phase.items) for phase in late.phases] == [1, 0]
    assert await states(desk) == {"nothing_sold": "open"}
    await placed(desk, TEAM, days=3)
    assert await states(desk) == {"nothing_sold": "resolved"}


async def test_what_is_planned_to_end_as_it_begins_is_never_begun(desk: Desk) -> None:
    """An end in the very instant of a start that is still to come is a finding, as one before it is."""
    begins = BOUGHT + timedelta(days=9)
    result = await placed(desk, TEAM, starts_at=begins, ends_at=begins)
    assert (result.outcome, [one.kind for one in result.findings]) == ("refused", ["ends_before_start"])


async def test_a_late_older_order_settles_nothing(desk: Desk) -> None:
    """What the newest order is wrong about stays, whatever was right before it."""
    await placed(desk, TEAM, OrderLine(line="2", price="nobody-knows"), days=5)
    await placed(desk, TEAM, days=2)
    assert await states(desk) == {"unknown_price": "open"}


async def test_another_subscription_whose_name_begins_alike_is_another(desk: Desk) -> None:
    """The findings of deal/10 are not those of deal/1."""
    await placed(desk, TEAM, OrderLine(line="2", price="nobody-knows"))
    other = OrderDocument(
        source="crm",
        external_id="deal/10",
        customer=CustomerReferences(id="acme"),
        occurred_at=BOUGHT,
        lines=(TEAM,),
    )
    async with desk.write() as tx:
        await receive_order(tx, other, desk.catalogs)
    assert await states(desk) == {"unknown_price": "open"}


async def test_a_rule_that_is_kept_again_is_settled(desk: Desk) -> None:
    """An add-on sold without what it requires is a finding until the plan comes; a plan that comes later is not yet."""
    boost = OrderLine(line="2", addon="api_boost")
    await placed(desk, boost)
    assert await states(desk) == {"combination": "open"}
    await placed(desk, boost, days=1)
    assert await states(desk) == {"combination": "open"}
    await placed(desk, TEAM, boost, days=2)
    assert await states(desk) == {"combination": "resolved"}
