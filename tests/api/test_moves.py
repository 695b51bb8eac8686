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


async def previewed(vendor: Visitor, command: Any, path: str = f"{MOVES}/previews") -> Any:
    """Preview a move, or its way back; returns the last line's preview."""
    answer = await vendor.ask("POST", path, command)
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
    await _begin_return(vendor, f"{MOVES}/{made['id']}/reverse", seen["id"])
    back = await vendor.told("POST", f"{MOVES}/{made['id']}/advance")
    assert (back["state"], back["reversed"]) == ("reversed", 1)
    assert "seq" in back
    assert (await _amount(vendor))["amount"] == 20
    assert (await _amount(vendor, "&at=2028-04-01T00:00:00Z"))["amount"] == 15


async def _begin_return(vendor: Visitor, path: str, other: str) -> None:
    """The way back is guarded as the move is: a preview of exactly it, and leave to let so many lose."""
    refused = problem(await vendor.ask("POST", path), 409, "preview_required")
    assert f"POST {path}/previews" in refused["advice"]
    seen = await previewed(vendor, None, f"{path}/previews")
    counts = (seen["summary"]["customers"], seen["summary"]["gaining"], seen["summary"]["losing"])
    assert (seen["kind"], counts) == ("move", (1, 1, 1))
    assert await vendor.told("GET", f"/v1/catalog/previews/{seen['id']}") == seen
    problem(await vendor.ask("POST", f"{path}?preview={seen['id']}"), 409, "blast_radius")
    problem(await vendor.ask("POST", f"{path}?preview={other}&max_losing=1"), 409, "preview_stale")
    await vendor.told("POST", f"{path}?preview={seen['id']}&max_losing=1")


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


async def test_what_is_passed_by_is_told(vendor: Visitor) -> None:
    """A preview says who was named in vain, and one is refused, before a line is sent, while a move is under way."""
    seen = await previewed(vendor, COMMAND | {"from_version": "2026-03", "customers": ["acme"]})
    (group,) = seen["summary"]["left_out"]
    words = "nothing of it is team@2026-03, now or later"
    assert group == {
        "reason": "not_held",
        "count": 1,
        "examples": [{"customer": "acme", "subscription": None, "words": words}],
    }
    made = await vendor.told("POST", MOVES, COMMAND | {"from_version": "2026-03", "customers": ["acme"]})
    refused = problem(await vendor.ask("POST", f"{MOVES}/previews", COMMAND), 409, "conflict")
    assert made["id"] in refused["detail"]
    assert (await vendor.told("POST", f"{MOVES}/{made['id']}/advance"))["left_out"] == 1


async def test_what_is_not_there(vendor: Visitor) -> None:
    """An unknown move is 404, a command that cannot be meant 400 with the place, and neither begins a stream."""
    nothing = f"{MOVES}/mov_{'0' * 32}"
    for path in ("/advance", "/reverse", "/reverse/previews"):
        problem(await vendor.ask("POST", f"{nothing}{path}"), 404, "not_found")
    problem(await vendor.ask("GET", nothing), 404, "not_found")
    found = problem(await vendor.ask("POST", f"{MOVES}/previews", COMMAND | {"item": "taem"}), 400, "invalid")
    assert found["problems"][0]["path"] == "item"
    assert "team" in found["advice"]
    problem(await vendor.ask("POST", f"{MOVES}/previews", COMMAND | {"customers": []}), 400, "invalid")
    reader = await vendor.told("POST", "/v1/keys", {"name": "reader", "scopes": ["catalog:read"]})
    headers = {"Authorization": f"Bearer {reader['secret']}"}
    problem(await vendor.ask("POST", MOVES, COMMAND, headers=headers), 403, "forbidden")
    assert (await vendor.ask("GET", MOVES, headers=headers)).status_code == 200
    problem(await vendor.ask("GET", f"{nothing}/customers", headers=headers), 403, "forbidden")
