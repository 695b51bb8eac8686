"""A raw connection to a running server, byte by byte as a test wants it, and requests for the hot routes."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

from tests.api.house import House, Visitor, release_meridian

PATIENCE = 10.0
CHECK = "/v1/check"
AFTER_WRITES = 0.3
"""After so long the gate has forgotten keys for the last of several writes."""
QUESTION = {"customer": "acme", "feature": "projects", "used": 3}


class Told:
    """One answer as it came: status, headers (lower case) and body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.names = [line.partition(":")[0] for line in lines[1:] if line]
        self.headers = {line.partition(":")[0]: line.partition(":")[2].strip() for line in lines[1:] if line}
        self.body = body

    @property
    def value(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, url: str) -> Self:
        """Connect."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def told(self) -> Told:
        """Read one answer whole (by its Content-Length)."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            return Told(head, await self.reader.readexactly(int(length[0].partition(b":")[2])) if length else b"")

    async def ask(self, data: bytes) -> Told:
        """Send one request and read its answer."""
        await self.send(data)
        return await self.told()

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        """Leave."""
        self.writer.close()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A connection as long as the block lasts."""
    made = await Wire.to(url)
    try:
        yield made
    finally:
        await made.close()


def request(
    secret: str | None,
    value: Any = QUESTION,
    *,
    method: str = "POST",
    path: str = CHECK,
    body: bytes | None = None,
    more: Mapping[str, str] | None = None,
    version: str = "1.1",
) -> bytes:
    """A whole request; ``more`` headers replace the usual ones, and the text "" leaves one out."""
    content = json.dumps(value).encode() if body is None else body
    headers = {
        "Host": "licet.test",
        "Authorization": f"Bearer {secret}" if secret else "",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **(more or {}),
    }
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {said}" for name, said in headers.items() if said)]
    return "\r\n".join([*lines, "", ""]).encode() + content


def hot_count(house: House) -> int:
    """How many requests the hot door has answered."""
    return int(house.built.parts.metrics.hot)


async def sell(operator: Visitor, customer: str = "acme", plan: str = "team") -> None:
    """Sell a plan of the example vendor."""
    order = {
        "source": "crm",
        "external_id": f"deal-{customer}",
        "customer": {"id": customer},
        "occurred_at": "2026-08-01T00:00:00Z",
        "lines": [{"plan": plan, "quantity": 3}],
    }
    await operator.told("POST", "/v1/orders", order)


async def open_shop(house: House, operator: Visitor) -> None:
    """Release the example vendor's catalog and sell ``acme`` a plan, once."""
    if (await operator.ask("GET", "/v1/catalog")).status_code != 200:
        await release_meridian(operator)
        await sell(operator)
        await asyncio.sleep(AFTER_WRITES)


async def warm(house: House, secret: str, value: Any = QUESTION, *, path: str = CHECK, workspace: str = "test") -> None:
    """Ask until the hot door answers; from then on the key is remembered for as long as keys are."""
    house.built.parts.gate.forget(workspace)
    async with wire(house.url) as line, asyncio.timeout(PATIENCE):
        while True:
            before = hot_count(house)
            told = await line.ask(request(secret, value, path=path))
            assert told.status == 200, told.body
            if hot_count(house) > before:
                return
            await asyncio.sleep(0.02)
