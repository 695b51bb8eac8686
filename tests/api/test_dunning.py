"""Missed payments over HTTP: who may, what is refused, and what the customer may do in between."""

from typing import Any

import pytest
import pytest_asyncio

from tests.api.house import House, Visitor, problem, release_meridian

pytestmark = pytest.mark.postgres

CUSTOMER = "/v1/customers/acme"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(operator: Visitor) -> str:
    """The path of acme's one subscription, Team sold by hand, in a workspace whose clock stands still."""
    await release_meridian(operator)
    await operator.told("POST", "/v1/customers", {"id": "acme"})
    made = await operator.told("POST", f"{CUSTOMER}/subscriptions", {"items": [{"plan": "team"}]})
    await operator.told("POST", "/v1/clock", {"frozen_at": "2040-01-01T00:00:00Z"})
    return f"{CUSTOMER}/subscriptions/{made['subscription']}"


async def reason(visitor: Visitor) -> Any:
    """Why acme may or may not use AI credits."""
    return (await visitor.told("POST", "/v1/check", {"customer": "acme", "feature": "ai"}))["reason"]


async def test_a_missed_payment_from_failure_to_payment(operator: Visitor, place: str) -> None:
    """Failed, warned, restricted after a week, soothed by a promise, restored by the payment; all of it is shown."""
    body = {"invoice": "in_1", "kind": "failed", "money": {"amount": 48000, "currency": "EUR"}}
    failed = await operator.told("POST", f"{place}/payments", body)
    assert (failed["outcome"], failed["owed"], failed["findings"]) == ("applied", ["in_1"], [])
    assert isinstance(failed["seq"], int)
    assert (await operator.told("POST", f"{place}/payments", body))["outcome"] == "duplicate"
    await operator.told("POST", "/v1/clock", {"advance": "P8D"})
    assert await reason(operator) == "restricted"
    stands = await operator.told("GET", f"{CUSTOMER}/dunning?at_least={failed['seq']}")
    (one,) = stands["subscriptions"]
    assert (one["standing"], one["ladder"], one["invoices"][0]["money"]) == ("restricted", "card", body["money"])
    assert [stage["reached"] for stage in one["stages"]] == [True, True, False, False]
    assert one["next"]["do"] == "suspend"
    later = one["next"]["at"]
    made = await operator.told("POST", f"{place}/promises", {"until": later, "note": "on Friday"})
    assert await reason(operator) == "in_grace"
    problem(await operator.ask("POST", f"{place}/promises", {"until": later}), 409, "conflict")
    promised = made["leniency"]["id"]
    ended = await operator.told("POST", f"{place}/promises/{promised}/withdraw")
    assert ended["leniency"]["ends_at"] == stands["at"]
    paid = await operator.told("POST", f"{place}/payments", {"invoice": "in_1", "kind": "paid"})
    assert paid["owed"] == []
    assert await reason(operator) == "within_limit"


async def test_what_makes_no_sense_is_refused(operator: Visitor, place: str, house: House) -> None:
    """Each refusal is a problem of its own kind, and nothing is written."""
    seq = await house.seq()
    nothing = f"{CUSTOMER}/subscriptions/sub_nothing"
    for method, path, body, status, code in [
        ("POST", f"{place}/payments", {"invoice": "x", "kind": "due"}, 400, "invalid"),
        ("POST", f"{place}/payments", {"invoice": "x", "kind": "paid", "at": "2999-01-01T00:00:00Z"}, 400, "invalid"),
        ("POST", f"{place}/payments", {"invoice": "x", "kind": "paid", "at": "2026-01-01T00:00:00"}, 400, "invalid"),
        ("POST", f"{place}/invoices", {"invoice": "", "due_at": "2026-01-01T00:00:00Z"}, 400, "invalid"),
        ("POST", f"{nothing}/invoices", {"invoice": "x", "due_at": "2026-01-01T00:00:00Z"}, 404, "not_found"),
        ("POST", f"{nothing}/dunning/pause", {}, 404, "not_found"),
        ("POST", f"{place}/promises/prm_nothing/withdraw", {}, 404, "not_found"),
        ("POST", f"{place}/promises", {"until": "2020-01-01T00:00:00Z"}, 400, "invalid"),
        ("POST", f"{place}/dunning/resume", {}, 409, "conflict"),
        ("PUT", f"{CUSTOMER}/ladder", {}, 400, "invalid"),
        ("PUT", f"{CUSTOMER}/ladder", {"ladder": "cart"}, 400, "invalid"),
        ("POST", f"{CUSTOMER}/ladder/clear", {}, 409, "conflict"),
        ("POST", f"{CUSTOMER}/cohorts/nobody/join", None, 404, "not_found"),
        ("POST", f"{CUSTOMER}/cohorts/nobody/leave", None, 409, "conflict"),
        ("GET", "/v1/customers/nobody/dunning", None, 404, "not_found"),
    ]:
        assert problem(await operator.ask(method, path, body), status, code)["advice"], path
    assert await house.seq() == seq


async def test_who_may(house: House, operator: Visitor, place: str) -> None:
    """Commands need the scope orders, reading orders or admin; a bound key acts for its own customer alone."""
    await operator.told("POST", "/v1/customers", {"id": "other"})
    checker = await house.holder("check")
    problem(await checker.ask("GET", f"{CUSTOMER}/dunning"), 403, "forbidden")
    catalogs = await house.holder("catalog:write")
    problem(await catalogs.ask("POST", f"{place}/dunning/pause", {}), 403, "forbidden")
    bound = await house.holder("orders", customer="other")
    problem(await bound.ask("GET", f"{CUSTOMER}/dunning"), 403, "forbidden")
    problem(await bound.ask("POST", f"{place}/dunning/pause", {}), 403, "forbidden")
    own = place.replace("acme", "other")
    problem(await bound.ask("POST", f"{own}/dunning/pause", {}), 404, "not_found")
    assert (await bound.told("GET", "/v1/customers/other/dunning"))["subscriptions"] == []


async def test_a_choice_of_no_ladder_is_not_the_absence_of_one(operator: Visitor, place: str) -> None:
    """`null` must be written; it means that nothing follows, and clearing it brings the plan's ladder back."""
    assert place
    chosen = await operator.told("PUT", f"{CUSTOMER}/ladder", {"ladder": None, "note": "merger"})
    assert [one["note"] for one in chosen["ladders"]] == ["merger"]
    (one,) = (await operator.told("GET", f"{CUSTOMER}/dunning"))["subscriptions"]
    assert (one["ladder"], one["origin"], one["stages"]) == (None, "customer", [])
    await operator.told("POST", f"{CUSTOMER}/ladder/clear")
    (one,) = (await operator.told("GET", f"{CUSTOMER}/dunning"))["subscriptions"]
    assert one["origin"].startswith("plan:team@")
