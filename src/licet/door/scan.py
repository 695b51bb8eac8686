"""The one look at JSON before it is decoded: refuses what decoders let pass or choke on.

Duplicate keys (decoders keep the last), nesting beyond a bound (they recurse), NUL and lone surrogates (the database
refuses them late), NaN and infinities, endless digits, anything that is not UTF-8. Cost: some µs for a small body.
"""

import json
import re
from typing import Any, Final

from licet.door.limits import MAX_DEPTH, MAX_DIGITS
from licet.door.problems import Refusal

# The closing quote is optional: an unterminated string then still matches once, and the scan stays linear.
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_REST: Final = re.compile(r"[^\[\]{}]+")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_SHALLOW: Final = 5
_ADVICE: Final = "Send one JSON document in UTF-8."


def scan(body: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Raise Refusal (``bad_request``) for a body that is not one plain JSON document; returns nothing."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _refuse(f"the body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}") from None
    if not text.strip(" \t\r\n"):
        raise _refuse("the body is empty; this operation needs one")
    _check_depth(text, max_depth)
    if "\\u" in text:
        _check_escapes(text)
    try:
        _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise _refuse(
            f"the body is not JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}"
        ) from None


def _refuse(detail: str, advice: str = _ADVICE) -> Refusal:
    return Refusal("bad_request", detail, advice=advice)


def _check_depth(text: str, most: int) -> None:
    if text.count("[") + text.count("{") <= most:
        return
    depth, brackets = 0, _REST.sub("", _STRING.sub("", text))
    left = brackets
    for _ in range(min(most, _SHALLOW)):
        # What is innermost is taken away: what nests little is known to at once, however long it is.
        left = left.replace("{}", "").replace("[]", "")
        if not left:
            return
    for bracket in brackets:
        if bracket in "[{":
            depth += 1
            if depth > most:
                raise _refuse(f"the body nests deeper than {most} levels", "Flatten the document.")
        else:
            depth -= 1


def _check_escapes(text: str) -> None:
    awaited = -1  # where the second half of a surrogate pair must begin
    for found in _ESCAPE.finditer(text):
        if awaited not in (-1, found.start()):
            raise _lone()
        code = int(found[1], 16) if found[1] else -1
        if code == 0:
            raise _refuse(r"the body contains the character NUL (\u0000)", "Leave it out: no text here may hold it.")
        low = 0xDC00 <= code <= 0xDFFF
        if low != (awaited != -1):
            raise _lone()
        awaited = found.end() if 0xD800 <= code <= 0xDBFF else -1
    if awaited != -1:
        raise _lone()


def _lone() -> Refusal:
    return _refuse(r"the body contains half of a surrogate pair (\ud800 to \udfff)", "Escape both halves, or neither.")


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _refuse(f"the key {key[:80]!r} occurs twice in one object", "Name each key once.")
            seen.add(key)


def _constant(name: str) -> None:
    raise _refuse(f"{name} is not JSON", 'Send a number, or "unlimited" where that is allowed.')


def _number(digits: str) -> None:
    if len(digits) > MAX_DIGITS:
        raise _refuse(f"a number has {len(digits)} characters; at most {MAX_DIGITS} are read", "Send a shorter number.")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_number, parse_float=_number
)
