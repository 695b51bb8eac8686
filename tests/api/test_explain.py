"""Explaining over HTTP: the tree, a past instant, the truth of a basis, and context given as parameters."""

from urllib.parse import quote

import pytest

from tests.api.house import House, Visitor, problem, release_meridian

pytestmark = pytest.mark.postgres

GOLD = '{"tier":"gold","size":3}'
ORDER = {
    "source": "crm",
    "external_id": "deal-1",
    "customer": {"id": "acme"},
    "occurred_at": "2026-03-01T09:00:00Z",
    "lines": [{"line": "7", "plan": "team"}],
}


async def test_an_explanation_leads_from_the_order_to_the_answer(operator: Visitor) -> None:
    """The tree names the order line and its event; with an earlier basis and its instant it explains the earlier
    answer, and a basis without an instant is refused: it would explain another one."""
    await release_meridian(operator)
    await operator.told("POST", "/v1/customers", {"id": "acme"})
    question = {"customer": "acme", "feature": "projects"}
    asked = (await operator.told("GET", "/v1/clock"))["now"]
    before = await operator.told("POST", "/v1/check", question)
    placed = await operator.told("POST", "/v1/orders", ORDER)
    told = await operator.told("GET", "/v1/customers/acme/explain?feature=projects")
    assert told["decision"]["allowed"]
    assert placed["order"] in str(told["tree"])
    assert "line 7" in str(told["tree"])
    by = f"basis={before['basis']}"
    earlier = await operator.told("GET", f"/v1/customers/acme/explain?feature=projects&at={asked}&{by}")
    assert earlier["decision"]["reason"] == before["reason"] == "not_entitled"
    wrong = f"/v1/customers/acme/explain?feature=projects&at={asked}&basis=9:1"
    problem(await operator.ask("GET", wrong), 400, "invalid")
    for path in ("explain?feature=projects&", "entitlements?"):
        told = problem(await operator.ask("GET", f"/v1/customers/acme/{path}{by}"), 400, "invalid")
        assert [one["path"] for one in told["problems"]] == ["at"]
        assert told["advice"] == "say with at when it was asked: a basis says by which truth, not when"


async def test_context_as_parameters(house: House, operator: Visitor) -> None:
    """Deployment, region and attributes given as parameters are read as a question's context, with the same bounds."""
    path = "/v1/customers/acme/explain?feature=projects&deployment=saas&region=eu&quantity=2&used=3"
    told = await operator.told("GET", f"{path}&attributes={quote(GOLD)}")
    assert told["decision"]["limit"]["used"] == 3
    for odd in ('{"a":1.5}', '{"a":1,"a":2}', "[1]", "{", '{"a":{"b":1}}'):
        answer = await operator.ask("GET", f"{path}&attributes={quote(odd)}")
        assert answer.status_code == 400, odd
    problem(await operator.ask("GET", "/v1/customers/acme/explain"), 400, "invalid")
    bound = await house.holder("check", customer="acme")
    await bound.told("GET", "/v1/customers/acme/explain?feature=projects")
