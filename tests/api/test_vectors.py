"""The language-neutral cases of ``spec/vectors`` hold at every door, and what is decided is the same bytes at each."""

import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from licet.core.instant import parse_instant, to_datetime
from licet.core.terms import Subscription, Terms
from licet.services.catalogs import apply_catalog
from licet.services.rows import CustomerRow, Draft, Workspace
from tests.api.doors import AsyncSdkDoor, ColdDoor, CoreDoor, Door, HotDoor, SdkDoor, Stage, ask_all
from tests.api.house import House, Visitor
from tests.core.vectors import FOLDER, read_vectors
from tests.store.worlds import OPERATOR

pytestmark = pytest.mark.one_engine

_, STANDING = read_vectors("standing")
_, DERIVE = read_vectors("derive")
_, CHECK = read_vectors("check")
_, POLICIES = read_vectors("policies")


async def visit(house: House, name: str, case: dict[str, Any], terms: Terms | None) -> Visitor:
    """Somebody in a fresh workspace that holds the case's catalog, terms and user, and stands at its instant."""
    now = to_datetime(parse_instant(case["now"]))
    workspace = f"{name}-{uuid4().hex}"
    await house.storage.create_workspace(Workspace(id=workspace, kind="test", clock_frozen_at=now), OPERATOR)
    catalog = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["catalog"]
    async with house.storage.write(workspace, OPERATOR) as tx:
        await apply_catalog(tx, json.dumps(catalog).encode(), 0)
    if terms is not None:
        async with house.storage.write(workspace, OPERATOR) as tx:
            await tx.put_customer(CustomerRow(id=terms.customer, revision=1, created_at=now, updated_at=now))
            await tx.record(Draft(type="customer.created", subject=f"customer/{terms.customer}"))
        async with house.storage.write(workspace, OPERATOR) as tx:
            await tx.lock_customer(terms.customer)
            await tx.put_terms(terms.customer, terms)
            await tx.record(Draft(type="terms.changed", subject=f"customer/{terms.customer}"))
    return await house.holder("check", workspace=workspace)


Told = dict[str, dict[str, bytes]]
DOORS = ("core", "cold", "hot", "sdk", "async sdk")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def check_told(house: House) -> Told:
    """What every door answers to the cases of ``check.json``."""
    return await told_at_all_doors(house, "check")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def policies_told(house: House) -> Told:
    """What every door answers to the cases of ``policies.json``."""
    return await told_at_all_doors(house, "policies")


async def told_at_all_doors(house: House, name: str) -> Told:
    """Ask the cases of one file at every door."""
    stage = Stage(house, name)
    visitor = await stage.build()
    assert visitor.secret is not None
    doors: list[Door] = [
        CoreDoor(stage),
        ColdDoor(stage, visitor),
        HotDoor(stage, visitor),
        SdkDoor(stage, visitor.secret),
        AsyncSdkDoor(stage, visitor.secret),
    ]
    assert tuple(door.name for door in doors) == DOORS
    told = await ask_all(stage, visitor, doors)
    for door in doors:
        await door.close()
    return told


@pytest.mark.parametrize("case", CHECK)
def test_check(check_told: Told, case: dict[str, Any]) -> None:
    """The decision has what the vector says, and is the same to the last byte at every door."""
    decides(check_told, case)


@pytest.mark.parametrize("case", POLICIES)
def test_policies(policies_told: Told, case: dict[str, Any]) -> None:
    """The same under a catalog with policies."""
    decides(policies_told, case)


def decides(told: Told, case: dict[str, Any]) -> None:
    """The decision of a case has everything that the case expects, and every door gives the same."""
    answers = told[case["name"]]
    assert tuple(answers) == DOORS
    for door, answer in answers.items():
        assert answer == answers["cold"], door
    view, expect = json.loads(answers["cold"]), dict(case["expect"])
    if "remedy" in expect:
        kinds = expect.pop("remedy")
        steps = [step["kind"] for step in view["remedy"]["steps"]] if view["remedy"] else []
        assert sorted(steps) == sorted(kinds.split("+") if kinds else [])
    if expect.get("limit"):
        view["limit"] = {name: view["limit"][name] for name in expect["limit"]}
    assert {name: view[name] for name in expect} == expect


@pytest.mark.parametrize("case", DERIVE)
async def test_derive(house: House, case: dict[str, Any]) -> None:
    """The entitlements over HTTP name the vector's sources with their merged amount or value, or leave it out."""
    expect = case["expect"]
    visitor = await visit(house, "derive", case, msgspec.convert(case["terms"], Terms))
    told = await visitor.told("GET", "/v1/customers/acme/entitlements")
    found = {one["feature"]: one for one in told["entitlements"]}.get(expect["feature"])
    assert (found is None) == expect.get("absent", False)
    if found is not None and "sources" in expect:
        assert [source["item"] for source in found["sources"]] == expect["sources"]
    # Conditions are not asked in derivation: only where every source permits do both speak of the same sum.
    comparable = found is not None and all(source.get("permits") for source in found["sources"])
    if found is not None and comparable and "value" in expect:
        assert found["value"] == expect["value"]
    if found is not None and comparable and "amount" in expect:
        assert found["limit"]["amount"] == expect["amount"]
    if "breaches" in expect:
        assert [f"{one['item']} {one['rule']}" for one in told["breaches"]] == expect["breaches"]


@pytest.mark.parametrize("case", STANDING)
async def test_standing(house: House, case: dict[str, Any]) -> None:
    """The subscription stands over HTTP as the vector says; what a trial fell from may have ended beside it."""
    subscription = msgspec.convert(case["subscription"], Subscription)
    rest = msgspec.convert({"customer": "acme", **case.get("terms", {})}, Terms)
    terms = msgspec.structs.replace(rest, subscriptions=(subscription,))
    visitor = await visit(house, "standing", case, terms)
    told = await visitor.told("GET", "/v1/customers/acme/entitlements")
    expect = case["expect"]
    sources = [source for one in told["entitlements"] for source in one["sources"]]
    stands = {source["standing"] for source in sources}
    assert expect["kind"] in stands
    assert stands <= {expect["kind"], "ended"}
    spans = {(source.get("since"), source.get("until")) for source in sources if source["standing"] == expect["kind"]}
    assert (expect["since"], expect["until"]) in spans
