"""Reading a request's body within its bound: refused by Content-Length before a byte is read, else while it comes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from licet.door.limits import BODY_SECONDS
from licet.door.problems import Refusal

Receive = Callable[[], Awaitable[Any]]

_CLOSE: Final = {"Connection": "close"}  # what is still on its way is not worth reading


class Gone(Exception):
    """The client went away before its request was whole; there is nobody to answer."""


async def read_body(receive: Receive, length: str | None, most: int, seconds: float = BODY_SECONDS) -> bytes:
    """Return the whole body from ASGI ``receive``.

    Raises Refusal with ``too_large`` beyond ``most`` bytes, ``body_timeout`` after ``seconds``; Gone on a disconnect.
    """
    if length is not None and length.isascii() and length.isdigit() and int(length) > most:
        raise _too_large(f"the body has {length} bytes", most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise _too_large(f"the body has more than {most} bytes", most)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        detail = f"the body did not arrive within {seconds:g} seconds; {size} bytes came"
        raise Refusal("body_timeout", detail, advice="Send it again.", headers=_CLOSE) from None


def _too_large(detail: str, most: int) -> Refusal:
    advice = f"Send at most {most} bytes; split a batch into several."
    return Refusal("too_large", f"{detail}; at most {most} are read here", advice=advice, headers=_CLOSE)
