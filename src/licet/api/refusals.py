"""Translating what goes wrong below into problems: use-case errors, decoding errors, and whatever nobody expected."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import msgspec
from litestar.exceptions import HTTPException
from msgspec import Struct

from licet.core.spelling import nearest
from licet.door.problems import KINDS, Place, Refusal
from licet.services.errors import Invalid, KeyBusy, ServiceError, Unavailable

_AT: Final = re.compile(r"^(.*?)(?: - at `(.*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"unknown field `(.*)`")
_BY_STATUS: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
}


def from_service(error: ServiceError) -> Refusal:
    """Return the refusal for a use case's error: its own code where the door knows it."""
    code = str(error.details.get("code", error.code))
    if code not in KINDS:
        code = "invalid" if isinstance(error, Invalid) else "unprocessable"
    places = places_of(error.details.get("problems", ()))
    again = str(error.details.get("retry_after", 1))
    headers = {"Retry-After": again} if isinstance(error, KeyBusy | Unavailable) else {}
    return Refusal(code, error.words, advice=error.advice, places=places, headers=headers)


def from_litestar(error: HTTPException, allowed: list[str], path: str) -> Refusal:
    """Return the refusal for what routing found out."""
    if error.status_code == 405:
        methods = ", ".join(allowed)
        return Refusal(
            "method_not_allowed",
            f"{path} does not take this method",
            advice=f"Use {methods}.",
            headers={"Allow": methods},
        )
    code = _BY_STATUS.get(error.status_code, "internal" if error.status_code >= 500 else "bad_request")
    if code == "not_found":
        return Refusal(code, f"there is nothing at {path}", advice="See /docs for every operation.")
    return Refusal(code, str(error.detail))


def unexpected(error: Exception) -> Refusal:
    """Return the problem for a defect: it names the kind of error, nothing of what was in it."""
    return Refusal(
        "internal",
        f"the request failed with {type(error).__name__}; if it was a write, nothing was written",
        advice="Try again; if it stays, report it with the request id, which the server's log has too.",
    )


def from_decoding(error: msgspec.ValidationError | msgspec.DecodeError, kind: Any, what: str) -> Refusal:
    """Return the refusal for content that does not fit its type, with the place and, for a name, the likeliest one."""
    found = _AT.match(str(error))
    message, path = (found[1], found[2] or "$") if found else (str(error), "$")
    unknown = _UNKNOWN.search(message)
    suggestion = _meant(unknown[1], kind) if unknown else None
    place = Place(path=path, message=message, suggestion=suggestion)
    meant = f"; did you mean {suggestion}?" if suggestion else ""
    detail = f"{what} does not fit: {message[:1].lower()}{message[1:]} at {path}{meant}"
    return Refusal("invalid", detail, advice="See /docs for what this operation takes.", places=[place])


def _meant(name: str, kind: Any) -> str | None:
    """The field that was probably meant: where a field further in has this very name, that one with its path."""
    names = field_names(kind)
    return _further_in(name, kind) if name in names else nearest(name, names)


@cache
def _further_in(name: str, kind: Any) -> str | None:
    """The path of a field one step in; None where there is none, or several."""
    (root,), components = msgspec.json.schema_components([kind], ref_template="{name}")
    top = components.get(root.get("$ref", ""), root)
    found = [
        f"{outer}.{name}"
        for outer, given in top.get("properties", {}).items()
        for one in (given, *given.get("anyOf", ()))
        if name in components.get(one.get("$ref", ""), {}).get("properties", {})
    ]
    return found[0] if len(found) == 1 else None


@cache
def field_names(kind: Any) -> frozenset[str]:
    """Return the names of all fields that occur anywhere in a type."""
    _, components = msgspec.json.schema_components([kind], ref_template="{name}")
    return frozenset(name for schema in components.values() for name in schema.get("properties", ()))


def places_of(problems: Iterable[Any]) -> tuple[Place, ...]:
    """Return problems of lower rooms (structs or mappings with a path and a message) as the door says them."""
    return tuple(_place(one) for one in problems)


def _place(one: Any) -> Place:
    known = one if isinstance(one, dict) else msgspec.structs.asdict(one) if isinstance(one, Struct) else {}
    kept = {name: known[name] for name in ("path", "message", "code", "line", "column", "suggestion") if name in known}
    return Place(**({"path": "", "message": str(one)} | kept))
