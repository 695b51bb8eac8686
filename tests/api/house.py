"""A running server for tests: the real application on a real database, answering on a loopback port."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import structs

from licet.api.app import create_app
from licet.api.counting import Counting
from licet.api.serving import Manner, bound_socket, serving
from licet.services.keys import CreateKey, create_key
from licet.services.reads import Pace
from licet.services.rows import Scope
from licet.services.signing import make_keysets
from licet.settings import Settings
from licet.store.postgres import PostgresStorage
from licet.wiring import Built, assemble
from tests.store.worlds import OPERATOR, World

ALL: tuple[Scope, ...] = ("check", "usage", "orders", "catalog:read", "catalog:write", "admin")
MERIDIAN = Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml"
TIMEOUT = 20.0
UNHURRIED = Pace(seconds=3600, most=10**9)
"""Sensitive reads are recorded at the end only, so that no event comes between those that a test counts."""


def root_of(workspace: str) -> bytes:
    """Return the seed of the root under which a house signs for a workspace."""
    return hashlib.sha256(b"root of " + workspace.encode()).digest()


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; asserts that no key is in it twice."""
    made = dict(pairs)
    assert len(made) == len(pairs), [name for name, _ in pairs]
    return made


class Visitor:
    """Somebody with a key (or none) who asks the server over HTTP."""

    def __init__(self, url: str, secret: str | None) -> None:
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        self.secret = secret
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT)

    async def ask(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request; ``value`` as JSON, or ``body`` as it is. No answer may say one thing twice."""
        content = body if value is None else msgspec.json.encode(value)
        typed = {"Content-Type": "application/json"} if content is not None else {}
        answer = await self.http.request(method, path, content=content, headers={**typed, **(headers or {})})
        if answer.content and "json" in answer.headers.get("content-type", ""):
            lined = "ndjson" in answer.headers["content-type"]
            for part in answer.content.splitlines() if lined else [answer.content]:
                json.loads(part, object_pairs_hook=distinct)
        return answer

    async def told(self, method: str, path: str, value: Any = None, **more: Any) -> Any:
        """Send a request that must succeed; returns the decoded answer."""
        answer = await self.ask(method, path, value, **more)
        assert answer.status_code < 300, answer.text
        return json.loads(answer.content)


async def release(visitor: Visitor, catalog: Any, base: int, *, max_losing: int = 2**31) -> Any:
    """Release a catalog on top of a revision, by a preview on live customers, whoever loses by it."""
    seen = await visitor.ask("POST", "/v1/catalog/previews", catalog)
    last = json.loads(seen.content.splitlines()[-1])
    assert "preview" in last, last
    preview = last["preview"]["id"]
    query = f"base={base}&preview={preview}&max_losing={max_losing}"
    return await visitor.told("PUT", f"/v1/catalog?{query}", catalog)


class Line:
    """A line to a server that can be cut, mended and held: passes bytes on between a loopback port and another."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self.port = 0

    def hold(self) -> None:
        """Take everything, connections too, and pass nothing on, as where the server hangs."""
        self._goes_on.clear()

    def go_on(self) -> None:
        """Pass on what was held, and all that comes."""
        self._goes_on.set()

    async def mend(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End all connections and take no more."""
        if self._server is not None:
            self._server.close()
        for writer in [*self._open]:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(*self._target)
        self._open |= {writer, onward}
        await asyncio.gather(self._copy(reader, onward), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                await self._goes_on.wait()
                writer.write(part)
                await writer.drain()
        self._open.discard(writer)
        writer.close()


class House:
    """One server."""

    def __init__(self, url: str, built: Built, storage: PostgresStorage) -> None:
        self.url = url
        self.built = built
        self.storage = storage
        self._visitors: list[Visitor] = []

    def visitor(self, secret: str | None = None) -> Visitor:
        """Return somebody with this key."""
        made = Visitor(self.url, secret)
        self._visitors.append(made)
        return made

    async def key(
        self, *scopes: Scope, customer: str | None = None, workspace: str = "test", **more: Any
    ) -> tuple[str, str]:
        """Make a key; returns its id and its secret."""
        command = CreateKey(name="tests", scopes=frozenset(scopes), customer=customer, **more)
        async with self.storage.write(workspace, OPERATOR) as tx:
            made = await create_key(tx, command)
        return made.key.id, made.secret

    async def holder(self, *scopes: Scope, customer: str | None = None, workspace: str = "test") -> Visitor:
        """Return somebody with a fresh key."""
        return self.visitor((await self.key(*scopes, customer=customer, workspace=workspace))[1])

    async def seq(self, workspace: str = "test") -> int:
        """Return the newest sequence of a workspace's log."""
        async with self.storage.read(workspace) as view:
            return await view.seq()

    async def close(self) -> None:
        """Let every visitor leave."""
        for visitor in self._visitors:
            await visitor.http.aclose()


@asynccontextmanager
async def open_house(
    world: World,
    settings: Settings | None = None,
    *,
    pace: Pace = UNHURRIED,
    counting: Callable[[PostgresStorage], Counting] | None = None,
    manner: Manner | None = None,
) -> AsyncIterator[House]:
    """Run a server on a prepared database as long as the block lasts; ``counting`` makes another rhythm of counts."""
    chosen = settings or Settings()
    async with world.storage(size=8) as storage:
        await make_keysets(storage, OPERATOR, root_of)
        built = assemble(storage, world.access, chosen, pace=pace)
        if counting is not None:
            parts = structs.replace(built.parts, counting=counting(storage))
            built = structs.replace(built, parts=parts, app=create_app(parts))
        with bound_socket("127.0.0.1", 0) as bound:
            async with serving(built.app, bound, manner or Manner(shutdown_seconds=5)) as port:
                house = House(f"http://127.0.0.1:{port}", built, storage)
                try:
                    yield house
                finally:
                    await house.close()


async def release_meridian(visitor: Visitor) -> Any:
    """Release the example vendor's catalog as the first one."""
    headers = {"Content-Type": "application/yaml"}
    return await visitor.told("PUT", "/v1/catalog?base=0", body=MERIDIAN.read_bytes(), headers=headers)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is this problem, whole and well-formed; returns it."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    found: dict[str, Any] = json.loads(answer.content)
    assert (answer.status_code, found["code"]) == (status, code), answer.text
    assert found["status"] == status
    assert found["type"] == f"urn:licet:problem:{code}"
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["title"]
    assert found["detail"]
    return found
