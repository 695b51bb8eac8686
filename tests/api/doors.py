"""The doors through which a question is asked, and one stage on which the cases of ``spec/vectors`` are asked at each.

A door is one small class: where it asks, and how it knows that it has seen the newest state. All of them stand before
the same workspace, so that their answers must be the same bytes, ``basis`` included.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Protocol
from uuid import uuid4

import msgspec
from msgspec import structs

from licet.core.instant import Instant, parse_instant, to_datetime
from licet.core.question import Context, UserFacts
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from licet.sdk.async_client import AsyncClient
from licet.sdk.client import Client
from licet.services.catalogs import apply_catalog
from licet.services.ports import Tx
from licet.services.rows import CustomerRow, Draft, UserRow, Workspace
from licet.services.signing import make_keysets
from tests.api.house import House, Visitor, root_of
from tests.core.vectors import FOLDER, read_vectors
from tests.store.worlds import OPERATOR

Case = dict[str, Any]
EPOCH: Final = 1
MOST_TRIES: Final = 40
PATIENCE_SECONDS: Final = 10.0
PAUSE: Final = 0.01
"""Seconds between two tries to be answered from memory, and between two looks at where a follower stands."""


class Stage:
    """A workspace with the catalog of one file of vectors, and each case's customer and user in it."""

    def __init__(self, house: House, name: str) -> None:
        document = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
        self.house = house
        self.name = name
        self.catalog: dict[str, Any] = document["catalog"]
        self.cases: list[Case] = document["cases"]
        self.workspace = f"{name}-{uuid4().hex}"
        self.known = {customer_of(number) for number, case in enumerate(self.cases) if case["terms"] is not None}
        self.basis = ""
        """The newest state, as decisions name it."""

    async def build(self) -> Visitor:
        """Make it all, at the instant of the first case; return somebody who may do everything."""
        now = to_datetime(parse_instant(min(case["now"] for case in self.cases)))
        await self.house.storage.create_workspace(
            Workspace(id=self.workspace, kind="test", clock_frozen_at=now), OPERATOR
        )
        await make_keysets(self.house.storage, OPERATOR, root_of)
        async with self.house.storage.write(self.workspace, OPERATOR) as tx:
            await apply_catalog(tx, json.dumps(self.catalog).encode(), 0)
        async with self.house.storage.write(self.workspace, OPERATOR) as tx:
            for number, case in enumerate(self.cases):
                if case["terms"] is not None:
                    await _put(tx, customer_of(number), case)
        return await self.house.holder("check", "admin", workspace=self.workspace)

    def instants(self) -> Iterator[tuple[str, list[tuple[int, Case]]]]:
        """Yield each instant with its cases and their numbers, in order of time."""
        numbered = sorted(enumerate(self.cases), key=lambda one: parse_instant(one[1]["now"]))
        for now, cases in groupby(numbered, key=lambda one: one[1]["now"]):
            yield now, list(cases)

    async def move(self, visitor: Visitor, now: str) -> None:
        """Let the business clock stand at an instant."""
        await visitor.told("POST", "/v1/clock", {"frozen_at": now})
        self.basis = f"{EPOCH}:{await self.house.seq(self.workspace)}"


class Door(Protocol):
    """One way to ask. ``answer`` returns the decision's document, encoded."""

    name: str

    async def stand(self, stage: Stage) -> None:
        """Wait until the state is the stage's ``basis``."""

    async def answer(self, question: Mapping[str, Any], now: Instant) -> bytes:
        """Ask. The question is as it is sent; core alone is told the instant."""

    async def close(self) -> None:
        """Leave."""


class CoreDoor:
    """The pure function: terms and catalog read from the vectors, nothing in between."""

    name = "core"

    def __init__(self, stage: Stage) -> None:
        catalog, _ = read_vectors(stage.name)
        known = {customer_of(number): case for number, case in enumerate(stage.cases) if case["terms"] is not None}
        self._truth = Truth(catalog, (terms_of(customer, case) for customer, case in known.items()))
        self._users = {customer: msgspec.convert(case["question"]["user"], UserFacts)
                       for customer, case in known.items() if "user" in case["question"]}  # fmt: skip
        self._stage = stage

    async def stand(self, stage: Stage) -> None:
        """It stands nowhere: the instant is in the question."""

    async def answer(self, question: Mapping[str, Any], now: Instant) -> bytes:
        """Ask core."""
        user = question.get("user")
        decision = self._truth.check(
            question["customer"],
            question["feature"],
            now,
            user=self._users.get(question["customer"], user) if user is not None else None,
            context=msgspec.convert(question.get("context", {}), Context),
            quantity=question.get("quantity", 1),
            used=question.get("used"),
        )
        return msgspec.json.encode(decision.view(now, self._stage.basis))

    async def close(self) -> None:
        """Nothing is open."""


class ColdDoor:
    """HTTP through the whole application: a query parameter keeps a question from the hot path."""

    name = "cold"

    def __init__(self, stage: Stage, visitor: Visitor) -> None:
        self._visitor = visitor
        self._path = ""

    async def stand(self, stage: Stage) -> None:
        """Ask for this state from now on."""
        self._path = f"/v1/check?at_least={stage.basis.partition(':')[2]}"

    async def answer(self, question: Mapping[str, Any], now: Instant) -> bytes:
        """Ask over HTTP."""
        answer = await self._visitor.ask("POST", self._path, question)
        assert answer.status_code == 200, answer.text
        return answer.content

    async def close(self) -> None:
        """The house closes its visitors."""


class HotDoor:
    """HTTP through the protocol itself. What permits comes from memory; whatever else falls through to the cold way."""

    name = "hot"

    def __init__(self, stage: Stage, visitor: Visitor) -> None:
        self._stage = stage
        self._visitor = visitor
        self.hot: set[str] = set()
        """The customers about whom an answer was hot."""
        self._permitted: set[str] = set()

    async def stand(self, stage: Stage) -> None:
        """The process has seen its own writes: it answers from nothing older."""

    async def answer(self, question: Mapping[str, Any], now: Instant) -> bytes:
        """Ask until the answer is hot; one that refuses never is, and the first answer about a customer may not be."""
        metrics = self._stage.house.built.parts.metrics
        for _ in range(MOST_TRIES):
            before = metrics.hot
            answer = await self._visitor.ask("POST", "/v1/check", question)
            assert answer.status_code == 200, answer.text
            may = self._may_be_hot(question, answer.content)
            if metrics.hot > before:
                self.hot.add(question["customer"])
            if not may or metrics.hot > before:
                break
            await asyncio.sleep(PAUSE)
        return answer.content

    async def close(self) -> None:
        """Assert that everybody who can be was answered from memory. The house closes its visitors."""
        assert self.hot == self._permitted

    def _may_be_hot(self, question: Mapping[str, Any], answer: bytes) -> bool:
        """Whether an answer is about a known customer and permits, without a remedy to be looked for or a balance."""
        view = json.loads(answer)
        if view["type"] in ("metered", "credits") and question.get("used") is None:
            return False
        plain = view["allowed"] and view["reason"] != "observed" and view["customer"] in self._stage.known
        if plain:
            self._permitted.add(view["customer"])
        return bool(plain)


class SdkDoor:
    """The client in this process, which follows the server and asks nobody."""

    name = "sdk"

    def __init__(self, stage: Stage, secret: str) -> None:
        self._open = lambda: Client(stage.house.url, secret, cache=False, telemetry=False, start_timeout=0)
        self._client: Client | None = None

    async def stand(self, stage: Stage) -> None:
        """Wait until the feed has brought the state; connect before the first one."""
        if self._client is None:
            self._client = await asyncio.to_thread(self._open)
        await until_there(self._client, stage)

    async def answer(self, question: Mapping[str, Any], now: Instant) -> bytes:
        """Ask in process."""
        assert self._client is not None
        return ask_client(self._client, question)

    async def close(self) -> None:
        """Stop following."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)


class AsyncSdkDoor:
    """The asynchronous client, on the loop of these tests."""

    name = "async sdk"

    def __init__(self, stage: Stage, secret: str) -> None:
        self._client = AsyncClient(stage.house.url, secret, cache=False, telemetry=False, start_timeout=0)
        self._started = False

    async def stand(self, stage: Stage) -> None:
        """Wait until the feed has brought the state; connect before the first one."""
        if not self._started:
            await self._client.start()
            self._started = True
        await until_there(self._client, stage)

    async def answer(self, question: Mapping[str, Any], now: Instant) -> bytes:
        """Ask in process; nothing is awaited."""
        return ask_client(self._client, question)

    async def close(self) -> None:
        """Stop following."""
        await self._client.close()


async def until_there(client: Client | AsyncClient, stage: Stage) -> None:
    """Wait until a follower stands where the stage does."""
    for _ in range(int(PATIENCE_SECONDS / PAUSE)):
        if client.freshness.cursor == stage.basis:
            return
        await asyncio.sleep(PAUSE)
    raise AssertionError(f"the feed did not bring {stage.basis}: {client.freshness}")


def ask_client(client: Client | AsyncClient, question: Mapping[str, Any]) -> bytes:
    """Return the document of a client's decision."""
    rest = {name: value for name, value in question.items() if name not in ("customer", "feature")}
    return client.check(question["customer"], question["feature"], **rest).document()


def customer_of(number: int) -> str:
    """Return the customer of a case."""
    return f"acme-{number:03}"


def terms_of(customer: str, case: Case) -> Terms:
    """Return a case's terms, of its own customer."""
    return structs.replace(msgspec.convert(case["terms"], Terms), customer=customer)


def question_of(number: int, case: Case) -> dict[str, Any]:
    """Return what a case asks, as it is sent: a user by id."""
    asked = dict(case["question"])
    if "user" in asked:
        asked["user"] = asked["user"]["id"]
    return {"customer": customer_of(number), **asked}


async def ask_all(stage: Stage, visitor: Visitor, doors: Sequence[Door]) -> dict[str, dict[str, bytes]]:
    """Return what each door answers to each case, by the case's name and the door's."""
    told: dict[str, dict[str, bytes]] = {}
    for now, cases in stage.instants():
        await stage.move(visitor, now)
        for door in doors:
            await door.stand(stage)
            for number, case in cases:
                answer = await door.answer(question_of(number, case), parse_instant(now))
                told.setdefault(case["name"], {})[door.name] = answer
    return told


async def _put(tx: Tx, customer: str, case: Case) -> None:
    now = to_datetime(tx.time.business)
    await tx.put_customer(CustomerRow(id=customer, revision=1, created_at=now, updated_at=now))
    await tx.lock_customer(customer)
    await tx.put_terms(customer, terms_of(customer, case))
    if "user" in case["question"]:
        facts = msgspec.convert(case["question"]["user"], UserFacts)
        await tx.put_user(
            UserRow(
                customer=customer,
                id=facts.id,
                revision=1,
                roles=facts.roles,
                attributes=facts.attributes,
                created_at=now,
                updated_at=now,
            )
        )
    await tx.record(Draft(type="customer.created", subject=f"customer/{customer}"))
