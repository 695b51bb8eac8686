"""Every kind of refusal over HTTP, and what the server says about itself."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from msgspec import to_builtins

from licet.api.app import OPERATIONS
from licet.api.contract import Operation
from licet.api.cursors import MAX_CURSOR, cursor_of, key_of
from licet.api.runner import decode_query
from licet.door.problems import KINDS
from licet.store.setup import prepare
from tests.api.house import ALL, House, Line, Visitor, open_house, problem, release_meridian
from tests.store.worlds import World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


async def test_each_refusal_of_a_use_case_has_its_problem(house: House, operator: Visitor) -> None:
    """Not found, conflict, invalid content and a stale catalog each keep their own status and code over HTTP."""
    if (await operator.ask("GET", "/v1/catalog")).status_code == 404:
        await release_meridian(operator)
    await operator.told("POST", "/v1/customers", {"id": "taken"})
    problem(await operator.ask("POST", "/v1/customers", {"id": "taken"}), 409, "conflict")
    found = problem(await operator.ask("GET", "/v1/customers/Taken"), 404, "not_found")
    assert "case-sensitive" in found["advice"]
    naive = {"name": "x", "scopes": ["check"], "expires_at": "2030-01-01T00:00:00"}
    assert problem(await operator.ask("POST", "/v1/keys", naive), 400, "invalid")["problems"][0]["path"] == "expires_at"
    broken = {"version": 1, "products": {}, "features": {}, "plans": {"team": {"product": "x", "versions": {}}}}
    places = problem(await operator.ask("PUT", "/v1/catalog?base=1", broken), 422, "catalog_invalid")["problems"]
    assert all(place["line"] for place in places)
    problem(await operator.ask("PUT", "/v1/catalog?base=7", broken), 409, "stale_base")
    live = await house.holder(*ALL, workspace="live")
    problem(await live.ask("POST", "/v1/clock", {"advance": "P1D"}), 409, "conflict")
    problem(await live.ask("POST", "/v1/check", {"customer": "a", "feature": "b"}), 409, "no_catalog")
    gone = [await house.visitor().ask("POST", f"/v1/connectors/{way}", body=b"{}") for way in ("nowhere/x", "test/x")]
    first, second = (problem(answer, 404, "not_found") for answer in gone)
    assert first | {"request_id": ""} == second | {"request_id": ""}, "whether a workspace exists is not told"
    near = problem(await operator.ask("POST", "/v1/check", {"customer": "a", "featur": "b"}), 400, "invalid")
    assert near["problems"][0]["suggestion"] == "feature"


async def test_routes_that_are_not_there(house: House, operator: Visitor) -> None:
    """An unknown path is 404; a known one with another method is 405 and names all methods it takes."""
    problem(await operator.ask("GET", "/v1/nothing"), 404, "not_found")
    problem(await operator.ask("GET", "/v1/customers/acme/users/ann/more"), 404, "not_found")
    answer = await operator.ask("DELETE", "/v1/customers/acme")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, PATCH"
    assert (await house.visitor().ask("DELETE", "/v1/catalog")).headers["allow"] == "GET, PUT"


async def test_ids_may_hold_any_character_of_a_path(operator: Visitor) -> None:
    """An id with a slash, a percent sign, a space or letters of any script is one part of the path."""
    for name, part in (("a/b", "a%2Fb"), ("50%2F", "50%252F"), ("müller & söhne", "m%C3%BCller%20%26%20s%C3%B6hne")):
        made = await operator.told("POST", "/v1/customers", {"id": name})
        assert made["id"] == name
        assert (await operator.told("GET", f"/v1/customers/{part}"))["id"] == name
    problem(await operator.ask("GET", "/v1/customers/%ff"), 400, "bad_request")
    problem(await operator.ask("GET", "/v1/customers/a%00b"), 400, "bad_request")
    problem(await operator.ask("GET", f"/v1/customers/{'x' * 256}"), 414, "uri_too_long")


@pytest.mark.parametrize(
    "query",
    [
        "limt=3",
        "limit=3&limit=4",
        "limit=0",
        "limit=501",
        "limit=1.5",
        "limit=٣",
        "at_least=-1",
        "limit=%ff",
        "limit=",
        "limit=1.0",
        "limit=1e1",
        "limit=+5",
        "limit=05",
    ],
)
async def test_odd_query_parameters_are_refused(operator: Visitor, query: str) -> None:
    """A parameter that is unknown, repeated, out of bounds or no number is refused rather than ignored."""
    answer = await operator.http.get(f"/v1/customers?{query}")
    assert answer.status_code == 400
    assert json.loads(answer.content)["code"] in ("invalid", "bad_request")


async def test_a_naive_time_in_the_query_is_refused(operator: Visitor) -> None:
    """An instant without a zone is ambiguous, so it is refused."""
    problem(await operator.ask("GET", "/v1/catalog/matrix?at=2026-01-01T00:00:00"), 400, "invalid")


@pytest.mark.parametrize(
    "at", ["1795478400", "2026", "2026-03", "20260301", "2026-W09-7", "2026-03-01T09Z", "", "soon"]
)
async def test_an_instant_in_the_query_is_written_out(operator: Visitor, at: str) -> None:
    """A count of seconds, a bare year and the like are refused with what was written: none is guessed at."""
    refused = problem(await operator.ask("GET", f"/v1/catalog/matrix?at={at}"), 400, "invalid")
    assert refused["problems"][0]["path"] == "?at"
    assert repr(at) in refused["detail"]
    assert "2026-03-01T09:00:00Z" in refused["advice"]


@pytest.mark.parametrize("at", ["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01T01:00:00%2B01:00"])
def test_an_instant_in_the_query_is_a_date_or_has_a_zone(at: str) -> None:
    """A date alone means midnight UTC; with a time it has a zone, whose plus sign is written %2B."""
    matrix = next(one for one in OPERATIONS if one.path == "/v1/catalog/matrix")
    assert to_builtins(decode_query(matrix, f"at={at}".encode()))["at"] == "2026-03-01T00:00:00Z"


async def test_a_lost_plus_is_explained(operator: Visitor) -> None:
    """A plus sign in a query string is a space; who forgot to escape it is told so."""
    lost = await operator.ask("GET", "/v1/catalog/matrix?at=2026-03-01T01:00:00+01:00")
    assert "%2B" in problem(lost, 400, "invalid")["advice"]


LISTS = [one for one in OPERATIONS if "cursor" in one.query.__struct_fields__]


@pytest.mark.parametrize("one", LISTS, ids=lambda one: one.id)
@pytest.mark.parametrize("cursor", ["zzz", "7", "fnd_1", cursor_of("acme")[:-1], "%C3%A9", ""])
async def test_every_list_refuses_a_cursor_that_is_none(operator: Visitor, one: Operation, cursor: str) -> None:
    """What is not `next` of a page is refused by each list alike, never taken for the end of it."""
    path = one.path
    for name in one.path_names:
        path = path.replace(f"{{{name}}}", one.example_path[name])
    refused = problem(await operator.ask("GET", f"{path}?cursor={cursor}"), 400, "invalid")
    assert "cursor" in refused["detail"]


@pytest.mark.parametrize("key", ["a", "7", "fnd_01", "日本" * 64, "\U0001f30d" * 128, "a/b?c=d&e"])
def test_a_cursor_comes_back_as_the_key_it_was(key: str) -> None:
    """Whatever id a vendor chose, its cursor needs no escaping, stays within its bound and leads back to the id."""
    cursor = cursor_of(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert len(cursor) <= MAX_CURSOR
    assert key_of(cursor) == key


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
async def test_a_probe_may_ask_with_head(house: House, path: str) -> None:
    """What needs no key answers HEAD as GET, without a body; what needs one does not."""
    visitor = house.visitor()
    answer = await visitor.ask("HEAD", path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await visitor.ask("HEAD", "/v1/customers")).status_code == 405


async def test_the_address_alone_leads_to_the_documentation(house: House) -> None:
    """Who opens the server in a browser is sent on to its pages; anything but reading is refused."""
    visitor = house.visitor()
    answer = await visitor.ask("GET", "/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert problem(await visitor.ask("POST", "/"), 405, "method_not_allowed")["advice"] == "Use GET."


async def test_request_ids_go_through(operator: Visitor) -> None:
    """A plain request id is kept for the log and the answer; another one is replaced."""
    kept = await operator.ask("GET", "/v1/clock", headers={"X-Request-Id": "trace-7"})
    assert kept.headers["x-request-id"] == "trace-7"
    replaced = await operator.ask("GET", "/v1/clock", headers={"X-Request-Id": 'a b"c'})
    assert replaced.headers["x-request-id"].startswith("req_")


async def test_health_and_readiness(house: House) -> None:
    """The server says that it lives and that its database has the schema it was made for."""
    visitor = house.visitor()
    assert (await visitor.told("GET", "/healthz"))["status"] == "ok"
    ready = await visitor.told("GET", "/readyz")
    assert ready == {"ready": True, "checks": {"database": "ok", "migrations": "applied"}}


async def test_without_a_database_it_lives_but_is_not_ready(world: World) -> None:
    """While the database is out of reach requests get 503 with advice; when it is back all is as before."""
    endpoint = world.database.endpoint
    line = Line(endpoint.host, endpoint.port)
    await line.mend()
    dsn = world.database.dsn.partition("@")[0] + f"@127.0.0.1:{line.port}/{world.database.name}"
    async with open_house(World(world.database, await prepare(dsn))) as house:
        visitor = await house.holder(*ALL)
        await visitor.told("GET", "/v1/clock")
        await line.cut()
        gone = await visitor.ask("GET", "/v1/customers")
        assert problem(gone, 503, "unavailable")["advice"]
        assert gone.headers["retry-after"] == "1"
        assert (await visitor.told("GET", "/healthz"))["status"] == "ok"
        away = await visitor.ask("GET", "/readyz")
        assert (away.status_code, json.loads(away.content)["ready"]) == (503, False)
        assert away.headers["retry-after"] == "1"
        await line.mend()
        await asyncio.sleep(1)
        assert (await visitor.ask("GET", "/v1/customers")).status_code == 200
        assert (await visitor.told("GET", "/readyz"))["ready"]
    await line.cut()


async def test_numbers_count_by_template(operator: Visitor, house: House) -> None:
    """Metrics count requests by the route's template and status, and decisions by reason; no id is in them."""
    if (await operator.ask("GET", "/v1/catalog")).status_code == 404:
        await release_meridian(operator)
    await operator.ask("GET", "/v1/customers/a-very-private-id")
    await operator.told("POST", "/v1/check", {"customer": "a-very-private-id", "feature": "sso"})
    text = (await house.visitor().ask("GET", "/metrics")).text
    assert re.search(
        r'licet_http_requests_total\{method="GET",route="/v1/customers/\{customer\}",status="404"\} [1-9]', text
    )
    assert re.search(r'licet_decisions_total\{allowed="false",reason="unknown_customer"\} [1-9]', text)
    assert "licet_decision_seconds_bucket" in text
    assert "a-very-private-id" not in text


def test_the_page_of_problems_lists_each_code() -> None:
    """The reference has one row per code, with its status, and no other."""
    page = (REFERENCE / "problems.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", page, re.MULTILINE)
    assert rows == [(code, str(kind.status)) for code, kind in KINDS.items()]


def test_the_page_of_operations_lists_each_one() -> None:
    """The reference of the API names every operation by method and path, and no other."""
    page = (REFERENCE / "http.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `(GET|POST|PUT|PATCH) (/[^` ]*)` \|", page, re.MULTILINE))
    assert rows == {(one.method, one.path) for one in OPERATIONS if one.documented}
