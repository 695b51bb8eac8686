"""A server that dies between the issue of a slice and its answer: whoever asks again, elsewhere, owns the same one."""

import asyncio
import contextlib
import shutil
from typing import Any
from uuid import uuid4

import pytest

from tests.api.test_quota_leases import CATALOG, LEASES
from tests.door.test_workers import PATIENCE, Server, ended, launch
from tests.door.wire import Told, Wire, request
from tests.store.databases import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.one_engine]

CALLS = 24
WANTED = 10


async def told(server: Server, method: str, path: str, value: Any = None) -> Any:
    """Ask what must succeed."""
    answer: Told = await server.ask(method, path, value, **({"body": b""} if value is None else {}))
    assert answer.status in (200, 201), answer.body
    return answer.value


def call(customer: str = "acme") -> dict[str, Any]:
    """A program's first call: it asks for one slice."""
    ask = {"id": uuid4().hex, "customer": customer, "feature": "api_calls", "wanted": WANTED}
    return {"owner": uuid4().hex, "number": 1, "epoch": 1, "asks": [ask]}


async def unanswered(server: Server, other: Server, calls: list[dict[str, Any]]) -> None:
    """Send calls to a server and kill it as soon as another one sees one of their leases: no answer was read."""
    lines = [await Wire.to(server.url) for _ in calls]
    for line, value in zip(lines, calls, strict=True):
        await line.send(request(server.secret, value, path=LEASES))
    for _ in range(10_000):
        if (await told(other, "GET", f"{LEASES}?limit=1"))["items"]:
            break
    server.process.kill()
    await asyncio.to_thread(server.process.wait, PATIENCE)
    for line in lines:
        with contextlib.suppress(OSError):
            await line.close()


async def test_the_same_lease_from_another_server(module_database: Database, tmp_path_factory: Any) -> None:
    """Calls that a killed server may have carried out are repeated to another one: each slice is issued once."""
    homes = [tmp_path_factory.mktemp(name) / "home" for name in ("first", "second")]
    first = launch(homes[0], module_database.dsn)
    homes[1].mkdir()
    shutil.copy(homes[0] / "keys.json", homes[1] / "keys.json")
    second = launch(homes[1], module_database.dsn)
    try:
        await told(first, "PUT", "/v1/catalog?base=0", CATALOG)
        await told(first, "POST", "/v1/customers", {"id": "acme"})
        await told(first, "POST", "/v1/customers/acme/subscriptions", {"items": [{"plan": "team"}]})
        calls = [call() for _ in range(CALLS)]
        await unanswered(first, second, calls)
        before = {one["id"]: one["amount"] for one in (await told(second, "GET", LEASES))["items"]}
        assert before
        for _ in range(2):
            for value in calls:
                (given,) = (await told(second, "POST", LEASES, value))["given"]
                assert given["id"] == value["asks"][0]["id"]
                assert given["amount"] == before.setdefault(given["id"], given["amount"])
        balance = await told(second, "GET", "/v1/customers/acme/balances/api_calls")
        assert (balance["used"], balance["leased"]) == (CALLS * WANTED, CALLS * WANTED)
        for value in calls:
            end = {
                **value,
                "number": 2,
                "asks": [],
                "told": [{"id": value["asks"][0]["id"], "used": 3, "closed": True}],
            }
            assert (await told(second, "POST", LEASES, end))["heard"][0]["state"] == "settled"
        balance = await told(second, "GET", "/v1/customers/acme/balances/api_calls")
        assert (balance["used"], balance["leased"], balance["written_off"]) == (3 * CALLS, 0, 0)
    finally:
        for server in (first, second):
            if server.process.poll() is None:
                await ended(server)
