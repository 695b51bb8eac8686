"""Findings as an inbox: who owns them and by when, what is opened once, and how each is settled with its event."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from licet.core.finding import KINDS
from licet.core.money import Money
from licet.core.orders import CustomerReferences, FindingDraft, OrderDocument, OrderLine
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.findings import (
    ChangeFinding,
    change_finding,
    get_finding,
    list_findings,
    put_findings,
    settle_finding,
)
from licet.services.orders import receive_order
from licet.services.rows import FindingFilter, FindingRow, Page
from licet.services.workspaces import MoveClock, move_clock
from licet.wire.event import Event
from tests.services.desk import LATER, Desk

DRAFT = FindingDraft(
    kind="delivery_failed",
    severity="high",
    subject="stripe:evt_1",
    words="it failed",
    evidence={"code": "invalid"},
    money=Money(amount=4900, currency="EUR"),
)


async def noticed(desk: Desk, *drafts: FindingDraft, customer: str | None = None) -> None:
    """Let a rule notice something."""
    async with desk.write() as tx:
        await put_findings(tx, drafts, customer=customer)


async def kept(desk: Desk, *, overdue: bool = False, **only: Any) -> list[FindingRow]:
    """The findings that a filter keeps, by subject; ids of one millisecond are in no order."""
    async with desk.read() as view:
        rows = await list_findings(view, FindingFilter(**only), Page(), overdue=overdue)
    return sorted(rows, key=lambda row: row.subject)


async def changed(desk: Desk, finding: str, **how: Any) -> FindingRow:
    """Change a finding."""
    async with desk.write() as tx:
        return await change_finding(tx, finding, ChangeFinding(**how))


async def told(desk: Desk, finding: str) -> list[Event]:
    """The events about a finding."""
    return await desk.events(subject=f"finding/{finding}")


async def test_a_new_finding_has_owner_due_date_and_repair(desk: Desk) -> None:
    """They come from its kind and severity, in business time; the log tells of it once, without its evidence."""
    await noticed(desk, DRAFT, customer="acme")
    (row,) = await kept(desk)
    assert (row.owner, row.customer, row.money) == ("engineering", "acme", DRAFT.money)
    assert row.due_at == LATER + timedelta(days=1)
    assert row.repair == "licet connector replay stripe --delivery evt_1"
    (event,) = await told(desk, row.id)
    assert (event.type, event.before) == ("finding.opened", None)
    assert event.after == {
        "about": "stripe:evt_1",
        "kind": "delivery_failed",
        "severity": "high",
        "customer": "acme",
        "money": {"amount": 4900, "currency": "EUR"},
        "owner": "engineering",
        "due_at": "2028-01-02T00:00:00Z",
    }


async def test_seen_again_it_is_counted_and_keeps_its_owner(desk: Desk) -> None:
    """An open one takes the newest words; owner and due date stay as people set them, and no event is left."""
    await noticed(desk, DRAFT)
    (first,) = await kept(desk)
    friday = datetime(2028, 3, 3, tzinfo=UTC)
    await changed(desk, first.id, owner="ann", due_at=friday)
    before = await desk.events()
    await noticed(desk, structs.replace(DRAFT, words="it failed again", money=None))
    (again,) = await kept(desk)
    assert (again.id, again.seen, again.words) == (first.id, 2, "it failed again")
    assert (again.owner, again.due_at, again.money) == ("ann", friday, DRAFT.money)
    assert await desk.events() == before


async def test_an_order_opens_one_finding_about_its_customer(desk: Desk) -> None:
    """A price that nobody mapped is one finding with the customer in it, however often orders name the price."""
    order = OrderDocument(
        source="crm",
        external_id="deal-1",
        customer=CustomerReferences(id="acme"),
        occurred_at=datetime(2027, 5, 1, tzinfo=UTC),
        lines=(OrderLine(price="MER-TEAM"), OrderLine(price="MER-ODD")),
    )
    for day in (1, 2):
        async with desk.write() as tx:
            await receive_order(
                tx, structs.replace(order, occurred_at=datetime(2027, 5, day, tzinfo=UTC)), desk.catalogs
            )
    (row,) = await kept(desk)
    assert (row.kind, row.customer, row.seen) == ("unknown_price", "acme", 2)
    assert row.repair == "licet catalog apply catalog.yaml"
    assert [event.type for event in await desk.events(type="finding.opened")] == ["finding.opened"]


async def test_assign_date_and_note(desk: Desk) -> None:
    """Each is one event with what was and what is; null gives back the kind's role and no date; nothing, nothing."""
    await noticed(desk, DRAFT)
    (row,) = await kept(desk)
    friday = datetime(2028, 3, 3, tzinfo=UTC)
    after = await changed(desk, row.id, owner="ann", due_at=friday, note="she knows Stripe")
    assert (after.owner, after.due_at, after.note, after.state) == ("ann", friday, "she knows Stripe", "open")
    assert await changed(desk, row.id, owner="ann") == structs.replace(after)
    assert await changed(desk, row.id) == after
    event = (await told(desk, row.id))[1:]
    assert [one.type for one in event] == ["finding.changed"]
    assert event[0].before["owner"] == "engineering"
    assert event[0].after == {
        "state": "open",
        "owner": "ann",
        "due_at": "2028-03-03T00:00:00Z",
        "note": "she knows Stripe",
    }
    back = await changed(desk, row.id, owner=None, due_at=None)
    assert (back.owner, back.due_at) == ("engineering", None)


async def test_resolve_and_reopen(desk: Desk) -> None:
    """A resolved one has its time and note; seen again it is a new one, beside which the old cannot be opened."""
    await noticed(desk, DRAFT)
    (row,) = await kept(desk)
    done = await changed(desk, row.id, state="resolved", note="mended")
    assert (done.state, done.note, done.settled_at) == ("resolved", "mended", LATER)
    again = await changed(desk, row.id, state="open")
    assert (again.state, again.note, again.settled_at) == ("open", "", None)
    await changed(desk, row.id, state="resolved")
    await noticed(desk, DRAFT)
    assert {(one.id == row.id, one.state) for one in await kept(desk)} == {(True, "resolved"), (False, "open")}
    with pytest.raises(Conflict, match="another finding"):
        await changed(desk, row.id, state="open")
    assert [one.type.partition(".")[2] for one in await told(desk, row.id)] == [
        "opened",
        "resolved",
        "reopened",
        "resolved",
    ]


async def test_a_dismissed_one_stays_dismissed_while_it_says_the_same(desk: Desk) -> None:
    """The very same is only counted; other evidence, other words, other money, or nothing to compare are a new one."""
    bare = structs.replace(DRAFT, subject="stripe:evt_2", evidence={})
    await noticed(desk, DRAFT, bare)
    for row in await kept(desk):
        await changed(desk, row.id, state="dismissed", note="known and agreed")
    before = await desk.events()
    await noticed(desk, DRAFT)
    assert await desk.events() == before
    assert [(row.subject, row.state, row.seen) for row in await kept(desk)] == [
        ("stripe:evt_1", "dismissed", 2),
        ("stripe:evt_2", "dismissed", 1),
    ]
    await noticed(desk, structs.replace(DRAFT, evidence={"code": "conflict"}), bare)
    assert [row.subject for row in await kept(desk, state="open")] == ["stripe:evt_1", "stripe:evt_2"]
    await noticed(desk, DRAFT)
    assert [(row.subject, row.seen) for row in await kept(desk, state="open")] == [
        ("stripe:evt_1", 2),
        ("stripe:evt_2", 1),
    ]


REFUSED: list[tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = [
    ({}, {"state": "open"}, Conflict, "open already"),
    ({}, {"state": "dismissed"}, Invalid, "note"),
    ({}, {"state": "dismissed", "note": "  "}, Invalid, "note"),
    ({"state": "resolved"}, {"state": "resolved"}, Conflict, "resolved already"),
    ({"state": "resolved"}, {"owner": "ann"}, Conflict, "nobody owes it"),
    ({"state": "resolved"}, {"due_at": LATER}, Conflict, "nobody owes it"),
]


@pytest.mark.parametrize("other", [Money(amount=9_900, currency="USD"), Money(amount=4_900, currency="EUR"), None])
async def test_other_money_is_another_finding(desk: Desk, other: Money | None) -> None:
    """What was dismissed over one amount is open again when it is about another, in the same words."""
    stake = structs.replace(DRAFT, money=Money(amount=4_900, currency="USD"))
    await noticed(desk, stake)
    await changed(desk, (await kept(desk))[0].id, state="dismissed", note="agreed")
    await noticed(desk, stake)
    assert await kept(desk, state="open") == []
    await noticed(desk, structs.replace(stake, money=other))
    assert [row.money for row in await kept(desk, state="open")] == [other]


@pytest.mark.parametrize(("first", "then", "error", "words"), REFUSED)
async def test_what_means_nothing_is_refused(
    desk: Desk, first: dict[str, Any], then: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A state it has already, a dismissal without a reason, an owner of what is settled: nothing is written."""
    await noticed(desk, DRAFT)
    (row,) = await kept(desk)
    if first:
        row = await changed(desk, row.id, **first)
    before = await desk.events()
    with pytest.raises(error, match=words):
        await changed(desk, row.id, **then)
    assert (await kept(desk), await desk.events()) == ([row], before)


async def test_a_note_that_grows_in_its_normal_form(desk: Desk) -> None:
    """Text that becomes longer than its room when it is brought into NFC is refused as input; nothing changes."""
    await noticed(desk, DRAFT)
    (row,) = await kept(desk)
    for field, length in (("note", 2000), ("owner", 200)):
        with pytest.raises(Invalid, match=field):
            await changed(desk, row.id, **{field: "\u0958" * length})
    assert await kept(desk) == [row]


async def test_one_that_is_not_there(desk: Desk) -> None:
    """Reading and changing say so."""
    for act in (get_finding, lambda tx, finding: change_finding(tx, finding, ChangeFinding(note="x"))):
        async with desk.write() as tx:
            with pytest.raises(NotFound, match="fnd_nothing"):
                await act(tx, "fnd_nothing")


async def test_a_cause_that_is_gone_settles_it(desk: Desk) -> None:
    """`settle_finding` resolves what is open with its words, says whether there was one, and leaves one event."""
    await noticed(desk, DRAFT)
    (row,) = await kept(desk)
    for expected in (True, False):
        async with desk.write() as tx:
            assert await settle_finding(tx, DRAFT.kind, DRAFT.subject, "applied at last") is expected
    async with desk.read() as view:
        assert (await get_finding(view, row.id)).note == "applied at last"
    assert [one.type for one in await told(desk, row.id)] == ["finding.opened", "finding.resolved"]


async def test_two_who_settle_at_once(desk: Desk) -> None:
    """Of two changes of one finding at the same time the second waits and is told what the first has done."""
    await noticed(desk, DRAFT)
    (row,) = await kept(desk)
    told_back = await asyncio.gather(
        *(changed(desk, row.id, state="dismissed", note=name) for name in ("ann", "bob")), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in told_back) == ["Conflict", "FindingRow"]
    assert len(await told(desk, row.id)) == 2


async def test_filters(desk: Desk) -> None:
    """Each filter keeps what it names; overdue keeps open ones that are due by the business clock."""
    later = structs.replace(DRAFT, kind="combination", severity="low", subject="crm:1/x", customer="globex")
    await noticed(desk, DRAFT, later, customer="acme")
    two, one = await kept(desk)
    cases: list[tuple[dict[str, Any], list[FindingRow]]] = [
        ({"kind": "combination"}, [two]),
        ({"severity": "high"}, [one]),
        ({"customer": "globex"}, [two]),
        ({"customer": "acme"}, [one]),
        ({"owner": "engineering"}, [one]),
        ({"owner": "Engineering"}, []),
        ({"state": "resolved"}, []),
    ]
    for only, found in cases:
        assert await kept(desk, **only) == found, only
    assert await kept(desk, overdue=True) == []
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(days=1)))
    assert await kept(desk, overdue=True) == [one]
    await changed(desk, one.id, state="resolved")
    assert await kept(desk, overdue=True) == []


async def test_filters_that_make_no_sense(desk: Desk) -> None:
    """A kind that does not exist is told with the one that was meant; settled and overdue contradict each other."""
    with pytest.raises(Invalid, match="unknown_prices"):
        await kept(desk, kind="unknown_prices")
    with pytest.raises(Invalid, match="never overdue"):
        await kept(desk, state="resolved", overdue=True)


LONG: dict[str, Callable[[int], str]] = {
    "same beginning": lambda n: "x" * 500 + str(n),
    "escaped": lambda n: "%3A" * 200 + str(n),
}


@pytest.mark.parametrize("name", LONG)
async def test_long_subjects_stay_apart(desk: Desk, name: str) -> None:
    """Subjects beyond their column's room are kept short and stay two; each is found again to be settled."""
    drafts = [structs.replace(DRAFT, subject=LONG[name](n), words="w" * 5000) for n in (1, 2)]
    await noticed(desk, *drafts)
    await noticed(desk, *drafts)
    assert [row.seen for row in await kept(desk)] == [2, 2]
    async with desk.write() as tx:
        assert await settle_finding(tx, DRAFT.kind, drafts[1].subject, "done")
    assert [row.state for row in await kept(desk)] == ["open", "resolved"]


async def test_every_kind_can_be_kept(desk: Desk) -> None:
    """A finding of each registered kind, with evidence of the worst sort, fits the table and has owner and repair."""
    odd = {"price": "$(reboot)\n", "item": "x" * 4000, "invoices": ["a", "b"], "sequence": 7, "line": None}
    await noticed(desk, *(structs.replace(DRAFT, kind=kind, evidence=odd) for kind in KINDS), customer="a;b")
    rows = await kept(desk)
    assert {row.kind for row in rows} == set(KINDS)
    assert all(row.owner and row.repair and row.due_at for row in rows)
