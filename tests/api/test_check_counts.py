"""Check telemetry over HTTP: counts equal what was answered, whatever happens to the database in between."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from licet.core.question import Question
from tests.api.house import ALL, House, Visitor, open_house, problem
from tests.core.worlds import CATALOG, FEATURES
from tests.dose import dose
from tests.store.bundled.lives import postmaster_of
from tests.store.databases import Server, scratch, shared_server
from tests.store.worlds import World, fresh_world

pytestmark = pytest.mark.postgres

CHECKS = dose(5_000, full=50_000)
BATCH = 50
RECORDED = ("projects", "beta", "watch")
WORKSPACES = ("live", "test")
HELD = {"c0": "team", "c1": "business", "c2": "free", "c3": "solo"}
USERS = (None, "ann", "bob", "(others)")
Told = tuple[str, str, str | None, str, str, str | None, str]
"""Workspace, customer, user, feature, reason, mode, outcome."""


@pytest.fixture(scope="module")
def run() -> str:
    """A name of this module's own server."""
    return f"counts-{uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def pg_server(engine: str, run: str) -> Iterator[Server]:
    """A server of its own: it is killed here."""
    with shared_server(engine, run) as server:
        yield server


@pytest.fixture(scope="module")
def world(pg_server: Server) -> Iterator[World]:
    """A prepared database for this module."""
    with fresh_world(pg_server) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(world: World) -> AsyncIterator[House]:
    """A running server with a catalog and four customers in two workspaces."""
    async with open_house(world) as opened:
        for workspace in WORKSPACES:
            await stock(await opened.holder(*ALL, workspace=workspace))
        yield opened


async def stock(owner: Visitor) -> None:
    """Release the catalog, some of its features recorded check by check, and sell a plan to each customer."""
    features = {name: {**one, "record": "each"} if name in RECORDED else one for name, one in FEATURES.items()}
    await owner.told("PUT", "/v1/catalog?base=0", CATALOG | {"features": features})
    for customer, plan in HELD.items():
        order = {
            "source": "crm",
            "external_id": f"deal-{customer}",
            "customer": {"id": customer},
            "occurred_at": "2026-03-01T09:00:00Z",
            "lines": [{"line": "1", "plan": plan}],
        }
        await owner.told("POST", "/v1/orders", order)


def question(chance: Random) -> dict[str, Any]:
    """Somebody's question, sometimes about what does not exist."""
    asked: dict[str, Any] = {
        "customer": chance.choice([*HELD, "nobody"]),
        "feature": chance.choice([*FEATURES, "no_such"]),
        "user": chance.choice(USERS),
    }
    if chance.random() < 0.3:
        asked |= {"quantity": chance.randrange(5), "used": chance.randrange(25)}
    if chance.random() < 0.5:
        asked["context"] = {
            "deployment": chance.choice(["saas", "desktop"]),
            "attributes": {"beta": chance.random() < 0.5, "email": "ann@example.com"},
        }
    return asked


def told_of(workspace: str, asked: dict[str, Any], decision: dict[str, Any]) -> Told:
    """Read one answer for an independent count."""
    would = decision["would_deny"]
    outcome = "would_deny" if would else "allowed" if decision["allowed"] else "denied"
    reason = would[0] if would else decision["reason"]
    return workspace, asked["customer"], asked["user"], asked["feature"], reason, decision["mode"], outcome


async def everything(owner: Visitor, path: str) -> list[dict[str, Any]]:
    """Read all pages of a list."""
    found: list[dict[str, Any]] = []
    page = await owner.told("GET", f"{path}&limit=97")
    while True:
        found += page["items"]
        if page["next"] is None:
            return found
        page = await owner.told("GET", f"{path}&limit=97&cursor={page['next']}")


async def counted(owner: Visitor, workspace: str) -> Counter[Told]:
    """Read all counts of a workspace."""
    found = Counter[Told]()
    for row in await everything(owner, "/v1/checks/counts?by=customer,user,feature,reason,mode&order=size"):
        assert row["others"] is None
        names = [row[name] for name in ("customer", "user", "feature", "reason", "mode")]
        for outcome in ("allowed", "denied", "would_deny"):
            found[workspace, *names, outcome] += row[outcome]
    return +found


def kill_postgres(run: str) -> None:
    """SIGKILL the database server; its supervisor starts another one."""
    home = Path(scratch()) / f"licet-tests-{run}-{os.geteuid()}" / "home"
    os.kill(postmaster_of(home), 9)


async def test_counts_equal_an_independent_recount(house: House, run: str) -> None:
    """5,000 random checks of two workspaces, single and in batches, the database killed twice: each counts once."""
    chance, expected = Random(4), Counter[Told]()
    owners = {workspace: await house.holder(*ALL, workspace=workspace) for workspace in WORKSPACES}
    answered, kills = 0, [CHECKS // 3, 2 * CHECKS // 3]
    while answered < CHECKS:
        workspace = chance.choice(WORKSPACES)
        questions = [question(chance) for _ in range(chance.choice([1, BATCH]))]
        if len(questions) == 1:
            answer = await owners[workspace].ask("POST", "/v1/check", questions[0])
        else:
            answer = await owners[workspace].ask("POST", "/v1/check/batch", {"questions": questions})
        if not answer.is_success:
            problem(answer, 503, "unavailable")
            await asyncio.sleep(0.1)
            continue
        decisions = [answer.json()] if len(questions) == 1 else answer.json()["decisions"]
        expected.update(told_of(workspace, *pair) for pair in zip(questions, decisions, strict=True))
        answered += len(questions)
        if kills and answered >= kills[0]:
            kills.pop(0)
            kill_postgres(run)
    found = Counter[Told]()
    for workspace, owner in owners.items():
        found += await counted(owner, workspace)
        lost = (await owner.told("GET", "/v1/checks/counts?by=total"))["lost"]
        assert lost == {"checks": 0, "records": 0}
        on_record = await everything(owner, "/v1/checks/records?")
        kept = Counter(told_of(workspace, *as_answer(one)) for one in on_record)
        assert kept == Counter({told: times for told, times in expected.items() if recorded(told, workspace)})
        assert "ann@example.com" not in str(on_record)
    assert not kills
    assert found == expected


def recorded(told: Told, workspace: str) -> bool:
    """Whether every check like this is on record."""
    return told[0] == workspace and told[3] in RECORDED


def as_answer(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a record as the question and the answer that it was."""
    asked = {"user": None, **row["question"]}
    would = [row["reason"]] if row["outcome"] == "would_deny" else None
    return asked, {**row, "would_deny": would, "allowed": row["outcome"] == "allowed"}


async def test_what_a_process_has_counted_is_told_by_its_next_answer(house: House) -> None:
    """A check is in the counts and on record in the answer to whoever asks after it, at most two seconds later."""
    owner = await house.holder(*ALL)
    for times in (1, 2, 3):
        await owner.told("POST", "/v1/check", {"customer": "c0", "feature": "projects", "user": "late"})
        rows = (await owner.told("GET", "/v1/checks/counts?by=feature&user=late"))["items"]
        assert [(row["feature"], row["checks"]) for row in rows] == [("projects", times)]
        assert len((await owner.told("GET", "/v1/checks/records?user=late"))["items"]) == times


async def test_a_batch_that_is_refused_counts_nothing(house: House) -> None:
    """One wrong question refuses its batch: the others of it were not answered, and are not counted."""
    owner = await house.holder(*ALL)
    right = {"customer": "c0", "feature": "projects", "user": "refused"}
    wrong = right | {"quantity": "0.5"}
    problem(await owner.ask("POST", "/v1/check/batch", {"questions": [right, wrong]}), 400, "invalid")
    assert (await owner.told("GET", "/v1/checks/counts?user=refused"))["items"] == []


async def test_counts_are_by_hours_of_the_business_clock(house: House) -> None:
    """Where a test workspace's clock is moved, checks are counted there; from and to cut whole hours."""
    owner = await house.holder(*ALL)
    moments = ["2030-05-01T10:20:00Z", "2030-05-01T11:59:59Z", "2030-05-02T00:00:00Z"]
    for place, moment in enumerate(moments):
        await owner.told("POST", "/v1/clock", {"frozen_at": moment})
        for _ in range(place + 1):
            await owner.told("POST", "/v1/check", {"customer": "c0", "feature": "tier"})
    where = "/v1/checks/counts?feature=tier&from=2030-05-01"

    async def rows(more: str) -> list[tuple[str | None, int]]:
        return [(row["begins_at"], row["checks"]) for row in await everything(owner, where + more)]

    hours = [("2030-05-01T10:00:00Z", 1), ("2030-05-01T11:00:00Z", 2), ("2030-05-02T00:00:00Z", 3)]
    assert await rows("&by=hour") == hours
    assert await rows("&by=day") == [("2030-05-01T00:00:00Z", 3), ("2030-05-02T00:00:00Z", 3)]
    assert await rows("&by=total") == [(None, 6)]
    assert await rows("&by=hour&order=size") == hours[::-1]
    assert await rows("&by=hour&to=2030-05-01T11:30:00Z") == hours[:2]
    assert await rows("&by=hour&to=2030-05-01T11:00:00Z") == hours[:1]
    late = "/v1/checks/counts?feature=tier&by=hour&from=2030-05-01T11:30:00Z"
    assert [row["begins_at"] for row in (await owner.told("GET", late))["items"]] == [hours[1][0], hours[2][0]]


async def test_who_may_not_read_them(house: House) -> None:
    """Counts and records are for admins of the whole workspace: no other scope, and no key bound to a customer."""
    for visitor in (await house.holder("check", "orders"), await house.holder(*ALL, customer="c0")):
        for path in ("/v1/checks/counts", "/v1/checks/records"):
            problem(await visitor.ask("GET", path), 403, "forbidden")


@pytest.mark.parametrize("by", ["color", "hour,day", "feature,feature", "", "total,feature"])
async def test_an_unknown_part_is_named(house: House, by: str) -> None:
    """What nothing can be told apart by is refused, with what is allowed."""
    owner = await house.holder(*ALL)
    refused = problem(await owner.ask("GET", f"/v1/checks/counts?by={by}"), 400, "invalid")
    assert "hour, day, customer, user, feature, reason, mode" in refused["advice"]


@pytest.mark.parametrize("path", ["counts", "records"])
async def test_a_period_that_ends_before_it_begins(house: House, path: str) -> None:
    """Nothing could be in it, which is no answer; one instant as both ends is an empty period."""
    owner = await house.holder(*ALL)
    where = f"/v1/checks/{path}?from=2030-05-02T00:00:00Z&to="
    told = problem(await owner.ask("GET", f"{where}2030-05-01T00:00:00Z"), 400, "invalid")
    assert "comes after the end, 2030-05-01" in told["detail"]
    assert (await owner.told("GET", f"{where}2030-05-02T00:00:00Z"))["items"] == []


def test_the_question_of_this_module_can_be_read() -> None:
    """Every random question is one that the API reads."""
    assert {name for _ in range(50) for name in question(Random(1))} <= set(Question.__struct_fields__)
