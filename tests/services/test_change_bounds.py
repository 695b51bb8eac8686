"""Changes by hand at the bounds of what an order may say: what is recorded can be read again, and changed again."""

from datetime import timedelta

from msgspec import structs

from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.terms import MAX_PAUSES, Pause
from licet.services.changes import ChangeSubscription
from licet.services.history import load_orders
from licet.services.orders import receive_order
from licet.services.pauses import ResumeSubscription
from licet.services.subscriptions import Cancel
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk
from tests.services.test_changes import Contract, sold

MINUTE = timedelta(minutes=1)


async def ordered(desk: Desk, contract: Contract, **fields: object) -> None:
    """Put an order into the log as an older release could have taken it."""
    known = await contract.view()
    order = OrderDocument(
        source="manual",
        external_id=known.external_id or "",
        customer=CustomerReferences(id="acme"),
        occurred_at=LATER,
        sequence=1,
        lines=(OrderLine(line="item-1", plan="team", quantity=12, quantity_of="editor"),),
    )
    async with desk.write() as tx:
        assert (await receive_order(tx, structs.replace(order, **fields), desk.catalogs)).outcome == "applied"


async def test_the_highest_sequence_leaves_room_for_changes(desk: Desk) -> None:
    """After an order with the highest sequence there is, each change is newer still, and all can be read."""
    contract = await sold(desk)
    await ordered(desk, contract, sequence=2**53 - 1, zone="Europe/Berlin")
    for quantity in (13, 14):
        assert (await contract.do(ChangeSubscription(quantity=quantity))).outcome == "applied"
    assert (await contract.do(Cancel())).outcome == "applied"
    async with desk.read() as view:
        orders = await load_orders(view, "manual", (await contract.view()).external_id or "")
    assert [one.order.lines[0].quantity for one in orders] == [12, 12, 13, 14, 14]


async def test_a_trial_can_be_resumed_after_very_many_pauses(desk: Desk) -> None:
    """The pause of the trial is one more than are kept: the first is forgotten, and the next commands work."""
    contract = await sold(desk, trial="P14D", trial_end_behavior="pause")
    (trial,) = (await desk.terms("acme")).subscriptions
    pauses = tuple(
        Pause(starts_at=LATER + 2 * place * MINUTE, ends_at=LATER + (2 * place + 1) * MINUTE)
        for place in range(MAX_PAUSES)
    )
    dates = {"trial_start": LATER, "trial_end": trial.trial_end, "trial_end_behavior": "pause"}
    await ordered(desk, contract, pauses=pauses, starts_at=LATER, **dates)
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(days=20)))
    for command in (ResumeSubscription(), ChangeSubscription(quantity=13), Cancel()):
        assert (await contract.do(command)).outcome == "applied"
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert len(subscription.pauses) == MAX_PAUSES
    assert subscription.pauses[-1].starts_at == trial.trial_end
