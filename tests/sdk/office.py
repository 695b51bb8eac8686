"""A small server of feeds: real HTTP on loopback, real signatures, and whatever misbehavior a test wants."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from licet.wire.feed import Line
from tests.evaluator.authority import DAY, KEY, ROOT, Authority, key_entry, keyset, terms
from tests.sdk.premises import Premises, say

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Office(Premises):
    """One workspace's feed. ``ahead`` is how much its clock is ahead of this machine's."""

    follow = "stream"
    start_timeout = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.authority = Authority()
        self.authority.put(terms("acme", since=LONG_AGO))
        self.ahead = timedelta()
        self.usable = 30 * DAY
        self.asked: list[str] = []
        self.told: list[Any] = []
        self.root = ROOT
        """Who signs keysets."""
        self.bare = False
        """There is no catalog yet."""
        self.refusal: tuple[int, str, bytes] | None = None
        self.streams = True
        self.pick_refusal: tuple[int, str, bytes] | None = None
        self.before_pick: Callable[[], None] | None = None
        """Called once, when a customer is asked for and before the answer."""
        self._news = threading.Condition()

    def left(self) -> None:
        """Let go of those who follow."""
        with self._news:
            self._news.notify_all()

    def put(self, document: dict[str, Any]) -> None:
        """Record a customer's terms and tell those who follow."""
        with self._news:
            self.authority.put(document)
            self._news.notify_all()

    def sold(self, customer: str) -> None:
        """Give a customer the team plan, long ago."""
        self.put(terms(customer, since=LONG_AGO))

    def lines(self, since: int | None, *, picked: bool = False) -> list[Line]:
        """A set with a head of now."""
        if picked and since is None:
            frames = self.authority.frames(None, size=10**6, partial=True, terms=(), users=())
            told = [self.authority.catalog_line(), *frames]
        else:
            told = self.authority.lines(since)[:-1]
        now = datetime.now(UTC) + self.ahead
        fresh = now + timedelta(seconds=45)
        if self.bare:
            told = [one for one in told if one.catalog is None]
            return [*told, self.authority.head(catalog=None, issued_at=now, fresh_until=fresh)]
        return [*told, self.authority.head(issued_at=now, fresh_until=fresh, usable_until=now + self.usable)]

    def posted(self, desk: BaseHTTPRequestHandler, body: bytes) -> None:
        """Take what is told."""
        self.told.append(json.loads(body))
        say(desk, 200, "application/json", b"{}")

    def got(self, desk: BaseHTTPRequestHandler) -> None:
        """Answer a request for the feed or for one customer."""
        parts = urlsplit(desk.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(desk.path)
        if self.refusal is not None:
            say(desk, *self.refusal)
        elif parts.path == "/v1/feed" and "event-stream" in desk.headers["Accept"] and self.streams:
            self._stream(desk, query)
        elif parts.path == "/v1/feed":
            with self._news:
                told = [self._keyset(), *self.lines(self._since(query), picked="picked" in query)]
            say(desk, 200, "application/x-ndjson", b"".join(msgspec.json.encode(one) + b"\n" for one in told))
        else:
            before, self.before_pick = self.before_pick, None
            if before is not None:
                before()
            customer = unquote(parts.path.rpartition("/")[2])
            if self.pick_refusal is not None:
                say(desk, *self.pick_refusal)
                return
            with self._news:
                tokens = self.authority.picks(customer, int(query["cursor"].partition(":")[2]))
            body = b"".join(msgspec.json.encode(Line(frame=token)) + b"\n" for token in tokens)
            say(desk, 200, "application/x-ndjson", body)

    def _stream(self, desk: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        desk.send_response(200)
        desk.send_header("Content-Type", "text/event-stream")
        desk.send_header("Connection", "close")
        desk.end_headers()
        server, since = self.server, self._since(query)
        told = [self._keyset()]
        with self._news:
            while server is not None and self.server is server:
                told += self.lines(since, picked="picked" in query)
                since = self.authority.seq
                text = b"".join(b"data: " + msgspec.json.encode(one) + b"\n\n" for one in told)
                desk.wfile.write(text)
                told = []
                self._news.wait_for(partial(self._moved, server, since), 10)
        desk.close_connection = True

    def _moved(self, server: object, since: int | None) -> bool:
        return self.server is not server or self.authority.seq != since

    def _since(self, query: dict[str, str]) -> int | None:
        """From which sequence to go on; None where the cursor is of another epoch, or there is none."""
        epoch, _, seq = query.get("cursor", "").partition(":")
        return int(seq) if epoch == str(self.authority.epoch) else None

    def _keyset(self) -> Line:
        after = datetime(datetime.now(UTC).year + 2, 1, 1, tzinfo=UTC)
        return keyset(1, key_entry(KEY, not_before=LONG_AGO, not_after=after), root=self.root)


@contextmanager
def open_office() -> Iterator[Office]:
    """An office as long as the block lasts."""
    office = Office()
    office.open()
    try:
        yield office
    finally:
        office.close()


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds; asserts that it does in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.005)


async def soon(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait in a loop until something holds; raises TimeoutError if it does not in time."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 what is waited for is what a program sees, and it sees no event
            await asyncio.sleep(0.005)
