"""Requests that are taken hot and answered later: one at a time on a connection, in order, whatever goes on meanwhile.

The lane ends at a poster of tests here, so that each answer comes exactly when a test lets it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from licet.api.serving import Manner
from licet.services.errors import Conflict, Invalid, QuotaDisagreement, Unavailable
from licet.services.usage.jobs import AdmitJob
from tests.api.house import ALL, House, Visitor
from tests.api.posting import FakePoster, open_counter
from tests.door.wire import AFTER_WRITES, Told, Wire, hot_count, request, wire
from tests.store.worlds import World

pytestmark = pytest.mark.postgres

CONSUME = "/v1/consume"
COLD = "/v%31/consume"
RESERVE = "/v1/reservations"
CLOSING = f"{RESERVE}/res_{'0' * 32}"
USE = {"customer": "acme", "feature": "projects", "quantity": 3}
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "acme", "data": {"quantity": 1}}
LEASES = "/v1/quota-leases"
OWNER = "c" * 32
TIMING = {"date", "x-request-id"}


@pytest.fixture(scope="module")
def poster() -> FakePoster:
    """Who posts in this module."""
    return FakePoster()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def counter(world: World, poster: FakePoster) -> AsyncIterator[House]:
    """A server whose lanes end at the poster."""
    async with open_counter(world, poster) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def visitor(counter: House) -> Visitor:
    """Somebody who may do everything, whose key is not forgotten any more for having been made."""
    made = await counter.holder(*ALL)
    await asyncio.sleep(AFTER_WRITES)
    return made


@pytest.fixture
async def secret(counter: House, visitor: Visitor, poster: FakePoster) -> str:
    """A key for which the door is hot."""
    poster.gate.set()
    poster.errors.clear()
    assert visitor.secret is not None
    async with wire(counter.url) as line:
        assert (await line.ask(request(visitor.secret, USE, path=COLD))).status == 200
    return visitor.secret


def consume(secret: str, value: Any = USE, **more: Any) -> bytes:
    """A request to consume."""
    return request(secret, value, path=CONSUME, **more)


def many(events: int) -> list[dict[str, Any]]:
    """So many events."""
    return [EVENT | {"id": str(number)} for number in range(events)]


def call(customer: str = "acme", **more: Any) -> dict[str, Any]:
    """What an evaluator asks: one slice, and what became of another one."""
    ask = {"id": "a" * 32, "customer": customer, "feature": "projects", "wanted": 10}
    told = {"id": "b" * 32, "used": 4, "closed": True}
    return {"owner": OWNER, "number": 3, "epoch": 1, "asks": [ask], "told": [told], **more}


async def both(house: House, line: Wire, secret: str, value: Any, path: str, **more: Any) -> tuple[Told, Told]:
    """Ask hot and cold; asserts that each went its way."""
    before = hot_count(house)
    hot = await line.ask(request(secret, value, path=path, **more))
    assert hot_count(house) == before + 1, hot.body
    spelled = path.replace("v1", "v%31")  # another spelling of the same path is no hot route
    cold = await line.ask(request(secret, value, path=spelled, **more))
    assert hot_count(house) == before + 1
    return hot, cold


async def test_the_answers_are_the_same(counter: House, secret: str, poster: FakePoster) -> None:
    """Status, all headers in their order, and body of a hot answer are those of a cold one, on every route."""
    poster.errors |= {
        "busy": Unavailable("10 requests wait already", advice="repeat it"),
        "wrong": Invalid("quantity: too large"),
        "ended": Conflict("it was settled", details={"code": "reservation_closed"}),
        "odd": QuotaDisagreement("7 of 5 cannot have been spent", advice="look for the defect"),
    }
    asked: list[tuple[str, Any]] = [
        (CONSUME, USE),
        (RESERVE, USE | {"lasts": "PT1M"}),
        (f"{CLOSING}/settle", {"used": "1"}),
        (f"{CLOSING}/release", {}),
        ("/v1/events", EVENT),
        ("/v1/events", [EVENT, EVENT | {"id": "2"}]),
        ("/v1/events", many(1_500)),
        (LEASES, call()),
        (LEASES, {"owner": OWNER, "number": 1}),
        *((CONSUME, USE | {"customer": name}) for name in poster.errors),
        *((LEASES, call(name)) for name in poster.errors),
    ]
    found = []
    async with wire(counter.url) as line:
        for path, value in asked:
            hot, cold = await both(counter, line, secret, value, path)
            assert (hot.status, hot.names) == (cold.status, cold.names)
            assert {name: said for name, said in hot.headers.items() if name not in TIMING} == {
                name: said for name, said in cold.headers.items() if name not in TIMING
            }
            same = [told.body.replace(told.headers["x-request-id"].encode(), b"") for told in (hot, cold)]
            assert same[0] == same[1]
            found.append(hot.status)
    assert found == [200] * 9 + [503, 400, 409, 409] * 2


async def test_the_key_of_a_header(counter: House, secret: str, poster: FakePoster) -> None:
    """``Idempotency-Key`` is read hot as it is cold; a repetition says so, either way; a key in the body beats it."""
    named = {"more": {"Idempotency-Key": "one"}}
    async with wire(counter.url) as line:
        first, again = await both(counter, line, secret, USE, CONSUME, **named)
        assert first.body == again.body
        assert "idempotency-replayed" not in first.headers
        hot, cold = await both(counter, line, secret, USE, CONSUME, **named)
        assert hot.headers["idempotency-replayed"] == cold.headers["idempotency-replayed"] == "true"
        assert hot.names == cold.names
        other = await line.ask(consume(secret, USE | {"key": "two"}, **named))
        assert other.value["id"] != first.value["id"]
        before = hot_count(counter)
        odd = await line.ask(consume(secret, more={"Idempotency-Key": "x" * 256}))
        assert (odd.status, hot_count(counter)) == (400, before)
    keyed = [job for job in poster.jobs if isinstance(job, AdmitJob) and job.keyed]
    assert len({job.id for job in keyed}) == 2


async def test_what_follows_waits(counter: House, secret: str, poster: FakePoster) -> None:
    """While one is under way nothing later of its connection is answered; then all are, in their order, none twice."""
    poster.gate.clear()
    before = hot_count(counter)
    async with wire(counter.url) as line, wire(counter.url) as other:
        question = request(secret, {"customer": "acme", "feature": "projects"})
        await line.send(consume(secret) + question + consume(secret, USE | {"quantity": 4}) + question)
        await line.send(consume(secret, USE | {"quantity": 5}))
        await other.send(consume(secret, USE | {"quantity": 6}))
        await asyncio.sleep(0.1)
        assert not line.reader._buffer  # type: ignore[attr-defined]
        assert hot_count(counter) == before + 2, "of each connection the first one is hot"
        poster.gate.set()
        told = [await line.told() for _ in range(5)]
        assert [one.value.get("quantity", one.value.get("code")) for one in told] == [
            3,
            "no_catalog",
            4,
            "no_catalog",
            5,
        ]
        assert (await other.told()).value["quantity"] == 6
        assert (await line.ask(consume(secret, USE | {"quantity": 7}))).value["quantity"] == 7
    assert hot_count(counter) == before + 3


async def test_many_on_one_connection(counter: House, secret: str) -> None:
    """Requests one after the other on one connection are all hot; so are checks between them, where they can be."""
    before = hot_count(counter)
    async with wire(counter.url) as line:
        for number in range(1, 200):
            assert (await line.ask(consume(secret, USE | {"quantity": number}))).value["quantity"] == number
    assert hot_count(counter) == before + 199


async def test_a_request_split_at_every_byte(counter: House, secret: str) -> None:
    """Wherever a request is cut in two, it is answered once, hot."""
    before = hot_count(counter)
    whole = consume(secret)
    async with wire(counter.url) as line:
        for cut in range(1, len(whole), 7):
            await line.send(whole[:cut])
            await asyncio.sleep(0)
            assert (await line.ask(whole[cut:])).value["quantity"] == 3
    assert hot_count(counter) == before + len(range(1, len(whole), 7))


async def test_a_connection_that_is_to_be_closed(counter: House, secret: str) -> None:
    """``Connection: close`` is said back with the answer, and done; what came after it is not answered."""
    async with wire(counter.url) as line:
        told = await line.ask(consume(secret, more={"Connection": "close"}) + consume(secret))
        assert (told.status, told.headers["connection"]) == (200, "close")
        assert await line.rest() == b""


async def test_a_client_that_goes_away(counter: House, secret: str, poster: FakePoster) -> None:
    """What was taken is posted, whether or not anybody waits for the answer; nothing stays open."""
    poster.gate.clear()
    taken = len(poster.jobs)
    for part in (consume(secret), consume(secret) * 3, consume(secret)[:-3]):
        line = await Wire.to(counter.url)
        await line.send(part)
        await asyncio.sleep(0.05)
        line.writer.transport.abort()
    poster.gate.set()
    await asyncio.sleep(0.2)
    assert len(poster.jobs) >= taken + 2
    answer = await counter.visitor().ask("GET", "/metrics")
    assert "\nlicet_http_requests_open 1.0\n" in answer.text


async def test_what_is_not_hot(counter: House, secret: str) -> None:
    """Wrong bodies, other methods, compressed and chunked ones, binary events and unknown keys go the cold way."""
    before = hot_count(counter)
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-subject": "acme"}
    asked: list[tuple[int, bytes]] = [
        (400, consume(secret, body=b'{"customer":"a","customer":"b","feature":"f"}')),
        (400, consume(secret, USE | {"quantity": -1})),
        (400, consume(secret, USE | {"odd": 1})),
        (400, consume(secret, body=b"")),
        (401, consume("lct_test_0198f3a2_xx")),
        (405, consume(secret, method="PUT")),
        (415, consume(secret, more={"Content-Encoding": "gzip"})),
        (415, consume(secret, more={"Content-Type": "text/plain"})),
        (400, request(secret, USE, path=f"{CONSUME}?at_least=0")),
        (200, request(secret, {"quantity": 1}, path="/v1/events", more=event)),
        (400, request(secret, [], path="/v1/events")),
        (400, request(secret, {"used": "1", "odd": 1}, path=f"{CLOSING}/settle")),
        (400, request(secret, {"odd": 1}, path=f"{CLOSING}/release")),
        (400, request(secret, call(odd=1), path=LEASES)),
        (400, request(secret, call(number=0), path=LEASES)),
        (400, request(secret, call(told=[{"id": "b" * 32, "used": 0}] * 1001), path=LEASES)),
        (400, request(secret, body=b'{"owner":"' + b"c" * 32 + b'","number":1,"number":2}', path=LEASES)),
    ]
    for status, sent in asked:
        async with wire(counter.url) as line:
            told = await line.ask(sent)
            assert told.status == status, (sent, told.body)
    assert hot_count(counter) == before


async def test_what_is_too_large_to_be_hot(counter: House, secret: str) -> None:
    """Thousands of events in one request are read beside the loop, and answered the same."""
    before = hot_count(counter)
    async with wire(counter.url) as line:
        told = await line.ask(request(secret, many(3_000), path="/v1/events"))
    assert told.status == 200, told.body
    assert msgspec.json.decode(told.body)["recorded"] == 3_000
    assert hot_count(counter) == before


async def test_a_bound_key(counter: House, visitor: Visitor) -> None:
    """A key that is bound to a customer is refused about others, each event of a batch included, and takes nothing."""
    await visitor.told("POST", "/v1/customers", {"id": "acme"})
    bound = await counter.holder("usage", customer="acme")
    assert bound.secret is not None
    async with wire(counter.url) as line:
        for _ in range(2):
            assert (await line.ask(consume(bound.secret))).status == 200
            for path, value in [
                (CONSUME, USE | {"customer": "other"}),
                (RESERVE, USE | {"customer": "other"}),
                ("/v1/events", [EVENT, EVENT | {"id": "2", "subject": "other"}]),
                ("/v1/events", EVENT | {"subject": "other"}),
                ("/v1/usage/corrections", {"customer": "other", "id": f"use_{'0' * 32}"}),
                (LEASES, call("other")),
                (LEASES, call(claims=[{"id": "d" * 32, "customer": "other", "feature": "projects", "used": 1}])),
            ]:
                assert (await line.ask(request(bound.secret, value, path=path))).value["code"] == "forbidden", path


async def test_a_stop_waits_for_what_is_under_way(world: World) -> None:
    """A server that is to stop answers what it has taken, says that the connection closes, and ends."""
    poster = FakePoster()
    async with open_counter(world, poster, Manner(shutdown_seconds=5)) as house:
        secret = (await house.holder(*ALL)).secret
        assert secret is not None
        line, idle = await Wire.to(house.url), await Wire.to(house.url)
        await line.ask(request(secret, USE, path=COLD))
        poster.gate.clear()
        before = hot_count(house)
        await line.send(consume(secret))
        await asyncio.sleep(0.1)
        assert hot_count(house) == before + 1
        asyncio.get_running_loop().call_later(0.4, poster.gate.set)
    told = await line.told()
    assert (told.status, told.headers["connection"]) == (200, "close")
    assert msgspec.json.decode(told.body)["quantity"] == 3
    assert await line.rest() == b""
    assert await idle.rest() == b""
