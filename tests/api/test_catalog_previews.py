"""Previews on live customers over HTTP: told line by line, listed page by page, and asked for by a release."""

import json
from typing import Any
from uuid import uuid4

import pytest

from licet.services.rows import Workspace
from tests.api.house import House, Visitor, problem
from tests.store.worlds import OPERATOR

CATALOG: dict[str, Any] = {
    "version": 1,
    "products": {"suite": {"name": "Suite"}},
    "features": {"sso": {"type": "switch", "title": "Single sign-on"}, "projects": {"type": "limit"}},
    "plans": {"team": {"product": "suite", "versions": {"2026-01": {"includes": {"sso": True, "projects": 20}}}}},
}
SHUT: dict[str, Any] = {
    **CATALOG,
    "features": {**CATALOG["features"], "sso": {**CATALOG["features"]["sso"], "when": "false"}},
}


@pytest.fixture
async def vendor(house: House) -> Visitor:
    """Somebody who released a catalog and sold it to seven customers."""
    workspace = f"previews-{uuid4().hex}"
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    made = await house.holder("admin", workspace=workspace)
    await made.told("PUT", "/v1/catalog?base=0", CATALOG)
    for number in range(7):
        await made.told("POST", "/v1/customers", {"id": f"c{number}"})
        await made.told("POST", f"/v1/customers/c{number}/subscriptions", {"items": [{"plan": "team"}]})
    return made


async def preview(visitor: Visitor, catalog: dict[str, Any]) -> Any:
    """Make a preview; each line before the last tells progress."""
    answer = await visitor.ask("POST", "/v1/catalog/previews", catalog)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    *told, last = (json.loads(line) for line in answer.content.splitlines())
    assert told[0]["progress"]["done"] == 0
    assert {(one["progress"]["of"], one["progress"]["preview"]) for one in told} == {(7, last["preview"]["id"])}
    return last["preview"]


async def test_a_release_is_previewed_then_allowed(vendor: Visitor) -> None:
    """Refused without, refused beyond the number, released with it; what was made is looked at again in between."""
    problem(await vendor.ask("PUT", "/v1/catalog?base=1", SHUT), 409, "preview_required")
    made = await preview(vendor, SHUT)
    assert await vendor.told("GET", f"/v1/catalog/previews/{made['id']}") == made
    release = f"/v1/catalog?base=1&preview={made['id']}"
    refused = problem(await vendor.ask("PUT", release, SHUT), 409, "blast_radius")
    assert refused["detail"].startswith("7 customers would lose something, at most 0 may: 7 lose Single sign-on")
    problem(await vendor.ask("PUT", f"{release}&max_losing=7", SHUT | {"cohorts": {"x": {}}}), 409, "preview_stale")
    done = await vendor.told("PUT", f"{release}&max_losing=7", SHUT)
    assert (done["revision"], done["released"]) == (2, True)
    event = (await vendor.told("GET", "/v1/events?type=catalog.released"))["items"][-1]
    assert (event["after"]["preview"]["id"], event["after"]["preview"]["losing"]) == (made["id"], 7)
    back = await preview(vendor, CATALOG)
    assert (back["summary"]["gaining"], back["summary"]["losing"]) == (7, 0)
    assert (await vendor.told("PUT", f"/v1/catalog?base=2&preview={back['id']}", CATALOG))["revision"] == 3


async def test_who_is_touched_is_listed_page_by_page(vendor: Visitor) -> None:
    """Three at a time, everybody once and in order; a filter that fits nobody lists nobody."""
    made = await preview(vendor, SHUT)
    where = f"/v1/catalog/previews/{made['id']}/customers"
    found: list[Any] = []
    cursor = ""
    while True:
        page = await vendor.told("GET", f"{where}?limit=3&feature=sso&effect=losing{cursor}")
        found += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [one["customer"] for one in found] == [f"c{number}" for number in range(7)]
    assert {json.dumps(one["changes"]) for one in found} == {json.dumps(made["summary"]["groups"][0]["changes"])}
    for none in ("effect=gaining", "effect=breaking", "feature=projects", "feature=sso&effect=exceeding"):
        assert (await vendor.told("GET", f"{where}?{none}"))["items"] == []
    problem(await vendor.ask("GET", "/v1/catalog/previews/prv_x/customers"), 404, "not_found")


async def test_a_wrong_catalog_is_refused_before_anything_is_judged(vendor: Visitor) -> None:
    """Every problem with its place, as a problem of its own status, not as a line."""
    wrong = {**CATALOG, "features": {"sso": {"type": "switch", "when": "customer.nothing == 1"}}}
    places = problem(await vendor.ask("POST", "/v1/catalog/previews", wrong), 422, "catalog_invalid")["problems"]
    assert places


async def test_who_is_touched_is_for_administrators(vendor: Visitor) -> None:
    """A key that reads the catalog sees no preview, one that writes it no list of customers."""
    made = await preview(vendor, SHUT)
    for scope, seen in (("catalog:read", 403), ("catalog:write", 200)):
        key = await vendor.told("POST", "/v1/keys", {"name": "ci", "scopes": [scope]})
        headers = {"Authorization": f"Bearer {key['secret']}"}
        where = f"/v1/catalog/previews/{made['id']}"
        assert (await vendor.ask("GET", where, headers=headers)).status_code == seen
        problem(await vendor.ask("GET", f"{where}/customers", headers=headers), 403, "forbidden")


async def test_an_instant_out_of_range_is_refused(vendor: Visitor) -> None:
    """Before 1970 and after 9000 nothing is judged, and no stream begins; in between it is told, with its zone."""
    for at in ("0001-01-01T00:00:00Z", "1969-12-31T00:00:00Z", "9999-12-31T00:00:00Z"):
        found = problem(await vendor.ask("POST", f"/v1/catalog/previews?at={at}", SHUT), 400, "invalid")
        assert found["problems"][0]["path"] == "at"
    answer = await vendor.ask("POST", "/v1/catalog/previews?at=1970-01-01T00:00:00Z", SHUT)
    told = json.loads(answer.content.splitlines()[-1])["preview"]
    assert (told["at"], told["what_if"]) == ("1970-01-01T00:00:00Z", True)


async def test_a_preview_is_one_workspace_s_own(vendor: Visitor, house: House) -> None:
    """Another workspace does not know it."""
    made = await preview(vendor, SHUT)
    other = await house.holder("admin")
    problem(await other.ask("GET", f"/v1/catalog/previews/{made['id']}"), 404, "not_found")
