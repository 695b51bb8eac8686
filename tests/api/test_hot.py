"""Hot or cold, a check is answered the same: body, headers, log line, numbers, counts; through random lives too."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import structlog
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from licet.api.contract import encode
from licet.api.hosting import MOST_WORKSPACES, Hosted, Hosting
from licet.api.hot import HEARD_SECONDS, Book, HotChecks, ready_for, trim
from licet.core.compiled import CompiledCatalog
from licet.core.question import Context, Question, UserFacts
from licet.core.snapshot import Snapshot
from licet.core.snapshot import check as ask
from licet.core.terms import Terms
from licet.services.errors import ServiceError
from licet.services.rows import Draft, Workspace
from licet.services.truth import Catalogs
from licet.services.usage.counted import counts
from licet.telemetry import configure_logs
from licet.wire.feed import UserRow
from tests.api.house import ALL, House, Visitor
from tests.api.lives import CUSTOMER, FEATURES, USERS, Life
from tests.core import worlds
from tests.door.wire import AFTER_WRITES, CHECK, QUESTION, Told, Wire, hot_count, open_shop, request, warm, wire
from tests.dose import dose
from tests.store.worlds import OPERATOR, World

pytestmark = pytest.mark.one_engine

COLD = f"{CHECK}?at_least=0"
TIMING = {"date", "x-request-id"}
REFUSED = {"customer": "acme", "feature": "projects", "used": 400}
TOLD_ANEW = {
    "over the limit": REFUSED,
    "not included": {"customer": "acme", "feature": "sso", "user": "ann"},
    "only observed": {"customer": "acme", "feature": "autopilot"},
    "no such feature": {"customer": "acme", "feature": "none"},
    "no such customer": {"customer": "nobody", "feature": "sso", "user": "ann"},
}


@pytest.fixture
async def secret(house: House, operator: Visitor) -> str:
    """A key for which the door is hot."""
    await open_shop(house, operator)
    assert operator.secret is not None
    await warm(house, operator.secret)
    return operator.secret


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged as JSON during a test."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logs("json", "info", stream)
    yield stream
    root.handlers[:], root.level = before, level
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


async def both(house: House, secret: str, value: Any = QUESTION, path: str = CHECK) -> tuple[Told, Told]:
    """Ask hot and cold; asserts that each went its way. A slow machine may need a second try."""
    async with wire(house.url) as line:
        for _ in range(20):
            before = hot_count(house)
            hot = await line.ask(request(secret, value, path=path))
            if hot_count(house) > before:
                break
            await asyncio.sleep(0.02)
        assert hot_count(house) == before + 1
        cold = await line.ask(request(secret, value, path=f"{path}?at_least=0"))
        assert hot_count(house) == before + 1
    return hot, cold


@pytest.mark.postgres
async def test_the_answers_are_the_same(house: House, secret: str) -> None:
    """Status, all headers in their order, and body of a hot answer are those of a cold one."""
    batch = f"{CHECK}/batch"
    asked = [(CHECK, one) for one in (QUESTION, {**QUESTION, "team": "red"}, *TOLD_ANEW.values())]
    asked += [(batch, {"questions": [QUESTION] * 3}), (batch, {"questions": [QUESTION, TOLD_ANEW["no such feature"]]})]
    for path, value in asked:
        await warm(house, secret, value, path=path)
        hot, cold = await both(house, secret, value, path)
        assert hot.names == cold.names
        for name in hot.names:
            if name not in TIMING:
                assert hot.headers[name] == cold.headers[name], name
        assert (hot.status, hot.body) == (cold.status, cold.body)
        for told in (hot, cold):
            assert re.fullmatch("req_[0-9a-f]{32}", told.headers["x-request-id"])


@pytest.mark.postgres
async def test_what_is_told_anew_has_its_remedy(house: House, secret: str) -> None:
    """Hot refusals, and what is only observed, say what they say cold: reason, remedy and what would be denied."""
    told = {}
    for name, value in TOLD_ANEW.items():
        await warm(house, secret, value)
        told[name] = (await both(house, secret, value))[0].value
    assert [one["allowed"] for one in told.values()] == [False, False, True, False, False]
    assert [one["remedy"] is not None for one in told.values()] == [True, True, True, False, False]
    assert told["only observed"]["would_deny"]


@pytest.mark.postgres
async def test_nobody_waits_longer_for_refusals_than_cold(house: House, secret: str) -> None:
    """Of refusals sent at once one is hot in a turn of the loop; a batch with many is cold; all are answered alike."""
    batch = {"questions": [{**REFUSED, "used": 400 + number} for number in range(40)]}
    await warm(house, secret, REFUSED)
    before = hot_count(house)
    async with wire(house.url) as line:
        await line.send(request(secret, REFUSED) * 6)
        told = [(await line.told()).body for _ in range(6)]
        assert hot_count(house) == before + 1
        assert set(told) == {(await line.ask(request(secret, REFUSED, path=COLD))).body}
        many = [(await line.ask(request(secret, batch, path=f"{CHECK}/batch"))).value for _ in range(2)]
        assert hot_count(house) == before + 1
    assert [one["limit"]["used"] for one in many[0]["decisions"]] == list(range(400, 440))


@pytest.mark.postgres
async def test_the_log_lines_are_the_same(house: House, secret: str, lines: io.StringIO) -> None:
    """Each way leaves one line of the access log with the same fields, which differ in id, path and time alone."""
    await asyncio.sleep(HEARD_SECONDS)
    await both(house, secret)
    *_, hot, cold = [one for line in lines.getvalue().splitlines() if (one := json.loads(line))["event"] == "request"]
    assert hot.keys() == cold.keys()
    differing = {name for name in hot if hot[name] != cold[name]}
    assert differing <= {"request_id", "path", "milliseconds", "timestamp"}
    assert (hot["route"], hot["status"], hot["workspace"], hot["client"]) == (CHECK, 200, "test", "127.0.0.1")
    assert hot["key"] in secret


@pytest.mark.postgres
async def test_the_numbers_are_the_same(house: House, secret: str) -> None:
    """Each way moves the same metrics by the same amounts, but for times and the number of hot answers itself."""
    async with wire(house.url) as line:
        moved = []
        for path in (CHECK, COLD):
            before = numbers(house)
            assert (await line.ask(request(secret, path=path))).status == 200
            after = numbers(house)
            moved.append(
                {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name)}
            )
    hot, cold = moved
    assert hot.pop("licet_http_requests_hot_total") == 1
    assert hot == cold
    assert hot['licet_http_requests_total{method="POST",route="/v1/check",status="200"}'] == 1
    assert hot['licet_decisions_total{allowed="true",reason="within_limit"}'] == 1
    assert hot["licet_decision_seconds_count"] == 1


def numbers(house: House) -> dict[str, float]:
    """Licet's own metrics, without those that say how long something took."""
    text = house.built.parts.metrics.text()[0].decode()
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if line.startswith("licet_") and "_sum" not in name and "_bucket" not in name and "feed" not in name:
            found[name] = float(value)
    return found


@pytest.mark.postgres
async def test_the_counts_are_the_same(house: House, operator: Visitor) -> None:
    """Each way is counted under the same key, says the same use, and leaves the same record where each is on record."""
    workspace = f"counts-{uuid4().hex}"
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    visitor = await house.holder(*ALL, workspace=workspace)
    assert visitor.secret is not None
    catalog = {
        "version": 1,
        "products": {"p": {"name": "P"}},
        "features": {"f": {"type": "limit", "record": "each", "when": "context.attributes.a != 7"}},
        "plans": {"a": {"product": "p", "versions": {"2026-01": {"includes": {"f": 5}}}}},
    }
    await visitor.told("PUT", "/v1/catalog?base=0", catalog)
    order = {"source": "crm", "external_id": "d", "customer": {"id": "acme"}, "occurred_at": "2026-08-01T00:00:00Z"}
    await visitor.told("POST", "/v1/orders", {**order, "lines": [{"plan": "a"}]})
    value: dict[str, Any] = {"customer": "acme", "feature": "f", "user": "ann", "used": 2}
    await asyncio.sleep(AFTER_WRITES)
    for a in (1, 7):
        value["context"] = {"attributes": {"a": a, "private": "x"}}
        await warm(house, visitor.secret, value, workspace=workspace)
        rows, before = await counted(visitor)
        hot, _ = await both(house, visitor.secret, value)
        assert hot.value["allowed"] == (a == 1)
        after_rows, after = await counted(visitor)
        assert after - before == 2
        hot_row, cold_row = after_rows[1], after_rows[0]
        assert {**hot_row, "id": "", "at": ""} == {**cold_row, "id": "", "at": ""}
        assert hot_row["basis"] == hot.value["basis"]
        assert "private" in hot_row["left_out"]
        assert len(after_rows) == len(rows) + 2


async def counted(visitor: Visitor) -> tuple[list[dict[str, Any]], int]:
    """The recorded checks, newest first, and how many were counted in all."""
    records = (await visitor.told("GET", "/v1/checks/records"))["items"]
    counts = (await visitor.told("GET", "/v1/checks/counts?by=feature"))["items"]
    return records, sum(one["checks"] for one in counts)


@pytest.mark.postgres
async def test_what_a_key_may_not_do_it_may_not_do_hot(house: House, operator: Visitor, secret: str) -> None:
    """Keys without the scope, bound to another customer, wrong or absent get the refusal that the cold way gives."""
    other = (await house.key("orders"))[1]
    await operator.ask("POST", "/v1/customers", {"id": "other"})
    bound = (await house.key("check", customer="other"))[1]
    own = (await house.key("check", customer="acme"))[1]
    await warm(house, own)
    before = hot_count(house)
    async with wire(house.url) as line:
        for _ in range(3):
            assert (await line.ask(request(other))).status == 403
            assert (await line.ask(request(bound))).status == 403
            assert (await line.ask(request(None))).status == 401
            assert (await line.ask(request(f"{secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}"))).status == 401
            batch = {"questions": [QUESTION, {"customer": "other", "feature": "sso"}]}
            assert (await line.ask(request(own, batch, path=f"{CHECK}/batch"))).status == 403
    assert hot_count(house) == before


@pytest.mark.postgres
async def test_a_write_is_in_the_next_answer(house: House, secret: str, operator: Visitor) -> None:
    """After a committed write of this process no answer is from before it, however soon it is asked."""
    async with wire(house.url) as line:
        for turn in range(dose(30)):
            value = {"roles": ["admin"], "attributes": {"turn": turn}}
            told = await operator.told("PUT", "/v1/customers/acme/users/ann", value)
            for _ in range(3):
                answer = await line.ask(request(secret))
                assert int(answer.value["basis"].partition(":")[2]) >= told["seq"]
            if turn % 5 == 0:
                await warm(house, secret)


@pytest.mark.postgres
async def test_another_process_writes(house: House, world: World, secret: str) -> None:
    """What another process commits is in hot answers a moment later."""
    async with world.storage(size=1) as other, other.write("test", OPERATOR) as tx:
        await tx.record(Draft(type="test.noted", subject="workspace"))
        created = await tx.flush()
    async with wire(house.url) as line, asyncio.timeout(2):
        while int((await line.ask(request(secret))).value["basis"].partition(":")[2]) < created:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Asking(Life):
    """A life in which every question is asked both ways, right after a command and again when the truth has come."""

    house: House
    line: Wire
    hot = 0
    asked = 0

    async def _ask(self) -> None:
        assert self.visitor.secret is not None
        questions = [self._question() for _ in range(2)]
        questions += [{"customer": CUSTOMER, "feature": one, "user": "ann"} for one in FEATURES]
        questions += [{"customer": CUSTOMER, "feature": "projects", "user": user or "x"} for user in USERS]
        for _ in range(3):
            for question in questions:
                before = hot_count(self.house)
                first = await self.line.ask(request(self.visitor.secret, question))
                self.hot += hot_count(self.house) - before
                cold = await self.line.ask(request(self.visitor.secret, question, path=COLD))
                assert (first.status, first.body) == (cold.status, cold.body), (question, first.body, cold.body)
                self.asked += 1
            await asyncio.sleep(0.02)


@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(dose(1)))
async def test_random_lives_are_answered_alike(house: House, seed: int) -> None:
    """Through commands of every kind, releases and a moving clock, both ways give the same bytes for each question."""
    workspace = f"life-{uuid4().hex}"
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    visitor = await house.holder(*ALL, workspace=workspace)
    life = Asking(visitor, seed)
    life.house = house
    async with wire(house.url) as line:
        life.line = line
        await life.begin()
        await life.live(5, asking=True)
    assert life.asked >= 150
    assert life.hot >= life.asked / 3


def held_book(catalog: CompiledCatalog, terms: Terms, user: UserFacts | str | None) -> Book:
    """A truth that holds one customer, and one user of it where there is one."""
    hosted = Hosted("test", lambda: 0.0)
    hosted.truth.adopt(catalog)
    hosted.basis = b'"1:7"}'
    hosted.truth.put_terms(terms.customer, 1, 1, msgspec.json.encode(terms))
    if isinstance(user, UserFacts):
        row = UserRow(
            customer=terms.customer, user=user.id, revision=1, seq=1, roles=user.roles, attributes=user.attributes
        )
        hosted.truth.put_user(row)
    elif user is not None:
        hosted.truth.put_user(UserRow(customer=terms.customer, user=user, revision=1, seq=1, active=False))
    return Book(hosted)


def test_kept_answers_are_bounded_over_all_workspaces() -> None:
    """Beyond the bound of bytes the workspace with the most gives way, its first answers first; another keeps its own,
    and what is counted is what is there."""
    small, large = (held_book(worlds.COMPILED, Terms(customer="acme"), None) for _ in range(2))
    feature = next(iter(worlds.COMPILED.features))
    keys = [b"%08d" % number * 100 for number in range(40)]
    for book, many in ((small, 5), (large, 40)):
        ready = ready_for(book, Question(customer="acme", feature=feature), worlds.at(0))
        for key in keys[:many]:
            for kept in (book.by_body, book.by_question):
                book.keep(kept, key, ready)
                book.keep(kept, key, ready)
        assert book.grown
    both = (small, large)
    most, before = (small.bytes + large.bytes) * 3 // 4, small.bytes
    trim(both, most)
    assert (small.bytes, small.grown, large.grown) == (before, False, False)
    assert most * 0.95 < small.bytes + large.bytes <= most
    assert keys[0] not in large.by_body
    assert keys[-1] in large.by_body
    trim(both, 0)
    assert [(one.bytes, one.by_body, one.by_question) for one in both] == [(0, {}, {})] * 2


async def test_a_workspace_that_is_dropped_leaves_no_answers(house: House) -> None:
    """What was kept for a workspace goes with its truth."""
    hosting = Hosting(house.storage, Catalogs())
    checks = HotChecks(house.built.parts, hosting)
    async with hosting.follow():
        for number in range(MOST_WORKSPACES + 1):
            for _ in range(2):
                hosting.of(f"w{number}", float(number))
            checks._book(hosting.held[f"w{number}"])
        assert checks._books.keys() == hosting.held.keys()


@settings(max_examples=dose(60))
@given(data=st.data())
def test_an_encoded_answer_holds_as_long_as_it_says(data: st.DataObject) -> None:
    """Of any terms and policies: kept bytes are those of a fresh decision, at every instant they are for."""
    catalog = worlds.policed(frozenset(data.draw(st.sets(st.sampled_from(sorted(worlds.POLICIES)), max_size=2))))
    terms = data.draw(worlds.terms())
    feature = data.draw(st.sampled_from(worlds.FEATURE_IDS))
    given_args = data.draw(worlds.questions())
    now = worlds.at(data.draw(st.integers(0, worlds.DAYS * 4)) / 4)
    user = given_args["user"]
    name = user.id if isinstance(user, UserFacts) else user
    book = held_book(catalog, terms, user)
    asked = {
        "customer": terms.customer, "feature": feature, "user": name, "quantity": given_args["quantity"],
        "used": given_args["used"], "context": given_args["context"] or Context(),
    }  # fmt: skip
    assume(not counts(catalog, Question(**asked)))
    try:
        ready = ready_for(book, Question(**asked), now)
    except ServiceError:
        reject()
    context = None if asked["context"] == Context() else asked["context"]
    truth = book.hosted.truth
    for instant in (now, now + data.draw(st.integers(0, 20 * 86_400_000_000))):
        if instant != now and truth.prepared(terms.customer, feature, instant) is not ready.prepared:
            continue
        fresh = ask(
            Snapshot(catalog, terms), feature, instant,
            user=user, context=context, quantity=given_args["quantity"], used=given_args["used"],
        )  # fmt: skip
        assert ready.told is None or (fresh.allowed and fresh.would_deny is None)
        assert ready.tell(instant).head + book.hosted.basis == encode(fresh.view(instant, basis="1:7"))
