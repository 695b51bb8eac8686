"""The load that benches of usage put on a server: no request is like another, and every answer is looked at."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httptools
import pytest

from licet.cli.bench.consume_http import consume_request
from licet.cli.bench.events import events_request
from licet.cli.bench.machine import cpu_seconds, family_cpu_seconds, parent_of
from licet.cli.bench.usage_load import KEY, Odd, UsageLoad, filled, put, whole_length
from licet.cli.failure import Failure


class Taking(asyncio.Protocol):
    """Answers every request, with answers of different lengths, and keeps what was asked."""

    def __init__(self, taken: list[Any], refuse: bool) -> None:
        self._taken = taken
        self._refuse = refuse
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Gather."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer in two parts, as a network may bring it."""
        self._taken.append(json.loads(self._body))
        self._body = b""
        allowed = b"false" if self._refuse and len(self._taken) % 7 == 0 else b"true"
        content = b'{"allowed":%b,"left":%d}' % (allowed, 10 ** (len(self._taken) % 9))
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(whole[:-5])
        asyncio.get_running_loop().call_soon(self._transport.write, whole[-5:])


@contextmanager
def taking(*, refuse: bool = False) -> Iterator[tuple[int, list[Any]]]:
    """Serve in a thread; yields the port and what was asked."""
    loop, taken = asyncio.new_event_loop(), list[Any]()
    server = loop.run_until_complete(loop.create_server(lambda: Taking(taken, refuse), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()


def test_no_request_is_like_another() -> None:
    """Over several connections each request has a key of its own and, of many customers, goes to all of them."""
    with taking() as (port, taken):
        requests = (consume_request("k", 10),) * 3
        load = UsageLoad(port=port, requests=requests, expected=b'"allowed":true', first=5, seconds=0.2, customers=10)
        loaded = put(load)
    assert loaded.answers == len(taken) > 20
    assert len({one["key"] for one in taken}) == len(taken)
    assert {one["customer"] for one in taken} == {f"customer-{number:06}" for number in range(10)}
    assert 0 < loaded.p50 <= loaded.p99


def test_an_answer_that_refuses_ends_the_measurement() -> None:
    """Answers without the expected words are counted and shown: a bench that measures refusals would lie."""
    with taking(refuse=True) as (port, _):
        load = UsageLoad(
            port=port, requests=(consume_request("k", None),), expected=b'"allowed":true', first=0, seconds=0.1
        )
        with pytest.raises(Failure, match='"allowed":false'):
            put(load)


def test_events_are_new_each_time_and_of_one_length() -> None:
    """The ids of a batch differ among themselves and from batch to batch; its length never changes."""
    request = events_request("k", 100, 50, 7)
    batches = [filled(request, number) for number in (0, 1, 10**12)]
    assert len({len(batch) for batch in batches}) == 1
    events = [event for batch in batches for event in json.loads(batch.partition(b"\r\n\r\n")[2])]
    assert len({event["id"] for event in events}) == 150
    assert KEY not in b"".join(batches)


def test_an_answer_without_its_length_is_odd() -> None:
    """Whatever does not say how long it is cannot be measured."""
    assert whole_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n") == 39 + 12
    with pytest.raises(Odd):
        whole_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_a_family_has_used_what_its_members_have() -> None:
    """Processor time of a process and its children is at least its own; another program's parent is not told."""
    own = cpu_seconds(os.getpid())
    family = family_cpu_seconds(os.getpid())
    assert own is not None
    assert family is not None
    assert family >= own
    assert parent_of(os.getpid(), "postgres") is None
    assert family_cpu_seconds(2**22 + 5) is None
