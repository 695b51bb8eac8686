"""Replay: dead letters are tried again once their cause is mended; each on its own, oldest first."""

import pytest
from msgspec import structs

from licet.connectors.stripe import StripeConnector
from licet.services.catalogs import apply_catalog
from licet.services.customers import ChangeCustomer, CreateCustomer, change_customer, create_customer
from licet.services.deliveries import Inbox, retry_delivery
from licet.services.discards import DiscardDelivery, discard_delivery
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.inbound import Ignored
from licet.services.replay import Replay, replay_deliveries
from licet.services.rows import FindingFilter, Page
from licet.services.sources import PutSource, put_source
from licet.services.truth import Catalogs
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from tests.services.desk import LATER, SECRET, Desk, story
from tests.services.spoken import Spoken, say


async def open_kinds(desk: Desk) -> list[str]:
    """The kinds of all open findings."""
    async with desk.read() as view:
        return [one.kind for one in await view.findings(FindingFilter(state="open"), Page(limit=500))]


async def test_replay_after_the_first_catalog(storage: PostgresStorage, meridian: bytes) -> None:
    """What came before any catalog is kept as failed; once one is released, replay applies all and settles all."""
    desk = Desk(storage, Inbox(storage, {"stripe": StripeConnector()}, Catalogs()))
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", secrets=(SECRET,)))
        await move_clock(tx, MoveClock(frozen_at=LATER))
    told = story()
    for one in (told.subscribe("price_team_monthly", 2), told.pay()):
        result = await desk.deliver(one)
        assert (result.outcome, "no catalog" in result.words) == ("failed", True)
    assert await open_kinds(desk) == ["delivery_failed"] * 2
    before = await replay_deliveries(desk.inbox, "test", "stripe", Replay())
    assert (before.tried, before.outcomes, before.next) == (2, {"failed": 2}, None)
    assert ["no catalog" in one.words for one in before.failing] == [True, True]
    async with desk.write() as tx:
        await apply_catalog(tx, meridian, 0)
    after = await replay_deliveries(desk.inbox, "test", "stripe", Replay())
    assert (after.tried, after.outcomes, after.failing) == (2, {"applied": 2}, [])
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [fact.kind for fact in subscription.payments] == ["paid"]
    assert await open_kinds(desk) == []
    assert (await replay_deliveries(desk.inbox, "test", "stripe", Replay())).tried == 0


async def test_replay_after_a_customer_was_linked(desk: Desk) -> None:
    """A foreign id that is somebody's own id here is refused until that customer is given it."""
    told = story(None)
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id=told.buyer.id))
    bought = told.subscribe("price_team_monthly")
    assert (await desk.deliver(bought)).outcome == "failed"
    async with desk.write() as tx:
        await change_customer(tx, told.buyer.id, ChangeCustomer(external_ids={"stripe": told.buyer.id}))
    assert (await retry_delivery(desk.inbox, "test", "stripe", bought.id)).outcome == "applied"
    assert await open_kinds(desk) == []
    with pytest.raises(Conflict, match="ended as applied"):
        await retry_delivery(desk.inbox, "test", "stripe", bought.id)


async def test_a_refused_order_is_placed_once_the_catalog_explains_it(desk: Desk, meridian: bytes) -> None:
    """An order of nothing but unknown prices is refused; tried again by name after the release, it is in force."""
    bought = story().subscribe("price_of_next_year", 2)
    assert (await desk.deliver(bought)).outcome == "finding"
    vain = await retry_delivery(desk.inbox, "test", "stripe", bought.id)
    assert vain.outcome == "finding"
    assert await open_kinds(desk) == ["unknown_price"]
    assert (await desk.terms("acme")).subscriptions == ()
    async with desk.write() as tx:
        await apply_catalog(tx, meridian.replace(b"price_team_monthly:", b"price_of_next_year:"), 1)
    assert (await retry_delivery(desk.inbox, "test", "stripe", bought.id)).outcome == "applied"
    assert len((await desk.terms("acme")).subscriptions) == 1
    assert await open_kinds(desk) == []
    with pytest.raises(Conflict, match="ended as applied"):
        await retry_delivery(desk.inbox, "test", "stripe", bought.id)


async def test_a_message_that_can_never_be_applied_is_given_up(desk: Desk) -> None:
    """Noise and an unknown status: given up with a note they are no dead letters, owe nobody anything and stay kept."""
    strange = story().subscribe("price_team_monthly")
    strange = structs.replace(strange, body=strange.body.replace(b'"status": "active"', b'"status": "dreaming"'))
    told = [strange, structs.replace(strange, body=b"{}")]
    ids = [(await desk.deliver(one)).delivery for one in told]
    async with desk.read() as view:
        found = await view.findings(FindingFilter(state="open"), Page())
    assert {row.repair for row in found} == {
        f"licet connector discard stripe {one} --note 'it cannot be read'" for one in ids
    }
    for one in ids:
        async with desk.write() as tx:
            given = await discard_delivery(tx, "stripe", one, DiscardDelivery(note="a test of ours"))
        assert (given.outcome, given.words.partition(";")[0]) == ("discarded", "given up: a test of ours")
    assert await open_kinds(desk) == []
    assert len(await desk.events(type="delivery.discarded")) == 2
    async with desk.read() as view:
        status = await view.source_status("stripe")
        rows = await view.findings(FindingFilter(state="resolved"), Page())
    assert (status.failed, status.last_day) == (0, {"discarded": 2})
    assert {row.note for row in rows} == {"given up: a test of ours"}
    assert (await replay_deliveries(desk.inbox, "test", "stripe", Replay())).tried == 0
    assert [(await desk.deliver(one)).outcome for one in told] == ["duplicate", "duplicate"]
    for one in ids:
        assert (await retry_delivery(desk.inbox, "test", "stripe", one)).outcome == "discarded"
    assert await open_kinds(desk) == []
    with pytest.raises(Conflict, match="ended as discarded"):
        async with desk.write() as tx:
            await discard_delivery(tx, "stripe", ids[0], DiscardDelivery(note="again"))


async def test_what_was_given_up_too_early_is_applied_by_name(desk: Desk) -> None:
    """A payment that waited and was given up is no longer set free by its subscription, but can be tried again."""
    told = story()
    bought, paid = told.subscribe("price_team_monthly"), told.pay()
    first = structs.replace(paid, body=paid.body.replace(b'"licet_customer": "acme"', b'"x": "acme"'))
    assert (await desk.deliver(first)).outcome == "waiting"
    with pytest.raises(Invalid, match="note"):
        async with desk.write() as tx:
            await discard_delivery(tx, "stripe", paid.id, DiscardDelivery(note=" "))
    with pytest.raises(NotFound):
        async with desk.write() as tx:
            await discard_delivery(tx, "stripe", "evt_never", DiscardDelivery(note="x"))
    async with desk.write() as tx:
        await discard_delivery(tx, "stripe", paid.id, DiscardDelivery(note="nobody knows it"))
    await desk.deliver(bought)
    assert (await desk.terms("acme")).subscriptions[0].payments == ()
    assert (await retry_delivery(desk.inbox, "test", "stripe", paid.id)).outcome == "applied"
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [fact.kind for fact in subscription.payments] == ["paid"]
    with pytest.raises(Conflict, match="ended as applied"):
        async with desk.write() as tx:
            await discard_delivery(tx, "stripe", paid.id, DiscardDelivery(note="x"))


async def test_a_finding_that_is_tried_again_in_vain_stays_one(desk: Desk) -> None:
    """A refund tried again changes nothing: its message still says that it ended in a finding."""
    told = story()
    refunded = [told.subscribe("price_team_monthly"), told.pay(), told.payment_made(), told.refund()]
    for one in refunded:
        await desk.deliver(one)
    assert (await retry_delivery(desk.inbox, "test", "stripe", refunded[-1].id)).outcome == "duplicate"
    async with desk.read() as view:
        kept = await view.delivery("stripe", refunded[-1].id)
        (found,) = await view.findings(FindingFilter(kind="payment_refunded"), Page())
    assert kept is not None
    assert (kept.outcome, found.seen) == ("finding", 1)


@pytest.fixture
def spoken() -> Spoken:
    """A connector that can be taught."""
    return Spoken()


@pytest.fixture
def inbox(desk: Desk, spoken: Spoken) -> Inbox:
    """An inbox that is told readings."""
    return Inbox(desk.storage, {"stripe": spoken}, desk.catalogs)


async def seven_dead_letters(inbox: Inbox, spoken: Spoken) -> list[str]:
    """Seven messages that nobody can read yet."""
    names = [f"msg_{number}" for number in range(7)]
    spoken.unknown |= {*names}
    for name in names:
        assert (await say(inbox, name, Ignored(words="nothing"))).outcome == "failed"
    return names


async def test_one_that_fails_stops_no_other(inbox: Inbox, spoken: Spoken) -> None:
    """Of seven, the two that still fail are told with words and stay; the rest ends well."""
    names = await seven_dead_letters(inbox, spoken)
    spoken.unknown = {names[0], names[4]}
    told = await replay_deliveries(inbox, "test", "stripe", Replay())
    assert (told.tried, told.outcomes) == (7, {"failed": 2, "ignored": 5})
    assert [(one.delivery, one.type) for one in told.failing] == [(names[0], "Ignored"), (names[4], "Ignored")]
    assert told.failing[0].words == "nobody has taught me msg_0 yet"
    assert (await replay_deliveries(inbox, "test", "stripe", Replay())).tried == 2


async def test_batches_go_on_after_what_still_fails(inbox: Inbox, spoken: Spoken) -> None:
    """Oldest first, so many at a time: what fails again does not stand in the way of the next batch."""
    names = await seven_dead_letters(inbox, spoken)
    seen: list[str] = []
    after = None
    for _ in range(4):
        batch = await replay_deliveries(inbox, "test", "stripe", Replay(limit=3, after=after))
        seen += [one.delivery for one in batch.failing]
        after = batch.next
        if after is None:
            break
    assert seen == names


async def test_a_failure_counts_up_and_is_settled_once(desk: Desk, inbox: Inbox, spoken: Spoken) -> None:
    """The same dead letter tried in vain stays one finding; its success settles it, by the source, in the log."""
    spoken.unknown = {"msg"}
    await say(inbox, "msg", Ignored(words="nothing"))
    await replay_deliveries(inbox, "test", "stripe", Replay())
    async with desk.read() as view:
        (found,) = await view.findings(FindingFilter(state="open"), Page())
    assert (found.kind, found.seen, found.evidence["delivery"]) == ("delivery_failed", 2, "msg")
    spoken.unknown = set()
    await replay_deliveries(inbox, "test", "stripe", Replay())
    async with desk.read() as view:
        settled = await view.finding(found.id)
    assert settled is not None
    assert (settled.state, settled.note) == ("resolved", "tried again: nothing")
    assert len(await desk.events(type="finding.resolved")) == 1


async def test_a_disabled_source_is_not_replayed(desk: Desk, inbox: Inbox, spoken: Spoken) -> None:
    """Neither a replay nor a retry touches a disabled source: its messages stay as they are."""
    (name, *_) = await seven_dead_letters(inbox, spoken)
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", disabled=True))
    with pytest.raises(Conflict, match="disabled"):
        await replay_deliveries(inbox, "test", "stripe", Replay())
    with pytest.raises(Conflict, match="disabled"):
        await retry_delivery(inbox, "test", "stripe", name)
    async with desk.read() as view:
        kept = await view.delivery("stripe", name)
        found = await view.open_finding("delivery_failed", f"stripe:{name}")
    assert kept is not None
    assert found is not None
    assert (kept.outcome, found.seen) == ("failed", 1)


async def test_waiting_messages_are_tried_where_asked(desk: Desk) -> None:
    """Those that wait are left alone unless the replay names them; they go on waiting without harm."""
    told = story()
    told.subscribe("price_team_monthly")
    paid = told.pay()
    assert (await desk.deliver(paid)).outcome == "waiting"
    assert (await replay_deliveries(desk.inbox, "test", "stripe", Replay())).tried == 0
    again = await replay_deliveries(desk.inbox, "test", "stripe", Replay(outcomes=("failed", "waiting")))
    assert (again.outcomes, again.failing) == ({"waiting": 1}, [])


async def test_an_unknown_source_or_message_is_named(desk: Desk) -> None:
    """A source and a message to go on after must exist."""
    with pytest.raises(NotFound, match="fax"):
        await replay_deliveries(desk.inbox, "test", "fax", Replay())
    with pytest.raises(NotFound, match="evt_none"):
        await replay_deliveries(desk.inbox, "test", "stripe", Replay(after="evt_none"))


async def test_what_a_replay_sets_free_is_applied_with_it(desk: Desk) -> None:
    """A dead letter that is applied at last frees what waited for it; the replay counts what it tried itself."""
    told = story(None)
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id=told.buyer.id))
    bought, paid = told.subscribe("price_team_monthly"), told.pay()
    assert [(await desk.deliver(one)).outcome for one in (bought, paid)] == ["failed", "waiting"]
    async with desk.write() as tx:
        await change_customer(tx, told.buyer.id, ChangeCustomer(external_ids={"stripe": told.buyer.id}))
    replayed = await replay_deliveries(desk.inbox, "test", "stripe", Replay(outcomes=("failed", "waiting")))
    assert replayed.outcomes == {"applied": 2}
    async with desk.read() as view:
        ended = {row.id: row.outcome for row in await view.deliveries("stripe", Page())}
    assert ended == {bought.id: "applied", paid.id: "applied"}
