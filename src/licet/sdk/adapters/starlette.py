"""Starlette: ``install`` once, ``@requires`` on endpoints; refused requests are answered with a problem."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from licet.core.question import Context
from licet.sdk.adapters.problem import Asks, Status, answer_to, status_of
from licet.sdk.errors import NotEntitled, NoTruth

T = TypeVar("T")
From: TypeAlias = T | Callable[[Request], T] | Callable[[Request], Awaitable[T]]
"""A value, or how it is read from the request: a function or a coroutine function."""
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011


def install(app: Starlette, client: Asks, *, status: Status = status_of) -> None:
    """Let an application ask ``client``, and answer :class:`NotEntitled` and :class:`NoTruth` with problems.

    The client stands at ``app.state.licet`` from then on; a test puts the client of its world there.
    """
    app.state.licet = client

    async def refuse(connection: HTTPConnection, error: Exception) -> Response | None:
        answer = answer_to(cast("NotEntitled | NoTruth", error), status)
        if isinstance(connection, WebSocket):
            if answer.status == 500:
                await connection.close(INTERNAL_ERROR, "cannot be looked up here")
            else:
                await connection.close(POLICY_VIOLATION, "not entitled" if answer.status != 503 else "try again")
            return None
        return Response(answer.body, answer.status, answer.headers)

    app.add_exception_handler(NotEntitled, cast("Any", refuse))
    app.add_exception_handler(NoTruth, cast("Any", refuse))


def client_of(connection: HTTPConnection) -> Asks:
    """Return the client that answers for an application; raises RuntimeError where none was installed."""
    client = getattr(connection.app.state, "licet", None)
    if client is None:
        raise RuntimeError("no Licet client is installed; call install(app, Client()) where the app is made")
    return cast("Asks", client)


def requires(
    feature: str,
    *,
    customer: From[str],
    user: From[str | None] = None,
    quantity: From[int | str] = 1,
    used: From[int | str | None] = None,
    context: From[Context | None] = None,
) -> Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]:
    """Let an endpoint run only where the customer may use a feature; the decision stands at ``request.state.licet``.

    For functions, coroutine functions and methods of an ``HTTPEndpoint``. Everything about the question is a value or a
    function of the request, which may be a coroutine function. It is asked in the event loop, because it reads memory
    only; a client with ``on_demand`` should ``load`` a customer before.
    """

    def decorate(endpoint: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(endpoint)
        async def gated(*args: Any, **kwargs: Any) -> Any:
            request = _request(endpoint, (*args, *kwargs.values()))
            request.state.licet = client_of(request).require(
                await _read(customer, request),
                feature,
                user=await _read(user, request),
                context=await _read(context, request),
                quantity=await _read(quantity, request),
                used=await _read(used, request),
            )
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        return gated

    return decorate


def _request(endpoint: Callable[..., Any], arguments: Iterable[Any]) -> Request:
    """The request among what an endpoint is called with."""
    for one in arguments:
        if isinstance(one, Request):
            return one
    raise TypeError(f"{endpoint.__qualname__} was called without a request; requires() is for endpoints of Starlette")


async def _read(source: Any, request: Request) -> Any:
    """What a value or a function of the request says."""
    said = source(request) if callable(source) else source
    return await said if inspect.isawaitable(said) else said
