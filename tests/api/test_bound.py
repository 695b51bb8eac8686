"""A key bound to one customer: it neither learns how foreign systems call others, nor takes what will be theirs."""

import json
from typing import Any

import httpx
import pytest

from tests.api.house import ALL, House, Visitor, problem, release_meridian

pytestmark = pytest.mark.postgres

VICTIM = "victim-gmbh"
TAKEN = "cus_V"
LONG_AGO = "2026-03-01T09:00:00Z"


@pytest.fixture(scope="module")
async def bound(house: House, operator: Visitor) -> Visitor:
    """Somebody with every scope for acme alone; the vendor has configured Stripe and knows a second customer by it."""
    await release_meridian(operator)
    await operator.told("PUT", "/v1/sources/stripe", {"kind": "stripe", "secrets": ["whsec_0123456789"]})
    await operator.told("POST", "/v1/customers", {"id": "acme"})
    await operator.told("POST", "/v1/customers", {"id": VICTIM, "external_ids": {"stripe": TAKEN}})
    return await house.holder(*ALL, customer="acme")


def order(**more: Any) -> dict[str, Any]:
    """Return an order about acme from the source that is acme's own."""
    shape = {"source": "customer:acme", "external_id": "own-1", "customer": {"id": "acme"}, "occurred_at": LONG_AGO}
    return {**shape, "lines": [{"plan": "free"}], **more}


def silent(answer: httpx.Response) -> None:
    """Assert a refusal that names nobody else."""
    problem(answer, 403, "forbidden")
    assert VICTIM not in answer.text


async def test_a_bound_key_claims_no_external_id(house: House, operator: Visitor, bound: Visitor) -> None:
    """Taken and free external ids are refused with the same words, nothing is written; an unbound key is told whose."""
    seq = await house.seq()
    answers = [
        await bound.ask("PATCH", "/v1/customers/acme", {"external_ids": {"stripe": name}})
        for name in (TAKEN, "cus_FUTURE", None)
    ]
    for answer in answers:
        silent(answer)
    assert len({json.loads(answer.content)["detail"] for answer in answers}) == 1
    assert await house.seq() == seq
    told = await operator.ask("PATCH", "/v1/customers/acme", {"external_ids": {"stripe": TAKEN}})
    assert VICTIM in problem(told, 409, "conflict")["detail"]
    await bound.told("PATCH", "/v1/customers/acme", {"name": "Acme"})


async def test_a_bound_key_orders_by_no_foreign_name(house: House, bound: Visitor) -> None:
    """An order that names its customer in a second way is refused alike, whether that name is somebody's or free."""
    seq = await house.seq()
    for way in ("external_id", "metadata", "client_reference"):
        answers = [
            await bound.ask("POST", "/v1/orders", order(customer={"id": "acme", way: name}))
            for name in (TAKEN, VICTIM, "nobody")
        ]
        details = set()
        for answer in answers:
            problem(answer, 403, "forbidden")
            details.add(json.loads(answer.content)["detail"])
        assert len(details) == 1
        assert VICTIM not in details.pop()
    assert await house.seq() == seq


@pytest.mark.parametrize("source", ["stripe", "crm", "manual", f"customer:{VICTIM}", "customer:", "acme"])
async def test_a_bound_key_uses_no_other_source(house: House, bound: Visitor, source: str) -> None:
    """Every source but its customer's own is refused, configured or not, so that no later subscription is taken."""
    seq = await house.seq()
    problem(await bound.ask("POST", "/v1/orders", order(source=source)), 403, "forbidden")
    assert await house.seq() == seq


async def test_a_bound_key_orders_from_its_own_source(house: House, operator: Visitor, bound: Visitor) -> None:
    """Orders from its customer's own source are placed, until the vendor configures a foreign system of that name."""
    assert (await bound.told("POST", "/v1/orders", order()))["outcome"] == "applied"
    await operator.told("POST", "/v1/customers", {"id": "other"})
    other = await house.holder("orders", customer="other")
    own = {"source": "customer:other", "customer": {"id": "other"}}
    generic = {"kind": "generic", "secrets": ["0123456789"]}
    await operator.told("PUT", "/v1/sources/customer:other", generic)
    assert (await other.told("POST", "/v1/orders", order(**own)))["outcome"] == "applied"
    await operator.told("POST", "/v1/customers", {"id": "third"})
    await operator.told("PUT", "/v1/sources/customer:third", {"kind": "stripe", "secrets": ["whsec_0123456789"]})
    third = await house.holder("orders", customer="third")
    refused = await third.ask("POST", "/v1/orders", order(source="customer:third", customer={"id": "third"}))
    problem(refused, 403, "forbidden")


async def test_a_later_order_goes_to_whom_it_names(operator: Visitor, bound: Visitor) -> None:
    """After a bound key has tried to claim a name, the real customer's first order under it creates that customer."""
    claim = order(source="stripe", external_id="sub_F", customer={"id": "acme", "external_id": "cus_F"})
    await bound.ask("POST", "/v1/orders", claim)
    await bound.ask("PATCH", "/v1/customers/acme", {"external_ids": {"stripe": "cus_F"}})
    real = order(source="stripe", external_id="sub_F", customer={"external_id": "cus_F", "metadata": "newco"})
    told = await operator.told("POST", "/v1/orders", real)
    assert (told["customer"], told["findings"]) == ("newco", [])


async def test_a_bound_key_gets_no_kept_answer_of_another(operator: Visitor, bound: Visitor) -> None:
    """Under the operator's idempotency key and with the operator's body, a bound key is refused as without one."""
    mark = {"Idempotency-Key": "shared"}
    deal = order(source="crm", external_id="deal-v", customer={"id": VICTIM})
    await operator.told("POST", "/v1/orders", deal)
    again = {**deal, "customer": {"id": "acme"}, "occurred_at": "2026-03-02T09:00:00Z"}
    assert (await operator.told("POST", "/v1/orders", again, headers=mark))["customer"] == VICTIM
    for headers in ({}, mark):
        answer = await bound.ask("POST", "/v1/orders", again, headers=headers)
        silent(answer)
        assert "idempotency-replayed" not in answer.headers


async def test_a_refusal_tells_not_whether_somebody_exists(bound: Visitor) -> None:
    """About a customer that exists and one that does not a bound key is refused with the same words."""
    for path in ("", "/terms", "/entitlements", "/users", "/teams"):
        answers = [await bound.ask("GET", f"/v1/customers/{name}{path}") for name in (VICTIM, "no-such-gmbh")]
        details = {
            problem(answer, 403, "forbidden")["detail"].replace(name, "?")
            for answer, name in zip(answers, (VICTIM, "no-such-gmbh"), strict=True)
        }
        assert len(details) == 1


@pytest.mark.parametrize("source", ["manual", f"customer:{VICTIM}", "customer:"])
async def test_no_key_orders_in_the_place_of_another(house: House, operator: Visitor, source: str) -> None:
    """Sales by hand and what a customer's own keys order have sources that no other order has."""
    seq = await house.seq()
    told = problem(await operator.ask("POST", "/v1/orders", order(source=source)), 400, "invalid")
    assert told["problems"][0]["path"] == "source"
    assert told["problems"][0]["suggestion"]
    assert await house.seq() == seq


async def test_no_foreign_system_is_the_source_of_sales_by_hand(house: House, operator: Visitor) -> None:
    """``manual`` is no source that can be configured."""
    seq = await house.seq()
    generic = {"kind": "generic", "secrets": ["0123456789"]}
    told = problem(await operator.ask("PUT", "/v1/sources/manual", generic), 400, "invalid")
    assert told["problems"][0]["path"] == "source"
    assert await house.seq() == seq
