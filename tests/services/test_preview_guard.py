"""What is done by a preview: only what it still tells of live customers, as of now and as they are used now."""

from datetime import timedelta

import pytest

from licet.core.instant import to_datetime
from licet.core.orders import OrderLine
from licet.core.question import Question
from licet.services.catalogs import apply_catalog
from licet.services.check_counts import CheckCounter
from licet.services.checks import answer
from licet.services.errors import BlastRadius, PreviewStale
from licet.services.moves import create_move
from licet.services.preview_guard import NOBODY
from licet.services.proposals import propose_catalog
from licet.store.postgres import PostgresStorage
from tests.services.relocation import CATALOG, OLD_TO_NEW, TODAY, Floor, open_floor
from tests.store import rows

pytestmark = pytest.mark.postgres

SHUT = CATALOG.replace(b"sso: {type: switch, title: SSO}", b'sso: {type: switch, title: SSO, when: "false"}')


@pytest.fixture
async def floor(storage: PostgresStorage) -> Floor:
    """The vendor, without customers."""
    return await open_floor(storage)


async def refused(floor: Floor, preview: str, text: bytes = SHUT, base: int = 1) -> str:
    """Release by a preview that does not do, and return why."""
    async with floor.write() as tx:
        with pytest.raises(PreviewStale) as stale:
            await apply_catalog(tx, text, base, preview=preview, max_losing=9)
    return stale.value.words


async def test_what_was_asked_of_an_instant_only_tells(floor: Floor) -> None:
    """One of a named instant, be it now, never releases: whose rights begin in between was not counted by it."""
    await floor.settle("acme")
    for ago in (timedelta(), timedelta(minutes=5), timedelta(hours=23)):
        async with floor.read() as view:
            now = view.time.business
        seen = await floor.preview(SHUT, at=now - int(ago.total_seconds()) * 1_000_000)
        assert seen.what_if
        assert "as was asked for, not as of now" in await refused(floor, seen.id)


async def test_it_holds_for_an_hour_of_either_time(floor: Floor) -> None:
    """An hour after it was begun a preview is stale, by the business clock and by the real one; not before."""
    await floor.settle("acme")
    async with floor.read() as view:
        content = (await propose_catalog(view, SHUT)).content_hash
    for age, name in ((timedelta(minutes=59), "e" * 32), (timedelta(minutes=61), "f" * 32)):
        async with floor.write() as tx:
            begun = to_datetime(tx.time.wall) - age
            of = {"subject_hash": content, "at": TODAY, "begun_at": begun, "id": f"prv_{name}"}
            await tx.begin_preview(rows.preview(seq=await tx.seq(), **of))
            await tx.finish_preview(f"prv_{name}", NOBODY, to_datetime(tx.time.wall))
    assert "more than an hour ago" in await refused(floor, f"prv_{'f' * 32}")
    await floor.clock(TODAY + timedelta(minutes=59))
    async with floor.write() as tx:
        assert (await apply_catalog(tx, SHUT, 1, preview=f"prv_{'e' * 32}")).revision == 2
    back = await floor.preview(CATALOG)
    await floor.clock(TODAY + timedelta(minutes=120))
    assert "and it holds an hour" in await refused(floor, back.id, CATALOG, 2)


async def say(floor: Floor, **used: int) -> None:
    """Let callers say how many projects customers use."""
    counter = CheckCounter(floor.storage, f"guard {used}")
    for customer, count in used.items():
        async with floor.read() as view:
            asked = Question(customer=customer, feature="projects", used=count)
            counter.note(view, [await answer(view, asked, floor.snapshots)])
    await counter.flush("test")


async def test_uses_said_since_are_judged_again(floor: Floor) -> None:
    """Whoever crossed a lowered limit since, in either direction, counts as of now; others are not judged again."""
    await floor.settle("above", "below", "rising", "falling")
    await floor.sell("apart", lines=(OrderLine(plan="business"),))
    await say(floor, above=18, below=3, rising=15, falling=16, apart=100)
    seen = await floor.foresee()
    assert seen.summary is not None
    assert (seen.summary.losing, seen.summary.exceeding) == (4, 2)
    await say(floor, above=19, below=4, rising=16, falling=15, apart=190)
    async with floor.write() as tx:
        with pytest.raises(BlastRadius, match="4 customers would lose something"):
            await create_move(tx, OLD_TO_NEW, floor.catalogs, preview=seen.id, max_losing=3)
    await say(floor, falling=14, below=16)
    async with floor.write() as tx:
        made = await create_move(tx, OLD_TO_NEW, floor.catalogs, preview=seen.id, max_losing=4)
    (begun,) = await floor.events(type="move.begun", subject=f"move/{made.id}")
    told = begun.after["preview"]
    assert (told["losing"], told["exceeding"], told["judged_again"]) == (4, 3, 3)
