"""Hostile input on every operation that takes a body: refused as a problem, never a defect, and nothing is written."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from licet.api.app import OPERATIONS
from licet.api.contract import Operation
from licet.door.limits import MAX_BODY, MAX_CATALOG_BODY, MAX_EVENTS_BODY
from tests.api.house import House, Visitor, problem, release_meridian
from tests.api.test_door import address

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

BODIED = [one for one in OPERATIONS if one.body is not None]
TYPED = [one for one in BODIED if not one.raw]
EVENTS = [OPERATIONS["report_events"]]
CATALOGS = [one for one in BODIED if one.raw and one.scopes and one not in EVENTS]
NOT_JSON = {
    "cut off": b"{",
    "no quotes": b"{a:1}",
    "two documents": b"{} {}",
    "trailing comma": b'{"a":1,}',
    "NaN": b'{"a":NaN}',
    "infinity": b"[-Infinity]",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "encoded surrogate": b'{"a":"\xed\xa0\x80"}',
    "raw NUL": b'{"a":"\x00"}',
    "escaped NUL": rb'{"a":"\u0000"}',
    "lone surrogate": rb'{"a":"\ud800"}',
    "swapped surrogates": rb'{"a":"\udc00\ud800"}',
    "surrogate in a key": rb'{"\ud800":1}',
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 65 + b"1" + b"}" * 65,
    "twice the same key": b'{"a":1,"a":2}',
    "twice the same key, escaped": rb'{"a":1,"\u0061":2}',
    "twice the same key, inside": b'{"x":[{"a":1,"a":1}]}',
    "endless number": b'{"a":1' + b"0" * 5000 + b"}",
}
OTHER_SHAPES = [b"[]", b"null", b"1e400000", b"7", b'"text"', b"true", b'{"no_such_field":1}']


@pytest.fixture(scope="module")
async def ready(operator: Visitor) -> Visitor:
    """The operator, with a catalog and the customer of the examples there."""
    await release_meridian(operator)
    await operator.told("POST", "/v1/customers", {"id": "acme"})
    await operator.told("PUT", "/v1/customers/acme/teams/design", {})
    return operator


async def send(visitor: Visitor, one: Operation, body: bytes) -> httpx.Response:
    """Send a body to an operation, as JSON."""
    return await visitor.ask(one.method, address(one), body=body)


@pytest.mark.parametrize("one", BODIED, ids=lambda one: one.id)
async def test_what_is_not_plain_json(house: House, ready: Visitor, one: Operation) -> None:
    """Broken, ambiguous and oversized JSON is refused on every operation, and leaves no event."""
    seq = await house.seq()
    for name, body in NOT_JSON.items():
        answer = await send(ready, one, body)
        assert 400 <= answer.status_code < 500, (name, answer.text)
        if one.scopes:
            problem(answer, 400, "bad_request")
    assert await house.seq() == seq


@pytest.mark.parametrize("one", BODIED, ids=lambda one: one.id)
async def test_what_has_another_shape(house: House, ready: Visitor, one: Operation) -> None:
    """JSON of another shape, an unknown field, or a type that is not JSON at all is refused and leaves no event."""
    seq = await house.seq()
    for body in OTHER_SHAPES:
        answer = await send(ready, one, body)
        if one.id == "preview_catalog":
            assert json.loads(answer.content)["problems"], answer.text
            continue
        assert 400 <= answer.status_code < 500, (body, answer.text)
    if not one.optional_body and one.scopes:
        assert 400 <= (await send(ready, one, b"")).status_code < 500
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    other = await ready.ask(one.method, address(one), body=b"a=1", headers=headers)
    problem(other, 415, "unsupported_media_type")
    assert await house.seq() == seq


@pytest.mark.parametrize("one", BODIED, ids=lambda one: one.id)
async def test_bodies_beyond_their_bound(house: House, ready: Visitor, one: Operation) -> None:
    """Too large a body is refused by its announced length before it is read, or while it comes unannounced."""
    seq = await house.seq()
    most = MAX_EVENTS_BODY if one in EVENTS else MAX_CATALOG_BODY if one in CATALOGS else MAX_BODY
    status, answer = await announce(house, ready, one, most + 1)
    assert (status, answer["code"]) == (413, "too_large")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(most // 65536 + 2):
            yield b" " * 65536

    try:
        streamed = await ready.http.request(one.method, address(one), content=endless())
    except httpx.WriteError:
        pass  # the server has answered and closed while we were still sending
    else:
        problem(streamed, 413, "too_large")
    assert await house.seq() == seq


async def announce(house: House, visitor: Visitor, one: Operation, length: int) -> tuple[int, dict[str, Any]]:
    """Announce a body without sending any of it; returns what is answered until the server closes."""
    where = httpx.URL(house.url)
    reader, writer = await asyncio.open_connection(where.host, where.port)
    head = f"{one.method} {address(one)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {visitor.secret}\r\n"
    writer.write(f"{head}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    status, _, body = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(body)


ODD: list[Any] = [
    None,
    True,
    -1,
    2**63,
    10**30,
    "",
    "x" * 5000,
    "NaN",
    "2026-01-01T00:00:00",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "P9999999D",
    "a\u0007b",
    [],
    {"a": {"b": 1}},
]


@pytest.mark.parametrize("one", TYPED, ids=lambda one: one.id)
async def test_odd_values_in_every_field(ready: Visitor, one: Operation) -> None:
    """Whatever stands in one field of an example, the answer is the service's own: success or a problem, no defect."""
    for place, body in variants(one.example):
        answer = await ready.ask(one.method, address(one), body)
        assert answer.status_code < 500, (place, body, answer.text)
        if answer.status_code >= 400:
            problem(answer, answer.status_code, json.loads(answer.content)["code"])


def variants(example: Any) -> Iterator[tuple[str, Any]]:
    """Yield the example with one value replaced by an odd one, for every value in it."""
    for path in places(example, ()):
        for odd in ODD:
            changed = msgspec.json.decode(msgspec.json.encode(example))
            inside = changed
            for step in path[:-1]:
                inside = inside[step]
            inside[path[-1]] = odd
            yield "/".join(map(str, path)), changed


def places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a document."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inside in steps:
        yield (*path, step)
        yield from places(inside, (*path, step))
