"""What needs no key: whether the server lives, whether it can work, its numbers, its contract, its documentation."""

from typing import Annotated, Any

from msgspec import Struct

from licet.api.call import Call
from licet.api.contract import JSON, Reply, operation

TAG = "Server"


class Health(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str
    version: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether requests should be sent here; ``checks`` says what was looked at and found."""

    ready: bool
    checks: dict[str, str]


@operation("GET", "/healthz", tag=TAG, answer={"status": "ok", "version": "0.1.0"})
async def healthz(call: Call) -> Health:
    """Say that the process lives. Asks nothing of the database."""
    return Health(status="ok", version=call.parts.version)


@operation(
    "GET",
    "/readyz",
    tag=TAG,
    answer={"ready": True, "checks": {"database": "ok", "migrations": "3 of 3"}},
)
async def readyz(call: Call) -> Annotated[Reply, Readiness]:
    """Say whether the server can do its work.

    503 while the database cannot be reached or its schema is not the one this server was built for.
    """
    found = await call.parts.ready()
    told = Readiness(ready=found.ready, checks=found.checks)
    return Reply(told) if found.ready else Reply(told, status=503, headers={"Retry-After": "1"})


@operation("GET", "/metrics", tag=TAG, answers=("text/plain",), answer="licet_http_requests_total{…} 1.0\n")
async def metrics(call: Call) -> Annotated[Reply, str]:
    """Give the server's numbers in the Prometheus text format."""
    content, media_type = call.parts.metrics.text()
    return Reply(content, media_type=media_type)


@operation("GET", "/openapi.json", tag=TAG, answer={"openapi": "3.1.0"})
async def openapi(call: Call) -> Annotated[Reply, dict[str, Any]]:
    """Give this contract as OpenAPI 3.1."""
    from licet.api.openapi import document_bytes

    return Reply(document_bytes(call.parts.version), media_type=JSON)
