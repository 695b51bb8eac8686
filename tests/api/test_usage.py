"""Usage over HTTP, end to end: consumed, reserved, settled, released, reported, corrected, and read back."""

import asyncio
import json
import re
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.api.house import ALL, House, Visitor, problem
from tests.door.wire import AFTER_WRITES

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


async def test_reserve(shop: Visitor) -> None:
    """What is set aside is settled by what it came to, or released; of several ends exactly one is accepted."""
    held = await shop.told(
        "POST", "/v1/reservations", {"customer": "acme", "feature": "ai", "quantity": "12.5", "key": "r"}
    )
    assert (held["allowed"], held["quantity"], held["takes"][0]["remaining"]) == (True, "12.5", "37.5")
    where = f"/v1/reservations/{held['id']}"
    seen = await shop.told("GET", where)
    assert (seen["state"], seen["quantities"], seen["expires_at"]) == ("open", {"ai": "12.5"}, held["expires_at"])
    settled = await shop.told("POST", f"{where}/settle", {"used": "4.25", "key": "s"})
    assert (settled["closed"], settled["used"], settled["takes"][0]["remaining"]) == ("settled", "4.25", "45.75")
    assert await shop.told("POST", f"{where}/settle", {"used": "4.25", "key": "s"}) == settled
    problem(await shop.ask("POST", f"{where}/settle", {"used": "4.25"}), 409, "reservation_closed")
    problem(await shop.ask("POST", f"{where}/release"), 409, "reservation_closed")
    assert (await shop.told("GET", where))["state"] == "settled"
    other = await shop.told("POST", "/v1/reservations", {"customer": "acme", "feature": "ai", "quantity": 5})
    ended = await shop.told("POST", f"/v1/reservations/{other['id']}/release")
    assert (ended["closed"], ended["takes"][0]["remaining"]) == ("released", "45.75")
    for odd in (f"res_{'0' * 32}", "res_x", "%00"):
        assert (await shop.ask("GET", f"/v1/reservations/{odd}")).status_code in (400, 404)
        assert (await shop.ask("POST", f"/v1/reservations/{odd}/settle", {"used": 1})).status_code in (400, 404)


async def test_decisions_are_counted_by_reason(house: House, shop: Visitor) -> None:
    """Each consume and reserve that is decided moves one number by its reason, hot or cold; one answered again none."""
    await sell(shop, "counted")
    await asyncio.sleep(AFTER_WRITES)  # what was written lets the gate forget keys
    await shop.told("GET", "/v1/catalog")
    asked = {"customer": "counted", "feature": "api_calls"}
    before = uses(house)
    for path in ("/v1/consume", "/v%31/consume"):  # hot, then cold
        answered = house.built.parts.metrics.hot
        await shop.told("POST", path, asked | {"quantity": 2, "key": "once"})
        await shop.told("POST", path, asked | {"quantity": 3})
        await shop.told("POST", path, asked | {"quantity": 1000, "key": "never"})
        assert house.built.parts.metrics.hot - answered == (3 if path == "/v1/consume" else 0)
    held = await shop.told("POST", "/v1/reservations", asked | {"quantity": 5})
    await shop.told("POST", f"/v1/reservations/{held['id']}/release")
    after = uses(house)
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)} == {
        'allowed="true",kind="consume",reason="within_limit"': 3,
        'allowed="false",kind="consume",reason="limit_reached"': 2,
        'allowed="true",kind="reserve",reason="within_limit"': 1,
    }


def uses(house: House) -> dict[str, float]:
    """How many consumes and reserves were decided, by labels."""
    text = house.built.parts.metrics.text()[0].decode()
    return {name: float(count) for name, count in re.findall(r"^licet_uses_total\{(.*)\} (\S+)$", text, re.MULTILINE)}


async def test_open_reservations_are_listed(house: House, shop: Visitor) -> None:
    """Whoever asks sees page by page what is set aside, and not what was settled; a bound key sees its own alone."""
    await sell(shop, "holder")
    asked = {"customer": "holder", "feature": "ai", "quantity": 1}
    held = sorted([(await shop.told("POST", "/v1/reservations", asked))["id"] for _ in range(3)])
    where = "/v1/customers/holder/reservations"
    first = await shop.told("GET", f"{where}?limit=2")
    second = await shop.told("GET", f"{where}?limit=2&cursor={first['next']}")
    assert [one["id"] for one in first["items"] + second["items"]] == held
    assert second["next"] is None
    await shop.told("POST", f"/v1/reservations/{held[0]}/settle", {"used": 1})
    assert [one["id"] for one in (await shop.told("GET", where))["items"]] == held[1:]
    bound = await house.holder("usage", customer="holder")
    assert len((await bound.told("GET", where))["items"]) == 2
    problem(await bound.ask("GET", "/v1/customers/acme/reservations"), 403, "forbidden")
    problem(await shop.ask("GET", "/v1/customers/nobody/reservations"), 404, "not_found")


async def test_a_reservation_of_somebody_else(house: House, shop: Visitor) -> None:
    """A key that is bound to another customer neither sees, settles nor releases a reservation."""
    held = await shop.told("POST", "/v1/reservations", {"customer": "acme", "feature": "ai", "quantity": 1})
    await shop.told("POST", "/v1/customers", {"id": "other"})
    bound = await house.holder("usage", customer="other")
    where = f"/v1/reservations/{held['id']}"
    problem(await bound.ask("GET", where), 404, "not_found")
    for way, body in (("settle", {"used": 1}), ("release", {})):
        for _ in range(2):  # cold, then hot
            assert (await bound.ask("POST", f"{where}/{way}", body)).status_code in (403, 404)
    assert (await shop.told("GET", where))["state"] == "open"
    await shop.told("POST", f"{where}/release")


async def test_reports_and_corrections(shop: Visitor) -> None:
    """Events count once, in every form; what no meter counts is ignored; a correction gives back, once."""
    await sell(shop, "reporting")
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "api.call", "subject": "reporting"}
    first = event | {"data": {"quantity": 30, "user": "ann", "region": "eu"}}
    assert await shop.told("POST", "/v1/events", first) == {"recorded": 1, "duplicates": 0, "ignored": 0}
    many = [first, first | {"id": "2"}, event | {"id": "3", "type": "unheard"}, first | {"id": "4"}]
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    told = await shop.told("POST", "/v1/events", many, headers=headers)
    assert told == {"recorded": 2, "duplicates": 1, "ignored": 1}
    binary = {"ce-specversion": "1.0", "ce-id": "5", "ce-source": "s", "ce-type": "api.call", "ce-subject": "reporting"}
    told = await shop.told("POST", "/v1/events", {"quantity": 20}, headers=binary)
    assert told == {"recorded": 1, "duplicates": 0, "ignored": 0}
    where = "/v1/customers/reporting/balances/api_calls"
    balance = await shop.told("GET", where)
    assert (balance["used"], balance["remaining"], balance["crossed"]) == (110, -10, [80])
    correction = {"customer": "reporting", "event": {"source": "s", "id": "2"}, "quantity": 10, "key": "c"}
    for _ in range(2):
        told = await shop.told("POST", "/v1/usage/corrections", correction)
        assert (told["allowed"], told["takes"][0]["taken"]) == (True, -10)
    assert (await shop.told("GET", where))["used"] == 100
    statement = await shop.told("GET", f"{where}/statement?limit=3")
    assert [(one["kind"], one["change"]) for one in statement["entries"]] == [
        ("allowance", 100),
        ("report", -30),
        ("report", -30),
    ]
    rest = await shop.told("GET", f"{where}/statement?limit=3&cursor={statement['next']}")
    assert sorted(one["change"] for one in rest["entries"]) == [-30, -20, 10]
    whole = [*statement["entries"], *rest["entries"]]
    assert sum(one["change"] for one in whole) == whole[-1]["remaining"] == rest["closing"]["remaining"]


async def test_summed_up(house: House, shop: Visitor) -> None:
    """Usage is summed up by days and months, by dimensions and pages, the same before and after it is sealed."""
    event = {"specversion": "1.0", "source": "sums", "type": "api.call", "subject": "summed"}
    await sell(shop, "summed")
    regions = ["eu", "us", "eu", None]
    events = [
        event | {"id": str(number), "data": {"quantity": number + 1} | ({"region": region} if region else {})}
        for number, region in enumerate(regions)
    ]
    await shop.told("POST", "/v1/events", events)
    whole = "/v1/customers/summed/usage?by=month&dimensions=region"
    before = await shop.told("GET", whole)
    found = {one["dimensions"].get("region"): (one["events"], one["quantity"]) for one in before["items"]}
    assert found == {"eu": (2, 4), "us": (1, 2), None: (1, 4)}
    assert await house.storage.seal("test") is not None
    assert await shop.told("GET", whole) == before
    for by in ("hour", "day", "month"):
        sums = await shop.told("GET", f"/v1/customers/summed/usage?by={by}&meter=calls")
        assert sum(one["quantity"] for one in sums["items"]) == 10
    paged: list[Any] = []
    cursor = ""
    while True:
        page = await shop.told("GET", f"/v1/usage?limit=1&by=month{cursor}")
        paged += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert paged == (await shop.told("GET", "/v1/usage?by=month"))["items"]
    assert {one["customer"] for one in paged} >= {"summed"}
    facts = await shop.told("GET", "/v1/usage/facts?customer=summed")
    assert [one["source"]["id"] for one in facts["items"]] == ["0", "1", "2", "3"]
    lines = (await shop.ask("GET", "/v1/usage/facts/export?customer=summed")).content.splitlines()
    assert [json.loads(line).get("fact") for line in lines[:-1]] == facts["items"]
    assert json.loads(lines[-1]) == {"end": "whole", "facts": 4}
    assert sum(one["count"] for one in (await shop.told("GET", "/v1/usage/segments"))["items"]) >= 4


async def test_grants_and_rules(shop: Visitor) -> None:
    """What is granted counts, and burns; voided it does not; limits and rules are listed with it, page by page."""
    await sell(shop, "granted")
    where = "/v1/customers/granted"
    made = await shop.told(
        "POST", f"{where}/grants", {"feature": "ai", "amount": "10.5", "priority": 1, "note": "gift"}
    )
    balance = await shop.told("GET", f"{where}/balances/ai")
    assert (balance["granted"], balance["grants"][0]["id"]) == ("60.5", made["id"])
    await shop.told("POST", f"{where}/grants/{made['id']}/void", {})
    assert (await shop.told("GET", f"{where}/balances/ai"))["granted"] == "50"
    problem(await shop.ask("POST", f"{where}/grants/{made['id']}/void", {}), 409, "conflict")
    await shop.told("PUT", f"{where}/balances/ai/spend-limit", {"amount": "5"})
    rule = {"below": "1", "amount": "10", "most": "20", "consented_by": "ann"}
    await shop.told("PUT", f"{where}/balances/ai/top-up", rule)
    await shop.told("POST", "/v1/consume", {"customer": "granted", "feature": "ai", "quantity": 30})
    await shop.told("POST", f"{where}/balances/ai/reset", {"anchor": "keep"})
    assert (await shop.told("GET", f"{where}/balances/ai"))["remaining"] == "50"
    whole = (await shop.told("GET", f"{where}/grants"))["items"]
    assert [one["kind"] for one in whole] == ["void", "spend_limit", "top_up", "reset", "grant"]
    first = await shop.told("GET", f"{where}/grants?limit=3")
    rest = await shop.told("GET", f"{where}/grants?limit=3&cursor={first['next']}")
    assert [*first["items"], *rest["items"]] == whole
    listed = await shop.told("GET", f"{where}/balances")
    assert [one["feature"] for one in listed["balances"]] == ["ai", "api_calls"]
    page = await shop.told("GET", f"{where}/balances?limit=1")
    after = await shop.told("GET", f"{where}/balances?limit=1&cursor={page['next']}")
    assert [one["feature"] for one in (*page["balances"], *after["balances"])] == ["ai", "api_calls"]
    problem(await shop.ask("GET", f"{where}/balances/sso"), 400, "invalid")
    problem(await shop.ask("GET", f"{where}/balances/ai?holder=ann"), 400, "invalid")


async def test_refusals_are_on_record(shop: Visitor) -> None:
    """What was refused is listed, newest first, once for each key; nothing of it is among the facts."""
    await sell(shop, "greedy")
    ask = {"customer": "greedy", "feature": "api_calls", "quantity": 101, "user": "ann"}
    for key in ("first", "first", "second"):
        assert not (await shop.told("POST", "/v1/consume", ask | {"key": key}))["allowed"]
    rows = (await shop.told("GET", "/v1/usage/refusals?customer=greedy"))["items"]
    assert [(one["quantity"], one["reason"], one["user"]) for one in rows] == [(101, "limit_reached", "ann")] * 2
    assert (await shop.told("GET", "/v1/usage/facts?customer=greedy"))["items"] == []


async def test_what_is_used_most(house: House, shop: Visitor) -> None:
    """Just now is told by customer and feature, refusals and what is left with it; a bound key sees its own."""
    for name, times in (("top-a", 3), ("top-b", 1)):
        await sell(shop, name)
        for _ in range(times):
            await shop.told("POST", "/v1/consume", {"customer": name, "feature": "ai", "quantity": "1.5"})
    assert not (await shop.told("POST", "/v1/consume", {"customer": "top-b", "feature": "ai", "quantity": 50}))[
        "allowed"
    ]
    found = (await shop.told("GET", "/v1/usage/top?seconds=600&limit=100"))["items"]
    rows = {one["customer"]: one for one in found if one["customer"].startswith("top-")}
    first = {"requests": 3, "quantity": "4.5", "refused": 0, "used": "4.5", "granted": "50", "remaining": "45.5"}
    second = {"requests": 1, "quantity": "1.5", "refused": 1, "used": "1.5", "granted": "50", "remaining": "48.5"}
    assert rows["top-a"].items() >= first.items()
    assert rows["top-b"].items() >= second.items()
    bound = await house.holder("usage", customer="top-a")
    assert [one["customer"] for one in (await bound.told("GET", "/v1/usage/top"))["items"]] == ["top-a"]
    problem(await bound.ask("GET", "/v1/usage/top?customer=top-b"), 403, "forbidden")


async def test_only_whole_periods_and_known_dimensions_are_summed_up(shop: Visitor) -> None:
    """An instant within an hour, day or month is refused with both ends of it; so is a dimension that no meter has."""
    for query, words in (
        ("by=hour&since=2026-03-01T10:30:00Z", "write 2026-03-01T10:00:00Z or 2026-03-01T11:00:00Z"),
        ("by=day&until=2026-03-01T10:00:00Z", "write 2026-03-01T00:00:00Z or 2026-03-02T00:00:00Z"),
        ("by=month&since=2026-02-02T00:00:00Z", "write 2026-02-01T00:00:00Z or 2026-03-01T00:00:00Z"),
        ("dimensions=regoin", "did you mean region?"),
        ("meter=calls&dimensions=nope", "region"),
    ):
        told = problem(await shop.ask("GET", f"/v1/usage?{query}"), 400, "invalid")
        assert words in told["advice"], told
    assert (await shop.ask("GET", "/v1/usage?by=hour&since=2026-03-01T10:00:00Z&dimensions=region")).status_code == 200
