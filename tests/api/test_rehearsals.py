"""Rehearsals over HTTP: line by line, refused before they begin where something is wrong, for admins only."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.api.house import House, Visitor, open_house, problem
from tests.store.worlds import World

pytestmark = pytest.mark.postgres

PATH = "/v1/catalog/rehearsals"
CATALOG: dict[str, Any] = {
    "version": 1,
    "products": {"studio": {"name": "Studio"}},
    "features": {"projects": {"type": "limit", "record": "each"}},
    "plans": {"team": {"product": "studio", "versions": {"2026-01": {"includes": {"projects": 3}}}}},
}
ORDER: dict[str, Any] = {
    "source": "crm",
    "external_id": "deal-1",
    "customer": {"id": "acme"},
    "occurred_at": "2026-03-01T09:00:00Z",
    "lines": [{"line": "1", "plan": "team"}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(world: World) -> AsyncIterator[House]:
    """A running server whose customer acme asked for a third, a fourth and a fifth project."""
    async with open_house(world) as opened:
        owner = await opened.holder("admin")
        await owner.told("PUT", "/v1/catalog?base=0", CATALOG)
        await owner.told("POST", "/v1/orders", ORDER)
        for used in (2, 3, 4):
            await owner.told("POST", "/v1/check", {"customer": "acme", "feature": "projects", "used": used})
        yield opened


def allowing(projects: int) -> dict[str, Any]:
    """The catalog with another limit in its released version."""
    version = {"includes": {"projects": projects}}
    return CATALOG | {"plans": {"team": {"product": "studio", "versions": {"2026-01": version}}}}


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The lines of an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def asked(visitor: Visitor, projects: int, query: str = "") -> list[dict[str, Any]]:
    """The lines of a rehearsal of another limit."""
    return lines_of(await visitor.ask("POST", f"{PATH}{query}", allowing(projects)))


async def test_progress_differences_and_sums(house: House) -> None:
    """First how many there are, then each difference whole, at the end the sums; what was just asked is among them."""
    owner = await house.holder("admin")
    progress, difference, last = await asked(owner, 2)
    assert progress == {"progress": {"done": 0, "of": 3}}
    told = difference["difference"]
    assert told["kind"] == "newly_denied"
    assert told["was"] == {"allowed": True, "outcome": "allowed", "reason": "within_limit", "mode": "enforce"}
    assert {name: told["would"][name] for name in ("outcome", "reasons")} == {
        "outcome": "denied", "reasons": ["limit_reached"],
    }  # fmt: skip
    assert told["question"]["used"] == 2
    sums = last["rehearsal"]
    assert (sums["base"], sums["questions"], sums["same"], sums["newly_denied"]) == (1, 3, 2, 1)
    assert sums["unreleasable"]
    _, *differences, last = await asked(owner, 5, "?limit=1")
    assert [one["difference"]["question"]["used"] for one in differences] == [3]
    assert (last["rehearsal"]["newly_allowed"], last["rehearsal"]["shown"]) == (2, 1)
    record = (await owner.told("GET", "/v1/checks/records?limit=3"))["items"][1]
    assert differences[0]["difference"]["id"] == record["id"]


async def test_the_catalog_may_be_yaml(house: House) -> None:
    """YAML is read as JSON is."""
    owner = await house.holder("admin")
    headers = {"Content-Type": "application/yaml"}
    answer = await owner.ask("POST", PATH, body=json.dumps(CATALOG).encode(), headers=headers)
    assert lines_of(answer)[-1]["rehearsal"]["same"] == 3


async def test_what_is_wrong_is_told_with_its_own_status(house: House) -> None:
    """A catalog that is none, a period that is none, a missing scope and a bound key: no line is sent."""
    owner = await house.holder("admin")
    told = problem(await owner.ask("POST", PATH, {"version": 1}), 422, "catalog_invalid")
    assert told["problems"]
    switch = CATALOG | {"features": {"projects": {"type": "switch"}}, "plans": {}}
    problem(await owner.ask("POST", PATH, switch), 422, "catalog_invalid")
    period = "?since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z"
    problem(await owner.ask("POST", f"{PATH}{period}", CATALOG), 400, "invalid")
    problem(await owner.ask("POST", f"{PATH}?limit=1001", CATALOG), 400, "invalid")
    weaker = await house.holder("catalog:read", "catalog:write", "check", "orders")
    problem(await weaker.ask("POST", PATH, CATALOG), 403, "forbidden")
    bound = await house.holder("admin", customer="acme")
    problem(await bound.ask("POST", PATH, CATALOG), 403, "forbidden")
    empty = await house.holder("admin", workspace="live")
    problem(await empty.ask("POST", PATH, CATALOG), 409, "no_catalog")


async def test_a_misspelt_filter_is_no_rehearsal(house: House) -> None:
    """A feature of neither catalog and a customer that nobody asked about are refused with the nearest name; one that
    only the proposed catalog has, and one that was asked about without being a customer, are rehearsed."""
    owner = await house.holder("admin")
    told = problem(await owner.ask("POST", f"{PATH}?feature=projcts", CATALOG), 400, "invalid")
    assert (told["advice"], told["problems"][0]["suggestion"]) == ("did you mean projects?", "projects")
    told = problem(await owner.ask("POST", f"{PATH}?customer=acmee", CATALOG), 404, "not_found")
    assert "did you mean acme?" in told["advice"]
    await owner.told("POST", "/v1/check", {"customer": "nobody", "feature": "projects"})
    more = CATALOG | {"features": {**CATALOG["features"], "fresh": {"type": "switch"}}}
    for query, questions in (("?feature=fresh", 0), ("?customer=nobody", 1)):
        assert lines_of(await owner.ask("POST", f"{PATH}{query}", more))[-1]["rehearsal"]["questions"] == questions
