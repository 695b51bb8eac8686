"""An answer goes on for no longer than its key is good: feeds, polls and lines end when it is revoked or expires."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from msgspec import structs

from licet import AsyncClient
from licet.api.call import Trail
from licet.api.parts import Tide
from licet.api.staying import Stays
from licet.api.streaming import stream
from licet.door.gate import Gate
from licet.door.problems import Refusal
from licet.services.keys import revoke_key
from licet.services.rows import KeyRow
from licet.telemetry import Metrics
from tests.api.followers import EVENTS
from tests.api.house import House, Visitor, problem
from tests.api.test_feed import customer
from tests.api.test_units import TOKEN, key_row
from tests.sdk.office import soon
from tests.sdk.test_real_server import options
from tests.store.worlds import OPERATOR

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]


async def revoke(house: House, key: str) -> None:
    """Take a key back, as the command does at the database."""
    async with house.storage.write("test", OPERATOR) as tx:
        await revoke_key(tx, key)


async def told(house: House, secret: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what a stream says until the server ends it."""
    async with house.visitor(secret).http.stream("GET", "/v1/feed", headers=EVENTS) as answer:
        assert answer.status_code == 200
        async for text in answer.aiter_lines():
            if text.startswith("data: "):
                yield json.loads(text[6:])


async def test_a_stream_ends_when_its_key_is_revoked(house: House, operator: Visitor) -> None:
    """Within a second, with the problem that a request would have; nothing that is sold later is told, others go on."""
    (key, secret), (_, other) = await house.key("check"), await house.key("check")
    staying, going_on = told(house, secret), told(house, other)
    async with asyncio.timeout(10):
        while "head" not in await anext(staying):
            pass
        while "head" not in await anext(going_on):
            pass
        await revoke(house, key)
        began = time.monotonic()
        rest = [line async for line in staying]
        assert time.monotonic() - began < 1
        assert [*rest[-1]] == ["problem"]
        assert rest[-1]["problem"]["status"] == 401
        assert rest[-1]["problem"]["code"] == "unauthenticated"
        assert "was revoked at" in rest[-1]["problem"]["detail"]
        await customer(operator, "later")
        for kind in ("frame", "head") * 2:  # of the revocation, and of the customer
            assert kind in await anext(going_on)
    await going_on.aclose()
    await soon(lambda: house.built.parts.feeds.followers == 0)


async def test_a_stream_ends_when_its_key_expires(house: House) -> None:
    """A key that ends by itself ends its stream although nothing is committed."""
    at = datetime.now(UTC) + timedelta(seconds=0.8)
    _, secret = await house.key("check", expires_at=at)
    async with asyncio.timeout(10):
        rest = [line async for line in told(house, secret)]
    late = (datetime.now(UTC) - at).total_seconds()
    assert 0 <= late < 1
    assert rest[-1]["problem"]["code"] == "unauthenticated"
    assert "expired at" in rest[-1]["problem"]["detail"]


async def test_a_long_poll_ends_when_its_key_expires(house: House) -> None:
    """Who waits for something new is refused as if the request had come later."""
    at = datetime.now(UTC) + timedelta(seconds=0.8)
    _, secret = await house.key("check", expires_at=at)
    answer = await house.visitor(secret).ask("GET", f"/v1/feed?cursor=1:{await house.seq()}&wait=20")
    problem(answer, 401, "unauthenticated")
    assert 0 <= (datetime.now(UTC) - at).total_seconds() < 1


async def test_a_client_says_that_its_key_is_wrong(house: House) -> None:
    """A client whose key is revoked keeps its truth and says why it hears nothing more."""
    key, secret = await house.key("check")
    async with AsyncClient.of(options(house.url, secret)) as client:
        cursor = client.freshness.cursor
        await revoke(house, key)
        await soon(lambda: client.freshness.last_error is not None, 1.5)
        assert "does not take this key" in str(client.freshness.last_error)
        assert "was revoked" in str(client.freshness.last_error)
        assert not client.freshness.connected
        assert client.freshness.cursor in (cursor, f"1:{await house.seq()}")


async def test_who_asks_for_at_least_a_commit_does_not_hide_it_from_the_gate(house: House) -> None:
    """A request that waits for a sequence learns of a commit before its notice; keys are forgotten all the same."""
    forgotten: list[str] = []

    class Counted(Gate):
        def forget(self, workspace: str) -> None:
            forgotten.append(workspace)

    tide = Tide(house.storage, Counted(house.storage.authenticate))
    async with tide.follow():
        await soon(lambda: forgotten)
        await asyncio.sleep(0.3)
        for _ in range(3):
            forgotten.clear()
            await house.key("check")
            await tide.reach("test", await house.seq())
            await soon(lambda: forgotten, 2)
            await asyncio.sleep(0.25)


async def test_lines_end_when_their_key_is_revoked() -> None:
    """An answer that comes line by line says the problem as its last line; its key is looked up once in between."""
    asked: list[str] = []
    row = key_row()
    found = [(row, hashlib.sha256(TOKEN.encode()).digest())]

    async def look_up(key: str) -> tuple[KeyRow, bytes]:
        asked.append(key)
        return found[0]

    gate = Gate(look_up)
    caller = await gate.admit(f"Bearer {TOKEN}", time.monotonic(), datetime.now(UTC))
    stays = Stays(gate, time.monotonic, lambda: datetime.now(UTC))

    async def ticking() -> AsyncGenerator[int, None]:
        number = 0
        while True:
            yield number
            number += 1
            await asyncio.sleep(0.02)

    staying = stays.stay(f"Bearer {TOKEN}", caller, ("check",))
    trail = Trail(request_id="req_1")
    answer = await stream(ticking(), trail, Metrics(), status=200, stall_seconds=5, staying=staying)
    lines: list[Any] = []
    async with asyncio.timeout(5):
        async for piece in cast("AsyncIterator[bytes]", answer.iterator):
            lines += map(json.loads, piece.splitlines())
            if lines[-1] == 30:
                assert len(asked) == 1, "while nothing is committed, nothing is looked up"
                found[0] = structs.replace(row, revoked_at=datetime.now(UTC)), found[0][1]
                gate.forget("test")
    assert lines[-1]["problem"]["code"] == trail.problem == "unauthenticated"
    assert len(asked) == 2
    assert stays._task is None


@pytest.mark.parametrize(
    ("change", "code"),
    [({"scopes": frozenset({"orders"})}, "forbidden"), ({"customer": "acme"}, "unauthenticated"), ({}, None)],
)
async def test_a_key_that_is_for_something_else(change: dict[str, Any], code: str | None) -> None:
    """A stay ends where the key has another scope or binding than the answer rests on, and goes on otherwise."""
    hashed = hashlib.sha256(TOKEN.encode()).digest()
    found = [(key_row(), hashed)]

    async def look_up(_: str) -> tuple[KeyRow, bytes]:
        return found[0]

    gate, lost = Gate(look_up), asyncio.Event()
    caller = await gate.admit(f"Bearer {TOKEN}", time.monotonic(), datetime.now(UTC))
    stays = Stays(gate, time.monotonic, lambda: datetime.now(UTC))
    with stays.stay(f"Bearer {TOKEN}", caller, ("check",), lost.set) as stay:
        found[0] = structs.replace(found[0][0], **change), hashed
        gate.forget("test")
        if code is None:
            await asyncio.sleep(0.4)
            stay.hold()
            return
        async with asyncio.timeout(2):
            await lost.wait()
        with pytest.raises(Refusal) as refused:
            stay.hold()
        assert refused.value.code == code
