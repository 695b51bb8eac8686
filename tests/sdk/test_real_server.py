"""The client and the real server: from an order to a changed decision, and through cut lines and killed servers."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import structs

from licet import AsyncClient, NotHeld, WrongUrl
from licet.sdk.options import Options, read_options
from tests.api.house import House, Line, Visitor
from tests.api.test_journey import ORDER
from tests.sdk.office import soon

pytestmark = pytest.mark.postgres
QUESTIONS: list[dict[str, Any]] = [
    {"customer": "acme", "feature": "projects", "used": 4, "quantity": 3},
    {"customer": "acme", "feature": "projects", "used": 40},
    {"customer": "acme", "feature": "sso", "user": "ann", "context": {"region": "eu"}},
    {"customer": "acme", "feature": "nonsense"},
    {"customer": "nobody", "feature": "sso"},
    {"customer": "acme", "feature": "ai", "quantity": "2.5", "used": "499.5"},
    {"customer": "acme", "feature": "ai", "quantity": "2.5", "used": 3},
]


def options(url: str, key: str, **more: object) -> Options:
    """What a client is made with; its waits are shortened."""
    told = {
        "url": url,
        "key": key,
        "root": None,
        "cache": False,
        "customers": None,
        "on_demand": False,
        "most_customers": 10_000,
        "unreachable": None,
        "default_unreachable": "deny",
        "follow": "stream",
        "telemetry": False,
        "start_timeout": 5.0,
        "timeout": 5.0,
    }
    return structs.replace(read_options(**(told | more)), tempo=0.02)  # type: ignore[arg-type]


async def test_an_order_changes_the_decision(house: House, operator: Visitor, key: str) -> None:
    """An order over HTTP becomes access in a client that follows, and every document is what HTTP answers, byte for
    byte: for whatever is asked, as of the same state.
    """
    async with AsyncClient.of(options(house.url, key)) as client:
        assert client.check("acme", "projects").reason == "unknown_customer"
        await operator.told("POST", "/v1/orders", ORDER)
        await operator.told("PUT", "/v1/customers/acme/users/ann", {"roles": ["admin"]})
        await soon(lambda: client.check("acme", "projects"))
        seq = await house.seq()
        await soon(lambda: client.freshness.cursor == f"1:{seq}")
        for question in QUESTIONS:
            told = await operator.ask("POST", f"/v1/check?at_least={seq}", question)
            asked = dict(question)
            decision = client.check(asked.pop("customer"), asked.pop("feature"), **asked)
            assert told.content == decision.document(), question


async def test_everything_that_a_customer_has(house: House, operator: Visitor, key: str) -> None:
    """The entitlements of a client are those of the server: the same features in the same order, and the same bytes but
    for what has a balance, which the server alone counts.
    """
    await operator.told("POST", "/v1/orders", ORDER | {"external_id": "deal-7", "customer": {"id": "whole"}})
    async with AsyncClient.of(options(house.url, key)) as client:
        await soon(lambda: client.check("whole", "projects"))
        seq = await house.seq()
        await soon(lambda: client.freshness.cursor == f"1:{seq}")
        told = await operator.ask("GET", "/v1/customers/whole/entitlements")
        held = client.entitlements("whole")
        assert [one["feature"] for one in told.json()["entitlements"]] == [*held]
        assert [one["allowed"] for one in told.json()["entitlements"]] == [one.allowed for one in held.values()]
        uncounted = [one for one in held.values() if one.view().type not in ("metered", "credits")]
        assert 3 < len(uncounted) < len(held)
        assert all(one.document() in told.content for one in uncounted)
        assert client.entitlements("nobody") == {}


async def test_a_cut_line_is_mended(house: House, operator: Visitor, key: str) -> None:
    """While the line to the server is cut the client answers from what it has; mended, it hears what happened."""
    at = urlsplit(house.url)
    line = Line(str(at.hostname), int(at.port or 0))
    await line.mend()
    async with AsyncClient.of(options(f"http://127.0.0.1:{line.port}", key)) as client:
        await line.cut()
        await soon(lambda: not client.freshness.connected)
        await operator.told("POST", "/v1/orders", ORDER | {"external_id": "deal-9", "customer": {"id": "later"}})
        assert client.check("later", "projects").reason == "unknown_customer"
        await line.mend()
        await soon(lambda: client.check("later", "projects"))
        assert client.freshness.last_error is None
    await line.cut()


async def test_keys_that_may_not(house: House) -> None:
    """A key without the scope, one that nobody knows, and one that is bound to a customer."""
    _, secret = await house.key("orders")
    async with AsyncClient.of(options(house.url, secret, start_timeout=2.0)) as client:
        assert "scope check" in str(client.freshness.last_error)
    stranger = secret[:-3] + ("aaa" if secret[-3:] != "aaa" else "bbb")
    async with AsyncClient.of(options(house.url, stranger, start_timeout=2.0)) as client:
        assert "does not take this key" in str(client.freshness.last_error)
    _, bound = await house.key("check", customer="acme")
    async with AsyncClient.of(options(house.url, bound)) as client:
        assert client.freshness.state == "fresh"
        assert client.check("acme", "nonsense").reason == "unknown_feature"


@pytest.mark.parametrize("holding", [{}, {"on_demand": True}, {"customers": ["acme", "globex"]}])
async def test_a_bound_key_says_whose_it_is(house: House, operator: Visitor, holding: dict[str, object]) -> None:
    """With a bound key its customer is answered for, and others are said to be beyond it, however customers are held;
    what is counted is taken by the server.
    """
    _, bound = await house.key("check", customer="acme")
    async with AsyncClient.of(options(house.url, bound, telemetry=True, unreachable={}, **holding)) as client:
        await client.load("acme")
        before = await checks(operator)
        for _ in range(3):
            assert client.check("acme", "sso", user="bound").customer == "acme"
            with pytest.raises(NotHeld, match="bound to 'acme'"):
                client.check("globex", "sso")
        with pytest.raises(NotHeld, match="bound to 'acme'"):
            client.entitlements("globex")
        with pytest.raises(NotHeld, match="bound to 'acme'"):
            await client.load("globex")
    assert await checks(operator) == before + 3


async def checks(operator: Visitor) -> int:
    """How often the user of bound keys was asked about."""
    told = await operator.told("GET", "/v1/checks/counts?by=total&user=bound")
    return sum(int(one["checks"]) for one in told["items"])


async def test_a_wrong_path_is_a_wrong_address(house: House, key: str) -> None:
    """An address with a path at which there is no Licet is wrong, and no server is too old for it."""
    async with AsyncClient.of(options(f"{house.url}/licet/x", key, start_timeout=2.0)) as client:
        with pytest.raises(WrongUrl, match="look at url="):
            await client.wait_ready(2.0)
