"""Django: ``LicetMiddleware`` in the settings, ``@requires`` on views; refused requests are answered with a problem."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from licet.core.question import Context
from licet.sdk.adapters.problem import Asks, answer_to, status_of
from licet.sdk.errors import NotEntitled, NoTruth

P = ParamSpec("P")
T = TypeVar("T")
From: TypeAlias = T | Callable[[HttpRequest], T]
"""A value, or a function that reads it from the request."""
Next = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class LicetMiddleware:
    """Answers :class:`NotEntitled` and :class:`NoTruth` of any view with problems; for WSGI and ASGI.

    ``LICET_STATUS`` in the settings may name a function of the decision that chooses another status than
    :func:`licet.sdk.adapters.problem.status_of` would.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the problem for a refusal; None for every other exception."""
        if not isinstance(exception, NotEntitled | NoTruth):
            return None
        answer = answer_to(exception, _named(getattr(settings, "LICET_STATUS", status_of)))
        response = HttpResponse(answer.body, status=answer.status)
        for name, value in answer.headers.items():
            response[name] = value
        return response


def installed_client() -> Asks:
    """Return the client that ``LICET_CLIENT`` in the settings is or names; without it, one ``Client()`` of the process.

    A test overrides the setting with the client of its world.
    """
    chosen = getattr(settings, "LICET_CLIENT", None)
    return _own_client() if chosen is None else cast("Asks", _named(chosen))


def requires(
    feature: str,
    *,
    customer: From[str],
    user: From[str | None] = None,
    quantity: From[int | str] = 1,
    used: From[int | str | None] = None,
    context: From[Context | None] = None,
) -> Callable[[Callable[Concatenate[HttpRequest, P], Any]], Callable[Concatenate[HttpRequest, P], Any]]:
    """Let a view run only where the customer may use a feature; the decision stands at ``request.licet``.

    Everything about the question is a value or a function of the request. For views that are functions, coroutine
    functions too; a class-based one takes it through ``method_decorator``.
    """

    def ask(request: HttpRequest) -> None:
        request.licet = installed_client().require(
            _read(customer, request),
            feature,
            user=_read(user, request),
            context=_read(context, request),
            quantity=_read(quantity, request),
            used=_read(used, request),
        )

    def decorate(view: Callable[Concatenate[HttpRequest, P], Any]) -> Callable[Concatenate[HttpRequest, P], Any]:
        def gated(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> Any:
            ask(request)
            return view(request, *args, **kwargs)

        async def gated_later(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> Any:
            ask(request)
            return await view(request, *args, **kwargs)

        made = gated_later if inspect.iscoroutinefunction(view) else gated
        return cast("Callable[Concatenate[HttpRequest, P], Any]", functools.update_wrapper(made, view))

    return decorate


@functools.cache
def _own_client() -> Asks:
    from licet import Client

    return Client()


def _named(chosen: Any) -> Any:
    """What a setting is, or what a dotted path names."""
    return import_string(chosen) if isinstance(chosen, str) else chosen


def _read(source: Any, request: HttpRequest) -> Any:
    """What a value or a function of the request says."""
    return source(request) if callable(source) else source
