"""Erasing personal values: the whole database is searched for them afterwards; everything else goes on as before."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from msgspec import structs

from licet.api.v1.erasure import ROUTES
from licet.core.instant import SECOND
from licet.services.erasure import Erase, Holding, erase
from licet.services.rows import DeliveryRow, FindingRow, Workspace
from licet.store.audit import export_checkpoint, verify_log
from licet.testing.stripe import SignedDelivery, StripeStory
from tests.api.house import ALL, House, Visitor, problem
from tests.store.worlds import OPERATOR, World

pytestmark = pytest.mark.postgres

START: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
SECRET: Final = "whsec_of_the_tests_of_erasure"
CATALOG: Final = {
    "version": 1,
    "products": {"suite": {"name": "Suite"}},
    "features": {
        "sso": {"type": "switch", "record": "each", "when": 'user.roles.exists(r, r == "editor")'},
        "projects": {"type": "limit"},
    },
    "plans": {"team": {"product": "suite", "versions": {"2026-01": {"includes": {"sso": True, "projects": 20}}}}},
    "orders": {"stripe": {"price_team_monthly": {"plan": "team"}}},
}


async def places_of(world: World, words: Iterable[str]) -> set[str]:
    """Return the tables in which any of these words stands, as text, as base64 or as the bytes of a binary column."""
    conn = await world.database.connect()
    found = set()
    for name in [
        row["tablename"] for row in await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]:
        rows = await conn.fetch(f'SELECT x::text AS shown FROM "{name}" AS x')
        if any(word in row["shown"] or word.encode().hex() in row["shown"] for row in rows for word in words):
            found.add(name)
    await conn.close()
    return found


class Person:
    """Somebody with canaries for a name and a mail address."""

    def __init__(self) -> None:
        self.name = f"Ann Zq{uuid4().hex}"
        self.email = f"zq{uuid4().hex}@mail.example"

    @property
    def words(self) -> tuple[str, str]:
        """What must be nowhere any more."""
        return self.name.removeprefix("Ann "), self.email

    def body(self, **more: Any) -> dict[str, Any]:
        """Return what is sent about the person."""
        return {"name": self.name, "email": self.email, **more}


class Firm:
    """A customer in a house, with its people, a Stripe subscription and checks."""

    def __init__(self, house: House, visitor: Visitor, workspace: str, customer: str) -> None:
        self.house, self.visitor, self.workspace, self.customer = house, visitor, workspace, customer
        self.path = f"/v1/customers/{customer}"
        self.contact, self.former, self.ann, self.bob = (Person() for _ in range(4))
        self.told = StripeStory(SECRET, START, customer=customer, seed=uuid4().int)

    @property
    def words(self) -> list[str]:
        """Every personal value of the firm."""
        return [word for one in (self.contact, self.former, self.ann, self.bob) for word in one.words]

    async def move_in(self) -> None:
        """Be created and changed under idempotency keys, employ two people, buy at Stripe, ask."""
        born = self.former.body(id=self.customer, external_ids={"stripe": self.told.buyer.id})
        for method, path, body in [
            ("POST", "/v1/customers", born),
            ("PATCH", self.path, self.contact.body()),
            ("PUT", f"{self.path}/users/ann", self.ann.body(roles=["editor"], attributes={"desk": "north"})),
            ("PUT", f"{self.path}/users/bob", self.bob.body()),
        ]:
            await self.visitor.told(method, path, body, headers={"Idempotency-Key": f"{self.customer} {method} {path}"})
        for delivery in (self.told.subscribe("price_team_monthly"), self.told.customer_updated()):
            await self.deliver(delivery)
        for user in ("ann", "bob", None):
            for _ in range(2):
                question = {"customer": self.customer, "feature": "sso"} | ({} if user is None else {"user": user})
                await self.visitor.told("POST", "/v1/check", question)
        await self.house.built.parts.counting.flush()

    async def deliver(
        self, delivery: SignedDelivery, *, quoting: Sequence[str] | None = None, ours: bool = False
    ) -> Any:
        """Let Stripe send a message that quotes every personal value of the firm, or some; ``ours`` names it."""
        said = json.loads(delivery.body)
        quoted = [*self.words, *(f"by {self.ann.name}, {self.ann.email}",)] if quoting is None else quoting
        said["data"]["object"]["description"] = "; ".join(quoted)
        if ours:
            said["data"]["object"]["statement_descriptor"] = self.told.buyer.id
        changed = structs.replace(delivery, body=json.dumps(said).encode())
        async with self.house.storage.read(self.workspace) as view:
            signed = changed.signed(SECRET, view.time.wall // SECOND)
        path = f"/v1/connectors/{self.workspace}/stripe"
        return await self.visitor.told("POST", path, body=signed.body, headers=signed.headers)

    async def erase(self, *, user: str | None = None, **body: Any) -> Any:
        """Erase, or only count."""
        path = self.path if user is None else f"{self.path}/users/{user}"
        return await self.visitor.told("POST", f"{path}/erase", body)


@pytest.fixture
async def firms(house: House) -> list[Firm]:
    """Two firms in one workspace and one of the first one's name in another, all moved in."""
    made = []
    name = f"f{uuid4().hex[:12]}"
    here, there = f"here{uuid4().hex[:8]}", f"there{uuid4().hex[:8]}"
    for workspace in (here, there):
        await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
        owner = await house.holder(*ALL, workspace=workspace)
        await owner.told("PUT", "/v1/catalog?base=0", CATALOG)
        await owner.told("PUT", "/v1/sources/stripe", {"kind": "stripe", "secrets": [SECRET]})
        made.append(Firm(house, owner, workspace, name))
        if workspace == here:
            made.append(Firm(house, owner, workspace, f"{name}-2"))
    for firm in made:
        await firm.move_in()
    return made


async def lines_of(firm: Firm) -> list[Any]:
    """Return a firm's export, line by line."""
    answer = await firm.visitor.ask("GET", f"{firm.path}/export")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def quoted(firm: Firm, words: str, evidence: dict[str, Any]) -> None:
    """Keep a finding about a firm, as a connector does that quotes what it was sent."""
    async with firm.house.storage.write(firm.workspace, OPERATOR) as tx:
        row = FindingRow(
            id=f"fnd_{uuid4().hex}",
            kind="delivery_failed",
            severity="low",
            subject=f"stripe:{uuid4().hex}",
            words=words,
            evidence=evidence,
            first_seen=START,
            last_seen=START,
            customer=firm.customer,
        )
        await tx.put_finding(row)


def without_basis(told: Any) -> Any:
    """Return an answer without the sequences that it rests on: every event makes them others."""
    if isinstance(told, dict):
        return {name: without_basis(value) for name, value in told.items() if name != "basis"}
    return [without_basis(one) for one in told] if isinstance(told, list) else told


async def told_of(firm: Firm, basis: str, at: str) -> list[Any]:
    """Return what is told of a firm's rights now, and of a decision of the past but for the line about erasing."""
    asks = [
        f"{firm.path}/entitlements?at=2027-01-01",
        f"{firm.path}/explain?feature=sso&user=ann&basis={basis}&at={at}",
        f"{firm.path}/terms",
    ]
    told = [await firm.visitor.told("GET", ask) for ask in asks]
    told[1]["tree"]["children"] = [one for one in told[1]["tree"]["children"] if one["kind"] != "erased"]
    del told[1]["erased_at"]
    return [without_basis(one) for one in told]


async def erasures_told(firm: Firm, user: str | None) -> list[str]:
    """Return what an explanation says was erased; it says when, too."""
    asked = f"{firm.path}/explain?feature=sso" + ("" if user is None else f"&user={user}")
    told = await firm.visitor.told("GET", asked)
    lines = [one["text"] for one in told["tree"]["children"] if one["kind"] == "erased"]
    assert (told["erased_at"] is None) == (lines == [])
    return lines


async def test_explanations_and_history_say_what_was_erased(firms: list[Firm]) -> None:
    """An explanation says in a line that personal values of its user were erased, and of its customer; that of another
    user, or of no user, says nothing of one that was erased alone. The customer's history shows both erasures."""
    firm, neighbor, _ = firms
    assert await erasures_told(firm, "ann") == []
    alone = (await firm.erase(user="ann"))["erased_at"]
    (line,) = await erasures_told(firm, "ann")
    assert line.startswith("personal values of the user ann were erased (user.erased by key:")
    assert alone[:16] in line
    for other, user in ((firm, "bob"), (firm, None), (neighbor, "ann")):
        assert await erasures_told(other, user) == []
    await firm.erase()
    told = await erasures_told(firm, "ann")
    assert [one.partition(" (")[0] for one in told] == [
        f"personal values of {firm.customer} and its users were erased",
        "personal values of the user ann were erased",
    ]
    assert len(await erasures_told(firm, None)) == 1
    history = await firm.visitor.told("GET", f"{firm.path}/history")
    told = [words for entry in history["items"] for words in entry["words"] if "were erased" in words]
    assert told == [
        "personal values of the customer and 1 user were erased: 6 beside the log",
        "personal values of user ann were erased: 2 beside the log",
    ]
    assert "erased" not in json.dumps(await neighbor.visitor.told("GET", f"{neighbor.path}/history"))


async def test_nothing_personal_is_left(house: House, world: World, firms: list[Firm]) -> None:
    """Every table of the database is searched: of the erased customer no value is left, of others every one. Rights,
    explanations of the past and counts are as before; the log is whole, also against a checkpoint of before."""
    firm, neighbor, namesake = firms
    await quoted(firm, f"no address {firm.ann.email} at us", {"said": firm.contact.name, "all": [firm.bob.email, "x"]})
    await quoted(neighbor, f"no address {neighbor.ann.email} at us", {})
    question = {"customer": firm.customer, "feature": "sso", "user": "ann"}
    basis = (await firm.visitor.told("POST", "/v1/check", question))["basis"]
    await house.built.parts.counting.flush()
    at = (await firm.visitor.told("GET", "/v1/clock"))["now"]
    before = await told_of(firm, basis, at)
    counts = f"/v1/checks/counts?customer={firm.customer}&by=feature"
    counted = await firm.visitor.told("GET", counts)
    tables = {"customer", "customer_user", "event_private", "delivery", "finding"}
    assert await places_of(world, firm.words) == tables
    checkpoint, verifier = await export_checkpoint(house.storage, firm.workspace, OPERATOR)

    foreseen = await firm.erase(dry_run=True)
    assert await places_of(world, firm.words) == tables
    assert (foreseen["dry_run"], foreseen["nothing_left"], foreseen["erased_at"]) == (True, False, None)
    erased = await firm.erase()
    assert erased["removed"] == foreseen["removed"]
    assert erased["removed"] | {"check_counts": 0} == {
        "names": 3, "values": 8, "check_records": 7, "check_counts": 0, "deliveries": 2, "answers": 4, "findings": 1,
    }  # fmt: skip
    assert erased["removed"]["check_counts"] > 0
    assert await places_of(world, firm.words) == set()
    for other, places in ((neighbor, tables), (namesake, tables - {"finding"})):
        assert await places_of(world, other.words) == places
        export = json.dumps(await lines_of(other))
        assert [word for word in other.words if word not in export] == []

    assert await told_of(firm, basis, at) == before
    assert await firm.visitor.told("GET", counts) == counted
    report = await verify_log(house.storage, firm.workspace, checkpoint, verifier)
    assert (report.ok, report.values_erased) == (True, 8)
    (event,) = (await firm.visitor.told("GET", "/v1/events?type=customer.erased"))["items"]
    assert event["after"] == {"id": firm.customer, "users": 2, **erased["removed"]}
    history = await firm.visitor.told("GET", f"{firm.path}/history")
    told = [words for entry in history["items"] for words in entry["words"] if "erased" in words]
    assert told == [
        "personal values of the customer and 2 users were erased: 8 beside the log",
        "the customer's name or email changed (email and name erased)",
        "the customer was created (email and name erased)",
    ]
    for other in (neighbor, namesake):
        assert "erased" not in json.dumps(await other.visitor.told("GET", f"{other.path}/history"))


async def test_what_was_erased_says_so(firms: list[Firm]) -> None:
    """Records, messages, kept answers and the export say that something was erased, and nothing of it comes back."""
    firm = firms[0]
    (message, *_) = (await firm.visitor.told("GET", "/v1/sources/stripe/deliveries"))["items"][::-1]
    at = (await firm.erase())["erased_at"]
    row = await firm.visitor.told("GET", firm.path)
    assert (row["name"], row["email"], row["erased_at"]) == (None, None, at)
    users = (await firm.visitor.told("GET", f"{firm.path}/users"))["items"]
    assert {(one["name"], one["email"], one["erased_at"]) for one in users} == {(None, None, at)}
    assert users[0]["attributes"] == {"desk": "north"}
    path = f"/v1/sources/stripe/deliveries/{message['id']}"
    kept = await firm.visitor.told("GET", path)
    assert (kept["body"], kept["erased_at"], kept["outcome"]) == ('{"erased":true}', at, "applied")
    body = firm.former.body(id=firm.customer, external_ids={"stripe": firm.told.buyer.id})
    mark = {"Idempotency-Key": f"{firm.customer} POST /v1/customers"}
    for again in (body, {"id": firm.customer}):
        answer = await firm.visitor.ask("POST", "/v1/customers", again, headers=mark)
        assert "erased" in problem(answer, 409, "conflict")["detail"]
    lines = await lines_of(firm)
    assert not [word for word in firm.words if word in json.dumps(lines)]
    said = [line["row"] for line in lines if line.get("section") == "event"]
    assert [one["erased"] for one in said if one["type"] == "user.created"] == [["email", "name"]] * 2
    assert [one["personal"] for one in said if one["type"] == "user.created"] == [None, None]


async def test_a_second_time_nothing_is_left(house: House, firms: list[Firm]) -> None:
    """Erased again nothing happens and nothing is recorded; a name set later stands, and goes with the next time."""
    firm = firms[0]
    first = await firm.erase()
    seq = await house.seq(firm.workspace)
    second = await firm.erase()
    assert (second["nothing_left"], second["erased_at"]) == (True, first["erased_at"])
    assert set(second["removed"].values()) == {0}
    assert await house.seq(firm.workspace) == seq
    await firm.visitor.told("PATCH", firm.path, {"name": "Anew"})
    await firm.visitor.told("PUT", f"{firm.path}/users/ann", {"name": "Ann Anew"})
    row = await firm.visitor.told("GET", firm.path)
    assert (row["name"], row["email"], row["erased_at"]) == ("Anew", None, first["erased_at"])
    assert (await verify_log(house.storage, firm.workspace)).ok
    third = await firm.erase()
    assert (third["removed"]["names"], third["removed"]["values"], third["removed"]["deliveries"]) == (2, 2, 0)
    report = await verify_log(house.storage, firm.workspace)
    assert (report.ok, report.values_erased) == (True, 10)


async def test_a_name_put_back_beside_the_log_is_found(house: House, world: World, firms: list[Firm]) -> None:
    """Whoever writes another name into the row of an erased person, at the database, is found out."""
    firm = firms[0]
    await firm.erase()
    conn = await world.database.connect()
    for table, column, name in (("customer", "id", "the name of customer"), ("customer_user", "customer", "of user")):
        for value, faults in (("Mallory", True), (None, False)):
            sql = f"UPDATE {table} SET name = $1 WHERE workspace_id = $2 AND {column} = $3"
            await conn.execute(sql, value, firm.workspace, firm.customer)
            report = await verify_log(house.storage, firm.workspace)
            assert any(name in fault.words for fault in report.faults) is faults
            assert report.ok is not faults
    await conn.close()


async def test_one_user_is_erased_and_no_other(house: House, world: World, firms: list[Firm]) -> None:
    """Of the user nothing is left; the customer, its other users, and messages that do not quote the user stay."""
    firm = firms[0]
    await firm.deliver(firm.told.customer_updated(), quoting=(firm.contact.email,))
    foreseen = await firm.erase(user="ann", dry_run=True)
    erased = await firm.erase(user="ann")
    assert erased["removed"] == foreseen["removed"]
    assert (erased["user"], erased["removed"]["deliveries"], erased["removed"]["names"]) == ("ann", 2, 1)
    assert await places_of(world, firm.ann.words) == set()
    for other in (firm.bob, firm.contact):
        assert {"event_private", "delivery" if other is firm.contact else "customer_user"} <= await places_of(
            world, other.words
        )
    (event,) = (await firm.visitor.told("GET", "/v1/events?type=user.erased"))["items"]
    assert event["subject"] == f"customer/{firm.customer}/user/ann"
    records = (await firm.visitor.told("GET", f"/v1/checks/records?customer={firm.customer}"))["items"]
    assert {one["question"].get("user") for one in records} == {"bob", None}
    bob = await firm.visitor.told("GET", f"{firm.path}/users/bob")
    assert (bob["name"], bob["erased_at"]) == (firm.bob.name, None)
    assert (await verify_log(house.storage, firm.workspace)).ok
    assert (await firm.erase(user="ann"))["nothing_left"]
    missing = await firm.visitor.ask("POST", f"{firm.path}/users/nobody/erase", {})
    problem(missing, 404, "not_found")


async def test_whoever_was_only_asked_about_is_erased(house: House, firms: list[Firm]) -> None:
    """A user without a row, and one of a customer that is not known, go from checks on record and counts, also from
    those asked just now; the second time they were erased before. One event is left of each, and who stands nowhere is
    not found."""
    firm = firms[0]
    stranger = f"{firm.customer}-typo"
    for customer in (firm.customer, stranger):
        await firm.visitor.told("POST", "/v1/check", {"customer": customer, "feature": "sso", "user": "zoe"})
    for customer in (firm.customer, stranger):
        path = f"/v1/customers/{customer}/users/zoe/erase"
        foreseen = await firm.visitor.told("POST", path, {"dry_run": True})
        erased = await firm.visitor.told("POST", path, {})
        assert {name: count for name, count in erased["removed"].items() if count} == {
            "check_records": 1, "check_counts": 1,
        }  # fmt: skip
        assert foreseen["removed"] == erased["removed"]
        records = (await firm.visitor.told("GET", f"/v1/checks/records?customer={customer}"))["items"]
        counts = (await firm.visitor.told("GET", f"/v1/checks/counts?customer={customer}&by=user"))["items"]
        assert "zoe" not in {one["question"].get("user") for one in records} | {one["user"] for one in counts}
        again = await firm.visitor.told("POST", path, {})
        assert (again["nothing_left"], again["erased_at"]) == (True, erased["erased_at"])
    (whole,) = (await firm.visitor.told("GET", "/v1/checks/counts?by=total"))["items"]
    assert whole["checks"] == 2 * 6 + 2
    assert len((await firm.visitor.told("GET", "/v1/events?type=user.erased"))["items"]) == 2
    assert (await verify_log(house.storage, firm.workspace)).ok
    told = problem(await firm.visitor.ask("POST", f"{firm.path}/users/zo/erase", {}), 404, "not_found")
    assert "no check on record or counted names one" in told["detail"]
    for path in (f"/v1/customers/{stranger}", f"/v1/customers/{stranger}/users/zo"):
        left = await firm.visitor.ask("POST", f"{path}/erase", {"dry_run": True})
        problem(left, 404, "not_found")


async def test_a_message_that_was_not_applied_comes_first(world: World, firms: list[Firm]) -> None:
    """While a message about the customer waits nothing is erased; given up, it goes with the others, and neither is
    tried again nor applied when its sender repeats it."""
    firm = firms[0]
    stranger = StripeStory(SECRET, START, customer=None, seed=4711)
    stranger.subscribe("price_team_monthly")
    early = await firm.deliver(stranger.pay(), quoting=(firm.contact.email,), ours=True)
    assert early["outcome"] == "waiting", early
    assert (await firm.erase(dry_run=True))["not_applied"] == 1
    refused = await firm.visitor.ask("POST", f"{firm.path}/erase", {})
    assert early["delivery"] in problem(refused, 409, "conflict")["detail"]
    assert await places_of(world, firm.words) >= {"customer", "event_private"}
    where = f"/v1/sources/stripe/deliveries/{early['delivery']}"
    await firm.visitor.told("POST", f"{where}/discard", {"note": "a test"})
    assert (await firm.erase())["removed"]["deliveries"] == 3
    again = await firm.visitor.ask("POST", f"{where}/retry")
    assert "was erased" in problem(again, 409, "conflict")["detail"]


async def test_all_or_nothing(house: House, world: World, firms: list[Firm]) -> None:
    """Erasing that ends before its commit has erased nothing."""
    firm = firms[0]
    before = await places_of(world, firm.words)

    async def end_early() -> None:
        async with house.storage.write(firm.workspace, OPERATOR) as tx:
            holding = Holding(house.built.parts.connectors, ROUTES)
            assert not (await erase(tx, holding, firm.customer, None, Erase())).nothing_left
            await tx.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await end_early()
    assert await places_of(world, firm.words) == before
    assert not (await firm.erase())["nothing_left"]


async def test_commands_at_the_same_moment(house: House, world: World, firms: list[Firm]) -> None:
    """Changes, orders, checks and three times erasing at once: each is answered, and after one more time nothing of
    anybody is left, the log is whole and the order counts."""
    firm = firms[0]
    user = f"{firm.path}/users/ann"

    async def all_at_once(turn: int) -> list[int]:
        asks = [
            firm.visitor.ask("PATCH", firm.path, firm.contact.body(profile={"region": f"r{turn}"})),
            firm.visitor.ask("PUT", user, firm.ann.body(roles=["editor", f"r{turn}"])),
            firm.visitor.ask("POST", f"{firm.path}/erase", {}),
            firm.visitor.ask("POST", f"{user}/erase", {}),
            firm.visitor.ask("POST", "/v1/check", {"customer": firm.customer, "feature": "sso", "user": "ann"}),
            firm.visitor.ask("POST", f"{firm.path}/erase", {}),
        ]
        told = firm.deliver(firm.told.change_quantity(turn + 2))
        answers = await asyncio.gather(told, house.built.parts.counting.flush(), *asks)
        assert answers[0]["outcome"] == "applied"
        return [one.status_code for one in answers[2:]]

    assert {status for turn in range(4) for status in await all_at_once(turn)} == {200}
    await house.built.parts.counting.flush()
    await firm.erase()
    assert await places_of(world, firm.words) == set()
    assert (await verify_log(house.storage, firm.workspace)).ok
    terms = (await firm.visitor.told("GET", f"{firm.path}/terms"))["terms"]
    assert terms["subscriptions"][0]["phases"][-1]["items"][0]["quantity"] == 5
    assert terms["profile"]["region"] == "r3"


async def test_an_inbox_of_many_pages_is_looked_through(house: House, world: World, firms: list[Firm]) -> None:
    """Among more messages than a page holds those about the customer are found, and no other is touched."""
    firm, neighbor, _ = firms
    names = [firm.told.buyer.id if turn % 7 == 0 else neighbor.told.buyer.id for turn in range(1100)]
    async with house.storage.write(firm.workspace, OPERATOR) as tx:
        for turn, name in enumerate(names):
            body = json.dumps({"of": name, "mail": firm.ann.email if turn % 7 == 0 else neighbor.ann.email})
            await tx.put_delivery(
                DeliveryRow(
                    source="stripe", id=f"evt_{turn:05}", type="x.y", fingerprint="f", created=START,
                    received_at=START + turn // 3 * timedelta(seconds=1), body=body.encode(), outcome="ignored",
                )
            )  # fmt: skip
    sections = (await lines_of(firm))[-1]["end"]["sections"]
    assert sections["delivery"] == 2 + 158
    assert (await firm.erase())["removed"]["deliveries"] == 2 + 158
    assert await places_of(world, firm.words) == set()
    conn = await world.database.connect()
    left = await conn.fetchval("SELECT count(*) FROM delivery WHERE erased_at IS NULL AND type = 'x.y'")
    await conn.close()
    assert left == 1100 - 158


async def test_an_export_is_whole_and_of_one_customer(house: House, firms: list[Firm]) -> None:
    """Every personal value and every section is in it, nothing of another customer, and an unknown one is a 404."""
    firm, neighbor, namesake = firms
    lines = await lines_of(firm)
    text = json.dumps(lines)
    assert [word for word in firm.words if word not in text] == []
    assert [word for other in (neighbor, namesake) for word in other.words if word in text] == []
    begin, end = lines[0]["begin"], lines[-1]["end"]
    assert (begin["customer"], begin["seq"]) == (firm.customer, await house.seq(firm.workspace))
    told: dict[str, int] = {}
    for line in lines[1:-1]:
        told[line["section"]] = told.get(line["section"], 0) + 1
    assert {name: count for name, count in end["sections"].items() if count} == told
    assert {"customer", "external_id", "user", "user_revision", "terms", "event", "delivery", "check_record"} <= set(
        told
    )
    types = {line["row"]["type"] for line in lines[1:-1] if line["section"] == "event"}
    assert {"customer.created", "user.created", "order.applied", "subscription.created"} <= types
    problem(await firm.visitor.ask("GET", "/v1/customers/nobody/export"), 404, "not_found")
    bound = await house.holder(*ALL, customer=firm.customer, workspace=firm.workspace)
    for method, path in (("GET", "export"), ("POST", "erase")):
        problem(await bound.ask(method, f"{firm.path}/{path}"), 403, "forbidden")
