"""Who decides about a feature, over HTTP: released without a preview, told to whoever reads, consumed exactly."""

from typing import Any
from uuid import uuid4

import pytest

from licet.services.rows import Workspace
from tests.api.house import House, Visitor, problem
from tests.store.worlds import OPERATOR

API: dict[str, Any] = {"type": "metered", "meter": "calls", "default": 3}
CATALOG: dict[str, Any] = {
    "version": 1,
    "products": {"suite": {"name": "Suite"}},
    "meters": {"calls": {"event": "call", "aggregate": "count"}},
    "features": {"api": API},
    "plans": {"team": {"product": "suite", "versions": {"2026-01": {"includes": {"api": True}}}}},
}
LOCAL: dict[str, Any] = {**CATALOG, "features": {"api": {**API, "decide": "local"}}}


@pytest.fixture
async def vendor(house: House) -> Visitor:
    """Somebody who released a catalog in which the hub decides, and sold it once."""
    workspace = f"local-{uuid4().hex}"
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    made = await house.holder("admin", workspace=workspace)
    await made.told("PUT", "/v1/catalog?base=0", CATALOG)
    await made.told("POST", "/v1/customers", {"id": "acme"})
    await made.told("POST", "/v1/customers/acme/subscriptions", {"items": [{"plan": "team"}]})
    return made


async def consume(visitor: Visitor, quantity: int = 1) -> bool:
    """Consume over HTTP; return whether it was allowed."""
    asked = {"customer": "acme", "feature": "api", "quantity": quantity}
    answer = await visitor.ask("POST", "/v1/consume", asked, headers={"Idempotency-Key": uuid4().hex})
    assert answer.status_code == 200, answer.text
    allowed: bool = answer.json()["allowed"]
    return allowed


async def test_it_is_released_told_and_consumed_exactly(vendor: Visitor) -> None:
    """No right moves, so no preview is asked for; who consumes over HTTP has the cap to the unit, before and after."""
    assert await consume(vendor)
    done = await vendor.told("PUT", "/v1/catalog?base=1", LOCAL)
    assert (done["revision"], done["released"]) == (2, True)
    (change,) = done["changes"]
    assert (change["path"], change["effect"]) == ("features.api.decide", "none")
    assert (await vendor.told("GET", "/v1/catalog"))["doc"]["features"]["api"]["decide"] == "local"
    assert [await consume(vendor, quantity) for quantity in (3, 2, 1)] == [False, True, False]
    await vendor.told("PUT", "/v1/catalog?base=2", CATALOG)
    assert "decide" not in (await vendor.told("GET", "/v1/catalog"))["doc"]["features"]["api"]
    assert not await consume(vendor)


async def test_what_cannot_be_leased_is_refused_at_its_place(vendor: Visitor) -> None:
    """A window beside it on the same meter: nothing is released, and the problem names the word and what bars it."""
    burst = {"type": "metered", "meter": "calls", "per": "rolling", "length": "PT1H"}
    barred = {**LOCAL, "features": {**LOCAL["features"], "burst": burst}}
    refused = problem(await vendor.ask("PUT", "/v1/catalog?base=1", barred), 422, "catalog_invalid")
    (told,) = refused["problems"]
    assert told["path"] == "features.api.decide"
    assert 'draws on "burst" (per: rolling) as well: write decide: hub' in told["message"]
    assert (await vendor.told("GET", "/v1/catalog"))["revision"] == 1
