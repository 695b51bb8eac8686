"""The hot door on the wire: what a raw connection may do to it, on the real application.

Run with ``LICET_TEST_UVICORN`` these are the checks for another uvicorn than the pinned one.
"""

import asyncio
import json
from typing import Any

import pytest

from licet.api.serving import Manner
from tests.api.house import ALL, House, Visitor, open_house, problem
from tests.door.wire import CHECK, QUESTION, Wire, hot_count, open_shop, request, warm, wire
from tests.store.worlds import World

pytestmark = pytest.mark.postgres

COLD = f"{CHECK}?at_least=0"
BATCH = "/v1/check/batch"


@pytest.fixture
async def secret(house: House, operator: Visitor) -> str:
    """A key for which the door is hot."""
    await open_shop(house, operator)
    assert operator.secret is not None
    await warm(house, operator.secret)
    return operator.secret


async def test_many_requests_on_one_connection(house: House, secret: str) -> None:
    """Twenty questions one after the other on one connection are all answered hot, and alike."""
    before = hot_count(house)
    async with wire(house.url) as line:
        told = [await line.ask(request(secret)) for _ in range(20)]
    assert hot_count(house) - before == 20
    assert {(one.status, one.body) for one in told} == {(200, told[0].body)}
    assert len({one.headers["x-request-id"] for one in told}) == 20


async def test_pipelined_requests_are_answered_in_their_order(house: House, secret: str) -> None:
    """Hot, cold, slow and refused requests sent at once come back one by one in the order in which they were sent."""
    seq = await house.seq()
    paths = [CHECK, COLD, CHECK, f"{CHECK}?at_least={seq + 100}", CHECK, "/v1/none", COLD, CHECK]
    ids = [f"r-{number}" for number in range(len(paths))]
    sent = [request(secret, path=path, more={"X-Request-Id": name}) for path, name in zip(paths, ids, strict=True)]
    async with wire(house.url) as line:
        await line.send(b"".join(sent))
        told = [await line.told() for _ in paths]
    assert [one.headers["x-request-id"] for one in told] == ids
    assert [one.status for one in told] == [200, 200, 200, 503, 200, 404, 200, 200]


async def test_three_thousand_pipelined_requests(house: House, secret: str) -> None:
    """3,000 requests sent before one answer is read are all answered, hot, in order."""
    before, many = hot_count(house), 3000
    async with wire(house.url) as line:
        sending = asyncio.create_task(
            line.send(b"".join(request(secret, more={"X-Request-Id": f"n{number}"}) for number in range(many)))
        )
        ids = [(await line.told()).headers["x-request-id"] for _ in range(many)]
        await sending
    assert ids == [f"n{number}" for number in range(many)]
    assert hot_count(house) - before > many // 2


async def test_a_request_split_at_every_byte(house: House, secret: str) -> None:
    """Wherever a request is cut in two, its answer is the same, and it is still answered hot."""
    whole = request(secret)
    before = hot_count(house)
    async with wire(house.url) as line:
        expected = (await line.ask(whole)).body
        for place in range(1, len(whole)):
            await line.send(whole[:place])
            await asyncio.sleep(0)
            told = await line.ask(whole[place:])
            assert (told.status, told.body) == (200, expected), place
    assert hot_count(house) - before == len(whole)


async def test_a_request_that_comes_byte_by_byte(house: House, secret: str) -> None:
    """A request of which each byte is a message of its own is answered."""
    async with wire(house.url) as line:
        for byte in request(secret):
            await line.send(bytes([byte]))
            await asyncio.sleep(0.0005)
        assert (await line.told()).status == 200


async def test_a_body_that_is_slow_to_come(house: House, secret: str) -> None:
    """A body that takes longer than the hot door waits is answered the cold way."""
    whole = request(secret)
    before = hot_count(house)
    async with wire(house.url) as line:
        await line.send(whole[:-5])
        await asyncio.sleep(1.2)
        assert (await line.ask(whole[-5:])).status == 200
        assert hot_count(house) == before
        assert (await line.ask(whole)).status == 200
    assert hot_count(house) == before + 1


async def test_expect_continue(house: House, secret: str) -> None:
    """A client that asks whether it may send is told to go on, and answered."""
    whole = request(secret, more={"Expect": "100-continue"})
    head, _, body = whole.partition(b"\r\n\r\n")
    async with wire(house.url) as line:
        await line.send(head + b"\r\n\r\n")
        assert (await line.told()).status == 100
        assert (await line.ask(body)).status == 200


async def test_a_chunked_body(house: House, secret: str) -> None:
    """A body in chunks is put together and answered."""
    body = json.dumps(QUESTION).encode()
    head = request(secret, body=b"", more={"Content-Length": "", "Transfer-Encoding": "chunked"})
    async with wire(house.url) as line:
        told = await line.ask(head + b"5\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n")
        assert told.status == 200
        assert told.body == (await line.ask(request(secret))).body


async def test_a_body_beyond_its_bound_by_its_length(house: House, secret: str) -> None:
    """Too large by Content-Length is refused before a byte of the body is asked for, and the connection closed."""
    head = request(secret, body=b"", more={"Content-Length": str(2**21), "Expect": "100-continue"})
    async with wire(house.url) as line:
        told = await line.ask(head)
        assert (told.status, told.headers["connection"].lower()) == (413, "close")
        assert await line.rest() == b""


async def test_a_body_beyond_its_bound_by_its_chunks(house: House, secret: str) -> None:
    """Too large by what comes is refused while it comes."""
    head = request(secret, body=b"", more={"Content-Length": "", "Transfer-Encoding": "chunked"})
    async with wire(house.url) as line:
        await line.send(head)
        sending = asyncio.create_task(flood(line, b"10000\r\n" + b" " * 65536 + b"\r\n", 40))
        assert (await line.told()).status == 413
        sending.cancel()


async def flood(line: Wire, data: bytes, times: int) -> None:
    """Send the same again and again, until the other side has had enough."""
    try:
        for _ in range(times):
            await line.send(data)
    except OSError:
        return


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'{"customer":"acme"}', b'{"customer":"acme","customer":"b"}', b"\xff"]
)
async def test_what_is_no_question(house: House, secret: str, body: bytes) -> None:
    """A body that cannot be read is refused exactly as by the cold way, and the connection goes on."""
    named = {"X-Request-Id": "same"}
    async with wire(house.url) as line:
        told = await line.ask(request(secret, body=body, more=named))
        cold = await line.ask(request(secret, body=body, path=COLD, more=named))
        assert told.status == cold.status == 400
        assert told.body == cold.body
        assert (await line.ask(request(secret))).status == 200


@pytest.mark.parametrize(
    "odd",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5, 5",
        "Content-Length : 5",
        "Transfer-Encoding: chunked, gzip",
    ],
)
async def test_a_head_with_two_meanings(house: House, secret: str, odd: str) -> None:
    """Where it is doubtful where a request ends, it is refused with 400 and nothing after it is read."""
    head = request(secret, body=b"", more={"Content-Length": ""}).decode().removesuffix("\r\n")
    async with wire(house.url) as line:
        await line.send(f"{head}{odd}\r\n\r\n".encode() + b"hello" + request(secret))
        answers = await line.rest()
    assert answers.startswith(b"HTTP/1.1 400")
    assert answers.count(b"HTTP/1.1 ") == 1


async def test_what_is_no_hot_route(house: House, secret: str) -> None:
    """A query, an encoded letter, another method, a bad path: all are answered by the application behind."""
    before = hot_count(house)
    async with wire(house.url) as line:
        for method, path, status in (
            ("POST", f"{CHECK}?at_least=0", 200),
            ("POST", "/v1/%63heck", 200),
            ("GET", CHECK, 405),
            ("POST", f"{CHECK}?x=1", 400),
            ("POST", f"{CHECK}s", 404),
            ("PUT", CHECK, 405),
        ):
            assert (await line.ask(request(secret, method=method, path=path))).status == status, (method, path)
    assert hot_count(house) == before


async def test_the_older_protocol(house: House, secret: str) -> None:
    """HTTP/1.0 is answered and the connection closed."""
    async with wire(house.url) as line:
        told = await line.ask(request(secret, version="1.0"))
        assert (told.status, told.headers.get("connection", "close")) == (200, "close")
        assert await line.rest() == b""


async def test_a_connection_that_is_to_be_closed(house: House, secret: str) -> None:
    """``Connection: close`` is answered hot, said back and done; what was sent after it is not answered."""
    before = hot_count(house)
    async with wire(house.url) as line:
        told = await line.ask(request(secret, more={"Connection": "close"}) + request(secret))
        assert (told.status, told.headers["connection"]) == (200, "close")
        assert told.value["allowed"]
        assert await line.rest() == b""
    assert hot_count(house) == before + 1


async def test_an_idle_connection(world: World) -> None:
    """A connection without requests is closed after its time, one with requests is not, hot or cold or both."""
    async with open_house(world, manner=Manner(shutdown_seconds=5, keep_alive_seconds=1)) as house:
        operator = await house.holder(*ALL)
        await open_shop(house, operator)
        assert operator.secret is not None
        await warm(house, operator.secret)
        async with wire(house.url) as hot, wire(house.url) as mixed, wire(house.url) as half:
            await hot.ask(request(operator.secret))
            for path in (CHECK, COLD, CHECK, COLD, CHECK):
                assert (await mixed.ask(request(operator.secret, path=path))).status == 200
                await asyncio.sleep(0.4)
            assert hot.reader.at_eof()
            assert not mixed.reader.at_eof()
            await half.ask(request(operator.secret))
            await half.send(request(operator.secret)[:-3])
            await asyncio.sleep(1.3)
            assert (await half.ask(request(operator.secret)[-3:])).status == 200, "a body was on its way"
            assert await mixed.rest() == b""


async def test_a_client_that_goes_away(house: House, secret: str) -> None:
    """Clients that leave within head, body or answer leave nothing open behind."""
    whole = request(secret)
    for part in (whole[:30], whole[:-3], whole, whole * 50, request(secret, path=COLD), whole + whole[:-3]):
        line = await Wire.to(house.url)
        await line.send(part)
        line.writer.transport.abort()
    await asyncio.sleep(0.2)
    answer = await house.visitor().ask("GET", "/metrics")
    assert "\nlicet_http_requests_open 1.0\n" in answer.text
    async with wire(house.url) as line:
        assert (await line.ask(whole)).status == 200


async def test_a_reader_that_is_slow(house: House, secret: str) -> None:
    """Answers larger than every buffer come whole and in order to a client that reads late and little by little."""
    questions = [{"customer": "acme", "feature": "projects", "used": number} for number in range(40)]
    value: Any = {"questions": questions}
    await warm(house, secret, value, path=BATCH)
    many = 60
    async with wire(house.url) as line:
        expected = (await line.ask(request(secret, value, path=BATCH))).body
        sending = asyncio.create_task(line.send(request(secret, value, path=BATCH) * many))
        await asyncio.sleep(0.3)
        for number in range(many):
            assert (await line.told()).body == expected, number
            await asyncio.sleep(0.002)
        await sending


async def test_headers_that_come_twice(house: House, secret: str) -> None:
    """Two Authorization headers are never answered hot, though one of them is right."""
    before = hot_count(house)
    head, _, body = request(secret).partition(b"\r\n\r\n")
    async with wire(house.url) as line:
        await line.ask(head + b"\r\nAuthorization: Bearer wrong\r\n\r\n" + body)
    assert hot_count(house) == before


async def test_a_batch_is_hot(house: House, secret: str) -> None:
    """A batch of which every question is allowed is answered hot, in the order asked."""
    value = {"questions": [QUESTION, {"customer": "acme", "feature": "projects"}, QUESTION]}
    await warm(house, secret, value, path=BATCH)
    before = hot_count(house)
    async with wire(house.url) as line:
        hot = await line.ask(request(secret, value, path=BATCH))
        cold = await line.ask(request(secret, value, path=f"{BATCH}?at_least=0"))
    assert hot_count(house) == before + 1
    assert hot.body == cold.body
    assert len(hot.value["decisions"]) == 3


async def test_a_revoked_key(house: House, operator: Visitor, secret: str) -> None:
    """A key that was hot is refused hot and cold within a fifth of a second of its revocation."""
    key, other = await house.key("check")
    await warm(house, other)
    await operator.told("POST", f"/v1/keys/{key}/revoke", {})
    await asyncio.sleep(0.3)
    answer = await house.visitor(other).ask("POST", CHECK, QUESTION)
    problem(answer, 401, "unauthenticated")
