"""Licet: one place that knows what every customer bought, one evaluator that enforces it.

Everything named here is loaded when it is first asked for: ``import licet`` itself loads nothing.
"""

TYPE_CHECKING = False  # what typing says too, without loading it
if TYPE_CHECKING:
    from typing import Any

    from licet.core.question import Context, Question
    from licet.sdk.async_client import AsyncClient
    from licet.sdk.client import Client
    from licet.sdk.decision import Decision, Freshness
    from licet.sdk.errors import (
        Closed,
        LicetError,
        Misconfigured,
        MissingScope,
        NotBelieved,
        NotEntitled,
        NotHeld,
        NoTruth,
        NotUnderstood,
        ServerTooOld,
        Unreachable,
        WrongKey,
        WrongUrl,
    )

__all__ = [
    "AsyncClient",
    "Client",
    "Closed",
    "Context",
    "Decision",
    "Freshness",
    "LicetError",
    "Misconfigured",
    "MissingScope",
    "NoTruth",
    "NotBelieved",
    "NotEntitled",
    "NotHeld",
    "NotUnderstood",
    "Question",
    "ServerTooOld",
    "Unreachable",
    "WrongKey",
    "WrongUrl",
]
_AT = {
    "AsyncClient": "licet.sdk.async_client",
    "Client": "licet.sdk.client",
    "Context": "licet.core.question",
    "Decision": "licet.sdk.decision",
    "Freshness": "licet.sdk.decision",
    "Question": "licet.core.question",
}


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_AT.get(name, "licet.sdk.errors")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
