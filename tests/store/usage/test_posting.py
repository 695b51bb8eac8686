"""Postings on the real database: what is written together, in which order, what a repetition finds, who meets whom."""

import asyncio
import random

import asyncpg
import pytest
from msgspec import structs

from licet.core.instant import DAY, HOUR, to_datetime, to_instant
from licet.core.usage.facts import AccountKey, Fact
from licet.services.errors import Unavailable
from licet.services.rows import Page
from licet.services.usage.ports import Collided, KeptKey, Posted, UsageFilter
from licet.store.connections import connect
from licet.store.postgres import PostgresStorage
from licet.store.usage.rows import FactDoc
from tests.dose import dose
from tests.store import rows
from tests.store.usage.load import report
from tests.store.worlds import KEYRING, OPERATOR, World

API = AccountKey("acme", "api")
T0 = to_instant(rows.DAY)


async def post_one(storage: PostgresStorage, key: AccountKey, posted: Posted) -> None:
    """Lock one balance and post."""
    async with storage.post("test", OPERATOR) as post:
        await post.lock([key])
        await post.post(posted)


def test_every_field_of_a_fact_has_its_place() -> None:
    """A field added to facts must be written too: it is a column or a part of the document."""
    columns = {"id", "kind", "effective", "customer"}
    assert {one.name for one in structs.fields(FactDoc)} == {one.name for one in structs.fields(Fact)} - columns


async def test_what_was_posted_is_read(storage: PostgresStorage) -> None:
    """Facts, keys, balances, checkpoints, refusals and reservations are read as they were written."""
    async with storage.post("test", OPERATOR) as post:
        assert await post.lock([API]) == {}
        assert await post.kept([f"{1:032x}"]) == {}
        now = post.time.business
        given = rows.posted("api", now)
        assert await post.post(given) == 1
    async with storage.post("test", OPERATOR) as post:
        found = await post.lock([API, AccountKey("acme", "more")])
        assert found == {API: structs.replace(given.balances[0], serial=2)}
        assert await post.kept([f"{number:032x}" for number in range(9)]) == {f"{1:032x}": given.keys[0]}
        assert await post.due([API], now) == []
        assert await post.due([API], now + HOUR) == list(given.reservations)
        assert await post.due([AccountKey("acme", "api", "user:ann")], now + HOUR) == []
        assert await post.reservations([f"{1:032x}", f"{9:032x}"]) == {f"{1:032x}": given.reservations[0]}
    async with storage.read("test") as view:
        assert await view.balance(API) == structs.replace(given.balances[0], serial=2)
        assert await view.balance(AccountKey("acme", "more")) is None
        assert await view.balances("acme", Page()) == [structs.replace(given.balances[0], serial=2)]
        assert await view.balances("acme", Page(after="api/")) == []
        assert await view.checkpoint(API, now) is None
        # One that says nothing of being whole is not taken for one, whenever it was written.
        assert await view.checkpoint(API, now + 1) == given.checkpoints[0]
        assert await view.facts_of(API) == list(given.facts)
        assert await view.reservation(f"{1:032x}") == given.reservations[0]
        assert await view.open_reservations("acme", Page()) == list(given.reservations)
        assert await view.refused(UsageFilter(customer="acme"), Page()) == list(given.refusals)
        found_rows = await view.usage_facts(UsageFilter(meter="api"), Page())
        assert [(row.serial, row.source) for row in found_rows] == [(1, given.sources[0]), (2, b"{}")]


async def test_a_closed_reservation_and_the_newest_refusal_replace_what_was_there(storage: PostgresStorage) -> None:
    """A reservation is one row that ends, a refused id has one row, and ended reservations are due no more."""
    async with storage.post("test", OPERATOR) as post:
        await post.lock([API])
        now = post.time.business
        given = rows.posted("api", now)
        await post.post(given)
    ended = structs.replace(given.reservations[0], closed="released", closed_by=f"{7:032x}")
    again = structs.replace(given.refusals[0], reason="spend_limit_reached", refused_at=now + 5)
    async with storage.post("test", OPERATOR) as post:
        await post.lock([API])
        await post.post(Posted(reservations=[ended], refusals=[given.refusals[0], again]))
    async with storage.post("test", OPERATOR) as post:
        await post.lock([API])
        assert await post.due([API], now + DAY) == []
    async with storage.read("test") as view:
        assert await view.reservation(f"{1:032x}") == ended
        assert await view.open_reservations("acme", Page()) == []
        assert await view.refused(UsageFilter(), Page()) == [again]
        assert await view.refused(UsageFilter(), Page(after=again.id)) == []


async def test_the_same_id_through_another_balance_collides(storage: PostgresStorage) -> None:
    """The database tells that an id is there already, and nothing of the second posting remains."""
    await report(storage, [rows.used(1, T0)])
    key = AccountKey("acme", "other")
    fact = rows.used(1, T0, "other")
    kept = KeptKey(id=fact.id, body_hash=bytes(16), serial=1, answer=b"")
    with pytest.raises(Collided):
        await post_one(storage, key, Posted(facts=[fact], keys=[kept], balances=[rows.account("other", T0)]))
    async with storage.read("test") as view:
        assert await view.balance(key) is None
        assert [row.serial for row in await view.usage_facts(UsageFilter(), Page())] == [1]


async def test_a_balance_that_was_not_locked_is_not_written(storage: PostgresStorage) -> None:
    """Whoever decides without the lock has made a mistake, which is said rather than written."""
    with pytest.raises(RuntimeError, match="not locked"):
        await post_one(storage, AccountKey("acme", "other"), Posted(balances=[rows.account("api", T0)]))


async def test_permuted_and_repeated_reports_end_in_the_same_state(world: World) -> None:
    """Whatever the order, the batches and the repetitions, and through two connections at once: one state."""
    chance = random.Random(20261122)
    facts = [
        rows.used(number, T0 + chance.randrange(3 * HOUR), chance.choice(("api", "ai")), kind="report")
        for number in range(1, 61)
    ]
    states = []
    async with world.storage() as storage:
        for workspace in ("live", "test"):
            sent = facts + chance.choices(facts, k=40)
            chance.shuffle(sent)
            cuts = [sent[at : at + 9] for at in range(0, len(sent), 9)]
            await asyncio.gather(*(report(storage, cut, workspace) for cut in cuts))
            async with storage.read(workspace) as view:
                found = {key: await view.facts_of(key) for key in (API, AccountKey("acme", "ai"))}
                sums = await view.usage_hours(UsageFilter(), Page())
                balances = [structs.replace(one, serial=0) for one in await view.balances("acme", Page())]
                serials = [row.serial for row in await view.usage_facts(UsageFilter(), Page(limit=500))]
            assert serials == list(range(1, 61))
            states.append((found, sums, balances))
    assert states[0] == states[1]
    assert sum(one.used for one in states[0][2]) == 60


async def test_overlapping_balances_in_opposite_order_neither_wait_for_ever_nor_lose(world: World) -> None:
    """Many postings over the same balances, named in any order and some made by them: each fact counts once."""
    chance = random.Random(7)
    features = [f"f{number}" for number in range(6)]
    rounds = dose(40, full=2_000)

    async def go(storage: PostgresStorage, number: int) -> None:
        picked = chance.sample(features, 3)
        facts = [rows.used(number * 10 + place, T0 + number, one) for place, one in enumerate(picked)]
        assert await report(storage, facts) == 3

    async with world.storage(size=6) as storage:
        async with asyncio.timeout(60):
            await asyncio.gather(*(go(storage, number) for number in range(1, rounds + 1)))
        async with storage.read("test") as view:
            balances = await view.balances("acme", Page())
            for one in balances:
                assert one.state == str(len(await view.facts_of(one.key))).encode()
    assert sum(one.used for one in balances) == 3 * rounds


async def test_balances_locked_crosswise_in_two_steps_collide_and_go_on(world: World) -> None:
    """Who locks in two steps can meet another one: it is told as a collision, and repeating is enough."""
    one, two = AccountKey("acme", "f1"), AccountKey("acme", "f2")
    async with world.storage() as storage:
        await report(storage, [rows.used(1, T0, "f1"), rows.used(2, T0, "f2")])
        both = asyncio.Barrier(2)

        async def cross(first: AccountKey, second: AccountKey) -> str:
            try:
                async with storage.post("test", OPERATOR) as post:
                    await post.lock([first])
                    await both.wait()
                    await post.lock([second])
            except Collided:
                return "collided"
            return "done"

        assert sorted(await asyncio.gather(cross(one, two), cross(two, one))) == ["collided", "done"]
        assert await report(storage, [rows.used(3, T0, "f1"), rows.used(4, T0, "f2")]) == 2


async def test_time_and_tip_are_those_after_the_lock(world: World) -> None:
    """A posting that waited for a balance sees a later time, and the log as it is by then."""
    async with world.storage() as storage:
        await report(storage, [rows.used(1, T0)])
        async with storage.post("test", OPERATOR) as first:
            await first.lock([API])

            async def wait() -> tuple[int, int, int]:
                async with storage.post("test", OPERATOR) as second:
                    began = second.tip
                    await second.lock([API])
                    return began, second.tip, second.time.business

            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.1)
            await first.record(rows.note())
            posted_at = first.time.business
        began, tip, at = await waiting
    assert (began, tip) == (1, 2)
    assert at > posted_at


async def test_events_and_top_ups_are_committed_with_the_facts(storage: PostgresStorage) -> None:
    """What a posting records is in the log with the facts or not at all; funding carries the sequence of its event."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer())
        await tx.record(rows.note())

    async def top_up(number: int, *, fails: bool) -> None:
        async with storage.post("test", OPERATOR) as post:
            await post.lock([API])
            await post.post(Posted(facts=[rows.used(number, T0)], balances=[rows.account("api", T0)]))
            await post.put_funding("acme", rows.funding(f"grt_{number}"))
            await post.record(rows.note(f"n/{number}"))
            if fails:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        await top_up(1, fails=True)
    await top_up(2, fails=False)
    async with storage.read("test") as view:
        assert [event.subject for event in await view.events(Page())][2:] == ["n/2"]
        assert [one.id for one in await view.facts_of(API)] == [f"{2:032x}"]
        assert [(one.id, one.seq) for one in await view.funding("acme")] == [("grt_2", 3)]
        assert await view.funding("acme", 2) == []
        grounds = await view.grounds(["acme", "nobody"])
        assert [(one.customer, one.revision, one.terms_seq, one.funding_seq) for one in grounds] == [("acme", 1, 2, 3)]


async def test_without_events_nobody_touches_the_log(storage: PostgresStorage) -> None:
    """A posting goes through while another transaction holds the log's end."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.record(rows.note())
        await tx.flush()
        async with asyncio.timeout(5):
            assert await report(storage, [rows.used(1, T0)]) == 1


async def test_a_late_fact_forgets_the_checkpoints_after_it(storage: PostgresStorage) -> None:
    """A checkpoint that a late fact belongs into is gone; the one before it stays."""
    for number, at in ((1, T0), (2, T0 + HOUR), (3, T0 + 2 * HOUR)):
        async with storage.post("test", OPERATOR) as post:
            await post.lock([API])
            row = rows.account("api", at, state=str(number).encode())
            await post.post(Posted(facts=[rows.used(number, at)], balances=[row], checkpoints=[row]))
    async with storage.post("test", OPERATOR) as post:
        await post.lock([API])
        late = rows.used(4, T0 + HOUR)
        await post.post(Posted(facts=[late], balances=[rows.account("api", T0 + 2 * HOUR)]))
    async with storage.read("test") as view:
        found = await view.checkpoint(API, T0 + DAY)
    assert found is not None
    assert (found.state, found.as_of) == (b"1", T0)


async def test_facts_as_of_a_known_time_and_from_a_place_on(storage: PostgresStorage) -> None:
    """Facts are those recorded by then, after a place, before an end; a reservation's begin comes with its end."""
    until = T0 + DAY
    begun = rows.used(1, T0, kind="reserve", until=until)
    other = rows.used(5, T0, "ai", kind="reserve", until=until)
    given = rows.posted("api", T0)
    reserved = [structs.replace(given.reservations[0], fact=one) for one in (begun, other)]
    async with storage.post("test", OPERATOR) as post:
        await post.lock([API])
        await post.post(Posted(facts=[begun, other], reservations=reserved, balances=[rows.account("api", T0)]))
        known = post.time.business
    ending = [
        Fact(id=f"{2:032x}", kind="release", effective=T0 + HOUR, customer="acme", of=begun.id),
        Fact(id=f"{6:032x}", kind="release", effective=T0 + HOUR, customer="acme", of=other.id),
    ]
    later = rows.used(3, T0 + 2 * HOUR)
    await report(storage, [*ending, later, rows.used(4, T0 + 2 * HOUR, "ai")])
    async with storage.read("test") as view:
        assert await view.facts_of(API) == [begun, ending[0], later]
        assert await view.facts_of(API, known=to_datetime(known)) == [begun]
        assert await view.facts_of(API, after=(T0, begun.id)) == [begun, ending[0], later]
        assert await view.facts_of(API, after=(T0 + HOUR, ending[0].id)) == [later]
        assert await view.facts_of(API, until=T0 + 2 * HOUR) == [begun, ending[0]]


async def test_holders_see_their_own(storage: PostgresStorage) -> None:
    """A user's balance has the facts of that user; the customer's own has all."""
    await report(storage, [rows.used(1, T0, user="ann"), rows.used(2, T0, user="bob", team="ops"), rows.used(3, T0)])
    async with storage.read("test") as view:
        found = {
            holder: [int(one.id, 16) for one in await view.facts_of(AccountKey("acme", "api", holder))]
            for holder in ("", "user:ann", "user:bob", "team:ops", "user:x")
        }
    assert found == {"": [1, 2, 3], "user:ann": [1], "user:bob": [2], "team:ops": [2], "user:x": []}


async def test_workspaces_share_nothing(storage: PostgresStorage) -> None:
    """The same ids and balances in another workspace are other ones, with serials of their own."""
    await report(storage, [rows.used(1, T0), rows.used(2, T0)], "live")
    assert await report(storage, [rows.used(1, T0)], "test") == 1
    async with storage.read("test") as view:
        assert [row.serial for row in await view.usage_facts(UsageFilter(), Page())] == [1]
        found = await view.balance(API)
    assert found is not None
    assert found.used == 1


async def test_a_lost_connection_is_unavailable(world: World) -> None:
    """Killed in a posting: Unavailable, nothing written, and the next posting works."""
    root = await world.database.connect()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    async with PostgresStorage(world.access, KEYRING, size=2) as storage:

        async def lose() -> None:
            async with storage.post("test", OPERATOR) as post:
                await post.lock([API])
                await root.execute(kill, world.database.name)
                await post.post(Posted(facts=[rows.used(1, T0)], balances=[rows.account("api", T0)]))

        with pytest.raises(Unavailable):
            await lose()
        assert await report(storage, [rows.used(1, T0)]) == 1
    await root.close()


async def test_postings_wait_for_the_disk_whatever_the_database_says(world: World) -> None:
    """The connections of postings flush commits also where the database's own default is not to."""
    root = await world.database.connect()
    await root.execute(f"ALTER DATABASE {world.database.name} SET synchronous_commit = off")
    other = await connect(world.access.app)
    assert await other.fetchval("SHOW synchronous_commit") == "off"
    async with world.storage() as storage, storage.post("test", OPERATOR) as post:
        assert (await post._row("SELECT current_setting('synchronous_commit') AS said, $1::text"))["said"] == "on"  # type: ignore[index]
    for conn in (root, other):
        await conn.close()


async def test_what_the_roles_must_not_do_fails(world: World) -> None:
    """Facts, segments and funding are never changed; the reader writes nothing; nobody gets at a month itself."""
    app, reader, keys = [await connect(login) for login in (world.access.app, world.access.reader, world.access.keys)]
    month = await app.fetchval("SELECT max(month) FROM usage_months()")
    refused = {
        app: [
            *(f"DELETE FROM {table}" for table in ("usage_fact", "usage_segment", "funding")),
            "UPDATE usage_fact SET customer = ''",
            "UPDATE usage_key SET body_hash = ''",
            "DELETE FROM usage_hour",
            f"SELECT 1 FROM usage_fact_{month:%Y%m}",
            f"DROP TABLE usage_fact_{month:%Y%m}",
        ],
        reader: ["DELETE FROM balance", "UPDATE usage_tip SET serial = 0", "SELECT make_usage_month('2031-01-01')"],
        keys: ["SELECT 1 FROM usage_fact", "SELECT 1 FROM balance", "SELECT drop_usage_month('2021-01-01')"],
    }
    for conn, statements in refused.items():
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
    for wrong in ("2026-11-02", "1999-01-01", "2200-01-01"):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await app.execute(f"SELECT make_usage_month('{wrong}')")
    for conn in (app, reader, keys):
        await conn.close()
