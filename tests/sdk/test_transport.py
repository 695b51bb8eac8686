"""Both transports against raw sockets: the same answers from the same bytes, and words for what does not work."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from licet.sdk.async_transport import AsyncTransport
from licet.sdk.effects import Answer, Chunk, Fault, Request
from licet.sdk.place import Place, find_place
from licet.sdk.transport import Transport, retry_after
from tests.sdk.premises import API_KEY

ASKED = Request(path="/v1/feed", seconds=2.0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
BODIES = {
    "sized": HEAD + b"Content-Length: 10\r\n\r\n0123456789",
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n",
    "ended": HEAD + b"Connection: close\r\n\r\n0123456789",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 10\r\n\r\n0123456789",
}
BROKEN = {
    "cut chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n0123",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing": b"",
    "odd chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n0123\r\n0\r\n\r\n",
}


@contextmanager
def telling(said: bytes) -> Iterator[Place]:
    """Let somebody listen who says these bytes to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                with taken:
                    taken.recv(65536)
                    taken.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield find_place(f"http://127.0.0.1:{listening.getsockname()[1]}/prefix", API_KEY)
        listening.shutdown(socket.SHUT_RDWR)


async def both(place: Place) -> list[list[Answer | Chunk | Fault]]:
    """Open and read with both transports, to the end or the first fault."""
    found: list[list[Answer | Chunk | Fault]] = []
    plain, looped = Transport(place), AsyncTransport(place)
    heard: list[Answer | Chunk | Fault] = [plain.open(ASKED)]
    while not isinstance(heard[-1], Fault) and heard[-1] != Chunk(b""):
        heard.append(plain.read(2.0))
    plain.shut()
    found.append(heard)
    heard = [await looped.open(ASKED)]
    while not isinstance(heard[-1], Fault) and heard[-1] != Chunk(b""):
        heard.append(await looped.read(2.0))
    looped.shut()
    found.append(heard)
    return found


@pytest.mark.parametrize("said", BODIES.values(), ids=list(BODIES))
async def test_an_answer_is_read_whole(said: bytes) -> None:
    """Of a stated length, in chunks, or until the end of the connection: the bytes are the same with both."""
    with telling(said) as place:
        for first, *rest in await both(place):
            assert isinstance(first, Answer)
            assert (first.status, first.kind) == (200, "text/event-stream")
            assert b"".join(one.data for one in rest if isinstance(one, Chunk)) == b"0123456789"


@pytest.mark.parametrize("said", BROKEN.values(), ids=list(BROKEN))
async def test_what_is_broken_is_a_fault(said: bytes) -> None:
    """What is cut off or is no HTTP ends in a fault with words, never in an exception."""
    with telling(said) as place:
        for heard in await both(place):
            assert isinstance(heard[-1], Fault)
            assert heard[-1].words


async def test_who_is_not_there() -> None:
    """A closed port and a name that does not exist are said in words."""
    closed = find_place("http://127.0.0.1:9", API_KEY)
    for heard in await both(closed):
        assert heard == [Fault("nobody listens at 127.0.0.1:9")]
    for heard in await both(find_place("http://no-such-host.invalid", API_KEY)):
        assert "cannot be resolved" in str(heard[0])


@pytest.mark.parametrize("name", ["cut chunk", "nothing"])
async def test_a_connection_that_ends_is_told_in_words(name: str) -> None:
    """Where the answer ends too early, or never begins, both say so, and not by the names of their errors."""
    with telling(BROKEN[name]) as place:
        told = [heard[-1] for heard in await both(place)]
    for one in told:
        assert isinstance(one, Fault)
        assert one.words in ("the answer was cut off", "the connection was closed without an answer")


def test_retry_after() -> None:
    """Seconds and dates are read; anything else says nothing."""
    assert retry_after("120") == 120
    soon = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert soon is not None
    assert 55 <= soon <= 61
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [retry_after(text) for text in (None, "", "-5", "soon", "9" * 40)] == [None] * 5


def test_a_place_tells_no_secret() -> None:
    """What is written of a place in logs has the key's id and not its secret."""
    place = find_place("https://licet.example.com/eu/v1/", API_KEY)
    assert place.url == "https://licet.example.com:443/eu"
    assert "bbbb" not in repr(place)
