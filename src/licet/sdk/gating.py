"""The decorator that lets a function be called only by customers who may use a feature."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import Signature, iscoroutinefunction, signature
from typing import Any, ParamSpec, TypeVar

from licet.sdk.errors import Misconfigured

P = ParamSpec("P")
R = TypeVar("R")
Finds = str | Callable[..., Any]
"""The name of an argument of the gated function, or what is called with all of its arguments."""
Demand = Callable[..., object]


def metered_by(customer: Finds, user: Finds | None, quantity: object) -> tuple[dict[str, Finds], dict[str, Any]]:
    """Return where a metered function says who uses how much, and what is the same at each of its calls."""
    finds: dict[str, Finds] = {"customer": customer}
    if user is not None:
        finds["user"] = user
    if callable(quantity):
        return finds | {"quantity": quantity}, {}
    return finds, {"quantity": quantity}


def gated(
    demand: Demand, feature: str, finds: dict[str, Finds], constant: dict[str, Any], *, waits: bool = False
) -> Callable[..., Any]:
    """Return the decorator. ``demand`` raises for a refusal; ``finds`` says where each part of the question is.

    ``waits``: it asks a server, which no coroutine may wait for in this way.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        takes = signature(function)
        for part, find in finds.items():
            _check(function, takes, part, find)

        def ask(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found = {part: _found(takes, find, args, kwargs) for part, find in finds.items()}
            demand(found.pop("customer"), feature, **found, **constant)

        if iscoroutinefunction(function):
            if waits:
                words = f"{function.__qualname__} is a coroutine function, and waiting for the server would hold up"
                raise Misconfigured(f"{words} its event loop; use metered() of an AsyncClient")

            @wraps(function)
            async def later(*args: P.args, **kwargs: P.kwargs) -> Any:
                ask(args, kwargs)
                return await function(*args, **kwargs)

            return later  # type: ignore[return-value]

        @wraps(function)
        def now(*args: P.args, **kwargs: P.kwargs) -> R:
            ask(args, kwargs)
            return function(*args, **kwargs)

        return now

    return decorate


def awaited(
    demand: Callable[..., Awaitable[object]], feature: str, finds: dict[str, Finds], constant: dict[str, Any]
) -> Callable[..., Any]:
    """Return the decorator for coroutine functions: ``demand`` is awaited before each call."""

    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        if not iscoroutinefunction(function):
            words = f"{function.__qualname__} is no coroutine function, and cannot await the server"
            raise Misconfigured(f"{words}; declare it with async def, or use metered() of a Client")
        takes = signature(function)
        for part, find in finds.items():
            _check(function, takes, part, find)

        @wraps(function)
        async def later(*args: P.args, **kwargs: P.kwargs) -> R:
            found = {part: _found(takes, find, args, kwargs) for part, find in finds.items()}
            await demand(found.pop("customer"), feature, **found, **constant)
            return await function(*args, **kwargs)

        return later

    return decorate


def _check(function: Callable[..., Any], takes: Signature, part: str, find: Finds) -> None:
    if isinstance(find, str) and find not in takes.parameters:
        names = ", ".join(takes.parameters) or "none"
        words = f"gate({part}={find!r}) names an argument that {function.__qualname__} does not take; it takes {names}"
        raise Misconfigured(f"{words}. Name one of them, or give a function of all arguments")


def _found(takes: Signature, find: Finds, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not isinstance(find, str):
        return find(*args, **kwargs)
    bound = takes.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments[find]
