"""Usage over HTTP, end to end: consumed, reserved, settled, released, reported, corrected, and read back."""

from typing import Any, Final

import pytest
import pytest_asyncio

from tests.api.house import ALL, House, Visitor, problem

pytestmark = pytest.mark.postgres

CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"p": {"name": "P"}},
    "meters": {
        "calls": {"event": "api.call", "dimensions": ["region"]},
        "tokens": {"event": "llm.tokens"},
        "users": {"event": "seen", "aggregate": "unique", "field": "who"},
    },
    "credits": {"ai": {"scale": 2, "burns": {"tokens": "0.01"}}},
    "features": {
        "api_calls": {"type": "metered", "meter": "calls", "per": "month", "warn_at": ["80%"]},
        "ai": {"type": "credits", "credit": "ai"},
        "sso": {"type": "switch"},
    },
    "plans": {
        "team": {
            "product": "p",
            "versions": {
                "2026-01": {"includes": {"api_calls": 100, "ai": {"amount": "50", "per": "month"}, "sso": True}}
            },
        }
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(house: House) -> Visitor:
    """Somebody who may do everything, in a workspace where acme has bought calls and credits."""
    visitor = await house.holder(*ALL)
    await visitor.told("PUT", "/v1/catalog?base=0", CATALOG)
    await sell(visitor, "acme")
    return visitor


async def sell(visitor: Visitor, customer: str) -> None:
    """Let a customer buy the plan."""
    await visitor.told("POST", "/v1/customers", {"id": customer})
    await visitor.told("POST", f"/v1/customers/{customer}/subscriptions", {"items": [{"plan": "team"}]})


async def test_consume(shop: Visitor) -> None:
    """What is consumed is taken, at a hard cap exactly; a refusal is an answer with the decision; a key repeats it."""
    first = await shop.told(
        "POST", "/v1/consume", {"customer": "acme", "feature": "api_calls", "quantity": 60, "key": "a"}
    )
    assert (first["allowed"], first["reason"], first["quantity"]) == (True, "within_limit", 60)
    assert [(one["feature"], one["taken"], one["remaining"]) for one in first["takes"]] == [("api_calls", 60, 40)]
    again = await shop.ask(
        "POST", "/v1/consume", {"customer": "acme", "feature": "api_calls", "quantity": 60, "key": "a"}
    )
    assert again.json() == first
    assert again.headers["idempotency-replayed"] == "true"
    other = {"customer": "acme", "feature": "api_calls", "quantity": 61, "key": "a"}
    problem(await shop.ask("POST", "/v1/consume", other), 422, "idempotency_key_reused")
    refused = await shop.told("POST", "/v1/consume", {"customer": "acme", "feature": "api_calls", "quantity": 41})
    assert (refused["allowed"], refused["reason"]) == (False, "limit_reached")
    assert [one["reasons"] for one in refused["refusals"]] == [["limit_reached"]]
    part = await shop.told(
        "POST", "/v1/consume", {"customer": "acme", "feature": "api_calls", "quantity": 41, "partial": True}
    )
    assert (part["allowed"], part["quantity"]) == (True, 40)
    balance = await shop.told("GET", "/v1/customers/acme/balances/api_calls")
    assert (balance["used"], balance["granted"], balance["remaining"]) == (100, 100, 0)
