"""Normal forms of what comes from outside: datetimes in UTC, text in NFC, attributes and zones within bounds.

Types are checked by msgspec before; this is what a type cannot say. Every error names the place and what is allowed.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from msgspec import UNSET, Struct, structs

from licet.core.instant import add_duration, parse_duration, to_datetime, to_instant
from licet.core.terms import Attributes, Profile
from licet.services.errors import Invalid

MAX_NAME: Final = 128
"""Characters of an id, and of the name of anything in a map."""
MAX_ATTRIBUTES: Final = 100
MAX_ATTRIBUTE_TEXT: Final = 1000
MAX_ATTRIBUTE_LIST: Final = 100
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9000
SHORTEST: Final = timedelta(hours=1)
"""How long a billing period or a trial lasts at least."""

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
S = TypeVar("S", bound=Struct)


def invalid(path: str, words: str, suggestion: str = "") -> Invalid:
    """Return the error for one place in a request."""
    problem = {"path": path, "message": words} | ({"suggestion": suggestion} if suggestion else {})
    return Invalid(f"{path}: {words}", advice=suggestion, details={"problems": [problem]})


def normal(command: S) -> S:
    """Return a command with every datetime in UTC and every text in NFC, however deep.

    Raises Invalid for a naive datetime, a year outside 1970 to 9000, and a control character or lone surrogate.
    """
    return command if _is_plain(command) else _struct(command, "")


def clean_id(value: str, path: str) -> str:
    """Return an id in NFC; raises Invalid if it is empty, has more than 128 characters or space at its ends."""
    text = _text(value, path)
    if not text or len(text) > MAX_NAME:
        raise invalid(path, f"an id has 1 to {MAX_NAME} characters, this one has {len(text)}")
    if text != text.strip():
        raise invalid(path, f"the id {text!r} begins or ends with a space", "remove the space")
    return text


def check_profile(profile: Profile, path: str) -> None:
    """Raise Invalid if a profile's zone is not an IANA time zone or its attributes are out of bounds."""
    if profile.zone is not None:
        check_zone(profile.zone, f"{path}.zone")
    if profile.country is not None and not (profile.country.isascii() and profile.country.isupper()):
        raise invalid(f"{path}.country", f"{profile.country!r} is not a country", "write two capital letters, like DE")
    check_attributes(profile.attributes, f"{path}.attributes")


def check_zone(zone: str, path: str) -> ZoneInfo:
    """Return an IANA time zone; raises Invalid if there is none of that name."""
    if zone not in available_timezones():
        raise invalid(path, f"{zone!r} is not a time zone", "write an IANA name such as Europe/Berlin")
    return ZoneInfo(zone)


def check_duration(text: str, path: str) -> None:
    """Raise Invalid if ``text`` is no ISO 8601 duration."""
    try:
        parse_duration(text)
    except ValueError as wrong:
        raise invalid(path, str(wrong)) from None


def check_length(text: str, path: str) -> None:
    """Raise Invalid if ``text`` is no ISO 8601 duration of at least an hour."""
    check_duration(text, path)
    start = datetime(2000, 1, 1, tzinfo=UTC)
    if to_datetime(add_duration(to_instant(start), parse_duration(text), UTC)) - start < SHORTEST:
        raise invalid(path, f"{text} is too short; it lasts an hour (PT1H) or longer", "write a duration such as P1M")


def check_attributes(attributes: Attributes, path: str) -> None:
    """Raise Invalid if there are too many attributes, or a text or list in them is too long."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(path, f"{len(attributes)} attributes are too many; at most {MAX_ATTRIBUTES} are kept")
    for name, value in attributes.items():
        place = f"{path}.{name}"
        if isinstance(value, list) and len(value) > MAX_ATTRIBUTE_LIST:
            raise invalid(place, f"a list of {len(value)} is too long; at most {MAX_ATTRIBUTE_LIST} are kept")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and len(text) > MAX_ATTRIBUTE_TEXT:
                raise invalid(place, f"a text of {len(text)} characters is too long; at most {MAX_ATTRIBUTE_TEXT}")


def utc(value: datetime, path: str) -> datetime:
    """Return an aware datetime in UTC; raises Invalid for a naive one or a year outside 1970 to 9000."""
    if value.tzinfo is None:
        raise invalid(path, f"the time {value.isoformat()} has no zone", "write it with Z or an offset such as +01:00")
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise invalid(path, f"the year {value.year} is out of range; {FIRST_YEAR} to {LAST_YEAR} are kept")
    return value.astimezone(UTC)


def _struct(value: S, path: str) -> S:
    """Return a struct whose fields are normal."""
    changed: dict[str, Any] = {}
    for name, encoded in _fields(type(value)):
        before = getattr(value, name)
        if _is_plain(before):
            continue
        after = _any(before, f"{path}.{encoded}" if path else encoded)
        if after is not before:
            changed[name] = after
    return structs.replace(value, **changed) if changed else value


def _is_plain(value: Any) -> bool:
    """Whether a value is in its normal form, told at a glance; where not, it has to be looked at."""
    kind: Any = type(value)
    if kind is str:
        return bool(value.isascii() and value.isprintable())
    if value is None or kind is int or kind is bool:
        return True
    if kind is tuple or kind is list:
        return all(map(_is_plain, value))
    if kind is dict:
        return all(map(_is_plain_id, value)) and all(map(_is_plain, value.values()))
    values = _values(kind)
    return values is not None and all(map(_is_plain, values(value)))


def _is_plain_id(key: Any) -> bool:
    return type(key) is str and 0 < len(key) <= MAX_NAME and key[0] != " " != key[-1] and _is_plain(key)


@cache
def _values(kind: type) -> Callable[[Any], tuple[Any, ...]] | None:
    """Return what gets all fields of a struct at once; None for what is no struct."""
    if not issubclass(kind, Struct):
        return None
    names = [field.name for field in structs.fields(kind)]
    return attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a struct, as they are called here and outside: working that out takes a while."""
    return tuple((field.name, field.encode_name) for field in structs.fields(kind))


def _any(value: Any, path: str) -> Any:
    """Return any part of a command in its normal form."""
    if value is None or value is UNSET or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, datetime):
        return utc(value, path)
    if isinstance(value, Struct):
        return _struct(value, path)
    if isinstance(value, Mapping):
        return {clean_id(str(key), path): _any(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return type(value)(_any(item, f"{path}[{place}]") for place, item in enumerate(value))
    return value


def _text(value: str, path: str) -> str:
    """Return a text in NFC; raises Invalid for what must not be kept or shown."""
    found = _FORBIDDEN.search(value)
    if found:
        raise invalid(path, f"the character U+{ord(found[0]):04X} is not allowed")
    return value if value.isascii() else unicodedata.normalize("NFC", value)
