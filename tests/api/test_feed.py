"""The feed over HTTP: what a follower that knows only the protocol ends with is what the database holds."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from licet.api.channel import Rhythm
from licet.evaluator import follower as evaluator
from licet.evaluator.trust import Trust
from licet.evaluator.truth import LocalTruth
from licet.seal.keyset import open_with
from licet.seal.paserk import public_of, write_public
from licet.services.signing import RotateFeedKey, revoke_feed_key, rotate_feed_key
from licet.wire.feed import Line
from tests.api.followers import EVENTS, Follower, held_now, open_feeds, poll, stream
from tests.api.house import ALL, MERIDIAN, House, Visitor, problem, release_meridian, root_of
from tests.store.worlds import OPERATOR, World

pytestmark = pytest.mark.postgres

YAML = {"Content-Type": "application/yaml"}
ROOT = write_public(public_of(root_of("test")))


def follower(**more: Any) -> Follower:
    """Return somebody who follows the workspace ``test``."""
    return Follower("test", ROOT, **more)


async def until(holds: Callable[[], object]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110 what is waited for happens elsewhere
            await asyncio.sleep(0.01)


async def customer(operator: Visitor, name: str) -> None:
    """Add a customer."""
    await operator.told("POST", "/v1/customers", {"id": name, "name": name.title()})


async def test_a_follower_gets_all_then_changes_then_nothing(house: House, operator: Visitor) -> None:
    """The first answer is everything, the next what is new, and a head alone where nothing is."""
    one = follower()
    assert await poll(operator.http, one) == "full"
    assert one.catalog is None
    await release_meridian(operator)
    await customer(operator, "acme")
    assert await poll(operator.http, one) == "changes"
    assert set(one.terms) == {"acme"}
    assert one.catalog_hash
    assert await poll(operator.http, one) == "none"
    assert one.cursor == (1, await house.seq())
    assert one.state() == await held_now(house)


async def test_a_stream_goes_on(house: House, operator: Visitor) -> None:
    """A stream tells what is there, then each change as it is committed, a released catalog included."""
    one, begun = follower(), False
    async with asyncio.timeout(10):
        async for _ in stream(operator.http, one):
            if one.heads and not begun:
                begun, before = True, one.catalog_hash
                await customer(operator, "globex")
                changed = MERIDIAN.read_bytes().replace(b"Meridian", b"Meridiana")
                assert (await operator.ask("PUT", "/v1/catalog?base=1", body=changed, headers=YAML)).is_success
            if "globex" in one.terms and one.catalog_hash != before:
                break
    assert one.cursor == (1, await house.seq())
    assert one.state() == await held_now(house)


async def test_waiting_ends_with_what_comes(operator: Visitor) -> None:
    """A request that waits is answered as soon as something is new, and after its time with a head alone."""
    one = follower()
    await poll(operator.http, one)
    began = time.monotonic()
    assert await poll(operator.http, one, wait=1) == "none"
    assert time.monotonic() - began >= 0.9
    waiting = asyncio.create_task(poll(operator.http, one, wait=20))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await customer(operator, "initech")
    assert await waiting == "changes"
    assert time.monotonic() - began < 5
    assert "initech" in one.terms


async def test_somebody_who_picks_holds_nobody_at_first(house: House, operator: Visitor) -> None:
    """Without rows at the beginning; each customer is asked for as of the cursor, and changes come as to all."""
    one = follower(held={"umbrella"})
    await customer(operator, "umbrella")
    await operator.told("PUT", "/v1/customers/umbrella/users/ann", {"roles": ["owner"], "attributes": {"desk": 4}})
    await operator.told("PUT", "/v1/customers/umbrella/users/bob", {"roles": ["guest"], "attributes": {}})
    assert await poll(operator.http, one, picked=True) == "full"
    assert one.state() == ({}, {})
    assert one.cursor is not None
    at = f"{one.cursor[0]}:{one.cursor[1]}"
    await operator.told("PUT", "/v1/customers/umbrella/users/bob", {"roles": ["owner"], "attributes": {}})
    answer = await operator.ask("GET", f"/v1/feed/customers/umbrella?cursor={at}")
    frames = [json.loads(line)["frame"] for line in answer.content.splitlines()]
    assert len(frames) == 1
    assert one.keyset is not None
    picked = json.loads(open_with(frames[0], one.keyset, "feed", time.time_ns() // 1000))
    assert (picked["kind"], picked["customer"], picked["last"]) == ("pick", "umbrella", True)
    assert f"{picked['epoch']}:{picked['since']}" == f"{picked['epoch']}:{picked['seq']}" == at
    assert {user["user"]: user["roles"] for user in picked["users"]} == {"ann": ["owner"], "bob": ["guest"]}
    one.put(picked["terms"][0], json.dumps(picked["terms"][0]["doc"], separators=(",", ":")).encode())
    for user in picked["users"]:
        one.put_user(user)
    assert await poll(operator.http, one) == "changes"
    terms, users = await held_now(house)
    assert one.users == {whose: facts for whose, facts in users.items() if whose[0] == "umbrella"}
    assert one.terms == {"umbrella": terms["umbrella"]}


async def test_of_a_customer_nobody_knows_there_are_no_rows(house: House, operator: Visitor) -> None:
    """Not knowing a customer is an answer too, signed as any other."""
    answer = await operator.ask("GET", f"/v1/feed/customers/nobody?cursor=1:{await house.seq()}")
    one = follower()
    await poll(operator.http, one)
    assert one.keyset is not None
    token = json.loads(answer.content)["frame"]
    frame = json.loads(open_with(token, one.keyset, "feed", time.time_ns() // 1000))
    assert (frame["customer"], frame.get("terms", []), frame.get("users", [])) == ("nobody", [], [])


async def test_who_is_not_active_has_no_facts(house: House, operator: Visitor) -> None:
    """A user who was switched off is told as such, and nothing else of them is."""
    await customer(operator, "hooli")
    await operator.told("PUT", "/v1/customers/hooli/users/gavin", {"roles": ["ceo"], "attributes": {"floor": 9}})
    one = follower()
    await poll(operator.http, one)
    assert one.users["hooli", "gavin"][1]["roles"] == ["ceo"]
    await operator.told("PUT", "/v1/customers/hooli/users/gavin", {"roles": ["ceo"], "active": False})
    await poll(operator.http, one)
    assert one.users["hooli", "gavin"][1] == {"active": False, "attributes": {}, "roles": []}
    again = follower()
    await poll(operator.http, again)
    assert one.state() == again.state() == await held_now(house)


@pytest.mark.parametrize("cursor", ["7", "1:", "1:x", "01:3", "1:-3", "0:3", "1:3 ", "1:³"])
async def test_what_is_no_cursor_is_refused(operator: Visitor, cursor: str) -> None:
    """A cursor has one spelling; any other is named in the problem."""
    for path in ("/v1/feed", "/v1/feed/customers/acme"):
        answer = await operator.http.get(path, params={"cursor": cursor})
        assert problem(answer, 400, "invalid")["detail"]


async def test_a_cursor_beyond_the_log_is_never_served(house: House, operator: Visitor) -> None:
    """A follower that knows more than the log is told why, with what an operator does about it."""
    beyond = await house.seq() + 1
    for cursor in (f"1:{beyond}", "2:1"):
        for path in ("/v1/feed", "/v1/feed/customers/acme"):
            for headers in ({}, EVENTS):
                answer = await operator.ask("GET", f"{path}?cursor={cursor}", headers=headers)
                assert "licet epoch raise" in problem(answer, 409, "ahead_of_log")["advice"]


async def test_another_epoch_begins_anew(world: World) -> None:
    """After the epoch is raised a stream ends, and a cursor of the epoch before gets everything."""
    async with open_feeds(world) as house:
        operator = await house.holder(*ALL)
        await customer(operator, "soylent")
        one = follower()
        streaming = asyncio.create_task(_until_it_ends(operator.http, one))
        await until(lambda: one.heads)
        admin = await world.database.connect()
        await admin.execute("UPDATE workspace SET epoch = epoch + 1 WHERE workspace_id = 'test'")
        await admin.close()
        await customer(operator, "tyrell")
        async with asyncio.timeout(5):
            await streaming
        before = one.cursor
        assert await poll(operator.http, one) == "full"
        assert before is not None
        assert one.cursor is not None
        assert one.cursor > before
        assert one.cursor[0] == before[0] + 1
        assert one.state() == await held_now(house)
        picked = await operator.ask("GET", f"/v1/feed/customers/acme?cursor={before[0]}:{before[1]}")
        problem(picked, 400, "invalid")
        admin = await world.database.connect()
        await admin.execute("UPDATE workspace SET epoch = epoch - 1 WHERE workspace_id = 'test'")
        await admin.close()


async def _until_it_ends(http: httpx.AsyncClient, one: Follower) -> None:
    async for _ in stream(http, one):
        pass


async def test_a_new_key_comes_with_its_keyset(house: House, operator: Visitor) -> None:
    """A stream goes on over a rotation and a revocation; nothing comes that the newest keyset does not believe."""
    one = follower()
    names = iter(("wayne", "stark", "cyberdyne"))
    async with asyncio.timeout(15):
        streaming = asyncio.create_task(_until_it_ends(operator.http, one))
        await until(lambda: one.heads)
        assert one.keyset is not None
        old = one.keyset
        async with house.storage.write("test", OPERATOR) as tx:
            await rotate_feed_key(tx, root_of("test"), RotateFeedKey())
        await customer(operator, next(names))
        await until(lambda: "wayne" in one.terms)
        assert one.keyset.version > old.version
        async with house.storage.write("test", OPERATOR) as tx:
            await revoke_feed_key(tx, root_of("test"), one.keyset.keys[0].id)
        await customer(operator, next(names))
        await until(lambda: "stark" in one.terms)
    streaming.cancel()
    await asyncio.gather(streaming, return_exceptions=True)
    late = follower()
    await poll(operator.http, late)
    assert late.state() == one.state() == await held_now(house)


async def test_sums_are_compared(world: World) -> None:
    """The sum of all rows comes with later heads, and is what a follower that stood there has."""
    async with open_feeds(world, Rhythm(head=0.1, digest=0.3)) as house:
        operator = await house.holder(*ALL)
        one, streaming = follower(), None
        async with asyncio.timeout(15):
            streaming = asyncio.create_task(_until_it_ends(operator.http, one))
            for number in range(100):
                await operator.told("PUT", f"/v1/customers/acme/users/u{number % 7}", {"roles": [f"ä{number}"]})
                if one.compared >= 2:
                    break
                await asyncio.sleep(0.05)
            assert one.compared >= 2
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)


async def test_the_server_stops_at_once(world: World) -> None:
    """Streams end and those who wait are answered as soon as the server is to stop."""
    async with open_feeds(world) as house:
        operator = await house.holder(*ALL)
        one, two = follower(), follower()
        await poll(operator.http, two)
        tasks = [asyncio.create_task(_until_it_ends(operator.http, one))]
        tasks.append(asyncio.create_task(_polled(operator.http, two)))
        await until(lambda: one.heads)
        await asyncio.sleep(0.2)
        house.built.parts.feeds.stop()
        async with asyncio.timeout(2):
            await asyncio.gather(*tasks)
        assert one.cursor == two.cursor


async def _polled(http: httpx.AsyncClient, one: Follower) -> None:
    assert await poll(http, one, wait=25) == "none"


async def test_our_own_follower_believes_it_too(house: House, operator: Visitor) -> None:
    """The evaluator's follower takes the same lines, and stands where the one of this test stands."""
    one, truth = follower(), LocalTruth(zone_of=ZoneInfo)
    theirs = evaluator.Follower(truth, Trust(root=ROOT, workspace="test"))
    for step in range(3):
        answer = await operator.ask("GET", f"/v1/feed?{one.query}".rstrip("?"))
        for line in answer.content.splitlines():
            one.take(json.loads(line))
            theirs.take(msgspec.json.decode(line, type=Line), time.time_ns() // 1000)
        assert theirs.cursor == one.query.partition("=")[2]
        assert f"{truth.digest():032x}" == one.sum()
        await operator.told("PUT", "/v1/customers/acme/users/own", {"roles": [f"r{step}"], "active": step != 1})
    assert one.state()[0] == (await held_now(house))[0]
