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
        BufferFull,
        Closed,
        Invalid,
        LicetError,
        Misconfigured,
        MissingScope,
        NotBelieved,
        NotEntitled,
        NotHeld,
        NoTruth,
        NotUnderstood,
        ReservationEnded,
        ServerTooOld,
        Unanswered,
        Unreachable,
        WrongKey,
        WrongUrl,
    )
    from licet.sdk.llm import AiCall, AsyncAiCall, ModelUsage
    from licet.sdk.quota import Quota
    from licet.sdk.reserving import AsyncReservation, Reservation
    from licet.sdk.usage import Certain, Reports, Settled, Usage

__all__ = [
    "AiCall",
    "AsyncAiCall",
    "AsyncClient",
    "AsyncReservation",
    "BufferFull",
    "Certain",
    "Client",
    "Closed",
    "Context",
    "Decision",
    "Freshness",
    "Invalid",
    "LicetError",
    "Misconfigured",
    "MissingScope",
    "ModelUsage",
    "NoTruth",
    "NotBelieved",
    "NotEntitled",
    "NotHeld",
    "NotUnderstood",
    "Question",
    "Quota",
    "Reports",
    "Reservation",
    "ReservationEnded",
    "ServerTooOld",
    "Settled",
    "Unanswered",
    "Unreachable",
    "Usage",
    "WrongKey",
    "WrongUrl",
]
_AT = {
    "AiCall": "licet.sdk.llm",
    "AsyncAiCall": "licet.sdk.llm",
    "AsyncClient": "licet.sdk.async_client",
    "AsyncReservation": "licet.sdk.reserving",
    "Certain": "licet.sdk.usage",
    "Client": "licet.sdk.client",
    "Context": "licet.core.question",
    "Decision": "licet.sdk.decision",
    "Freshness": "licet.sdk.decision",
    "ModelUsage": "licet.sdk.llm",
    "Question": "licet.core.question",
    "Quota": "licet.sdk.quota",
    "Reports": "licet.sdk.usage",
    "Reservation": "licet.sdk.reserving",
    "Settled": "licet.sdk.usage",
    "Usage": "licet.sdk.usage",
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
