"""Checks that programs answered themselves, over HTTP: each batch counts once, nobody tells of others."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from licet.api.v1.check_uploads import UPLOAD
from licet.services.rows import Workspace
from licet.wire.check_upload import AHEAD_MINUTES, MAX_COUNTS, MAX_RECORDS, MAX_SAID, OLDEST_DAYS, CheckUpload
from tests.api.house import ALL, House, Visitor, problem
from tests.dose import dose
from tests.store.worlds import OPERATOR

pytestmark = pytest.mark.postgres

WHERE = "/v1/checks/counts"
ANSWERED: dict[str, Any] = {"reason": "entitled", "outcome": "allowed", "mode": "enforce"}


def now() -> datetime:
    """Return real time, which is that of a workspace whose clock nobody moved."""
    return datetime.now(UTC)


def hour_of(at: datetime) -> str:
    """Return the hour that holds an instant."""
    return at.replace(minute=0, second=0, microsecond=0).isoformat()


def counter() -> str:
    """Return the name of a process that nobody has heard of."""
    return f"ctr_{uuid4().hex}"


def count(**more: Any) -> dict[str, Any]:
    """Return a count of this hour."""
    return {"hour": hour_of(now()), "customer": "acme", "feature": "sso", **ANSWERED, "checks": 1, **more}


def record(**more: Any) -> dict[str, Any]:
    """Return a check on record of this moment."""
    return {"at": now().isoformat(), "question": {"customer": "acme", "feature": "sso"}, **ANSWERED, **more}


def batch(**more: Any) -> dict[str, Any]:
    """Return a batch of a process that nobody has heard of."""
    return {"counter": counter(), "number": 1, **more}


async def asked(owner: Visitor, query: str) -> int:
    """Return how many checks a query finds."""
    rows = (await owner.told("GET", f"{WHERE}?by=total&{query}"))["items"]
    return sum(row["checks"] for row in rows)


async def test_what_is_uploaded_is_counted_beside_what_was_answered_over_http(house: House) -> None:
    """A program's counts and records are read as the server's own are, in the same list, told apart by nothing."""
    owner, program = await house.holder(*ALL), await house.holder("check")
    question = {
        "customer": "acme",
        "feature": "beside",
        "user": "ann",
        "context": {"deployment": "on_prem", "attributes": {"beta": True}},
    }
    sent = batch(
        counts=[count(feature="beside", user="ann", checks=41), count(feature="beside", user="bob", checks=2)],
        records=[record(question=question, left_out=["file"], basis="1:7")],
        said=[{"customer": "acme", "feature": "beside", "used": 4, "at": now().isoformat()}],
        lost={"checks": 5, "records": 6},
    )
    before = (await owner.told("GET", f"{WHERE}?by=total"))["lost"]
    assert await program.told("POST", WHERE, sent) == {"counter": sent["counter"], "number": 1}
    rows = (await owner.told("GET", f"{WHERE}?by=customer,user,feature,reason,mode&feature=beside"))["items"]
    told = {(row["customer"], row["user"], row["reason"], row["mode"], row["allowed"]) for row in rows}
    assert told == {("acme", "ann", "entitled", "enforce", 41), ("acme", "bob", "entitled", "enforce", 2)}
    (kept,) = (await owner.told("GET", "/v1/checks/records?feature=beside"))["items"]
    assert kept["question"] == question
    assert (kept["left_out"], kept["basis"], kept["outcome"]) == (["file"], "1:7", "allowed")
    lost = (await owner.told("GET", f"{WHERE}?by=total"))["lost"]
    assert (lost["checks"], lost["records"]) == (before["checks"] + 5, before["records"] + 6)
    async with house.storage.read("test") as view:
        assert (await view.uses_said(["acme"]))["acme"]["beside"] == 4


async def test_each_number_counts_once(house: House) -> None:
    """Random batches of several processes, repeated and out of order: what was let in once is the sum."""
    owner, program = await house.holder(*ALL), await house.holder("check")
    chance, expected = Random(7), 0
    newest = Counter[str]()
    names = [counter() for _ in range(3)]
    for _ in range(dose(60)):
        name, number, checks = chance.choice(names), chance.randrange(1, 12), chance.randrange(1, 100)
        sent = {"counter": name, "number": number, "counts": [count(feature="once", checks=checks)]}
        assert await program.told("POST", WHERE, sent) == {"counter": name, "number": number}
        if number > newest[name]:
            newest[name], expected = number, expected + checks
    assert await asked(owner, "feature=once") == expected


async def test_one_counter_of_two_keys_is_two(house: House) -> None:
    """Whoever learns the name of a counter takes nothing from it: numbers are let in by key and counter."""
    owner = await house.holder(*ALL)
    mine, other = await house.holder("check"), await house.holder("check")
    sent = batch(number=2**53 - 1, counts=[count(feature="two")])
    await other.told("POST", WHERE, sent)
    await mine.told("POST", WHERE, sent | {"number": 1})
    assert await asked(owner, "feature=two") == 2


async def test_workspaces_are_apart(house: House) -> None:
    """The same batch sent to two workspaces counts in each, and in neither twice."""
    sent = batch(counts=[count(feature="apart")])
    for workspace in ("live", "test"):
        program = await house.holder("check", workspace=workspace)
        for _ in range(2):
            await program.told("POST", WHERE, sent)
        assert await asked(await house.holder(*ALL, workspace=workspace), "feature=apart") == 1


@pytest.mark.parametrize(
    "about",
    [
        {"counts": [count(), count(customer="globex")]},
        {"counts": [count(customer=None)]},
        {"counts": [count(others="customer")]},
        {"counts": [count(others="feature", customer=None)]},
        {"records": [record(question={"customer": "globex", "feature": "sso"})]},
        {"said": [{"customer": "globex", "feature": "sso", "used": 1, "at": now().isoformat()}]},
    ],
)
async def test_a_bound_key_tells_of_its_own_customer_only(house: House, about: dict[str, Any]) -> None:
    """One row about somebody else, or about nobody in particular, and nothing of the whole batch counts."""
    owner = await house.holder(*ALL)
    await owner.ask("POST", "/v1/customers", {"id": "acme"})
    bound = await house.holder("check", customer="acme")
    before = await asked(owner, "")
    problem(await bound.ask("POST", WHERE, batch(**about)), 403, "forbidden")
    assert await asked(owner, "") == before
    await bound.told("POST", WHERE, batch(counts=[count(), count(others="user")]))
    assert await asked(owner, "") == before + 2


async def test_it_takes_the_scope_check(house: House) -> None:
    """A key that may not ask does not tell what was answered either."""
    program = await house.holder("orders", "usage")
    problem(await program.ask("POST", WHERE, batch()), 403, "forbidden")


async def test_what_gave_way_is_not_told_apart(house: House) -> None:
    """Where a program says that users or customers gave way, names that it sends all the same are not kept."""
    owner, program = await house.holder(*ALL), await house.holder("check")
    rows = [count(feature="folded", user="ann", others=level) for level in ("user", "customer")]
    await program.told("POST", WHERE, batch(counts=rows))
    told = (await owner.told("GET", f"{WHERE}?by=customer,user&feature=folded"))["items"]
    names = {(row["customer"], row["user"], row["others"]) for row in told}
    assert names == {("acme", "(others)", "user"), ("(others)", "(others)", "customer")}


@pytest.mark.parametrize(("field", "rows"), [("counts", "hour"), ("records", "at"), ("said", "at")])
async def test_instants_are_near_the_business_clock(house: House, field: str, rows: str) -> None:
    """35 days back and ten minutes ahead are taken; beyond that the batch is refused, with the place and the reason."""
    program = await house.holder("check")
    make: dict[str, Any] = {
        "counts": count(),
        "records": record(),
        "said": {"customer": "acme", "feature": "sso", "used": 1},
    }
    late = now() + timedelta(minutes=AHEAD_MINUTES)
    for shift, fits in ((-timedelta(days=OLDEST_DAYS), True), (-timedelta(days=OLDEST_DAYS, hours=2), False)):
        at = hour_of(now() + shift)
        answer = await program.ask("POST", WHERE, batch(**{field: [{**make[field], rows: at}]}))
        assert answer.is_success == fits, answer.text
    ahead = hour_of(late + timedelta(hours=1))
    answer = await program.ask(
        "POST", WHERE, batch(**{field: [make[field] | {rows: hour_of(now())}, make[field] | {rows: ahead}]})
    )
    found = problem(answer, 400, "invalid")
    assert found["problems"][0]["path"] == f"{field}[1].{rows}"
    assert "ahead" in found["detail"]


async def test_hours_are_those_of_a_moved_clock(house: House) -> None:
    """In a test workspace whose clock stands in 2031, what is told is of 2031, and today is too old."""
    workspace = f"moved-{uuid4().hex[:12]}"
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    owner = await house.holder(*ALL, workspace=workspace)
    await owner.told("POST", "/v1/clock", {"frozen_at": "2031-05-01T10:20:00Z"})
    problem(await owner.ask("POST", WHERE, batch(counts=[count()])), 400, "invalid")
    rows = [count(hour="2031-05-01T10:00:00Z", checks=3)]
    await owner.told("POST", WHERE, batch(counts=rows, records=[record(at="2031-05-01T10:19:00Z")]))
    told = (await owner.told("GET", f"{WHERE}?by=hour"))["items"]
    assert [(row["begins_at"], row["checks"]) for row in told] == [("2031-05-01T10:00:00Z", 3)]
    (kept,) = (await owner.told("GET", "/v1/checks/records"))["items"]
    assert kept["at"] == "2031-05-01T10:19:00Z"


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 0},
        {"number": 2**53},
        {"counter": "ctr_1"},
        {"counts": [count(checks=0)]},
        {"counts": [count(checks=10**9 + 1)]},
        {"counts": [count(hour="2026-11-22T10:30:00Z")]},
        {"counts": [count(outcome="maybe")]},
        {"counts": [count(reason="Entitled!")]},
        {"counts": [count(customer="a\x01b")]},
        {"counts": [count(user="x" * 129)]},
        {"counts": [count()] * (MAX_COUNTS + 1)},
        {"records": [record()] * (MAX_RECORDS + 1)},
        {
            "records": [
                record(question={"customer": "acme", "feature": "sso", "context": {"attributes": {"a": "x" * 1001}}})
            ]
        },
        {"said": [{"customer": "acme", "feature": "sso", "used": 1, "at": now().isoformat()}] * (MAX_SAID + 1)},
        {"said": [{"customer": "acme", "feature": "sso", "used": 2**63, "at": now().isoformat()}]},
        {"lost": {"checks": -1}},
        {"extra": 1},
    ],
)
async def test_a_batch_beyond_its_bounds_is_refused_whole(house: House, wrong: dict[str, Any]) -> None:
    """Numbers, texts and lists are bounded; one wrong row refuses the batch, and its number stays free."""
    program = await house.holder("check")
    sent = batch(counts=[count(feature="bounds")])
    problem(await program.ask("POST", WHERE, sent | wrong), 400, "invalid")
    assert await asked(await house.holder(*ALL), "feature=bounds") == 0


async def test_the_largest_batch_is_taken(house: House) -> None:
    """5,000 counts with 5,000 customers fit one body and are written in one go; 1 MiB and a byte do not."""
    owner, program = await house.holder(*ALL), await house.holder("check")
    rows = [count(customer=f"c{place:04}", feature="largest", checks=2) for place in range(MAX_COUNTS)]
    await program.told("POST", WHERE, batch(counts=rows))
    assert await asked(owner, "feature=largest") == 2 * MAX_COUNTS
    body = msgspec.json.encode(batch()).ljust(1024 * 1024 + 1)
    problem(await program.ask("POST", WHERE, body=body), 413, "too_large")


def test_an_example_says_every_field() -> None:
    """What the page shows is whole: each field of a batch and of its rows is in the example."""
    decoded = msgspec.convert(UPLOAD, CheckUpload)
    assert set(UPLOAD) == {field.name for field in msgspec.structs.fields(decoded)}
