"""The ASGI application: the table of operations as Litestar routes, problems for all that goes wrong, and the watch
around it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler, route

from licet.api import docs_page, system, v1  # noqa: F401 they fill the table
from licet.api.call import trail_of
from licet.api.contract import V1, Operation, Table
from licet.api.hosting import Hosting
from licet.api.hot import HotChecks
from licet.api.hot_usage import HotRoutes, HotUsage
from licet.api.lapsing import Lapsing
from licet.api.observe import Observed
from licet.api.parts import Parts
from licet.api.refusals import from_litestar, unexpected
from licet.api.runner import Answer, Runner, refuse
from licet.api.sealing import Sealing
from licet.api.tiling import Tiling
from licet.telemetry import log

OPERATIONS: Final = V1
"""Every operation of the API; complete as soon as this module is imported."""
Endpoint = Callable[[Request[Any, Any, Any]], Awaitable[Answer]]


def create_app(parts: Parts) -> Observed:
    """Return the application on the parts of one server. Its lifespan follows storage's notices and records reads."""

    hosting = Hosting(parts.storage, parts.snapshots.catalogs, clock=parts.clock.monotonic)

    @asynccontextmanager
    async def follow(_: Litestar) -> AsyncIterator[None]:
        tiling = Tiling(parts.storage)
        sealing = Sealing(parts.storage, parts.clock.wall, monotonic=parts.clock.monotonic)
        lapsing = Lapsing(parts.storage, parts.lanes, parts.metrics)
        parts.tide.tell(parts.feeds.notice)
        parts.tide.tell(hosting.noticed)
        async with (
            parts.reads.follow(),
            parts.tide.follow(),
            parts.counting.follow(),
            tiling.follow(),
            sealing.follow(),
            lapsing.follow(),
            parts.feeds.running(),
            hosting.follow(),
        ):
            yield
            await parts.lanes.close()

    runner = Runner(parts)
    inner = Litestar(
        route_handlers=[*(_route(one, runner) for one in V1), to_docs],
        exception_handlers={HTTPException: _refused(V1), Exception: _failed},
        lifespan=[follow],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # the door's own bound is read before the body, per operation
    )
    hot = HotRoutes(HotChecks(parts, hosting), HotUsage(parts))
    return Observed(inner, parts.metrics, parts.feeds.stop, hot)


def _route(operation: Operation, runner: Runner) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> Answer:
        return await runner.respond(operation, request)

    path = operation.path
    for name in operation.path_names:
        path = path.replace(f"{{{name}}}", f"{{{name}:str}}")
    # Probes and link checkers ask with HEAD; the server leaves the body out.
    probed = operation.method == "GET" and not operation.scopes
    return route(path, http_method=["GET", "HEAD"] if probed else [operation.method], name=operation.id)(endpoint)


@route("/", http_method=["GET", "HEAD"], name="root")
async def to_docs() -> Response[bytes]:
    """Send who opens the server's address on to its documentation."""
    return Response(b"", status_code=307, headers={"Location": "/docs"})


def _refused(table: Table) -> Callable[[Request[Any, Any, Any], Exception], Response[bytes]]:
    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if not isinstance(error, HTTPException):
            return _failed(request, error)
        path = request.scope["path"]
        return refuse(from_litestar(error, table.allowed(path) or ["GET"], path), trail_of(request.scope))

    return answer


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    trail = trail_of(request.scope)
    log("licet.api").error("failed", request_id=trail.request_id, exc_info=error)
    return refuse(unexpected(error), trail)
