"""Moves over HTTP, from the preview to the way back, and where they are seen: history, entitlements, explanation."""

import json
from typing import Any

import pytest

from tests.api.house import House, Visitor, problem
from tests.services.relocation import CATALOG

pytestmark = pytest.mark.postgres

MOVES = "/v1/catalog/moves"
ACME = "/v1/customers/acme"
COMMAND = {"item": "team", "from_version": "2026-01", "to_version": "2026-02", "notice": "P30D"}


@pytest.fixture(scope="module")
async def vendor(house: House, operator: Visitor) -> Visitor:
    """Somebody who sells, in March 2028, with one customer who has the first version of the plan team."""
    del house
    await operator.told("PUT", "/v1/catalog?base=0", body=CATALOG, headers={"Content-Type": "application/yaml"})
    await operator.told("POST", "/v1/clock", {"frozen_at": "2028-03-01T09:00:00Z"})
    await operator.told("POST", "/v1/customers", {"id": "acme"})
    sold = {"items": [{"plan": "team", "version": "2026-01"}]}
    await operator.told("POST", f"{ACME}/subscriptions", sold)
    return operator


async def previewed(vendor: Visitor, command: Any) -> Any:
    """Preview a move; returns the last line's preview."""
    answer = await vendor.ask("POST", f"{MOVES}/previews", command)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert (lines[0]["progress"]["done"], lines[0]["progress"]["of"]) == (0, 1)
    return lines[-1]["preview"]


async def test_from_the_preview_to_the_way_back(vendor: Visitor) -> None:
    """A move is previewed, allowed, begun, announced, seen ahead of its time, and taken back."""
    problem(await vendor.ask("POST", MOVES, COMMAND), 409, "preview_required")
    seen = await previewed(vendor, COMMAND)
    assert (seen["kind"], seen["summary"]["losing"]) == ("move", 1)
    assert await vendor.told("GET", f"/v1/catalog/previews/{seen['id']}") == seen
    losing = await vendor.told("GET", f"/v1/catalog/previews/{seen['id']}/customers?effect=losing")
    assert [one["customer"] for one in losing["items"]] == ["acme"]
    problem(await vendor.ask("POST", f"{MOVES}?preview={seen['id']}", COMMAND), 409, "blast_radius")
    consent = f"{MOVES}?preview={seen['id']}&max_losing=1"
    problem(await vendor.ask("POST", consent, COMMAND | {"at": "period_end"}), 409, "preview_stale")
    headers = {"Idempotency-Key": "once", "Licet-Note": "bigger reports"}
    made = await vendor.told("POST", consent, COMMAND, headers=headers)
    assert (await vendor.told("POST", consent, COMMAND, headers=headers))["id"] == made["id"]
    problem(await vendor.ask("POST", consent, COMMAND), 409, "conflict")
    done = await vendor.told("POST", f"{MOVES}/{made['id']}/advance")
    assert (done["state"], done["moved"], done["note"]) == ("moved", 1, "bigger reports")
    assert [one["id"] for one in (await vendor.told("GET", MOVES))["items"]] == [made["id"]]
    (told,) = (await vendor.told("GET", f"{MOVES}/{made['id']}/customers?limit=500"))["items"]
    assert (told["customer"], told["effective_at"]) == ("acme", "2028-03-31T09:00:00Z")
    await _announced(vendor, made["id"])
    await vendor.told("POST", "/v1/clock", {"frozen_at": "2028-04-02T09:00:00Z"})
    await _begun(vendor, made["id"])
    await vendor.told("POST", f"{MOVES}/{made['id']}/reverse")
    back = await vendor.told("POST", f"{MOVES}/{made['id']}/advance")
    assert (back["state"], back["reversed"]) == ("reversed", 1)
    assert "seq" in back
    assert (await _amount(vendor))["amount"] == 20
    assert (await _amount(vendor, "&at=2028-04-01T00:00:00Z"))["amount"] == 15


async def _amount(vendor: Visitor, more: str = "") -> Any:
    found = await vendor.told("GET", f"{ACME}/explain?feature=projects{more}")
    return found["decision"]["limit"]


async def _announced(vendor: Visitor, move: str) -> None:
    """The notice is there before the move is: in the subscription, in the history, in what will be, in the tree."""
    assert (await _amount(vendor))["amount"] == 20
    (held,) = (await vendor.told("GET", f"{ACME}/subscriptions"))["items"]
    assert held["items"][0]["version"] == "2026-01"
    assert held["moves"] == [
        {
            "move": move,
            "item": "team",
            "from_version": "2026-01",
            "to_version": "2026-02",
            "at": "2028-03-31T09:00:00Z",
        }
    ]
    newest = (await vendor.told("GET", f"{ACME}/history?limit=1"))["items"][0]
    assert newest["words"] == ["team will be moved from version 2026-01 to 2026-02 on 2028-03-31 09:00 UTC"]
    assert (newest["note"], newest["effective_at"]) == ("bigger reports", "2028-03-31T09:00:00Z")
    ahead = await vendor.told("GET", f"{ACME}/entitlements?at=2028-04-01T00:00:00Z")
    assert "reports" in [one["feature"] for one in ahead["entitlements"] if one["allowed"]]
    tree = str((await vendor.told("GET", f"{ACME}/explain?feature=projects"))["tree"])
    assert "will be moved to team@2026-02" in tree


async def _begun(vendor: Visitor, move: str) -> None:
    """Once it has begun, the new version holds, and the explanation names the move with its event."""
    del move
    assert (await _amount(vendor))["amount"] == 15
    (held,) = (await vendor.told("GET", f"{ACME}/subscriptions"))["items"]
    assert held["items"][0]["version"] == "2026-02"
    newest = (await vendor.told("GET", f"{ACME}/history?limit=1"))["items"][0]
    assert newest["kind"] == "time"
    assert {one["feature"] for one in newest["changes"]} == {"projects", "reports"}
    (event,) = (await vendor.told("GET", "/v1/events?type=subscription.move_announced"))["items"]
    tree = str((await vendor.told("GET", f"{ACME}/explain?feature=projects"))["tree"])
    assert "moved from team@2026-01 to team@2026-02" in tree
    assert event["id"] in tree


async def test_what_is_not_there(vendor: Visitor) -> None:
    """An unknown move is 404, a command that cannot be meant 400 with the place, and neither begins a stream."""
    nothing = f"{MOVES}/mov_{'0' * 32}"
    for method, path in (("GET", nothing), ("POST", f"{nothing}/advance"), ("POST", f"{nothing}/reverse")):
        problem(await vendor.ask(method, path), 404, "not_found")
    found = problem(await vendor.ask("POST", f"{MOVES}/previews", COMMAND | {"item": "taem"}), 400, "invalid")
    assert found["problems"][0]["path"] == "item"
    assert "team" in found["advice"]
    problem(await vendor.ask("POST", f"{MOVES}/previews", COMMAND | {"customers": []}), 400, "invalid")
    reader = await vendor.told("POST", "/v1/keys", {"name": "reader", "scopes": ["catalog:read"]})
    headers = {"Authorization": f"Bearer {reader['secret']}"}
    problem(await vendor.ask("POST", MOVES, COMMAND, headers=headers), 403, "forbidden")
    assert (await vendor.ask("GET", MOVES, headers=headers)).status_code == 200
