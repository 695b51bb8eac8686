"""Sealed usage: segments over all facts, roll-ups that say the same, months that go as a whole, and who tampers."""

import asyncio
import random
from datetime import UTC, date, datetime, timedelta

import asyncpg
import msgspec
import pytest

from licet.core.instant import DAY, HOUR, to_datetime, to_instant
from licet.core.usage.facts import Fact
from licet.seal.canonical import canonical
from licet.seal.chain import leaf_hash
from licet.seal.merkle import MerkleTree
from licet.services.errors import Invalid, Unavailable
from licet.services.rows import Page
from licet.services.usage.ports import UsageFilter, UsageHour
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage
from licet.store.usage.hours import MAX_TAIL
from licet.store.usage.months import month_after
from licet.store.usage.sealing import first_previous
from tests.store import rows
from tests.store.usage.load import report
from tests.store.worlds import KEYRING, OPERATOR, World

T0 = to_instant(rows.DAY)


def some(count: int, *, first: int = 1) -> list[Fact]:
    """Reports of acme, one a minute."""
    return [rows.used(number, T0 + number * 60_000_000, kind="report") for number in range(first, first + count)]


async def summed(storage: PostgresStorage, *, days: bool = False, limit: int = 500) -> list[UsageHour]:
    """All summed-up usage, page by page."""
    found: list[UsageHour] = []
    async with storage.read("test") as view:
        while page := await view.usage_hours(
            UsageFilter(), Page(after=found[-1].place if found else "", limit=limit), days=days
        ):
            found += page
    return found


async def test_segments_cover_every_fact_once(storage: PostgresStorage, world: World) -> None:
    """Segments follow each other without gap; anybody can recompute their roots from the rows; each leaves an event."""
    assert await storage.seal("test") is None
    await report(storage, some(7))
    sealed = [await storage.seal("test", 3) for _ in range(4)]
    assert sealed[3] is None
    found = [one for one in sealed if one is not None]
    assert [(one.number, one.first, one.count) for one in found] == [(1, 1, 3), (2, 4, 3), (3, 7, 1)]
    assert [one.previous for one in found] == [first_previous("test"), found[0].root, found[1].root]
    conn = await world.database.connect()
    stored = await conn.fetch("SELECT * FROM usage_fact ORDER BY serial")
    await conn.close()
    tree = MerkleTree()
    for row in stored[:3]:
        leaf = {
            "customer": row["customer"], "doc": row["doc"], "effective_at": row["effective_at"], "id": row["id"].hex(),
            "kind": row["kind"], "recorded_at": row["recorded_at"], "serial": str(row["serial"]),
            "source": row["source"], "wall_at": row["wall_at"],
        }  # fmt: skip
        tree.append(leaf_hash(canonical(leaf)))
    assert tree.root() == found[0].root
    async with storage.read("test") as view:
        assert await view.segments(Page()) == found
        assert await view.segments(Page(after="2")) == found[2:]
        events = await view.events(Page(), type="usage.sealed")
    assert [event.after for event in events] == [
        {
            "number": one.number, "first": one.first, "count": one.count, "root": one.root.hex(),
            "previous": one.previous.hex(),
        }
        for one in found
    ]  # fmt: skip
    assert (await verify_log(storage, "test")).ok


async def test_several_seal_at_once_while_others_post(world: World) -> None:
    """Whoever seals, and whatever is posted meanwhile, every fact is in exactly one segment and summed up once."""
    async with world.storage(size=8) as storage:

        async def seal() -> None:
            for _ in range(15):
                await storage.seal("test", 7)
                await asyncio.sleep(0.005)

        posts = (report(storage, some(5, first=1 + 5 * number)) for number in range(20))
        await asyncio.gather(*posts, seal(), seal(), seal())
        while await storage.seal("test", 30):
            pass
        async with storage.read("test") as view:
            segments = await view.segments(Page(limit=500))
        assert [one.first for one in segments] == [
            1 + sum(prior.count for prior in segments[:at]) for at in range(len(segments))
        ]
        assert sum(one.count for one in segments) == 100
        assert sum(one.quantity for one in await summed(storage)) == 100
        assert (await verify_log(storage, "test")).ok


async def test_sums_are_the_same_sealed_or_not_and_in_any_order(storage: PostgresStorage) -> None:
    """Hours and days say the same before, between and after sealing, in pages of any size."""
    chance = random.Random(3)
    facts = [
        rows.used(
            number, T0 + chance.randrange(3 * DAY), chance.choice(("api", "ai")),
            kind=chance.choice(("report", "consume", "refund", "reserve", "settle", "release", "lease", "return",
                "recovery")),
            metered={chance.choice(("calls", "tokens")): chance.randrange(1, 90)},
            dimensions=chance.choice(({}, {"region": "eu"}, {"region": "us", "model": "x"})),
        )
        for number in range(1, 120)
    ]  # fmt: skip
    await report(storage, facts)
    signs = {"report": 1, "consume": 1, "settle": 1, "return": 1, "refund": -1}
    simple: dict[tuple[str, int, str], int] = {}
    for fact in facts:
        for meter, quantity in fact.metered.items():
            if fact.kind in signs:
                key = (meter, fact.effective // HOUR, msgspec.json.encode(fact.dimensions, order="sorted").decode())
                simple[key] = simple.get(key, 0) + signs[fact.kind] * quantity
    before = await summed(storage), await summed(storage, days=True)
    assert {
        (
            one.meter,
            to_instant(one.hour) // HOUR,
            msgspec.json.encode(one.dimensions, order="sorted").decode(),
        ): one.quantity
        for one in before[0]
    } == simple
    assert sum(one.quantity for one in before[1]) == sum(simple.values())
    while await storage.seal("test", 17):
        assert (await summed(storage, limit=5), await summed(storage, days=True, limit=3)) == before
    assert (await summed(storage), await summed(storage, days=True)) == before
    async with storage.read("test") as view:
        only = UsageFilter(meter="calls", since=rows.DAY + timedelta(days=1), until=rows.DAY + timedelta(days=2))
        part = await view.usage_hours(only, Page(limit=500))
        with pytest.raises(Invalid):
            await view.usage_hours(only, Page(after="nonsense"))
    assert part == [
        one for one in before[0] if one.meter == "calls" and only.since <= one.hour < only.until  # type: ignore[operator]
    ]  # fmt: skip


async def test_highest_and_latest_do_not_depend_on_the_order(storage: PostgresStorage) -> None:
    """Of a level the newest report counts, at one instant the one with the highest id; the highest stays."""
    levels = [(3, T0, 5), (1, T0 + 9, 7), (2, T0 + 9, 6), (4, T0 + 1, 9)]
    for number, at, level in levels:
        await report(storage, [rows.used(number, at, kind="report", metered={"seats": level})])
        await storage.seal("test")
    (found,) = await summed(storage)
    assert (found.events, found.highest, found.latest, found.latest_at) == (4, 9, 6, T0 + 9)


async def test_unique_values_are_counted_once_sealed_or_not(storage: PostgresStorage) -> None:
    """A value counts once in a period however often it came, also where a period begins within an hour."""
    came = [(1, 0, "ann"), (2, 10, "bob"), (3, 50, "ann"), (4, 70, "cy"), (5, 130, "ann")]
    facts = [
        rows.used(number, T0 + minute * 60_000_000, kind="report", values={"people": who})
        for number, minute, who in came
    ]
    await report(storage, facts[:3])
    await storage.seal("test")
    await report(storage, facts[3:])
    periods = {(0, 200): 3, (20, 120): 2, (5, 49): 1, (60, 120): 1, (71, 130): 0, (0, 1): 1}
    for _ in range(2):
        async with storage.read("test") as view:
            for (since, until), count in periods.items():
                given = (T0 + since * 60_000_000, T0 + until * 60_000_000)
                if since // 60 != (until - 1) // 60 or since % 60 == 0:
                    assert await view.unique_values("acme", "people", *given) == count, (since, until)
            assert await view.unique_values("other", "people", T0, T0 + DAY) == 0
        await storage.seal("test")


async def test_a_month_is_made_by_whoever_needs_it(world: World) -> None:
    """Where the month of now is missing, or is lost under a running server, a posting makes it and loses nothing."""
    clock = [to_instant(datetime(2031, 5, 31, 23, 59, 59, tzinfo=UTC))]
    owner = await world.database.connect()
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage:
        assert await report(storage, some(1)) == 1
        clock[0] += 2_000_000
        assert await report(storage, some(1, first=2)) == 1
        await owner.execute("DROP TABLE usage_fact_203106")
        assert await report(storage, some(1, first=3)) == 1
        months = [row["month"] for row in await owner.fetch("SELECT month FROM usage_months()")]
        assert {date(2031, 5, 1), date(2031, 6, 1)} <= set(months)
        async with storage.read("test") as view:
            assert [row.serial for row in await view.usage_facts(UsageFilter(), Page())] == [1, 3]
    await owner.close()


async def test_months_are_dropped_only_when_sealed_forgotten_and_old(world: World) -> None:
    """A month goes with everything in it, not before; hours stay, and the log with its segments still verifies."""
    old = datetime(2026, 1, 15, tzinfo=UTC)
    clock = [to_instant(old)]
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage:
        await report(storage, some(4))
        await report(storage, some(2), "live")
        before = await summed(storage)
        clock[0] += 60 * DAY
        now = to_datetime(clock[0])
        made = await storage.keep_partitions(2, None)
        assert [name for name in made if name <= "usage_fact_202605"] == [
            "usage_fact_202603", "usage_fact_202604", "usage_fact_202605",
        ]  # fmt: skip
        await report(storage, some(1, first=5))
        assert await storage.keep_partitions(0, now) == []
        for workspace in ("test", "live"):
            await storage.seal(workspace)
            assert await storage.keep_partitions(0, now) == []
            assert await storage.forget_usage(workspace, now, now) == {"test": 4, "live": 2}[workspace]
        assert await storage.keep_partitions(0, old) == []
        async with storage.read("test") as view:
            await view.usage_facts(UsageFilter(), Page())
            assert await storage.keep_partitions(0, now) == []
        assert await storage.keep_partitions(0, now) == ["usage_fact_202601"]
        assert await storage.keep_partitions(0, now) == []
        async with storage.post("test", OPERATOR) as post:
            assert set(await post.kept([one.id for one in some(5)])) == {f"{5:032x}"}
        assert sum(one.quantity for one in await summed(storage)) == sum(one.quantity for one in before) + 1
        async with storage.read("test") as view:
            assert [row.serial for row in await view.usage_facts(UsageFilter(), Page())] == [5]
        assert (await verify_log(storage, "test")).ok


async def test_what_is_committed_over_the_turn_of_a_month_is_not_missed(world: World) -> None:
    """A posting of the last moment of a month may have the serials after the first ones of the next."""
    clock = [to_instant(datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC))]
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage:
        await report(storage, some(3))
        clock[0] += 2_000_000
        await report(storage, some(3, first=4))
        owner = await world.database.connect()
        await owner.execute("SET session_replication_role = replica")
        for old, new in ((3, 100), (4, 3), (100, 4)):
            await owner.execute("UPDATE usage_fact SET serial = $2 WHERE serial = $1", old, new)
        await owner.close()
        for workspace in ("test", "live"):
            while await storage.seal(workspace, 5):
                pass
        clock[0] += 60 * DAY
        now = to_datetime(clock[0])
        await storage.forget_usage("test", now, now)
        assert "usage_fact_202601" in await storage.keep_partitions(0, to_datetime(clock[0] - 40 * DAY))
        async with storage.read("test") as view:
            assert [row.serial for row in await view.usage_facts(UsageFilter(), Page())] == [3, 5, 6]
        whole = await verify_log(storage, "test")
        assert whole.ok, whole.faults


async def test_keys_are_kept_for_35_days(world: World) -> None:
    """Whatever is asked, a repetition is known for 35 days."""
    clock = [to_instant(datetime(2026, 1, 15, tzinfo=UTC))]
    async with PostgresStorage(world.access, KEYRING, wall=lambda: clock[0]) as storage:
        await report(storage, some(3))
        await storage.seal("test")
        clock[0] += 35 * DAY
        assert await storage.forget_usage("test", to_datetime(clock[0]), to_datetime(clock[0])) == 0
        assert await report(storage, some(3)) == 0
        clock[0] += 1
        assert await storage.forget_usage("test", to_datetime(clock[0]), to_datetime(clock[0])) == 3


async def test_usage_is_exported_whole(storage: PostgresStorage) -> None:
    """An export has every fact of the filter by serial, from one state."""
    await report(storage, some(5))
    await report(storage, [rows.used(6, T0, customer="other")])
    found = [row async for page in storage.export_usage("test", UsageFilter(customer="acme")) for row in page]
    assert [row.fact for row in found] == some(5)


TAMPERED = {
    "UPDATE usage_fact SET doc = '{}' WHERE serial = 2": "are not those",
    "UPDATE usage_fact SET source = '{\"id\":\"x\"}' WHERE serial = 4": "are not those",
    "DELETE FROM usage_fact WHERE serial = 3": "the first one is 3",
    "DELETE FROM usage_fact WHERE serial = 1": "no month was dropped with them",
    "DELETE FROM usage_fact WHERE serial <= 3": "no month was dropped with them",
    "DELETE FROM usage_fact WHERE serial <= 5": "too new to have been dropped with their month: the first one is 4",
    "DELETE FROM usage_fact WHERE serial = 7": "fact 7 of usage is missing",
    "DELETE FROM usage_fact WHERE serial = 8": "fact 8 of usage is missing",
    "DELETE FROM usage_fact WHERE serial = 9": "fact 9 of usage is missing",
    "DELETE FROM usage_fact WHERE serial > 6; UPDATE usage_tip SET serial = 6": "is known of, but the last one",
    "DELETE FROM usage_fact WHERE serial <= 3; UPDATE usage_seal SET dropped = 3, dropped_until = '2030-01-01'": (
        "not sealed, or too new"
    ),
    "UPDATE usage_seal SET sealed = 7": "is sealed up to fact 7",
    "UPDATE usage_seal SET dropped_until = '2030-01-01'; DELETE FROM usage_hour": "in the hour from",
    "UPDATE usage_segment SET count = 2 WHERE number = 2": "is not as entry",
    "DELETE FROM usage_segment WHERE number = 1": "is not as entry",
    "INSERT INTO usage_segment SELECT 'test', 3, 7, 1, root, root, sealed_at FROM usage_segment WHERE number = 1": (
        "stands beside"
    ),
    "UPDATE usage_hour SET quantity = quantity + 1": "in the hour from",
    "UPDATE usage_day SET events = events + 1": "on the day from",
    "DELETE FROM usage_hour": "not what its facts come to",
    "UPDATE usage_hour SET latest = latest + 1": "in the hour from",
    "UPDATE usage_hour SET latest_at = latest_at + interval '1 second'": "in the hour from",
    "UPDATE usage_day SET latest = 0": "on the day from",
    "UPDATE usage_day SET highest = 99": "on the day from",
    "UPDATE usage_hour SET dimensions = '{\"region\":\"us\"}' WHERE dimensions::text <> '{}'": "in the hour from",
    "UPDATE usage_hour SET split = decode(repeat('00', 16), 'hex') WHERE dimensions::text <> '{}'": "in the hour from",
    "DELETE FROM usage_value": "by different values in the hour from",
    "UPDATE usage_value SET first_at = first_at - interval '1 second'": "by different values",
    "INSERT INTO usage_value SELECT workspace_id, customer, meter, hour, decode(repeat('07', 16), 'hex'), first_at,"
    " last_at FROM usage_value": "by different values",
}  # fmt: skip


@pytest.mark.parametrize("statement", TAMPERED)
async def test_tampering_with_sealed_usage_is_found(storage: PostgresStorage, world: World, statement: str) -> None:
    """Whoever edits, removes or adds sealed usage beside the log is named by the verification."""
    named = rows.used(6, T0, kind="report", values={"people": "ann"}, dimensions={"region": "eu"})
    await report(storage, [*some(5), named])
    for _ in range(2):
        await storage.seal("test", 3)
    await report(storage, some(3, first=7))
    whole = await verify_log(storage, "test")
    assert (whole.ok, "sums by hour and day" in whole.limits) == (True, True), whole.faults
    conn: asyncpg.Connection[asyncpg.Record] = await world.database.connect()
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(statement)
    await conn.close()
    faults = (await verify_log(storage, "test")).faults
    assert {fault.kind for fault in faults} == {"document"}
    assert any(TAMPERED[statement] in fault.words for fault in faults[:2]), faults


def test_months_follow_each_other() -> None:
    """The months after one, over the end of a year."""
    assert [month_after(date(2026, 11, 1), count) for count in (0, 1, 2, 14)] == [
        date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1), date(2028, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('UPDATE funding SET doc = \'{"kind":"grant","amount":1000000,"effective":1}\'', "edited beside the log"),
        ("DELETE FROM funding", "is missing"),
        (
            "INSERT INTO funding SELECT workspace_id, customer, 'grt_2', seq, feature, holder, doc FROM funding",
            "stands",
        ),
    ],
)
async def test_what_was_put_on_balances_is_promised_by_the_log(
    storage: PostgresStorage, world: World, statement: str, words: str
) -> None:
    """Whoever edits, removes or adds a grant beside the log is named by the verification."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer())
        await tx.put_funding("acme", rows.funding())
        await tx.record(rows.note())
    assert (await verify_log(storage, "test")).ok
    conn: asyncpg.Connection[asyncpg.Record] = await world.database.connect()
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(statement)
    await conn.close()
    faults = (await verify_log(storage, "test")).faults
    assert [fault.kind for fault in faults] == ["document"]
    assert words in faults[0].words


async def test_a_long_tail_is_not_summed_up_for_each_question(storage: PostgresStorage, world: World) -> None:
    """Where sealing is far behind, figures have to wait for it; of somebody who used little they are told."""
    await report(storage, [rows.used(1, T0), rows.used(2, T0, customer="other")])
    owner = await world.database.connect()
    await owner.execute(
        "INSERT INTO usage_fact SELECT workspace_id, serial + n, recorded_at, wall_at, effective_at, id, kind,"
        " customer, doc, source FROM usage_fact, generate_series(2, $1::bigint) AS n WHERE serial = 1",
        MAX_TAIL + 1,
    )
    await owner.close()
    async with storage.read("test") as view:
        assert [one.customer for one in await view.usage_hours(UsageFilter(customer="other"), Page())] == ["other"]
        with pytest.raises(Unavailable, match="not summed up yet"):
            await view.usage_hours(UsageFilter(), Page())
