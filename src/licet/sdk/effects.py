"""What a flow asks of whoever drives it, and what it hears back: values only.

A flow is a generator: it yields an effect, the driver performs it and sends the outcome. Seconds are of the monotonic
clock, sizes in bytes.
"""

from collections.abc import Generator
from typing import Literal

from msgspec import Struct


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request to the server; ``path`` has its query in it."""

    method: Literal["GET", "POST"] = "GET"
    path: str
    accept: str = "application/json"
    body: bytes | None = None
    content: str = "application/json"
    """The body's content type."""
    key: str = ""
    """The idempotency key, where the body has none."""
    repeats: bool = False
    """Whether it does no more when it comes twice: it has a key or ids of its own."""
    seconds: float
    """How long to wait for a connection, and then for the answer's first line."""


class Open(Struct, frozen=True):
    """Send a request whose answer is read bit by bit; a connection still open is closed before."""

    request: Request


class Read(Struct, frozen=True):
    """Wait at most so long for more of the open answer."""

    seconds: float


class Shut(Struct, frozen=True):
    """Close the open answer; there may be none."""


class Ask(Struct, frozen=True):
    """Send a request and read its whole answer, at most so many bytes of it."""

    request: Request
    most: int


class Sleep(Struct, frozen=True):
    """Wait; ends early if somebody wakes the flow."""

    seconds: float


class Work(Struct, frozen=True):
    """Give others their turn: the flow took something large."""


class Answer(Struct, frozen=True, kw_only=True):
    """The server answered. ``body`` is the whole of it for an ask, and for an open one whose status is no 200."""

    status: int
    kind: str = ""
    """The content type, without parameters."""
    retry_after: float | None = None
    body: bytes = b""


class Chunk(Struct, frozen=True):
    """More of the open answer; empty at its end."""

    data: bytes


class Fault(Struct, frozen=True):
    """It did not work: nobody there, refused, cut off, too slow, not trusted."""

    words: str


Effect = Open | Read | Shut | Ask | Sleep | Work
Outcome = Answer | Chunk | Fault | None
Flow = Generator[Effect, Outcome, None]
