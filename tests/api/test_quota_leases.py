"""Quota leases over HTTP, end to end: issued, told of, refused, listed; what balances, statements and sums say."""

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio

from licet.api.lapsing import Lapsing
from licet.services.epochs import raise_epoch
from licet.services.rows import Workspace
from tests.api.house import ALL, House, Visitor, problem
from tests.door.wire import AFTER_WRITES
from tests.store.worlds import OPERATOR

pytestmark = pytest.mark.postgres

LEASES: Final = "/v1/quota-leases"
CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"p": {"name": "P"}},
    "meters": {"calls": {"event": "api.call"}, "tokens": {"event": "llm.tokens", "scale": 1}},
    "credits": {"ai": {"scale": 2, "burns": {"tokens": "0.01"}}},
    "features": {
        "api_calls": {"type": "metered", "meter": "calls", "per": "month", "decide": "local"},
        "tokens": {"type": "metered", "meter": "tokens", "per": "month", "decide": "local"},
        "ai": {"type": "credits", "credit": "ai"},
        "exports": {"type": "metered", "meter": "calls", "per": "month"},
    },
    "plans": {
        "team": {
            "product": "p",
            "versions": {
                "2026-01": {
                    "includes": {"api_calls": 10_000, "tokens": 100_000, "ai": {"amount": "500", "per": "month"}}
                }
            },
        }
    },
}


class Program:
    """Somebody who owns slices, as the client library is: it numbers its calls and knows the epoch."""

    def __init__(self, visitor: Visitor, customer: str, feature: str = "api_calls") -> None:
        self.visitor = visitor
        self.customer, self.feature = customer, feature
        self.owner = uuid4().hex
        self.number = 0

    def call(self, **more: Any) -> dict[str, Any]:
        """The next call."""
        self.number += 1
        return {"owner": self.owner, "number": self.number, "epoch": 1, **more}

    def wants(self, wanted: int, lease: str | None = None, **more: Any) -> dict[str, Any]:
        """What asks for a slice."""
        asked = {"id": lease or uuid4().hex, "customer": self.customer, "feature": self.feature, "wanted": wanted}
        return asked | more

    async def ask(self, wanted: int, **more: Any) -> dict[str, Any]:
        """Ask for a slice; it must be given."""
        told = await self.visitor.told("POST", LEASES, self.call(asks=[self.wants(wanted, **more)]))
        (given,) = told["given"]
        return dict(given)

    async def tell(self, lease: str, used: int, **more: Any) -> dict[str, Any]:
        """Tell of a slice."""
        told = await self.visitor.told("POST", LEASES, self.call(told=[{"id": lease, "used": used, **more}]))
        (heard,) = told["heard"]
        return {name: value for name, value in heard.items() if name != "seconds"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(house: House) -> Visitor:
    """Somebody who may do everything, in a workspace whose catalog lets programs decide."""
    visitor = await house.holder(*ALL)
    await visitor.told("PUT", "/v1/catalog?base=0", CATALOG)
    return visitor


async def sold(shop: Visitor, customer: str) -> Program:
    """Let a customer buy the plan; return a program of its."""
    await shop.told("POST", "/v1/customers", {"id": customer})
    await shop.told("POST", f"/v1/customers/{customer}/subscriptions", {"items": [{"plan": "team"}]})
    return Program(shop, customer)


async def balance(shop: Visitor, customer: str, feature: str = "api_calls") -> dict[str, Any]:
    """How a balance stands."""
    found = await shop.told("GET", f"/v1/customers/{customer}/balances/{feature}")
    assert found == (await by_feature(shop, customer))[feature] | {"at": found["at"], "basis": found["basis"]}
    return dict(found)


async def by_feature(shop: Visitor, customer: str) -> dict[str, Any]:
    """All balances of a customer."""
    listed = await shop.told("GET", f"/v1/customers/{customer}/balances")
    return {one["feature"]: one for one in listed["balances"]}


def numbers(found: dict[str, Any], *names: str) -> list[Any]:
    """Some of its numbers."""
    return [found[name] for name in names]


async def test_a_slice_leaves_its_balance_and_comes_back(shop: Visitor) -> None:
    """What is issued is used and leased at once, and once for the same ask; what was not used goes back at the end."""
    program = await sold(shop, "round")
    lease = uuid4().hex
    first = await program.ask(100, lease=lease)
    assert (first["id"], first["amount"], first["left"], first["epoch"]) == (lease, 100, 9900, 1)
    assert 100 < first["seconds"] <= 120
    again = await program.ask(100, lease=lease)
    assert (again["amount"], again["left"]) == (100, 9900)
    parts = ("used", "leased", "written_off", "deficit", "remaining")
    assert numbers(await balance(shop, "round"), *parts) == [100, 100, 0, 0, 9900]
    assert await program.tell(lease, 30) == {"id": lease, "state": "open", "used": 30}
    assert await program.tell(lease, 40, closed=True) == {"id": lease, "state": "settled", "used": 40}
    assert await program.tell(lease, 40, closed=True) == {"id": lease, "state": "settled", "used": 40}
    assert numbers(await balance(shop, "round"), *parts) == [40, 0, 0, 0, 9960]
    (row,) = (await shop.told("GET", "/v1/usage?customer=round&by=month"))["items"]
    assert (row["meter"], row["quantity"]) == ("calls", 40)


async def test_what_a_crash_lost_is_written_off(shop: Visitor) -> None:
    """What a program may have used and nobody knows stays taken, is told apart, and is in no sum of use."""
    program = await sold(shop, "crashed")
    given = await program.ask(100)
    assert (await program.tell(given["id"], 60, closed=True, lost=15))["state"] == "settled"
    parts = ("used", "leased", "written_off", "remaining")
    assert numbers(await balance(shop, "crashed"), *parts) == [75, 0, 15, 9925]
    (row,) = (await shop.told("GET", "/v1/usage?customer=crashed&by=month"))["items"]
    assert row["quantity"] == 60
    shown = await shop.told("GET", f"{LEASES}/{given['id']}")
    told = ("state", "amount", "used", "lost", "outstanding", "charged", "written_off", "recalled", "epoch")
    assert numbers(shown, *told) == ["settled", 100, 60, 15, 0, 75, 15, False, 1]
    facts = (await shop.told("GET", "/v1/usage/facts?customer=crashed"))["items"]
    assert [(one["kind"], one["burns"]) for one in facts] == [
        ("lease", {"api_calls": 100}),
        ("return", {"api_calls": 60}),
    ]
    assert facts[1]["back"] == {"api_calls": 25}
    assert facts[0]["id"] == facts[1]["of"] == shown["use"]


async def test_quantities_are_shown_in_units(shop: Visitor) -> None:
    """Messages count minor units, views show the feature's decimals; a pool that the meter burns is held as well."""
    program = await sold(shop, "units")
    program.feature = "tokens"
    given = await program.ask(505)
    shown = await shop.told("GET", f"{LEASES}/{given['id']}")
    assert numbers(shown, "amount", "outstanding", "used") == ["50.5", "50.5", "0"]
    assert numbers(await balance(shop, "units", "tokens"), "used", "leased") == ["50.5", "50.5"]
    assert numbers(await balance(shop, "units", "ai"), "used", "leased") == ["0.51", "0.51"]
    await program.tell(given["id"], 205, closed=True)
    assert numbers(await balance(shop, "units", "ai"), "used", "leased") == ["0.21", "0"]


async def test_what_cannot_be_is_refused_whole(shop: Visitor) -> None:
    """More than was issued, and another last word, are a disagreement: nothing of the call is kept."""
    program = await sold(shop, "odd")
    given = await program.ask(10)
    other = uuid4().hex
    asks = [program.wants(5, lease=other)]
    wrong = program.call(told=[{"id": given["id"], "used": 11, "closed": True}], asks=asks)
    found = problem(await shop.ask("POST", LEASES, wrong), 409, "quota_disagreement")
    assert "11 of 10" in found["detail"]
    problem(await shop.ask("GET", f"{LEASES}/{other}"), 404, "not_found")
    assert (await shop.told("GET", f"{LEASES}/{given['id']}"))["state"] == "open"
    await program.tell(given["id"], 7, closed=True)
    twice = program.call(told=[{"id": given["id"], "used": 8, "closed": True}])
    problem(await shop.ask("POST", LEASES, twice), 409, "quota_disagreement")
    assert numbers(await balance(shop, "odd"), "used", "leased") == [7, 0]


async def test_what_is_denied_says_why(shop: Visitor) -> None:
    """What is not decided locally, not bought, not there, or asked under another epoch is denied, each by its code."""
    program = await sold(shop, "denied")
    asks = [
        program.wants(5) | {"feature": "exports"},
        program.wants(5) | {"feature": "nothing"},
        program.wants(5) | {"customer": "nobody"},
        program.wants(20_000, least=20_000),
    ]
    told = await shop.told("POST", LEASES, program.call(asks=asks))
    codes = [one["code"] for one in told["denied"]]
    assert codes == ["decided_at_hub", "unknown_feature", "unknown_customer", "limit_reached"]
    told = await shop.told("POST", LEASES, program.call(asks=[program.wants(5)]) | {"epoch": 2})
    assert ([one["code"] for one in told["denied"]], told["epoch"]) == (["epoch_over"], 1)
    assert (await balance(shop, "denied"))["used"] == 0


async def test_leases_are_listed(house: House, shop: Visitor) -> None:
    """By customer, feature and state, page by page; a bound key sees its own alone, and asks for no other's."""
    one, two = await sold(shop, "listed"), await sold(shop, "other")
    mine = sorted([(await one.ask(5))["id"] for _ in range(3)])
    await one.tell(mine[0], 0, closed=True)
    theirs = (await two.ask(5))["id"]
    where = f"{LEASES}?customer=listed"
    first = await shop.told("GET", f"{where}&limit=2")
    second = await shop.told("GET", f"{where}&limit=2&cursor={first['next']}")
    assert [lease["id"] for lease in first["items"] + second["items"]] == mine
    assert [lease["id"] for lease in (await shop.told("GET", f"{where}&state=open"))["items"]] == mine[1:]
    assert (await shop.told("GET", f"{where}&feature=tokens"))["items"] == []
    problem(await shop.ask("GET", f"{where}&state=lost"), 400, "invalid")
    for odd in ("x", "Z" * 32, "%00"):
        assert (await shop.ask("GET", f"{LEASES}/{odd}")).status_code in (400, 404)
    bound = await house.holder("usage", customer="listed")
    assert [lease["id"] for lease in (await bound.told("GET", LEASES))["items"]] == mine
    problem(await bound.ask("GET", f"{LEASES}?customer=other"), 403, "forbidden")
    problem(await bound.ask("GET", f"{LEASES}/{theirs}"), 404, "not_found")
    own = Program(bound, "listed")
    assert (await own.ask(5))["amount"] == 5
    problem(await bound.ask("POST", LEASES, own.call(asks=[own.wants(5) | {"customer": "other"}])), 403, "forbidden")
    told = await bound.told("POST", LEASES, own.call(told=[{"id": theirs, "used": 1, "closed": True}]))
    assert [one["state"] for one in told["heard"]] == ["unknown"]
    assert (await shop.told("GET", f"{LEASES}/{theirs}"))["state"] == "open"


async def test_a_lease_is_no_reservation(shop: Visitor) -> None:
    """What a lease set aside is not listed, shown, settled or given back as a reservation or a use of somebody's."""
    program = await sold(shop, "held")
    given = await program.ask(10)
    use = (await shop.told("GET", f"{LEASES}/{given['id']}"))["use"]
    where = f"/v1/reservations/{use.replace('use_', 'res_')}"
    assert (await shop.told("GET", "/v1/customers/held/reservations"))["items"] == []
    problem(await shop.ask("GET", where), 404, "not_found")
    problem(await shop.ask("POST", f"{where}/settle", {"used": 1}), 404, "not_found")
    problem(await shop.ask("POST", f"{where}/release"), 404, "not_found")
    refused = await shop.ask("POST", "/v1/usage/corrections", {"customer": "held", "id": use})
    assert refused.status_code in (400, 404), refused.text
    assert numbers(await balance(shop, "held"), "used", "leased") == [10, 10]


async def statement(shop: Visitor, customer: str, feature: str, limit: int) -> tuple[list[dict[str, Any]], Any, Any]:
    """All rows of a statement, page by page, with what was before and after."""
    where = f"/v1/customers/{customer}/balances/{feature}/statement?limit={limit}"
    page = await shop.told("GET", where)
    entries, opening = list(page["entries"]), page["opening"]
    while page["next"]:
        page = await shop.told("GET", f"{where}&cursor={page['next']}")
        entries += page["entries"]
    return entries, opening, page["closing"]


def total(entries: Sequence[dict[str, Any]], name: str) -> Decimal:
    """What rows come to."""
    return sum((Decimal(str(one.get(name, 0))) for one in entries), Decimal(0))


async def test_a_statement_adds_up(shop: Visitor) -> None:
    """Many leases with a use between them are few rows; each remaining follows from its change, whatever the page."""
    program = await sold(shop, "many")
    program.feature = "tokens"
    for times in (7, 5):
        for _ in range(times):
            given = await program.ask(1000)
            await program.tell(given["id"], 333, closed=True)
        await shop.told("POST", "/v1/consume", {"customer": "many", "feature": "tokens", "quantity": 10})
    crashed = await program.ask(1000)
    await program.tell(crashed["id"], 500, closed=True, lost=70)
    for feature in ("tokens", "ai"):
        whole, opening, closing = await statement(shop, "many", feature, 500)
        assert len([one for one in whole if one["kind"] in ("lease", "return")]) == 0
        assert 3 <= len([one for one in whole if one["kind"] == "leases"]) <= 6  # an hour may end meanwhile
        remaining = Decimal(opening["remaining"])
        for one in whole:
            remaining += Decimal(one["change"])
            assert remaining == Decimal(one["remaining"]), one
        assert remaining == Decimal(closing["remaining"])
        leases = [one for one in whole if one["kind"] == "leases"]
        assert total(leases, "issued") == 13
        assert sum((Decimal(one["metered"]["tokens"]) for one in leases), Decimal(0)) == Decimal("449.6")
        lost = total(leases, "leased") - total(leases, "returned") - total(leases, "used")
        assert lost == Decimal((await balance(shop, "many", feature))["written_off"]) > 0
        assert total(leases, "change") == -(total(leases, "leased") - total(leases, "returned"))
        for limit in (1, 2):
            assert (await statement(shop, "many", feature, limit))[0] == whole


async def test_the_rows_of_one_lease(shop: Visitor) -> None:
    """A lease alone is a row that takes; what its owner told is one that says what was used and what came back."""
    program = await sold(shop, "single")
    given = await program.ask(50)
    at = (await shop.told("GET", "/v1/clock"))["now"]
    await shop.told("POST", "/v1/consume", {"customer": "single", "feature": "api_calls", "quantity": 3})
    await program.tell(given["id"], 20, closed=True)
    entries, _, closing = await statement(shop, "single", "api_calls", 500)
    lease, used, back = entries[-3:]
    assert numbers(lease, "kind", "change", "leased", "issued") == ["lease", -50, 50, 1]
    assert numbers(used, "kind", "change") == ["consume", -3]
    assert numbers(back, "kind", "change", "used", "returned", "metered") == ["return", 30, 20, 30, {"calls": 20}]
    assert (back["of"], closing["used"]) == (lease["id"], 23)
    since = await shop.told("GET", f"/v1/customers/single/balances/api_calls/statement?since={at}")
    assert since["entries"] == [used, back]
    assert numbers(since["opening"], "used", "remaining") == [50, 9950]


async def test_what_is_used_most_just_now(shop: Visitor) -> None:
    """What programs told of as used is among it, not what they own."""
    program = await sold(shop, "busiest")
    given = await program.ask(500)
    await program.tell(given["id"], 40, closed=True)
    await program.ask(500)
    (row,) = (await shop.told("GET", "/v1/usage/top?seconds=600&customer=busiest"))["items"]
    assert numbers(row, "feature", "quantity", "refused") == ["api_calls", 40, 0]


async def test_a_deficit_is_shown(shop: Visitor) -> None:
    """What was reported beyond what is left beside slices is a deficit: nothing more is issued before there is room."""
    program = await sold(shop, "short")
    given = await program.ask(600)
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "api.call", "subject": "short"}
    await shop.told("POST", "/v1/events", event | {"data": {"quantity": 9500}})
    parts = ("used", "leased", "remaining", "deficit")
    assert numbers(await balance(shop, "short"), *parts) == [10_100, 600, -100, 100]
    told = await shop.told("POST", LEASES, program.call(asks=[program.wants(5)]))
    assert [(one["code"], one["left"]) for one in told["denied"]] == [("limit_reached", -100)]
    assert given["id"] in told["recalled"]
    assert (await shop.told("GET", f"{LEASES}/{given['id']}"))["recalled"] is True
    await program.tell(given["id"], 0, closed=True)
    assert numbers(await balance(shop, "short"), *parts) == [9500, 0, 500, 0]


async def test_a_claim_is_taken_and_told(shop: Visitor) -> None:
    """What was used of a lease that nobody here knows is charged once, to its customer, and is use."""
    program = await sold(shop, "claimed")
    claim = {"id": uuid4().hex, "customer": "claimed", "feature": "api_calls", "used": 12, "lost": 3}
    for _ in range(2):
        told = await shop.told("POST", LEASES, program.call(claims=[claim]))
        assert told["heard"] == [{"id": claim["id"], "state": "settled", "used": 12}]
    assert numbers(await balance(shop, "claimed"), "used", "leased", "written_off") == [15, 0, 3]
    assert (await shop.told("GET", f"{LEASES}/{claim['id']}"))["state"] == "proven"


async def test_silent_owners_are_charged_until_they_tell(house: House) -> None:
    """What was out when an older copy was restored is charged in full by the next look, and goes back on proof."""
    workspace = uuid4().hex
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    shop = await house.holder(*ALL, workspace=workspace)
    await shop.told("PUT", "/v1/catalog?base=0", CATALOG)
    program = await sold(shop, "silent")
    given = await program.ask(100)
    await program.tell(given["id"], 25)
    parts = house.built.parts
    look = Lapsing(parts.storage, parts.lanes, parts.metrics)
    await look.round()
    async with house.storage.read(workspace) as view:
        assert await view.held_leases() == (1, 0)
    assert (await shop.told("GET", f"{LEASES}/{given['id']}"))["state"] == "open"
    async with house.storage.write(workspace, OPERATOR) as tx:
        await raise_epoch(tx)
    await look.round()
    shown = await shop.told("GET", f"{LEASES}/{given['id']}")
    assert numbers(shown, "state", "charged", "written_off", "outstanding") == ["escheated", 100, 75, 0]
    async with house.storage.read(workspace) as view:
        assert await view.held_leases() == (0, 1)
    told = ("used", "leased", "written_off")
    assert numbers(await balance(shop, "silent"), *told) == [100, 0, 75]
    (row,) = (await shop.told("GET", "/v1/usage?customer=silent&by=month"))["items"]
    assert row["quantity"] == 25
    assert (await program.tell(given["id"], 30, closed=True))["state"] == "settled"
    assert numbers(await balance(shop, "silent"), *told) == [30, 0, 0]
    async with house.storage.read(workspace) as view:
        assert await view.held_leases() == (0, 0)
    assert (await shop.told("GET", f"{LEASES}/{given['id']}"))["state"] == "proven"


async def test_what_is_said_of_leases_is_counted(house: House, shop: Visitor) -> None:
    """What is given, denied and heard moves its number once for each answer, hot or cold."""
    program = await sold(shop, "counted")
    await asyncio.sleep(AFTER_WRITES)
    await shop.told("GET", "/v1/catalog")
    before = said(house)
    for path in (LEASES, LEASES.replace("v1", "v%31")):
        hot = house.built.parts.metrics.hot
        lease = uuid4().hex
        asks = [program.wants(5, lease=lease), program.wants(5) | {"feature": "exports"}]
        await shop.told("POST", path, program.call(asks=asks))
        await shop.told("POST", path, program.call(told=[{"id": lease, "used": 5, "closed": True}]))
        assert house.built.parts.metrics.hot - hot == (2 if path == LEASES else 0)
    after = said(house)
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)} == {
        'what="given",why=""': 2,
        'what="denied",why="decided_at_hub"': 2,
        'what="told",why="settled"': 2,
    }


def said(house: House) -> dict[str, float]:
    """How often was said what of leases, by labels."""
    text = house.built.parts.metrics.text()[0].decode()
    found = re.findall(r"^licet_quota_leases_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    return {name: float(count) for name, count in found}


async def test_what_is_out_of_another_period_is_none_of_this(house: House) -> None:
    """A slice of a period that is over takes nothing from the next one, and is not told as leased there."""
    workspace = uuid4().hex
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    shop = await house.holder(*ALL, workspace=workspace)
    await shop.told("PUT", "/v1/catalog?base=0", CATALOG)
    program = await sold(shop, "rolled")
    old = await program.ask(100)
    await shop.told("POST", "/v1/clock", {"advance": "P32D"})
    told = ("used", "leased", "written_off", "remaining")
    assert numbers(await balance(shop, "rolled"), *told) == [0, 0, 0, 10_000]
    new = await program.ask(50)
    assert numbers(await balance(shop, "rolled"), *told) == [50, 50, 0, 9_950]
    await program.tell(old["id"], 30, closed=True, lost=20)
    assert numbers(await balance(shop, "rolled"), *told) == [50, 50, 0, 9_950]
    await program.tell(new["id"], 50, closed=True)
    assert numbers(await balance(shop, "rolled"), *told) == [50, 0, 0, 9_950]
    page = await shop.told("GET", "/v1/customers/rolled/balances/api_calls/statement?since=2020-01-01")
    late = [one for one in page["entries"] if one.get("returned") == 50]
    assert [(one["kind"], one["used"], one["metered"]) for one in late] == [("recovery", 30, {"calls": 30})]
    remaining = page["opening"]["remaining"]
    for one in page["entries"]:
        remaining += one["change"]
        assert remaining == one["remaining"], one
    assert remaining == page["closing"]["remaining"]
    months = (await shop.told("GET", "/v1/usage?customer=rolled&by=month&since=2020-01-01"))["items"]
    assert sum(one["quantity"] for one in months) == 80


async def test_the_past_does_not_say_what_was_leased(shop: Visitor) -> None:
    """At a past instant what was out counts as used then; how much of it that was is not told."""
    program = await sold(shop, "before")
    given = await program.ask(50)
    at = (await shop.told("GET", "/v1/clock"))["now"]
    await program.tell(given["id"], 20, closed=True)
    past = await shop.told("GET", f"/v1/customers/before/balances/api_calls?at={at}")
    assert numbers(past, "used", "leased", "written_off") == [50, None, None]
    assert numbers(await balance(shop, "before"), "used", "leased", "written_off") == [20, 0, 0]
