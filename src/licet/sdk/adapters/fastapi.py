"""FastAPI: ``install`` once, ``Depends(requires("feature", customer=…))`` on routes; refusals become problems."""

from collections.abc import Callable, Coroutine
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import Depends
from fastapi.requests import HTTPConnection

from licet.core.question import Context
from licet.sdk.adapters.problem import PROBLEM_TYPE
from licet.sdk.adapters.starlette import client_of, install

if TYPE_CHECKING:
    from licet.sdk.decision import Decision

__all__ = ["DENIED", "install", "requires"]

T = TypeVar("T")
From: TypeAlias = T | Callable[..., T] | Callable[..., Coroutine[Any, Any, T]]
"""A value, or a FastAPI dependency that gives it."""
_BODY: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "code", "reason", "feature", "remedy")},
        "status": {"type": "integer"},
        "limit": {"type": "object"},
    },
}
DENIED: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": words, "content": {PROBLEM_TYPE: {"schema": _BODY}}}
    for status, words in (
        (403, "The customer may not do this; the problem says why, and what would change it."),
        (429, "The allowance is used up until it comes back by itself."),
        (500, "It cannot be decided here: the program asks about a customer that its client does not hold."),
        (503, "It could not be decided; try again after Retry-After."),
    )
}
"""For ``responses=`` of a route, a router or an app: what OpenAPI says about refusals."""


def requires(
    feature: str,
    *,
    customer: From[str],
    user: From[str | None] = None,
    quantity: From[int | str] = 1,
    used: From[int | str | None] = None,
    context: From[Context | None] = None,
) -> "Callable[..., Coroutine[Any, Any, Decision]]":
    """Return a dependency that lets a route run only where the customer may use a feature, and gives the decision.

    Everything about the question is a value, or a dependency of its own that FastAPI resolves (so that security
    schemes, caching within a request and ``dependency_overrides`` work as everywhere). A refusal raises
    :class:`NotEntitled`, which ``install`` answers with a problem. It is asked in the event loop, because it reads
    memory only; a client with ``on_demand`` should ``load`` a customer before.
    """
    asked = {"customer": customer, "user": user, "quantity": quantity, "used": used, "context": context}
    fixed = {name: value for name, value in asked.items() if not callable(value)}

    async def gate(connection: HTTPConnection, **resolved: Any) -> "Decision":
        return client_of(connection).require(feature=feature, **{**fixed, **resolved})

    parameters = [Parameter("connection", Parameter.KEYWORD_ONLY, annotation=HTTPConnection)] + [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Depends(value)])
        for name, value in asked.items()
        if callable(value)
    ]
    gate.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    gate.__name__ = f"requires_{feature}"
    return gate
