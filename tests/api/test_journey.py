"""The main job over HTTP: a catalog is released, an order arrives, the customer has access, the log proves it."""

import pytest

from licet.core.instant import to_datetime
from licet.testing.stripe import StripeStory
from tests.api.house import House, Visitor, problem, release_meridian

pytestmark = pytest.mark.postgres

ORDER = {
    "source": "crm",
    "external_id": "deal-1",
    "customer": {"id": "acme"},
    "occurred_at": "2026-03-01T09:00:00Z",
    "lines": [{"line": "1", "plan": "team", "quantity": 12, "quantity_of": "editor"}],
    "starts_at": "2026-03-01T00:00:00Z",
}


@pytest.fixture(scope="module")
async def seller(house: House, operator: Visitor) -> Visitor:
    """The operator, after the catalog has been released."""
    applied = await release_meridian(operator)
    assert applied["revision"] == 1
    assert applied["seq"] == await house.seq()
    return operator


async def test_an_order_becomes_access(house: House, seller: Visitor) -> None:
    """Nobody has access before the order; the very next check after it is allowed and names the order's event."""
    question = {"customer": "acme", "feature": "projects"}
    before = await seller.told("POST", "/v1/check", question)
    assert (before["allowed"], before["reason"]) == (False, "unknown_customer")
    placed = await seller.told("POST", "/v1/orders", ORDER)
    assert placed["outcome"] == "applied"
    assert placed["seq"] == await house.seq()
    after = await seller.told("POST", f"/v1/check?at_least={placed['seq']}", question)
    assert (after["allowed"], after["reason"]) == (True, "within_limit")
    assert after["sources"][0]["event"] == placed["order"]
    assert after["basis"] == f"1:{placed['seq']}"


async def test_the_same_order_again_changes_nothing(house: House, seller: Visitor) -> None:
    """An order is the whole state: sent twice it leaves no event."""
    await seller.told("POST", "/v1/orders", ORDER | {"external_id": "deal-2", "customer": {"id": "twice"}})
    seq = await house.seq()
    again = await seller.told("POST", "/v1/orders", ORDER | {"external_id": "deal-2", "customer": {"id": "twice"}})
    assert again["outcome"] == "duplicate"
    assert await house.seq() == seq


async def test_a_signed_delivery_becomes_access(house: House, seller: Visitor) -> None:
    """A Stripe delivery needs no key but a right signature: a wrong one leaves nothing, a right one gives access."""
    secret = "whsec_of_the_journey"
    await seller.told("PUT", "/v1/sources/stripe", {"kind": "stripe", "secrets": [secret]})
    async with house.storage.read("test") as view:
        wall = to_datetime(view.time.wall)
    stranger = house.visitor()
    path = "/v1/connectors/test/stripe"
    story = StripeStory(secret, customer="globex", start=wall)
    delivery = story.subscribe("price_team_monthly", 5).signed(secret, int(wall.timestamp()))
    forged = delivery.signed("whsec_somebody_else", int(wall.timestamp()))
    seq = await house.seq()
    problem(await stranger.ask("POST", path, body=forged.body, headers=forged.headers), 400, "bad_signature")
    assert await house.seq() == seq
    taken = await stranger.told("POST", path, body=delivery.body, headers=delivery.headers)
    assert taken["outcome"] == "applied", taken
    decision = await seller.told("POST", "/v1/check", {"customer": "globex", "feature": "projects"})
    assert decision["allowed"], decision
    again = await stranger.told("POST", path, body=delivery.body, headers=delivery.headers)
    assert again["outcome"] == "duplicate"
    listed = await seller.told("GET", "/v1/sources/stripe/deliveries")
    assert [row["id"] for row in listed["items"]] == [delivery.id]
    whole = await seller.told("GET", f"/v1/sources/stripe/deliveries/{delivery.id}")
    assert whole["body"] == delivery.body.decode()


async def test_a_sale_by_hand_and_an_exception(seller: Visitor) -> None:
    """A deal by hand gives access, an override more; a suspension takes all, resuming gives it back."""
    await seller.told("POST", "/v1/customers", {"id": "initech", "profile": {"region": "eu"}})
    sold = await seller.told("POST", "/v1/customers/initech/subscriptions", {"items": [{"plan": "team"}]})
    question = {"customer": "initech", "feature": "projects"}
    first = await seller.told("POST", "/v1/check", question)
    more = first["limit"]["amount"] + 100
    override = await seller.told(
        "POST", "/v1/customers/initech/overrides", {"feature": "projects", "amount": more, "note": "migration"}
    )
    assert (await seller.told("POST", "/v1/check", question))["limit"]["amount"] == more
    await seller.told("POST", f"/v1/customers/initech/overrides/{override['override']['id']}/end")
    assert (await seller.told("POST", "/v1/check", question))["limit"] == first["limit"]
    await seller.told("POST", "/v1/customers/initech/suspend", {"note": "chargeback"})
    assert (await seller.told("POST", "/v1/check", question))["reason"] == "customer_suspended"
    await seller.told("POST", "/v1/customers/initech/resume")
    assert (await seller.told("POST", "/v1/check", question))["allowed"]
    await seller.told("POST", f"/v1/customers/initech/subscriptions/{sold['subscription']}/cancel")
    assert (await seller.told("POST", "/v1/check", question))["reason"] == "ended"


async def test_the_clock_ends_a_trial(house: House, seller: Visitor) -> None:
    """Moving the test workspace's clock past a trial's end changes the answer without any job running."""
    await seller.told("POST", "/v1/customers", {"id": "hooli"})
    sale = {"items": [{"plan": "team"}], "trial": "P14D", "trial_end_behavior": "end"}
    await seller.told("POST", "/v1/customers/hooli/subscriptions", sale)
    question = {"customer": "hooli", "feature": "projects"}
    assert (await seller.told("POST", "/v1/check", question))["reason"] == "in_trial"
    moved = await seller.told("POST", "/v1/clock", {"advance": "P15D"}, headers={"Licet-Note": "after the trial"})
    assert moved["now"] > moved["wall"]
    assert (await seller.told("POST", "/v1/check", question))["reason"] == "trial_expired"
    page = await seller.told("GET", f"/v1/events?after={moved['seq'] - 1}&type=clock.moved")
    assert [event["note"] for event in page["items"]] == ["after the trial"]


async def test_entitlements_list_everything(seller: Visitor) -> None:
    """The list of a customer's rights holds what single checks answer, and the revisions it rests on."""
    await seller.told("POST", "/v1/orders", ORDER | {"external_id": "deal-9", "customer": {"id": "listed"}})
    listed = await seller.told("GET", "/v1/customers/listed/entitlements")
    by_feature = {one["feature"]: one for one in listed["entitlements"]}
    questions = [{"customer": "listed", "feature": feature} for feature in by_feature]
    answers = await seller.told("POST", "/v1/check/batch", {"questions": questions})
    assert [one["allowed"] for one in answers["decisions"]] == [one["allowed"] for one in by_feature.values()]
    assert "projects" in by_feature
    terms = await seller.told("GET", "/v1/customers/listed/terms")
    assert (listed["catalog_revision"], listed["terms_revision"]) == (1, terms["revision"])
    past = await seller.ask("GET", "/v1/customers/listed/entitlements?at=2020-01-01T00:00:00Z")
    refused = problem(past, 409, "no_catalog_then")
    first = (await seller.told("GET", "/v1/catalog/revisions"))["items"][-1]["released_at"]
    assert first in refused["detail"]
    assert "apply" not in refused["advice"]


async def test_a_revision_that_is_not_there(seller: Visitor) -> None:
    """Who asks for a revision beyond the newest is told which there are, not to apply a catalog."""
    refused = problem(await seller.ask("GET", "/v1/catalog?revision=99"), 404, "not_found")
    assert refused["detail"] == "there is no catalog revision 99; the newest is 1"
    assert "apply" not in refused["advice"]


async def test_the_catalog_comes_back_as_it_went_in(seller: Visitor) -> None:
    """What is fetched as YAML applies to the same catalog: a preview of it finds no change."""
    fetched = await seller.ask("GET", "/v1/catalog", headers={"Accept": "application/yaml"})
    assert fetched.headers["content-type"].startswith("application/yaml")
    headers = {"Content-Type": "application/yaml"}
    preview = await seller.told("POST", "/v1/catalog/preview", body=fetched.content, headers=headers)
    assert (preview["base"], preview["problems"], preview["changes"]) == (1, [], [])
    released = await seller.told("GET", "/v1/catalog?revision=1")
    again = await seller.told("POST", "/v1/catalog/preview", released["doc"])
    assert again["changes"] == []
    matrix = await seller.told("GET", "/v1/catalog/matrix?audience=support")
    assert {column["id"] for column in matrix["columns"]} >= {"team"}
    problem(await seller.ask("PUT", "/v1/catalog?base=0", released["doc"]), 409, "stale_base")


async def test_users_and_teams(seller: Visitor) -> None:
    """Users and teams are put whole and read back; a list goes on where its page ended."""
    await seller.told("POST", "/v1/customers", {"id": "crew"})
    await seller.told("PUT", "/v1/customers/crew/teams/design", {"title": "Design"})
    for name in ("ann", "bob", "cy/d"):
        await seller.told("PUT", f"/v1/customers/crew/users/{name.replace('/', '%2F')}", {"teams": ["design"]})
    first = await seller.told("GET", "/v1/customers/crew/users?limit=2")
    rest = await seller.told("GET", f"/v1/customers/crew/users?limit=2&cursor={first['next']}")
    assert [row["id"] for row in [*first["items"], *rest["items"]]] == ["ann", "bob", "cy/d"]
    assert rest["next"] is None
    assert (await seller.told("GET", "/v1/customers/crew/users/cy%2Fd"))["teams"] == ["design"]
    assert [row["id"] for row in (await seller.told("GET", "/v1/customers/crew/teams"))["items"]] == ["design"]
    assert (await seller.told("GET", "/v1/customers/crew/teams/design"))["title"] == "Design"
