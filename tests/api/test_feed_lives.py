"""Random lives of a workspace, and followers of every kind: each ends with what the database holds."""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from licet.api.channel import Rhythm
from licet.api.spool import IN_MEMORY
from licet.door import limits
from licet.evaluator import follower as evaluator
from licet.evaluator.trust import Trust
from licet.evaluator.truth import LocalTruth
from licet.services.rows import Draft
from licet.store.migrate import create_database
from licet.wire.feed import Line
from tests.api.followers import EVENTS, Follower, held_now, open_feeds, poll, stream
from tests.api.house import ALL, MERIDIAN, House, Visitor, problem, release_meridian
from tests.api.test_feed import YAML, customer, follower
from tests.dose import dose
from tests.store.databases import Database, Server, in_thread
from tests.store.worlds import OPERATOR, World, access_to, fresh_world

pytestmark = pytest.mark.postgres

STEPS = dose(40, full=1500)
QUICK = Rhythm(head=0.3, digest=0.5, idle=0.5, full=0.2)


async def live(dice: random.Random, operator: Visitor, house: House, steps: int) -> None:
    """Let things happen in a workspace: customers, users, exceptions, releases, and events that no follower sees."""
    known = [f"c{number}" for number in range(6)]
    for step in range(steps):
        name = dice.choice(known)
        match dice.randrange(7):
            case 0:
                await operator.ask("POST", "/v1/customers", {"id": name})
            case 1 | 2:
                facts = {"roles": dice.sample(["a", "b", "ç"], 2), "attributes": {"n": step, "s": ["x", "é\n"]}}
                person = f"u{dice.randrange(4)}"
                await operator.ask(
                    "PUT", f"/v1/customers/{name}/users/{person}", {**facts, "active": dice.random() < 0.8}
                )
            case 3 | 4:
                await operator.ask("POST", f"/v1/customers/{name}/overrides", {"feature": "projects", "amount": step})
            case 5:
                async with house.storage.write("test", OPERATOR) as tx:
                    await tx.record(Draft(type="test.noted", subject="test"))
            case _:
                newest = (await operator.told("GET", "/v1/catalog"))["revision"]
                changed = MERIDIAN.read_bytes().replace(b"name: Meridian", f"name: M{step}".encode())
                path = f"/v1/catalog?base={newest}"
                await operator.ask("PUT", path, body=changed, headers=YAML)
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.05)


async def following(dice: random.Random, http: httpx.AsyncClient, one: Follower, stop: asyncio.Event) -> None:
    """Follow in every way there is: asking, waiting, streaming, slowly, and breaking off anywhere."""
    while not stop.is_set():
        way = dice.randrange(3)
        with suppress(httpx.HTTPError):
            if way == 0:
                await poll(http, one, wait=dice.choice([0, 1]))
                await asyncio.sleep(dice.random() * 0.1)
                continue
            left = dice.randrange(1, 30)
            async for _ in stream(http, one, slow=0.02 if way == 2 else 0.0):
                left -= 1
                if not left or stop.is_set():
                    break
            one.break_off()


@pytest.mark.parametrize("seed", range(dose(1, full=20)))
async def test_every_follower_ends_with_what_is_there(world: World, seed: int) -> None:
    """Six followers through a random life and two restarts of the server; nobody is told anything twice."""
    dice = random.Random(seed)
    followers = [follower() for _ in range(6)]
    for part in range(2):
        async with open_feeds(world, QUICK) as house:
            operator = await house.holder(*ALL)
            if part == 0 and (await operator.ask("GET", "/v1/catalog")).status_code == 404:
                await release_meridian(operator)
            stop = asyncio.Event()
            tasks = [
                asyncio.create_task(following(random.Random(dice.random()), operator.http, one, stop))
                for one in followers
            ]
            await live(dice, operator, house, STEPS)
            stop.set()
            async with asyncio.timeout(20):
                await operator.ask("POST", "/v1/customers", {"id": f"end{seed}{part}"})
                await asyncio.gather(*tasks)
            truth = await held_now(house)
            for one in followers:
                await poll(operator.http, one)
                assert one.state() == truth
                assert one.cursor == (1, await house.seq())
    assert sum(one.compared for one in followers) > 0, "sums were compared on the way"


async def test_who_falls_behind_gets_one_set(world: World) -> None:
    """A follower that reads nothing while much happens gets it in few sets, and is not kept waiting for."""
    async with open_feeds(world, QUICK) as house:
        operator = await house.holder(*ALL)
        await customer(operator, "slow")
        one, other = follower(), follower()
        await poll(operator.http, one)
        for number in range(30):
            await operator.told("PUT", "/v1/customers/slow/users/u", {"roles": [f"r{number}"]})
            await poll(operator.http, other)
        before = len(one.seen)
        assert await poll(operator.http, one) == "changes"
        assert one.state() == other.state() == await held_now(house)
        assert len(one.seen) - before <= 30


async def test_a_restored_database_is_noticed(pg_server: Server) -> None:
    """An older copy of the database answers no follower that knows more, until its epoch is raised; then all begin
    anew, and what the database that was left behind still says is of an older epoch."""
    with fresh_world(pg_server) as world, _copies(pg_server) as copy:
        async with open_feeds(world) as house:
            operator = await house.holder(*ALL)
            secret = str(operator.secret)
            await customer(operator, "old")
            seq = await house.seq()
        older = copy(world)
        one = follower()
        async with open_feeds(world) as house:
            operator = house.visitor(secret)
            await customer(operator, "new")
            await poll(operator.http, one)
        async with open_feeds(older) as house:
            operator = house.visitor(secret)
            for headers in ({}, EVENTS):
                problem(await operator.ask("GET", f"/v1/feed?{one.query}", headers=headers), 409, "ahead_of_log")
            admin = await older.database.connect()
            await admin.execute("UPDATE workspace SET epoch = 2 WHERE workspace_id = 'test'")
            await admin.close()
            assert await poll(operator.http, one) == "full"
            assert set(one.terms) == {"old"}
            assert one.cursor == (2, seq)
        async with open_feeds(world) as house:
            operator = house.visitor(secret)
            problem(await operator.ask("GET", f"/v1/feed?{one.query}"), 409, "ahead_of_log")


@contextmanager
def _copies(server: Server) -> Iterator[Callable[[World], World]]:
    """Give a way to copy a database that nobody uses just now; the copies are dropped at the end."""
    made: list[Database] = []

    def copy(world: World) -> World:
        name = f"copy_{os.urandom(8).hex()}"
        endpoint = server.endpoint
        in_thread(lambda: create_database(endpoint.admin_dsn(), name, template=world.database.name))
        made.append(Database(name, endpoint.dsn(name), endpoint))
        return World(made[-1], access_to(made[-1].dsn))

    try:
        yield copy
    finally:
        for database in made:
            server.drop(database)


async def load(world: World, customers: int, size: int) -> None:
    """Put many customers with large terms into a database, as if each had been added; with ``size`` 0 valid ones."""
    admin = await world.database.connect()
    try:
        await admin.execute("SET session_replication_role = replica")
        await admin.execute(LOAD, customers, size)
    finally:
        await admin.close()


LOAD = """
    WITH many AS (SELECT 'many' || lpad(n::text, 6, '0') AS id, n FROM generate_series(1, $1::integer) n),
    added AS (
        INSERT INTO customer (workspace_id, id, revision, profile, created_at, updated_at, seq)
        SELECT 'test', id, 1, '{}', now(), now(), 1 FROM many
    )
    INSERT INTO terms (workspace_id, customer, revision, seq, recorded_at, doc)
    SELECT 'test', id, 1, 1, now(), CASE $2::integer
        WHEN 0 THEN json_build_object('customer', id)
        ELSE json_build_object('customer', id, 'pad', repeat('x', $2::integer))
    END FROM many
"""


async def test_many_begin_at_once_from_one_file(pg_server: Server) -> None:
    """Twelve followers begin where a whole feed is larger than what is kept in memory: it is made once, in a file, and
    each gets all of it; in the meantime ordinary requests are answered."""
    with fresh_world(pg_server) as world:
        await load(world, 5_000, 1_000)
        async with open_feeds(world) as house:
            operator = await house.holder(*ALL)
            many = [follower() for _ in range(12)]
            begun = asyncio.gather(*(poll(operator.http, one) for one in many))
            await operator.told("GET", "/v1/clock")
            assert set(await begun) == {"full"}
            assert all(len(one.terms) == 5_000 and one.fulls == 1 for one in many)
            feeds = house.built.parts.feeds
            (kept,) = [one._beginning.made for one in feeds._channels.values()]
            assert kept.spool.size > IN_MEMORY
            await customer(operator, "late")
            late = follower()
            assert await poll(operator.http, late) == "full"
            (again,) = [one._beginning.made for one in feeds._channels.values()]
            assert again is kept, "what was made is followed by what came after it"
            assert len(late.terms) == 5_001
            assert late.seen == [await house.seq()], "one set, one head"
            assert {doc for _, doc in late.terms.values()} >= {doc for _, doc in many[0].terms.values()}


async def test_who_begins_again_gets_no_older_head(pg_server: Server) -> None:
    """A whole state that was made a while ago is sent with all that came after it, a catalog included, and its first
    head is where the log ends: whoever knew a newer state than the one that is kept believes it."""
    with fresh_world(pg_server) as world:
        await load(world, 2_500, 0)
        async with open_feeds(world) as house:
            operator = await house.holder(*ALL)
            one, truth = follower(), LocalTruth(zone_of=ZoneInfo)
            theirs = evaluator.Follower(truth, Trust(root=one.root, workspace="test"))
            await poll(operator.http, one)
            (made,) = [channel._beginning.made for channel in house.built.parts.feeds._channels.values()]
            await release_meridian(operator)
            await customer(operator, "later")
            for name in ("later", "many000007"):
                await operator.told("PUT", f"/v1/customers/{name}/users/ann", {"roles": ["owner"]})
            await poll(operator.http, one)
            for number in range(3):
                one.lose()
                theirs.healing = True
                answer = await operator.ask("GET", "/v1/feed")
                assert answer.headers["licet-feed"] == "full"
                for line in answer.content.splitlines():
                    one.take(json.loads(line))
                    theirs.take(msgspec.json.decode(line, type=Line), time.time_ns() // 1000)
                assert one.cursor == (1, await house.seq())
                assert answer.content.count(b'{"head":') == 1
                assert f"{truth.digest():032x}" == one.sum()
                assert len(one.terms) == 2_501
                await operator.told("PUT", "/v1/customers/later/users/ann", {"roles": [f"r{number}"]})
            (kept,) = [channel._beginning.made for channel in house.built.parts.feeds._channels.values()]
            assert kept is made, "it was made once"


async def test_a_cursor_too_far_back_begins_anew(pg_server: Server) -> None:
    """Where more happened than one set may say, the feed begins anew rather than telling it piece by piece."""
    with fresh_world(pg_server) as world:
        async with open_feeds(world) as house:
            one = follower()
            operator = await house.holder(*ALL)
            await poll(operator.http, one)
            await load(world, limits.MAX_FEED_CHANGES + 1, 1)
            admin = await world.database.connect()
            await admin.execute("SET session_replication_role = replica")
            await admin.execute("UPDATE terms SET seq = $1 WHERE workspace_id = 'test'", await house.seq() + 1)
            await admin.close()
            await customer(operator, "end")
            assert await poll(operator.http, one) == "full"
            assert len(one.terms) == limits.MAX_FEED_CHANGES + 2
