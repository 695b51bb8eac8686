"""A follower written from the protocol alone: it verifies, chains and applies, and shares no code with the server."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from msgspec import structs

from licet.api.app import create_app
from licet.api.channel import Rhythm
from licet.api.publishing import Feeds
from licet.api.serving import Manner, bound_socket, serving
from licet.seal.canonical import canonical
from licet.seal.keyset import Keyset, open_keyset, open_with
from licet.services.rows import Page
from licet.services.signing import make_keysets
from licet.settings import Settings
from licet.wiring import assemble
from tests.api.house import UNHURRIED, House, root_of
from tests.store.worlds import OPERATOR, World

EVENTS = {"Accept": "text/event-stream"}


class Follower:
    """What somebody believes of a workspace. ``root`` is pinned."""

    def __init__(self, workspace: str, root: str, *, customer: str | None = None, held: set[str] | None = None) -> None:
        self.workspace = workspace
        self.root = root
        self.customer = customer
        self.held = held
        """The customers of one that picks; None for all."""
        self.audience = "server" if customer is None else "customer"
        self.keyset: Keyset | None = None
        self.cursor: tuple[int, int] | None = None
        self.head: dict[str, Any] = {}
        self.catalog: dict[str, Any] | None = None
        self.catalog_hash: str | None = None
        self.terms: dict[str, tuple[int, bytes]] = {}
        self.users: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
        self.sums: dict[int, str] = {}
        self.compared = 0
        self.heads = 0
        self.fulls = 0
        self.seen: list[int] = []
        self._staged: list[dict[str, Any]] = []
        self._token = ""
        self._catalog: tuple[dict[str, Any], str] | None = None

    @property
    def query(self) -> str:
        """Return the cursor as a query says it."""
        return "" if self.cursor is None else f"cursor={self.cursor[0]}:{self.cursor[1]}"

    def take(self, told: dict[str, Any]) -> None:
        """Take one line; asserts everything that the protocol promises."""
        kind = next(name for name in ("keyset", "catalog", "frame", "head", "problem") if name in told)
        assert kind != "problem", told
        if kind == "keyset":
            assert told["root"] == self.root
            newest = 0 if self.keyset is None else self.keyset.version
            self.keyset = open_keyset(told["keyset"], [self.root], self.workspace, newest=newest)
            return
        document = self._open(told[kind])
        assert document["workspace"] == self.workspace
        assert document["audience"] == self.audience
        getattr(self, f"_{kind}_line")(document, told[kind])

    def _open(self, token: str) -> dict[str, Any]:
        assert self.keyset is not None, "the first line is a keyset"
        now = time.time_ns() // 1000
        self._payload = open_with(token, self.keyset, "feed", now)
        self.opened(self._payload)
        opened: dict[str, Any] = json.loads(self._payload)
        return opened

    def opened(self, payload: bytes) -> None:
        """Take note of what a token held."""

    def hear(self, token: str) -> dict[str, Any]:
        """Return what a token holds; asserts that it is signed."""
        return self._open(token)

    def _catalog_line(self, document: dict[str, Any], _token: str) -> None:
        raw = self._payload[self._payload.index(b'"doc":') + 6 : -1]
        assert json.loads(raw) == document["doc"]
        self._catalog = (document, hashlib.sha256(raw).hexdigest())

    def _frame_line(self, frame: dict[str, Any], token: str) -> None:
        assert frame["kind"] in ("full", "changes")
        assert frame.get("customer") == self.customer
        assert len(frame.get("terms", ())) + len(frame.get("users", ())) <= 1000
        if not self._staged or self._staged[-1].get("last"):
            words = f"licet/feed/v1\0{self.workspace}\0{self.audience}\0{self.customer or ''}\0"
            words += f"{frame['epoch']}:{frame['since']}"
            assert frame["prev"] == hashlib.sha256(words.encode()).hexdigest()
            assert frame.get("number", 0) == 0
            if frame["kind"] == "changes":
                assert (frame["epoch"], frame["since"]) == self.cursor, "it goes on from where the follower stands"
            else:
                assert frame["since"] == 0
            self._staged = []
        else:
            before = self._staged[-1]
            assert frame["prev"] == hashlib.sha256(self._token.encode()).hexdigest()
            assert frame["number"] == before.get("number", 0) + 1
            assert [frame[name] for name in ("kind", "epoch", "since")] == [
                before[name] for name in ("kind", "epoch", "since")
            ]
            assert frame["seq"] >= before["seq"]
            assert frame["kind"] == "full" or frame["seq"] == before["seq"]
        self._token = token
        frame["raw"] = self._payload
        self._staged.append(frame)

    def _head_line(self, head: dict[str, Any], _token: str) -> None:
        assert head.get("customer") == self.customer
        at = (head["epoch"], head["seq"])
        if self.head:
            assert at >= (self.head["epoch"], self.head["seq"])
            assert head["issued_at"] >= self.head["issued_at"], "time goes on"
        if self._staged:
            assert self._staged[-1].get("last"), "a set is whole before its head comes"
            assert (self._staged[-1]["epoch"], self._staged[-1]["seq"]) == at
            self._apply()
        else:
            assert at == self.cursor, "a head covers what was told"
        self.cursor = at
        self.head = head
        self.heads += 1
        self._take_catalog(head.get("catalog"))
        self.sums[at[1]] = self.sum()
        digest = head.get("digest")
        if digest is not None and self.held is None and digest["seq"] in self.sums:
            assert digest["sum"] == self.sums[digest["seq"]], "what the server holds is what was told"
            self.compared += 1

    def _take_catalog(self, mark: dict[str, Any] | None) -> None:
        if self._catalog is not None:
            document, told = self._catalog
            assert mark == {"revision": document["revision"], "hash": told}
            self.catalog, self.catalog_hash, self._catalog = document["doc"], told, None
        if mark is None:
            assert self.catalog is None
        else:
            assert mark["hash"] == self.catalog_hash, "the catalog that counts was told"

    def _apply(self) -> None:
        if self._staged[0]["kind"] == "full":
            self.fulls += 1
            self.sums.clear()
            if not self._staged[0].get("partial"):
                self.terms.clear()
                self.users.clear()
        for frame in self._staged:
            for row, raw in zip(frame.get("terms", ()), _raw_docs(frame["raw"]), strict=True):
                if self.held is None or row["customer"] in self.held:
                    self.put(row, raw)
            for user in frame.get("users", ()):
                if self.held is None or user["customer"] in self.held:
                    self.put_user(user)
        self.seen.append(self._staged[-1]["seq"])
        self._staged = []

    def lose(self) -> None:
        """Begin anew: what it held is lost, but not what it believed last."""
        self.cursor = None

    def break_off(self) -> None:
        """Forget what was not covered by a head: the connection ended."""
        self._staged = []
        self._catalog = None

    def put(self, row: dict[str, Any], raw: bytes) -> None:
        """Replace the terms of one customer."""
        known = self.terms.get(row["customer"])
        assert known is None or known[0] < row["revision"], "nothing is told twice"
        assert json.loads(raw) == row["doc"]
        self.terms[row["customer"]] = (row["revision"], raw)

    def put_user(self, row: dict[str, Any]) -> None:
        """Replace what is known of one user."""
        whose = (row["customer"], row["user"])
        assert whose not in self.users or self.users[whose][0] < row["revision"], "nothing is told twice"
        facts = {"active": row.get("active", True), "attributes": row.get("attributes", {})}
        self.users[whose] = (row["revision"], facts | {"roles": row.get("roles", [])})

    def sum(self) -> str:
        """Return what all rows add up to."""
        total = 0
        for customer, (revision, doc) in self.terms.items():
            total += _part(f"terms\0{customer}\0\0{revision}\0", doc)
        for (customer, user), (revision, facts) in self.users.items():
            text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            total += _part(f"user\0{customer}\0{user}\0{revision}\0", text)
        return f"{total % 2**128:032x}"

    def state(self) -> tuple[Any, Any]:
        """Return all that it believes about customers and users."""
        return self.terms, self.users


def _part(words: str, content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(words.encode() + content).digest()[:16], "big")


def _raw_docs(payload: bytes) -> list[bytes]:
    """The documents of a frame's terms, byte for byte."""
    found: list[bytes] = []
    decoder = json.JSONDecoder()
    text = payload.decode()
    place = 0
    while (place := text.find('"doc":', place)) >= 0:
        _, end = decoder.raw_decode(text, place + 6)
        found.append(text[place + 6 : end].encode())
        place = end
    return found


async def poll(http: httpx.AsyncClient, follower: Follower, *, wait: int = 0, picked: bool = False) -> str:
    """Let a follower ask once; returns what the answer says it is."""
    follower.break_off()
    more = f"&wait={wait}" + ("&picked=true" if picked else "")
    answer = await http.get(f"/v1/feed?{follower.query}{more}".replace("?&", "?"))
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert "keyset" in lines[0]
    assert "head" in lines[-1]
    for one in lines:
        follower.take(one)
    return answer.headers["licet-feed"]


async def stream(http: httpx.AsyncClient, follower: Follower, *, slow: float = 0.0) -> AsyncIterator[dict[str, Any]]:
    """Yield the lines of a stream of server-sent events, taken by a follower first."""
    follower.break_off()
    async with http.stream("GET", f"/v1/feed?{follower.query}".rstrip("?"), headers=EVENTS, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for text in answer.aiter_lines():
            if text.startswith("data: "):
                told = json.loads(text[6:])
                follower.take(told)
                yield told
                await asyncio.sleep(slow)
            elif text.startswith("id: "):
                epoch, seq = text[4:].split(":")
                assert int(epoch) >= 1
                assert int(seq) >= (follower.cursor or (0, 0))[1]


@asynccontextmanager
async def open_feeds(
    world: World, rhythm: Rhythm | None = None, *, stall_seconds: float = 20.0
) -> AsyncIterator[House]:
    """Run a server whose feeds have another rhythm."""
    async with world.storage(size=8) as storage:
        await make_keysets(storage, OPERATOR, root_of)
        built = assemble(storage, world.access, Settings(), pace=UNHURRIED)
        feeds = Feeds(storage, built.parts.signers, built.parts.metrics, rhythm)
        parts = structs.replace(built.parts, feeds=feeds, stall_seconds=stall_seconds)
        app = create_app(parts)
        with bound_socket("127.0.0.1", 0) as bound:
            async with serving(app, bound, Manner(shutdown_seconds=5)) as port:
                house = House(f"http://127.0.0.1:{port}", structs.replace(built, parts=parts, app=app), storage)
                try:
                    yield house
                finally:
                    await house.close()


async def held_now(house: House, workspace: str = "test") -> tuple[Any, Any]:
    """Return what the database holds, as a follower says it."""
    terms: dict[str, tuple[int, bytes]] = {}
    users: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    async with house.storage.read(workspace) as view:
        page = Page(limit=500)
        while found := await view.customers(page):
            for row in found:
                known = await view.terms(row.id)
                assert known is not None
                terms[row.id] = (known.revision, canonical(known.terms))
                for user in await view.users(row.id, Page(limit=500)):
                    facts: dict[str, Any] = {"active": user.active, "attributes": {}, "roles": []}
                    if user.active:
                        facts |= {"attributes": json.loads(canonical(user.attributes)), "roles": list(user.roles)}
                    users[row.id, user.id] = (user.revision, facts)
            page = Page(after=found[-1].id, limit=500)
    return terms, users
