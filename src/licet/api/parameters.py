"""Query parameters as values: whole numbers and instants are read in one written form, nothing is guessed."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from licet.api.refusals import from_decoding
from licet.core.instant import parse_instant, to_datetime
from licet.door.problems import Place, Refusal

_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2}))?",
    re.ASCII,
)
_PLUS_LOST: Final = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)", re.ASCII)


def read_parameters(found: Mapping[str, str], query: type[Struct]) -> Struct:
    """Return the parameters as the struct that an operation takes.

    A whole number is written in decimal digits; an instant as RFC 3339 with a zone, or as a date, which is midnight
    UTC. Raises Refusal (``invalid``) that names the parameter, what was written and what is allowed.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(query):
        text = found.get(field.encode_name)
        if text is not None:
            values[field.encode_name] = _value(field.encode_name, text, inspect.type_info(field.type))
    try:
        return msgspec.convert(values, query)
    except msgspec.ValidationError as error:
        raise from_decoding(error, query, "the query string") from None


def _value(name: str, text: str, wanted: inspect.Type) -> Any:
    kinds = {type(one) for one in _members(wanted)}
    if inspect.IntType in kinds:
        if not _WHOLE.fullmatch(text):
            raise _refused(name, f"{text[:80]!r} is not a whole number", "Write decimal digits, such as 50.")
        return int(text)
    if inspect.BoolType in kinds:
        if text not in ("true", "false"):
            raise _refused(name, f"{text[:80]!r} is neither true nor false", "Write true or false.")
        return text == "true"
    if inspect.DateTimeType in kinds:
        if not _MOMENT.fullmatch(text):
            raise _refused(name, f"{text[:80]!r} is not an instant", _advice(text))
        try:
            return to_datetime(parse_instant(text.upper().replace(" ", "T")))
        except (ValueError, OverflowError) as error:
            raise _refused(name, str(error), _advice(text)) from None
    return text


def _members(wanted: inspect.Type) -> list[inspect.Type]:
    if isinstance(wanted, inspect.Metadata):
        return _members(wanted.type)
    if isinstance(wanted, inspect.UnionType):
        return [member for each in wanted.types for member in _members(each)]
    return [wanted]


def _advice(text: str) -> str:
    if _PLUS_LOST.search(text):
        return "Write the + of an offset as %2B in a query string, or give the instant in UTC with Z."
    return "Write it with a zone, as 2026-03-01T09:00:00Z, or as a date, which is midnight UTC."


def _refused(name: str, message: str, advice: str) -> Refusal:
    place = Place(path=f"?{name}", message=message)
    return Refusal("invalid", f"the query parameter {name}: {message}", advice=advice, places=[place])
