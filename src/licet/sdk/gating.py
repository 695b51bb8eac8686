"""The decorator that lets a function be called only by customers who may use a feature."""

from collections.abc import Callable
from functools import wraps
from inspect import Signature, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from licet.sdk.errors import Misconfigured

if TYPE_CHECKING:
    from licet.sdk.decision import Decision

P = ParamSpec("P")
R = TypeVar("R")
Finds = str | Callable[..., Any]
"""The name of an argument of the gated function, or what is called with all of its arguments."""
Demand = Callable[..., "Decision"]


def gated(demand: Demand, feature: str, finds: dict[str, Finds], constant: dict[str, Any]) -> Callable[..., Any]:
    """Return the decorator. ``demand`` raises for a refusal; ``finds`` says where each part of the question is."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        takes = signature(function)
        for part, find in finds.items():
            _check(function, takes, part, find)

        def ask(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found = {part: _found(takes, find, args, kwargs) for part, find in finds.items()}
            demand(found.pop("customer"), feature, **found, **constant)

        if iscoroutinefunction(function):

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
