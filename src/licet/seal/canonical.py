"""Canonical JSON (RFC 8785) for the values that are hashed or signed: one value, one sequence of bytes.

Only what survives every JSON reader unchanged: null, booleans, integers within ±(2^53 − 1), strings without lone
surrogates, lists and objects with string keys. Quantities beyond that are written as strings; floats are refused.
"""

from typing import Any, Final

import msgspec

LARGEST: Final = 2**53 - 1
DEEPEST: Final = 64


class NotCanonical(ValueError):
    """The value has no canonical form here; the words name the place."""


def canonical(value: Any) -> bytes:
    """Return RFC 8785 bytes of a value made of builtins, structs and aware datetimes (written with ``Z``).

    Raises NotCanonical for floats, integers beyond ±(2^53 − 1), lone surrogates and more than 64 levels.
    """
    try:
        plain = msgspec.to_builtins(value, order="deterministic", str_keys=True)
        return msgspec.json.encode(_ordered(plain, "$", 0))
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise NotCanonical(f"the value cannot be written as JSON: {error}") from error


def _ordered(value: Any, place: str, depth: int) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if not -LARGEST <= value <= LARGEST:
            raise NotCanonical(f"{place} is {value}, beyond ±(2^53 − 1): write it as a string")
        return value
    if depth >= DEEPEST:
        raise NotCanonical(f"{place} is nested deeper than {DEEPEST} levels")
    if isinstance(value, dict):
        keys = sorted(value) if all(key.isascii() for key in value) else sorted(value, key=_utf16)
        return {key: _ordered(value[key], f"{place}.{key}", depth + 1) for key in keys}
    if isinstance(value, list | tuple):
        return [_ordered(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise NotCanonical(
        f"{place} is a {type(value).__name__}: only null, booleans, integers, strings, lists and objects"
    )


def _utf16(key: str) -> bytes:
    # RFC 8785 section 3.2.3: keys are ordered by UTF-16 code units, which differs from code points beyond U+FFFF.
    return key.encode("utf-16-be")
