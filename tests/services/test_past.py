"""The truth of a past instant, whole: catalog, terms and user as they were known then, or later, or by a basis."""

import re
from datetime import datetime, timedelta
from functools import partial

import pytest

from licet.core.explain import Node
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.question import Question
from licet.services.catalogs import apply_catalog
from licet.services.checks import check, entitlements
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import Invalid, NoCatalogThen
from licet.services.explanations import explain
from licet.services.invoices import RecordPayment, record_payment
from licet.services.orders import receive_order
from licet.services.overrides import AddOverride, add_override
from licet.services.pauses import PauseSubscription, pause
from licet.services.subscriptions import Cancel, Sell, SoldItem, cancel, sell
from licet.services.users import PutUser, put_user
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, OPERATOR, Desk

AUTOPILOT = Question(customer="acme", feature="autopilot", user="ann")
SSO = Question(customer="acme", feature="sso")
DAY = timedelta(days=1)


@pytest.fixture
async def acme(desk: Desk) -> Desk:
    """A desk whose customer acme has the plan business since LATER."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        await sell(tx, "acme", Sell(items=(SoldItem(plan="business"),)), desk.catalogs)
    return desk


async def wait(desk: Desk, days: float) -> None:
    """Let the business clock stand so many days after LATER."""
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + days * DAY))


def nodes(node: Node) -> list[Node]:
    """A tree's nodes."""
    return [node, *(found for child in node.children for found in nodes(child))]


async def test_a_user_is_known_as_it_was(acme: Desk) -> None:
    """Roles given and taken, and a user switched off, count for the instants and bases at which they were known."""
    bases, stages = [], [(), ("planner",), ("planner", "admin"), ()]
    for day, roles in enumerate(stages, start=1):
        await wait(acme, day)
        async with acme.write() as tx:
            await put_user(tx, "acme", "ann", PutUser(roles=roles, active=day != 3))
        async with acme.read() as view:
            bases.append((await check(view, AUTOPILOT, acme.snapshots)).basis)
    await wait(acme, 9)
    async with acme.read() as view:
        for day, basis in enumerate(bases, start=1):
            by_time = await explain(view, AUTOPILOT, acme.snapshots, at=LATER + day * DAY)
            by_basis = await explain(view, AUTOPILOT, acme.snapshots, basis=basis)
            expected = None if day == 2 else ("policy_denied",)
            assert by_time.decision.would_deny == by_basis.decision.would_deny == expected, day
            assert by_basis.decision.basis == basis
        before = await explain(view, AUTOPILOT, acme.snapshots, at=LATER + DAY / 2)
    assert before.decision.would_deny == ("policy_denied",)


async def test_what_is_known_now_about_then(acme: Desk) -> None:
    """An order that came late changes what is known now about an instant, not what was known at it."""
    async with acme.write() as tx:
        await create_customer(tx, CreateCustomer(id="slow"))
    await wait(acme, 10)
    async with acme.write() as tx:
        late = Sell(items=(SoldItem(plan="business"),), starts_at=LATER + 2 * DAY)
        await sell(tx, "slow", late, acme.catalogs)
    question = Question(customer="slow", feature="sso")
    async with acme.read() as view:
        at = LATER + 5 * DAY
        then = await explain(view, question, acme.snapshots, at=at)
        now = await explain(view, question, acme.snapshots, at=at, known=LATER + 10 * DAY)
        beyond = await explain(view, question, acme.snapshots, at=at, known=LATER + 99 * DAY)
        earlier = await explain(view, question, acme.snapshots, known=at)
        listed = [
            {
                one.feature: one.reason
                for one in (await entitlements(view, "slow", acme.snapshots, **given)).entitlements
            }
            for given in ({"at": at}, {"at": at, "known": LATER + 10 * DAY}, {"at": at, "basis": now.decision.basis})
        ]
    assert [one.decision.reason for one in (then, now, beyond, earlier)] == [
        "not_entitled", "entitled", "entitled", "not_entitled",
    ]  # fmt: skip
    assert [one.get("sso") for one in listed] == [None, "entitled", "entitled"]


async def test_every_fact_names_its_event(acme: Desk, meridian: bytes) -> None:
    """Order, subscription, plan version, override and catalog each name the event that brought them, with its words."""
    changed = meridian.replace(b"title: SAML single sign-on", b"title: Single sign-on")
    await wait(acme, 1)
    async with acme.storage.write("test", OPERATOR, note="clearer title") as tx:
        await apply_catalog(tx, changed, 1)
    async with acme.write() as tx:
        await add_override(tx, "acme", AddOverride(feature="sso", note="while we wait"), acme.catalogs)
    async with acme.read() as view:
        told = await explain(view, SSO, acme.snapshots)
        found = {one.kind: one for one in nodes(told.tree)}
        kinds = ("order", "subscription", "plan", "override", "catalog")
        named = {event.id: event for event in await view.events_named([found[kind].event or "" for kind in kinds])}
    types = [named[found[kind].event or ""].type for kind in kinds]
    assert types == ["order.applied", "order.applied", "catalog.released", "override.added", "catalog.released"]
    # The version came with the first release, the catalog in force with the second.
    releases = [named[found[kind].event or ""].revision for kind in ("plan", "catalog")]
    assert releases == [1, 2]
    assert "clearer title" in found["catalog"].text
    assert all("local:tester" in found[kind].text for kind in kinds)


async def test_what_a_trial_falls_to_names_its_release(acme: Desk, meridian: bytes) -> None:
    """The plan version that a trial fell to names the release that brought it, and so does the one that was tried."""
    async with acme.write() as tx:
        await create_customer(tx, CreateCustomer(id="tried"))
        trial = Sell(items=(SoldItem(plan="team"),), trial="P14D", trial_end_behavior="fall")
        await sell(tx, "tried", trial, acme.catalogs)
    await wait(acme, 20)
    await acme.release(meridian.replace(b"title: SAML single sign-on", b"title: Single sign-on"))
    async with acme.read() as view:
        told = await explain(view, Question(customer="tried", feature="projects"), acme.snapshots)
        plans = {(one.id or "").partition("@")[0]: one for one in nodes(told.tree) if one.kind == "plan"}
        named = {one.id: one for one in await view.events_named([one.event or "" for one in plans.values()])}
    assert plans.keys() == {"free", "team"}
    for plan in plans.values():
        assert (named[plan.event or ""].type, named[plan.event or ""].revision) == ("catalog.released", 1)
        assert "(catalog.released by local:tester, " in plan.text


async def test_the_order_that_counts_is_named(acme: Desk) -> None:
    """A subscription names the order by which it stands: the newest by its own time, at each instant as known then;
    an older one that came later is not named."""
    placed: list[str] = []
    for day, occurred in ((1, 1), (3, 3), (5, 2)):
        await wait(acme, day)
        lines = (OrderLine(line="1", plan="business", quantity=day),)
        order = OrderDocument(
            source="crm",
            external_id="deal",
            customer=CustomerReferences(id="buyer"),
            occurred_at=LATER + occurred * DAY,
            lines=lines,
        )
        async with acme.write() as tx:
            placed.append((await receive_order(tx, order, acme.catalogs)).order or "")
    question = Question(customer="buyer", feature="sso")
    async with acme.read() as view:
        told = [await explain(view, question, acme.snapshots, at=LATER + day * DAY) for day in (1, 3, 5)]
    named = [next(one.event for one in nodes(each.tree) if one.kind == "order") for each in told]
    assert named == [placed[0], placed[1], placed[1]]


async def test_what_stands_in_the_way_names_its_event(acme: Desk) -> None:
    """What is owed names the event of the missed payment, a pause and an end those that brought them."""
    async with acme.read() as view:
        known = await view.terms("acme")
    assert known is not None
    (subscription,) = known.terms.subscriptions
    await wait(acme, 1)
    async with acme.write() as tx:
        await record_payment(tx, "acme", subscription.id, RecordPayment(invoice="in_1", kind="failed"), acme.catalogs)
    await wait(acme, 2)
    async with acme.write() as tx:
        await pause(tx, "acme", subscription.id, PauseSubscription(), acme.catalogs)
    await wait(acme, 3)
    async with acme.write() as tx:
        await cancel(tx, "acme", subscription.id, Cancel(), acme.catalogs)
    async with acme.read() as view:
        found = {}
        for day, kind in ((1, "episode"), (2, "standing"), (3, "standing")):
            told = await explain(view, SSO, acme.snapshots, at=LATER + day * DAY)
            (node,) = (one for one in nodes(told.tree) if one.kind == kind)
            (event,) = await view.events_named([node.event or ""])
            found[node.text.split(",")[0].split(" since")[0]] = (event.type, (event.recorded_at - LATER) / DAY)
    assert found == {
        "owed": ("payment.recorded", 1),
        "standing: paused": ("order.applied", 2),
        "standing: ended": ("order.applied", 3),
    }


async def test_moments_that_make_no_sense(acme: Desk) -> None:
    """A basis beyond the log is refused with the log's end; an instant before the first release with that one's."""
    async with acme.read() as view:
        last = await view.seq()
        with pytest.raises(Invalid, match=f"beyond the log, which ends at {last}"):
            await explain(view, SSO, acme.snapshots, basis=f"1:{last + 1}")
        with pytest.raises(NoCatalogThen, match="no catalog had been released by basis 1:1; the first one was at"):
            await entitlements(view, "acme", acme.snapshots, basis="1:1")


async def test_the_past_before_the_first_release(acme: Desk) -> None:
    """What counted before there was a catalog is refused, with what does answer: asking by what is known now."""
    before = LATER - 4000 * DAY
    async with acme.write() as tx:
        await sell(tx, "acme", Sell(items=(SoldItem(plan="team"),), starts_at=before - DAY), acme.catalogs)
    async with acme.read() as view:
        for ask in (
            partial(explain, view, Question(customer="acme", feature="projects"), acme.snapshots, at=before),
            partial(entitlements, view, "acme", acme.snapshots, at=before),
        ):
            with pytest.raises(NoCatalogThen) as refused:
                await ask()
            said = re.search(r"known_at=(\S+) \(in a shell: --known-at \1\), without a basis", refused.value.advice)
            assert said is not None
            assert "allowed=True" in str(await ask(known=datetime.fromisoformat(said[1])))
