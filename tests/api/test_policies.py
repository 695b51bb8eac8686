"""Policies over HTTP: live for everybody at once, and what of them a key bound to a customer can read."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from licet.services.rows import Workspace
from tests.api.house import House, Visitor, release
from tests.store.worlds import OPERATOR

RULE = 'customer.country in ["KP"] || customer.id == "barred"'
SECRET = 'context.attributes.secret_build < 4200 || "watched" in customer.attributes'
CATALOG: dict[str, Any] = {
    "version": 1,
    "products": {"m": {}},
    "features": {"sso": {"type": "switch"}, "ai": {"type": "switch"}, "projects": {"type": "limit"}},
    "plans": {
        "team": {"product": "m", "versions": {"2026-01": {"includes": {"sso": True, "ai": True, "projects": 5}}}}
    },
}
POLICIES: dict[str, Any] = {
    "embargo_list": {
        "when": RULE,
        "do": "restrict",
        "features": ["sso"],
        "text": "Not in your country.",
        "note": "Sanctions file 17",
    },
    "quiet_watch": {
        "when": '"watched" in customer.attributes',
        "do": "warn",
        "text": "Please call us.",
        "note": "Fraud team",
        "server_only": True,
    },
    "hidden_rule": {
        "when": '"watched" in customer.attributes',
        "do": "restrict",
        "features": ["ai"],
        "note": "Fraud team again",
        "server_only": True,
    },
}
INTERNAL = ("Sanctions", "Fraud", "barred", "watched", "quiet_watch", "hidden_rule", "customer.country in")
"""What no customer may read: notes, rules, and the names of policies that never leave the server."""
PROFILE = {"country": "KP", "attributes": {"watched": True}}


@pytest.fixture
async def workspace(house: House) -> str:
    """A workspace with policies and the customer acme, whom all of them concern."""
    name = f"policies-{uuid4().hex}"
    await house.storage.create_workspace(Workspace(id=name, kind="test"), OPERATOR)
    vendor = await house.holder("catalog:write", "orders", workspace=name)
    await vendor.told("PUT", "/v1/catalog?base=0", {**CATALOG, "policies": POLICIES})
    await vendor.told("POST", "/v1/customers", {"id": "acme", "profile": PROFILE})
    order = {"source": "crm", "external_id": "deal-1", "customer": {"id": "acme"}, "lines": [{"plan": "team"}]}
    await vendor.told("POST", "/v1/orders", {**order, "occurred_at": "2026-01-02T00:00:00Z"})
    return name


async def everything(visitor: Visitor) -> dict[str, str]:
    """All that a key can read about decisions on acme, as text."""
    read: dict[str, Any] = {}
    for feature in ("sso", "ai", "projects"):
        read[f"check {feature}"] = await visitor.told("POST", "/v1/check", {"customer": "acme", "feature": feature})
        read[f"explain {feature}"] = await visitor.told("GET", f"/v1/customers/acme/explain?feature={feature}")
    batch = {"questions": [{"customer": "acme", "feature": "sso"}]}
    read["batch"] = await visitor.told("POST", "/v1/check/batch", batch)
    read["entitlements"] = await visitor.told("GET", "/v1/customers/acme/entitlements")
    read["history"] = await visitor.told("GET", "/v1/customers/acme/history")
    return {name: msgspec.json.encode(told).decode() for name, told in read.items()}


async def test_a_bound_key_reads_texts_and_no_rule(house: House, workspace: str) -> None:
    """Nothing that a bound key reads holds a note, a rule, or the name of a policy that never leaves the server."""
    read = await everything(await house.holder("check", "orders", customer="acme", workspace=workspace))
    for name, text in read.items():
        assert [word for word in INTERNAL if word in text] == [], name
    assert "a rule of the vendor: Not in your country." in read["explain sso"]
    assert "a rule of the vendor: not available under these circumstances" in read["explain ai"]
    assert "a note of the vendor: Please call us." in read["explain projects"]
    assert '"warnings":[{"policy":null,"text":"Please call us."}]' in read["check projects"]
    assert '"message":"Not in your country."' in read["check sso"]


async def test_a_key_of_the_vendor_is_told_the_rule(house: House, workspace: str) -> None:
    """An explanation for the vendor's own people names each policy with its condition, its note and its release."""
    read = await everything(await house.holder("check", "orders", workspace=workspace))
    for word in ("Sanctions file 17", "embargo_list applies (restrict)", "the customer reads: Not in your country."):
        assert word in read["explain sso"]
    assert "policy hidden_rule applies (restrict)" in read["explain ai"]
    assert "policy embargo_list" not in read["explain ai"]
    told = msgspec.json.decode(read["explain sso"])
    nodes = [one for one in told["tree"]["children"] if one["kind"] == "policy"]
    assert [(one["id"], one.get("ok")) for one in nodes] == [("embargo_list", False), ("quiet_watch", None)]
    assert all(one["event"].startswith("evt_") for one in nodes)


async def test_a_bound_key_reads_no_catalog(house: House, workspace: str) -> None:
    """Whatever its scopes, a key bound to a customer is refused the catalog, in which the policies stand."""
    bound = await house.holder("catalog:read", "catalog:write", customer="acme", workspace=workspace)
    for method, path, body in (("GET", "/v1/catalog", None), ("POST", "/v1/catalog/preview", CATALOG)):
        assert (await bound.ask(method, path, body)).status_code == 403


async def test_a_change_of_a_policy_is_live_for_everybody(house: House, workspace: str) -> None:
    """The preview says so, and the next check of a customer who was refused is answered anew."""
    vendor = await house.holder("catalog:write", "check", workspace=workspace)
    eased = {**CATALOG, "policies": {**POLICIES, "embargo_list": {**POLICIES["embargo_list"], "when": "false"}}}
    seen = await vendor.told("POST", "/v1/catalog/preview", eased)
    assert [(one["path"], one["effect"]) for one in seen["changes"]] == [("policies.embargo_list.when", "live")]
    question = {"customer": "acme", "feature": "sso"}
    assert not (await vendor.told("POST", "/v1/check", question))["allowed"]
    await release(vendor, eased, 1)
    assert (await vendor.told("POST", "/v1/check", question))["allowed"]


async def test_a_failing_test_refuses_the_release(house: House, workspace: str) -> None:
    """Preview and release tell the test of a policy that does not give what it expects, at its place."""
    vendor = await house.holder("catalog:write", workspace=workspace)
    tests = [{"given": {"customer": {"country": "KP"}}, "then": False}]
    wrong = {**CATALOG, "policies": {"embargo": {"when": RULE, "do": "suspend", "tests": tests}}}
    seen = await vendor.told("POST", "/v1/catalog/preview", wrong)
    (problem,) = seen["problems"]
    assert problem["path"] == "policies.embargo.tests[0].then"
    assert problem["message"] == 'given {"customer":{"country":"KP"}}, expected false, got true'
    assert problem["line"] == 1
    refused = await vendor.ask("PUT", "/v1/catalog?base=1", wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "catalog_invalid")
