"""Flask: ``install`` once, ``@requires`` on views; refused requests are answered with a problem."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from flask import Flask, Response, current_app, g

from licet.core.question import Context
from licet.sdk.adapters.problem import Asks, Status, answer_to, status_of
from licet.sdk.errors import NotEntitled, NoTruth

P = ParamSpec("P")
T = TypeVar("T")
From: TypeAlias = T | Callable[[], T]
"""A value, or a function that reads it from Flask's ``request``, ``session`` or ``g``."""


def install(app: Flask, client: Asks, *, status: Status = status_of) -> None:
    """Let an application ask ``client``, and answer :class:`NotEntitled` and :class:`NoTruth` with problems.

    The client stands at ``app.extensions["licet"]`` from then on; a test puts the client of its world there.
    """
    app.extensions["licet"] = client

    def refuse(error: NotEntitled | NoTruth) -> Response:
        answer = answer_to(error, status)
        return Response(answer.body, answer.status, answer.headers)

    app.register_error_handler(NotEntitled, refuse)
    app.register_error_handler(NoTruth, refuse)


def installed_client() -> Asks:
    """Return the client of the current application; raises RuntimeError where none was installed."""
    client = current_app.extensions.get("licet")
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
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let a view run only where the customer may use a feature; the decision stands at ``g.licet``.

    Everything about the question is a value or a function without arguments, called within the request. Stands below
    ``@app.route``; views may be coroutine functions.
    """

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @functools.wraps(view)
        def gated(*args: P.args, **kwargs: P.kwargs) -> Any:
            g.licet = installed_client().require(
                _read(customer),
                feature,
                user=_read(user),
                context=_read(context),
                quantity=_read(quantity),
                used=_read(used),
            )
            return current_app.ensure_sync(view)(*args, **kwargs)

        return gated

    return decorate


def _read(source: Any) -> Any:
    """What a value or a function says."""
    return source() if callable(source) else source
