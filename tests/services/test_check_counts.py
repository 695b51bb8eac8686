"""Counting checks and writing the counts: once each, whatever becomes of a batch; deleted when they are old."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from msgspec import structs

from licet.connectors.stripe import StripeConnector
from licet.core.catalog import encode_catalog
from licet.core.instant import HOUR, to_instant
from licet.core.question import Context, Question
from licet.core.tally import CheckKey
from licet.core.terms import Attributes
from licet.services.catalogs import apply_catalog
from licet.services.check_counts import (
    COUNTS_KEPT,
    FORGET_AT_ONCE,
    MAX_RECORDS,
    RECORDS_KEPT,
    CheckCounter,
    forget_old_checks,
    list_check_counts,
    list_check_records,
)
from licet.services.checks import Answered, answer
from licet.services.customers import CreateCustomer, create_customer
from licet.services.deliveries import Inbox
from licet.services.errors import Invalid, Unavailable
from licet.services.explanations import explain
from licet.services.rows import CheckBatch, CheckCountRow, CheckFilter, CheckGroups, CheckRecordRow, ChecksLost, Page
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.truth import Catalogs
from licet.store.postgres import PostgresStorage
from licet.store.setup import prepare
from licet.wire.catalog_text import read_catalog
from tests.api.house import Line
from tests.services.desk import LATER, Desk
from tests.store.databases import Server
from tests.store.worlds import World, fresh_world

ALL = CheckFilter()
ASKED = Question(customer="acme", feature="sso", user="ann")


class Snipped(Line):
    """A line that is cut right after it has passed on a commit, before the answer comes back."""

    armed = False
    silent = False

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                if self.silent:
                    continue
                self.silent = self.armed and b"COMMIT\0" in part
                writer.write(part)
                await writer.drain()
                if self.silent:
                    await asyncio.sleep(0.2)
                    await self.cut()
                    self.armed = self.silent = False
        writer.close()


async def ask(desk: Desk, counter: CheckCounter, question: Question = ASKED, times: int = 1) -> Answered:
    """Ask a question, and count it so many times."""
    async with desk.read() as view:
        answered = await answer(view, question, desk.snapshots)
        counter.note(view, [answered] * times)
    return answered


async def rows_of(desk: Desk, groups: CheckGroups, only: CheckFilter = ALL) -> list[CheckCountRow]:
    """The counts."""
    async with desk.read() as view:
        return [*(await list_check_counts(view, only, groups, Page()))[0]]


async def counted(desk: Desk) -> int:
    """How many checks were counted."""
    return sum(row.checks for row in await rows_of(desk, CheckGroups()))


async def on_record(desk: Desk) -> list[CheckRecordRow]:
    """The newest checks on record."""
    async with desk.read() as view:
        return [*await list_check_records(view, ALL, Page(limit=500))]


async def lost(desk: Desk) -> ChecksLost:
    """What could not be counted."""
    async with desk.read() as view:
        return await view.checks_lost()


@pytest.fixture
async def recording(desk: Desk, meridian: bytes) -> Desk:
    """The desk with a catalog that puts every check of sso on record, and a customer who has it."""
    catalog = read_catalog(meridian)
    sso = structs.replace(catalog.features["sso"], record="each", when="context.attributes.beta != true")
    async with desk.write() as tx:
        features = catalog.features | {"sso": sso}
        await apply_catalog(tx, encode_catalog(structs.replace(catalog, features=features)), 1)
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        await sell(tx, "acme", Sell(items=(SoldItem(plan="business"),), accept_breaches=True), desk.catalogs)
    return desk


async def opened(storage: PostgresStorage, meridian: bytes) -> Desk:
    """A desk on a storage."""
    made = Desk(storage, Inbox(storage, {"stripe": StripeConnector()}, Catalogs()))
    await made.open(meridian)
    return made


async def test_a_batch_whose_commit_was_not_answered_counts_once(pg_server: Server, meridian: bytes) -> None:
    """The reply to a commit is lost: the same batch is repeated and changes nothing, what came since is added."""
    with fresh_world(pg_server) as world:
        endpoint = world.database.endpoint
        line = Snipped(endpoint.host, endpoint.port)
        await line.mend()
        dsn = world.database.dsn.partition("@")[0] + f"@127.0.0.1:{line.port}/{world.database.name}"
        async with World(world.database, await prepare(dsn)).storage(size=2) as storage:
            desk = await opened(storage, meridian)
            counter = CheckCounter(storage, "one")
            await ask(desk, counter, times=3)
            await counter.flush("test")
            await ask(desk, counter, times=5)
            line.armed = True
            with pytest.raises(Unavailable):
                await counter.flush("test")
            await line.mend()
            assert counter.waiting() == ["test"]
            assert await counted(desk) == 3 + 5
            await ask(desk, counter, times=7)
            assert (counter.written("test"), counter.newest("test")) == (1, 3)
            await counter.flush("test")
            assert await counted(desk) == 3 + 5
            await counter.flush("test")
            assert await counted(desk) == 3 + 5 + 7
            assert counter.waiting() == []
        await line.cut()


async def test_two_processes_add_up(desk: Desk) -> None:
    """What several processes count under the same key is one number, whoever writes first."""
    counters = [CheckCounter(desk.storage, name) for name in ("one", "two", "three")]
    for counter in counters:
        await ask(desk, counter, times=4)
        await ask(desk, counter, structs.replace(ASKED, user=None), times=2)
    await asyncio.gather(*(counter.flush("test") for counter in counters))
    rows = await rows_of(desk, CheckGroups(by=frozenset({"user"})))
    assert [(row.customer, row.user, row.denied) for row in rows] == [("acme", None, 6), ("acme", "ann", 12)]


async def test_workspaces_never_mix(desk: Desk, meridian: bytes) -> None:
    """Each batch is one workspace's; what one asks is not counted in another."""
    other = await desk.branch("other", meridian)
    counter = CheckCounter(desk.storage, "one")
    await ask(desk, counter, times=2)
    await ask(other, counter, times=3)
    assert sorted(counter.waiting()) == ["other", "test"]
    for workspace in counter.waiting():
        await counter.flush(workspace)
    assert (await counted(desk), await counted(other)) == (2, 3)


async def test_what_storage_never_takes_is_counted_as_lost(desk: Desk) -> None:
    """A batch that can never be written does not stand in the way of the next one, which says how much was lost."""
    counter = CheckCounter(desk.storage, "one")
    answered = await ask(desk, counter)
    broken = structs.replace(answered, decision=structs.replace(answered.decision, customer="x" * 129))
    async with desk.read() as view:
        counter.note(view, [broken] * 2)
    with pytest.raises(Invalid):
        await counter.flush("test")
    await ask(desk, counter, times=5)
    await counter.flush("test")
    assert await counted(desk) == 5
    assert await lost(desk) == ChecksLost(checks=3, records=0)


async def test_without_room_users_give_way_and_totals_stay(desk: Desk) -> None:
    """Of 40 users in a room for 20 keys most are told as others; all their checks are counted."""
    counter = CheckCounter(desk.storage, "one", most=20)
    for place in range(40):
        await ask(desk, counter, structs.replace(ASKED, user=f"u{place:02}"))
        if place in (10, 25):
            await counter.flush("test")
    await ask(desk, counter, structs.replace(ASKED, user="(others)"))
    await counter.flush("test")
    rows = await rows_of(desk, CheckGroups(by=frozenset({"customer", "user"}), by_size=True))
    assert [(row.user, row.others, row.checks) for row in rows[:2]] == [("(others)", "user", 25), ("u00", None, 1)]
    assert sum(row.checks for row in rows) == 41
    by_customer = await rows_of(desk, CheckGroups(by=frozenset({"customer"})))
    assert [(row.customer, row.others, row.checks) for row in by_customer] == [("acme", None, 41)]


async def test_one_who_is_called_others_is_told_from_the_others(desk: Desk) -> None:
    """A customer and a user may be called like the mark for what gave way: their rows say that they are themselves."""
    named = Question(customer="(others)", feature="sso", user="(others)")
    counter = CheckCounter(desk.storage, "one", most=10)
    await ask(desk, counter, named)
    for place in range(20):
        await ask(desk, counter, Question(customer=f"c{place:02}", feature="sso", user="ann"))
    await counter.flush("test")
    rows = await rows_of(desk, CheckGroups(by=frozenset({"user"})))
    others = [(row.customer, row.user, row.others, row.checks) for row in rows if row.customer == "(others)"]
    assert others == [("(others)", "(others)", "customer", 12), ("(others)", "(others)", None, 1)]


async def test_records_keep_what_decides_and_nothing_else(recording: Desk) -> None:
    """Of the context's attributes those are kept that a condition reads; asked again, the record gives its answer."""
    counter = CheckCounter(recording.storage, "one")
    asked: list[Attributes] = [{"beta": False, "email": "ann@example.com"}, {"beta": True, "name": "Ann"}, {}]
    for attributes in asked:
        await ask(recording, counter, structs.replace(ASKED, context=Context(country="DE", attributes=attributes)))
    await counter.flush("test")
    newest, *older = await on_record(recording)
    assert [one.left_out for one in (newest, *older)] == [(), ("name",), ("email",)]
    assert [one.question.context.attributes for one in (newest, *older)] == [{}, {"beta": True}, {"beta": False}]
    assert [one.reason for one in (newest, *older)] == ["policy_denied", "policy_denied", "entitled"]
    async with recording.read() as view:
        for one in (newest, *older):
            again = await explain(view, one.question, recording.snapshots, basis=one.basis)
            assert again.decision.reason == one.reason
            assert one.question.context.country == "DE"


async def test_records_without_room_are_counted_as_lost(recording: Desk) -> None:
    """Beyond 5,000 checks on record that wait, the newest are only counted, and so are those left out."""
    counter = CheckCounter(recording.storage, "one")
    await ask(recording, counter, times=MAX_RECORDS + 3)
    await counter.flush("test")
    await counter.flush("test")
    assert await lost(recording) == ChecksLost(checks=0, records=3)
    assert await counted(recording) == MAX_RECORDS + 3
    assert len(await on_record(recording)) == 500


async def test_what_is_old_is_deleted_in_small_steps(desk: Desk) -> None:
    """Counts go 400 days after their hour, records 90 after their instant, in business time, a thousand at once."""
    now = to_instant(LATER)
    key = CheckKey(0, "acme", "ann", "sso", "entitled", "allowed", "enforce")
    ages = [to_instant(LATER - COUNTS_KEPT) - HOUR, to_instant(LATER - COUNTS_KEPT), now]
    counts = {key._replace(hour=hour, user=f"u{n}"): 1 for hour in ages for n in range(FORGET_AT_ONCE + 1)}
    records = tuple(
        CheckRecordRow(
            id=f"chk_{place}", asked_at=LATER - RECORDS_KEPT - timedelta(microseconds=1 - place), customer="acme",
            user=None, feature="sso", reason="entitled", outcome="allowed", mode="enforce", basis="1:1",
            question=structs.replace(ASKED, user=None),
        )
        for place in (0, 1)
    )  # fmt: skip
    async with desk.write() as tx:
        await tx.keep_checks(CheckBatch(counter="one", number=1, counts=counts, records=records))
    assert await forget_old_checks(desk.storage, "test")
    assert await counted(desk) == len(counts) - FORGET_AT_ONCE
    assert not await forget_old_checks(desk.storage, "test")
    assert await counted(desk) == 2 * (FORGET_AT_ONCE + 1)
    assert [one.id for one in await on_record(desk)] == ["chk_1"]
    assert not await forget_old_checks(desk.storage, "test")
    assert await counted(desk) == 2 * (FORGET_AT_ONCE + 1)
