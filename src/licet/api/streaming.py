"""Answers that come line by line while the work goes on: progress first, at the end a result or a problem."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from litestar.response import Stream

from licet.api.call import Trail
from licet.api.contract import NDJSON
from licet.api.refusals import from_service, unexpected
from licet.door.problems import Refusal
from licet.services.errors import ServiceError
from licet.telemetry import log

LONGEST_SECONDS: Final = 900.0
"""An answer that is not whole by then ends with a problem."""


def stream(source: AsyncIterator[Any], trail: Trail, *, status: int) -> Stream:
    """Return an answer that sends each value of ``source`` as one line of JSON.

    What goes wrong on the way becomes the last line, ``{"problem": …}``: its status was sent before.
    """
    return Stream(_lines(source, trail), status_code=status, media_type=NDJSON)


async def _lines(source: AsyncIterator[Any], trail: Trail) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    last = loop.time() + LONGEST_SECONDS
    try:
        async for value in source:
            if loop.time() > last:
                words = f"the answer was not whole after {LONGEST_SECONDS:.0f} seconds"
                yield _problem(Refusal("unavailable", words, advice="Ask for less at once."), trail)
                return
            yield msgspec.json.encode(value) + b"\n"
    except Refusal as refusal:
        yield _problem(refusal, trail)
    except ServiceError as error:
        yield _problem(from_service(error), trail)
    except Exception as error:  # noqa: BLE001 a defect is told as a problem, and logged whole
        log("licet.api").exception("failed", route=trail.route, request_id=trail.request_id)
        yield _problem(unexpected(error), trail)


def _problem(refusal: Refusal, trail: Trail) -> bytes:
    trail.problem = refusal.code
    return msgspec.json.encode({"problem": refusal.problem(trail.request_id)}) + b"\n"
