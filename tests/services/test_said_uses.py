"""What callers last said is used of limits: kept with the counts, of each customer and feature the newest."""

from collections.abc import Mapping
from datetime import timedelta

from licet.core.instant import to_instant
from licet.core.question import Question
from licet.core.tally import SaidUse, UseKey
from licet.services.check_counts import COUNTS_KEPT, CheckCounter, forget_old_checks
from licet.services.checks import answer
from licet.services.customers import CreateCustomer, create_customer
from licet.services.rows import CheckBatch
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk

CUSTOMERS = ("acme", "globex", "nobody")


async def say(desk: Desk, counter: CheckCounter, customer: str, used: int | None, feature: str = "projects") -> None:
    """Ask for one more of a feature, and count the question."""
    async with desk.read() as view:
        question = Question(customer=customer, feature=feature, used=used)
        counter.note(view, [await answer(view, question, desk.snapshots)])


async def said(desk: Desk) -> Mapping[str, Mapping[str, int]]:
    """The uses that are stored."""
    async with desk.read() as view:
        return await view.uses_said(CUSTOMERS)


async def test_the_newest_use_of_a_limit_is_kept(desk: Desk) -> None:
    """Of known customers and features of type limit, where the caller says a number; the last one, refused or not."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        await create_customer(tx, CreateCustomer(id="globex"))
    counter = CheckCounter(desk.storage, "one")
    for customer, used in (("acme", 3), ("acme", 25), ("acme", None), ("globex", 0), ("nobody", 5)):
        await say(desk, counter, customer, used)
    await say(desk, counter, "acme", 7, "sso")
    await say(desk, counter, "acme", 7, "no_such_feature")
    assert await said(desk) == {}
    await counter.flush("test")
    assert await said(desk) == {"acme": {"projects": 25}, "globex": {"projects": 0}}
    await say(desk, counter, "acme", 4)
    await counter.flush("test")
    assert await said(desk) == {"acme": {"projects": 4}, "globex": {"projects": 0}}


async def test_a_use_said_earlier_never_replaces_a_later_one(desk: Desk) -> None:
    """A process that could not write for a while brings what it heard earlier: what was said later stays."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
    slow, quick = CheckCounter(desk.storage, "slow"), CheckCounter(desk.storage, "quick")
    await say(desk, slow, "acme", 3)
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(seconds=1)))
    await say(desk, quick, "acme", 8)
    await quick.flush("test")
    await slow.flush("test")
    assert await said(desk) == {"acme": {"projects": 8}}


async def test_workspaces_do_not_see_each_others_uses(desk: Desk, meridian: bytes) -> None:
    """A customer of the same name in another workspace has uses of its own."""
    other = await desk.branch("other", meridian)
    counter = CheckCounter(desk.storage, "one")
    for place, used in ((desk, 3), (other, 9)):
        async with place.write() as tx:
            await create_customer(tx, CreateCustomer(id="acme"))
        await say(place, counter, "acme", used)
        await counter.flush(place.workspace)
    assert await said(desk) == {"acme": {"projects": 3}}
    assert await said(other) == {"acme": {"projects": 9}}


async def test_what_was_said_long_ago_is_deleted(desk: Desk) -> None:
    """Uses go as counts do: 400 days of business time after they were last said."""
    uses = {
        UseKey("acme", "projects"): SaidUse(3, to_instant(LATER - COUNTS_KEPT) - 1),
        UseKey("globex", "projects"): SaidUse(4, to_instant(LATER - COUNTS_KEPT)),
    }
    async with desk.write() as tx:
        await tx.keep_checks(CheckBatch(counter="one", number=1, counts={}, said=uses))
    await forget_old_checks(desk.storage, "test")
    assert await said(desk) == {"globex": {"projects": 4}}
